"""Classes of the user's own, from the files that `--allow-code` names: imported when a model first needs one."""

import functools
import sys
import traceback
from collections.abc import Iterable
from importlib.abc import SourceLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import keras

from dltool.errors import ConfigError, ConfigPath, Position, Problem, UnreadableConfig
from dltool.keras_names import ALLOWED, KINDS, AllowedCode, KerasName

BASES = {"layer": keras.layers.Layer, "loss": keras.losses.Loss, "metric": keras.metrics.Metric}


def allowed_class(found: KerasName, place: ConfigPath) -> Any:
    """The class of a name whose `code` is the user's.

    Raises:
        UnreadableConfig: the file fails when it is imported, at the line where it does.
        ConfigError: at `place`, the file does not make such a class after all.
    """
    assert found.code is not None
    made = vars(imported(found.code)).get(found.name)
    if not (isinstance(made, type) and issubclass(made, BASES[found.kind])):
        raise ConfigError(
            Problem(place, f"{found.name} of {found.code.shown_as} is not {KINDS[found.kind]} of Keras's")
        )
    return made


class AsRead(SourceLoader):
    """Loads the text that was read and whose checksum is known, whatever is in the file by now."""

    def __init__(self, code: AllowedCode) -> None:
        self.code = code

    def get_filename(self, fullname: str) -> str:
        return self.code.shown_as

    def get_data(self, path: Any) -> bytes:
        return self.code.source


@functools.cache
def imported(code: AllowedCode) -> ModuleType:
    """The file as a module, under a name that no other module has.

    Raises:
        UnreadableConfig: it fails, at the line where it does.
    """
    loader = AsRead(code)
    spec = spec_from_loader(f"{Path(code.shown_as).stem}_{code.sha256[:12]}", loader)
    assert spec is not None
    module = module_from_spec(spec)
    # Where dataclasses and the like look for it.
    sys.modules[spec.name] = module
    try:
        loader.exec_module(module)
    # It is the user's program, and may fail in any way.
    except (Exception, SystemExit) as error:
        del sys.modules[spec.name]
        position = Position(code.shown_as, own_line(error, code) or 1, 1)
        texts = {code.shown_as: code.source.decode("utf-8", "replace")}
        raise UnreadableConfig([Problem(position, f"fails when it is imported: {one_line(error)}")], texts) from error
    return module


def check_saved(layer: Any, given: Iterable[str], place: ConfigPath) -> None:
    """Whether `model.keras` can hold a layer of the user's own, made with the arguments `given`, and be loaded again.

    Raises:
        ConfigError: it cannot; better now than at the end of a training.
    """
    name = type(layer).__name__
    hint = "write get_config: super().get_config() with every argument of __init__ added"
    try:
        config = keras.saving.serialize_keras_object(layer)
        again = keras.saving.deserialize_keras_object(config, custom_objects={name: type(layer)})
        missing = set(given) - set(again.get_config())
    # So may its get_config.
    except (Exception, SystemExit) as error:
        message = f"{name} cannot be saved in a model and loaded again: {one_line(error)}{where_in_own_code(error)}"
        raise ConfigError(Problem(place, message, hint)) from error
    if missing:
        message = f"a saved model would lose {' and '.join(sorted(missing))} of {name}: its get_config leaves it out"
        raise ConfigError(Problem(place, message, hint))


def own_line(error: BaseException, code: AllowedCode) -> int | None:
    """The line of the file at which it failed, the innermost one."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == code.shown_as]
    return lines[-1] if lines else None


def one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def where_in_own_code(error: BaseException) -> str:
    """ " (layers.py:12)" where the failure came from a file that is allowed, for the end of a message; else nothing."""
    for code in ALLOWED:
        line = own_line(error, code)
        if line is not None:
            return f" ({code.shown_as}:{line})"
    return ""
