"""The graph of a model: its layers in order, with the sources of their inputs."""

import re
from dataclasses import dataclass
from typing import Any

from dltool.config.wording import snake_case
from dltool.data.facts import Facts
from dltool.errors import ConfigPath
from dltool.model.apply import Applied
from dltool.model.build import BuiltModel
from dltool.model.calls import call_of
from dltool.text import Shape, shape_text


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

    @property
    def lines(self) -> tuple[str, str]:
        """Return the lines that a drawing shows in the box."""
        return self.title, f"{shape_text(self.shape)} {self.dtype}" if self.dtype else shape_text(self.shape)


def boxes_of(built: BuiltModel, facts: Facts) -> list[Box]:
    """Return a box for each input of the data and each layer of the plan, skipping unlisted operations between them."""
    boxes: list[Box] = []
    made: dict[int, int] = {}
    raw, starts = by_name(built.full, facts), by_name(built.core, facts)
    for name, found in facts.inputs.items():
        made[id(raw[name])] = len(boxes)
        boxes.append(Box(name, found.shape, dtype=found.dtype))
    prepared = {
        name: built.preprocessors[name].outputs[0] if name in built.preprocessors else raw[name] for name in raw
    }
    # The core has its own input tensors.
    same = {id(starts[name]): prepared[name] for name in starts}

    def sources(tensor: Any) -> list[int]:
        tensor = same.get(id(tensor), tensor)
        if id(tensor) in made:
            return [made[id(tensor)]]
        return [number for taken in call_of(tensor).inputs for number in sources(taken)]

    for layer in built.layers:
        found_sources = [number for tensor in call_of(layer.output).inputs for number in sources(tensor)]
        made[id(layer.output)] = len(boxes)
        sources_of = tuple(dict.fromkeys(found_sources))
        boxes.append(Box(title(layer), layer.output_shape, sources_of, layer.parameters, layer.path))
    return boxes


def by_name(model: Any, facts: Facts) -> dict[str, Any]:
    """Return a model's symbolic inputs by the names of the data's inputs."""
    inputs = model.input
    return dict(inputs) if isinstance(inputs, dict) else {next(iter(facts.inputs)): inputs}


def title(layer: Applied) -> str:
    """Return the layer's class, and its name if the config gives one."""
    name = str(layer.layer.name)
    is_own = re.fullmatch(rf"{snake_case(layer.name)}(_[0-9]+)?", name) is None
    return f"{layer.name} {name}" if is_own else layer.name
