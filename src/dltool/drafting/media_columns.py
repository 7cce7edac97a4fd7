"""Columns of a table that name images or audio clips: how to declare them, and layers that take them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dltool.data.arrays.rows import Coded
from dltool.data.media import codecs, image_decode
from dltool.data.media.clip import BadClip, ClipHeader
from dltool.data.tables.typed_table import Column, Table
from dltool.drafting.draft import Lines, scalar
from dltool.drafting.folder import convolutions, length_of, spectrogram, survey_images

SAMPLE = 200
"""Files that are looked at, of those that a column names."""


@dataclass(frozen=True)
class Paths:
    """A column of paths: its type with options as YAML has them, what was seen, and the layers from it to one vector.

    The last of the layers is called `features`."""

    declared: Mapping[str, Mapping[str, Any]]
    why: str
    layers: Lines
    features: str


def may_be_paths(column: Column) -> bool:
    """Return whether it holds strings; an identifier is ignored otherwise."""
    return column.kind in ("category", "text") or (column.kind == "ignore" and "distinct texts" in column.why)


def paths_in(table: Table) -> dict[str, Paths]:
    """Return the columns of paths by name. Columns whose files do not exist are left out."""
    found: dict[str, Paths] = {}
    for name, column in table.columns.items():
        values = column.values
        if not (may_be_paths(column) and isinstance(values, Coded)):
            continue
        texts = [str(text) for text in values.values if text]
        features = unlike((*table.columns, *(paths.features for paths in found.values())), "features")
        contents = list(contents_of(texts[:: max(1, len(texts) // SAMPLE)], table.path.parent))
        for extensions, kind in (image_decode.EXTENSIONS, of_images), (codecs.EXTENSIONS, of_clips):
            if contents and all(text.lower().endswith(extensions) for text in texts):
                paths = kind(contents, name, features)
                found |= {} if paths is None else {name: paths}
    return found


def unlike(names: Collection[str], name: str) -> str:
    """Return a name that no column has."""
    while name in names:
        name += "_"
    return name


def contents_of(paths: Iterable[str], folder: Path) -> Iterable[tuple[str, bytes]]:
    """Yield the names and contents of the files that can be read."""
    for path in paths:
        with suppress(OSError, ValueError):
            if (folder / path).is_file():
                yield path, (folder / path).read_bytes()


def of_images(contents: Sequence[tuple[str, bytes]], name: str, features: str) -> Paths | None:
    images = survey_images(content for _, content in contents)
    if images is None:
        return None
    layers = [
        (f"- Rescaling: {{from: {scalar(name)}, scale: $(1 / 255)}}", "from 0…255 to 0…1"),
        *convolutions(images.size, 16, features),
    ]
    options = {"size": [*images.size], "channels": images.channels}
    return Paths({"image": options}, f"images: {images.seen}", layers, features)


def of_clips(contents: Sequence[tuple[str, bytes]], name: str, features: str) -> Paths | None:
    headers: list[ClipHeader] = []
    for file, content in contents:
        with suppress(BadClip):
            header = codecs.clip_header(file, content)
            headers += [] if header is None else [header]
    if not headers:
        return None
    rate, seconds, lengths = length_of(headers)
    layer, (bands, frames) = spectrogram(rate, seconds)
    layers = [
        (f"- MelSpectrogram: {{from: {scalar(name)}, {layer}}}", "below 1e-5 is silence"),
        (f"- Reshape: {{target_shape: [{bands}, -1, 1]}}", "an image of one channel"),
        ("- LayerNormalization: {axis: [1, 2, 3], center: false, scale: false}", "as loud as any other"),
        *convolutions((bands, frames), 16, features),
    ]
    seen = f"audio clips: half last up to {np.median(lengths):.2g} s"
    return Paths({"audio": {"seconds": seconds, "rate": rate}}, seen, layers, features)


def with_paths(paths: Mapping[str, Paths], others: Sequence[str]) -> Lines:
    """Return layers that make one vector of all columns, those of paths and `others`."""
    lines = [line for each in paths.values() for line in each.layers]
    joined = [*(each.features for each in paths.values()), *map(scalar, others)]
    if len(joined) > 1:
        lines.append((f"- Concatenate: {{from: [{', '.join(joined)}]}}", ""))
    return lines
