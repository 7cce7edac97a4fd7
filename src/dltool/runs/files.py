"""One run directory: the names of its files, how they are read and written, and the lock of its only writer.

A run is not trusted: no links are followed, nothing is executed, sizes are capped."""

import errno
import fcntl
import hashlib
import json
import math
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Literal, Self

from dltool.durable_files import (
    atomic_write,
    disk_errors,
    held_folder,
    open_in_place,
    read_file,
    remove_temporaries,
    replace_folder,
    sync,
)
from dltool.errors import MachineError, RunError
from dltool.text import joined, os_words

Status = Literal["running", "completed", "failed", "interrupted"]

DOCUMENT_LIMIT = 16 * 2**20  # bytes of a config, run.json or results.json
METRICS_LIMIT = 64 * 2**20
OWN_TABLE = "data.parquet"
PARTS = ("folds", "seeds")
"""Folders of runs inside a run."""
PART = re.compile(r"[1-9][0-9]{0,2}")
"""The name of a run in such a folder."""
DEEPEST = 100
"""Most levels of a JSON document: Python's limit ends whoever walks through a deep one."""
LINE_LIMIT = 2**20  # bytes of a line of metrics.jsonl
SECONDS_BETWEEN_SYNCS = 1.0  # of metrics.jsonl, as epochs may be short
PATIENCE = 0.1  # seconds; a process that only tests the lock holds it for some microseconds


class Inside:
    """The path of a file or folder of a run, existing or not. A folder's name ends with a slash."""

    def __init__(self, name: str, contents: str) -> None:
        self.name, self.contents = name, contents

    def __get__(self, run: "Run", _: type["Run"] | None = None) -> Path:
        return run.path / self.name


