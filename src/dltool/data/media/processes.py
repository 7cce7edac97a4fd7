"""Decodes many images at once: here, or in processes of :mod:`dltool.data.media.worker`."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import repeat

from dltool.data.files.listing import Member
from dltool.data.media.worker import Fault, ImageWork, decode_rows
from dltool.errors import MachineError
from dltool.machine import usable_cores

FEW = 500
"""Images that are decoded here in the time that a process takes to start."""
CHUNK = 128
AHEAD = 2
"""Chunks queued for each process, so that it never waits for this one."""
Process = subprocess.Popen[bytes]


def decode_all(work: ImageWork, members: Sequence[Member]) -> list[Fault]:
    """Decode every member into the row of its position in `members`. Return the faults, by row.

    Raises:
        OSError: writing failed.
        MachineError: a process was killed."""
    rows = sorted(enumerate(members), key=lambda pair: pair[1].start)
    processes = min(usable_cores(), len(rows) // FEW)
    if processes == 0 or not sys.executable:
        return sorted(decode_rows(work, rows))
    # Taking the next item of a list's iterator is thread-safe.
    chunks = iter([rows[first : first + CHUNK] for first in range(0, len(rows), CHUNK)])
    with ExitStack() as stack:
        started = [stack.enter_context(process_for(work)) for _ in range(processes)]
        with ThreadPoolExecutor(processes, "images") as threads:
            try:
                found = threads.map(drive, started, repeat(work), repeat(chunks))
                return sorted(fault for faults in found for fault in faults)
            except BaseException:
                # Otherwise the threads would continue to the last chunk.
                for process in started:
                    process.kill()
                raise


@contextmanager
def process_for(work: ImageWork) -> Iterator[Process]:
    """Start a process. It ends when its input does, even if this process is killed.

    It is a new program, not a fork: TensorFlow may be half imported in another thread. Raises MachineError."""
    paths = os.pathsep.join(path for path in sys.path if os.path.isabs(path))
    try:
        process = subprocess.Popen(
            # -P: no module in the user's folder shadows one of ours.
            [sys.executable, "-P", "-c", "from dltool.data.media.worker import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONUTF8": "1"},
            pass_fds=[work.reader.descriptor] if work.reader.descriptor >= 0 else [],
            # Ctrl-C is for the parent alone, which then ends this one.
            process_group=0,
        )
    except OSError as error:
        raise MachineError(f"no process could be started to decode images: {error}") from None
    assert process.stdin is not None
    with process:
        try:
            yield process
        finally:
            # What a dead process did not read is still buffered.
            with suppress(BrokenPipeError):
                process.stdin.close()


def drive(process: Process, work: ImageWork, chunks: Iterator[Sequence[tuple[int, Member]]]) -> list[Fault]:
    """Send a process its work, and chunks until none are left. Return the faults it found."""
    assert process.stdin is not None
    assert process.stdout is not None
    faults: list[Fault] = []
    waiting = 0
    try:
        pickle.dump(work, process.stdin)
        while True:
            while waiting < AHEAD and (chunk := next(chunks, None)):
                pickle.dump(chunk, process.stdin)
                waiting += 1
            process.stdin.flush()
            if not waiting:
                return faults
            answer = pickle.load(process.stdout)  # noqa: S301 (from the process that this one started)
            if isinstance(answer, OSError):
                raise answer
            faults += answer
            waiting -= 1
    except (BrokenPipeError, EOFError, pickle.UnpicklingError):
        code = process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise MachineError(f"a process that decodes images {how}", "was there too little memory?") from None
