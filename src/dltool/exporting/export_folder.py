"""One export: written in a temporary folder, checked there, and returned as files only if it agrees with the model."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dltool.data.arrays.rows import Rows
from dltool.data.dataset import Dataset, SplitName
from dltool.durable_files import disk_errors, refuse_full_disk
from dltool.errors import ConfigError, ExpectationMissed
from dltool.exporting.checking import CheckRows, RawPredictor, checked
from dltool.exporting.export_options import ExportOptions
from dltool.exporting.exportable import Exportable, exportable
from dltool.exporting.foreseen import CHECK, FILES, PACKAGES, Forecast
from dltool.exporting.preprocess import preprocessed
from dltool.exporting.programs import preprocess_programs, use_program
from dltool.exporting.signature import example_of, signature_of
from dltool.machine import describe_machine, installed_version
from dltool.model.build import BuiltModel
from dltool.model.keras_objects import KERAS_ERRORS, plain_message
from dltool.runs.files import encode_json

SIGNATURE = "signature.json"
DISTRIBUTIONS = {"ai_edge_litert": "ai-edge-litert"}
"""Names of packages to install that are not those to import."""


@dataclass(frozen=True)
class ExportSource:
    """What exports are made from: the identity of the run and the digest of its weights, the model as it is evaluated,
    the models whose mean it is, rows to check with, the name of their split, and the data, if it is there. `ranges` are
    those of arrays in training. `is_in_float32`: the run evaluates the model with 16 bits, and the check with 32."""

    run: str
    weights: str
    predictor: RawPredictor
    parts: list[BuiltModel]
    rows: CheckRows
    split: SplitName | None
    dataset: Dataset | None
    ranges: Mapping[str, list[float]]
    is_in_float32: bool = False


def export_files(
    source: ExportSource, forecast: Forecast, options: ExportOptions
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return the files of an export by their names, and the record of its check.

    Raises ExpectationMissed: it cannot be converted, or disagrees with the model; MachineError: the disk is full."""
    form, facts = forecast.format, source.predictor.facts
    looks_up = form == "onnx"
    lookups = [name for name, kind in source.predictor.types.items() if kind.name == "category"] if looks_up else []
    outside = [name for name in facts.inputs if name in forecast.outside or name in lookups]
    given = exportable(source.predictor.config, facts, source.parts, outside)
    with disk_errors(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory(prefix="dltool-") as name:
        folder = Path(name)
        try:
            names = write_model(source, given, forecast, folder, options)
        except KERAS_ERRORS as error:
            refuse_full_disk(str(error))
            raise ExpectationMissed(f"{form}: the model cannot be converted: {plain_message(error)}") from error
        states = {each.name: each.values for each in given.inputs if each.values and not (looks_up and each.is_lookup)}
        signature = signature_of(source.predictor, given, names, looks_up, options.batch, source.ranges)
        example = example_of(source.predictor, source.rows.inputs, source.rows.outputs, given.outputs)
        write_json(folder / SIGNATURE, signature)
        write_json(folder / "example.json", example)
        write_programs(folder, form, states)
        precision = "float32" if source.is_in_float32 else source.predictor.config.training.precision
        limits = options.limits(precision)
        record = checked(folder, form, source.predictor, source.rows, given.outputs, limits)
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        }
    record = {
        "run": source.run,
        "weights": source.weights,
        "format": form,
        "precision": options.precision,
        "compared_with": precision,
        "split": source.split,
        **record,
        **surroundings(form, files),
    }
    if options.layout == "triton":
        files |= triton_files(signature, source.predictor.config.name, files["model.onnx"])
    return {**files, CHECK: (encode_json(record, indent=2) + "\n").encode()}, record


