"""The runs of a learning curve: every size with every seed, one after the other in this process."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from dltool.config.load import Document, with_option, with_settings
from dltool.config.schema import Config
from dltool.curve.curve_folder import CurvePlan
from dltool.curve.outcome import CurvePoint, point_of
from dltool.errors import TrainingDiverged
from dltool.experiment.new_training import Terms, train_until_stopped
from dltool.experiment.resuming import resume_locked
from dltool.experiment.signals import StopRequests
from dltool.experiment.silent import Silent
from dltool.experiment.stages import Stages
from dltool.machine import forget_models
from dltool.runs.checkpoint_file import remove_checkpoints
from dltool.runs.directory import open_run
from dltool.runs.files import Run
from dltool.text import duration

if TYPE_CHECKING:
    from dltool.data.dataset import Read
    from dltool.experiment.listener import Progress


@dataclass(frozen=True)
class CurveRuns:
    """The runs in a folder. `document` and `config` are those without a size; `read` keeps one reading of the
    data, and `seconds` what each size took."""

    folder: Path
    plan: CurvePlan
    document: Document
    config: Config
    read: "Read"
    progress: "Progress"
    stops: StopRequests
    seconds: dict[int, list[float]] = field(default_factory=dict)

    def carry_out(self) -> list[CurvePoint]:
        """Train what is not complete, and return what all runs measured. The sizes come one after the other for each
        seed, so that early results show the whole curve. A run that diverges is left out, with a warning.

        Raises DltoolError: as :func:`dltool.experiment.new_training.train_until_stopped`."""
        pairs, points = list(product(self.plan.seeds, self.plan.sizes)), []
        for number, (seed, rows) in enumerate(pairs):
            run = self.run_of(rows, seed)
            if run is None or not run.is_complete():
                left = time_left(self.seconds, [size for _, size in pairs[number:]])
                what = f"run {number + 1} of {len(pairs)}: {rows:,} training rows, seed {seed}"
                self.progress.stage(f"{what}, about {duration(left)} left" if left else what)
                began = time.monotonic()
                try:
                    run = self.train(run, rows, seed)
                except TrainingDiverged as error:
                    self.progress.warn(f"the run on {rows:,} rows with seed {seed} is left out: {error}")
                    continue
                self.seconds.setdefault(rows, []).append(time.monotonic() - began)
                self.progress.say(f"{rows:>9,} training rows  seed {seed}  {point_of(run).words}")
            remove_checkpoints(run.checkpoints)
            points.append(point_of(run))
        return points

    def run_of(self, rows: int, seed: int) -> Run | None:
        """Return the run of a size with a seed, None if it has not begun. A number is missing if a process was stopped
        while it created a run."""
        runs = map(open_run, sorted((self.folder / f"rows-{rows}").glob("0*")))
        return next((run for run in runs if run.read_json(run.record).get("seed") == seed), None)

    def train(self, run: Run | None, rows: int, seed: int) -> Run:
        """Train a model, or resume its training. Its warnings are those of the whole data, which were shown before."""
        terms, stages = Terms(is_kept=False, read=self.read), Stages(Silent(), self.stops)
        try:
            if run is None:
                return Run(train_until_stopped(self.alone(rows, seed), self.folder, stages, terms).run)
            with run.locked():
                resume_locked(run, None, False, (), stages, terms)
            return run
        finally:
            forget_models()

    def alone(self, rows: int, seed: int) -> Document:
        """Return the config of a run. The split is the same in all of them, and each seed draws other rows."""
        split, plan = self.config.data.split, self.plan
        settings = [
            f"data.split.use={split.use * rows / plan.sizes[-1]!r}",
            f"data.split.seed={split.seed}",
            f"training.threads={plan.threads}",
            *("expect={}", "track=[]", "explain=false"),
        ]
        document = with_option(with_settings(self.document, settings), "name", f"rows-{rows}")
        return with_option(document, "seed", seed)


def time_left(seconds: Mapping[int, Sequence[float]], sizes: Sequence[int]) -> float | None:
    """Return the seconds that runs on these `sizes` may take, by those of earlier ones; None before the first. A
    larger size than any so far is expected to take longer in proportion to its rows."""
    usual = {rows: sum(each) / len(each) for rows, each in seconds.items()}
    largest = max(usual, default=1)
    return sum(usual.get(rows, usual[largest] * rows / largest) for rows in sizes) if usual else None
