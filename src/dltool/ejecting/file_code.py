"""The part of an ejected script that reads images, audio clips and texts from files."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from os.path import splitext
from pathlib import Path, PurePath
from typing import Any

from dltool.config.columns import ONE_TARGET
from dltool.config.file_columns import AudioColumn, FileColumn, ImageColumn
from dltool.config.folder_sources import AudioSource, ImagesSource, TextSource
from dltool.config.sources import Source
from dltool.data.examples import Examples
from dltool.data.files.file_tree import open_members
from dltool.data.media.image_decode import FORMATS
from dltool.data.media.masks import images_with_masks
from dltool.data.sources.folders import class_files, class_names
from dltool.ejecting.column_functions import function
from dltool.ejecting.ejected_run import Block, EjectedRun
from dltool.ejecting.python_text import Code, call, laid_out, sequence, text
from dltool.errors import ConfigError

DEEP = {".png", ".tif", ".tiff", ".jp2", ".j2k", ".jpx", ".pgm", ".pnm"}
"""Endings of images that may have more than 8 bits."""
OPAQUE = {ending for ending, kind in FORMATS.items() if kind in ("JPEG", "BMP", "PPM")}


def file_blocks(ejected: EjectedRun) -> tuple[list[Block], Block, dict[str, str]]:
    """Return the functions that read files, the code that reads all of them into `features`, and that of the labels by
    target: a column of texts, or masks."""
    source = ejected.config.data.source
    options = source.options
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
        endings = {splitext(name)[1].lower() for part in ejected.parts.values() for name in part.places["file"]}
        blocks, made = media_blocks(options, endings), "image" if isinstance(options, ImagesSource) else "clip"
        lines = [f'features = np.stack([{made}(read(name)) for name in files["file"]])']
        if getattr(options, "masks", None) is not None:
            blocks += mask_blocks(ejected, options)
            labels = 'np.stack([mask(read(name)) for name in files["mask"]])'
        return [*reader, *blocks], lines, {ONE_TARGET: labels}
    decoded = f"read(name).decode({text(encoding_of(options))})"
    if are_lines(ejected):
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


def encoding_of(options: TextSource) -> str:
    """Return the encoding by which a byte order mark is not part of the text."""
    return "utf-8-sig" if options.encoding.lower() in ("utf-8", "utf8") else options.encoding


def are_lines(ejected: EjectedRun) -> bool:
    """Return whether each file of texts is a class, with a text on each line."""
    return not all(part.places for part in ejected.parts.values())


def media_blocks(options: Any, endings: Iterable[str]) -> list[Block]:
    """Return the code that decodes an image or an audio clip. Without `endings`, files may be of all kinds."""
    if isinstance(options, AudioSource | AudioColumn):
        assert options.rate is not None
        assert options.seconds is not None
        samples = round(options.seconds * options.rate)
        return [[f"RATE, SAMPLES = {options.rate}, {samples}  # of every clip"], function("clip")]
    assert options.size is not None
    height, width = options.size
    found = {*endings} or {*FORMATS}
    flags = {options.resize, options.background, {1: "grey", 3: "colour", 4: "alpha"}[options.channels]}
    flags |= {"jpeg"} if any(FORMATS.get(each) == "JPEG" for each in found) else set()
    flags |= {"transparent"} if found - OPAQUE else set()
    numbers = [f"HEIGHT, WIDTH = {height}, {width}"]
    if found & DEEP:
        flags.add("deep")
        numbers.append(f"BRIGHTEST = {2**options.bits - 1}  # in grey images of more than 8 bits")
    fitted = [] if options.resize == "stretch" else [function("fitted", flags)]
    return [numbers, *fitted, function("image", flags)]


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


def column_file_blocks(ejected: EjectedRun, columns: Sequence[FileColumn]) -> list[Block]:
    """Return the code that reads the files that columns of a table name. Raises ConfigError: it would be several."""
    read = {(type(each), *(own for key, own in each if key not in ("ending", "remove"))): each for each in columns}
    images = [each for each in read.values() if isinstance(each, ImageColumn)]
    folders = {folder for each in columns for folder in folders_of(ejected, each)}
    if len(folders) > 1 or len(images) > 1 or len(read) > len(images) + 1:
        raise ConfigError("columns of files cannot be ejected: they are read in several ways, or from several folders")
    (folder,) = folders
    blocks = [block for each in read.values() for block in media_blocks(each, ())]
    return [[f"FOLDER = Path({text(folder)})"], function("read_folder"), *blocks]


def folders_of(ejected: EjectedRun, options: FileColumn) -> set[str]:
    """Return the folders of the files that a column names."""
    sources = filter(None, (getattr(ejected.config.data, role) for role in ("source", "validation", "test")))
    paths = [
        each
        for one in sources
        for each in ([one.options.path] if isinstance(one.options.path, str) else one.options.path)
    ]
    return {str(Path(each).absolute().parent / options.folder) for each in paths}


def files_of_column(name: str, options: FileColumn) -> Code:
    """Return the code that reads the files of a column."""
    removed = f".removeprefix({text(options.remove)})" if options.remove else ""
    path = f"name{removed}" + (f" + {text(options.ending)}" if options.ending else "")
    made = "image" if isinstance(options, ImageColumn) else "clip"
    return call("np.stack", f"[{made}(read({path})) for name in table[{text(name)}]]")


def files_csv(ejected: EjectedRun) -> bytes:
    """Return files.csv: a row for each file, with its label, or the name of its mask."""
    data = ejected.config.data
    first, masks = data.source, getattr(data.source.options, "masks", None)
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(["file", "label" if masks is None else "mask"])
    for name, part in ejected.parts.items():
        source = getattr(data, part.place[1])
        for file, label in files_of_part(name, part, source):
            path = file if source is first else beside(source, first, file)
            writer.writerow([path, label if masks is None or source is first else beside(source, first, label)])
    return content.getvalue().encode()


def beside(source: Source, first: Source, file: str) -> str:
    """Return the path of a file of another source from the folder of the first one."""
    return os.path.relpath(os.path.join(source.options.path, file), first.options.path)


def files_of_part(name: str, part: Examples, source: Source) -> Iterable[tuple[str, str]]:
    """Yield the files of a split, each with its label, or the name of its mask."""
    if not part.places:
        found = class_files(open_members(source.options.path, part.place))
        members = found.get(name, found["training"])  # type: ignore[call-overload]
        return zip(
            [each.name for each in members], class_names([PurePath(each.name).name for each in members]), strict=True
        )
    files = [str(each) for each in part.places["file"]]
    if masks := getattr(source.options, "masks", None):
        by_image = images_with_masks(open_members(source.options.path, part.place), masks)[1]
        return [(file, by_image[file][0]) for file in files]
    labels = part.targets.get(ONE_TARGET, [""] * len(files))
    return zip(files, map(str, labels[:]), strict=True)
