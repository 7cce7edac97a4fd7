"""Columns of a table that name images or audio clips: how to declare them, and layers that take them."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import product
from os.path import commonprefix
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from dltool.data.arrays.rows import Coded
from dltool.data.files.listing import NOT_DATA
from dltool.data.media import codecs, image_decode
from dltool.data.media.clip import BadClip, ClipHeader
from dltool.data.media.load import slashed
from dltool.data.tables.inference import ROW_NUMBERS
from dltool.data.tables.typed_table import Column, Table
from dltool.drafting.draft import Lines, in_comment, scalar
from dltool.drafting.folder import convolutions, length_of, spectrogram, survey_images

SAMPLE = 200
"""Files that are looked at, of those that a column names."""
LOOKED_FOR = 20
"""Files whose existence decides where all are."""
ENDINGS = (*image_decode.EXTENSIONS, *codecs.EXTENSIONS)
MOST_FOLDERS = 100
DEEPEST = 3


@dataclass(frozen=True)
class Paths:
    """A column of paths: its type with options as YAML has them, what was seen, and the layers from it to one vector.

    The last of the layers is called `features`."""

    declared: Mapping[str, Mapping[str, Any]]
    why: str
    layers: Lines
    features: str


def may_be_names(column: Column) -> bool:
    """Return whether files may be called like its values: strings, or the numbers of rows or files."""
    if column.kind == "number":
        return column.distinct is None or 2 * column.distinct > len(column.values)
    return column.kind in ("category", "text") or column.why == ROW_NUMBERS or "distinct texts" in column.why


def paths_in(table: Table, places: Sequence[tuple[str, str]], target: str) -> dict[str, Paths]:
    """Return the columns of paths by name, without the target. `places` are the folders of files, with their endings.
    Columns whose files do not exist are left out."""
    found: dict[str, Paths] = {}
    for name, column in table.columns.items():
        if name == target or not isinstance(column.values, Coded):
            continue
        texts = [slashed(str(text)) for text in column.values.values if text]
        sample = texts[:: max(1, len(texts) // SAMPLE)]
        where = where_files_are(sample, table.path.parent, places)
        if where is None:
            continue
        names = [text.removeprefix(where.get("remove", "")) + where.get("ending", "") for text in sample]
        folders = [table.path.parent / folder for folder in alike(where.get("folder", ""), places)]
        contents = list(contents_of(names, folders))
        features = unlike((*table.columns, *(paths.features for paths in found.values())), "features")
        for extensions, kind in (image_decode.EXTENSIONS, of_images), (codecs.EXTENSIONS, of_clips):
            if all((text + where.get("ending", "")).lower().endswith(extensions) for text in texts):
                paths = kind(contents, name, features, where)
                found |= {} if paths is None else {name: paths}
    return found


def where_files_are(names: Sequence[str], beside: Path, places: Sequence[tuple[str, str]]) -> dict[str, str] | None:
    """Return the options with which most of the files called `names` exist: `places` are beside the table. If no folder
    there has any, all may be above it, or in a folder beside that of the table. None if they are nowhere."""
    shown = names[:: max(1, len(names) // LOOKED_FOR)]
    # A prefix of characters: paths with // keep it.
    start = commonprefix(shown).rpartition("/")  # noqa: RUF071
    removable = dict.fromkeys(("", start[0] + start[1]))

    def best_of(options: Iterable[tuple[str, str]]) -> tuple[int, dict[str, str]]:
        best: tuple[int, dict[str, str]] = 0, {}
        for remove, (folder, ending) in product(removable, dict.fromkeys(options)):
            inside = alike(folder, places)
            names = [name.removeprefix(remove) + ending for name in shown]
            count = sum(any(is_file(beside / each / name) for each in inside) for name in names)
            if count > best[0]:
                best = count, {"folder": folder, "ending": ending, "remove": remove}
            if count == len(shown):
                break
        return best

    count, options = best_of(likely(places))
    if not count and not places and shown and all(name.lower().endswith(ENDINGS) for name in shown):
        outer = ("..", *(f"../{folder}" for folder, _ in media_places(beside.parent, deepest=1)))
        count, options = best_of((folder, "") for folder in outer)
        count = count if count == len(shown) else 0
    # Numbers of rows are the names of a few files by chance.
    least = len(shown) // 2 + 1 if options.get("ending") else 1
    return {key: value for key, value in options.items() if value} if count >= least else None


def likely(places: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield folders with the ending that their files lack: none, then those of `places`; above these, and patterns."""
    paths = [PurePath(folder) for folder, _ in places]
    above = (str(folder) for path in paths for folder in path.parents if folder.name)
    yield from ((folder, "") for folder in ("", *map(str, paths), *above))
    yield from places
    for is_short in (False, True):
        for path, (_, ending) in zip(paths, places, strict=True):
            for level in range(len(path.parts)):
                pattern = "/".join((*path.parts[:level], "*", *path.parts[level + 1 :]))
                yield pattern, ending if is_short else ""


