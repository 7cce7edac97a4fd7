"""Draw a model: its graph in the DOT language, and an SVG image made by Graphviz's program `dot`."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from dltool.durable_files import atomic_write
from dltool.errors import MachineError
from dltool.model.graph import Box

DRAWING_SECONDS = 60
ESCAPES = {'"': '\\"', "\\": "\\\\", "&": "&amp;"}
"""Graphviz takes all other characters of a quoted string literally."""


def dot_text(boxes: Sequence[Box], title: str) -> str:
    """Return the graph in the DOT language, first layers on top. Names are quoted."""
    lines = [
        f"digraph {quoted(title)} {{",
        '  node [shape=box, style=rounded, fontname="sans-serif", fontsize=11];',
        *(f"  n{number} [label={quoted(*box.lines)}];" for number, box in enumerate(boxes)),
        *(f"  n{source} -> n{number};" for number, box in enumerate(boxes) for source in box.sources),
        "}",
    ]
    return "\n".join(lines) + "\n"


def quoted(*lines: str) -> str:
    """Return lines of text as one DOT string, without control characters, which XML forbids."""
    plain = ("".join(c for c in line if c.isprintable()) for line in lines)
    return '"' + "\\n".join("".join(ESCAPES.get(c, c) for c in line) for line in plain) + '"'


def dot_program() -> str:
    """Return the path of `dot`. Raises MachineError: it is not installed."""
    program = shutil.which("dot")
    if program is None:
        hint = "install Graphviz: apt-get install graphviz, brew install graphviz, or https://graphviz.org/download"
        raise MachineError("--svg needs Graphviz's program dot, which is not on this machine", hint)
    return program


def draw(text: str, file: Path) -> None:
    """Write the graph `text` as an SVG image to `file`, atomically.

    Raises MachineError: Graphviz is missing or fails, or the file cannot be written."""
    command = [dot_program(), "-Tsvg"]
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=DRAWING_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        raise MachineError(f"dot failed: {error.stderr.decode(errors='replace').strip()[:300]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(f"dot failed: {error}") from None
    atomic_write(file, done.stdout)
