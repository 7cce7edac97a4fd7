"""The file that a command is to write, refused before anything is computed for it"""

from collections.abc import Iterable
from pathlib import Path

from dltool.errors import ConfigError

PAGE = (".html", ".htm")


def refuse_no_file(option: str, file: Path, endings: Iterable[str]) -> None:
    """Raises ConfigError, with the `option` that names it: another ending, a folder, or no folder to be in."""
    first, *others = endings
    if file.suffix.lower() not in (first, *others):
        raise ConfigError(
            f"{option} {file}: its name must end in {' or '.join([first, *others])}",
            f"{option} {file.stem or 'name'}{first}",
        )
    if file.is_dir():
        raise ConfigError(f"{option} {file} is a folder; a file is expected")
    if not file.parent.is_dir():
        raise ConfigError(f"{option} {file}: there is no folder {file.parent}")
