"""The classes of files: their folders, a pattern that reads them from names as in `cat.12.jpg`, or other ways."""

import os
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from dltool.config.folder_sources import file_pattern
from dltool.data.files.class_folders import Item, Labelled, labelled, split_folders, split_in
from dltool.data.files.file_tree import Members, open_members
from dltool.drafting.table_files import ENDINGS
from dltool.errors import DataError
from dltool.text import listed

FORMS = (
    *(f"{{class}}{separator}{{number}}" for separator in "._- "),
    "{class} ({number})",
    *(f"{{number}}{separator}{{class}}" for separator in "._- "),
)
"""The usual ways to write a class and a number into a name."""
NAMED_PERSON = r"(?i)(?:patient|subject|person|actor|speaker|case|user|session)[ _-]*\d+"
PERSON = re.compile(NAMED_PERSON + r"|\d{3,}")
"""Names of folders with the files of one person each."""
PIECE = re.compile(r"(?i)(?:^|[^a-z])(?:fold|part|batch|chunk|shard)[ _-]?\d+$")
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
    path = Path(members.path)
    tables = [path / member.name for member in members.members]
    try:
        found = labelled(members, extensions, None, (), noun)
        pattern = inner_classes(found.parts["training"])
        if pattern is None:
            refuse_pieces(path, found, ways_to_classes(path, noun, tables))
            return members, None, found
        return members, pattern, labelled(members, extensions, pattern, (), noun)
    except DataError as error:
        problems = error.problems
    below = [path / folder for folder in members.folders if "/" not in folder and split_in(folder)[0] == "training"]
    for each in (members, *(open_members(str(folder), ()) for folder in below if path.is_dir())):
        pattern = pattern_in([member.name for member in each.members if member.name.lower().endswith(extensions)])
        if pattern is not None:
            return each, pattern, labelled(each, extensions, pattern, (), noun)
    hint = ways_to_classes(path, noun, tables)
    raise DataError([replace(each, hint=hint if "pattern" in each.hint else each.hint) for each in problems])


def inner_classes(items: Sequence[Item]) -> str | None:
    """Return the pattern of classes in the numbered folder of each person, `patient3/ill/1.png`; None for others."""
    paths = [PurePath(item.member.name).parts for item in items]
    people = {item.label for item in items}
    if not all(map(PERSON.fullmatch, people)):
        return None
    if not all(len(path) > 2 and path[-3] == item.label for path, item in zip(paths, items, strict=True)):
        return None
    folders = Counter(folder for _, folder in {path[-3:-1] for path in paths})
    is_shared = 1 < len(folders) < len(people) and 2 * min(folders.values()) >= len(people)
    return "{group}/{class}/{file}.{ending}" if is_shared else None


def note_of_people(items: Sequence[Item], are_images: bool) -> tuple[str, ...]:
    """Return a message if the classes are folders that are called like people, with a pattern for other classes: the
    part of the names of files that has most values which several people share."""
    people = [item.label for item in items]
    if not all(re.fullmatch(NAMED_PERSON, name) for name in people):
        return ()
    message = f"the classes are folders that are called like people or sessions: {listed(sorted({*people}), 3)}"
    path = PurePath(items[0].member.name)
    rows = [re.split("([-_. ])", PurePath(item.member.name).stem) for item in items]
    columns = [*zip(*rows, strict=False)]
    pairs = [{*zip(column, people, strict=True)} for column in columns]
    shared = [sum(count > 1 for count in Counter(value for value, _ in each).values()) for each in pairs]
    if max(shared) < 2 or len({*map(len, rows)}) > 1 or path.parent.name != people[0]:
        return (f"{message}; if they are not, put the files of each class in a folder",)
    parts = [part if number % 2 else f"{{part{number // 2 + 1}}}" for number, part in enumerate(rows[0])]
    parts[shared.index(max(shared))] = "{class}"
    source = "images" if are_images else "audio"
    pattern = shlex.quote(f'data.source.{source}.pattern="{{person}}/{"".join(parts)}{path.suffix}"')
    example = f"if the class is in the names of files, as {rows[0][shared.index(max(shared))]} in {path.name}"
    return (f"{message}; {example}, train with --set {pattern} --set data.split.group=person",)


def refuse_pieces(path: Path, found: Labelled, hint: str) -> None:
    """Raise DataError if the class folders are pieces of a dataset."""
    classes = sorted({item.label for item in found.parts["training"]})
    if all(map(PIECE.search, classes)):
        raise DataError(f"the folders of {path} are pieces of a dataset, not classes: {listed(classes, 3)}", hint)


def ways_to_classes(path: Path, noun: str, inner: Sequence[Path] = ()) -> str:
    """Return how to say what the classes of the files in a folder or an archive are. `inner` are files in it."""
    inside = sorted(inner, key=lambda each: "train" not in str(each).lower()) if path.is_dir() else []
    beside = [*inside, *sorted(path.parent.iterdir())]
    tables = [os.path.relpath(each) for each in beside if each.name.lower().endswith(ENDINGS)]
    table = next((each for each in tables if NAMING.search(each)), [*tables, "TABLE.csv"][0])
    way = f"draft from the table that names them: dltool init {shlex.quote(table)}"
    return f"put the {noun}s of each class in a folder, name them like cat_1 and dog_1, or {way}"
