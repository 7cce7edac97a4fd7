"""The classes of files: their folders, a pattern that reads them from names as in `cat.12.jpg`, or other ways."""

import os
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from dltool.config.folder_sources import file_pattern
from dltool.data.files.class_folders import Labelled, labelled, split_folders, split_in
from dltool.data.files.file_tree import Members, open_members
from dltool.drafting.table_files import ENDINGS
from dltool.errors import DataError

FORMS = (
    *(f"{{class}}{separator}{{number}}" for separator in "._- "),
    "{class} ({number})",
    *(f"{{number}}{separator}{{class}}" for separator in "._- "),
)
"""The usual ways to write a class and a number into a name."""
NAMING = re.compile("(?i)(train|label|class|meta)[^/]*$")
"""Names of tables that probably name files with their classes."""


def pattern_in(names: Sequence[str]) -> str | None:
    """Return the pattern of the usual form that reads a class of letters and a number from every path; None if there is
    none, or only one class, or classes of a single file. Folders of splits are `{split}`."""
    endings = {PurePath(name).suffix for name in names}
    ending = endings.pop() if len(endings) == 1 else ".{ending}"
    folders = {PurePath(name).parent.name for name in names}
    splits = split_folders(folders, "", ())
    for form in FORMS:
        pattern = f"{'{split}/' * (splits.keys() == folders)}{form}{ending}"
        match = file_pattern(pattern)
        found = [match(name) for name in names]
        if all(each and each["number"].isdecimal() and not any(map(str.isdigit, each["class"])) for each in found):
            classes = Counter(each["class"] for each in found if each)
            return pattern if len(classes) > 1 and min(classes.values()) > 1 else None
    return None


def with_classes(members: Members, extensions: tuple[str, ...], noun: str) -> tuple[Members, str | None, Labelled]:
    """Return the files, the pattern that reads their classes from their names, None if folders are the classes, and the
    classes. If only the files for training have any, these are the files. Raises DataError: there are no classes."""
    try:
        return members, None, labelled(members, extensions, None, (), noun)
    except DataError as error:
        problems = error.problems
    path = Path(members.path)
    tables = [path / member.name for member in members.members]
    below = [path / folder for folder in members.folders if "/" not in folder and split_in(folder)[0] == "training"]
    for each in (members, *(open_members(str(folder), ()) for folder in below if path.is_dir())):
        pattern = pattern_in([member.name for member in each.members if member.name.lower().endswith(extensions)])
        if pattern is not None:
            return each, pattern, labelled(each, extensions, pattern, (), noun)
    hint = ways_to_classes(path, noun, tables)
    raise DataError([replace(each, hint=hint if "pattern" in each.hint else each.hint) for each in problems])


def ways_to_classes(path: Path, noun: str, inner: Sequence[Path] = ()) -> str:
    """Return how to say what the classes of the files in a folder or an archive are. `inner` are files in it."""
    inside = sorted(inner, key=lambda each: "train" not in str(each).lower()) if path.is_dir() else []
    beside = [*inside, *sorted(path.parent.iterdir())]
    tables = [os.path.relpath(each) for each in beside if each.name.lower().endswith(ENDINGS)]
    table = next((each for each in tables if NAMING.search(each)), [*tables, "TABLE.csv"][0])
    way = f"draft from the table that names them: dltool init {shlex.quote(table)}"
    return f"put the {noun}s of each class in a folder, name them like cat_1 and dog_1, or {way}"
