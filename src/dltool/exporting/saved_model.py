"""A model as a SavedModel in the layout of TensorFlow Serving: raw columns in, strings too, named outputs out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from dltool.evaluation.predictor import Predictor
from dltool.evaluation.tasks import evaluators
from dltool.evaluation.tasks.classes import ClassEvaluator
from dltool.exporting.exportable import Exportable

DEFAULT, CLASSIFY = "serving_default", "classify"


def write_saved_model(given: Exportable, path: Path, predictor: Predictor) -> None:
    """Write the folder `path`/1 with the endpoint "serving_default", and "classify", which names the class of each
    example, if each output is a class."""
    archive = keras.export.ExportArchive()
    archive.track(given.model)
    specs = {
        each.name: tf.TensorSpec((None, *each.tensor.shape[1:]), each.tensor.dtype, each.name) for each in given.inputs
    }
    endpoints: dict[str, Callable[..., Any]] = {DEFAULT: lambda **inputs: given(inputs)}
    outputs = evaluators(predictor.config, predictor.facts)
    if all(isinstance(each, ClassEvaluator) and not each.unclear for each in outputs):
        endpoints[CLASSIFY] = lambda **inputs: classified(given, outputs, given(inputs))
    with tf.device("/CPU:0"):
        for name, call in endpoints.items():
            function = tf.function(call, autograph=False)
            function.get_concrete_function(**specs)
            archive.add_endpoint(name, function)
        archive.write_out(str(path / "1"), verbose=False)


def classified(given: Exportable, outputs: Any, found: Any) -> dict[str, Any]:
    """Return the name of the class and the probabilities of all classes, (batch,) and (batch, classes), of each output,
    as `dltool predict` decides."""
    result = {}
    for each in outputs:
        values = found[given.outputs[each.head.name]]
        is_logit = each.head.loss.arguments.get("from_logits") is True
        if values.shape[-1] == 1:
            second = tf.sigmoid(values) if is_logit else values
            shares = tf.concat([1 - second, second], axis=-1)
        else:
            shares = tf.nn.softmax(values) if is_logit else values
        thresholds = each.head.thresholds(each.target.class_names)
        chosen = tf.argmax(shares, -1) if thresholds is None else tf.cast(shares[:, 1] > thresholds[0], tf.int64)
        prefix = f"{given.outputs[each.head.name]}_" if len(outputs) > 1 else ""
        result[f"{prefix}class"] = tf.gather(tf.constant(list(each.target.class_names)), chosen)
        result[f"{prefix}probabilities"] = shares
    return result
