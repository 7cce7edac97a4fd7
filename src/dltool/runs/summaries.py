"""`dltool runs`: every run below a folder with its outcome, broken ones too."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from dltool.errors import ConfigError, MachineError, RunError
from dltool.runs.directory import list_runs, open_run, refuse_no_runs_folder
from dltool.runs.files import Run, Status
from dltool.text import near

T = TypeVar("T")


@dataclass(frozen=True)
class SignOfLife:
    """What a running training was last seen doing: how many seconds ago, how long its last epoch took, and how many
    epochs it is to have in all. What cannot be told is None."""

    seconds_ago: float
    epoch_seconds: float | None
    epochs: int | None


@dataclass(frozen=True)
class RunSummary:
    """One run. Status "broken" comes with a `reason`; "failed" may. `can_resume` says whether going on makes sense.

    `started` is ISO 8601; `seconds` of wall time in all; `value` is the monitor's at the best epoch; `validation` are
    the metrics of that epoch; `code` are the files that commands have to allow. What is not known yet, or not any
    more, is None.
    """

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
    can_resume: bool = False
    alive: SignOfLife | None = None
    code: tuple[str, ...] = ()


def summaries(runs: Path) -> list[RunSummary]:
    """All runs below `runs` by name and number; none where there is no such folder. Never raises for a broken run."""
    return [summary(run) for run in list_runs(runs)]


def require_folder(runs: Path) -> None:
    """Raises ConfigError, with near names, where there is no folder `runs`."""
    refuse_no_runs_folder(runs)
    if not runs.is_dir():
        beside = [item.name for item in runs.absolute().parent.glob("*") if item.is_dir()]
        alike = near(runs.name, beside)
        hint = f"did you mean {runs.with_name(alike[0])}?" if alike else "`dltool runs` lists those in runs"
        raise ConfigError(f"there is no folder {runs}", hint)


def summary(run: Run) -> RunSummary:
    try:
        return _read(open_run(run.path))
    except RunError as error:
        return RunSummary(run.name, run.number, run.path, "broken", str(error))


def _read(run: Run) -> RunSummary:
    # The lock first: a writer that ends in between leaves its final status to be read.
    is_locked = run.is_locked()
    record = run.read_json(run.record)
    status: Status = record.get("status", "")
    if status not in get_args(Status):
        raise RunError(f"{run.record}: {status!r} is not a status")
    if status == "running" and not is_locked:
        status = "interrupted"
    results = run.read_json(run.results) if run.results.exists() else {}
    best = _typed(results, "best", dict) or {}
    epochs = _typed(results, "epochs", int)
    lines = run.read_metrics() if epochs is None or status == "running" else []
    return RunSummary(
        run.name,
        run.number,
        run.path,
        status,
        reason=_typed(record, "reason", str) or "",
        started=_typed(record, "started", str),
        seconds=_number((_typed(results, "seconds", dict) or {}).get("total")),
        epochs=len(lines) if epochs is None else epochs,
        monitor=_typed(best, "monitor", str),
        value=_number(best.get("value")),
        validation=_numbers(results, "validation"),
        test=_numbers(results, "test"),
        can_resume=record.get("resumable") is not False
        and (status == "interrupted" or (status == "failed" and record.get("exit_code") == MachineError.exit_code)),
        alive=_sign_of_life(run, lines) if status == "running" else None,
        code=tuple(_files(record)),
    )


def _sign_of_life(run: Run, lines: list[dict[str, Any]]) -> SignOfLife:
    """By the file that was written last; the log has a line a minute even where an epoch takes hours."""
    written = [file.lstat().st_mtime for file in (run.record, run.metrics, run.log, run.checkpoints) if file.exists()]
    from dltool.runs.configs import recorded_epochs

    epoch_seconds = _number(lines[-1].get("seconds")) if lines else None
    return SignOfLife(max(0.0, time.time() - max(written)), epoch_seconds, recorded_epochs(run))


def _files(record: Mapping[str, Any]) -> Iterator[str]:
    for each in _typed(record, "code", list) or []:
        if isinstance(each, dict) and (file := _typed(each, "file", str)) is not None:
            yield file


def _typed(fields: Mapping[str, Any], key: str, kind: type[T]) -> T | None:
    value = fields.get(key)
    return value if isinstance(value, kind) else None


def _number(value: object) -> float | None:
    is_number = isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)
    return float(value) if is_number and not isinstance(value, bool) else None  # type: ignore[arg-type]


def _numbers(fields: Mapping[str, Any], key: str) -> dict[str, float]:
    return {name: n for name, v in (_typed(fields, key, dict) or {}).items() if (n := _number(v)) is not None}
