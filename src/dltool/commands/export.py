"""`dltool export RUN [FORMAT…]`: files of the model for other programs, each verified before it is written."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.data.dataset import Dataset, SplitName
from dltool.durable_files import disk_errors, replace_folder
from dltool.errors import ConfigError, DataError, DltoolError, ExpectationMissed, MachineError, Problem
from dltool.experiment.opening import best_predictor, recorded_data, recorded_kind
from dltool.experiment.refusals import require_code
from dltool.experiment.stages import Stages
from dltool.exporting.export_options import ExportOptions
from dltool.exporting.foreseen import Forecast, chosen, forecasts
from dltool.runs.directory import open_run
from dltool.runs.files import Run
from dltool.runs.recorded import weights_digest
from dltool.runs.records import read_record

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress
    from dltool.exporting.export_folder import ExportSource

SPLITS: tuple[SplitName, ...] = ("test", "validation", "train")


@dataclass(frozen=True)
class ExportForecast:
    """What a run can become, without any file."""

    run: Path
    forecasts: tuple[Forecast, ...]

    def record(self) -> dict[str, Any]:
        formats = [
            {**asdict(each), "is_possible": not each.why, "missing_packages": each.missing_packages}
            for each in self.forecasts
        ]
        return {"run": str(self.run), "formats": formats}


@dataclass(frozen=True)
class ExportOutcome:
    """The folders of verified exports, and the records of their checks."""

    run: Path
    exports: Mapping[Path, Mapping[str, Any]]

    def record(self) -> dict[str, Any]:
        return {"run": str(self.run), "exports": {str(path): dict(found) for path, found in self.exports.items()}}


def foresee(path: Path, batch: int | None) -> ExportForecast:
    """Return what the run at `path` can become, without TensorFlow. Raises RunError."""
    run = open_run(path)
    require_code(run, f"export {run.path}")
    config, facts = recorded_kind(run)
    return ExportForecast(run.path, tuple(forecasts(config, facts, batch, bool(read_record(run).code))))


def export(
    path: Path,
    formats: Sequence[str],
    options: ExportOptions,
    out: Path | None = None,
    settings: Sequence[str] = (),
    *,
    progress: "Progress",
) -> ExportOutcome:
    """Export the best model of the run at `path` to these formats, below `out` or in the run.

    `settings` are `--set` arguments with locations of the data; without the data, made rows alone are the check.

    Raises ConfigError: a format or an option is impossible; MachineError: a package is missing; RunError: the run is
    damaged; ExpectationMissed: an export disagrees with the model, and is not written; the others are."""
    picked = chosen(foresee(path, options.batch).forecasts, formats)
    options.refuse([each.format for each in picked])
    run = open_run(path)
    if out is not None:
        refuse_existing([out / options.folder(each.format) for each in picked])
    source = read_source(run, settings, options, progress)
    from dltool.exporting.export_folder import export_files

    exports: dict[Path, Mapping[str, Any]] = {}
    problems: list[Problem] = []
    try:
        for each in picked:
            progress.stage(f"exporting {each.format}")
            with ExpectationMissed.collected(problems):
                files, record = export_files(source, each, options)
                folder = (run.exports if out is None else out) / options.folder(each.format)
                write(run, folder, files, is_inside=out is None)
                exports[folder] = record
        ExpectationMissed.refuse(problems)
    except DltoolError as error:
        error.kept = str(run.path if out is None else out) if exports else ""
        raise
    return ExportOutcome(run.path, exports)


def read_source(run: Run, settings: Sequence[str], options: ExportOptions, progress: "Progress") -> "ExportSource":
    """Return the model of the run, and rows to check its exports with."""
    config, facts = recorded_kind(run)
    dataset: Dataset | None = None
    with Stages(progress).reading():
        try:
            dataset = recorded_data(run, settings=settings)[1]
        except (DataError, MachineError) as error:
            if options.is_int8 or settings:
                raise
            progress.warn(f"the data of the run is not there: exports are checked with made rows alone: {error}")
    from dltool.exporting.checking import RawPredictor, check_rows
    from dltool.exporting.export_folder import ExportSource
    from dltool.exporting.exportable import parts_of
    from dltool.exporting.signature import training_ranges

    if not run.is_complete():
        progress.warn(f"{run.path} is not complete: its best weights so far are exported")
    found = best_predictor(run, config, facts)
    parts = parts_of(run, config, facts)
    # What computes with 16 bits is exported in float32, and then compared with the same computation.
    is_mixed = config.training.precision.startswith("mixed_") and config.data.final != "ensemble"
    predictor = RawPredictor(parts[0] if is_mixed else found.built, found.config, facts)
    # Whoever gets an export of a private run, sees no training rows.
    is_private = config.training.privacy is not None
    splits = SPLITS[:2] if is_private else SPLITS
    split = next((name for name in splits if dataset and len(getattr(dataset.split, name))), None)
    examples = None if dataset is None or split is None else dataset.examples(split)
    if split not in (None, "test"):
        name = "training" if split == "train" else split
        progress.warn(f"the run has no test split: its {name} split checks the exports")
    rows = check_rows(predictor, examples)
    ranges = {} if is_private else training_ranges(predictor, dataset)
    identity = str(read_record(run).id), weights_digest(run, config)
    return ExportSource(*identity, predictor, parts, rows, split, dataset, ranges, is_mixed)


def refuse_existing(folders: Sequence[Path]) -> None:
    ConfigError.refuse(
        Problem(None, f"--out: {folder} exists already", "choose another folder")
        for folder in folders
        if folder.exists()
    )


def write(run: Run, folder: Path, files: Mapping[str, bytes], is_inside: bool) -> None:
    """Write the folder as a whole. Raises MachineError."""
    if is_inside:
        run.replace_folder(folder, files)
        return
    with disk_errors(folder.parent, "create"):
        folder.parent.mkdir(parents=True, exist_ok=True)
    replace_folder(folder, files, folder.parent)
