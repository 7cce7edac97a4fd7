"""The folder of a search: its record, its lock, and its trials, which are ordinary runs.

runs/titanic/search-0001/
    original.yaml   the config as written, byte for byte
    config.yaml     the config with everything that it extends, as trials read it
    search.json     the settings, what was measured, and in the end the result
    journal.log     the trials and their values, as Optuna keeps them
    trials/0000/    the config as written; trials/0007/0001/ is the run of trial 7
    best.yaml       the config with the best values
    search.html     the report
"""

import math
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dltool.config.search_options import MOST_TRIALS
from dltool.durable_files import atomic_write, disk_errors
from dltool.errors import MachineError, RunError
from dltool.runs.checkpoint_file import remove_checkpoints
from dltool.runs.directory import GROUP_RECORDS, NUMBER, new_folder, open_run, subfolders
from dltool.runs.files import Run, encode_json, run_lock
from dltool.runs.groups import GroupRecord, group_row, group_status, read_group_record
from dltool.runs.records import numbers
from dltool.runs.summaries import RunSummary
from dltool.search.rungs import Mode, Trial
from dltool.text import counted

KIND = "search"
PATIENCE = 60.0
"""Seconds to wait for the lock of the folder, which a process holds for some milliseconds."""


class Measured(BaseModel):
    """What the first trial, the config as written, has shown: whether less of the metric is better, the epochs at which
    trials are compared, and the threads of each trial."""

    model_config = ConfigDict(frozen=True)
    mode: Literal["min", "max"]
    rungs: tuple[int, ...] = Field(min_length=1)
    threads: int


class SearchRecord(GroupRecord):
    """search.json. `seconds` were spent so far; no trial begins after `deadline`, in seconds since 1970."""

    name: str
    study: str
    config: str
    seed: int
    metric: str
    trials: int = Field(ge=1)
    minutes: float | None
    factor: int | None
    first: int | None
    seeds: int = Field(ge=1)
    workers: int = Field(ge=1)
    threads: int | None
    storage: str | None
    keep_all: bool
    measured: Measured | None = None
    seconds: float = 0.0
    deadline: float | None = None
    result: dict[str, Any] | None = None

    @property
    def is_bounded(self) -> bool:
        """Return whether the number of trials ends the search, and not its time alone."""
        return self.minutes is None or self.trials < MOST_TRIALS


class SearchFolder:
    """One search on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.original, self.config, self.best = (path / f"{name}.yaml" for name in ("original", "config", "best"))
        self.journal, self.page, self.trials = path / "journal.log", path / "search.html", path / "trials"
        self.ended: dict[int, Trial] = {}
        self.freed: set[int] = set()

    def record(self) -> SearchRecord:
        """Read search.json. Raises RunError: it is damaged, or of a newer dltool."""
        return read_group_record(self.path, KIND, SearchRecord)

    def write(self, record: SearchRecord) -> SearchRecord:
        self.write_file(self.path / GROUP_RECORDS[KIND], (encode_json(record.model_dump(), indent=2) + "\n").encode())
        return record

    def update(self, **fields: Any) -> SearchRecord:
        """Change fields of the record, and return it. For the holder of the lock."""
        return self.write(self.record().model_copy(update=fields))

    def write_file(self, file: Path, content: bytes) -> None:
        atomic_write(file, content, self.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the folder, which guards its files and its study. Raises RunError: it is never free."""
        give_up = time.monotonic() + PATIENCE
        with ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(run_lock(self.path))
                    break
                except RunError:
                    if time.monotonic() > give_up:
                        raise
                    time.sleep(0.02)
            yield

    def trial_folder(self, number: int) -> Path:
        """Return the folder that holds the run of a trial, and in the end those with other seeds."""
        return self.trials / f"{number:04d}"

    def claim(self, number: int, stack: ExitStack) -> bool:
        """Hold the lock of a trial until the end of `stack` or of the process; return False if another has it."""
        folder = self.trial_folder(number)
        with disk_errors(folder, "create"):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            stack.enter_context(run_lock(folder))
        except RunError:
            return False
        return True

    def run(self, number: int, which: int = 1) -> Run | None:
        """Return the run of a trial, or a later one with another seed; None if it has not begun. A number is missing if
        a process was stopped while it created a run."""
        paths = sorted(path for path in self.trial_folder(number).glob("0*") if path.is_dir())
        return open_run(paths[which - 1]) if len(paths) >= which else None

    def free_beaten(self, mode: Mode, kept: int) -> None:
        """Free the disk of trials that have failed, and of those that are complete and not among the best that are
        `kept`. The first trial keeps all, as the winner is compared with it."""
        complete = [each for each in self.ended.values() if each.is_complete]
        leading = sorted(complete, key=lambda each: each.rank(mode))[:kept]
        for trial in self.ended.values():
            if trial.number and trial not in leading and trial.number not in self.freed:
                self.freed.add(trial.number)
                run = self.run(trial.number)
                if run is not None:
                    free(run)

    def reached(self, trial: Trial, metric: str) -> Trial:
        """Return a trial with what its run has reached."""
        if trial.number in self.ended:
            # The first trial ends before its values are asked for.
            return replace(self.ended[trial.number], values=trial.values)
        run = self.run(trial.number)
        curve = () if run is None else curve_of(run, metric)
        found = Trial(trial.number, trial.values, curve, run is not None and run.is_complete(), trial.reason)
        if found.is_complete or found.reason:
            self.ended[trial.number] = found
        return found


