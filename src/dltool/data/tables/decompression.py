"""A text file as a stream of UTF-8 bytes, for any compression and encoding."""

import bz2
import codecs
import gzip
import io
import lzma
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
OPENERS: Mapping[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
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
    """Some bytes, and then those of a stream."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self.head, self.rest = io.BytesIO(head), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self.head.readinto(buffer) or cast("Any", self.rest).readinto(buffer)


def decoded(data: bytes) -> str:
    """Decode UTF-8. Raises NotText."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise NotText from None
    if "\0" in text:
        raise NotText
    return text


def is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in {"utf-8", "utf-8-sig", "ascii"}


def zip_of(path: Path) -> Path | None:
    """Return the zip in which a file is: `archive.zip` of `archive.zip/part.csv`."""
    return next((parent for parent in path.parents if parent.suffix.lower() == ".zip" and parent.is_file()), None)


def stored_bytes(path: Path) -> int:
    """Return the size of a file, or of its zip."""
    return (zip_of(path) or path).stat().st_size


def unpacked(path: Path) -> BinaryIO:
    """Open the file, decompressed according to its name. It may be in a zip: `archive.zip/part.csv`."""
    archive = zip_of(path)
    if archive is not None:
        return cast("BinaryIO", zipfile.ZipFile(archive).open(path.relative_to(archive).as_posix()))
    ending = path.suffix.lower()
    if ending == ".zst":
        import pyarrow as pa

        return cast("BinaryIO", pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))
    return cast("BinaryIO", OPENERS[ending](path)) if ending in OPENERS else path.open("rb", buffering=0)


@contextmanager
def open_text(path: Path, place: ConfigPath, encoding: str = "utf-8") -> Iterator[io.BufferedReader]:
    """Open the text as UTF-8 bytes without a byte order mark, and with lone carriage returns as line ends. The bytes of
    a UTF-8 file are not checked. Raises DataError: errors of reading, also those that the body of the `with` notes."""
    with reading(path, place, encoding), unpacked(path) as raw:
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


def not_text(path: Path, place: ConfigPath, encoding: str) -> DataError:
    """Return the problem of bytes invalid in the encoding, with their line."""
    offset, line, byte = first_bad_byte(path, encoding)
    with unpacked(path) as raw:
        mark = BYTE_ORDER_MARKS.get(raw.read(2))
    if byte == b"\0":
        what, likely = "is zero, which no text has", "utf-16"
    else:
        what = f"(0x{byte.hex()}) is not {'UTF-8' if is_utf8(encoding) else encoding}"
        likely = "latin-1" if is_utf8(encoding) else "utf-8"
    hint = f"if it is text in another encoding, write it down: encoding: {mark or likely}"
    return DataError(Problem(place, f"{path}, line {line:,}: byte {offset:,} {what}", hint))


@contextmanager
def reading(path: Path, place: ConfigPath, encoding: str = "utf-8") -> Iterator[None]:
    """Turn errors of reading a file into a DataError."""
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
