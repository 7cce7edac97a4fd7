"""The source `images`, and columns of image files: images as rows of uint8.

They are decoded once, into a file of the cache, or on every access if there is no room for it."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import PIL

from dltool.config.columns import ImageColumn
from dltool.config.folder_sources import ImagesSource
from dltool.data.examples import SourceExamples
from dltool.data.files.digests import file_digests, names_and_times
from dltool.data.files.file_tree import Access, Reader, UnreadableMember
from dltool.data.files.listing import Member, printable
from dltool.data.media.cache import DEFAULT_BUDGET, HEADER_BYTES, CacheEntry, cache_folder, entry_bytes, find, new_entry
from dltool.data.media.image_decode import EXTENSIONS, ImageForm, decode, size_if_whole, size_of
from dltool.data.media.load import DecodedFiles, files_named, load_class_folders
from dltool.data.media.processes import decode_all
from dltool.data.media.rows import CacheFile, CacheRows, DecodedRows, Decoder, unusable
from dltool.data.media.worker import Fault, ImageWork
from dltool.errors import ConfigPath, DataError, Problem
from dltool.machine import usable_cores
from dltool.text import os_words

FORMAT = 1
"""Part of the cache's names: increase it whenever images are decoded differently."""
NOUN = "image"


@dataclass(frozen=True)
class ImageDecoder(Decoder):
    """Decodes images of one `size` (height, width) to (height, width, channels) of uint8."""

    form: ImageForm
    size: tuple[int, int]
    noun: ClassVar[str] = NOUN
    dtype: ClassVar[type] = np.uint8

    @property
    def row_shape(self) -> tuple[int, ...]:
        return (*self.size, self.form.channels)

    def decode_into(self, row: np.ndarray, content: bytes, name: str) -> tuple[int, int] | None:
        pixels, size = decode(content, self.form)
        if size != self.size:
            return size
        row[:] = np.frombuffer(pixels, np.uint8).reshape(row.shape)
        return None

    def error(self, faults: Sequence[Fault], members: Sequence[Member]) -> DataError:
        return bad_images(faults, members, self.path, self.place, self.size)


def load_images(options: ImagesSource, place: ConfigPath, cache_budget: int = DEFAULT_BUDGET) -> SourceExamples:
    """Load the images of class folders, with the input "image". See :func:`dltool.data.media.load.load_class_folders`.

    The cache may take `cache_budget` bytes; 0 disables it. Without `size` all images must have the same size."""

    def decoded(access: Access, members: Sequence[Member], place: ConfigPath, training: int) -> DecodedFiles:
        return decode_images(access, members, form_of(options), place, cache_budget)

    return load_class_folders(options, place, ("images", "image", NOUN), EXTENSIONS, decoded)


def load_image_files(
    paths: np.ndarray,
    folder: Path,
    options: ImageColumn,
    place: ConfigPath,
    cache_budget: int = DEFAULT_BUDGET,
    *,
    digests: bool = True,
) -> DecodedFiles:
    """Load the images that a column of a table names: `paths` (rows,) of text, relative to `folder` or absolute.

    Raises:
        DataError: all rows without a path or a file, and all images that cannot be decoded.
        MachineError: a decoding process was killed."""
    members, access = files_named(paths, folder, place, NOUN), Access(str(folder), "folder")
    return decode_images(access, members, form_of(options), place, cache_budget, digests=digests)


def form_of(options: ImagesSource | ImageColumn) -> ImageForm:
    size = None if options.size is None else (options.size[0], options.size[1])
    return ImageForm(size, options.channels, options.resize)


def decode_images(
    access: Access,
    members: Sequence[Member],
    form: ImageForm,
    place: ConfigPath,
    cache_budget: int,
    *,
    digests: bool = True,
) -> DecodedFiles:
    """Decode `members` in their order: from the cache, into it, or on every access; with `digests` of the files."""
    rows, warnings = image_rows(access, members, form, place, cache_budget)
    found = file_digests(access, members, place, use_cache=cache_budget > 0) if digests else None
    return DecodedFiles(rows, {"size": rows.shape[1:3]}, found, warnings)


