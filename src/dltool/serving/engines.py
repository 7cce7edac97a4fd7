"""What computes: a model from its raw inputs to its outputs as one function, so that a single row costs little."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dltool.data.arrays.rows import Rows
from dltool.serving.limits import Refused

if TYPE_CHECKING:
    from dltool.evaluation.predictor import Predictor

Engine = Callable[[Mapping[str, Rows]], dict[str, np.ndarray]]
"""Outputs by name, (rows, …), for raw inputs. Raises Refused: a value that the model does not take."""


def compiled(predictor: "Predictor") -> Engine:
    """Return the whole model as one TensorFlow function for any number of rows. Its outputs are those of `predictor`
    but for the last bits, in a seventh of the processor time for one row (Titanic's 13 columns: 1.1 against 7.9 ms)."""
    import tensorflow as tf

    built = predictor.built
    if any(head.target is None for head in built.heads):
        # The error of a reconstruction is no output of the model.
        return predictor
    names = [head.name for head in built.heads]
    specs = {each.name: tf.TensorSpec((None, *each.shape), each.dtype) for each in predictor.inputs}

    @tf.function(input_signature=[specs], autograph=False)  # type: ignore[untyped-decorator]  # ships no types
    def whole(inputs: Mapping[str, Any]) -> dict[str, Any]:
        given = inputs if predictor.facts.only_input is None else next(iter(inputs.values()))
        found = built.full(given, training=False)
        found = found if isinstance(found, dict) else {names[0]: found}
        return {
            name: tf.cast(found[name], "float64" if found[name].dtype == "float64" else "float32") for name in names
        }

    def outputs(inputs: Mapping[str, Rows]) -> dict[str, np.ndarray]:
        try:
            found = whole({name: tf.constant(np.asarray(rows[:])) for name, rows in inputs.items()})
        except tf.errors.InvalidArgumentError as error:
            # Keras's own layers check some of their values, such as categories, as they compute.
            reason = str(error.message).partition("[[")[0].strip().splitlines()[-1]
            raise Refused(422, f"the model does not take one of the values: {reason}") from None
        return {name: each.numpy() for name, each in found.items()}

    return outputs
