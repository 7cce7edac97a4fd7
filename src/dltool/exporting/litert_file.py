"""A model as a LiteRT file (TensorFlow Lite) of builtin operations alone."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError

from dltool.errors import ExpectationMissed
from dltool.exporting.exportable import Exportable

SIGNATURE = "serving_default"


def write_litert(
    given: Exportable, path: Path, precision: str, batch: int | None, calibration: Mapping[str, np.ndarray]
) -> None:
    """Write the file. `calibration` are rows of the inputs as the model takes them, from which ranges for int8 follow.

    Raises ExpectationMissed: an operation has no form in LiteRT."""

    def rows() -> Iterator[dict[str, Any]]:
        for row in range(len(next(iter(calibration.values())))):
            chosen = [row] * (batch or 1)
            yield {name: values[chosen] for name, values in calibration.items()}

    with tempfile.TemporaryDirectory(prefix="dltool-") as folder, tf.device("/CPU:0"):
        archive = keras.export.ExportArchive()
        archive.track(given.model)
        specs = {
            each.name: tf.TensorSpec((batch, *each.tensor.shape[1:]), each.tensor.dtype, each.name)
            for each in given.inputs
        }
        function = tf.function(lambda **inputs: given(inputs), autograph=False)
        function.get_concrete_function(**specs)
        archive.add_endpoint(SIGNATURE, function)
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            converter.representative_dataset = rows
        try:
            content = converter.convert()
        except (ConverterError, RuntimeError, ValueError) as error:
            raise ExpectationMissed(f"litert: TensorFlow cannot convert the model: {reason(error)}") from None
    path.write_bytes(content)
    if precision == "int8" and not computes_with_bytes(content):
        raise ExpectationMissed("litert: none of the operations computes with int8", "use --precision dynamic_int8")


def reason(error: Exception) -> str:
    """Return the line of the converter's message that names operations."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if line.startswith(("TF Select ops:", "Select TF ops:", "Custom ops:"))]
    return (named or lines or ["it gives no reason"])[0][:200]


def computes_with_bytes(content: bytes) -> bool:
    """Return whether values between operations are int8, not only weights."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    kinds = {each["index"]: each["dtype"] for each in interpreter.get_tensor_details()}
    outputs = [index for each in interpreter._get_ops_details() for index in each["outputs"]]
    return any(kinds[int(index)] == np.int8 for index in outputs)
