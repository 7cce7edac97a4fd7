"""The folder of a learning curve, and its runs: every size with every seed, one after the other in this process.

    runs/NAME/curve-0001/curve.json       the plan, and at the end what was found
    runs/NAME/curve-0001/rows-240/0002    the run with 240 training rows and the second seed

The folder is as little trusted as a run."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError

from dltool.config.load import Document, with_option, with_settings
from dltool.config.schema import Config
from dltool.curve.outcome import CurvePoint, point_of
from dltool.errors import RunError, TrainingDiverged
from dltool.experiment.new_training import Terms, train_until_stopped
from dltool.experiment.resuming import resume_locked
from dltool.experiment.signals import StopRequests
from dltool.experiment.stages import Stages
from dltool.machine import MOST_THREADS
from dltool.runs.checkpoint_file import remove_checkpoints
from dltool.runs.directory import CURVE_RECORD, open_run
from dltool.runs.files import Run
from dltool.runs.records import Strict
from dltool.text import duration

if TYPE_CHECKING:
    from dltool.data.dataset import Read
    from dltool.experiment.listener import Progress


class CurvePlan(Strict):
    """The `sizes` in training rows, the last one all of them, are trained with each of the `seeds`; the error of
    `reach` times the rows is predicted. `config` is an absolute path, `settings` are `--set` arguments, `texts` is the
    digest of all that they say, and `data` the fingerprint. The number of `threads` determines the last bits."""

    config: str
    settings: list[str]
    texts: str
    data: str
    threads: Annotated[int, Field(gt=0, le=MOST_THREADS)]
    sizes: Annotated[list[Annotated[int, Field(gt=0, lt=2**31)]], Field(min_length=2, max_length=100)]
    seeds: Annotated[list[int], Field(min_length=2, max_length=1000)]
    reach: Annotated[float, Field(gt=1, le=4)]


def write_curve(folder: Path, plan: CurvePlan, results: Mapping[str, Any] | None = None) -> None:
    """Write curve.json; the curve is complete if there are `results`. Raises MachineError."""
    status = "completed" if results else "running"
    Run(folder).write_json(folder / CURVE_RECORD, {"status": status, "plan": plan.model_dump(), **(results or {})})


def read_plan(folder: Path) -> CurvePlan:
    """Read the plan in curve.json. Raises RunError: it is damaged."""
    file = folder / CURVE_RECORD
    try:
        return CurvePlan.model_validate(Run(folder).read_json(file).get("plan"))
    except ValidationError as error:
        place = ".".join(map(str, ("plan", *error.errors()[0]["loc"])))
        raise RunError(f"{file}: {place} is missing or invalid") from None


class Quiet:
    """A listener of the runs that shows nothing: their warnings are those of the whole data, shown before."""

    def nothing(self, *_: Any, **__: Any) -> None:
        """Ignore an event."""

    stage = warn = say = prepared = run_created = run_resumed = ended_early = nothing
    epoch_begins = steps_done = validation_begins = epoch_ends = part_begins = part_ends = nothing


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
            run = Run(self.folder / f"rows-{rows}" / f"{self.plan.seeds.index(seed) + 1:04d}")
            if not (run.record.exists() and open_run(run.path).is_complete()):
                left = time_left(self.seconds, [size for _, size in pairs[number:]])
                what = f"run {number + 1} of {len(pairs)}: {rows:,} training rows, seed {seed}"
                self.progress.stage(f"{what}, about {duration(left)} left" if left else what)
                began = time.monotonic()
                try:
                    self.train(run, rows, seed)
                except TrainingDiverged as error:
                    self.progress.warn(f"the run on {rows:,} rows with seed {seed} is left out: {error}")
                    continue
                self.seconds.setdefault(rows, []).append(time.monotonic() - began)
                self.progress.say(f"{rows:>9,} training rows  seed {seed}  {point_of(run).words}")
            points.append(point_of(run))
        return points

    def train(self, run: Run, rows: int, seed: int) -> None:
        """Train a model, or resume its training, and remove its checkpoints except the best weights."""
        import keras

        terms, stages = Terms(is_kept=False, read=self.read), Stages(Quiet(), self.stops)
        if run.record.exists():
            with run.locked():
                resume_locked(run, None, False, (), stages, terms)
        elif train_until_stopped(self.alone(run, rows, seed), self.folder, stages, terms).run != run.path:
            raise RunError(f"another program has removed {run.path}", "begin a new curve")
        remove_checkpoints(run.checkpoints)
        keras.backend.clear_session()

    def alone(self, run: Run, rows: int, seed: int) -> Document:
        """Return the config of a run. The split is the same in all of them, and each seed draws other rows."""
        split, plan = self.config.data.split, self.plan
        settings = [
            f"data.split.use={split.use * rows / plan.sizes[-1]!r}",
            f"data.split.seed={split.seed}",
            f"training.threads={plan.threads}",
            *("expect={}", "track=[]", "explain=false"),
        ]
        document = with_option(with_settings(self.document, settings), "name", run.name)
        return with_option(document, "seed", seed)


def time_left(seconds: Mapping[int, Sequence[float]], sizes: Sequence[int]) -> float | None:
    """Return the seconds that runs on these `sizes` may take, by those of earlier ones; None before the first. A
    larger size than any so far is expected to take longer in proportion to its rows."""
    usual = {rows: sum(each) / len(each) for rows, each in seconds.items()}
    largest = max(usual, default=1)
    return sum(usual.get(rows, usual[largest] * rows / largest) for rows in sizes) if usual else None
