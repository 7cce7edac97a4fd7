"""Of eight processes that resume one run at once, one does."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.exactness.configs import write_config
from tests.exactness.conftest import ROOT, Server
from tests.exactness.essence import essence

from dltool.machine import usable_cores

pytestmark = pytest.mark.slow


def test_one_of_eight_wins_and_the_others_leave_at_once(
    server: Server, straight: Callable[..., dict[str, Any]], tmp_path: Path
):
    config, run = write_config(tmp_path, "schedule"), tmp_path / "schedule" / "0001"
    assert server.run("train", config, "--runs", tmp_path, hook="at_step", step=40).code == -signal.SIGKILL
    command = [sys.executable, "-m", "dltool", "resume", str(run)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    processes = {}
    for number in range(8):
        with open(tmp_path / f"errors-{number}", "wb") as errors:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
            )
            processes[process.pid] = number
    begin, busy = time.monotonic(), max(1, os.getloadavg()[0] / usable_cores())
    codes, losers = [], []
    for _ in range(8):
        pid, status, usage = os.wait4(-1, 0)
        code = os.waitstatus_to_exitcode(status)
        codes.append(code)
        text = (tmp_path / f"errors-{processes[pid]}").read_text(errors="replace")
        if code:
            losers.append((usage.ru_utime + usage.ru_stime, usage.ru_maxrss, time.monotonic() - begin))
            assert "is in use by process" in text, text
    print("losers' CPU seconds, KiB of memory, seconds since the start:", losers)
    assert sorted(codes) == [0, *[4] * 7]
    # Alone on a core they would have left by then; TensorFlow takes more of both.
    assert all(seconds < 1 for seconds, _, _ in losers)
    # A core that is shared with other work takes as many times longer.
    assert all(waited < 3 * busy for _, _, waited in losers)
    # The kernel counts the peak of the process that forked it, this one, as its own.
    most = max(250_000, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert all(memory <= most for _, memory, _ in losers)
    assert essence(run) == straight("schedule")
