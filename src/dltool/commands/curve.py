"""`dltool curve`: runs on fractions of the training rows, and the error that more rows would bring."""

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from dltool.config.load import Document, read_document
from dltool.config.schema import Config
from dltool.config.whole_config import refuse_another, whole_config
from dltool.curve.curve_folder import CONFIG, KIND, CurvePlan, CurveRecord, write_curve
from dltool.curve.curve_runs import CurveRuns
from dltool.curve.outcome import CurveOutcome, outcome_of
from dltool.data.checked import checked_config, checked_with
from dltool.data.dataset import Dataset, load_data
from dltool.data.shared import SharedSource
from dltool.errors import ConfigError, DataError, DltoolError, Interrupted, MachineError, Problem, RunError
from dltool.experiment.parts import refuse_parts
from dltool.experiment.refusals import RESUMED_PARTS, places_outside
from dltool.experiment.signals import StopNow, stop_requests
from dltool.experiment.stages import Stages
from dltool.machine import usable_cores
from dltool.runs.costs import cost_of_all
from dltool.runs.directory import NUMBER, new_folder
from dltool.runs.files import Run, run_lock
from dltool.runs.groups import read_group_record

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress

NO_FOLDS = "give a share of the examples to data.split.test instead"
NO_SEEDS = "--seeds is the number of runs of each size"
LEAST_ROWS = 20
"""Training rows below which models say little about those with more."""
MOST_REACH = 4
"""The largest multiple of the rows for which an error is predicted: further on, curves were seen to mislead."""


def curve(document: Document, *, sizes: int, seeds: int, to: str, runs: Path, progress: "Progress") -> CurveOutcome:
    """Train on `sizes` fractions of the training rows, each with `seeds` seeds, in a new folder below `runs`.

    `to` is the multiple of the rows for which the error is predicted, such as "4x". Raises ConfigError: an option is
    out of range, or the config has nothing to measure or too few rows; DltoolError: as `train`. Before the first run is
    created, nothing remains."""
    reach = reach_of(to)
    for option, value, most in (("sizes", sizes, 20), ("seeds", seeds, 100)):
        if not 2 <= value <= most:
            raise ConfigError(f"--{option}: expected 2 to {most}, got {value}")
    with stop_requests() as stops:
        read = SharedSource()
        config, dataset = read_data(document, read, Stages(progress, stops))
        from dltool.training.numerics import choose_threads

        plan = CurvePlan(
            data=dataset.fingerprint,
            threads=choose_threads(config, dataset.facts)[0],
            sizes=sizes_of(len(dataset.split.train), sizes),
            seeds=list(range(config.seed, config.seed + seeds)),
            reach=reach,
        )
        whole, record = whole_config(document), CurveRecord(plan=plan)
        folder = None
        try:
            with stops.patient():
                folder = new_folder(runs / config.name, KIND)
            Run(folder).write(folder / CONFIG, whole)
            refuse_another(document, read_document(folder / CONFIG))
            write_curve(folder, record)
            return carried_out(record, CurveRuns(folder, plan, document, config, read, progress, stops))
        except (DltoolError, StopNow) as error:
            if folder is not None and not any(NUMBER.fullmatch(path.name) for path in folder.glob("rows-*/*")):
                shutil.rmtree(folder, ignore_errors=True)
                error.kept, error.can_resume = "", False
            raise


def resume_curve(path: Path, progress: "Progress") -> CurveOutcome:
    """Train what is left of the curve at `path`. The results are those of a curve that was never interrupted.

    Raises RunError: the folder is damaged or in use, or its config names something outside it; DataError: the data has
    changed; DltoolError: as :func:`curve`."""
    record, again = read_group_record(path, KIND, CurveRecord), "begin a new curve"
    document = read_document(path / CONFIG)
    if places_outside(checked_config(document)[0], RESUMED_PARTS):
        raise RunError(f"{path} cannot be resumed: its config names something outside it", again)
    with stop_requests() as stops:
        read = SharedSource()
        config, dataset = read_data(document, read, Stages(progress, stops))
        if dataset.fingerprint != record.plan.data or len(dataset.split.train) != record.plan.sizes[-1]:
            raise DataError("the data has changed since the curve began", f"restore the old data, or {again}")
        return carried_out(record, CurveRuns(path, record.plan, document, config, read, progress, stops))


def carried_out(record: CurveRecord, curve_runs: CurveRuns) -> CurveOutcome:
    """Train what is left, and write curve.html and curve.json."""
    folder = curve_runs.folder
    with run_lock(folder):
        try:
            run = Run(folder)
            curve_runs.progress.run_created(run, is_kept=True)
            found = outcome_of(folder, curve_runs.carry_out(), curve_runs.plan.reach)
            curve_runs.progress.stage("writing the page")
            from dltool.curve.curve_page import html

            run.write(folder / "curve.html", html(found).encode())
            cost = cost_of_all(folder.glob("rows-*/0*")).rated(curve_runs.config.cost, usable_cores())
            write_curve(folder, record, {**found.record(), "cost": cost.amounts})
            return found
        except (DltoolError, StopNow) as error:
            error.kept = str(folder)
            can_go_on = not places_outside(curve_runs.config, RESUMED_PARTS)
            error.can_resume = can_go_on and isinstance(error, Interrupted | MachineError | StopNow)
            raise


def read_data(document: Document, read: SharedSource, stages: Stages) -> tuple[Config, Dataset]:
    """Return the config and its data. Raises ConfigError: there is nothing to measure; and as `train`."""
    config, _ = checked_config(document)
    if config.training.privacy is not None:
        message = "each run of a learning curve would spend an epsilon of its own"
        raise ConfigError(Problem(("training", "privacy"), message, "measure the curve without it"))
    refuse_parts(config, "a learning curve trains each run once, on one split", folds=NO_FOLDS, seeds=NO_SEEDS)
    with stages.reading(trains=True):
        dataset = load_data(config.data, config.seed, read=read)
        config = dataset.in_force(checked_with(document, dataset.facts))
        for warning in dataset.warnings:
            stages.progress.warn(warning)
    if not len(dataset.split.test) and not len(dataset.split.validation):
        message = "a learning curve is measured on the test split, and there is none"
        raise ConfigError(Problem(("data", "split"), message, "data.split.test: 0.2"))
    return config, dataset


def reach_of(text: str) -> float:
    """Return the number of "4x" or "2.5". Raises ConfigError: it is not above 1 and at most 4."""
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,3})?)x?", text)
    if not match or not 1 < float(match[1]) <= MOST_REACH:
        raise ConfigError(
            f'--to: expected a multiple of the training rows above 1x, at most {MOST_REACH}x, got "{text}"'
        )
    return float(match[1])


def sizes_of(rows: int, count: int) -> list[int]:
    """Return at most `count` numbers of rows, ascending up to `rows`, each twice the one before; closer together if the
    first would be less than `LEAST_ROWS`. Raises ConfigError: there are too few rows."""
    if rows < 2 * LEAST_ROWS:
        message = f"a learning curve takes at least {2 * LEAST_ROWS} training examples, and there are {rows}"
        raise ConfigError(Problem(("data",), message))
    ratio = min(2.0, (rows / LEAST_ROWS) ** (1 / (count - 1)))
    return sorted({round(rows / ratio**step) for step in range(count)})
