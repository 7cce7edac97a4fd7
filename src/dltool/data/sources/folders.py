"""Files in folders and archives as examples: images, audio clips, texts."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dltool.config.folder_sources import ImagesSource, TextSource
from dltool.config.schema import Data
from dltool.config.sources import Source
from dltool.data.arrays.rows import coded, text_array
from dltool.data.examples import Examples, SourceExamples, places_in
from dltool.data.files.class_folders import other_files, what_is_there
from dltool.data.files.file_tree import Members, is_archive, open_members
from dltool.data.files.listing import Member
from dltool.data.files.paths import require
from dltool.data.media.audio import CLIPS
from dltool.data.media.images import IMAGES
from dltool.data.media.load import load_class_folders
from dltool.data.sources.texts import EXTENSIONS as TEXTS
from dltool.data.sources.texts import LINE_END, Reading, load_texts
from dltool.errors import ConfigPath, DataError, Problem
from dltool.text import counted

STDIN_NAME = "standard input"
MEDIA = {medium.source: medium for medium in (IMAGES, CLIPS)}
"""The sources whose files are one example each."""


def load_folder(source: Source, data: Data, place: ConfigPath) -> SourceExamples:
    """Load the examples of one source. Missing options, such as the size of images, are inferred from its files.

    Raises:
        DataError: all files that cannot be used.
        MachineError: there is no room for them."""
    options: Any = source.options
    medium = MEDIA.get(source.name)
    return load_class_folders(medium, options, place, data.cache) if medium else load_texts(options, place)


# --- new data, without classes ---


def new_files(options: Any, paths: Sequence[str], cache: int) -> tuple[Examples, tuple[str, ...]]:
    """Load the examples in files, or in one folder, archive or file of texts, as the source with these options reads
    them; and warnings. Raises DataError: all files that cannot be used."""
    if isinstance(options, TextSource):
        return new_texts(options.encoding, paths[0])
    medium = IMAGES if isinstance(options, ImagesSource) else CLIPS
    members, names, warnings = single_files(paths, medium.extensions, medium.noun)
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
        try:
            status = require(path, ()).stat()
        except DataError as error:
            problems += error.problems
        else:
            members.append(Member(path, status.st_size, str(status.st_mtime_ns)))
    if problems:
        raise DataError(problems)
    return Members(os.getcwd(), "folder", tuple(members), (), ())


def new_texts(encoding: str, path: str) -> tuple[Examples, tuple[str, ...]]:
    """Return a text for each file of a folder or an archive, or for each line of a file. Blank ones are dropped."""
    if require(path, (), allow_folder=True).is_dir() or is_archive(Path(path)):
        members, names, warnings = single_files([path], TEXTS, "text")
        texts = [text.strip() for text in Reading(members, encoding, ()).texts(members.members)]
        places = {"file": text_array(names)}
    else:
        members = named_files([path])
        (content,) = Reading(members, encoding, ()).texts(members.members)
        texts = [line.strip() for line in LINE_END.split(content.rstrip("\r\n"))]
        places, warnings = places_in(named_by(path), len(texts)), ()
    kept = np.flatnonzero([bool(text) for text in texts])
    if not len(kept):
        raise DataError(Problem(None, f"{path} has no text", "it is empty, or all blank"))
    if len(kept) < len(texts):
        blank = len(texts) - len(kept)
        warnings = (*warnings, f"{path}: {counted(blank, 'blank text is', 'blank texts are')} left out")
    examples = Examples({"text": coded([text for text in texts if text])})
    return replace(examples, places={name: values[kept] for name, values in places.items()}), warnings


def is_single(path: str, endings: tuple[str, ...]) -> bool:
    """Return whether the path is a file of one example."""
    if Path(path).name == STDIN_NAME:
        return bool(endings) and not is_archive(Path(path))
    return bool(endings) and path.lower().endswith(endings) and not Path(path).is_dir()


def named_by(path: str) -> str:
    """Return the name of a path for the user."""
    return STDIN_NAME if Path(path).name == STDIN_NAME else path.rstrip("/")
