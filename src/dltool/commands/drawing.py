"""A model as a drawing: the text of its graph, and Graphviz's program `dot`, which makes a picture of it."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dltool.config.wording import snake_case
from dltool.data.facts import Facts
from dltool.durable_files import atomic_write
from dltool.errors import ConfigError, MachineError
from dltool.model.apply import Applied
from dltool.model.build import BuiltModel
from dltool.model.calls import call_of
from dltool.model.shapes import shown

DRAWING_SECONDS = 60
ESCAPES = {'"': '\\"', "\\": "\\\\", "&": "&amp;"}
"""Graphviz reads the rest of a quoted text as it is."""


@dataclass(frozen=True)
class Box:
    """One layer of a drawing: the lines of text in it, and the numbers of the boxes that it takes its inputs from."""

    lines: tuple[str, ...]
    sources: tuple[int, ...]


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


def boxes_of(built: BuiltModel, facts: Facts) -> list[Box]:
    """A box for each input of the data and each layer of the plan; what lies between them unlisted is passed over."""
    boxes: list[Box] = []
    made: dict[int, int] = {}
    raw, starts = by_name(built.full, facts), by_name(built.core, facts)
    for name, found in facts.inputs.items():
        made[id(raw[name])] = len(boxes)
        boxes.append(Box((name, f"{shown(found.shape)} {found.dtype}"), ()))
    prepared = {name: built.preparations[name].outputs[0] if name in built.preparations else raw[name] for name in raw}
    # The core begins with inputs of its own.
    same = {id(starts[name]): prepared[name] for name in starts}

    def sources(tensor: Any) -> list[int]:
        tensor = same.get(id(tensor), tensor)
        if id(tensor) in made:
            return [made[id(tensor)]]
        return [number for taken in call_of(tensor).inputs for number in sources(taken)]

    for layer in built.layers:
        found_sources = [number for tensor in call_of(layer.output).inputs for number in sources(tensor)]
        made[id(layer.output)] = len(boxes)
        boxes.append(Box((title(layer), shown(layer.output_shape)), tuple(dict.fromkeys(found_sources))))
    return boxes


def by_name(model: Any, facts: Facts) -> dict[str, Any]:
    """The symbolic inputs of a model by the names of the data's inputs."""
    inputs = model.input
    return dict(inputs) if isinstance(inputs, dict) else {next(iter(facts.inputs)): inputs}


def title(layer: Applied) -> str:
    """The class, and the name where the config gives one."""
    name = str(layer.layer.name)
    is_own = re.fullmatch(rf"{snake_case(layer.name)}(_[0-9]+)?", name) is None
    return f"{layer.name} {name}" if is_own else layer.name


def check_svg(file: Path) -> None:
    """Raises ConfigError where the drawing cannot be written there, MachineError where nothing can draw it."""
    if file.suffix.lower() != ".svg":
        raise ConfigError(f"--svg {file}: the drawing is an SVG file", f"--svg {file.stem or 'model'}.svg")
    if file.is_dir():
        raise ConfigError(f"--svg {file} is a folder; a file is expected")
    if not file.parent.is_dir():
        raise ConfigError(f"--svg {file}: there is no folder {file.parent}")
    dot_program()


def dot_program() -> str:
    program = shutil.which("dot")
    if program is None:
        hint = "install Graphviz: apt-get install graphviz, brew install graphviz, or https://graphviz.org/download"
        raise MachineError("--svg needs Graphviz's program dot, which is not on this machine", hint)
    return program


def draw(text: str, file: Path) -> None:
    """Write `file`, an SVG picture of the graph `text`, as a whole.

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
