"""The user's own classes and functions, from the files of `--allow-code`, imported when a model first needs one."""

import functools
import sys
import traceback
from collections.abc import Callable, Iterable
from importlib.abc import SourceLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import keras

from dltool.errors import ConfigError, ConfigPath, Position, Problem, UnreadableConfig
from dltool.keras_names import ALLOWED, KINDS, AllowedCode, KerasName

GET_CONFIG = "write get_config: super().get_config() with every argument of __init__ added"
BASES = {"layer": keras.layers.Layer, "loss": keras.losses.Loss, "metric": keras.metrics.Metric}


class FunctionMetric(keras.metrics.MeanMetricWrapper):  # type: ignore[misc]
    """The mean over examples of a function of targets and outputs, given both as a loss is.

    A function that returns one number for a batch counts once for each of its examples."""

    def __init__(self, function: Callable[[Any, Any], Any], name: str) -> None:
        def of_equal_rank(y_true: Any, y_pred: Any) -> Any:
            y_true, y_pred = keras.ops.cast(y_true, "float32"), keras.ops.cast(y_pred, "float32")
            is_column = len(y_true.shape) + 1 == len(y_pred.shape) and y_pred.shape[-1] == 1
            # Without the axis, targets (batch,) and outputs (batch, 1) would be paired each with each.
            return function(keras.ops.expand_dims(y_true, -1) if is_column else y_true, y_pred)

        super().__init__(of_equal_rank, name)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        values = self._fn(y_true, y_pred)
        if len(values.shape):
            # By Keras's rules for weights and masks. TensorFlow computes the function once.
            return super().update_state(y_true, y_pred, sample_weight)
        return keras.metrics.Mean.update_state(self, values, keras.ops.shape(y_pred)[0])


def allowed_object(found: KerasName, place: ConfigPath) -> Any:
    """Return the class of a name that the user's `code` defines; a function as a loss or a metric.

    Raises UnreadableConfig: importing the file fails; ConfigError: at `place`, it does not define it."""
    assert found.code is not None
    made = vars(imported(found.code)).get(found.name)
    if found.is_string and callable(made):
        return FunctionMetric(made, found.name) if found.kind == "metric" else made
    if not (isinstance(made, type) and issubclass(made, BASES[found.kind])):
        message = f"{found.name} of {found.code.shown_as} is not {KINDS[found.kind]} of Keras's"
        raise ConfigError(Problem(place, message))
    return made


class AsRead(SourceLoader):
    """Loads the source that was read and whose checksum is known, even if the file has changed since."""

    def __init__(self, code: AllowedCode) -> None:
        self.code = code

    def get_filename(self, fullname: str) -> str:
        return self.code.shown_as

    def get_data(self, path: Any) -> bytes:
        return self.code.source


@functools.cache
def imported(code: AllowedCode) -> ModuleType:
    """Import the file under a unique module name. Raises UnreadableConfig: it fails; names the line."""
    loader = AsRead(code)
    spec = spec_from_loader(f"{Path(code.shown_as).stem}_{code.sha256[:12]}", loader)
    assert spec is not None
    module = module_from_spec(spec)
    # dataclasses and the like look it up there.
    sys.modules[spec.name] = module
    try:
        loader.exec_module(module)
    # The user's program may fail in any way.
    except (Exception, SystemExit) as error:
        del sys.modules[spec.name]
        position = Position(code.shown_as, own_line(error, code) or 1, 1)
        texts = {code.shown_as: code.source.decode("utf-8", "replace")}
        raise UnreadableConfig([Problem(position, f"fails when it is imported: {one_line(error)}")], texts) from error
    return module


def check_saved(layer: Any, given: Iterable[str], place: ConfigPath) -> None:
    """Check that `model.keras` can hold a user's layer made with the arguments `given`, and be loaded again.

    Raises ConfigError: it cannot; better now than at the end of a run."""
    name = type(layer).__name__
    try:
        config = keras.saving.serialize_keras_object(layer)
        again = keras.saving.deserialize_keras_object(config, custom_objects=own_objects())
        before, after = config["config"], keras.saving.serialize_keras_object(again)["config"]
    # The user's get_config may fail in any way.
    except (Exception, SystemExit) as error:
        message = f"{name} cannot be saved in a model and loaded again: {one_line(error)}{where_in_own_code(error)}"
        raise ConfigError(Problem(place, message, GET_CONFIG)) from error
    if missing := set(given) - set(after):
        message = f"a saved model would lose {' and '.join(sorted(missing))} of {name}: its get_config leaves it out"
        raise ConfigError(Problem(place, message, GET_CONFIG))
    if changed := [key for key in given if before.get(key) != after[key]]:
        message = f"a saved model would change {' and '.join(changed)} of {name}"
        raise ConfigError(Problem(place, message, "get_config returns each argument as __init__ takes it"))


def own_objects() -> dict[str, Any]:
    """Return the classes and functions that the allowed files define, as Keras's `custom_objects`."""
    modules = [imported(code) for code in ALLOWED]
    found = ((name, value, module) for module in modules for name, value in vars(module).items())
    return {name: value for name, value, module in found if getattr(value, "__module__", None) == module.__name__}


def own_line(error: BaseException, code: AllowedCode) -> int | None:
    """Return the innermost line of the file at which it failed."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == code.shown_as]
    return lines[-1] if lines else None


def one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def where_in_own_code(error: BaseException) -> str:
    """Return " (layers.py:12)" for the end of a message if an allowed file failed, else an empty string."""
    for code in ALLOWED:
        line = own_line(error, code)
        if line is not None:
            return f" ({code.shown_as}:{line})"
    return ""