def write_model(
    source: ExportSource, given: Exportable, forecast: Forecast, folder: Path, options: ExportOptions
) -> Mapping[str, str]:
    """Write the model of the format; return the names of its inputs by those of the exportable model."""
    names = {each.name: each.name for each in given.inputs}
    path = folder / FILES[forecast.format]
    facts = {"run": source.run, "name": source.predictor.config.name}
    if forecast.format == "saved_model":
        from dltool.exporting.saved_model import write_saved_model

        write_saved_model(given, folder, source.predictor)
        return names
    if forecast.format == "litert":
        from dltool.exporting.litert_file import write_litert

        rows = calibration_rows(source, given, options) if options.precision == "int8" else {}
        write_litert(given, path, options.precision, options.batch, rows)
        return names
    from dltool.exporting.onnx_file import write_onnx

    if forecast.format == "onnx":
        return write_onnx(given, path, facts)
    from dltool.exporting.openvino_file import write_openvino

    with tempfile.TemporaryDirectory(prefix="dltool-") as between:
        names = write_onnx(given, Path(between) / "model.onnx", facts, looks_up=False)
        write_openvino(Path(between) / "model.onnx", path)
    return names


def calibration_rows(source: ExportSource, given: Exportable, options: ExportOptions) -> dict[str, np.ndarray]:
    """Return training rows as the model takes them, drawn by the run's seed, of each class in its share. Those of a
    private run are rows of another split. Raises ConfigError: it has none."""
    assert source.dataset is not None, "int8 is refused without the data"
    split = "train" if source.predictor.config.training.privacy is None else source.split
    if split is None:
        raise ConfigError("--precision int8: the ranges of values would follow from the training rows of a private run")
    examples = source.dataset.examples(split)
    generator = np.random.Generator(np.random.Philox(source.predictor.config.seed))
    order = generator.permutation(len(examples))
    classes = [each for each in examples.targets.values() if each.ndim == 1 and each.dtype.kind == "i"]
    if classes:
        # Sorted by class, every few rows are of each class in its share.
        order = order[np.argsort(classes[0][order], kind="stable")]
    count = min(len(order), options.calibration)
    rows = np.sort(order[(np.arange(count) * len(order)) // count])
    return {each.name: prepared(each.values, examples.inputs[each.column], rows, each.tensor) for each in given.inputs}


def prepared(state: Mapping[str, Any] | None, values: Rows, rows: np.ndarray, tensor: Any) -> np.ndarray:
    chosen = np.asarray(values[rows])
    return np.asarray(chosen if state is None else preprocessed(dict(state), chosen), tensor.dtype)


def write_programs(folder: Path, form: str, states: Mapping[str, Any]) -> None:
    """Write use.py, and what it needs to preprocess inputs by these `states`."""
    programs = {"use.py": use_program(form, bool(states)), **(preprocess_programs() if states else {})}
    for name, content in programs.items():
        (folder / name).write_bytes(content)
    if states:
        write_json(folder / "preprocess.json", states)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(encode_json(value, indent=1) + "\n", "utf-8")


def surroundings(form: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the size in bytes, the digest of every file, the versions and the machine of the check."""
    packages = ["tensorflow", "keras", "numpy", *PACKAGES[form]]
    machine = describe_machine()
    return {
        "bytes": sum(map(len, files.values())),
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "versions": {name: installed_version(DISTRIBUTIONS.get(name, name)) for name in packages},
        "machine": {"cpu": machine.get("cpu"), "cores": machine.get("cores")},
    }


TRITON_TYPES = {
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "uint8": "TYPE_UINT8",
    "string": "TYPE_STRING",
}


def triton_files(signature: Mapping[str, Any], name: str, model: bytes) -> dict[str, bytes]:
    """Return the model repository of Triton's ONNX Runtime backend, below triton/."""

    def entry(each: Mapping[str, Any]) -> str:
        sizes = ", ".join(str(-1 if size is None else size) for size in each["shape"]) or "1"
        reshape = "" if each["shape"] else "\n    reshape: { shape: [ ] }"
        text, dtype = json.dumps(each["name"], ensure_ascii=False), TRITON_TYPES[each["dtype"]]
        return f"  {{\n    name: {text}\n    data_type: {dtype}\n    dims: [ {sizes} ]{reshape}\n  }}"

    inputs, outputs = (",\n".join(map(entry, signature[key])) for key in ("inputs", "outputs"))
    text = f"""\
name: {json.dumps(name)}
backend: "onnxruntime"
max_batch_size: 256
input [
{inputs}
]
output [
{outputs}
]
dynamic_batching {{ }}
"""
    return {f"triton/{name}/config.pbtxt": text.encode(), f"triton/{name}/1/model.onnx": model}
