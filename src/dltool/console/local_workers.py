"""Workers of a cluster on this machine: `--workers N` starts the same command N times."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from dltool.console.consoles import data_text, stderr_console
from dltool.errors import ConfigError, MachineError, WorkerLost
from dltool.machine import usable_cores
from dltool.meeting import RESUME

PORTS = range(20_000, 32_000)
"""Below those that the system gives to connections that begin here."""
MOST_FOR_A_CORE = 8
SECONDS_TO_END = 60.0
"""After one worker failed; the others notice by themselves."""

KILLED = {128 + number for number in signal.Signals} - {130, 143}
"""Exit codes of processes that a signal has ended, but for those that end a run with its state saved."""
MOST_SHOWN = 40
"""Lines of a worker's output."""


def run_workers(workers: str) -> int | None:
    """Run this process's command as so many workers, or one for each GPU (`gpus`); return the exit code. None: there
    would be one worker only, which is this process. Raises ConfigError, MachineError."""
    devices = gpus() if workers == "gpus" else None
    most = MOST_FOR_A_CORE * usable_cores()
    if devices is None and not (workers.isdigit() and 0 < int(workers) <= most):
        message = f"--workers: expected a number of processes or gpus, got {workers}"
        raise ConfigError(message, f"at most {most:,} here; on several machines, --cluster HOST:PORT,… --worker K")
    count = int(workers) if devices is None else len(devices)
    if not count:
        raise MachineError("--workers gpus: this machine shows no GPU", "dltool doctor; or --workers 2 on the CPU")
    if count == 1:
        return None
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    with tempfile.TemporaryDirectory(prefix="dltool-workers-") as folder:
        processes = []
        for rank in range(count):
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}}
            own = {"TF_CONFIG": json.dumps(task)}
            own |= {} if devices is None else {"CUDA_VISIBLE_DEVICES": devices[rank]}
            processes.append(started(rank, count, own, None if rank == 0 else Path(folder) / str(rank)))
        codes = ended(processes)
        for rank, code in enumerate(codes):
            if code in KILLED:
                words = f"worker {rank} of {count} was ended by {signal.Signals(code - 128).name}\n  {RESUME}"
                stderr_console().print(words, soft_wrap=True)
                codes[rank] = WorkerLost.exit_code
        # An error of the chief is that of all.
        for rank in range(1, count) if codes[0] in (0, WorkerLost.exit_code) else ():
            show_failure(rank, codes[rank], Path(folder) / str(rank))
    bad = [code for code in codes if code]
    # The cause, not its consequences.
    return next((code for code in bad if code != WorkerLost.exit_code), bad[0] if bad else 0)


def gpus() -> list[str]:
    """Return the GPUs as CUDA_VISIBLE_DEVICES names them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [each.strip() for each in given.split(",") if each.strip()]
    found = [path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")]
    return sorted(found, key=int)


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody uses."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise MachineError("no free ports from 20000 to 32000", "end other programs")


def own_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of the command without `--workers N`."""
    kept, skips = [], False
    for each in arguments:
        if not skips and each != "--workers" and not each.startswith("--workers="):
            kept.append(each)
        skips = each == "--workers" and not skips
    return kept


def started(rank: int, count: int, own: Mapping[str, str], log: Path | None) -> "subprocess.Popen[bytes]":
    """Start a worker on its part of the cores, which decide its threads. The output of others than the chief goes to
    `log`."""
    command = [sys.executable, "-m", "dltool", *own_arguments(sys.argv[1:])]
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    share = len(cores) // count
    output: IO[bytes] | None = None if log is None else log.open("wb")
    try:
        if share:
            # A process inherits it.
            os.sched_setaffinity(0, cores[rank * share : (rank + 1) * share])
        where = {} if output is None else {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, env={**os.environ, **own}, **where)  # type: ignore[call-overload,no-any-return]
    finally:
        if share:
            os.sched_setaffinity(0, cores)
        if output is not None:
            output.close()


def ended(processes: "Sequence[subprocess.Popen[bytes]]") -> list[int]:
    """Wait for all, and return their exit codes; some time after one fails, end the others."""

    def forward(number: int, _: object) -> None:
        # The workers stop together, whoever hears of it. A terminal has sent Ctrl-C to all.
        if number == signal.SIGTERM and processes[0].poll() is None:
            processes[0].send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    deadline = None
    try:
        while any(process.poll() is None for process in processes):
            failed = any(process.returncode for process in processes)
            deadline = deadline or (time.monotonic() + SECONDS_TO_END if failed else None)
            if deadline is not None and time.monotonic() > deadline:
                for process in processes:
                    process.kill()
            time.sleep(0.05)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return [code if code >= 0 else 128 - code for code in (process.wait() for process in processes)]


def show_failure(rank: int, code: int, log: Path) -> None:
    """Show what a worker said, if it was the one that failed."""
    if code and code != WorkerLost.exit_code and code < 128:
        text = log.read_text("utf-8", "replace").strip()
        for line in (f"worker {rank}, exit code {code}:", *text.splitlines()[-MOST_SHOWN:]):
            stderr_console().print(data_text(line), soft_wrap=True)
