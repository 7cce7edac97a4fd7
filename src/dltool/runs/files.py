"""One run directory: the names of its files, and how they are read and written.

What is read from a run is not trusted: no links are followed, nothing is executed, sizes are capped.
"""

import errno
import hashlib
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, Literal

from dltool.durable_files import (
    atomic_write,
    disk_errors,
    open_file,
    open_in_place,
    read_file,
    remove_temporaries,
    replace_folder,
    sync,
)
from dltool.errors import MachineError, RunError
from dltool.runs import lock

Status = Literal["running", "completed", "failed", "interrupted"]
FAILURE = ("reason", "exit_code")
"""What run.json says of a failed run besides."""

DOCUMENT_LIMIT = 16 * 2**20
"""Bytes that a config, run.json or results.json may have."""
METRICS_LIMIT = 64 * 2**20
LINE_LIMIT = 2**20
"""Bytes that a line of metrics.jsonl may have."""
SECONDS_BETWEEN_SYNCS = 1.0
"""Of metrics.jsonl: short epochs end more often than a disk likes."""


@dataclass(frozen=True)
class Run:
    """One run directory. The properties name its files, which need not exist; the methods read and write them.

    Only the process that holds the lock (see :func:`dltool.runs.directory.create` and :meth:`locked`) may write.
    """

    path: Path

    @property
    def name(self) -> str:
        return self.path.absolute().parent.name

    @property
    def number(self) -> str:
        return self.path.name

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def resolved(self) -> Path:
        return self.path / "resolved.yaml"

    @property
    def record(self) -> Path:
        return self.path / "run.json"

    @property
    def split(self) -> Path:
        return self.path / "split.npz"

    @property
    def preprocessing(self) -> Path:
        return self.path / "preprocessing"

    @property
    def profile(self) -> Path:
        return self.path / "profile"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def results(self) -> Path:
        return self.path / "results.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def best_weights(self) -> Path:
        return self.checkpoints / "best.weights.h5"

    @property
    def model(self) -> Path:
        return self.path / "model.keras"

    @property
    def evaluation(self) -> Path:
        return self.path / "evaluation"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def origins(self) -> Path:
        """Where each value of the config was decided."""
        return self.path / "origins.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def report_numbers(self) -> Path:
        return self.path / "report.json"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    def open(self, path: Path) -> BinaryIO:
        """Opens one of the run's files for reading, never through a link. Raises RunError."""
        return open_file(self.path, str(path.relative_to(self.path)))

    def read(self, path: Path, limit: int = DOCUMENT_LIMIT) -> bytes:
        """The bytes of one of the run's files. Raises RunError, also where it has more than `limit` bytes."""
        return read_file(self.path, str(path.relative_to(self.path)), limit)

    def read_json(self, path: Path) -> dict[str, Any]:
        """One of the run's JSON documents. Raises RunError."""
        return parse_json(self.read(path), str(path))

    def is_complete(self) -> bool:
        """Whether run.json says so. Raises RunError."""
        return self.read_json(self.record).get("status") == "completed"

    def write_json(self, path: Path, value: Mapping[str, Any]) -> None:
        """Replaces one of the run's JSON documents as a whole; NaN and infinities become null. Raises MachineError."""
        atomic_write(path, (encode_json(value, indent=2) + "\n").encode())

    def directory(self, path: Path) -> Path:
        """Makes a folder of the run where it is missing. Raises MachineError, and RunError where it is a link."""
        inside = path.relative_to(self.path)
        for folder in [*(self.path / parent for parent in reversed(inside.parents[:-1])), path]:
            with disk_errors(folder, "create"), suppress(FileExistsError):
                os.mkdir(folder)
            if folder.is_symlink() or not folder.is_dir():
                raise RunError(f"{folder} is not a folder; a run directory holds no links")
        return path

    def replace_folder(self, path: Path, files: Mapping[str, bytes]) -> None:
        """Replaces a folder of the run by one with these files, by their paths below it.

        Raises MachineError, and RunError where a link is in the way.
        """
        self.directory(path.parent)
        if path.is_symlink() or (os.path.lexists(path) and not path.is_dir()):
            raise RunError(f"{path} is not a folder; a run directory holds no links")
        replace_folder(path, files)

    def update(self, status: Status, **fields: Any) -> None:
        """Sets the status, and further fields, in run.json. Why a run failed is there as long as that is its status.

        Raises RunError, MachineError.
        """
        record = {**self.read_json(self.record), "status": status, **fields}
        if status != "failed":
            for name in FAILURE:
                record.pop(name, None)
        self.write_json(self.record, record)

    def preprocessing_digests(self, limit: int) -> dict[str, str]:
        """The digest of every file that preprocessing left, by its path below. Raises RunError, also where one of them
        has more than `limit` bytes.
        """
        files = [Path(folder) / name for folder, _, names in os.walk(self.preprocessing) for name in names]
        return {file.relative_to(self.preprocessing).as_posix(): digest(self.read(file, limit)) for file in files}

    @contextmanager
    def metrics_log(self) -> Iterator["MetricsLog"]:
        """metrics.jsonl, to add lines to. At the end of the block all of them are on the disk.

        A line that an earlier writer left torn is removed first. Raises MachineError.
        """
        with disk_errors(self.metrics):
            file = open(open_in_place(self.metrics), "r+b", buffering=0)  # noqa: SIM115 (closed below)
        with file:
            log = MetricsLog(self.metrics, file)
            try:
                yield log
            except BaseException:
                # What ended the block is the error to report.
                with suppress(MachineError):
                    log.sync()
                raise
            log.sync()

    def write_metrics(self, lines: list[dict[str, Any]]) -> None:
        """Replaces metrics.jsonl: a resumed run drops the epochs after its checkpoint. Raises MachineError."""
        atomic_write(self.metrics, "".join(encode_json(line) + "\n" for line in lines).encode())

    def read_metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, without a torn last one; empty before the first epoch. Raises RunError."""
        if not os.path.lexists(self.metrics):
            return []
        *lines, _torn = self.read(self.metrics, METRICS_LIMIT).split(b"\n")
        if any(len(line) > LINE_LIMIT for line in lines):
            raise RunError(f"{self.metrics} has a line of more than the {LINE_LIMIT:,} bytes that one may have")
        return [parse_json(line, f"{self.metrics}:{number}") for number, line in enumerate(lines, 1)]

    def is_locked(self) -> bool:
        """Whether a living process writes this run."""
        return lock.is_held(self.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Makes this process the only writer; the lock ends with the body or the process, however it dies.

        Raises RunError at once where another process is the writer, naming it; MachineError where locks do not work.
        """
        descriptor = lock.acquire(self.path)
        try:
            for folder in (self.path, self.checkpoints, self.evaluation, self.figures):
                if folder.is_dir() and not folder.is_symlink():
                    remove_temporaries(folder)
            yield
        finally:
            os.close(descriptor)


