"""`dltool curve`: trainings on fractions of the training rows, and the error that more rows would bring."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dltool.config.load import Document, read_document
from dltool.config.schema import Config
from dltool.curve.folder import PAGE, CurveFolder, Plan, new_folder, open_folder
from dltool.curve.outcome import CurveOutcome, outcome_of
from dltool.curve.sizes import sizes_of
from dltool.data.checked import checked_config, checked_with
from dltool.data.dataset import Dataset, load_data
from dltool.data.shared import SharedSource
from dltool.errors import ConfigError, DataError, DltoolError, Interrupted, MachineError, Problem, RunError
from dltool.experiment.refusals import RESUMED_PARTS, places_outside
from dltool.experiment.signals import StopNow, StopRequests, stop_requests
from dltool.experiment.stages import Stages
from dltool.runs.files import Run, digest, run_lock

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress

MOST_REACH = 4.0
"""The largest multiple of the rows for which an error is foretold: further on, curves were seen to mislead."""
LEAST_SEEDS = 2
MOST_SIZES, MOST_SEEDS = 20, 100


def curve(
    document: Document, settings: Sequence[str], *, sizes: int, seeds: int, to: str, runs: Path, progress: "Progress"
) -> CurveOutcome:
    """Train on `sizes` fractions of the training rows, each with `seeds` seeds, in a new folder below `runs`.

    `settings` are the `--set` arguments of the document; `to` is the multiple of the rows for which the error is
    foretold, such as "4x". Raises ConfigError: an option is out of range, or the config has nothing to measure or too
    few rows; DltoolError: as `train`. Before the folder exists, nothing has been written."""
    reach = reach_of(to)
    in_range("sizes", sizes, 2, MOST_SIZES)
    in_range("seeds", seeds, LEAST_SEEDS, MOST_SEEDS)
    with stop_requests() as stops:
        read = SharedSource()
        config, dataset = read_data(document, read, Stages(progress, stops))
        for warning in dataset.warnings:
            progress.warn(warning)
        rows = len(dataset.split.train)
        plan = Plan(
            config=str(document.path.absolute()),
            settings=list(settings),
            texts=digest_of(document),
            data=dataset.fingerprint,
            name=config.name,
            rows=rows,
            use=config.data.split.use,
            split_seed=config.seed if config.data.split.seed is None else config.data.split.seed,
            sizes=sizes_of(rows, sizes),
            seeds=list(range(config.seed, config.seed + seeds)),
            reach=reach,
        )
        folder = new_folder(runs, plan)
        try:
            return carried_out(folder, document, read, progress, stops)
        except (DltoolError, StopNow) as error:
            if folder.remove_if_empty():
                error.kept, error.can_resume = "", False
            raise


def resume_curve(path: Path, progress: "Progress") -> CurveOutcome:
    """Train what is left of the curve at `path`. The results are those of a curve that was never interrupted.

    Raises RunError: the folder is damaged or in use, or its config is not that of the curve; DataError: the data has
    changed; DltoolError: as :func:`curve`."""
    folder = open_folder(path)
    plan = folder.plan
    if Path(plan.config).is_relative_to(path.resolve()):
        # Of an untrusted folder, nothing is used but numbers.
        raise RunError(f"the config of {path} is inside it", "begin a new curve")
    document = read_document(Path(plan.config), plan.settings)
    if digest_of(document) != plan.texts:
        message = f"{plan.config}, or a file that it extends, has changed since the curve began"
        raise RunError(message, "restore it, or begin a new curve")
    if places_outside(checked_config(document)[0], RESUMED_PARTS):
        raise RunError(f"{path} cannot be resumed: its config names something outside it", "begin a new curve")
    with stop_requests() as stops:
        read = SharedSource()
        _, dataset = read_data(document, read, Stages(progress, stops))
        if dataset.fingerprint != plan.data or len(dataset.split.train) != plan.rows:
            raise DataError("the data has changed since the curve began", "restore the old data, or begin a new curve")
        return carried_out(folder, document, read, progress, stops)


def carried_out(
    folder: CurveFolder, document: Document, read: SharedSource, progress: "Progress", stops: StopRequests
) -> CurveOutcome:
    """Train, and write curve.json and curve.html."""
    from dltool.curve.trainings import Quiet, Trainings

    with run_lock(folder.path):
        try:
            progress.run_created(Run(folder.path), is_kept=True)
            points = Trainings(folder, document, read, Quiet(progress), stops).carry_out()
            found = outcome_of(folder, points)
            progress.stage("writing the page")
            from dltool.curve.page import html

            folder.write_file(PAGE, html(found).encode())
            folder.write("completed", **found.record())
            return found
        except (DltoolError, StopNow) as error:
            error.kept = str(folder.path)
            error.can_resume = isinstance(error, Interrupted | MachineError | StopNow)
            raise


def read_data(document: Document, read: SharedSource, stages: Stages) -> tuple[Config, Dataset]:
    """Return the config and its data. Raises ConfigError: there is nothing to measure; and as `train`."""
    config, _ = checked_config(document)
    with stages.reading(trains=True):
        dataset = load_data(config.data, config.seed, read=read)
        config = dataset.in_force(checked_with(document, dataset.facts))
    if not len(dataset.split.test) and not len(dataset.split.validation):
        message = "a learning curve is measured on the test split, and there is none"
        raise ConfigError(Problem(("data", "split"), message, "data.split.test: 0.2"))
    return config, dataset


def digest_of(document: Document) -> str:
    """Return a digest of all texts of a config: its file, the files that it extends, and the arguments."""
    return digest("\0".join(document.texts.values()).encode())


def reach_of(text: str) -> float:
    """Return the number of "4x" or "2.5". Raises ConfigError: it is none above 1, or above 4."""
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,3})?)x?", text)
    reach = float(match[1]) if match else 0.0
    if not reach > 1:
        raise ConfigError(f'--to: expected a multiple of the training rows, such as 2x, got "{text}"')
    if reach > MOST_REACH:
        message = f"--to: expected at most {MOST_REACH:g}x, got {reach:g}x"
        raise ConfigError(message, f"nothing reliable is known beyond {MOST_REACH:g} times the rows")
    return reach


def in_range(option: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ConfigError(f"--{option}: expected {least} to {most}, got {value}")
