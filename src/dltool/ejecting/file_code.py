"""The part of an ejected script that reads images, audio clips and texts from files."""

import csv
import io
import os
from collections.abc import Collection, Iterable
from pathlib import Path, PurePath
from typing import Any

from dltool.config.columns import ONE_TARGET
from dltool.config.file_columns import AudioColumn
from dltool.config.folder_sources import AudioSource, ImagesSource, TextSource
from dltool.data.examples import Examples
from dltool.data.files.class_folders import PartName
from dltool.data.files.file_tree import open_members
from dltool.data.media.masks import images_with_masks
from dltool.data.sources.folders import class_files, class_names
from dltool.ejecting.column_functions import function
from dltool.ejecting.ejected_run import Block, EjectedRun
from dltool.ejecting.python_text import laid_out, sequence, text
from dltool.errors import ConfigError

JPEG = b"\xff\xd8"
DEEP = {b"\x89P", b"II", b"MM", b"\0\0", b"\xffO", b"P2", b"P5"}
"""The first bytes of PNG, TIFF, JPEG 2000 and PGM, which may have more than 8 bits."""
OPAQUE = {JPEG, *(b"P%d" % kind for kind in range(1, 7))}


def file_blocks(ejected: EjectedRun) -> tuple[list[Block], Block, dict[str, str]]:
    """Return the functions that read files, the code that reads all of them into `features`, and that of the labels by
    target: a column of texts, or masks."""
    data = ejected.config.data
    options: Any = data.source.options
    refuse_other_options(options, filter(None, (data.validation, data.test)))
    kind = open_members(options.path, ()).kind.split()[-1]
    path = text(str(Path(options.path).absolute()))
    opened = {
        "folder": [f"FOLDER = Path({path})"],
        "zip": [f"archive = zipfile.ZipFile({path})"],
        "tar": [f"with tarfile.open({path}) as archive:", *function("open_tar")],
    }
    table = [
        "# The files, in the order to which the row numbers of the splits refer.",
        'files = pd.read_csv(HERE / "files.csv", dtype="str", keep_default_na=False)',
    ]
    reader = [[*opened[kind], *table], function(f"read_{kind}")]
    labels = 'files["label"]'
    reader += [function("multi_hot")] * any(each.kind == "multi_label" for each in ejected.facts.targets.values())
    if not isinstance(options, TextSource):
        is_image = isinstance(options, ImagesSource)
        blocks = media_blocks(options, first_bytes(ejected) if is_image else ())
        lines = [f'features = np.stack([{"pixels" if is_image else "clip"}(read(name)) for name in files["file"]])']
        if getattr(options, "masks", None) is not None:
            blocks += mask_blocks(ejected, options)
            labels = 'np.stack([mask(read(name)) for name in files["mask"]])'
        return [*reader, *blocks], lines, {ONE_TARGET: labels}
    # A byte order mark is not part of the text.
    encoding = "utf-8-sig" if options.encoding.lower() in ("utf-8", "utf8") else options.encoding
    decoded = f"read(name).decode({text(encoding)})"
    if not all(part.places for part in ejected.parts.values()):
        # Each file is a class, with a text on each line.
        lines = [
            "texts, labels = [], []",
            'for name, label in zip(files["file"], files["label"]):',
            f'    lines = re.split(r"\\r\\n|\\r|\\n", {decoded})',
            "    lines = [line.strip() for line in lines if line.strip()]",
            "    texts += lines",
            "    labels += [label] * len(lines)",
        ]
        labels = "pd.Series(labels)"
    else:
        lines = [f'texts = [{decoded}.strip() for name in files["file"]]']
    return reader, [*lines, "features = np.array(texts, dtype=object)"], {ONE_TARGET: labels}


def refuse_other_options(options: Any, others: Iterable[Any]) -> None:
    """Raise ConfigError if sources of further splits are archives, or their files are read otherwise."""
    for each in (other.options for other in others):
        own = {key for key, given in each if given not in (None, getattr(options, key))}
        if Path(each.path).is_file() or Path(options.path).is_file() or own - {"path", "pattern", "on_error"}:
            what = "they are archives, or read with other options than data.source"
            raise ConfigError(f"data.validation and data.test cannot be ejected: {what}")