def alike(folder: str, places: Sequence[tuple[str, str]]) -> list[str]:
    """Return the folders among `places` that a pattern means, or the folder itself."""
    pattern = PurePath(folder).parts
    if "*" not in pattern:
        return [folder]
    matching = (each for each, _ in places if len(PurePath(each).parts) == len(pattern))
    return [each for each in dict.fromkeys(matching) if all(map(fnmatch, PurePath(each).parts, pattern))]


def is_file(path: Path) -> bool:
    with suppress(OSError, ValueError):
        return path.is_file()
    return False


def lost_files(table: Table) -> dict[str, tuple[str, str]]:
    """Return how to declare columns that name files which are not there: ignored, and why."""
    lost: dict[str, tuple[str, str]] = {}
    for name, column in table.columns.items():
        texts = [str(text) for text in column.values.values if text] if isinstance(column.values, Coded) else []
        if column.kind != "ignore" and texts and all(text.lower().endswith(ENDINGS) for text in texts):
            lost[name] = "ignore", f"names of files that are not there, such as {in_comment(texts[0])}"
    return lost


def media_places(folder: Path, deepest: int = DEEPEST) -> list[tuple[str, str]]:
    """Return the folders below `folder` that hold images or audio clips, with the endings of these."""
    found: Counter[tuple[str, str]] = Counter()
    for path, folders, files in os.walk(folder):
        below = PurePath(os.path.relpath(path, folder))
        folders[:] = sorted(each for each in folders if not NOT_DATA.search(each))[:MOST_FOLDERS]
        if len(below.parts) == deepest:
            folders.clear()
        for file in files:
            ending = os.path.splitext(file)[1]
            if ending.lower() in ENDINGS:
                found[below.as_posix() if below.parts else "", ending] += 1
    return [place for place, _ in found.most_common(MOST_FOLDERS)]


def unlike(names: Collection[str], name: str) -> str:
    """Return a name that no column has."""
    while name in names:
        name += "_"
    return name


def contents_of(paths: Sequence[str], folders: Iterable[Path]) -> Iterable[tuple[str, bytes]]:
    """Yield the names and contents of the files that can be read."""
    for folder, path in product(folders, paths):
        with suppress(OSError, ValueError):
            if (folder / path).is_file():
                yield path, (folder / path).read_bytes()


def of_images(
    contents: Sequence[tuple[str, bytes]], name: str, features: str, where: Mapping[str, str]
) -> Paths | None:
    images = survey_images(content for _, content in contents)
    if images is None:
        return None
    layers = [
        (f"- Rescaling: {{from: {scalar(name)}, scale: $(1 / 255)}}", "from 0…255 to 0…1"),
        *convolutions(images.size, 16, features),
    ]
    options = {**where, "size": (*images.size,), "channels": images.channels}
    options |= {"bits": images.bits} if images.bits < 16 else {}
    return Paths({"image": options}, f"images: {images.seen}", layers, features)


def of_clips(contents: Sequence[tuple[str, bytes]], name: str, features: str, where: Mapping[str, str]) -> Paths | None:
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
    return Paths({"audio": {**where, "seconds": seconds, "rate": rate}}, seen, layers, features)


def with_paths(paths: Mapping[str, Paths], others: Sequence[str]) -> Lines:
    """Return layers that make one vector of all columns, those of paths and `others`."""
    lines = [line for each in paths.values() for line in each.layers]
    joined = [*(each.features for each in paths.values()), *map(scalar, others)]
    if len(joined) > 1:
        lines.append((f"- Concatenate: {{from: [{', '.join(joined)}]}}", ""))
    return lines
