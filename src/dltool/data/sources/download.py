"""Published files of keras.datasets and keras.applications, in Keras's own cache."""

import hashlib
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from dltool.errors import ConfigPath, MachineError, Problem
from dltool.text import os_words

TIMEOUT_SECONDS = 60
DATASETS = "datasets"


@dataclass(frozen=True)
class PublishedFile:
    """`cached_as` is relative to `folder` in Keras's cache. Keras publishes one hash or none."""

    cached_as: str
    url: str
    sha256: str | None = None
    md5: str | None = None
    folder: str = DATASETS

    def is_content(self, content: bytes) -> bool:
        return (self.sha256 is None or hashlib.sha256(content).hexdigest() == self.sha256) and (
            self.md5 is None or hashlib.md5(content, usedforsecurity=False).hexdigest() == self.md5
        )


def keras_cache(folder: str = DATASETS) -> Path:
    """Return a folder of Keras's cache, $KERAS_HOME or ~/.keras."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / folder


def fetch(file: PublishedFile, source: str, place: ConfigPath, hint: str = "") -> bytes:
    """Return the content, from the cache or else downloaded into it. A cached file other than the published one is
    replaced.

    `hint` is an alternative for the user; by default to set the path of the dataset `source`. Raises MachineError: no
    network, no room, or the download is not the published file."""
    path = keras_cache(file.folder) / file.cached_as
    hint = hint or f"put the file there, or name a copy of it: source: {{{source}: {{path: {Path(file.url).name}}}}}"
    with suppress(OSError):
        if path.is_file() and file.is_content(cached := path.read_bytes()):
            return cached
    content = download(file, path, source, place, hint)
    store(content, path, place)
    return content


def download(file: PublishedFile, path: Path, source: str, place: ConfigPath, hint: str) -> bytes:
    try:
        with urlopen(file.url, timeout=TIMEOUT_SECONDS) as response:
            content: bytes = response.read()
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        message = f"{source} is not at {path} and cannot be downloaded from {file.url}: {reason}"
        raise MachineError(Problem(place, message, hint)) from None
    if not file.is_content(content):
        message = f"the content of {file.url} ({len(content):,} bytes) is not the published file"
        raise MachineError(Problem(place, message, hint.replace("there", f"at {path}")))
    return content


def store(content: bytes, path: Path, place: ConfigPath) -> None:
    """Write the file completely or not at all, so that an interrupted download leaves none."""
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        hint = "set KERAS_HOME to a folder with room, or give the path option"
        raise MachineError(Problem(place, f"cannot write {path}: {os_words(error)}", hint)) from None
