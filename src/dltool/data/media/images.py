"""The source `images`, and columns of picture files: pictures as rows of uint8.

They are decoded once, into a file of the cache; where that cannot be, each time that they are asked for.
"""

import hashlib
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import chain
from pathlib import Path

import numpy as np
import PIL

from dltool.config.columns import ImageColumn
from dltool.config.folder_sources import ImagesSource
from dltool.data.examples import Examples, SourceExamples, examples_of_items
from dltool.data.files.class_folders import PartName, labelled
from dltool.data.files.digests import file_digests, names_and_times
from dltool.data.files.file_tree import Access, Reader, UnreadableMember, open_members
from dltool.data.files.listing import SHOWN, Member, printable, times_of
from dltool.data.media.cache import DEFAULT_BUDGET, HEADER_BYTES, CacheEntry, cache_folder, entry_bytes, find, new_entry
from dltool.data.media.image_decode import EXTENSIONS, BadImage, ImageForm, size_if_whole, size_of
from dltool.data.media.image_rows import CacheFile, CacheRows, DecodedRows, Decoder, bad_pictures
from dltool.data.media.processes import decode_all
from dltool.data.media.worker import ImageFault, ImageWork
from dltool.errors import ConfigPath, DataError, Problem
from dltool.machine import usable_cores

FORMAT = 1
"""Part of the cache's names: one more whenever pictures are decoded differently."""


@dataclass(frozen=True)
class Pictures:
    """`rows` (pictures, height, width, channels) of uint8. `warnings` are sentences for the user. `digests`
    (pictures, 32), where they were asked for, are those of the files.
    """

    rows: CacheRows | DecodedRows
    warnings: tuple[str, ...] = ()
    digests: np.ndarray | None = None


@dataclass(frozen=True)
class ImageExamples:
    """What a folder of pictures gives. Another source is like it with `size: size`."""

    examples: SourceExamples
    size: tuple[int, int]


def load_images(options: ImagesSource, place: ConfigPath, cache_budget: int = DEFAULT_BUDGET) -> ImageExamples:
    """The pictures of class folders, with the input "image". `place` is that of the source in the config.

    `cache_budget` is how many bytes the cache may take; 0 makes no use of it.

    Raises:
        DataError: with all the files that are refused, have no class, or cannot be decoded.
        MachineError: a process that decodes was killed.
    """
    place = (*place, "images")
    members = open_members(options.path, (*place, "path"))
    found = labelled(members, EXTENSIONS, options.pattern, place, "picture")
    size = None if options.size is None else (options.size[0], options.size[1])
    form = ImageForm(size, options.channels, options.resize)
    chosen = [item.member for item in chain.from_iterable(found.parts.values())]
    pictures = load_pictures(members.access, chosen, form, (*place, "path"), cache_budget)
    digests = file_digests(members.access, chosen, (*place, "path"), use_cache=cache_budget > 0)
    parts: dict[PartName, Examples] = {}
    first = 0
    for name, items in found.parts.items():
        inputs = {"image": pictures.rows.part(first, first + len(items))}
        part = examples_of_items(inputs, items, (*place, "path"), f"the {name} part of {Path(members.path).name}")
        parts[name] = replace(part, digests={"image": digests[first : first + len(items)]})
        first += len(items)
    examples = SourceExamples(parts, warnings=(*found.warnings, *pictures.warnings))
    height, width = pictures.rows.shape[1:3]
    return ImageExamples(examples, (height, width))


def load_image_files(
    paths: np.ndarray,
    folder: Path,
    options: ImageColumn,
    place: ConfigPath,
    cache_budget: int = DEFAULT_BUDGET,
    *,
    digests: bool = True,
) -> Pictures:
    """The pictures that a column of a table names, with their `digests` where asked for: `paths` (rows,) of text,
    relative to `folder` or absolute.

    Raises:
        DataError: with all the rows without a path or a file, and all the pictures that cannot be decoded.
        MachineError: a process that decodes was killed.
    """
    members, access = files_named(paths, folder, place), Access(str(folder), "folder")
    form = ImageForm((options.size[0], options.size[1]), options.channels, options.resize)
    pictures = load_pictures(access, members, form, place, cache_budget)
    if not digests:
        return pictures
    return replace(pictures, digests=file_digests(access, members, place, use_cache=cache_budget > 0))


def files_named(paths: np.ndarray, folder: Path, place: ConfigPath, noun: str = "picture") -> list[Member]:
    """The files of a column of paths, in its order. `noun` is what messages call such a file.

    Raises:
        DataError: with all the rows without a path or a file.
    """
    members: list[Member] = []
    found: dict[str, Member | str] = {}
    faults: list[str] = []
    for row, path in enumerate(map(str, paths)):
        file = found.get(path)
        if file is None:
            file = found[path] = file_named(path, folder)
        if isinstance(file, Member):
            members.append(file)
        else:
            faults.append(f"row {row:,}: {file}")
    if faults:
        more = f"; and {len(faults) - SHOWN:,} more" if len(faults) > SHOWN else ""
        message = f"{'1 row names' if len(faults) == 1 else f'{len(faults):,} rows name'} no {noun}: "
        hint = "rows are counted from 0, paths are relative to the table"
        raise DataError(Problem(place, message + "; ".join(faults[:SHOWN]) + more, hint))
    return members


