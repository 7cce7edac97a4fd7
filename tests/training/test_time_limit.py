"""A process that native code keeps waiting ends in time, with words and its own code."""

import subprocess
import sys

import pytest

WAITS = """
import ctypes
from dltool.training.time_limit import ended_after

with ended_after(float({seconds}), "error: a worker was lost"):
    # Unlike CDLL, it holds the lock of Python meanwhile.
    ctypes.PyDLL(None).usleep({waits})
print("went on")
"""


@pytest.mark.parametrize(("seconds", "waits", "code"), [(0.2, 5_000_000, 8), (30, 1, 0)])
def test_a_process_that_lets_no_thread_run_is_ended(seconds: float, waits: int, code: int) -> None:
    script = WAITS.format(seconds=seconds, waits=waits)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20)
    assert ended.returncode == code
    assert ended.stderr == ("error: a worker was lost\n" if code else "")
    assert ended.stdout == ("" if code else "went on\n")
