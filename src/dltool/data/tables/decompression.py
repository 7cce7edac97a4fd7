"""A text file as a stream of UTF-8 bytes, for any compression and encoding."""

import bz2
import codecs
import gzip
import io
import lzma
import re
import shlex
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from dltool.data.files.paths import unreadable
from dltool.errors import ConfigPath, DataError, Problem

LONGEST_LINE = 64 << 20
BUFFER = 1 << 20
BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
MOST_MAGIC = 16
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile)


class NotText(Exception):
    """Bytes that are invalid in the encoding, or zero bytes, which text never has."""


class LineTooLong(Exception):
    """No line end for so long that the file cannot be a table."""


class Recoded(io.RawIOBase):
    """Recodes the bytes of `source` to UTF-8, with lone carriage returns as line ends if requested."""

    def __init__(self, source: BinaryIO, encoding: str, translate_returns: bool) -> None:
        self.text, self.translate_returns = io.TextIOWrapper(source, encoding, newline=""), translate_returns
        self.ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self.ready:
            try:
                text = self.text.read(BUFFER // 4)
            except UnicodeError:
                raise NotText from None
            self.ready = (text.replace("\r", "\n") if self.translate_returns else text).encode("utf-8", "replace")
        count = min(len(buffer), len(self.ready))
        buffer[:count] = self.ready[:count]
        self.ready = self.ready[count:]
        return count


class Joined(io.RawIOBase):
    """Some lines, and then the bytes of a stream."""

    def __init__(self, lines: Iterator[bytes], rest: BinaryIO) -> None:
        self.lines, self.rest, self.ready = lines, rest, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.ready = self.ready or next(self.lines, b"")
        if not self.ready:
            return int(cast("Any", self.rest).readinto(buffer))
        count = min(len(buffer), len(self.ready))
        buffer[:count], self.ready = self.ready[:count], self.ready[count:]
        return count


def decoded(data: bytes) -> str:
    """Decode UTF-8. Raises NotText."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise NotText from None
    if "\0" in text:
        raise NotText
    return text


def wide_encoding(beginning: bytes) -> str | None:
    """Return the encoding of text in UTF-16 or UTF-32, by its mark or its zero bytes; None if it is none."""
    if beginning.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if mark := BYTE_ORDER_MARKS.get(beginning[:2]):
        return mark
    first, second = beginning[::2].count(0), beginning[1::2].count(0)
    is_wide = min(first, second) == 0 and 4 * max(first, second) > len(beginning)
    return ("utf-16-be" if first else "utf-16-le") if is_wide else None


def is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in {"utf-8", "utf-8-sig", "ascii"}


def zip_of(path: Path) -> Path | None:
    """Return the zip in which a file is: `archive.zip` of `archive.zip/part.csv`."""
    return next((parent for parent in path.parents if parent.suffix.lower() == ".zip" and parent.is_file()), None)


def stored_bytes(path: Path) -> int:
    """Return the size of a file, or of its zip."""
    return (zip_of(path) or path).stat().st_size


def stored(path: Path) -> BinaryIO:
    """Open the bytes of a file, which may be in a zip: `archive.zip/part.csv`."""
    archive = zip_of(path)
    if archive is None:
        return cast("BinaryIO", path.open("rb", buffering=0))
    return cast("BinaryIO", zipfile.ZipFile(archive).open(path.relative_to(archive).as_posix()))


def open_zstd(source: Path | BinaryIO) -> Any:
    import pyarrow as pa

    file = pa.OSFile(str(source)) if isinstance(source, Path) else pa.PythonFile(source, "r")
    return pa.CompressedInputStream(file, "zstd")


PACKED: Mapping[str, tuple[re.Pattern[bytes], Callable[[Any], Any]]] = {
    ".gz": (re.compile(rb"\x1f\x8b\x08"), gzip.open),
    ".bz2": (re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), bz2.open),
    ".xz": (re.compile(rb"\xfd7zXZ\0"), lzma.open),
    ".zst": (re.compile(rb"\x28\xb5\x2f\xfd"), open_zstd),
}
"""By the usual ending of compressed files: how they begin, and what opens them."""


def opener_of(path: Path) -> Callable[[Any], Any] | None:
    """Return what decompresses a file, by how it begins: names may be wrong. A damaged one is opened by its name."""
    with stored(path) as file:
        beginning = file.read(MOST_MAGIC)
    by_name = (
        PACKED.get(path.suffix.lower(), (None, None))[1] if not beginning.isascii() and beginning[:2] != b"PK" else None
    )
    return next((opener for magic, opener in PACKED.values() if magic.match(beginning)), by_name)


def unpacked(path: Path) -> BinaryIO:
    """Open the file, decompressed if it is compressed. It may be in a zip."""
    opener = opener_of(path)
    if opener is None:
        return stored(path)
    return cast("BinaryIO", opener(path if zip_of(path) is None else stored(path)))


@contextmanager
def open_text(path: Path, place: ConfigPath, declared: str | None = None) -> Iterator[io.BufferedReader]:
    """Open the text as UTF-8 bytes without a byte order mark, and with lone carriage returns as line ends. The bytes of
    a UTF-8 file, which is the default, are not checked. Raises DataError: errors of reading, also those that the body
    of the `with` notes."""
    encoding = declared or "utf-8"
    with reading(path, place, declared), unpacked(path) as raw:
        start = io.BufferedReader(cast("Any", raw), BUFFER)
        beginning = start.peek(3)
        if is_utf8(encoding) and beginning.startswith(codecs.BOM_UTF8):
            start.read(len(codecs.BOM_UTF8))
        has_returns_only = b"\n" not in beginning and b"\r" in beginning
        if is_utf8(encoding) and not has_returns_only:
            yield start
        else:
            yield io.BufferedReader(Recoded(cast("BinaryIO", start), encoding, has_returns_only), BUFFER)


def first_bad_byte(path: Path, encoding: str) -> tuple[int, int, bytes]:
    """Find the first byte that is zero or invalid: its offset, its line, and itself (nothing at the end)."""
    decoder = codecs.getincrementaldecoder(encoding)()
    has_wide_characters = b"\0" in "a".encode(encoding)
    offset, line = 0, 1
    with unpacked(path) as raw:
        while True:
            piece = raw.read(BUFFER)
            held = decoder.getstate()[0]
            zero = -1 if has_wide_characters else piece.find(0)
            try:
                text = decoder.decode(piece if zero < 0 else piece[:zero], final=not piece)
            except UnicodeError as error:
                # An error at the start is a missing byte order mark.
                start, data = getattr(error, "start", 0), held + piece
                at = start - len(held)
                return offset + at, line + piece[: max(at, 0)].count(b"\n"), data[start : start + 1]
            if "\0" in text:
                before = text[: text.index("\0")]
                return offset + len(before.encode(encoding)), line + before.count("\n"), b"\0"
            if zero >= 0:
                return offset + zero, line + piece[:zero].count(b"\n"), b"\0"
            if not piece:
                return offset, line, b""
            offset += len(piece)
            line += piece.count(b"\n")


def not_text(path: Path, place: ConfigPath, encoding: str | None) -> DataError:
    """Return the problem of bytes invalid in the encoding, with their line."""
    usual = encoding or "utf-8"
    offset, line, byte = first_bad_byte(path, usual)
    with unpacked(path) as raw:
        beginning = raw.read(BUFFER)
    likely = wide_encoding(beginning) or ("latin-1" if is_utf8(usual) else "utf-8")
    what = (
        "is zero, which no text has"
        if byte == b"\0"
        else f"(0x{byte.hex()}) is not {'UTF-8' if is_utf8(usual) else usual}"
    )
    if b"\0" in beginning and not wide_encoding(beginning):
        hint = f"if it is text, remove its zero bytes: tr -d '\\0' < {shlex.quote(path.name)} > new{path.suffix}"
    elif encoding is None:
        hint = f"write it in UTF-8: iconv -f {likely} -t utf-8 {shlex.quote(path.name)} > new{path.suffix}"
    else:
        hint = f"if it is text in another encoding, write it down: encoding: {likely}"
    return DataError(Problem(place, f"{path}, line {line:,}: byte {offset:,} {what}", hint))


@contextmanager
def reading(path: Path, place: ConfigPath, encoding: str | None = None) -> Iterator[None]:
    """Turn errors of reading a file into a DataError. Without an `encoding`, none can be declared."""
    try:
        yield
    except NotText:
        raise not_text(path, place, encoding) from None
    except LineTooLong:
        message = f"{path} has a line of more than {LONGEST_LINE >> 20} MB: it is no table"
        raise DataError(Problem(place, message)) from None
    except DAMAGED as error:
        raise DataError(Problem(place, f"{path} is damaged: {error}", "write or copy it again")) from None
    except OSError as error:
        raise unreadable(path, place, error) from None


def lines_of(stream: io.BufferedReader, rest: bytes = b"") -> Iterator[bytes]:
    """Yield the lines of `rest` and then of the stream, each with its end."""
    *whole, last = rest.split(b"\n")
    for line in whole:
        yield line + b"\n"
    while line := last + stream.readline(LONGEST_LINE):
        last = b""
        if len(line) >= LONGEST_LINE and not line.endswith(b"\n"):
            raise LineTooLong
        yield line
