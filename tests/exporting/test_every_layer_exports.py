"""Every layer and activation of Keras in every format: what is foreseen is what happens."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tests.model.conftest import make_config, make_facts
from tests.model.test_every_layer import CELLS, LEARN, SHAPES, entry_of

from dltool import keras_names
from dltool.config.checks import MIXING
from dltool.errors import ConfigError, ExpectationMissed
from dltool.exporting.exportable import Exportable, ExportInput, exportable
from dltool.exporting.foreseen import PACKAGES, forecasts
from dltool.exporting.preprocess import preprocessed
from dltool.exporting.saved_model import write_saved_model
from dltool.model.build import build_model
from dltool.model.keras_objects import KERAS_ERRORS

pytestmark = pytest.mark.slow
ROWS = 7
VARIANTS: dict[str, list[Any]] = {
    **{f"{name} behind a mask": ["Masking", {name: 3}] for name in ("LSTM", "GRU", "SimpleRNN")},
    "CategoryEncoding, counting": [{"CategoryEncoding": {"num_tokens": 5, "output_mode": "count"}}],
    "Bidirectional GRU": [{"Bidirectional": {"layer": {"GRU": 3}}}],
    "Embedding with a mask": [{"Embedding": {"input_dim": 50, "output_dim": 3, "mask_zero": True}}, {"LSTM": 3}],
}
TEXTS = ("a", "b", "a c", "", "ä b", "b", "new")


@dataclass(frozen=True)
class Case:
    """A small model of one layer: its config, and itself with rows of its input and what it makes of them."""

    name: str
    config: Any
    facts: Any
    built: Any
    raw: np.ndarray
    expected: np.ndarray

    def why_not(self, form: str, batch: int | None) -> str:
        (foreseen,) = (each for each in forecasts(self.config, self.facts, batch) if each.format == form)
        return foreseen.why

    def exportable(self, form: str) -> tuple[Exportable, np.ndarray]:
        """Return the model to export and the rows as it takes them."""
        (foreseen,) = (each for each in forecasts(self.config, self.facts, 1) if each.format == form)
        given = exportable(self.config, self.facts, [self.built], foreseen.outside)
        (only,) = given.inputs
        values = self.raw if only.values is None else np.asarray(preprocessed(dict(only.values), self.raw))
        return given, np.asarray(values, object if values.dtype == object else only.tensor.dtype)


def layers_of() -> dict[str, list[list[Any]]]:
    """Return the layers of each model, in several forms if they may take several inputs."""
    found: dict[str, list[list[Any]]] = {}
    for name in own_names("layer"):
        entries = [entry_of(name, count) for count in (1, 2)]
        if name == "MelSpectrogram":
            # Its default is more than the signal.
            found[name] = [[{name: {"fft_length": 32, "sequence_stride": 16, "num_mel_bins": 4}}]]
        elif name in CELLS:
            found[name] = [[{"RNN": {"cell": entries[0]}}]]
        elif name not in MIXING:
            found[name] = [[{"Pipeline": [name]} if name == "Equalization" else entry] for entry in entries]
    # glu returns half of its input, which the layer Activation does not expect.
    found |= {name: [[{"Activation": name}]] for name in own_names("activation") if name != "glu"}
    return found | {name: [layers] for name, layers in VARIANTS.items()}


def own_names(kind: str) -> list[str]:
    """Return Keras's own names of a kind, without aliases."""
    names = [name for name in keras_names.names(kind) if name not in keras_names.OWN.get(kind, {})]
    return [name for name in names if keras_names.find_known(kind, name).means == name]


