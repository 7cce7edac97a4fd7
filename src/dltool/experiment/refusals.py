"""Checks of a run directory's trust: other code, files outside it, and exchanged files."""

import os
from collections.abc import Collection, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.config.keras.objects import keras_objects_in
from dltool.config.schema import Config
from dltool.config.text.tree import format_path
from dltool.errors import ConfigError, ConfigPath, Problem, RunError
from dltool.keras_names import ALLOWED, options_for
from dltool.runs.files import Run, digest
from dltool.runs.recorded import MOST_SHOWN, differences
from dltool.runs.records import RecordedFile, RunRecord, in_sentence, read_record

if TYPE_CHECKING:
    from dltool.model.build import BuiltModel

MOST_SHOWN_CHARACTERS = 200
PARTS = ("preprocessing", "augmentation", "model", "training")
RESUMED_PARTS = ("augmentation", "model", "training")
"""Preprocessing is not among them: the run holds its fitted state."""
WRITING_CALLBACKS = ("CSVLogger", "RemoteMonitor", "TensorBoard")


def require_code(run: Run, command: str) -> None:
    """Require that `--allow-code` names the files the run was trained with. `command` is for the hint.

    A run holds no code, since it is not trusted.

    Raises ConfigError: a file is missing or differs; RunError: run.json does not name the files."""
    recorded = read_record(run).code
    if not all(code.file and code.sha256 for code in recorded):
        raise RunError(f"{run.record}: code is not a list of files")
    inside = [code.shown_as for code in ALLOWED if Path(code.shown_as).resolve().is_relative_to(run.path.resolve())]
    if inside:
        message = f"--allow-code {inside[0]}: the file is in the run directory, whose code is never run"
        raise ConfigError(message, "name the file that the run was trained with")
    wanted = {str(code.sha256): str(code.file)[:MOST_SHOWN_CHARACTERS] for code in islice(recorded, MOST_SHOWN)}
    given = {code.sha256: code.shown_as for code in ALLOWED}
    missing = [file for digest, file in wanted.items() if digest not in given]
    others = [file for digest, file in given.items() if digest not in wanted]
    again = f"dltool {command}{options_for(wanted.values())}"
    if others:
        what = f"the run was trained with another {missing[0]}" if missing else "the run was trained without it"
        hint = "restore that file, or train a new run" if missing else again
        raise ConfigError(f"--allow-code {others[0]}: {what}", hint)
    if missing:
        raise ConfigError(f"{run.path} needs code that is not in the run: {', '.join(missing)}", again)


def refuse(messages: Iterable[str], hint: str) -> None:
    """Raise RunError with the first `messages`, if there are any."""
    RunError.refuse(Problem(None, message, hint) for message in islice(messages, MOST_SHOWN))


def refuse_other_preprocessing(run: Run, record: RunRecord, largest_file: int) -> None:
    """Raise RunError if a file of fitted preprocessing is missing, new or changed since the run was made."""
    files = [Path(folder) / name for folder, _, names in os.walk(run.preprocessing) for name in names]
    now = {file.relative_to(run.preprocessing).as_posix(): digest(run.read(file, largest_file)) for file in files}
    changed = (f"{run.preprocessing}/{change.name}" for change in differences(record.preprocessing, now))
    hint = "restore the old file, or train a new run"
    refuse((f"{file} differs from the fitted preprocessing of the run" for file in changed), hint)


def weight_files(built: "BuiltModel") -> dict[str, dict[str, str]]:
    """Return the files of backbones' weights by config path."""
    return {
        format_path(layer.path): {"file": str(layer.weights.path), "sha256": layer.weights.sha256}
        for layer in built.layers
        if layer.weights is not None
    }


def refuse_other_weights(record: RunRecord, built: "BuiltModel") -> None:
    """Raise RunError if a file of weights is not the one that `record`, the run's run.json, names."""
    changed = []
    for place, now in weight_files(built).items():
        was = record.weights.get(place, RecordedFile()).sha256
        if was != now["sha256"]:
            changed.append(f"{now['file']} has changed since the run was made: its sha256 was {in_sentence(was)}")
    refuse(changed, "restore the old file, or train a new run")


def places_outside(config: Config, parts: Collection[str]) -> list[ConfigPath]:
    """Return the config paths in `parts`, some of PARTS, that name files or hosts outside the run."""
    sections: dict[str, tuple[Any, ConfigPath]] = {
        "preprocessing": (config.data.preprocessing, ("data", "preprocessing")),
        "augmentation": (config.data.augmentation, ("data", "augmentation")),
        "model": (config.model.layers, ("model", "layers")),
        "training": (config.training.callbacks, ("training", "callbacks")),
    }
    found: list[ConfigPath] = []
    for place, entry in (each for part in parts for each in keras_objects_in(*sections[part])):
        if entry.kind == "callback" and entry.name in WRITING_CALLBACKS:
            found.append(place)
        if isinstance(entry.arguments.get("vocabulary"), str):
            found.append((*place, "vocabulary"))
    return found


def refuse_files(run: Run, config: Config, parts: Collection[str] = PARTS) -> None:
    """Raise RunError if `parts` of a run's config name files or hosts that Keras would use: the config is not trusted.
    dltool itself checks the data's paths. See :func:`places_outside`."""
    found = map(format_path, places_outside(config, parts))
    hint = "a run may use no files but its own: train a new run from your own config"
    refuse((f"{run.resolved}: {place} names something outside the run" for place in found), hint)
