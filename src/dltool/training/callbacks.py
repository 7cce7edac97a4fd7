"""Keras callbacks and their saved state."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import keras
import numpy as np

from dltool.config.schema import Config
from dltool.errors import ConfigError, MachineError, Problem, RunError
from dltool.installation import install_extra
from dltool.model.build import BuiltModel
from dltool.model.keras_objects import make
from dltool.training.checkpointing import direction

PLAIN = (bool, int, float, type(None))
"""Strings are not saved: they come from the config, and some from the environment."""


def make_callbacks(config: Config, built: BuiltModel) -> list[keras.callbacks.Callback]:
    """Create the callbacks of the config, but SwapEMAWeights: averaged weights are always validated, kept and saved."""
    callbacks = []
    for index, entry in enumerate(config.training.callbacks):
        place = ("training", "callbacks", index)
        if entry.name == "TensorBoard" and find_spec("tensorboard") is None:
            raise MachineError(Problem(place, "TensorBoard is not installed", install_extra("tensorboard")))
        callback = make(entry, place)
        if isinstance(callback, keras.callbacks.SwapEMAWeights):
            if not any(part.optimizer.arguments.get("use_ema") for part in config.training.parts):
                message, hint = "SwapEMAWeights needs an optimizer that averages", "use_ema: true in the optimizer"
                raise ConfigError(Problem(place, message, hint))
            continue
        if getattr(callback, "mode", None) == "auto" and isinstance(getattr(callback, "monitor", None), str):
            way = direction(built, callback.monitor, place)
            if len(built.heads) > 1:
                # Keras does not find an output's metrics by their logged names.
                callback.mode = way
        callbacks.append(callback)
    return callbacks


def callback_state(callback: Any) -> tuple[dict[str, Any], dict[str, list[np.ndarray]]]:
    """Return the state of a callback: plain values by attribute, and lists of arrays by attribute."""
    plain: dict[str, Any] = {}
    arrays: dict[str, list[np.ndarray]] = {}
    for name, value in vars(callback).items():
        if isinstance(value, PLAIN):
            plain[name] = value
        elif isinstance(value, np.generic):
            plain[name] = value.item()
        elif isinstance(value, list | tuple) and value and all(isinstance(item, np.ndarray) for item in value):
            arrays[name] = [np.array(item) for item in value]
    # A function: only whether it has been set matters.
    plain["monitor_op"] = getattr(callback, "monitor_op", None) is not None
    return plain, arrays


def restore_callback(callback: Any, plain: Mapping[str, Any], arrays: Mapping[str, list[np.ndarray]]) -> None:
    """Restore the state of a callback into a new one, after `on_train_begin`.

    Raises RunError: the state is not of such a callback. No other attribute is set from a checkpoint."""
    if plain["monitor_op"] and hasattr(callback, "_set_monitor_op"):
        # First, because it flips the sign of min_delta, which the saved value has already.
        callback._set_monitor_op()
    fresh = vars(callback)
    values = {name: value for name, value in plain.items() if name != "monitor_op"}
    foreign = [name for name, value in values.items() if name not in fresh or not is_alike(fresh[name], value)]
    weights = [weight.shape for weight in callback.model.weights] if arrays else []
    for name, kept in arrays.items():
        # The only arrays of a callback are the model's weights.
        if name not in fresh or fresh[name] is not None or [array.shape for array in kept] != weights:
            foreign.append(name)
    if foreign:
        kind = type(callback).__name__
        raise RunError(f"the saved state of {kind} does not fit: {', '.join(sorted(foreign))[:200]}")
    for name, value in values.items():
        setattr(callback, name, value)
    for name, kept in arrays.items():
        setattr(callback, name, [np.array(array) for array in kept])


def is_alike(fresh: Any, saved: Any) -> bool:
    """Return whether an attribute, `fresh` in a new callback, may become `saved`. Older checkpoints have strings."""
    if isinstance(fresh, bool) or isinstance(saved, bool):
        return isinstance(fresh, bool) and isinstance(saved, bool)
    if isinstance(fresh, str) or isinstance(saved, str):
        return bool(fresh == saved)
    # A best value is None before the first epoch.
    return fresh is None or (saved is not None and isinstance(fresh, int | float | np.generic))
