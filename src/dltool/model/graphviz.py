"""A model as a drawing: the text of its graph, and Graphviz's program `dot`, which makes an image of it."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from dltool.durable_files import atomic_write
from dltool.errors import MachineError
from dltool.model.graph import Box

DRAWING_SECONDS = 60
ESCAPES = {'"': '\\"', "\\": "\\\\", "&": "&amp;"}
"""Graphviz reads the rest of a quoted text as it is."""


def dot_text(boxes: Sequence[Box], title: str) -> str:
    """The graph in Graphviz's language, the first layers on top. Nothing in a name is read as that language."""
    lines = [
        f"digraph {quoted(title)} {{",
        '  node [shape=box, style=rounded, fontname="sans-serif", fontsize=11];',
        *(f"  n{number} [label={quoted(*box.lines)}];" for number, box in enumerate(boxes)),
        *(f"  n{source} -> n{number};" for number, box in enumerate(boxes) for source in box.sources),
        "}",
    ]
    return "\n".join(lines) + "\n"


def quoted(*lines: str) -> str:
    """Lines of text as one string of Graphviz's. Control characters, which XML cannot hold, are left out."""
    plain = ("".join(c for c in line if c.isprintable()) for line in lines)
    return '"' + "\\n".join("".join(ESCAPES.get(c, c) for c in line) for line in plain) + '"'


def dot_program() -> str:
    """Raises MachineError where nothing can draw."""
    program = shutil.which("dot")
    if program is None:
        hint = "install Graphviz: apt-get install graphviz, brew install graphviz, or https://graphviz.org/download"
        raise MachineError("--svg needs Graphviz's program dot, which is not on this machine", hint)
    return program


def draw(text: str, file: Path) -> None:
    """Write `file`, an SVG image of the graph `text`, as a whole.

    Raises:
        MachineError: Graphviz is missing or fails, or the file cannot be written.
    """
    command = [dot_program(), "-Tsvg"]
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=DRAWING_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        raise MachineError(f"dot failed: {error.stderr.decode(errors='replace').strip()[:300]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(f"dot failed: {error}") from None
    atomic_write(file, done.stdout)
