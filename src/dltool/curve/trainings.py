"""The trainings of a learning curve: every size with every seed, one after the other in this process."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from dltool.config.load import Document, with_option, with_settings
from dltool.curve.folder import CurveFolder, name_of
from dltool.curve.points import CurvePoint, point_of
from dltool.errors import RunError, TrainingDiverged
from dltool.experiment.new_training import Terms, train_until_stopped
from dltool.experiment.resuming import resume_locked
from dltool.experiment.signals import StopRequests
from dltool.experiment.stages import Stages
from dltool.runs.checkpoint_file import remove_checkpoints
from dltool.runs.directory import open_run
from dltool.runs.files import Run
from dltool.text import duration

if TYPE_CHECKING:
    from dltool.data.dataset import Read
    from dltool.experiment.listener import Progress


@dataclass(frozen=True)
class Trainings:
    """The trainings in a folder. `document` is the config of all of them; `read` keeps one reading of the data."""

    folder: CurveFolder
    document: Document
    read: "Read"
    quiet: "Quiet"
    stops: StopRequests
    seconds: dict[int, list[float]] = field(default_factory=dict)

    def carry_out(self) -> list[CurvePoint]:
        """Train what is not complete, and return what the complete runs measured. Seed by seed, so that early results
        show the whole curve. A training that diverges is left out, with a warning. Raises as
        :func:`dltool.experiment.new_training.train_until_stopped`."""
        pairs = list(product(self.folder.plan.seeds, self.folder.plan.sizes))
        points = []
        for number, (seed, rows) in enumerate(pairs):
            run = self.folder.run(rows, seed)
            if not (run.record.exists() and open_run(run.path).is_complete()):
                left = time_left(self.seconds, [size for _, size in pairs[number:]])
                about = f", about {duration(left)} left" if left is not None else ""
                what = f"training {number + 1} of {len(pairs)}: {rows:,} rows, seed {seed}"
                self.quiet.progress.stage(f"{what}{about}")
                began = time.monotonic()
                try:
                    self.train(run, rows, seed)
                except TrainingDiverged as error:
                    self.quiet.progress.warn(f"{rows:,} rows, seed {seed} is left out: {error}")
                    continue
                self.seconds.setdefault(rows, []).append(time.monotonic() - began)
                self.quiet.progress.say(point_of(run).words)
            points.append(point_of(run))
        return points

    def train(self, run: Run, rows: int, seed: int) -> None:
        """Train one model, or resume its training. Its checkpoints are removed, except the best weights."""
        import keras

        terms = Terms(is_kept=False, read=self.read)
        stages = Stages(self.quiet, self.stops)
        if run.record.exists():
            with run.locked():
                resume_locked(run, None, False, (), stages, terms)
        else:
            document = document_of(self.document, self.folder, rows, seed)
            trained = train_until_stopped(document, self.folder.path, stages, terms).run
            if trained != run.path:
                raise RunError(f"{run.path} was removed by another program", "begin a new curve")
        remove_checkpoints(run.checkpoints)
        keras.backend.clear_session()


def document_of(document: Document, folder: CurveFolder, rows: int, seed: int) -> Document:
    """Return the config of one training. All trainings have the same split, and each seed draws rows of its own."""
    plan = folder.plan
    settings = [
        f"data.split.use={plan.use * rows / plan.rows!r}",
        f"data.split.seed={plan.split_seed}",
        "expect={}",
        "track=[]",
    ]
    return with_option(with_option(with_settings(document, settings), "name", name_of(rows)), "seed", seed)


def time_left(seconds: dict[int, list[float]], sizes: Sequence[int]) -> float | None:
    """Return the seconds that trainings on these `sizes` will take, by those of earlier ones; None before the first.

    A larger size than any so far is expected to take longer in proportion to its rows, at most."""
    if not seconds:
        return None
    usual = {rows: sum(each) / len(each) for rows, each in seconds.items()}
    largest = max(usual)
    return sum(usual[rows] if rows in usual else usual[largest] * max(1.0, rows / largest) for rows in sizes)


class Quiet:
    """A listener that passes on warnings alone. Those that differ in their numbers alone are passed on once: all
    trainings of a curve have them."""

    def __init__(self, progress: "Progress") -> None:
        self.progress = progress
        self.passed: set[str] = set()

    def warn(self, message: str) -> None:
        words = re.sub(r"[\d.,]+", "", message)
        if words not in self.passed:
            self.passed.add(words)
            self.progress.warn(message)

    def nothing(self, *_: Any, **__: Any) -> None:
        """Ignore an event."""

    stage = prepared = run_created = run_resumed = ended_early = say = nothing
    epoch_begins = steps_done = validation_begins = epoch_ends = nothing
