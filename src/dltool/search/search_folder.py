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
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dltool import __version__
from dltool.durable_files import atomic_write, disk_errors, read_file
from dltool.errors import RunError
from dltool.installation import UPDATE
from dltool.runs.directory import SEARCH_RECORD, new_folder, open_run
from dltool.runs.files import DOCUMENT_LIMIT, Run, encode_json, parse_json, run_lock
from dltool.search.rungs import Trial

FORMAT = 1
PATIENCE = 60.0
"""Seconds to wait for the lock of the folder, which a process holds for some milliseconds."""


class Measured(BaseModel):
    """What the first trial, the config as written, has shown: whether less of the metric is better, the epochs at which
    trials are compared, and the threads of each trial."""

    model_config = ConfigDict(frozen=True)
    mode: Literal["min", "max"]
    rungs: tuple[int, ...] = Field(min_length=1)
    threads: int


class SearchRecord(BaseModel):
    """search.json. `seconds` were spent so far; no trial begins after `deadline`, in seconds since 1970."""

    model_config = ConfigDict(frozen=True)
    format: int = FORMAT
    dltool: str = __version__
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
    status: Literal["running", "completed"] = "running"
    result: dict[str, Any] | None = None


class SearchFolder:
    """One search on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.original, self.config, self.best = (path / f"{name}.yaml" for name in ("original", "config", "best"))
        self.journal, self.page, self.trials = path / "journal.log", path / "search.html", path / "trials"
        self.ended: dict[int, Trial] = {}

    def record(self) -> SearchRecord:
        """Read search.json. Raises RunError: it is damaged, or of a newer dltool."""
        file = self.path / SEARCH_RECORD
        found = parse_json(read_file(self.path, SEARCH_RECORD, DOCUMENT_LIMIT), str(file))
        if isinstance(found.get("format"), int) and found["format"] > FORMAT:
            raise RunError(f"{self.path} was written by a newer dltool", UPDATE)
        try:
            return SearchRecord.model_validate(found)
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise RunError(f"{file}: {where} is missing or invalid", "begin a new search") from None

    def write(self, record: SearchRecord) -> SearchRecord:
        self.write_file(self.path / SEARCH_RECORD, (encode_json(record.model_dump(), indent=2) + "\n").encode())
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

    def reached(self, trial: Trial, metric: str) -> Trial:
        """Return a trial with what its run has reached."""
        if trial.number in self.ended:
            return self.ended[trial.number]
        run = self.run(trial.number)
        curve = () if run is None else curve_of(run, metric)
        found = Trial(trial.number, trial.values, curve, run is not None and run.is_complete(), trial.reason)
        if found.is_complete or found.reason:
            self.ended[trial.number] = found
        return found


def curve_of(run: Run, metric: str) -> tuple[float, ...]:
    """Return the values of a metric by epoch; NaN for none."""
    values = (line.get(metric) for line in run.read_metrics())
    return tuple(float(each) if isinstance(each, int | float) else math.nan for each in values)


def open_search(path: Path) -> SearchFolder:
    """Return the search at `path`. Raises RunError: it is damaged."""
    folder = SearchFolder(path.resolve())
    folder.record()
    return folder


def create_search(runs: Path, name: str, files: dict[str, bytes], **fields: Any) -> SearchFolder:
    """Create `runs/NAME/search-0001`, or the next number, with its first `files` and the `fields` of its record.

    Raises ConfigError: `runs` cannot hold runs; MachineError: the disk refuses."""
    folder = SearchFolder(new_folder(runs / name, "search"))
    for file, content in files.items():
        folder.write_file(folder.path / file, content)
    study = f"{name}-{folder.path.name}-{secrets.token_hex(4)}"
    folder.write(SearchRecord(name=name, study=study, **fields))
    return folder