def rows(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    if dtype == "string":
        return np.array(TEXTS, object)
    found = np.random.default_rng(0).uniform(0, 5, (ROWS, *shape))
    found[-1] = 0
    return found.astype(dtype)


def case(name: str, forms: list[list[Any]], make_config: Any, make_facts: Any) -> Case:
    """Return the model for the first kind of input that the layer takes."""
    for shape, dtype in SHAPES:
        for layers in forms:
            sections = (["Identity"], layers) if name in LEARN else (layers,)
            config, facts = make_config(*sections, loss="mean_squared_error"), make_facts(shape, dtype, classes=0)
            raw = rows(shape, dtype)
            try:
                built = build_model(config, facts, {"input": raw})
                expected = built.full(keras.ops.convert_to_tensor(raw, dtype), training=False)
            except (ConfigError, tf.errors.InvalidArgumentError):
                continue
            return Case(name, config, facts, built, raw, keras.ops.convert_to_numpy(expected))
    raise AssertionError(f"no input fits {name}")


def outcomes(form: str, cases: list[Case], batch: int | None, folder: Path) -> dict[str, str]:
    """Return what becomes of each layer in this format: empty if it agrees. They are converted together, and in halves
    if that fails."""
    folder = folder / f"{form}-{cases[0].name}-{len(cases)}"
    folder.mkdir()
    try:
        given, rows = together([each.exportable(form) for each in cases])
        found = converted(form, given, folder, batch, rows, cases[0])
    except (*KERAS_ERRORS, ExpectationMissed) as error:
        if len(cases) == 1:
            return {cases[0].name: f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        half = len(cases) // 2
        return outcomes(form, cases[:half], batch, folder) | outcomes(form, cases[half:], batch, folder)
    pairs = zip(cases, given.outputs, strict=True)
    return {each.name: difference(each.expected, found[output]) for each, output in pairs}


def together(every: list[tuple[Exportable, np.ndarray]]) -> tuple[Exportable, dict[str, np.ndarray]]:
    """Return one model of many side by side, and the rows of its inputs."""
    inputs, outputs, rows = [], {}, {}
    for number, (given, values) in enumerate(every):
        (only,) = given.inputs
        tensor = keras.Input(only.tensor.shape[1:], dtype=only.tensor.dtype, name=f"input_{number}")
        inputs.append(ExportInput(tensor.name, tensor.name, tensor))
        model = keras.Model(given.model.input, given.model.output, name=f"model_{number}")
        (outputs[f"output_{number}"],) = model({only.name: tensor}).values()
        rows[tensor.name] = values
    joint = keras.Model({each.name: each.tensor for each in inputs}, outputs)
    return Exportable(joint, tuple(inputs), {name: name for name in outputs}), rows


def difference(expected: np.ndarray, found: np.ndarray) -> str:
    if found.shape != expected.shape:
        return f"shape {found.shape}, expected {expected.shape}"
    allowed = 1e-5 * max(float(np.abs(expected).max()), 1e-6)
    largest = float(np.abs(np.asarray(found, float) - expected).max())
    return "" if largest <= allowed else f"differs by {largest:.2g}, {allowed:.2g} is allowed"


def converted(form: str, given: Exportable, folder: Path, batch: int | None, rows: Mapping[str, Any], kind: Any) -> Any:
    """Return what the file of the model makes of the rows."""
    if form == "saved_model":
        write_saved_model(given, folder, kind)
        loaded = tf.saved_model.load(str(folder / "1"))
        found = loaded.signatures["serving_default"](**{name: tf.constant(values) for name, values in rows.items()})
        return {name: values.numpy() for name, values in found.items()}
    if form == "litert":
        from ai_edge_litert.interpreter import Interpreter

        from dltool.exporting.litert_file import write_litert

        write_litert(given, folder / "model.tflite", "float32", batch, {})
        run = Interpreter(model_path=str(folder / "model.tflite")).get_signature_runner()
        size = batch or ROWS
        parts = [run(**{name: values[at : at + size] for name, values in rows.items()}) for at in range(0, ROWS, size)]
        return {name: np.concatenate([part[name] for part in parts]) for name in given.outputs}
    from dltool.exporting.onnx_file import write_onnx

    names = write_onnx(given, folder / "model.onnx", {}, looks_up=form == "onnx")
    feeds = {names[name]: values for name, values in rows.items()}
    if form == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(folder / "model.onnx")
        return dict(zip(given.outputs, session.run(list(given.outputs), feeds), strict=True))
    import openvino

    from dltool.exporting.openvino_file import write_openvino

    write_openvino(folder / "model.onnx", folder / "model.xml")
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    found = openvino.Core().compile_model(folder / "model.xml", "CPU", exact)(feeds)
    return {name: found[name] for name in given.outputs}


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    config, facts = make_config._get_wrapped_function()(), make_facts._get_wrapped_function()()
    return [case(name, forms, config, facts) for name, forms in layers_of().items()]


@pytest.mark.parametrize("form", PACKAGES)
def test_what_is_foreseen_of_each_layer_happens(form, cases, tmp_path) -> None:
    if any(importlib.util.find_spec(package) is None for package in PACKAGES[form]):
        pytest.skip(f"{form} is not installed")
    batch = {each.name: 1 if form == "litert" and each.why_not(form, None) else None for each in cases}
    groups: dict[Any, list[Case]] = {}
    for each in cases:
        why = each.why_not(form, batch[each.name])
        groups.setdefault((why and each.name, batch[each.name]), []).append(each)
    wrong = {}
    for (refused, rows), group in groups.items():
        for name, happened in outcomes(form, group, rows, tmp_path).items():
            if bool(refused) != bool(happened):
                wrong[name] = happened or "it works, and is refused"
    assert not wrong, "\n".join(f"{name}: {what}" for name, what in wrong.items())
