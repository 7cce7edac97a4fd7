"""Files in folders and archives as examples: texts with their classes; new images, audio clips and texts."""

import codecs
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dltool.config.columns import ONE_TARGET
from dltool.config.folder_sources import ImagesSource, TextSource
from dltool.data.arrays.rows import coded, text_array
from dltool.data.examples import Examples, SourceExamples, examples_of_items, places_in
from dltool.data.files.class_folders import (
    PartName,
    common_folders,
    labelled,
    other_files,
    split_folders,
    what_is_there,
)
from dltool.data.files.file_tree import Members, UnreadableMember, is_archive, open_members
from dltool.data.files.listing import SHOWN, Member, printable, times_of
from dltool.data.files.paths import require
from dltool.data.media.audio import CLIPS
from dltool.data.media.images import IMAGES
from dltool.data.media.masks import images_with_masks
from dltool.errors import ConfigError, ConfigPath, DataError, Problem
from dltool.text import and_more, counted

STDIN_NAME = "standard input"
MEDIA = {medium.source: medium for medium in (IMAGES, CLIPS)}
"""The sources whose files are one example each."""
TEXTS = (".txt", ".text")
ENDING = re.compile(r"\.(?!\d+$)\w{1,6}")
LINE_END = re.compile("\r\n|\r|\n")
SEPARATOR = re.compile(r"([._\-\s]+)")
# Files that often accompany data.
NOT_TEXTS = frozenset({"readme", "license", "licence", "copying", "authors", "changelog"})


def read_texts(members: Members, encoding: str, files: Sequence[Member]) -> list[str]:
    """Read the content of each file. Raises DataError naming all files that cannot be read or decoded."""
    is_utf8 = codecs.lookup(encoding).name == "utf-8"
    texts: list[str] = []
    faults: list[str] = []
    for member in files:
        content = b""
        try:
            content = members.reader.read(member)
            # A byte order mark is not part of the text.
            texts.append(content.decode("utf-8-sig" if is_utf8 else encoding))
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            what = f"line {line:,}, byte {error.start:,} (0x{content[error.start]:02x}: {error.reason})"
            faults.append(f"{printable(member.name)}, {what}")
        except (UnreadableMember, UnicodeError) as error:
            faults.append(f"{printable(member.name)} ({error})")
    if faults:
        files_of = f"{counted(len(faults), 'file')} of {members.path}"
        message = f"{files_of} cannot be read as {encoding}: {and_more(faults, SHOWN, '; ')}"
        hint = (
            "if they are older texts of western Europe, write encoding: latin-1"
            if is_utf8
            else "convert all of them to UTF-8"
        )
        raise DataError(Problem(members.place, message, hint))
    return texts


def lines_in(text: str) -> list[str]:
    """Return the lines without spaces around them, also blank ones but the last."""
    return [line.strip() for line in LINE_END.split(text.rstrip("\r\n"))]


def load_texts(options: TextSource, place: ConfigPath) -> SourceExamples:
    """Load texts with their classes, with the input "text". `place` is the config path of the source.

    With a pattern or class folders each file is a text. If all files are in one folder, or in one each for `train`,
    `test`, …, each file is a class, named by what differs between the files' names, and each line is a text. Blank
    lines and blank files are skipped, with a warning.

    Raises:
        ConfigError: an unknown encoding.
        DataError: all files that are refused, have no class, or cannot be read."""
    place = (*place, "text")
    try:
        b"text".decode(options.encoding, "ignore")
    except (LookupError, ValueError):
        message, hint = f'unknown encoding "{options.encoding}"', "such as utf-8, utf-16, latin-1 or cp1252"
        raise ConfigError(Problem((*place, "encoding"), message, hint)) from None
    members = open_members(options.path, (*place, "path"))
    files = class_files(members) if options.pattern is None else {}
    return lines_of(members, options.encoding, files) if files else files_of(members, options, place)


