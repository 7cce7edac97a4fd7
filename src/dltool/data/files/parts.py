"""Files with their classes → parts of examples."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dltool.config.columns import ONE_TARGET
from dltool.data.arrays.rows import Rows
from dltool.data.examples import Part
from dltool.data.files.class_folders import Item
from dltool.errors import ConfigPath


def part_of_items(inputs: Mapping[str, Rows], items: Sequence[Item], place: ConfigPath, name: str) -> Part:
    """`inputs` (items, …), with the items' classes as labels and what a pattern found as columns."""
    columns = {key: text_array(item.columns[key] for item in items) for key in items[0].columns}
    labels = {ONE_TARGET: text_array(item.label for item in items)}
    return Part(inputs, labels, place, name, columns, files=[item.member.name for item in items])


def text_array(texts: Iterable[str]) -> np.ndarray:
    """(texts,) of str objects."""
    found = list(texts)
    array = np.empty(len(found), dtype=object)
    array[:] = found
    return array
