"""The source `text`: class folders with one text a file, or one file a class with one text a line."""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dltool.config.columns import ONE_TARGET
from dltool.config.folder_sources import TextSource
from dltool.data.arrays.rows import coded, text_array
from dltool.data.examples import Examples, SourceExamples, examples_of_items
from dltool.data.files.class_folders import PART_NAMES, PartName, are_parts, common_folder, labelled
from dltool.data.files.file_tree import Members, UnreadableMember, open_members
from dltool.data.files.listing import SHOWN, Member, printable
from dltool.errors import ConfigError, ConfigPath, DataError, Problem
from dltool.text import and_more, counted

EXTENSIONS = (".txt", ".text")
LINE_END = re.compile("\r\n|\r|\n")
SEPARATOR = re.compile(r"([._\-\s]+)")
# Files that often accompany data.
NOT_TEXTS = frozenset({"readme", "license", "licence", "copying", "authors", "changelog"})


@dataclass(frozen=True)
class Bad:
    """The reason why a file cannot be used."""

    message: str


@dataclass(frozen=True)
class Reading:
    """Options of reading files. `place` is the config path of the source's options."""

    members: Members
    encoding: str
    place: ConfigPath

    @property
    def is_utf8(self) -> bool:
        return codecs.lookup(self.encoding).name == "utf-8"

    def texts(self, files: Sequence[Member]) -> list[str]:
        """Read the content of each file. Raises DataError naming all files that cannot be read or decoded."""
        found = [self.text(member) for member in files]
        bad = [(member, text) for member, text in zip(files, found, strict=True) if isinstance(text, Bad)]
        if bad:
            faults = and_more([f"{printable(member.name)}{text.message}" for member, text in bad], SHOWN, "; ")
            hint = "if they are older texts of western Europe, write encoding: latin-1"
            files_of = f"{counted(len(bad), 'file')} of {self.members.path}"
            message = f"{files_of} cannot be read as {self.encoding}: {faults}"
            raise DataError(Problem((*self.place, "path"), message, hint if self.is_utf8 else ""))
        return [text for text in found if isinstance(text, str)]

    def text(self, member: Member) -> str | Bad:
        try:
            content = self.members.reader.read(member)
        except UnreadableMember as error:
            return Bad(f" ({error})")
        try:
            # A byte order mark is not part of the text.
            return content.decode("utf-8-sig" if self.is_utf8 else self.encoding)
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            return Bad(f", line {line:,}, byte {error.start:,} (0x{content[error.start]:02x}: {error.reason})")
        except UnicodeError as error:
            return Bad(f" ({error})")


def load_texts(options: TextSource, place: ConfigPath) -> SourceExamples:
    """Load texts with their classes, with the input "text". `place` is the config path of the source.

    With a pattern or class folders each file is a text. If all files are in one folder, or in one each for `train`,
    `test`, …, each file is a class, named by what differs between the files' names, and each line is a text. Blank
    lines and blank files are skipped, with a warning.

    Raises:
        ConfigError: an unknown encoding.
        DataError: all files that are refused, have no class, or cannot be read."""
    place = (*place, "text")
    check_encoding(options.encoding, (*place, "encoding"))
    members = open_members(options.path, (*place, "path"))
    reading = Reading(members, options.encoding, place)
    files = class_files(members, (*place, "path")) if options.pattern is None else {}
    return lines_of(reading, files) if files else files_of(reading, options.pattern)


def check_encoding(encoding: str, place: ConfigPath) -> None:
    try:
        b"text".decode(encoding, "ignore")
    except (LookupError, ValueError):
        problem = Problem(place, f'unknown encoding "{encoding}"', "such as utf-8, utf-16, latin-1 or cp1252")
        raise ConfigError(problem) from None


