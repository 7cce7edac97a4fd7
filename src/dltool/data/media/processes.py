"""Decodes many images at once: here, or in processes of :mod:`dltool.data.media.worker`."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import IO

from dltool.data.files.file_tree import Reader
from dltool.data.files.listing import Member
from dltool.data.media.worker import Fault, ImageWork, decode_rows, to_json
from dltool.errors import MachineError
from dltool.machine import usable_cores

FEW = 500
"""So many are decoded here before a process would have started."""
CHUNK = 128
AHEAD = 2
"""Chunks queued for each process, so that it never waits for this one."""


def decode_all(work: ImageWork, reader: Reader, members: Sequence[Member]) -> list[Fault]:
    """Decode every member into the row of its position in `members`. Return the faults, by row.

    Raises:
        OSError: writing failed.
        MachineError: a process was killed."""
    rows = sorted(enumerate(members), key=lambda pair: pair[1].start)
    processes = min(usable_cores(), len(rows) // FEW)
    if processes == 0 or not sys.executable:
        output = os.open(work.output, os.O_WRONLY | os.O_CLOEXEC)
        try:
            faults = decode_rows(work, reader, output, rows)
        finally:
            os.close(output)
    else:
        faults = decode_in_processes(work, rows, processes)
    return sorted(faults)


def decode_in_processes(work: ImageWork, rows: Sequence[tuple[int, Member]], processes: int) -> list[Fault]:
    chunks = Chunks(rows)
    with ExitStack() as stack:
        started = [stack.enter_context(process_for(work)) for _ in range(processes)]
        with ThreadPoolExecutor(processes, "images") as threads:
            drives = [threads.submit(drive, process, chunks) for process in started]
            try:
                return [fault for each in drives for fault in each.result()]
            except BaseException:
                # Otherwise the threads would continue to the last chunk.
                for process in started:
                    process.kill()
                raise


class Chunks:
    """Members in lines of JSON, handed out once each, thread-safe."""

    def __init__(self, rows: Sequence[tuple[int, Member]]) -> None:
        self._rows = rows
        self._first = 0
        self._lock = threading.Lock()

    def next(self) -> str:
        """Return the next line; empty after the last."""
        with self._lock:
            chunk = self._rows[self._first : self._first + CHUNK]
            self._first += CHUNK
        if not chunk:
            return ""
        return json.dumps([(row, *member) for row, member in chunk]) + "\n"


@contextmanager
def process_for(work: ImageWork) -> Iterator[subprocess.Popen[str]]:
    """Start a process and send it its work. It ends when its input does, even if this process is killed.

    It is a new program, not a fork: TensorFlow may be half imported in another thread."""
    process = started(work)
    with process:
        try:
            send(process, json.dumps(to_json(work)) + "\n")
            yield process
        except BaseException:
            process.kill()
            raise
        finally:
            # Lines that a dead process did not read are still buffered.
            with suppress(BrokenPipeError):
                pipe(process.stdin).close()


def started(work: ImageWork) -> subprocess.Popen[str]:
    """Start the process. Raises MachineError."""
    # -P: no module in the user's folder shadows one of ours.
    command = [sys.executable, "-P", "-m", "dltool.data.media.worker"]
    paths = os.pathsep.join(path for path in sys.path if os.path.isabs(path))
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": paths, "PYTHONUTF8": "1"},
            pass_fds=[work.descriptor] if work.descriptor >= 0 else [],
            # Ctrl-C is for the parent alone, which then ends this one.
            process_group=0,
        )
    except OSError as error:
        raise MachineError(f"no process could be started to decode images: {error}") from None


def drive(process: subprocess.Popen[str], chunks: Chunks) -> list[Fault]:
    """Feed chunks to a process until none are left. Return the faults it found."""
    faults: list[Fault] = []
    waiting = 0
    while True:
        while waiting < AHEAD and (line := chunks.next()):
            send(process, line)
            waiting += 1
        if not waiting:
            return faults
        faults += answer(process)
        waiting -= 1


def send(process: subprocess.Popen[str], line: str) -> None:
    try:
        pipe(process.stdin).write(line)
        pipe(process.stdin).flush()
    except BrokenPipeError:
        raise ended(process) from None


def answer(process: subprocess.Popen[str]) -> list[Fault]:
    line = pipe(process.stdout).readline()
    if not line:
        raise ended(process)
    answer = json.loads(line)
    if "errno" in answer:
        raise OSError(answer["errno"], answer["words"])
    return [Fault(*fault) for fault in answer["faults"]]


def ended(process: subprocess.Popen[str]) -> MachineError:
    code = process.wait()
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return MachineError(f"a process that decodes images {how}", "was there too little memory?")


def pipe(file: IO[str] | None) -> IO[str]:
    assert file is not None
    return file
