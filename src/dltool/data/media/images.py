"""The source `images`, and columns of image files: images as rows of uint8.

They are decoded once, into a file of the cache, or on every access if there is no room for it."""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from typing import Any, ClassVar

import numpy as np
import PIL

from dltool.data.arrays.rows import Rows
from dltool.data.files.digests import file_digests, names_and_times
from dltool.data.files.file_tree import Members, UnreadableMember
from dltool.data.files.listing import Member, printable
from dltool.data.media.cache import HEADER_BYTES, CacheEntry, cache_folder, entry_bytes, find, new_entry, path_of
from dltool.data.media.image_decode import (
    DAMAGE,
    EXTENSIONS,
    ImageForm,
    decode,
    has_transparency,
    opened,
    size_if_whole,
    size_of,
    used_bits,
)
from dltool.data.media.load import DecodedFiles, Medium
from dltool.data.media.processes import decode_all
from dltool.data.media.rows import CacheRows, DecodedRows, unusable
from dltool.data.media.worker import Fault, ImageWork
from dltool.errors import DataError, Problem
from dltool.text import counted, os_words

FORMAT = 1
"""Part of the cache's names: increase it whenever images are decoded differently."""
NOUN = "image"
AS_STORED = ImageForm(None, 4, "stretch")
SAMPLE = 50
FEWEST_ALIKE = 4
"""The least number of images of which it is said that all are the same."""
PLAIN = (".jpg", ".jpeg", ".jpe", ".jfif", ".bmp")
"""Endings of formats without transparency or more than 8 bits."""


@dataclass(frozen=True)
class DecodedImages(DecodedRows):
    """Images of one `size` (height, width): (images, height, width, channels) of uint8."""

    form: ImageForm
    size: tuple[int, int]
    noun: ClassVar[str] = NOUN
    dtype: ClassVar[Any] = np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self.files.members), *self.size, self.form.channels)

    def decode_into(self, row: np.ndarray, content: bytes, name: str) -> tuple[int, int] | None:
        pixels, size = decode(content, self.form)
        if size != self.size:
            return size
        row[:] = np.frombuffer(pixels, np.uint8).reshape(row.shape)
        return None

    def problems(self, faults: Sequence[Fault], count: int) -> list[Problem]:
        """Return the problems of images that cannot be decoded, and of those that have other sizes."""
        found = super().problems(faults, count)
        others = [fault for fault in faults if not fault.message]
        if not others:
            return found
        counts = Counter(fault.size for fault in others)
        counts[self.size] = count - len(faults)
        (most, many), (second, fewer), *rest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        other = next(fault for fault in others if fault.size == (most if second == self.size else second))
        message = (
            f"the images differ in size (height × width): {many:,} are {most[0]} × {most[1]}, "
            f"{fewer:,} are {second[0]} × {second[1]} ({printable(other.name)})"
        )
        if rest:
            message += f", {sum(others for _, others in rest):,} of other sizes"
        return [*found, Problem(self.files.place, message, f"write size: [{most[0]}, {most[1]}]")]


def decode_images(files: Members, options: Any, training: int, cache: int, digests: bool) -> DecodedFiles:
    """Decode `files` in their order: from the cache, into it, or on every access; with `digests` of the files. The
    cache may take `cache` bytes; 0 disables it. Without `size` all images must have the same size."""
    size = None if options.size is None else (options.size[0], options.size[1])
    form = ImageForm(size, options.channels, options.resize, options.background, options.bits)
    rows, warnings = image_rows(files, form, cache)
    if digests:
        warnings = (*warnings, *sampled_warnings(files, form, options.model_fields_set), *alike_warnings(rows))
    found = file_digests(files, use_cache=cache > 0) if digests else None
    return DecodedFiles(rows, {"size": rows.shape[1:3]}, found, warnings)


