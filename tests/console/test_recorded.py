"""A real training, recorded in a pseudo-terminal."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pyte
import pytest

CONFIGS = Path(__file__).parents[2] / "configs"


def recorded(folder: Path, columns: int) -> str:
    """What is on the screen when the training is over."""
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
    environment.pop("COLUMNS", None)
    command = [sys.executable, "-m", "dltool", "train", str(CONFIGS / "digits.yaml"), "--set", "training.epochs=2"]
    process = subprocess.Popen(
        [*command, "--set", "expect={}"], cwd=folder, stdin=other, stdout=other, stderr=other, env=environment
    )
    os.close(other)
    screen = pyte.Screen(columns, 40)
    stream = pyte.ByteStream(screen)
    while chunk := read_some(main):
        stream.feed(chunk)
    os.close(main)
    assert process.wait() == 0
    return "\n".join(line.rstrip() for line in screen.display).rstrip() + "\n"


def read_some(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # the other end is closed
        return b""


def normalised(screen: str) -> str:
    """Without what differs from machine to machine: times, and the digits of metrics."""
    screen = re.sub(r"( *)\d+\.\d s\b", lambda found: " " * (len(found[0]) - 5) + "0.0 s", screen)
    screen = re.sub(r"took +.*", "took  0.0 s", screen)
    return re.sub(r"\b\d\.\d{4}\b", "0.0000", screen)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_training_in_a_terminal(columns, tmp_path, golden) -> None:
    golden(f"console/recorded-{columns}", normalised(recorded(tmp_path, columns)))
