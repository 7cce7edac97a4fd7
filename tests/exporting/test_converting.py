"""What exports are made of: names, preprocessing and operations in ONNX, each against another computation."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dltool.exporting.preprocess import preprocessed, words
from dltool.exporting.safe_names import safe_names

TEXTS = [
    "",
    "  ",
    "It's GOOD, isn't it?",
    "É à\u00a0la\u2003carte\u0085x\ty",
    "İstanbul ß ẞ",
    "a-b_c…d 漢字 😀 a a good",
]


def test_names_are_those_that_tensorflow_takes() -> None:
    found = safe_names(["class", "pm2.5", "pm2_5", "Is", "", "1st", "größe", "self"], ["self"])
    assert list(found.values()) == ["class_", "pm2_5", "pm2_5_", "is_", "column_", "column_1st", "gr__e", "self_"]


@pytest.mark.parametrize(
    "options",
    [
        {"output_mode": "int", "output_sequence_length": 6},
        {"output_mode": "int", "output_sequence_length": 9, "ngrams": 2},
        {"output_mode": "tf_idf"},
        {"output_mode": "count", "split": "character", "standardize": "lower"},
        {"output_mode": "multi_hot", "standardize": "strip_punctuation", "max_tokens": 40, "pad_to_max_tokens": True},
        {"output_mode": "int"},
    ],
)
def test_the_program_splits_texts_byte_for_byte_as_keras_does(options) -> None:
    import keras

    from dltool.exporting.exportable import text_state

    layer = keras.layers.TextVectorization(**options)
    layer.adapt(np.array(TEXTS, object))
    raw = keras.Input((), dtype="string")
    built: Any = SimpleNamespace(preprocessors={"text": keras.Model(raw, layer(raw))})
    state = {"kind": "text", **text_state(built, "text")}
    new = [*TEXTS, "good unknown words 漢字"]
    expected = np.asarray(layer(keras.ops.convert_to_tensor(np.array(new, object), "string")))
    np.testing.assert_allclose(np.array(preprocessed(state, new), float), expected, rtol=1e-6)


def test_the_state_of_every_input_is_written_whatever_its_name(tmp_path) -> None:
    from dltool.exporting.export_folder import write_programs

    states = {name: {"kind": "category", "indices": {"a": 1}, "unknown": 0} for name in ("table", "kind", "values")}
    write_programs(tmp_path, "litert", states)
    assert json.loads((tmp_path / "preprocess.json").read_text("utf-8")) == states


def test_words_of_a_text_are_not_those_of_python() -> None:
    state = {"standardize": "lower_and_strip_punctuation", "split": "whitespace", "ngrams": None}
    assert words(state, "É\u00a0X don't") == ["É\u00a0x".encode(), b"dont"]


def test_operations_that_tf2onnx_lacks_or_gets_wrong_are_exact() -> None:
    pytest.importorskip("tf2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    import keras

    from dltool.exporting.exportable import Exportable, ExportInput
    from dltool.exporting.onnx_file import converted

    whole = keras.Input((4,), dtype="int64", name="whole")
    number = keras.Input((16,), name="number")
    image = keras.Input((2, 2, 3), name="image")
    exact = keras.ops.cast(number, "float64")
    real, imaginary = keras.ops.stft(number, 8, 4, 8, window=None, center=False)
    outputs = {
        "quotient": whole // 7,
        "rest": whole % 7,
        "negative": whole // -7,
        "gelu": keras.ops.gelu(number, approximate=False),
        "log": keras.ops.log1p(keras.ops.abs(exact)),
        "less": keras.ops.expm1(number),
        "bins": keras.layers.Discretization(bin_boundaries=[-0.5, 0.0, 0.5])(number),
        "floor": keras.ops.floor_divide(number, 0.3),
        "real": real,
        "imaginary": imaginary,
        # It draws seeds for predictions too, which no file can.
        "pale": keras.layers.RandomColorDegeneration(0.5)(image),
    }
    model = keras.Model({"whole": whole, "number": number, "image": image}, outputs)
    inputs = tuple(ExportInput(each.name, each.name, each) for each in (whole, number, image))
    found = converted(Exportable(model, inputs, {name: name for name in outputs}))
    session = onnxruntime.InferenceSession(found.SerializeToString())
    random = np.random.default_rng(0)
    a, x = random.integers(-100, 100, (33, 4)), random.normal(size=(33, 16)).astype(np.float32)
    pixels = random.uniform(0, 255, (33, 2, 2, 3)).astype(np.float32)
    given = {"whole": a, "number": x, "image": pixels}
    result = dict(zip(outputs, session.run(list(outputs), given), strict=True))
    np.testing.assert_array_equal(result["pale"], pixels)
    np.testing.assert_array_equal(result["quotient"], a // 7)
    np.testing.assert_array_equal(result["rest"], a % 7)
    np.testing.assert_array_equal(result["negative"], a // -7)
    np.testing.assert_allclose(result["log"], np.log1p(np.abs(x.astype(float))), rtol=1e-12)
    np.testing.assert_allclose(result["less"], np.expm1(x), atol=1e-6)
    np.testing.assert_array_equal(result["bins"], np.digitize(x, [-0.5, 0, 0.5]))
    np.testing.assert_array_equal(result["floor"], np.floor(x / np.float32(0.3)))
    frames = np.fft.rfft(np.stack([x[:, first : first + 8] for first in (0, 4, 8)], axis=1))
    np.testing.assert_allclose(result["real"], frames.real, atol=1e-5)
    np.testing.assert_allclose(result["imaginary"], frames.imag, atol=1e-5)
    np.testing.assert_allclose(result["gelu"], np.asarray(model(given)["gelu"]), atol=1e-6)


def test_columns_that_differ_in_case_alone_keep_their_names_in_onnx(tmp_path) -> None:
    pytest.importorskip("tf2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    import keras

    from dltool.exporting.exportable import Exportable, ExportInput
    from dltool.exporting.onnx_file import write_onnx

    columns = ["A", "a", "a_", "result_0"]
    tensors = {column: keras.Input((), name=name) for column, name in safe_names(columns).items()}
    inputs = tuple(ExportInput(tensor.name, column, tensor) for column, tensor in tensors.items())
    sums = sum(tensor * 10**power for power, tensor in enumerate(tensors.values()))
    model = keras.Model({each.name: each.tensor for each in inputs}, {"output": sums})
    write_onnx(Exportable(model, inputs, {"output": "output"}), tmp_path / "model.onnx", {})
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert [each.name for each in session.get_inputs()] == columns
    given = {column: np.array([digit], np.float32) for digit, column in enumerate(columns, 1)}
    assert session.run(["output"], given)[0].tolist() == [4321.0]
