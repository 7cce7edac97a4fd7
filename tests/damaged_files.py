"""Damages files: bits, blocks, lengths, and parts of their formats with the checksums mended."""

import bz2
import copy
import gzip
import hashlib
import io
import json
import lzma
import random
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

Damage = Callable[[random.Random, bytes], bytes]
SIZES = [
    0,
    1,
    2,
    3,
    7,
    127,
    128,
    255,
    256,
    32767,
    32768,
    65535,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**63,
    2**64 - 1,
]
TEXTS = [
    *(b"", b"0", b"-1", b"1e400", b"nan", b"inf", b'"', b"'", b",", b"\n", b"\r", b"\t", b"\0", b"\x1b[31m", b"\xff"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", "é\u202e\u2028".encode(), b"{", b"}", b"[", b"]", b"[" * 5000, b'{"a":' * 3000),
    *(b"9" * 400, b"a" * 5000, b"null", b"true", b"2020-01-01", b"../../x", b"/etc/passwd", b"\x85", b"\xed\xa0\x80"),
]


def position(source: random.Random, size: int) -> int:
    """A position anywhere, half of the time where headers are: near the start or the end."""
    pick = source.random()
    if pick < 0.35:
        return min(size, source.randint(0, 160))
    if pick < 0.5:
        return max(0, size - source.randint(0, 160))
    return source.randint(0, size)


def raw(source: random.Random, content: bytes) -> bytes:
    """Damage bytes of whatever format."""
    damaged = bytearray(content)
    for _ in range(source.choice([1, 1, 1, 2, 4])):
        at = position(source, len(damaged))
        length = source.choice([1, 2, 4, 8, 16, 100, 1000])
        match source.choice(["flip", "flip", "flip", "byte", "field", "field", "cut", "end", "text", "same", "swap"]):
            case "flip" if at < len(damaged):
                damaged[at] ^= 1 << source.randrange(8)
            case "byte" if at < len(damaged):
                damaged[at] = source.choice([0, 1, 0x7F, 0x80, 0xFF, source.randrange(256)])
            case "field":
                width = source.choice([1, 2, 4, 8])
                value = source.choice(SIZES) % 256**width
                damaged[at : at + width] = value.to_bytes(width, source.choice(["little", "big"]))
            case "cut":
                del damaged[at : at + length]
            case "end":
                del damaged[at:]
            case "text":
                damaged[at:at] = source.choice([*TEXTS, source.randbytes(length)])
            case "same":
                damaged[at : at + length] = bytes([source.choice([0, 0xFF, 0x20])]) * length
            case "swap":
                other = position(source, len(damaged))
                one, two = damaged[at : at + length], damaged[other : other + length]
                damaged[other : other + len(one)] = one
                damaged[at : at + len(two)] = two
    return bytes(damaged)


def some_of(*ways: Damage) -> Damage:
    """One of these ways, or of raw bytes."""
    return lambda source, content: source.choice([*ways, raw])(source, content)


# --- compressed and packed files: damage inside, the checksums are right ---


def inside_gzip(damage: Damage) -> Damage:
    return lambda source, content: gzip.compress(damage(source, gzip.decompress(content)))


def inside_bz2(damage: Damage) -> Damage:
    return lambda source, content: bz2.compress(damage(source, bz2.decompress(content)))


def inside_xz(damage: Damage) -> Damage:
    return lambda source, content: lzma.compress(damage(source, lzma.decompress(content)))


def deflated_badly(source: random.Random, content: bytes) -> bytes:
    """A gzip whose stream is damaged, or whose end is missing, wrong or followed by more."""
    body, end = content[:-8], content[-8:]
    match source.randrange(4):
        case 0:
            return content[:10] + raw(source, content[10:-8]) + end
        case 1:
            return body + raw(source, end)
        case 2:
            return content + source.choice([content, b"\0" * 100, b"x", content[:20]])
    return body + struct.pack("<II", zlib.crc32(b""), 0)


def inside_zip(damage: Damage) -> Damage:
    """Damage a file of a zip, and pack all again."""

    def damaged(source: random.Random, content: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = source.choice(list(members))
        members[name] = damage(source, members[name])
        if source.random() < 0.2:
            renamed = raw(source, name.encode()).decode("utf-8", "replace").replace("\0", "0") or "x"
            members[renamed] = members.pop(name)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", source.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
            for each, held in members.items():
                archive.writestr(each, held)
        return packed.getvalue()

    return damaged


def zip_fields(source: random.Random, content: bytes) -> bytes:
    """Change fields of a zip's headers, in the directory and at the file alike."""
    damaged = bytearray(content)
    fields = [(4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)]
    for _ in range(source.choice([1, 1, 2])):
        entries = [match.start() for match in re.finditer(b"PK\x01\x02", content)]
        entry = source.choice(entries)
        local = int.from_bytes(damaged[entry + 42 : entry + 46], "little")
        at, width = source.choice(fields)
        value = source.choice([*SIZES, 8, 9, 12, 14, 95, 99, source.randrange(2**16)]) % 256**width
        places = source.choice([(entry + 2 + at,), (local + at,), (entry + 2 + at, local + at), (entry + 42,)])
        for place in places:
            damaged[place : place + width] = value.to_bytes(width, "little")
    return bytes(damaged[: len(content)])


def inside_tar(damage: Damage) -> Damage:
    """Damage a file of a tar, or its header, with the header's checksum mended."""

    def damaged(source: random.Random, content: bytes) -> bytes:
        changed = bytearray(content)
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            entry = source.choice(archive.getmembers())
        if source.random() < 0.4:
            held = damage(source, content[entry.offset_data : entry.offset_data + entry.size])[: entry.size]
            changed[entry.offset_data : entry.offset_data + len(held)] = held
            return bytes(changed)
        header = bytearray(raw(source, content[entry.offset : entry.offset + 512])[:512].ljust(512, b"\0"))
        if source.random() < 0.5:
            header = bytearray(content[entry.offset : entry.offset + 512])
            at, width = source.choice(
                [(0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (345, 155)]
            )
            text = source.choice([b"\xff" * width, b"\x80" + b"\0" * (width - 1), b"77777777777", b"-1", b"LKxgSVD365"])
            start = source.randrange(10) if width == 1 else 0
            header[at : at + width] = text[start : start + width].ljust(width, b"\0")
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        changed[entry.offset : entry.offset + 512] = header
        return bytes(changed)

    return damaged


# --- formats with checksums of their own ---


def png(source: random.Random, content: bytes) -> bytes:
    """Damage chunks of a PNG, and mend their checksums."""
    chunks, at = [], 8
    while at + 8 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        chunks.append([content[at + 4 : at + 8], content[at + 8 : at + 8 + length]])
        at += 12 + length
    chunk = source.choice(chunks)
    match source.randrange(5):
        case 0 | 1:
            chunk[1] = raw(source, chunk[1])
        case 2:
            chunk[0] = source.choice([b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"tEXt", b"zTXt", b"acTL"])
        case 3:
            chunks.insert(source.randrange(len(chunks)), list(source.choice(chunks)))
        case _:
            chunk[1] = zlib.compress(raw(source, zlib.decompress(chunk[1]))) if chunk[0] == b"IDAT" else b""
    packed = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return content[:8] + b"".join(packed)


def ogg(source: random.Random, content: bytes) -> bytes:
    """Damage an Ogg file, and mend the checksums of its pages (RFC 3533)."""
    damaged = bytearray(raw(source, content))
    starts = [match.start() for match in re.finditer(b"OggS", damaged)]
    for start, stop in pairwise([*starts, len(damaged)]):
        if stop - start >= 27:
            damaged[start + 22 : start + 26] = bytes(4)
            damaged[start + 22 : start + 26] = struct.pack("<I", ogg_checksum(damaged[start:stop]))
    return bytes(damaged)


def ogg_checksum(page: bytes | bytearray) -> int:
    checksum = 0
    for byte in page:
        checksum ^= byte << 24
        for _ in range(8):
            checksum = (checksum << 1 ^ (0x04C11DB7 if checksum & 0x80000000 else 0)) & 0xFFFFFFFF
    return checksum


def npy(source: random.Random, content: bytes) -> bytes:
    """Change the header of an array, and mend its length."""
    length = int.from_bytes(content[8:10], "little")
    header, data = content[10 : 10 + length].decode("latin1").rstrip(), content[10 + length :]
    match source.randrange(4):
        case 0:
            new = source.choice(
                [*SIZES, -1, "1e9", "True", "None", "'a'", "(1,)", "9" * 5000, "1,1,1,1,1,1,1,1,1,1,1,1"]
            )
            if "shape" not in header:
                return raw(source, content)
            numbers = list(re.finditer(r"\d+", header[header.index("shape") :]))
            if not numbers:
                return raw(source, content)
            at = source.choice(numbers)
            start = header.index("shape")
            header = header[: start + at.start()] + str(new) + header[start + at.end() :]
        case 1:
            kinds = [
                "<f8",
                "<f4",
                "<f2",
                "|u1",
                "|i1",
                "<i8",
                ">i4",
                "|b1",
                "<c8",
                "<U3",
                "|S4",
                "|O",
                "<M8[ns]",
                "<m8[D]",
            ]
            kinds += [
                "|V4",
                "|V0",
                "<U0",
                "|S0",
                "<U536870912",
                "",
                "x",
                "<f16",
                "i",
                "f8,f8",
                "<M8",
                ",",
                "\x00",
                "<f3",
            ]
            header = header.replace(header[10 : header.index(",")], f" {source.choice(kinds)!r}", 1)
        case 2:
            old, new = source.choice(
                [("False", "True"), ("False", "3"), ("shape", "shap"), ("descr", "shape"), ("{", "[" * 200)]
            )
            header = header.replace(old, new)
        case _:
            header = raw(source, header.encode("latin1")).decode("latin1")
    if source.random() < 0.3:
        data = raw(source, data)
    packed = header.encode("latin1")[:65535]
    return content[:8] + len(packed).to_bytes(2, "little") + packed + data


def checkpoint(source: random.Random, content: bytes) -> bytes:
    """Damage the header or the arrays of a checkpoint, and mend its length and checksum."""
    size = int.from_bytes(content[8:16], "little")
    header, arrays = content[16 : 16 + size], content[16 + size : -32]
    if source.random() < 0.7:
        header = json_tree(source, header)
    else:
        arrays = raw(source, arrays)
    body = content[:8] + len(header).to_bytes(8, "little") + header + arrays
    return body + hashlib.sha256(body).digest()


# --- text ---

VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        1.5,
        1e308,
        2**31,
        2**53 + 1,
        2**63,
        2**64,
        10**30,
        10**400,
        -(10**400),
        "",
        "a",
        "é",
    ),
    *(
        "\x1b[31m\u202e",
        "\0",
        "[/foo]",
        "<script>",
        "../../etc/passwd",
        "/dev/zero",
        "a" * 20_000,
        "\ud800",
        "NaN",
        "1e999",
    ),
    *(
        [],
        {},
        [[]],
        [None],
        [1, "a"],
        {"": 1},
        {"a": {"b": []}},
        [0] * 1000,
        {str(n): n for n in range(300)},
        ["a"] * 60,
    ),
    *(float("nan"), float("inf"), -float("inf")),
]


def json_tree(source: random.Random, content: bytes) -> bytes:
    """Change values, keys and nesting of a JSON document. Later changes may be inside earlier ones."""
    top = [json.loads(content)]
    for _ in range(source.choice([1, 1, 2, 3])):
        found = list(json_places(top))
        below, step = source.choice(found)
        match source.randrange(6):
            case 0:
                if below is not top:
                    del below[step]
            case 1 if isinstance(below, dict):
                key = source.choice(["", "status", "é", "\x1b[2J", "a" * 1000, *below])
                below[key] = copy.deepcopy(source.choice(VALUES))
            case 2:
                other, at = source.choice(found)
                if at in other if isinstance(other, dict) else at < len(other):
                    below[step] = json.loads(json.dumps(other[at]))
            case 3:
                below[step] = [below[step]]
            case _:
                below[step] = copy.deepcopy(source.choice(VALUES))
    text = json.dumps(top[0])
    if source.random() < 0.05:
        deep = source.choice([90, 200, 500, 900, 2000, 100_000])
        text = text.replace("{", '{"deep": ' + "[" * deep + "]" * deep + ", ", 1)
    return text.encode()


def json_places(node: Any) -> Any:
    """Every (parent, step)."""
    for step, below in list(node.items() if isinstance(node, dict) else enumerate(node)):
        yield node, step
        if isinstance(below, dict | list):
            yield from json_places(below)


def json_lines(source: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    index = source.randrange(max(1, len(lines) - 1))
    lines[index] = json_tree(source, lines[index]) if lines[index] else b""
    return b"\n".join(lines)


def cells(source: random.Random, content: bytes) -> bytes:
    """Change cells, rows and columns of a delimited text."""
    delimiter = b"\t" if b"\t" in content else b","
    rows = [line.split(delimiter) for line in content.split(b"\n")]
    for _ in range(source.choice([1, 1, 2, 5])):
        row = source.choice([0, 1, source.randrange(len(rows))]) % len(rows)
        match source.randrange(5):
            case 0 | 1 if rows[row]:
                rows[row][source.randrange(len(rows[row]))] = source.choice(TEXTS)
            case 2:
                rows[row] = rows[row] + source.choice([[b""], [b"1", b"2"], rows[row]])
            case 3:
                del rows[row][-1:]
            case _:
                rows[row : row + 1] = [rows[row]] * source.choice([0, 2, 50])
                rows = rows or [[b""]]
    return b"\n".join(delimiter.join(row) for row in rows)