def free(run: Run) -> None:
    """Remove the states and the weights of a run; its config and metrics stay."""
    with suppress(MachineError), run.locked():
        remove_checkpoints(run.checkpoints)
        run.best_weights.unlink(missing_ok=True)


def curve_of(run: Run, metric: str) -> tuple[float, ...]:
    """Return the values of a metric by epoch; NaN for none."""
    values = (line.get(metric) for line in run.read_metrics())
    return tuple(float(each) if isinstance(each, int | float) else math.nan for each in values)


def open_search(path: Path) -> SearchFolder:
    """Return the search at `path`. Raises RunError: it is damaged."""
    folder = SearchFolder(path.resolve())
    folder.record()
    return folder


def search_summary(path: Path) -> RunSummary:
    """Return the search at `path` as a row of `dltool runs`. Raises RunError: it is damaged."""
    folder = SearchFolder(path)
    record = folder.record()
    begun = [Path(each.path) for each in subfolders(folder.trials) if NUMBER.fullmatch(each.name)]
    resting, result = [each for each in begun if not Run(each).is_locked()], record.result or {}
    value, epochs = (numbers(result).get(key) for key in ("value", "epochs"))
    if record.result is None and record.measured is not None:
        mode, trials = record.measured.mode, (Trial(int(each.name), {}) for each in resting)
        values = [each.best(mode) for each in (folder.reached(trial, record.metric) for trial in trials)]
        value = (min if mode == "min" else max)((each for each in values if not math.isnan(each)), default=None)
    status = group_status(record, len(resting) < len(begun) or Run(path).is_locked())
    done = counted(len(resting), "trial")
    if record.result is None and record.is_bounded:
        done = f"{len(resting)} of {counted(record.trials, 'trial')}"
    measured = {"value": value, "epochs": epochs and int(epochs), "test": numbers(result.get("test")), "parts": done}
    measured["cost"] = numbers(result.get("cost"))
    times: dict[str, Any] = {"started": record.started, "seconds": record.seconds}
    return group_row(KIND, path, status, monitor=record.metric, **measured, **times)


def unfinished_search(runs: Path, name: str, files: dict[str, bytes], **fields: Any) -> SearchFolder | None:
    """Return the newest search of `name` if it has this config and these settings and is not finished, so that the same
    command carries on with it; None otherwise. A search whose config as written has failed begins anew."""
    paths = [path for path in (runs / name).glob(f"{KIND}-*") if (path / GROUP_RECORDS[KIND]).is_file()]
    if not paths:
        return None
    # From the ten thousandth on, numbers have more digits.
    folder = SearchFolder(max(paths, key=lambda path: (len(path.name), path.name)))
    with suppress(RunError, OSError):
        record, first = folder.record().model_dump(), folder.run(0)
        has_failed = first is not None and first.read_json(first.record).get("status") == "failed"
        is_same = all(record[key] == value for key, value in fields.items())
        same_config = folder.config.read_bytes() == files[folder.config.name]
        return folder if record["result"] is None and is_same and same_config and not has_failed else None
    return None


def create_search(runs: Path, name: str, files: dict[str, bytes], **fields: Any) -> SearchFolder:
    """Create `runs/NAME/search-0001`, or the next number, with its first `files` and the `fields` of its record.

    Raises ConfigError: `runs` cannot hold runs; MachineError: the disk refuses."""
    folder = SearchFolder(new_folder(runs / name, KIND))
    for file, content in files.items():
        folder.write_file(folder.path / file, content)
    study = f"{name}-{folder.path.name}-{secrets.token_hex(4)}"
    folder.write(SearchRecord(name=name, study=study, **fields))
    return folder
