"""A config for images with masks: a small U-Net that predicts the class of every pixel."""

import posixpath
import re
import shlex
from collections.abc import Iterable, Sequence
from contextlib import suppress
from os.path import relpath
from pathlib import Path, PurePath

import numpy as np

from dltool.data.arrays.rows import Coded
from dltool.data.files.class_folders import common_folders
from dltool.data.files.file_tree import Members, UnreadableMember, open_members
from dltool.data.media.image_decode import EXTENSIONS
from dltool.data.media.masks import FOLDER, IMAGE, LOSSY, images_with_masks, mask_values, paired
from dltool.data.tables.typed_table import Table
from dltool.drafting.draft import Draft, Lines, in_comment, in_quotes, scalar, training_lines
from dltool.drafting.folder import LOSS, MEDIA, images_of, parts_line, said
from dltool.errors import DataError
from dltool.text import counted

MASKS = frozenset(
    {"mask", "masks", "label", "labels", "annotation", "annotations", "segmentation", "segmentations", "trimaps"}
    | {"segmentationclass", "gt", "groundtruth", "ground_truth", "targets"}
)
"""Names of folders of masks, in lower case."""
MASK_WORD = re.compile(r"(?i)mask|label|annot|segment|truth|trimap|target|(?<![a-z])(?:seg|gt)(?![a-z])")
"""What paths of masks have in them, and those of their images have not."""
LAST_WORD = re.compile(r"[ _.-]+[^ _.-]+$")
MOST_PAIRED = 0.75
"""The least share of the images that have a mask."""
IMAGES = frozenset({"image", "images", "img", "imgs", "jpegimages", "photos", "input", "inputs"})
MOST_VALUES, FEW_VALUES = 64, 4
"""Masks of classes have fewer values, in a lossless format and in JPEG; a photo in a folder called `mask` has more."""
LOOKED_AT = 5
METRICS = "[accuracy, {MeanIoU: {num_classes: $classes, sparse_y_pred: false}}]"
SAME = "kernel_size: 3, padding: same, activation: relu"
SHALLOW = 64
"""Pixels of the shorter side, below which the U-Net has two levels instead of three."""


def masks_in(path: Path) -> str | None:
    """Return how `masks` finds the masks of the other images below `path`; None if they have none.

    Raises DataError: there are masks, but they have too many values to be classes, or belong to no image."""
    members = open_members(str(path), ())
    names = [member.name for member in members.members if member.name.lower().endswith(EXTENSIONS)]
    top = len(common_folders([name.split("/") for name in names])) if names else 0
    worded = {name for name in names if MASK_WORD.search("/".join(name.split("/")[top:]))}
    are_named = any(each.lower() in IMAGES for name in names for each in PurePath(name).parts[:-1])
    unpaired, problem = None, None
    for masks in candidates(names, worded):
        images, masks_of, _ = images_with_masks(members, masks)
        paired = [each[0] for each in masks_of.values() if len(each) == 1]
        is_complete = len(paired) >= MOST_PAIRED * len(images)
        are_masks = sum(image.name in worded for image in images) > len(images) / 4
        if not paired or are_masks or not (is_complete or (masks.lower() in MASKS and 4 * len(paired) >= len(images))):
            continue
        if (values := values_in(members, paired)) <= most_values(paired):
            if is_complete:
                return masks
            unpaired = unpaired or masks
        elif (are_named and masks.lower() in MASKS) or MASK_WORD.search(PurePath(paired[0]).stem):
            message = f"the masks of {members.path}, such as {paired[0]}, have {values:,} values: too many for masks"
            problem = DataError(message, way_to_classes(relpath(members.path), masks, PurePath(paired[0]).suffix))
    if unpaired is None:
        if problem is not None:
            raise problem
        refuse_lone_masks(members, sorted(worded), len(names))
    return unpaired