def files_of(members: Members, options: TextSource, place: ConfigPath) -> SourceExamples:
    """Return a text for each file."""
    members, endings = text_files(members)
    found = labelled(members, endings, options.pattern, place, "text")
    parts: dict[PartName, Examples] = {}
    blank: list[str] = []
    files = [item.member for items in found.parts.values() for item in items]
    texts = iter(read_texts(members, options.encoding, files))
    for name, items in found.parts.items():
        pairs = [(next(texts).strip(), item) for item in items]
        kept = [(text, item) for text, item in pairs if text]
        blank += [item.member.name for text, item in pairs if not text]
        if not kept:
            raise no_text(members, f"the {name} split of {members.path}")
        inputs, used = {"text": coded([text for text, _ in kept])}, [item for _, item in kept]
        parts[name] = examples_of_items(inputs, used, members, name)
    names = and_more(list(map(printable, blank)), SHOWN)
    warnings = (f"{counted(len(blank), 'file is', 'files are')} blank and skipped: {names}",) if blank else ()
    return SourceExamples(parts, warnings=(*found.warnings, *warnings))


def text_files(members: Members) -> tuple[Members, tuple[str, ...]]:
    """Return the files and the endings of texts: if no file has one of these, those without any ending are texts."""
    plain = tuple(member for member in members.members if not ENDING.fullmatch(Path(member.name).suffix))
    if not plain or any(member.name.lower().endswith(TEXTS) for member in members.members):
        return members, TEXTS
    return replace(members, members=plain), ("",)


def lines_of(members: Members, encoding: str, files: dict[PartName, list[Member]]) -> SourceExamples:
    """Return a text for each line, with a file for each class."""
    parts: dict[PartName, Examples] = {}
    blank = 0
    texts = iter(read_texts(members, encoding, [member for found in files.values() for member in found]))
    for name, found in files.items():
        rows: list[str] = []
        labels: list[str] = []
        for member, label in zip(found, class_names([Path(member.name).name for member in found]), strict=True):
            lines = lines_in(next(texts))
            kept = [line for line in lines if line]
            if not kept:
                raise no_text(members, f"{printable(member.name)} in {members.path}")
            blank += len(lines) - len(kept)
            rows += kept
            labels += [label] * len(kept)
        inputs, targets = {"text": coded(rows)}, {ONE_TARGET: text_array(labels)}
        parts[name] = Examples(inputs, targets, members.part_name(name), members.place)
    warnings = (f"{counted(blank, 'blank line is', 'blank lines are')} skipped",) if blank else ()
    return SourceExamples(parts, warnings=warnings)


def no_text(members: Members, what: str) -> DataError:
    return DataError(Problem(members.place, f"{what} has no text", "it is empty, or all blank"))


def class_files(members: Members) -> dict[PartName, list[Member]]:
    """Return the files of each split that are a class each; none if there are class folders. Raises DataError: one
    class only."""
    path, place = members.path, members.place
    files = [file for file in members.members if NOT_TEXTS.isdisjoint(SEPARATOR.split(Path(file.name).name.lower()))]
    paths = [member.name.split("/") for member in files]
    top = len(common_folders(paths)) if files else 0
    below = [names[top:] for names in paths]
    found: dict[PartName, list[Member]] = {}
    if files and all(len(names) == 1 for names in below):
        found["training"] = files
    elif all(len(names) == 2 for names in below):
        folders = {names[0] for names in below}
        splits = split_folders(folders, path, place)
        for member, names in zip(files, below, strict=True) if splits.keys() == folders else ():
            found.setdefault(splits[names[0]], []).append(member)
    alone = [part for part, each in found.items() if len(each) == 1]
    if alone:
        message = f"{path} has one file only for {alone[0]}, {found[alone[0]][0].name}"
        raise DataError(Problem(place, message, "texts are in a file for each class, or in a folder for each class"))
    return found


def class_names(files: Sequence[str]) -> list[str]:
    """Return the words in which file names differ: neg and pos for rt-polarity.neg and rt-polarity.pos."""
    # A word, what separates it from the next, that word, …
    words = [SEPARATOR.split(name) for name in files]
    while min(map(len, words)) > 2 and len({tuple(name[-2:]) for name in words}) == 1:
        words = [name[:-2] for name in words]
    while min(map(len, words)) > 2 and len({tuple(name[:2]) for name in words}) == 1:
        words = [name[2:] for name in words]
    return ["".join(name) for name in words]