def sampled_warnings(files: Members, form: ImageForm, given: Collection[str]) -> Iterator[str]:
    """Yield warnings of images, of which some are opened, that lose transparency or are dark, unless options that
    decide this are `given`."""
    bits = transparent = 0
    for member in files.members[:: -(-len(files.members) // SAMPLE)]:
        if member.name.lower().endswith(PLAIN):
            continue
        with suppress(UnreadableMember, *DAMAGE):
            image = opened(files.reader.read(member))
            bits = max(bits, used_bits(image))
            if form.channels != 4 and has_transparency(image):
                transparent += int(np.asarray(image.convert("RGBA"))[..., 3].min() < 255)
    if 8 <= bits < 16 and "bits" not in given:
        yield f"images have 16 bits, and those that were looked at fit in {bits}: bits: {bits} makes them brighter"
    if transparent and "background" not in given:
        are = counted(transparent, "image that was looked at has", "images that were looked at have")
        yield f"{are} transparent pixels, which become black: background: white, or channels: 4, changes that"


def alike_warnings(images: Rows) -> Iterator[str]:
    """Yield a warning if images, of which some are read, cannot tell anything apart."""
    looked_at = min(len(images), SAMPLE)
    if looked_at < FEWEST_ALIKE:
        return
    sample = images[np.linspace(0, len(images) - 1, looked_at).astype(int)]
    if (sample == sample[0]).all():
        yield f"the {looked_at} images that were looked at are the same, as they are read: no class can differ"
    elif (blank := int((sample == sample[:, :1, :1]).all(axis=(1, 2, 3)).sum())) > looked_at / 2:
        yield f"{blank} of {looked_at} images that were looked at have one colour all over, as they are read"


IMAGES = Medium("images", "image", NOUN, EXTENSIONS, decode_images, lambda name, content: decode(content, AS_STORED))


def image_rows(files: Members, form: ImageForm, cache: int) -> tuple[CacheRows | DecodedRows, tuple[str, ...]]:
    key = names_and_times(files.members)
    known = find_decoded(key, form) if cache else None
    if known:
        return CacheRows(known, known.path), ()
    images = DecodedImages(files, form, form.size or first_size(files))
    warnings: tuple[str, ...] = ()
    if entry_bytes(images.shape) <= cache:
        try:
            return cached_rows(cache_key(key, form), images, cache), ()
        except OSError as error:
            cause = f"the cache {cache_folder()} cannot be written ({os_words(error)})"
            warnings = (f"{cause}: images are decoded in each epoch",)
    check_files(images)
    return images, warnings


def find_decoded(files: str, form: ImageForm) -> CacheEntry | None:
    """Return the images in the cache. Images that already have the declared size are found without resizing, too."""
    known = find(cache_key(files, form))
    if known or form.size is None:
        return known
    undeclared = find(cache_key(files, replace(form, size=None)))
    return undeclared if undeclared and undeclared.shape[1:3] == form.size else None


def cache_key(files: str, form: ImageForm) -> str:
    # Another release may decode a little differently.
    values = (FORMAT, PIL.__version__, *astuple(form), files)
    return hashlib.sha256(repr(values).encode()).hexdigest()[:32]


def first_size(files: Members) -> tuple[int, int]:
    """Return the (height, width) of the first readable image."""
    faults = []
    for row, member in enumerate(files.members):
        try:
            return size_of(files.reader.read(member))
        except UnreadableMember as error:
            faults.append(Fault(row, member.name, str(error)))
    raise DataError(unusable(NOUN, faults, files))


def cached_rows(key: str, images: DecodedImages, cache: int) -> CacheRows:
    """Decode into a new file of the cache. Raises OSError: it cannot be written."""
    with new_entry(key, images.shape, cache) as entry:
        output = str(entry.path), HEADER_BYTES, entry.checksums
        work = ImageWork(images.files.reader, images.form, images.size, *output)
        DataError.refuse(images.problems(decode_all(work, images.files.members), len(images)))
        # Opened before it has its name, so that no process can remove it in between.
        return CacheRows(entry, path_of(key))


def check_files(images: DecodedImages) -> None:
    """Raise DataError naming all files that are no images, truncated, or of another size if all must have one."""
    reader = images.files.reader

    def fault_of(row: int, member: Member) -> Fault | None:
        try:
            size = size_if_whole(reader.read(member), images.form)
        except UnreadableMember as error:
            return Fault(row, member.name, str(error))
        return Fault(row, member.name, "", size) if images.form.size is None and size != images.size else None

    faults = [fault for fault in images.threads.map(fault_of, range(len(images)), images.files.members) if fault]
    DataError.refuse(images.problems(faults, len(images)))
