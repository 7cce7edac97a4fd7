"""A config for images with masks: a small U-Net that predicts the class of every pixel."""

from pathlib import Path, PurePath

import numpy as np

from dltool.data.files.file_tree import open_members
from dltool.data.media.image_decode import EXTENSIONS
from dltool.data.media.masks import LOSSY, mask_values, paired
from dltool.drafting.draft import Draft, Lines, in_comment, scalar, training_lines
from dltool.drafting.folder import LOSS, MEDIA, SAMPLE, contents_of, parts_line, survey_images
from dltool.errors import DataError
from dltool.text import counted

MASKS = frozenset(
    {"mask", "masks", "label", "labels", "annotation", "annotations", "segmentation", "segmentations", "trimaps"}
    | {"segmentationclass", "gt", "groundtruth", "ground_truth", "targets"}
)
"""Names of folders of masks, in lower case."""
IMAGES = frozenset({"image", "images", "img", "imgs", "jpegimages", "photos", "input", "inputs"})
MOST_VALUES, FEW_VALUES = 64, 4
"""Masks of classes have fewer values, in a lossless format and in JPEG; a photo in a folder called `mask` has more."""
LOOKED_AT = 5
METRICS = "[accuracy, {MeanIoU: {num_classes: $classes, sparse_y_pred: false}}]"
SAME = "kernel_size: 3, padding: same, activation: relu"
SHALLOW = 64
"""Pixels of the shorter side, below which the U-Net has two levels instead of three."""


def mask_folder(path: Path) -> str | None:
    """Return the name of the folders below `path` that hold the masks of the other images; None if there are none.

    Raises DataError: beside a folder of images, a folder of masks has too many values to be classes."""
    members = open_members(str(path), ())
    images = [member.name for member in members.members if member.name.lower().endswith(EXTENSIONS)]
    folders = {folder for name in images for folder in PurePath(name).parts[:-1]}
    for folder in sorted(each for each in folders if each.lower() in MASKS):
        masks = [name for name in images if folder in PurePath(name).parts[:-1]]
        if not len(images) / 4 <= len(masks) < len(images):
            continue
        by_name = {member.name: member for member in members.members}
        pixels = [pixels_of(members.read(by_name[name])) for name in masks[:LOOKED_AT]]
        values = np.unique(np.concatenate(pixels), axis=0)
        if len(values) <= (FEW_VALUES if masks[0].lower().endswith(LOSSY) else MOST_VALUES):
            return folder
        if any(each.lower() in IMAGES for each in folders):
            message = f"the images in {folder} of {members.path} have {len(values):,} values: too many for masks"
            raise DataError(message, "each value is a class: save the masks as PNG, because JPEG changes pixels")
    return None


def pixels_of(content: bytes) -> np.ndarray:
    """Return the pixels of an image, reduced to a few thousand, (pixels, 3)."""
    values, _ = mask_values(content, (SHALLOW, SHALLOW), "stretch", is_coloured=True)
    return values.reshape(-1, 3)


def draft_masks(path: Path, folder: str, named: str) -> Draft:
    """Draft a config for images whose masks are in folders called `folder`. `named` is the path as YAML.

    Raises DataError: images without a mask, or too few of them."""
    members = open_members(str(path), ())
    found = paired(members, folder, ())
    items = found.parts["training"]
    images = survey_images(contents_of(members, items[:: -(-len(items) // SAMPLE)]))
    if images is None:
        raise DataError(f"none of the images of {members.path} can be read")
    levels = 2 if min(images.size) < SHALLOW else 3
    # Sizes that can be halved so often, so that what is enlarged has the size of what it joins.
    height, width = (max(1, round(side / 2**levels)) * 2**levels for side in images.size)
    seen = images.seen + (
        "" if (height, width) == images.size and images.are_of_size else ", all are stretched to this"
    )
    size = f"size: [{height}, {width}], channels: {images.channels}"
    data = [
        (f"source: {{images: {{path: {named}, masks: {scalar(folder)}, {size}}}}}", seen),
        *parts_line(found),
        ("preprocessing:", ""),
        ("  - Rescaling: {scale: $(1 / 255)}", "from 0…255 to 0…1"),
    ]
    many = counted(sum(map(len, found.parts.values())), "image")
    title = (
        f"{in_comment(Path(members.path).name)[1:-1]}: {many} with a class for each pixel, from the masks in {folder}."
    )
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