@dataclass(frozen=True)
class Run:
    """One run directory: the paths of its files, and methods to read and write them.

    Only the process that holds the lock may write, see :func:`dltool.runs.directory.create` and :meth:`locked`."""

    path: Path

    config = Inside("config.yaml", "The config as written, byte for byte.")
    resolved = Inside("resolved.yaml", "Every value in force; what later commands read.")
    record = Inside(
        "run.json", "Status (running, completed, failed or interrupted), versions, machine, git commit, data hashes."
    )
    split = Inside("split.npz", "The row numbers of the training, validation and test split.")
    table = Inside(OWN_TABLE, "The DataFrame that `dltool.train(…, data=frame)` was given.")
    metrics = Inside("metrics.jsonl", "One line for each epoch: loss, metrics, learning rate, seconds.")
    results = Inside("results.json", "Written last: test metrics with intervals, best epoch, expectations, thresholds.")
    model = Inside("model.keras", "The best model with its preprocessing: raw inputs in, predictions out.")
    report = Inside("report.html", "The report, one file that loads nothing.")
    report_numbers = Inside("report.json", "The numbers of the report.")
    origins = Inside("origins.json", "The origin of each config value.")
    log = Inside("log.txt", "The terminal output, and the log messages of TensorFlow.")
    lock = Inside("lock", "Held by the process that writes the run; it names that process.")
    preprocessing = Inside("preprocessing/", "The state of fitted preprocessing: vocabularies, means and variances.")
    checkpoints = Inside("checkpoints/", "The training state, newest two; `best.weights.h5` is of the best epoch.")
    start = Inside("start/", "With `model.start`, a copy of the weights that the training started with.")
    evaluation = Inside(
        "evaluation/",
        "A folder for each evaluation, such as `test/`: its metrics, predictions, figures and `distributions.json`.",
    )
    explanation = Inside("explanation/", "Folders: `test/explanation.json`, `examples.npz`, `figures/`.")
    exports = Inside("exports/", "A folder for each verified export, such as `onnx/`: the model and `check.json`.")
    figures = Inside("figures/", "The learning curves and the figures of further sections, as SVG.")
    folds = Inside("folds/", "With `data.split.folds`, a run for each fold: `folds/1`, …, without model and report.")
    seeds = Inside("seeds/", "With `training.seeds`, a run for each further seed: `seeds/2`, …, likewise.")
    parts_record = Inside("parts.json", "The config of each fold or further seed.")
    outputs = Inside("outputs.npz", "Of a fold or seed, the model's outputs for the test examples.")
    tensorboard = Inside("tensorboard/", "Event files, if the config has `track: [tensorboard]`.")
    profile = Inside("profile/", "Seconds by activity and a trace of some steps, if `--profile` was given.")

    @property
    def best_weights(self) -> Path:
        return self.checkpoints / "best.weights.h5"

    @property
    def whole(self) -> "Run | None":
        """Return the run of which this run is a fold or seed; None if it stands alone."""
        above = self.path.absolute().parent
        return Run(above.parent) if above.name in PARTS and os.path.lexists(above.parent / "run.json") else None

    @property
    def parts(self) -> list["Run"]:
        """Return the runs of the folds or seeds in this run, by number."""
        found = [Run(path) for name in PARTS for path in (self.path / name).glob("*") if PART.fullmatch(path.name)]
        return sorted((run for run in found if os.path.lexists(run.record)), key=lambda run: int(run.number))

    @property
    def own_table(self) -> Path | None:
        """Return the table that the run holds, or the run of which it is a part; None if neither does."""
        tables = (run.table for run in (self, self.whole) if run is not None)
        return next((table for table in tables if table.is_file() and not table.is_symlink()), None)

    @property
    def name(self) -> str:
        return self.path.absolute().parent.name

    @property
    def number(self) -> str:
        return self.path.name

    def read(self, path: Path, limit: int = DOCUMENT_LIMIT) -> bytes:
        """Return the bytes of one of the run's files. Raises RunError, also for more than `limit` bytes."""
        return read_file(self.path, str(path.relative_to(self.path)), limit)

    def read_json(self, path: Path) -> dict[str, Any]:
        """Read one of the run's JSON documents. Raises RunError."""
        return parse_json(self.read(path), str(path))

    def is_complete(self) -> bool:
        """Return whether the status is "completed". Raises RunError."""
        return self.read_json(self.record).get("status") == "completed"

    def write_json(self, path: Path, value: Mapping[str, Any]) -> None:
        """Replace one of the run's JSON documents; NaN and infinities become null. Raises MachineError."""
        self.write(path, (encode_json(value, indent=2) + "\n").encode())

    def write(self, path: Path, data: bytes) -> None:
        """Replace one of the run's files as a whole. Raises MachineError, and RunError for a link on the way."""
        atomic_write(path, data, self.path)

    def directory(self, path: Path) -> Path:
        """Create a folder of the run if it is missing. Raises MachineError, and RunError if it is a link."""
        inside = path.relative_to(self.path)
        for folder in [*(self.path / parent for parent in reversed(inside.parents[:-1])), path]:
            creating = disk_errors(folder, "create")
            with creating, held_folder(folder.parent, self.path) as parent, suppress(FileExistsError):
                os.mkdir(parent / folder.name)
        with disk_errors(path, "open"), held_folder(path, self.path):
            return path

    def replace_folder(self, path: Path, files: Mapping[str, bytes]) -> None:
        """Replace a folder of the run by files, by their paths. Raises MachineError, and RunError for a link."""
        self.directory(path.parent)
        if path.is_symlink() or (os.path.lexists(path) and not path.is_dir()):
            raise RunError(f"{path} is not a folder; a run directory holds no links")
        replace_folder(path, files, self.path)

    def update(self, status: Status, **fields: Any) -> None:
        """Set the status and further fields in run.json. The reason of a failure is dropped with that status.

        Raises RunError, MachineError."""
        record = {**self.read_json(self.record), "status": status, **fields}
        if status != "failed":
            record.pop("reason", None)
            record.pop("exit_code", None)
        self.write_json(self.record, record)

    def refuse_missing(self, is_trained: bool, has_model: bool) -> None:
        """Raise RunError for entries of a run that another program has removed, or replaced by links. Those of training
        are there if it `is_trained`, the model for other programs if it `has_model`."""
        first = (self.config, self.resolved, self.record, self.split, self.preprocessing)
        trained = (self.metrics, self.best_weights) if is_trained else ()
        needed = (*first, *trained, *((self.model,) if has_model else ()))
        if gone := [path.name for path in needed if path.is_symlink() or not path.exists()]:
            message = f"{joined(gone, 'and')} in {self.path} {'was' if len(gone) == 1 else 'were'} removed or replaced"
            raise RunError(f"{message} by another program", "train a new run")

    def write_metrics(self, lines: list[dict[str, Any]]) -> None:
        """Replace metrics.jsonl: a resumed run drops the epochs after its checkpoint. Raises MachineError."""
        self.write(self.metrics, "".join(encode_json(line) + "\n" for line in lines).encode())

    def read_metrics(self) -> list[dict[str, Any]]:
        """Read metrics.jsonl without an incomplete last line; empty before the first epoch. Raises RunError."""
        if not os.path.lexists(self.metrics):
            return []
        *lines, _torn = self.read(self.metrics, METRICS_LIMIT).split(b"\n")
        if any(len(line) > LINE_LIMIT for line in lines):
            raise RunError(f"{self.metrics} has a line of more than {LINE_LIMIT:,} bytes")
        return [parse_json(line, f"{self.metrics}:{number}") for number, line in enumerate(lines, 1)]

    def is_locked(self) -> bool:
        """Return whether a living process writes this run."""
        try:
            descriptor = os.open(self.lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
        finally:
            os.close(descriptor)
        return False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make this process the only writer until the block or the process ends. Raises as :func:`run_lock`."""
        with run_lock(self.path):
            for folder in (self.path, self.checkpoints, self.evaluation, self.figures):
                if folder.is_dir() and not folder.is_symlink():
                    remove_temporaries(folder)
            yield


CONTENTS = {inside.name: inside.contents for inside in vars(Run).values() if isinstance(inside, Inside)}
"""The files and folders of a run, each with a description."""


@contextmanager
def run_lock(path: Path) -> Iterator[None]:
    """Hold the lock of the run at `path` until the block or the process ends.

    Raises RunError: another process, which is named, holds it; MachineError: locks do not work."""
    file = path / "lock"
    with disk_errors(file):
        descriptor = open_in_place(file)
    try:
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise MachineError(f"{os_words(error)}: cannot lock {file}") from error
                if time.monotonic() > give_up:
                    holder = " ".join(os.pread(descriptor, 300, 0).decode("ascii", "replace").split())
                    message = f"{path} is in use by {holder or 'another process'}"
                    raise RunError(message, "wait for it to end, or stop it") from error
                time.sleep(0.02)
        # Runs can be removed even when the disk is full.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode("ascii", "replace"), 0)
        yield
    finally:
        os.close(descriptor)


def digest(content: bytes) -> str:
    """Return the digest by which run.json detects a changed file."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def encode_json(value: Mapping[str, Any], indent: int | None = None) -> str:
    """Encode standard JSON: NaN and infinities become null."""
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def parse_json(data: bytes, where: str) -> dict[str, Any]:
    """Parse a JSON object from untrusted text. Raises RunError."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{where} is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise RunError(f"{where} is not a JSON object")
    if is_deep(value):
        raise RunError(f"{where} is nested in more than {DEEPEST} levels")
    return value


def is_deep(value: dict[str, Any]) -> bool:
    """Return whether lists and objects are nested in more than DEEPEST levels."""
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        inside = (node.values() if isinstance(node, dict) else node for node in level)
        level = [child for children in inside for child in children if isinstance(child, dict | list)]
        if not level:
            return False
    return True


class MetricsLog:
    """A run's metrics.jsonl, open for appending, without an incomplete last line. Raises MachineError."""

    def __init__(self, run: Run) -> None:
        self.path, self.synced = run.metrics, -math.inf
        with disk_errors(self.path):
            self.file = FileIO(open_in_place(self.path), "r+")
            self.end = self.file.read().rfind(b"\n") + 1
            self.file.truncate(self.end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        # The error that ended the block is the one to report.
        with self.file, suppress(MachineError) if error else nullcontext():
            self.sync()

    def append(self, values: Mapping[str, Any]) -> None:
        """Append one line atomically; it is synced within a second. After a power failure, a resumed run has the
        lost lines in its checkpoint or repeats their epochs. Raises MachineError, and RunError: the file is gone."""
        line = (encode_json(values) + "\n").encode()
        self.refuse_other_file()
        try:
            with disk_errors(self.path):
                self.file.seek(self.end)
                if self.file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if time.monotonic() - self.synced >= SECONDS_BETWEEN_SYNCS:
                self.sync()
        except MachineError:
            with suppress(OSError):
                self.file.truncate(self.end)
            raise
        self.end += len(line)

    def refuse_other_file(self) -> None:
        """Raise RunError if the open file is no longer the run's: it, or the whole run, was removed or replaced."""
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(self.file.fileno()), os.lstat(self.path)):
                return
        raise RunError(f"{self.path} was removed or replaced by another program", "train a new run")

    def sync(self) -> None:
        """Sync the lines to disk. Raises MachineError."""
        with disk_errors(self.path):
            os.fsync(self.file.fileno())
            if self.synced == -math.inf:
                sync(self.path.parent)
        self.synced = time.monotonic()
