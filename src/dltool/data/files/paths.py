"""Checks data files named by the config: they exist and are readable, or a message says what exists instead."""

import os
from pathlib import Path

from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import near, os_words


def require(text: str, place: ConfigPath, *, allow_folder: bool = False) -> Path:
    """Return the absolute path of an existing file or folder. Raises DataError: it is missing or of another kind."""
    path = Path(text).expanduser().absolute()
    try:
        if not path.exists():
            raise DataError(Problem(place, f"no such file: {path}", near_names(path)))
        if path.is_dir() and not allow_folder:
            raise DataError(Problem(place, f"{path} is a folder; expected a file", folder_hint(path)))
        if not path.is_dir() and not path.is_file():
            raise DataError(Problem(place, f"{path} is not a regular file"))
        if not os.access(path, os.R_OK):
            raise DataError(Problem(place, f"{path} cannot be read: permission denied"))
    except OSError as error:
        raise unreadable(path, place, error) from None
    return path


def unreadable(path: Path, place: ConfigPath, error: OSError) -> DataError:
    return DataError(Problem(place, f"{path} cannot be read: {os_words(error)}"))


def near_names(path: Path) -> str:
    """Return a hint naming existing paths similar to the missing `path`."""
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    names = sorted(item.name for item in path.parent.iterdir())
    alike = near(path.name, names, 3) or [name for name in names if Path(name).suffix == path.suffix][:3]
    return f"that folder has {', '.join(alike)}" if alike else ""


def folder_hint(folder: Path) -> str:
    names = sorted(item.name for item in folder.iterdir() if item.suffix in {".npz", ".npy"})
    return f"it holds {', '.join(names[:3])}" if names else ""