def file_named(path: str, folder: Path) -> Member | str:
    """A file, or else what is wrong with its path."""
    if not path.strip():
        return "the path is blank"
    try:
        status = os.stat(folder / path)
    except (OSError, ValueError) as error:
        words = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        return f"{words}: {printable(path)}{near(folder / path)}"
    if not stat.S_ISREG(status.st_mode):
        return f"{printable(path)} is not a regular file"
    return Member(path, status.st_size, times_of(status))


def near(path: Path) -> str:
    try:
        names = os.listdir(path.parent)
    except (OSError, ValueError):
        return f" (there is no folder {printable(str(path.parent))})"
    close = get_close_matches(path.name, sorted(names), 1, 0.6)
    return f" (that folder has {close[0]})" if close else ""


def load_pictures(
    access: Access, members: Sequence[Member], form: ImageForm, place: ConfigPath, cache_budget: int
) -> Pictures:
    """The pictures `members`, in their order: from the cache, or decoded into it, or decoded as they are asked for."""
    files = names_and_times(members)
    key = cache_key(files, form)
    known = find_decoded(files, form) if cache_budget else None
    if known:
        return Pictures(CacheRows(CacheFile(known), 0, known.shape[0]))
    reader = Reader(access, place)
    size = form.size or first_size(reader, members, form, access.path, place)
    shape = (len(members), *size, form.channels)
    warnings: tuple[str, ...] = ()
    if entry_bytes(shape) <= cache_budget:
        try:
            return Pictures(decoded_rows(key, shape, reader, members, form, place, cache_budget))
        except OSError as error:
            words = (error.strerror or str(error)).lower()
            warnings = (f"the cache {cache_folder()} cannot be written ({words}): pictures are decoded in each epoch",)
    decoder = Decoder(reader, form, size, access.path, place)
    check_files(decoder, members)
    return Pictures(DecodedRows(decoder, tuple(members)), warnings)


def find_decoded(files: str, form: ImageForm) -> CacheEntry | None:
    """The pictures in the cache. Those that were all found to have the declared size need not be resized to it."""
    known = find(cache_key(files, form))
    if known or form.size is None:
        return known
    undeclared = find(cache_key(files, replace(form, size=None)))
    return undeclared if undeclared and undeclared.shape[1:3] == form.size else None


def cache_key(files: str, form: ImageForm) -> str:
    # Another release may decode a little differently.
    values = (FORMAT, PIL.__version__, form.size, form.channels, form.resize, files)
    return hashlib.sha256(repr(values).encode()).hexdigest()[:32]


def first_size(
    reader: Reader, members: Sequence[Member], form: ImageForm, path: str, place: ConfigPath
) -> tuple[int, int]:
    """(height, width) of the first picture that has one."""
    faults = []
    for row, member in enumerate(members):
        try:
            return size_of(reader.read(member))
        except (BadImage, UnreadableMember) as error:
            faults.append(ImageFault(row, str(error)))
    raise bad_pictures(faults, members, path, place, (0, 0))


def decoded_rows(
    key: str,
    shape: tuple[int, int, int, int],
    reader: Reader,
    members: Sequence[Member],
    form: ImageForm,
    place: ConfigPath,
    cache_budget: int,
) -> CacheRows:
    size = shape[1], shape[2]
    with new_entry(key, shape, cache_budget) as entry:
        work = ImageWork(reader.access, form, size, str(entry.path), HEADER_BYTES, reader.descriptor)
        faults = decode_all(work, reader, members)
        if faults:
            raise bad_pictures(faults, members, reader.access.path, place, size)
        # Opened before it has its name, so that nobody can take it away in between.
        return CacheRows(CacheFile(entry), 0, shape[0])


def check_files(decoder: Decoder, members: Sequence[Member]) -> None:
    """Raises DataError naming all pictures that are none, that were cut off, or of another size where they must have
    one."""

    def fault_of(row: int) -> ImageFault | None:
        try:
            size = size_if_whole(decoder.reader.read(members[row]), decoder.form)
        except (BadImage, UnreadableMember) as error:
            return ImageFault(row, str(error))
        return ImageFault(row, "", *size) if decoder.form.size is None and size != decoder.size else None

    with ThreadPoolExecutor(usable_cores(), "pictures to check") as threads:
        faults = [fault for fault in threads.map(fault_of, range(len(members))) if fault]
    if faults:
        raise bad_pictures(faults, members, decoder.path, decoder.place, decoder.size)