def image_rows(
    access: Access, members: Sequence[Member], form: ImageForm, place: ConfigPath, cache_budget: int
) -> tuple[CacheRows | DecodedRows, tuple[str, ...]]:
    files = names_and_times(members)
    known = find_decoded(files, form) if cache_budget else None
    if known:
        return CacheRows(CacheFile(known), 0, known.shape[0]), ()
    reader = Reader(access, place)
    size = form.size or first_size(reader, members, access.path, place)
    decoder = ImageDecoder(reader, access.path, place, form, size)
    warnings: tuple[str, ...] = ()
    if entry_bytes((len(members), *size, form.channels)) <= cache_budget:
        try:
            return cached_rows(cache_key(files, form), decoder, members, cache_budget), ()
        except OSError as error:
            cause = f"the cache {cache_folder()} cannot be written ({os_words(error)})"
            warnings = (f"{cause}: images are decoded in each epoch",)
    check_files(decoder, members)
    return DecodedRows(decoder, tuple(members)), warnings


def find_decoded(files: str, form: ImageForm) -> CacheEntry | None:
    """Return the images in the cache. Images that already have the declared size are found without resizing, too."""
    known = find(cache_key(files, form))
    if known or form.size is None:
        return known
    undeclared = find(cache_key(files, replace(form, size=None)))
    return undeclared if undeclared and undeclared.shape[1:3] == form.size else None


def cache_key(files: str, form: ImageForm) -> str:
    # Another release may decode a little differently.
    values = (FORMAT, PIL.__version__, form.size, form.channels, form.resize, files)
    return hashlib.sha256(repr(values).encode()).hexdigest()[:32]


def first_size(reader: Reader, members: Sequence[Member], path: str, place: ConfigPath) -> tuple[int, int]:
    """Return the (height, width) of the first readable image."""
    faults = []
    for row, member in enumerate(members):
        try:
            return size_of(reader.read(member))
        except UnreadableMember as error:
            faults.append(Fault(row, str(error)))
    raise bad_images(faults, members, path, place, (0, 0))


def cached_rows(key: str, decoder: ImageDecoder, members: Sequence[Member], cache_budget: int) -> CacheRows:
    """Decode into a new file of the cache. Raises OSError: it cannot be written."""
    shape = (len(members), *decoder.size, decoder.form.channels)
    with new_entry(key, shape, cache_budget) as entry:
        reader = decoder.reader
        work = ImageWork(reader.access, decoder.form, decoder.size, str(entry.path), HEADER_BYTES, reader.descriptor)
        faults = decode_all(work, reader, members)
        if faults:
            raise decoder.error(faults, members)
        # Opened before it has its name, so that no process can remove it in between.
        return CacheRows(CacheFile(entry), 0, shape[0])


def check_files(decoder: ImageDecoder, members: Sequence[Member]) -> None:
    """Raise DataError naming all files that are no images, truncated, or of another size if all must have one."""

    def fault_of(row: int) -> Fault | None:
        try:
            size = size_if_whole(decoder.reader.read(members[row]), decoder.form)
        except UnreadableMember as error:
            return Fault(row, str(error))
        return Fault(row, "", *size) if decoder.form.size is None and size != decoder.size else None

    with ThreadPoolExecutor(usable_cores(), "images to check") as threads:
        faults = [fault for fault in threads.map(fault_of, range(len(members))) if fault]
    if faults:
        raise decoder.error(faults, members)


def bad_images(
    faults: Sequence[Fault], members: Sequence[Member], path: str, place: ConfigPath, size: tuple[int, int]
) -> DataError:
    """Return the error of `members` that cannot be decoded or have other sizes."""
    problems = unusable(NOUN, faults, members, path, place)
    others = [fault for fault in faults if not fault.message]
    if others:
        problems.append(different_sizes(others, members, len(faults) - len(others), size, place))
    return DataError(problems)


def different_sizes(
    others: Sequence[Fault], members: Sequence[Member], unread: int, size: tuple[int, int], place: ConfigPath
) -> Problem:
    counts = {size: len(members) - len(others) - unread}
    examples: dict[tuple[int, int], str] = {}
    for fault in others:
        found = fault.height, fault.width
        counts[found] = counts.get(found, 0) + 1
        examples.setdefault(found, members[fault.row].name)
    most, second = sorted(counts, key=lambda found: (-counts[found], found))[:2]
    shown = ", ".join(f"{counts[found]:,} are {found[0]} × {found[1]}" for found in (most, second))
    rest = f", {len(members) - unread - counts[most] - counts[second]:,} of other sizes" if len(counts) > 2 else ""
    other = second if second in examples else most
    message = f"the images differ in size (height × width): {shown} ({printable(examples[other])}){rest}"
    return Problem(place, message, f"write size: [{most[0]}, {most[1]}]")
