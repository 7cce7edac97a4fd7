"""The graph of a model, drawn by Graphviz: its layers in order, with the sources of their inputs."""

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
from dltool.errors import ConfigPath, MachineError
from dltool.model.apply import Applied
from dltool.model.build import BuiltModel
from dltool.model.calls import call_of
from dltool.text import Shape, shape_text

DRAWING_SECONDS = 60
ESCAPES = {'"': '\\"', "\\": "\\\\", "&": "&amp;"}
"""Graphviz takes all other characters of a quoted string literally."""


@dataclass(frozen=True)
class Box:
    """An input of the data or a layer; `sources` are the numbers of the boxes it takes its inputs from.

    `shape` is its output's, without the batch axis. `place` is None for an input, `dtype` is None for a layer."""

    title: str
    shape: Shape
    sources: tuple[int, ...] = ()
    parameters: int = 0
    place: ConfigPath | None = None
    dtype: str | None = None


def boxes_of(built: BuiltModel, facts: Facts) -> list[Box]:
    """Return a box for each input of the data and each layer of the plan, skipping unlisted operations between them."""
    boxes: list[Box] = []
    made: dict[int, int] = {}
    raw, starts = by_name(built.full, facts), by_name(built.core, facts)
    for name, found in facts.inputs.items():
        made[id(raw[name])] = len(boxes)
        boxes.append(Box(name, found.shape, dtype=found.dtype))
    prepared = {name: model.outputs[0] for name, model in built.preprocessors.items()}
    # The core has its own input tensors.
    same = {id(start): prepared.get(name, raw[name]) for name, start in starts.items()}

    def sources(tensor: Any) -> list[int]:
        tensor = same.get(id(tensor), tensor)
        if id(tensor) in made:
            return [made[id(tensor)]]
        return [number for taken in call_of(tensor).inputs for number in sources(taken)]

    for layer in built.layers:
        taken = dict.fromkeys(number for tensor in call_of(layer.output).inputs for number in sources(tensor))
        made[id(layer.output)] = len(boxes)
        boxes.append(Box(title(layer), layer.output_shape, tuple(taken), layer.parameters, layer.path))
    return boxes


def by_name(model: Any, facts: Facts) -> dict[str, Any]:
    """Return a model's symbolic inputs by the names of the data's inputs."""
    inputs = model.input
    return dict(inputs) if isinstance(inputs, dict) else {next(iter(facts.inputs)): inputs}


def title(layer: Applied) -> str:
    """Return the layer's class, and its name if the config gives one."""
    is_own = re.fullmatch(rf"{snake_case(layer.name)}(_[0-9]+)?", str(layer.layer.name)) is None
    return f"{layer.name} {layer.layer.name}" if is_own else layer.name


def dot_text(boxes: Sequence[Box], title: str) -> str:
    """Return the graph in the DOT language, first layers on top. Names are quoted."""
    labels = [quoted(box.title, f"{shape_text(box.shape)} {box.dtype or ''}".rstrip()) for box in boxes]
    lines = [
        f"digraph {quoted(title)} {{",
        '  node [shape=box, style=rounded, fontname="sans-serif", fontsize=11];',
        *(f"  n{number} [label={label}];" for number, label in enumerate(labels)),
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
    """Write the graph `text` as an SVG image, atomically. Raises MachineError: Graphviz or writing the file fails."""
    command = [dot_program(), "-Tsvg"]
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=DRAWING_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        raise MachineError(f"dot failed: {error.stderr.decode(errors='replace').strip()[:300]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(f"dot failed: {error}") from None
    atomic_write(file, done.stdout)
