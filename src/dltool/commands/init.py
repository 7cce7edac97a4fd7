"""`dltool init`: a starter config, from a template or drafted for data."""

import os
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dltool.errors import ConfigError, DataError, MachineError
from dltool.text import did_you_mean, near, os_words

if TYPE_CHECKING:
    from dltool.drafting.draft import Draft

Written = tuple[str, tuple[str, ...]]
"""The text of a config, and warnings about its data."""
PACKAGE = Path(__file__).resolve().parents[1]


def templates() -> dict[str, str]:
    """Return the texts of the templates by name: those of an installed dltool, or of `configs` in a checkout."""
    installed = PACKAGE / "templates"
    folder = installed if installed.is_dir() else PACKAGE.parents[1] / "configs"
    return {file.stem: file.read_text("utf-8") for file in sorted(folder.glob("*.yaml"))}


@dataclass(frozen=True)
class Drafted:
    """A config drafted for data, and messages for the user."""

    text: str
    notes: tuple[str, ...]


def config_for(what: str, target: str | None, out: Path | None, settings: Sequence[str] = ()) -> Drafted:
    """Return the config for `what`, with paths relative to the file `out` or to the working directory.

    A template's name precedes a file of the same name; anything else is data.

    Raises ConfigError: `what` is neither; the target is unsuitable; `out` exists. Raises DataError: with every problem
    of the data; MachineError: there is too little memory."""
    if out is not None and out.exists():
        raise there_already(out)
    path, texts = Path(what), templates()
    if what not in texts:
        if path.exists():
            return draft_for(path, target, out, settings)
        hint = did_you_mean(near(what, texts)) or "`dltool init --list` names the templates"
        raise ConfigError(f'"{what}" is neither a template nor a file or folder', hint)
    also = (
        f"for the {'folder' if path.is_dir() else 'file'} of this name: dltool init ./{what}" if path.exists() else ""
    )
    if settings:
        raise ConfigError(f"--set does not apply to the template {what}", f"dltool train takes it: {settings[0]}")
    if target is not None:
        raise ConfigError(f"--target does not apply to the template {what}", also or "omit --target")
    notes = (*([f"{what} is a template; {also}"] if also else []), *([f"next  dltool train {out}"] if out else []))
    return Drafted(texts[what].replace("configs/", ""), notes)


def draft_for(given: Path, target: str | None, out: Path | None, settings: Sequence[str]) -> Drafted:
    from dltool.drafting.content import kind_of_content
    from dltool.drafting.draft import path_scalar
    from dltool.drafting.settings import given_by, in_terms_of_init
    from dltool.drafting.table import draft_table
    from dltool.drafting.table_files import table_files
    from dltool.drafting.writing import written

    said = given_by(settings)
    folder = Path.cwd() if out is None else out.absolute().parent
    path = Path(os.path.abspath(given))

    def named(each: Path) -> str:
        return path_scalar(each if given.is_absolute() else Path(os.path.relpath(each)), folder)

    if path.is_file() and not path.stat().st_size:
        raise DataError(f"{given} is empty")
    kind = kind_of_content(path)
    stem = path.name.split(".")[0] or path.name
    command = f"dltool train {shlex.quote(str(out or f'{stem}.yaml'))}"
    try:
        files = table_files(path, kind)
        if files is not None:
            draft = draft_table(files, named, target, said)
            text, warnings = written(draft, stem, command, folder)
        elif target is None and not settings:
            draft, (text, warnings) = draft_files(path, named, lambda draft: written(draft, stem, command, folder))
        else:
            raise ConfigError(
                f"{given} has no columns: its folders or files are the classes", "omit --target and --set"
            )
    except (ConfigError, DataError) as error:
        # The config is not written, so locations in it mean nothing.
        raise type(error)(
            [in_terms_of_init(problem, said.kind or kind or "csv", settings) for problem in error.problems]
        ) from None
    return Drafted(text, (*draft.notes, *warnings, *(() if out is None else (f"next  {command}",))))


def draft_files(
    path: Path, named: Callable[[Path], str], write: Callable[["Draft"], Written]
) -> tuple["Draft", Written]:
    """Return the draft for a folder or an archive of files, and its text and warnings by `write`. If all that is wrong
    are a few files that cannot be read, it leaves them out."""
    from dltool.drafting.folder import draft_folder
    from dltool.drafting.segmentation import draft_masks, masks_in

    masks = masks_in(path)

    def attempt(on_error: str) -> tuple["Draft", Written]:
        draft = (
            draft_folder(path, named, on_error) if masks is None else draft_masks(path, masks, named(path), on_error)
        )
        return draft, write(draft)

    try:
        return attempt("refuse")
    except DataError as error:
        with suppress(ConfigError, DataError):
            return attempt("skip")
        way = "replace or remove them"
        problems = [replace(each, hint=way if "on_error" in each.hint else each.hint) for each in error.problems]
        raise DataError(problems) from None


def write_new(text: str, out: Path) -> None:
    """Write a new file. Raises ConfigError: it exists; MachineError: it cannot be written."""
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise there_already(out) from None
    except OSError as error:
        raise MachineError(f"{out} cannot be written: {os_words(error)}") from None


def there_already(out: Path) -> ConfigError:
    return ConfigError(f"{out} exists already and is left unchanged", "name another file, or remove it")