def files_of(reading: Reading, pattern: str | None) -> SourceExamples:
    """Return a text for each file."""
    found = labelled(reading.members, EXTENSIONS, pattern, reading.place, "text")
    parts: dict[PartName, Examples] = {}
    blank: list[str] = []
    texts = reading.texts([item.member for items in found.parts.values() for item in items])
    first = 0
    for name, items in found.parts.items():
        pairs = [(text.strip(), item) for text, item in zip(texts[first:], items, strict=False)]
        first += len(items)
        kept = [(text, item) for text, item in pairs if text]
        blank += [item.member.name for text, item in pairs if not text]
        if not kept:
            raise no_text(reading, f"the {name} split of {reading.members.path}")
        inputs = {"text": coded([text for text, _ in kept])}
        parts[name] = examples_of_items(
            inputs, [item for _, item in kept], (*reading.place, "path"), titled(reading, name)
        )
    warnings = [*found.warnings]
    if blank:
        files = counted(len(blank), "file is", "files are")
        names = and_more([printable(name) for name in blank], SHOWN)
        warnings.append(f"{files} blank and skipped: {names}")
    return SourceExamples(parts, warnings=tuple(warnings))


def lines_of(reading: Reading, files: dict[PartName, list[Member]]) -> SourceExamples:
    """Return a text for each line, with a file for each class."""
    place = (*reading.place, "path")
    parts: dict[PartName, Examples] = {}
    blank = 0
    texts = iter(reading.texts([member for found in files.values() for member in found]))
    for name, found in files.items():
        rows: list[str] = []
        labels: list[str] = []
        for member, label in zip(found, class_names([Path(member.name).name for member in found]), strict=True):
            lines = [line.strip() for line in LINE_END.split(next(texts).rstrip("\r\n"))]
            kept = [line for line in lines if line]
            if not kept:
                raise no_text(reading, f"{printable(member.name)} in {reading.members.path}")
            blank += len(lines) - len(kept)
            rows += kept
            labels += [label] * len(kept)
        parts[name] = Examples({"text": coded(rows)}, {ONE_TARGET: text_array(labels)}, titled(reading, name), place)
    warnings = (f"{counted(blank, 'blank line is', 'blank lines are')} skipped",) if blank else ()
    return SourceExamples(parts, warnings=warnings)


def titled(reading: Reading, part: str) -> str:
    return f"the {part} split of {Path(reading.members.path).name}"


def no_text(reading: Reading, what: str) -> DataError:
    return DataError(Problem((*reading.place, "path"), f"{what} has no text", "it is empty, or all blank"))


def class_files(members: Members, place: ConfigPath) -> dict[PartName, list[Member]]:
    """Return the files of each split that are a class each; none if there are class folders. Raises DataError: one
    class only."""
    files = [member for member in members.members if not is_beside_data(member.name)]
    top = len(common_folder(files)) if files else 0
    below = [member.name.split("/")[top:] for member in files]
    found: dict[PartName, list[Member]] = {}
    if files and all(len(names) == 1 for names in below):
        found["training"] = files
    elif all(len(names) == 2 for names in below) and are_parts({names[0] for names in below}, members.path, place):
        for member, names in zip(files, below, strict=True):
            found.setdefault(PART_NAMES[names[0].lower()], []).append(member)
    alone = [part for part, each in found.items() if len(each) == 1]
    if alone:
        message = f"{members.path} has one file only for {alone[0]}, {found[alone[0]][0].name}"
        raise DataError(Problem(place, message, "texts are in a file for each class, or in a folder for each class"))
    return found


def is_beside_data(name: str) -> bool:
    return not NOT_TEXTS.isdisjoint(SEPARATOR.split(Path(name).name.lower()))


def class_names(files: Sequence[str]) -> list[str]:
    """Return the words in which file names differ: neg and pos for rt-polarity.neg and rt-polarity.pos."""
    # A word, what separates it from the next, that word, …
    words = [SEPARATOR.split(name) for name in files]
    while min(map(len, words)) > 2 and len({tuple(name[-2:]) for name in words}) == 1:
        words = [name[:-2] for name in words]
    while min(map(len, words)) > 2 and len({tuple(name[:2]) for name in words}) == 1:
        words = [name[2:] for name in words]
    return ["".join(name) for name in words]