def new_files(options: Any, paths: Sequence[str], cache: int) -> tuple[Examples, tuple[str, ...]]:
    """Load the examples in files, or in one folder, archive or file of texts, as the source with these options reads
    them; and warnings. Raises DataError: all files that cannot be used."""
    if isinstance(options, TextSource):
        return new_texts(options.encoding, paths[0])
    medium = IMAGES if isinstance(options, ImagesSource) else CLIPS
    members, names, warnings = single_files(paths, medium.extensions, medium.noun)
    masks = getattr(options, "masks", None)
    if masks is not None:
        images = {image.name for image in images_with_masks(members, masks)[0]}
        kept = [row for row, member in enumerate(members.members) if member.name in images]
        members = replace(members, members=tuple(members.members[row] for row in kept))
        names = [names[row] for row in kept]
    decoded = medium.decode(members, options, len(names), cache, False)
    return Examples({medium.input: decoded.rows}, places={"file": text_array(names)}), (*warnings, *decoded.warnings)


def single_files(
    paths: Sequence[str], endings: tuple[str, ...], noun: str
) -> tuple[Members, list[str], tuple[str, ...]]:
    """Return the files in `paths`, or those of the only one, a folder or an archive; their names, and warnings. Raises
    DataError naming all missing files; or a folder without any."""
    if is_single(paths[0], endings):
        return named_files(paths), list(map(named_by, paths)), ()
    (path,) = paths
    found = open_members(path, ())
    found, endings = text_files(found) if endings == TEXTS else (found, endings)
    files = [member for member in found.members if member.name.lower().endswith(endings)]
    if not files:
        raise DataError(Problem(None, f"{path} holds no {noun}s", what_is_there(found)))
    members = replace(found, members=tuple(files))
    names = [f"{named_by(path)}/{member.name}" for member in files]
    return members, names, tuple(other_files(found, endings, noun))


def named_files(paths: Sequence[str]) -> Members:
    """Return the files. Raises DataError naming all missing ones."""
    members: list[Member] = []
    problems: list[Problem] = []
    for path in paths:
        with DataError.collected(problems):
            status = require(path, ()).stat()
            members.append(Member(path, status.st_size, times_of(status)))
    DataError.refuse(problems)
    return Members(os.getcwd(), "folder", tuple(members), (), ())


def new_texts(encoding: str, path: str) -> tuple[Examples, tuple[str, ...]]:
    """Return a text for each file of a folder or an archive, or for each line of a file. Blank ones are dropped."""
    if require(path, (), allow_folder=True).is_dir() or is_archive(Path(path)):
        members, names, warnings = single_files([path], TEXTS, "text")
        texts = [text.strip() for text in read_texts(members, encoding, members.members)]
        places = {"file": text_array(names)}
    else:
        members = named_files([path])
        texts = lines_in(*read_texts(members, encoding, members.members))
        places, warnings = places_in(named_by(path), len(texts)), ()
    kept = np.flatnonzero([bool(text) for text in texts])
    if not len(kept):
        raise no_text(members, path)
    if len(kept) < len(texts):
        blank = len(texts) - len(kept)
        warnings = (*warnings, f"{path}: {counted(blank, 'blank text is', 'blank texts are')} left out")
    inputs = {"text": coded([texts[row] for row in kept])}
    return Examples(inputs, places={name: values[kept] for name, values in places.items()}), warnings


def is_single(path: str, endings: tuple[str, ...]) -> bool:
    """Return whether the path is a file of one example."""
    if Path(path).name == STDIN_NAME:
        return bool(endings) and not is_archive(Path(path))
    return path.lower().endswith(endings) and not Path(path).is_dir()


def named_by(path: str) -> str:
    """Return the name of a path for the user."""
    return STDIN_NAME if Path(path).name == STDIN_NAME else path.rstrip("/")
