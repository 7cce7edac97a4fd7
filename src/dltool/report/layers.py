"""The layers of a model as table rows, with the lines of its graph."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dltool.config.text.tree import format_path
from dltool.model.graph import Box
from dltool.runs.records import origin_of
from dltool.text import shape

MOST_INPUTS = 8
"""Inputs beyond which they share one row."""
LANE, HEIGHT = 16, 34


@dataclass(frozen=True)
class LayerTableRow:
    """A layer. `number` counts from 1, `origin` is its location in the config, `x` that of its dot."""

    number: int
    title: str
    takes: str
    output: str
    parameters: int
    origin: str
    x: float
    lines: tuple[str, ...]


def joined_inputs(boxes: Sequence[Box]) -> list[Box]:
    """Return the boxes, with many inputs joined into one."""
    inputs = sum(box.place is None for box in boxes)
    if inputs <= MOST_INPUTS:
        return list(boxes)
    rest = [
        replace(box, sources=tuple(dict.fromkeys(max(0, source - inputs + 1) for source in box.sources)))
        for box in boxes[inputs:]
    ]
    return [Box(f"{inputs} inputs", (inputs,), dtype="columns"), *rest]


def layer_table(boxes: Sequence[Box], origins: Mapping[str, str]) -> list[LayerTableRow]:
    """Return the rows, a dot in each. An output follows a lane to the last row that takes it, then frees the lane.
    `origins` are by config path, as written by :func:`dltool.config.text.tree.format_path`."""
    last = {source: number for number, box in enumerate(boxes) for source in box.sources}
    lanes: list[int | None] = []
    rows = []
    for number, box in enumerate(boxes):
        incoming = [lanes.index(source) for source in box.sources]
        for position, source in enumerate(lanes):
            if source is not None and last.get(source, -1) <= number:
                lanes[position] = None
        free = [position for position in (*incoming, *range(len(lanes))) if lanes[position] is None]
        mine = free[0] if free else len(lanes)
        if not free:
            lanes.append(None)
        lines = [stroke(position, mine) for position in incoming]
        lines += [f"M{center(position)} 0V{HEIGHT}" for position, source in enumerate(lanes) if source is not None]
        if number in last:
            lanes[mine] = number
            lines.append(f"M{center(mine)} {HEIGHT / 2}V{HEIGHT}")
        takes = "" if list(box.sources) == [number - 1] else ", ".join(str(source + 1) for source in box.sources)
        output = f"{shape(box.shape)} {box.dtype}" if box.dtype else shape(box.shape)
        place = "" if box.place is None else origin_of(format_path(box.place), origins)
        row = LayerTableRow(number + 1, box.title, takes, output, box.parameters, place, center(mine), tuple(lines))
        rows.append(row)
    return rows


def center(lane: int) -> float:
    return lane * LANE + LANE / 2


def stroke(lane: int, mine: int) -> str:
    """Return the path from the top of a lane to the dot of this row."""
    x, end, middle = center(lane), center(mine), HEIGHT / 2
    return f"M{x} 0V{middle}" if x == end else f"M{x} 0C{x} {middle} {end} 0 {end} {middle}"
