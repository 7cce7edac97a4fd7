"""Zips and tars made by hand, with what an archive of images or audio clips should not hold."""

import io
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

Files = Mapping[str, bytes]


def write_folder(root: Path, files: Files) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def write_zip(path: Path, files: Files, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: Files, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def zip_with(path: Path, entry: zipfile.ZipInfo, content: bytes = b"content") -> Path:
    """A zip of a harmless file and `entry`."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cat/1.jpg", b"harmless")
        archive.writestr(entry, content)
    return path


def tar_with(path: Path, name: str, kind: bytes, target: str = "") -> Path:
    """A tar of a harmless file and an entry of some kind."""
    with tarfile.open(path, "w") as archive:
        harmless = tarfile.TarInfo("cat/1.jpg")
        harmless.size = 8
        archive.addfile(harmless, io.BytesIO(b"harmless"))
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, target
        archive.addfile(entry)
    return path


def zip_entry(name: str, kind: int = stat.S_IFREG) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (kind | 0o644) << 16
    return entry


def changed(path: Path, old: bytes, new: bytes) -> Path:
    """The file with bytes of it replaced by as many others, everywhere."""
    content = path.read_bytes()
    assert len(old) == len(new)
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path