def digest(content: bytes) -> str:
    """What run.json says of a file, to tell by whether it has changed."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def encode_json(value: Mapping[str, Any], indent: int | None = None) -> str:
    """JSON as the standard has it: NaN and infinities become null."""
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def parse_json(data: bytes, where: str) -> dict[str, Any]:
    """A JSON object from untrusted text. Raises RunError."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{where} is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise RunError(f"{where} is not a JSON object")
    return value


class MetricsLog:
    """metrics.jsonl of a run, open for more lines; see :meth:`Run.metrics_log`."""

    def __init__(self, path: Path, file: FileIO) -> None:
        self.path, self.file = path, file
        self.synced = -math.inf
        with disk_errors(path):
            self.end = _end_of_whole_lines(file)
            file.truncate(self.end)

    def append(self, values: Mapping[str, Any]) -> None:
        """Adds one whole line, or nothing; at most a second later it is on the disk. Raises MachineError.

        Lines that a power failure takes are those of epochs that a resumed run trains again, or knows from its
        checkpoint.
        """
        line = (encode_json(values) + "\n").encode()
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

    def sync(self) -> None:
        """Brings the lines to the disk. Raises MachineError."""
        with disk_errors(self.path):
            os.fsync(self.file.fileno())
            if self.synced == -math.inf:
                sync(self.path.parent)
        self.synced = time.monotonic()


def _end_of_whole_lines(file: FileIO) -> int:
    """The position after the last newline; where the file ends with one, found without reading it."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 65_536)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
