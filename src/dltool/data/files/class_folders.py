"""Assigns files to classes and splits: by class folders, `train/` and `test/` with such folders, or a pattern."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, takewhile
from os.path import splitext
from types import MappingProxyType
from typing import Literal, NamedTuple

from dltool.config.folder_sources import file_pattern
from dltool.data.files.file_tree import Members
from dltool.data.files.listing import SHOWN, Member, natural_key
from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import and_more, counted, joined, listed

PartName = Literal["training", "validation", "test"]
PART_SPELLINGS: Mapping[str, PartName] = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
MOST_STRAY = 0.1
"""The most files that are left out because they are in no class folder, as a share of all."""

WORDS = re.compile("[^a-z]+")


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
        top = common_folders([member.name.split("/") for member in files])
        parts, classes, unlabelled = by_folders(files, top, members.path, (*place, "path"))
        warnings += [*unlabelled, *empty_classes(members, classes, noun)]
    if "training" not in parts:
        message = f"{members.path} has no training split: only {', '.join(sorted(parts))}"
        raise DataError(Problem((*place, "pattern"), message))
    labels = {item.label for item in parts["training"]}
    if len(labels) == 1:
        message = f'all {len(parts["training"]):,} {noun}s for training are of one class, "{next(iter(labels))}"'
        hint = "each class is a folder of its own" if pattern is None else "the pattern says where the class stands"
        raise DataError(Problem((*place, "path"), message, hint))
    for name, items in parts.items():
        if absent := sorted(labels - {item.label for item in items}, key=natural_key):
            warnings.append(f"the {name} split has no {noun} of {and_more(absent, SHOWN)}")
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


def common_folders(paths: Sequence[list[str]]) -> list[str]:
    """Return the folders that contain all the files, of which `paths` are the folders and the name."""
    # All paths share the common prefix of the first and the last in alphabetical order.
    pairs = zip(min(paths)[:-1], max(paths)[:-1], strict=False)
    return [one for one, other in takewhile(lambda pair: pair[0] == pair[1], pairs)]


Parts = dict[PartName, list[Item]]


def by_folders(
    files: Sequence[Member], top: list[str], path: str, place: ConfigPath
) -> tuple[Parts, set[str], list[str]]:
    """Find the class and the split of each file in the folders below `top`.

    The first folder is the class. If the folders of one level are splits, it is the class where they are below it, and
    otherwise the first folder in which the files of the split differ. Returns the splits, the class folders, and
    a warning of files that have no class."""
    below = [member.name.split("/")[len(top) :] for member in files]
    if all(len(folders) == 1 for folders in below):
        raise no_classes(path, place)
    warnings = []
    classes: set[str] = set()
    for folder in copies_in(below):
        classes.add("/".join([*top, folder]))
        is_kept = [folders[0] != folder for folders in below]
        files, below = [*compress(files, is_kept)], [*compress(below, is_kept)]
        left_out = counted(len(is_kept) - len(below), "file")
        warnings.append(f"{left_out} in {folder} left out: it holds folders like those beside it")
    level, splits = level_of_splits(below, path, place)
    depths = class_depths(below, splits, path, place) if splits and level == 0 else {}
    result: Parts = {}
    stray: list[str] = []
    unlabelled: Counter[str] = Counter()
    for member, folders in zip(files, below, strict=True):
        depth = depths.get(folders[0], 0)
        if depths and len(folders) > 1 and not depth:
            unlabelled[folders[0]] += 1
        elif len(folders) < depth + 2:
            stray.append(member.name)
        else:
            classes.add("/".join([*top, *folders[: depth + 1]]))
            part = splits[folders[level]] if splits else "training"
            result.setdefault(part, []).append(Item(member, folders[depth]))
    if stray:
        files_are = counted(len(stray), "file is", "files are")
        message = f"{files_are} in no class folder of {path}: {and_more(stray, SHOWN)}"
        if len(stray) > MOST_STRAY * len(files):
            raise DataError(Problem(place, message, "move them into the folders of their classes, or away"))
        warnings.append(f"{message}: left out")
    warnings += [
        f"{counted(count, 'file')} in {folder} left out: no class folders" for folder, count in unlabelled.items()
    ]
    return result, classes, warnings


def copies_in(below: Sequence[Sequence[str]]) -> list[str]:
    """Return the top folders that hold folders called like all others beside them, as archives repeat their files."""
    inner: dict[str, set[str]] = {}
    for folders in below:
        if len(folders) > 1:
            inner.setdefault(folders[0], set()).update(folders[1:2] if len(folders) > 2 else ())
    return [folder for folder, names in inner.items() if len(inner) > 2 and inner.keys() - {folder} <= names]


def no_classes(path: str, place: ConfigPath) -> DataError:
    message = f"the files of {path} are in one folder, not in a folder for each class"
    hint = "make class folders, or set pattern, which reads the class from a path"
    return DataError(Problem(place, message, hint))


def level_of_splits(below: Sequence[Sequence[str]], path: str, place: ConfigPath) -> tuple[int, Mapping[str, PartName]]:
    """Return the first level whose folders are splits, and the split of each; below classes, all files are in one."""
    for level in range(max(map(len, below)) - 1):
        splits = split_folders({folders[level] for folders in below if len(folders) > level + 1}, path, place)
        if splits and (level == 0 or all(len(each) > level + 1 and each[level] in splits for each in below)):
            return level, splits
    return 0, {}


def split_in(name: str) -> tuple[PartName | None, tuple[str, ...]]:
    """Return the split that a name means, None if it means none or several, and its other words."""
    words = [word for word in WORDS.split(name.lower()) if word]
    named = [PART_SPELLINGS[word] for word in words if word in PART_SPELLINGS]
    return named[0] if len(named) == 1 else None, tuple(word for word in words if word not in PART_SPELLINGS)


def split_folders(folders: set[str], path: str, place: ConfigPath) -> dict[str, PartName]:
    """Return the split of each folder that is one by its name: `train` and `test`, `seg_train` and `seg_test`. A single
    "train" may be a class. Raises DataError: two folders for one split."""
    alike: dict[tuple[str, ...], dict[str, PartName]] = {}
    for folder in sorted(folders):
        part, others = split_in(folder)
        if part is not None:
            alike.setdefault(others, {})[folder] = part
    for _, splits in sorted(alike.items()):
        counts = Counter(splits.values())
        if "training" not in counts or len(counts) < 2:
            continue
        for name, count in counts.items():
            if count > 1:
                both = [folder for folder in splits if splits[folder] == name]
                message = f"{path} has several folders for the {name} split: {joined(both, 'and')}"
                raise DataError(Problem(place, message))
        return splits
    return {}


def class_depths(
    below: Sequence[list[str]], splits: Mapping[str, PartName], path: str, place: ConfigPath
) -> dict[str, int]:
    """Return the level of the class folders in each folder of a split that has any. Raises DataError: training has
    none, or other folders beside the splits have some."""
    groups: dict[str, list[list[str]]] = {}
    for folders in below:
        if len(folders) > 1:
            groups.setdefault(folders[0], []).append(folders)
    training = next(folder for folder in groups if splits.get(folder) == "training")
    depth = class_depth(groups[training], set())
    if depth is None:
        raise no_classes(f"{training} in {path}", place)
    known = {folders[depth] for folders in groups[training]}
    depths = {name: found for name, group in groups.items() if (found := class_depth(group, known)) is not None}
    others = sorted(depths.keys() - splits.keys(), key=natural_key)
    if others:
        message = f"{path} has {joined(sorted(splits), 'and')}, and beside them {and_more(others, SHOWN)}"
        hint = "move the other folders away, or set pattern, which reads class and split from a path"
        raise DataError(Problem(place, message, hint))
    return depths


def class_depth(paths: Sequence[list[str]], known: set[str]) -> int | None:
    """Return the level of the class folders among files of one top folder; None if they are in none. `known` are
    classes of training."""
    common = common_folders(paths)
    for level, folder in enumerate(common):
        if level and folder in known:
            return level
    if any(len(folders) > len(common) + 1 for folders in paths):
        return len(common)
    # All files are in one folder: their class, unless an archive has repeated its name.
    return len(common) - 1 if len(common) > 1 and common[-1] != common[0] else None


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
        label, name = columns.pop("class"), columns.pop("split", "train")
        part, _ = split_in(name)
        if part is not None:
            result.setdefault(part, []).append(Item(member, label, columns))
        else:
            bad_parts.setdefault(name, member.name)
    problems = []
    if unmatched:
        files_are = counted(len(unmatched), "file is", "files are")
        message = f'{files_are} not matched by "{pattern}": {and_more(unmatched, SHOWN)}'
        problems.append(Problem(place, message))
    if bad_parts:
        shown = and_more([f'"{part}" ({name})' for part, name in bad_parts.items()], SHOWN)
        message = f"{{split}} is no split: {shown}"
        problems.append(Problem(place, message, f"splits are called {joined(list(PART_SPELLINGS), 'and')}"))
    DataError.refuse(problems)
    return result


def empty_classes(members: Members, used: set[str], noun: str) -> list[str]:
    """Return a warning for folders beside the class folders `used` that hold no matching files."""
    parents = {folder.rpartition("/")[0] for folder in used}
    beside = [name for name in members.folders if name.rpartition("/")[0] in parents]
    empty = [name for name in beside if name not in used]
    if not empty:
        return []
    folders = counted(len(empty), "class folder has", "class folders have")
    return [f"{folders} no {noun}: {and_more(empty, SHOWN)}"]
