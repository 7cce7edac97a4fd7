"""Loads the files of class folders, and those named by a column of a table, as rows. For images and audio clips
alike."""

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import numpy as np

from dltool.config.columns import ONE_TARGET
from dltool.config.file_columns import FileColumn
from dltool.config.folder_sources import AudioSource, ImagesSource
from dltool.config.sources import Source
from dltool.data.arrays.rows import Coded, Rows, take
from dltool.data.examples import Examples, SourceExamples, examples_of_items
from dltool.data.files.class_folders import PartName, labelled
from dltool.data.files.file_tree import Members, open_members
from dltool.data.files.listing import SHOWN, Member, printable, times_of
from dltool.data.media.masks import load_masks, paired
from dltool.data.media.rows import REPLACE
from dltool.data.media.skipping import without_faulty
from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import and_more, counted, near


@dataclass(frozen=True)
class DecodedFiles:
    """`rows` (files, …). `digests` (files, 32) of uint8, if they are faster to compare than the rows. `inferred` are
    options of the source inferred from the files. `warnings` are sentences for the user."""

    rows: Rows
    inferred: Mapping[str, Any] = field(default_factory=dict)
    digests: np.ndarray | None = None
    warnings: tuple[str, ...] = ()


Decode = Callable[[Members, Any, int, int, bool], DecodedFiles]
"""Takes files, the options of their source or column, the number of the first ones that are for training, the bytes
that may be cached, and whether digests are wanted."""


@dataclass(frozen=True)
class Medium:
    """A kind of files: the names of its source and input, the noun for a file in messages, and the extensions.

    `decode_one(name, content)` raises UnreadableMember if a file cannot be decoded."""

    source: str
    input: str
    noun: str
    extensions: tuple[str, ...]
    decode: Decode
    decode_one: Callable[[str, bytes], object]


def load_class_folders(
    medium: Medium, options: ImagesSource | AudioSource, place: ConfigPath, cache: int
) -> SourceExamples:
    """Load the files of class folders. `place` is the config path of the source. At most `cache` bytes are cached.

    Raises:
        DataError: all files that are refused, have no class, or cannot be decoded.
        MachineError: a decoding process was killed."""
    place = (*place, medium.source)
    members = open_members(options.path, (*place, "path"))
    masks_of = getattr(options, "masks", None)
    if masks_of is None:
        found = labelled(members, medium.extensions, options.pattern, place, medium.noun)
    else:
        found = paired(members, masks_of, place, options.on_error)
    if options.on_error == "skip":
        found = without_faulty(found, members, medium.decode_one, medium.noun, cache)
    # The training split first: missing options are inferred from it.
    parts = sorted(found.parts.items(), key=lambda part: part[0] != "training")
    files = replace(members, members=tuple(item.member for _, items in parts for item in items))
    try:
        decoded = medium.decode(files, options, len(found.parts["training"]), cache, True)
    except DataError as error:
        hint = f"{REPLACE}, or on_error: skip leaves them out" if options.on_error == "refuse" else REPLACE
        problems = [replace(each, hint=hint if each.hint == REPLACE else each.hint) for each in error.problems]
        raise DataError(problems) from None
    inferred = {"source": Source(medium.source, options.model_copy(update=dict(decoded.inferred)))}
    masks: np.ndarray | Coded | None = None
    if isinstance(options, ImagesSource) and masks_of is not None:
        size: Any = decoded.inferred["size"]
        masks = load_masks(members, [item.label for _, items in parts for item in items], size, options.resize)
    loaded: dict[PartName, Examples] = {}
    first = 0
    for part, items in parts:
        rows, stop = decoded.rows, first + len(items)
        rows = rows[first:stop] if isinstance(rows, np.ndarray) else take(rows, np.arange(first, stop))
        digests = {} if decoded.digests is None else {medium.input: decoded.digests[first:stop]}
        loaded[part] = replace(examples_of_items({medium.input: rows}, items, members, part), digests=digests)
        if masks is not None:
            rows_of = np.arange(first, stop)
            targets = masks.take(rows_of) if isinstance(masks, Coded) else masks[first:stop]
            loaded[part] = replace(loaded[part], targets={ONE_TARGET: targets})
        first = stop
    return SourceExamples(loaded, warnings=(*found.warnings, *decoded.warnings), inferred=inferred)


def files_named(paths: np.ndarray, beside: Path, options: FileColumn, place: ConfigPath, noun: str) -> Members:
    """Return the files that a column of a table in the folder `beside` names: `paths` (rows,) of text, absolute or
    relative to the folder of the `options`. `noun` is the noun for such a file in messages. Raises DataError: all rows
    without a path or a file."""
    root, folders = beside / options.folder, [""]
    if has_magic(options.folder) and not root.exists():
        root, folders = beside, sorted(glob(options.folder, root_dir=beside))
    found = {path: file_named(path, options, root, folders) for path in dict.fromkeys(map(str, paths))}
    files = [found[path] for path in map(str, paths)]
    faults = [f"row {row:,}: {file}" for row, file in enumerate(files) if isinstance(file, str)]
    if faults:
        message = f"{counted(len(faults), 'row names', 'rows name')} no {noun}: "
        hint = f"rows are counted from 0, paths are relative to {options.folder or 'the table'}"
        raise DataError(Problem(place, message + and_more(faults, SHOWN, "; "), hint))
    members = tuple(file for file in files if isinstance(file, Member))
    return Members(str(root), "folder", members, (), place)


def file_named(path: str, options: FileColumn, root: Path, folders: Sequence[str]) -> Member | str:
    """Return a file in one of the `folders` of `root`, or the error of its path, which may be written as in Windows."""
    if not path.strip():
        return "the path is blank"
    path = slashed(path).removeprefix(slashed(options.remove)) + options.ending
    names = [os.path.join(folder, path) for folder in folders]
    if len(names) > 1:
        names = [name for name in names if os.path.lexists(root / name)]
    if len(names) != 1:
        return f"{printable(path)} is in {names[0]} and {names[1]}" if names else f"no such file: {printable(path)}"
    try:
        status = os.stat(root / names[0])
    except (OSError, ValueError) as error:
        words = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        return f"{words}: {printable(path)}{similar_file(root / names[0])}"
    if not stat.S_ISREG(status.st_mode):
        return f"{printable(path)} is not a regular file"
    return Member(names[0], status.st_size, times_of(status))


def slashed(path: str) -> str:
    return path.replace("\\", "/")


def similar_file(path: Path) -> str:
    try:
        names = os.listdir(path.parent)
    except (OSError, ValueError):
        return f" (there is no folder {printable(str(path.parent))})"
    close = near(path.name, sorted(names))
    return f" (that folder has {close[0]})" if close else ""
