"""Create Keras objects from each :class:`KerasObject` of the config, within a budget of parameters."""

import contextlib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from dltool.config.keras.objects import KerasObject
from dltool.errors import ConfigError, ConfigPath, MachineError, Problem
from dltool.keras_names import OWN, find
from dltool.model import own_losses
from dltool.model.user_code import allowed_object, check_saved, where_in_own_code

MODULES: Mapping[str, Any] = {
    "layer": keras.layers,
    "optimizer": keras.optimizers,
    "schedule": keras.optimizers.schedules,
    "loss": keras.losses,
    "metric": keras.metrics,
    "callback": keras.callbacks,
    "initializer": keras.initializers,
    "regularizer": keras.regularizers,
    "constraint": keras.constraints,
    "activation": keras.activations,
    "backbone": keras.applications,
}

KERAS_ERRORS = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, RuntimeError),
    tf.errors.OpError,
    # Only from the user's own classes.
    *(NameError, ImportError),
)
"""The exceptions Keras raises for bad arguments and shapes. Out-of-memory errors are handled before them."""

CLUTTER = (
    (r"\x1b\[[0-9;]*m", ""),
    (r"^Graph execution error:.*?\n\n(?=[^\n]*\n\s*\[\[\{\{node)", ""),
    (r"(\n\s*Arguments received by|\n\s*Detected at node|\n\s*\[\[\{\{node|\s\[Op:).*", ""),
    (r"Exception encountered when calling [^\n]*\n", ""),
    (r"Unable to automatically build the model\..*Exception encountered:\s*'?\s*", ""),
    (r"Could not automatically infer .*Error encountered:\s*", ""),
    (r"<class '[\w.]*\.(\w+)'> could not be deserialized properly\..*", r"it cannot take \1"),
    (r"\{\{[^}]*\}\}\s*", ""),
    (r"\(None, ", "("),
    (r"\(None,\)", "()"),
)
"""Patterns in messages of Keras and TensorFlow, and what stands for them in a message of dltool's."""

BUDGET = 10**9
"""Parameters of a model, counted before memory is allocated."""

OUT_OF_MEMORY = (tf.errors.ResourceExhaustedError, MemoryError)


def make(keras_object: Any, place: ConfigPath = (), **more: Any) -> Any:
    """Create the Keras object that `keras_object` describes, nested ones first; Keras's identifiers stay strings.

    Lists and mappings are walked; other values stay. `place` is the config path, `more` are arguments not in the
    config. Raises ConfigError: Keras refuses the arguments."""
    if isinstance(keras_object, list | tuple):
        return type(keras_object)(make(item, (*place, index)) for index, item in enumerate(keras_object))
    if isinstance(keras_object, Mapping):
        return {key: make(item, (*place, key)) for key, item in keras_object.items()}
    if not isinstance(keras_object, KerasObject):
        return keras_object
    known = find(keras_object.kind, keras_object.name)
    if keras_object.is_string:
        return allowed_object(known, place) if known and known.code else keras_object.name
    inside = (*place, keras_object.name)
    of_call = keras_object.call_arguments
    given = {name: value for name, value in keras_object.arguments.items() if name not in of_call}
    arguments = {name: make(value, (*inside, name)) for name, value in given.items()}
    factory = allowed_object(known, place) if known and known.code else keras_class(keras_object, place)
    try:
        made = factory(**{**more, **arguments})
    except OUT_OF_MEMORY as error:
        raise MachineError(Problem(place, f"out of memory while making {keras_object.name}")) from error
    except KERAS_ERRORS as error:
        raise ConfigError(Problem(place, f"{keras_object.name}: {plain_message(error)}")) from error
    if known and known.code and known.kind == "layer":
        check_saved(made, arguments, place)
    return made


def keras_class(keras_object: KerasObject, place: ConfigPath) -> Any:
    """Return the class of that name from the public Keras module of its kind, if the table allows it."""
    known = find(keras_object.kind, keras_object.name)
    is_own = keras_object.name in OWN.get(keras_object.kind, {})
    factory = getattr(own_losses if is_own else MODULES[keras_object.kind], keras_object.name, None) if known else None
    if known is None or known.refusal or not callable(factory):
        reason = known.refusal if known else f"is no {keras_object.kind}"
        raise ConfigError(Problem(place, f"{keras_object.name} {reason or 'cannot be made here'}"))
    return factory


def plain_message(error: BaseException) -> str:
    """Return Keras's message as one line: no colours, call stack or list of arguments, shapes without the batch axis. A
    message from the user's own code ends with the file and line."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    for pattern, replacement in CLUTTER:
        text = re.sub(pattern, replacement, text, flags=re.DOTALL)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = " ".join(lines).strip().rstrip(".") or type(error).__name__
    return (line if len(line) <= 300 else line[:297] + "...") + where_in_own_code(error)


class TooManyParametersError(RuntimeError):
    """Raised inside Keras instead of creating a variable."""


@contextlib.contextmanager
def parameter_budget(budget: int = BUDGET) -> Iterator[None]:
    """Limit the variables that layers create within the block to `budget` elements in total."""
    make_weight, used = keras.layers.Layer.add_weight, 0

    def add_weight(layer: Any, shape: Any = None, *args: Any, **kwargs: Any) -> Any:
        nonlocal used
        axes = () if shape is None else (shape,) if isinstance(shape, int) else shape
        used += math.prod(int(axis) for axis in axes if axis is not None)
        if used > budget:
            raise TooManyParametersError(f"{used:,} parameters by here, {budget:,} are allowed")
        return make_weight(layer, shape, *args, **kwargs)

    keras.layers.Layer.add_weight = add_weight
    try:
        yield
    finally:
        keras.layers.Layer.add_weight = make_weight
