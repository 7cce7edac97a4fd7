"""The graph of a model: its layers in order, each with where its inputs come from."""

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
    """An input of the data or a layer, and the numbers of the boxes that it takes its inputs from.

    `shape` is that of its output without the batch axis; `place` is None for an input, and `dtype` for a layer.
    """

    title: str
    shape: Shape
    sources: tuple[int, ...] = ()
    parameters: int = 0
    place: ConfigPath | None = None
    dtype: str | None = None

    @property
    def lines(self) -> tuple[str, str]:
        """What a drawing says of it."""
        return self.title, f"{shape_text(self.shape)} {self.dtype}" if self.dtype else shape_text(self.shape)


def boxes_of(built: BuiltModel, facts: Facts) -> list[Box]:
    """A box for each input of the data and each layer of the plan; what lies between them unlisted is passed over."""
    boxes: list[Box] = []
    made: dict[int, int] = {}
    raw, starts = by_name(built.full, facts), by_name(built.core, facts)
    for name, found in facts.inputs.items():
        made[id(raw[name])] = len(boxes)
        boxes.append(Box(name, found.shape, dtype=found.dtype))
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
        sources_of = tuple(dict.fromkeys(found_sources))
        boxes.append(Box(title(layer), layer.output_shape, sources_of, layer.parameters, layer.path))
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
