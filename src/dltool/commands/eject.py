"""`dltool eject RUN`: a plain Keras script that repeats a run without dltool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.config.schema import Config
from dltool.config.sources import FOLDER_SOURCES
from dltool.durable_files import disk_errors, replace_folder
from dltool.ejecting.decisions import refuse_unfaithful
from dltool.errors import ConfigError, RunError
from dltool.experiment.opening import recorded_data, recorded_kind, recorded_model
from dltool.experiment.refusals import require_code
from dltool.imports import import_keras
from dltool.runs.directory import open_run
from dltool.runs.files import Run
from dltool.runs.recorded import refuse_missing_data
from dltool.runs.records import read_record
from dltool.text import counted

if TYPE_CHECKING:
    from dltool.data.examples import Examples
    from dltool.data.files.class_folders import PartName
    from dltool.experiment.listener import Progress

CHECKED_EPOCHS = 2
UNCHECKED = "It has not been checked that this script gives the same losses."


@dataclass(frozen=True)
class EjectionOutcome:
    """The folder with the script and its `files`. `checked` says how its losses compare with those of the run."""

    run: Path
    out: Path
    files: tuple[str, ...]
    checked: str
    difference_of_losses: float | None

    def record(self) -> dict[str, Any]:
        found = {"run": str(self.run), "out": str(self.out), "files": list(self.files)}
        return {**found, "loss_difference": self.difference_of_losses, "checked": self.checked}


def eject(path: Path, out: Path, has_check: bool, settings: Sequence[str], progress: "Progress") -> EjectionOutcome:
    """Write the run at `path` as a plain Keras script into the new folder `out`.

    Unless `has_check` is false, the script is first run for two epochs, whose losses must be those of the run.
    `settings` are `--set` arguments with locations of the data.

    Raises ConfigError: the run has something that no script could do faithfully, or `out` exists; DataError: the data
    is missing; RunError: the run is damaged; ExpectationMissed: the script disagrees with the run. Nothing is written
    then."""
    run = open_run(path)
    require_code(run, f"eject {run.path} --out {out}")
    if out.exists():
        raise ConfigError(f"--out {out} exists already", "name a new folder")
    record = read_record(run)
    config, facts = recorded_kind(run, settings)
    refuse_unfaithful(run, record, config)
    refuse_missing_data(config)
    parts = listed_parts(run, config, settings, progress)
    if record.strategy is None:
        raise RunError(f"{run.record}: the strategy of the steps is missing", "train a new run")
    progress.stage("importing TensorFlow")
    import_keras()
    from dltool.ejecting.ejected_run import EjectedRun
    from dltool.ejecting.script import example_targets, files_of, shortened_run
    from dltool.ejecting.trial import limit_of, tried, words
    from dltool.training.compile import compile_core

    progress.stage("writing the script")
    built, _ = recorded_model(run, config, facts, is_pretrained=config.model.start is not None)
    compile_core(built, config, example_targets(built, facts))
    ejected = EjectedRun(run, record, config, facts, built, parts)
    files, trial = files_of(ejected, UNCHECKED), None
    if has_check:
        lines = run.read_metrics()[:CHECKED_EPOCHS]
        if not lines:
            raise RunError(f"{run.path} has no epoch to compare with", "--no-check writes the script")
        progress.stage(f"running the script for {counted(len(lines), 'epoch')}")
        trial = tried(files_of(shortened_run(ejected, len(lines)), ""), lines, limit_of(ejected))
        files = files_of(ejected, words(trial))
    with disk_errors(out, "make"):
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
    replace_folder(out, files, out.parent)
    checked = UNCHECKED if trial is None else words(trial)
    return EjectionOutcome(run.path, out, tuple(files), checked, None if trial is None else trial.loss)


def listed_parts(
    run: Run, config: Config, settings: Sequence[str], progress: "Progress"
) -> Mapping["PartName", "Examples"]:
    """Return the splits of the source, in the order of their rows, of data whose files or windows a script lists; else
    nothing. Raises DataError: the data cannot be read, or has changed."""
    if config.data.windows is None and config.data.source.name not in FOLDER_SOURCES:
        return {}
    from dltool.data.dataset import load_sources

    progress.stage("reading the data")
    source = load_sources(config.data)
    _, dataset = recorded_data(run, settings=settings, read=lambda _: source)
    # A split that the config replaces is left out.
    names = {name for _, name in dataset.starts}
    return {name: part for name, part in source.parts.items() if part.name in names}