def first_bytes(ejected: EjectedRun) -> set[bytes]:
    """Return how the images begin, which says what they are: their names need not."""
    found: set[bytes] = set()
    for part in ejected.parts.values():
        files = open_members(getattr(ejected.config.data, str(part.place[1])).options.path, part.place)
        named = {*part.places["file"]}
        found |= {files.reader.read_start(each, 2) for each in files.members if each.name in named}
    return found


def media_blocks(options: Any, starts: Collection[bytes]) -> list[Block]:
    """Return the code that decodes an image or an audio clip. Without `starts`, their first bytes, files may be of all
    kinds."""
    if isinstance(options, AudioSource | AudioColumn):
        seconds: Any = options.seconds
        samples = round(seconds * options.rate)
        return [[f"RATE, SAMPLES = {options.rate}, {samples}  # of every clip"], function("clip")]
    (height, width), found = options.size, {*starts} or {JPEG, *DEEP}
    flags = {options.resize, options.background, {1: "grey", 3: "colour", 4: "alpha"}[options.channels]}
    flags |= {"jpeg"} if JPEG in found else set()
    flags |= {"transparent"} if found - OPAQUE else set()
    numbers = [f"HEIGHT, WIDTH = {height}, {width}"]
    if found & DEEP:
        flags.add("deep")
        numbers.append(f"BRIGHTEST = {2**options.bits - 1}  # in grey images of more than 8 bits")
    fitted = [] if options.resize == "stretch" else [function("fitted", flags)]
    return [numbers, *fitted, function("pixels", flags)]


def mask_blocks(ejected: EjectedRun, options: ImagesSource) -> list[Block]:
    """Return the code that reads masks, whose pixels are classes by their value or colour."""
    (target,) = ejected.facts.targets.values()
    names, is_coloured = target.class_names, target.class_names[0].startswith("#")
    values = [int(name.removeprefix("#"), 16) if is_coloured else int(name) for name in names]
    if values != sorted(values):
        raise ConfigError("data.source.images.masks cannot be ejected: its classes are in an order of their own")
    shown = [f"0x{each:06X}" if is_coloured else str(each) for each in values]
    flags = {options.resize, *(["coloured"] if is_coloured else [])}
    lines = laid_out(sequence(shown), "VALUES = ")
    return [["# The values of the classes, in their order.", *lines], function("mask", flags)]


def files_csv(ejected: EjectedRun) -> bytes:
    """Return files.csv: a row for each file, with its label, or the name of its mask."""
    data = ejected.config.data
    first: Any = data.source.options
    masks = getattr(first, "masks", None)
    content = io.StringIO()
    # Not every Python quotes a carriage return by itself.
    writer = csv.writer(content, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["file", "label" if masks is None else "mask"])
    for name, part in ejected.parts.items():
        options = getattr(data, str(part.place[1])).options
        # The files of another folder are named from the first one.
        above = "" if options is first else os.path.relpath(options.path, first.path)
        for file, label in files_of_part(name, part, options):
            writer.writerow([os.path.join(above, file), label if masks is None else os.path.join(above, label)])
    return content.getvalue().encode()


def files_of_part(name: PartName, part: Examples, options: Any) -> Iterable[tuple[str, str]]:
    """Yield the files of a split, each with its label, or the name of its mask."""
    if not part.places:
        found = class_files(open_members(options.path, part.place))
        members = [each.name for each in found.get(name, found["training"])]
        return zip(members, class_names([PurePath(each).name for each in members]), strict=True)
    files = [str(each) for each in part.places["file"]]
    if masks := getattr(options, "masks", None):
        by_image = images_with_masks(open_members(options.path, part.place), masks)[1]
        return [(file, by_image[file][0]) for file in files]
    labels = part.targets.get(ONE_TARGET, [""] * len(files))
    return zip(files, map(str, labels[:]), strict=True)
