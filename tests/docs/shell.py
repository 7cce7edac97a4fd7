"""Runs the commands of a page on a terminal, as a reader would, and compares what they print with the page."""

import difflib
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
from tests.docs.pages import ROOT

COLUMNS, LINES = 120, 2000
GAP = "…"


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a reader: `dltool` and `python` on the path, a terminal, a home of their own."""
    programs = folder.parent / "bin"
    programs.mkdir(exist_ok=True)
    for name, arguments in (("dltool", "-m dltool "), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n', "utf-8")
        (programs / name).chmod(0o755)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COLUMNS", "NO_COLOR"))}
    return kept | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'src'}:{os.environ.get('PYTHONPATH', '')}",
        "TERM": "xterm-256color",
        "LC_ALL": "C.UTF-8",
        "XDG_CACHE_HOME": str(folder.parent / "cache"),
    }


def run(command: str, folder: Path) -> tuple[int, str]:
    """Run a command on a terminal; return its exit code and what is on the screen when it has ended."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(folder),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # Linux says so where the last writer is gone
            break
        if not chunk:
            break
        stream.feed(chunk)
    code = process.wait()  # before the terminal is closed, which would end what still runs
    os.close(master)
    shown = "\n".join(line.rstrip() for line in screen.display[: screen.cursor.y + 1])
    return code, shown.rstrip("\n") + "\n"


def shape_of(line: str) -> str:
    """Return a line of output without what differs from run to run and machine to machine."""
    line = re.sub(r"[▁▂▃▄▅▆▇█]+", "~", line.rstrip())
    line = re.sub(r"^( *\d+/\d+ .*?)  +best$", r"\1", line)
    line = re.sub(r"(?<![\w])[+-](?=\d)", "", line)
    line = re.sub(r"\d[\d,.]*(e[+-]\d+)?", "0", line)
    return re.sub(r"\s+", " ", line).replace("0 min 0 s", "0 s").strip()


def segments(text: str) -> list[list[str]]:
    """Split what a page shows at the lines that say that something is left out."""
    parts: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.strip() == GAP:
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def missing(shown: str, printed: str) -> list[str]:
    """Return the first part of what is shown that is not printed in its place; nothing if all is printed."""
    lines = [shape_of(line) for line in printed.splitlines()]
    parts = segments(shown)
    begin = 0
    for number, part in enumerate(parts):
        shapes = [shape_of(line) for line in part]
        last = len(lines) - len(shapes)
        is_last = number == len(parts) - 1 and bool(part)
        starts = range(max(begin, last) if is_last else begin, (begin if number == 0 else last) + 1)
        start = next((start for start in starts if lines[start : start + len(shapes)] == shapes), None)
        if start is None:
            return part
        begin = start + len(shapes)
    return []


def refreshed(shown: str, printed: str) -> str:
    """Return what is printed, with the same lines left out as before."""
    parts, lines = segments(shown), printed.splitlines()
    if len(parts) == 1:
        return printed
    begin, written = 0, []
    for number, part in enumerate(parts):
        last = max(begin, len(lines) - len(part))
        if number == 0:
            start = 0
        elif number == len(parts) - 1:
            start = last
        else:
            likeness = [alike(part, lines[start:]) for start in range(begin, last + 1)]
            start = begin + likeness.index(max(likeness))
        begin = start + len(part)
        written.append("\n".join(lines[start:begin]))
    return f"\n{GAP}\n".join(written).strip("\n") + "\n"


def alike(part: list[str], lines: list[str]) -> float:
    """Return how much lines resemble those of a part, from 0 to 1."""
    one, other = ("\n".join(map(shape_of, some)) for some in (part, lines[: len(part)]))
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