def values_in(members: Members, names: Sequence[str]) -> int:
    """Return the number of different pixels in some of the masks, reduced to a few thousand pixels; damaged ones are
    found later."""
    values = np.empty((0, 3))
    by_name = {member.name: member for member in members.members}
    for name in names[:: max(1, len(names) // LOOKED_AT)]:
        with suppress(UnreadableMember):
            content = members.reader.read(by_name[name])
            pixels, _ = mask_values(content, (SHALLOW, SHALLOW), "stretch", is_coloured=True)
            values = np.unique(np.concatenate([values, pixels.reshape(-1, 3)]), axis=0)
    return len(values)


def way_to_classes(path: str, masks: str, ending: str) -> str:
    """Return how to give masks few values, with a command for the masks of two classes."""
    files = f"**/{PurePath(masks.replace(IMAGE, '*')).name}" if IMAGE in masks else f"**/{masks}/**/*"
    code = (
        'import pathlib, PIL.Image as I; [I.open(f.rename(f"{f}.old")).convert("L").point(lambda v: v // 128 * 255)'
        f'.save(f.with_suffix(".png")) for f in [*pathlib.Path({in_quotes(path)}).glob({in_quotes(files + ending)})]]'
    )
    way = f"this does it if they are black and white, and renames the old ones: python -c {shlex.quote(code)}"
    reason = "each value is a class: save the masks as PNG, because JPEG changes pixels"
    return f"{reason}; {way}" if Path(path).is_dir() else reason


def most_values(names: Sequence[str]) -> int:
    return FEW_VALUES if names[0].lower().endswith(LOSSY) else MOST_VALUES


def refuse_lone_masks(members: Members, names: Sequence[str], count: int) -> None:
    """Raise DataError if files called like masks look like masks: no image belongs to each."""
    if not count / 4 <= len(names) < count:
        return
    if 1 < values_in(members, names) <= most_values(names):
        message = f"{members.path} holds masks, such as {names[0]}, of which it is unclear what images they belong to"
        hint = "keep one for each image, in a folder called masks, or beside it as 7.jpg and 7_mask.png"
        raise DataError(message, f"{hint}; move the others away")


def refuse_masks(table: Table) -> None:
    """Raise DataError if a table names images and their masks, with the folder that gives both."""
    columns = [
        [str(text) for text in column.values.values if text]
        for column in table.columns.values()
        if isinstance(column.values, Coded)
    ]
    images = [texts for texts in columns if texts and all(text.lower().endswith(EXTENSIONS) for text in texts)]
    masks = [texts for texts in images if all(MASK_WORD.search(text) for text in texts)]
    if len(images) == 2 and len(masks) == 1:
        folder = shlex.quote(relpath(table.path.parent))
        message = f"{table.path.name} names images and masks, such as {masks[0][0]}, and no column can hold masks"
        hint = f"draft from their folder: dltool init {folder}; a mask is called like its image, or in a folder masks"
        raise DataError(message, hint)


def candidates(names: Sequence[str], worded: Iterable[str]) -> dict[str, None]:
    """Return what `masks` may be for images and masks called `names`: folders, then patterns, the likely ones first.
    Masks are among the `worded` ones."""
    folders = {folder for name in names for folder in PurePath(name).parts[:-1] if MASK_WORD.search(folder)}
    found = dict.fromkeys(sorted(folders, key=lambda folder: (folder.lower() not in MASKS, folder)))
    by_stem: dict[str, list[str]] = {}
    for name in names:
        by_stem.setdefault(PurePath(name).stem, []).append(name)
    masks = sorted(worded)
    for mask in masks[:: max(1, len(masks) // LOOKED_AT)]:
        whole = PurePath(mask).stem
        for stem in (whole, shorter := LAST_WORD.sub("", whole), LAST_WORD.sub("", shorter)):
            patterns = (pattern_of(image, mask) for image in by_stem.get(stem, [])[:LOOKED_AT] if image != mask)
            found |= dict.fromkeys(pattern for pattern in patterns if MASK_WORD.search(pattern))
    return found


def pattern_of(image: str, mask: str) -> str:
    """Return the pattern of the path of a mask from the folder of its image, whose name it begins with."""
    folder, name = posixpath.split(image)
    *parents, last = posixpath.relpath(posixpath.dirname(mask) or ".", folder or ".").split("/")
    if posixpath.basename(folder) and last.startswith(posixpath.basename(folder)):
        last = FOLDER + last.removeprefix(posixpath.basename(folder))
    ending = PurePath(mask).stem.removeprefix(PurePath(name).stem)
    return posixpath.normpath("/".join([*parents, last, IMAGE + ending]))


def draft_masks(path: Path, masks: str, named: str, on_error: str) -> Draft:
    """Draft a config for images with the `masks` of that name. `named` is the path as YAML.

    Raises DataError: images without a mask, or too few of them."""
    members = open_members(str(path), ())
    found = paired(members, masks, (), on_error)
    if sum(map(len, found.parts.values())) < MOST_PAIRED * len(images_with_masks(members, masks)[0]):
        raise DataError(f"many of the images of {members.path} have no mask")
    items = found.parts["training"]
    images = images_of(members, items)
    levels = 2 if min(images.size) < SHALLOW else 3
    # Sizes that can be halved so often, so that what is enlarged has the size of what it joins.
    height, width = (max(1, round(side / 2**levels)) * 2**levels for side in images.size)
    is_stretched = (height, width) != images.size or not images.are_of_size
    seen = images.seen + (", all are stretched to this" if is_stretched else "")
    size = f"size: [{height}, {width}], channels: {images.channels}"
    data = [
        (f"source: {{images: {{path: {named}, masks: {scalar(masks)}, {size}{said(on_error)}}}}}", seen),
        *parts_line(found),
        ("preprocessing:", ""),
        ("  - Rescaling: {scale: $(1 / 255)}", "from 0…255 to 0…1"),
    ]
    many = counted(sum(map(len, found.parts.values())), "image")
    name = in_comment(Path(members.path).name)[1:-1]
    title = f"{name}: {many} with a class for each pixel, from the masks in {in_comment(masks)[1:-1]}."
    # The share of correct pixels hardly moves while rare classes are learned.
    training = [
        (line.replace("val_accuracy", "val_loss").replace("[accuracy]", METRICS), comment)
        for line, comment in training_lines(len(items), LOSS, "accuracy", MEDIA)
    ]
    return Draft(title, data, u_net(levels), training, "accuracy")


def u_net(levels: int) -> Lines:
    """Return the layers: halve the image `levels` times, then enlarge it again, each time beside what it was."""
    lines: list[tuple[str, str]] = []
    for level in range(levels):
        lines += [
            (f"- Conv2D: {{name: down_{level}, filters: {16 * 2**level}, {SAME}}}", ""),
            ("- MaxPooling2D: 2", ""),
        ]
    lines.append((f"- Conv2D: {{filters: {16 * 2**levels}, {SAME}}}", "what is in the image"))
    for level in reversed(range(levels)):
        lines += [
            (f"- UpSampling2D: {{name: up_{level}, size: 2}}", ""),
            (f"- Concatenate: {{from: [up_{level}, down_{level}]}}", "and where"),
            (f"- Conv2D: {{filters: {16 * 2**level}, {SAME}}}", ""),
        ]
    return [*lines, ("- Conv2D: {filters: $classes, kernel_size: 1, activation: softmax}", "a class for each pixel")]
