"""`dltool runs`: every run below a folder with its outcome, broken ones included."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from dltool.errors import MachineError, RunError
from dltool.runs.configs import recorded_epochs
from dltool.runs.costs import Cost
from dltool.runs.directory import list_runs, open_run
from dltool.runs.files import Run, Status
from dltool.runs.part_records import part_results
from dltool.runs.records import in_sentence, living_record, numbers, read_results

MOST_MISSED = 20
"""An untrusted results.json may hold any number."""


@dataclass(frozen=True)
class SignOfLife:
    """The activity of a running run: seconds since its last write and of its last epoch, and total epochs."""

    seconds_ago: float
    epoch_seconds: float | None
    epochs: int | None


@dataclass(frozen=True)
class RunSummary:
    """One run, or a search or learning curve with many. Status "broken" has a `reason`; "failed" may have one.

    `test` are the metrics of all folds or seeds together, if there are `parts` ("5 folds"), and `spread` their standard
    deviations; `parts` of a search or curve are those done ("7 of 30 trials"). `started` is ISO 8601; `seconds` is
    total wall time; `value` is the monitored value and `validation` the metrics of the best epoch; `code` are the files
    that commands have to allow; `cost` are amounts by the names of expectations. Unknown values are None."""

    name: str
    number: str
    path: Path
    status: Status | Literal["broken"]
    reason: str = ""
    started: str | None = None
    seconds: float | None = None
    epochs: int | None = None
    monitor: str | None = None
    value: float | None = None
    validation: Mapping[str, float] = field(default_factory=dict)
    test: Mapping[str, float] = field(default_factory=dict)
    parts: str = ""
    spread: Mapping[str, float] = field(default_factory=dict)
    can_resume: bool = False
    alive: SignOfLife | None = None
    code: tuple[str, ...] = ()
    kind: str = "run"
    cost: Mapping[str, float] = field(default_factory=dict)


def summaries(runs: Path, unfolds: bool = False) -> list[RunSummary]:
    """Return all runs below `runs` by name and number. Broken runs are included, and a missing folder has none. If it
    `unfolds`, the runs of folds and seeds follow that which they are parts of."""
    return [summary(each) for run in list_runs(runs) for each in (run, *(run.parts if unfolds else ()))]


def summary(run: Run) -> RunSummary:
    try:
        return _read(open_run(run.path))
    except RunError as error:
        return RunSummary(run.name, run.number, run.path, "broken", str(error))


def _read(run: Run) -> RunSummary:
    record, results = living_record(run), read_results(run)
    if record.status not in get_args(Status):
        raise RunError(f"{run.record}: unknown status {record.status!r}")
    status: Status = record.status  # type: ignore[assignment]
    lines = run.read_metrics() if results.epochs is None or status == "running" else []
    parts = part_results(results)
    metrics = {} if parts is None else parts.metrics
    test = {name: each.shown for name, each in metrics.items() if each.shown is not None}
    epochs = len(lines) if results.epochs is None else results.epochs
    # A search removes the states of trials that it paused.
    has_state = not epochs or os.path.lexists(run.parts_record) or any(run.checkpoints.glob("*.ckpt"))
    may_go_on = status == "interrupted" or (status == "failed" and record.exit_code == MachineError.exit_code)
    return RunSummary(
        run.name,
        run.number,
        run.path,
        status,
        reason=record.reason,
        started=record.started,
        seconds=results.seconds.get("total"),
        epochs=epochs,
        monitor=results.best.monitor,
        value=results.best.value,
        validation=results.validation,
        test=test or results.test,
        parts="" if parts is None else parts.words,
        spread={name: each.sd for name, each in metrics.items() if each.sd is not None},
        can_resume=record.resumable and may_go_on and has_state,
        alive=_sign_of_life(run, lines) if status == "running" else None,
        code=tuple(each.file for each in record.code if each.file),
        cost=Cost.model_validate(results.cost).amounts,
    )


def _sign_of_life(run: Run, lines: list[dict[str, Any]]) -> SignOfLife:
    """Return the activity by the newest file. The log has a line every minute, even in long epochs."""
    written = [file.lstat().st_mtime for file in (run.record, run.metrics, run.log, run.checkpoints) if file.exists()]
    epoch_seconds = numbers(lines[-1]).get("seconds") if lines else None
    return SignOfLife(max(0.0, time.time() - max(written)), epoch_seconds, recorded_epochs(run))


def missed_by(run: Run) -> tuple[str, ...]:
    """Describe the missed expectations in results.json."""
    expectations = read_results(run).expectations
    missed = [(name, each.bound, each.value) for name, each in expectations.items() if each.met is False]
    return tuple("expected {} {}, got {}".format(*map(in_sentence, each)) for each in missed[:MOST_MISSED])
