"""Assigns files to classes and splits: by class folders, `train/` and `test/` with such folders, or a pattern."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from os.path import splitext
from types import MappingProxyType
from typing import Literal, NamedTuple

from dltool.config.folder_sources import file_pattern
from dltool.data.files.file_tree import Members
from dltool.data.files.listing import SHOWN, Member, natural_key
from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import and_more, counted, joined, listed

PartName = Literal["training", "validation", "test"]
PART_NAMES: Mapping[str, PartName] = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


class Item(NamedTuple):
    """A file with its class, and further groups of a pattern."""

    member: Member
    label: str
    columns: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Labelled:
    """The items of each existing split, in the order of the files. There is always a training split."""

    parts: Mapping[PartName, tuple[Item, ...]]
    warnings: tuple[str, ...] = ()


def labelled(
    members: Members, extensions: Sequence[str], pattern: str | None, place: ConfigPath, noun: str = "file"
) -> Labelled:
    """Return the files whose names end in one of `extensions` (".jpg", in lower case), with their classes.

    A single top folder is skipped. `pattern` replaces the rule of folders. `place` is the config path of the source's
    options, `noun` the noun for such a file in messages. Raises DataError: no such files, files without a class or that
    do not match, one class only, unclear splits."""
    files = [member for member in members.members if member.name.lower().endswith(tuple(extensions))]
    if not files:
        raise DataError(Problem((*place, "path"), f"{members.path} holds no {noun}s", what_is_there(members)))
    warnings = other_files(members, extensions, noun)
    if pattern is not None:
        parts = by_pattern(files, pattern, (*place, "pattern"))
    else:
        top = common_folder(files)
        parts = by_folders(files, top, members.path, (*place, "path"))
        warnings += empty_classes(members, top, parts, noun)
    if "training" not in parts:
        message = f"{members.path} has no training split: only {', '.join(sorted(parts))}"
        raise DataError(Problem((*place, "pattern"), message))
    classes = {item.label for item in parts["training"]}
    if len(classes) == 1:
        message = f'all {len(parts["training"]):,} {noun}s for training are of one class, "{classes.pop()}"'
        hint = "each class is a folder of its own" if pattern is None else "the pattern says where the class stands"
        raise DataError(Problem((*place, "path"), message, hint))
    return Labelled({name: tuple(items) for name, items in parts.items()}, tuple(warnings))


def what_is_there(members: Members) -> str:
    """Return a hint: the extensions of the existing files."""
    return f"it holds {counted_endings(members.members)}" if members.members else "it is empty"


def counted_endings(files: Sequence[Member]) -> str:
    endings = Counter(splitext(member.name)[1].lower() or "without an ending" for member in files)
    return listed([f"{count:,} {name}" for name, count in endings.most_common()], 5)


def other_files(members: Members, extensions: Sequence[str], noun: str) -> list[str]:
    others = [member for member in members.members if not member.name.lower().endswith(tuple(extensions))]
    if not others:
        return []
    files_are = counted(len(others), "file is", "files are")
    return [f"{files_are} no {noun} by the ending and left out: {counted_endings(others)}"]


def common_folder(files: Sequence[Member]) -> list[str]:
    """Return the folders that contain all the files."""
    names = [member.name for member in files]
    # All names share the common prefix of the first and the last in alphabetical order.
    pairs = zip(min(names).split("/")[:-1], max(names).split("/")[:-1], strict=False)
    return [one for one, other in takewhile(lambda pair: pair[0] == pair[1], pairs)]


Parts = dict[PartName, list[Item]]


def by_folders(files: Sequence[Member], top: list[str], path: str, place: ConfigPath) -> Parts:
    """Take the first folder below the top, or below `train/`, `test/`, …, as the class."""
    below = [member.name.split("/")[len(top) :] for member in files]
    if all(len(parts) == 1 for parts in below):
        message = f"the files of {path} are in one folder, not in a folder for each class"
        hint = "make class folders, or set pattern, which reads the class from a path"
        raise DataError(Problem(place, message, hint))
    has_parts = are_parts({parts[0] for parts in below if len(parts) > 1}, path, place)
    depth = 1 if has_parts else 0
    stray = [member.name for member, parts in zip(files, below, strict=True) if len(parts) < depth + 2]
    if stray:
        files_are = counted(len(stray), "file is", "files are")
        raise DataError(Problem(place, f"{files_are} in no class folder of {path}: {and_more(stray, SHOWN)}"))
    result: Parts = {}
    for member, parts in zip(files, below, strict=True):
        name = PART_NAMES[parts[0].lower()] if has_parts else "training"
        result.setdefault(name, []).append(Item(member, parts[depth]))
    return result


def are_parts(folders: set[str], path: str, place: ConfigPath) -> bool:
    """Return whether the top folders are splits, not classes. A single "train" may be a class; "train" and "test" are
    splits. Raises DataError: splits and other folders, or two folders for one split."""
    named = Counter(PART_NAMES[folder.lower()] for folder in folders if folder.lower() in PART_NAMES)
    if "training" not in named or len(named) < 2:
        return False
    others = sorted((folder for folder in folders if folder.lower() not in PART_NAMES), key=natural_key)
    if others:
        parts = sorted(folder for folder in folders if folder.lower() in PART_NAMES)
        message = f"{path} has {joined(parts, 'and')}, and beside them {and_more(others, SHOWN)}"
        hint = "move the other folders away, or set pattern, which reads class and split from a path"
        raise DataError(Problem(place, message, hint))
    for name, count in named.items():
        if count > 1:
            both = sorted(folder for folder in folders if PART_NAMES[folder.lower()] == name)
            raise DataError(Problem(place, f"{path} has several folders for the {name} split: {joined(both, 'and')}"))
    return True


def by_pattern(files: Sequence[Member], pattern: str, place: ConfigPath) -> Parts:
    """Take the class, the split and further columns from the pattern's groups."""
    match = file_pattern(pattern)
    result: Parts = {}
    unmatched: list[str] = []
    bad_parts: dict[str, str] = {}
    for member in files:
        columns = match(member.name)
        if columns is None:
            unmatched.append(member.name)
            continue
        label, part = columns.pop("class"), columns.pop("split", "train")
        if part.lower() in PART_NAMES:
            result.setdefault(PART_NAMES[part.lower()], []).append(Item(member, label, columns))
        else:
            bad_parts.setdefault(part, member.name)
    problems = []
    if unmatched:
        files_are = counted(len(unmatched), "file is", "files are")
        message = f'{files_are} not matched by "{pattern}": {and_more(unmatched, SHOWN)}'
        problems.append(Problem(place, message))
    if bad_parts:
        shown = and_more([f'"{part}" ({name})' for part, name in bad_parts.items()], SHOWN)
        message = f"{{split}} is no split: {shown}"
        problems.append(Problem(place, message, f"splits are called {joined(list(PART_NAMES), 'and')}"))
    DataError.refuse(problems)
    return result


def empty_classes(members: Members, top: list[str], parts: Parts, noun: str) -> list[str]:
    """Return a warning for class folders without matching files."""
    has_parts = len(parts) > 1
    depth = len(top) + (2 if has_parts else 1)
    used = {"/".join(item.member.name.split("/")[:depth]) for items in parts.values() for item in items}
    prefix = "".join(f"{folder}/" for folder in top)
    classes = [name for name in members.folders if name.count("/") + 1 == depth and name.startswith(prefix)]
    empty = [name for name in classes if name not in used]
    if not empty:
        return []
    folders = counted(len(empty), "class folder has", "class folders have")
    return [f"{folders} no {noun}: {and_more(empty, SHOWN)}"]
