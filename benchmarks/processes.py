# ruff: noqa: T201 (a program that prints)
"""Programs as whole processes: what they took, as the system counts it, and tables of medians."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

KIBIBYTE = 1024


@dataclass(frozen=True)
class Cost:
    """Seconds of wall and of processor time, peak memory in MB, and what the program printed."""

    wall: float
    cpu: float
    memory: float
    output: str


def run(command: Sequence[str], folder: Path) -> Cost:
    """Run a program in `folder`.

    Raises:
        SystemExit: it fails; with the end of what it said.
    """
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=errors, cwd=folder, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        for file in (output, errors):
            file.seek(0)
        if process.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{errors.read()[-2000:]}")
        return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * KIBIBYTE / 1e6, output.read())


def in_turn(commands: Mapping[str, Sequence[str]], folder: Path, times: int) -> dict[str, list[Cost]]:
    """Each program `times` times: A B C, C B A, A B C, …, so that a drift of the machine meets all alike.

    `{number}` in a command is the number of the round, from 1 on.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(times):
        for name in list(commands)[:: 1 if number % 2 == 0 else -1]:
            command = [word.replace("{number}", str(number + 1)) for word in commands[name]]
            costs[name].append(run(command, folder))
            print(f"  {number + 1}/{times} {name:8} {costs[name][-1].wall:8.2f} s", file=sys.stderr, flush=True)
    return costs


def spread(values: Sequence[float], digits: int) -> str:
    """The median, and from where to where."""
    least, middle, most = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({least:.{digits}f} to {most:.{digits}f})"


def show_table(title: str, rows: Mapping[str, Sequence[str]], header: Sequence[str]) -> None:
    """A table in plain text, which is Markdown as well."""
    lines = [header, *([name, *cells] for name, cells in rows.items())]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    print(f"\n{title}\n")
    for number, line in enumerate(lines):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    sys.stdout.flush()
