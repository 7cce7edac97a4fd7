"""`dltool init`: a ready config to begin with, a template or one drafted for some data."""

import os
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from dltool.errors import ConfigError, DataError, MachineError
from dltool.text import did_you_mean, near, os_words

WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods")
PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Template:
    name: str
    summary: str


def templates_folder() -> Path:
    """The templates of an installed dltool, or in a checkout the configs that they are made of."""
    installed = PACKAGE / "templates"
    return installed if installed.is_dir() else PACKAGE.parents[1] / "configs"


def templates() -> list[Template]:
    """All templates with the first line of their header."""
    files = sorted(templates_folder().glob("*.yaml"))
    return [Template(file.stem, file.read_text("utf-8").partition("\n")[0].removeprefix("# ")) for file in files]


def template_text(name: str) -> str:
    """The text of a template.

    Raises:
        ConfigError: there is none of that name.
    """
    names = [template.name for template in templates()]
    if name not in names:
        hint = did_you_mean(near(name, names)) or "`dltool init --list` names the templates"
        raise ConfigError(f'"{name}" is neither a template nor a file or folder', hint)
    return (templates_folder() / f"{name}.yaml").read_text("utf-8").replace("configs/", "")


@dataclass(frozen=True)
class Drafted:
    """A config drafted for data, and sentences for the user."""

    text: str
    said: tuple[str, ...]


def config_for(what: str, target: str | None, out: Path | None) -> Drafted:
    """The config that `what` names, as it has to be in the file `out`, or in the working directory.

    A template keeps its name, whatever lies in the folder; anything else is data.

    Raises:
        ConfigError: neither; a target where there are no columns, or one that cannot be predicted; `out` is there.
        DataError: with every problem of the data.
        MachineError: there is no room for it.
    """
    if out is not None and out.exists():
        raise there_already(out)
    path = Path(what)
    is_template = what in [template.name for template in templates()]
    if not is_template and path.exists():
        return draft_for(path, target, out)
    text = template_text(what)
    if target is not None:
        raise ConfigError("a template has its target already", "--target is for a table of your own")
    return Drafted(text, () if out is None else (f"next  dltool train {out}",))


def draft_for(given: Path, target: str | None, out: Path | None) -> Drafted:
    from dltool.drafting.draft import path_scalar, written
    from dltool.drafting.folder import draft_folder
    from dltool.drafting.table import draft_table

    folder = Path.cwd() if out is None else out.absolute().parent
    path, named = Path(os.path.abspath(given)), path_scalar(given, folder)
    if path.name.lower().endswith(WORKBOOKS):
        raise DataError(f"{given} is a workbook", "save the sheet with the data as CSV")
    stem = path.name.split(".")[0] or path.name
    command = f"dltool train {shlex.quote(str(out or f'{stem}.yaml'))}"
    try:
        if not is_folder(path):
            draft = draft_table(path, named, target)
        elif target is None:
            draft = draft_folder(path, named)
        else:
            raise ConfigError(f"{given} has no columns: its folders or files are the classes", "leave --target out")
        text = written(draft, stem, command, folder)
    except (ConfigError, DataError) as error:
        # Nobody can look into a config that is not written.
        raise type(error)([replace(problem, place=None, related=()) for problem in error.problems]) from None
    return Drafted(text, (*draft.said, *(() if out is None else (f"next  {command}",))))


def is_folder(path: Path) -> bool:
    """A folder or an archive, a damaged one too; a packed table is none."""
    from dltool.data.files.file_tree import is_archive

    name = path.name.lower()
    if path.is_dir() or name.endswith((".tar", ".tgz", ".tbz2", ".txz")) or ".tar." in name:
        return True
    # A table may be packed too, and is not unpacked to see whether it is one.
    return path.is_file() and not name.endswith((".gz", ".bz2", ".xz")) and is_archive(path)


def write_new(text: str, out: Path) -> None:
    """Write a file that is not there yet.

    Raises:
        ConfigError: it is.
        MachineError: it cannot be written.
    """
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise there_already(out) from None
    except OSError as error:
        raise MachineError(f"{out} cannot be written: {os_words(error)}") from None


def there_already(out: Path) -> ConfigError:
    return ConfigError(f"{out} is there already, and is left as it is", "name another file, or remove it")
