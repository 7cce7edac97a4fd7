"""Masks: image files that give the class of every pixel of an image, found by its name."""

import posixpath
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePath
from posixpath import splitext
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from dltool.data.arrays.rows import Coded, text_array
from dltool.data.files.class_folders import Item, Labelled, PartName, split_folders
from dltool.data.files.file_tree import Members, UnreadableMember
from dltool.data.files.listing import SHOWN, Member
from dltool.data.media.image_decode import (
    DAMAGE,
    EXTENSIONS,
    PNG_START,
    BadImage,
    check_png,
    fitted,
    opened,
    orientation,
)
from dltool.data.media.rows import unusable
from dltool.data.media.worker import Fault
from dltool.errors import ConfigPath, DataError, Problem
from dltool.machine import usable_cores
from dltool.text import and_more, counted

WORDS_OF_MASKS = frozenset({"mask", "masks", "label", "labels", "seg", "segmentation", "gt", "image", "images", "img"})
"""Words in the name of an image or a mask that the other one lacks."""
WORD = re.compile(r"[^\W_]+")
IMAGE, FOLDER = "{image}", "{folder}"
"""In a pattern, the name of the image without ending, and the name of its folder."""
NUMBERED = re.compile(r"[_ -]?\d+$")
LOSSY = (".jpg", ".jpeg", ".jpe", ".jfif")
MOST_COLOURS = 1_000
PLAIN = {"1": "L", "LA": "L", "La": "L", "PA": "P"}
"""Modes without transparency, which says nothing of a class; other ones become colours."""
Key = tuple[tuple[str, ...], str]


def paired(members: Members, masks: str, place: ConfigPath, on_error: str = "refuse") -> Labelled:
    """Return the images with the paths of their masks as labels. `masks` is the name of the folders of masks, or the
    pattern of their paths. Folders such as `train` and `test` are splits.

    Raises DataError: there are no masks, or images without exactly one, unless `on_error` is "skip"."""
    images, masks_of, warnings = images_with_masks(members, masks)
    if not images or not any(masks_of.values()):
        of_masks = f"masks called {masks}" if IMAGE in masks else "masks in a folder of that name"
        what = of_masks if images else "images beside the masks"
        raise DataError(Problem((*place, "masks"), f"{members.path} has no {what}"))
    found = [Item(image, masks_of[image.name][0]) for image in images if len(masks_of[image.name]) == 1]
    faults = [f"{name} ({' and '.join(each) or 'none'})" for name, each in masks_of.items() if len(each) != 1]
    if faults:
        message = f"{counted(len(faults), 'image')} without exactly one mask: {and_more(faults, SHOWN)}"
        if on_error == "refuse" or not found:
            hint = "a mask is called like its image, in the same folders; on_error: skip leaves out images without"
            raise DataError(Problem((*place, "masks"), message, hint))
        warnings.append(f"left out: {message}")
    if any(item.label.lower().endswith(LOSSY) for item in found):
        warnings.append("masks are JPEG files, which change pixels, and each value is a class: save them as PNG")
    return Labelled({part: tuple(items) for part, items in divided(found, members.path, place).items()}, (*warnings,))


def images_with_masks(members: Members, masks: str) -> tuple[list[Member], dict[str, list[str]], list[str]]:
    """Return the images, the masks of each by its name, and warnings of masks that are left out."""
    files = [member for member in members.members if member.name.lower().endswith(EXTENSIONS)]
    return by_pattern(files, masks) if IMAGE in masks else by_folder(files, masks)


def by_folder(files: Sequence[Member], folder: str) -> tuple[list[Member], dict[str, list[str]], list[str]]:
    """Find masks in folders called `folder`; the image is beside that folder, or in one beside it."""
    images: list[Member] = []
    masks: dict[Key, list[str]] = {}
    levels: set[int] = set()
    for member in files:
        folders = PurePath(member.name).parts[:-1]
        if folder in folders:
            level = folders.index(folder)
            levels.add(level)
            key = (*folders[:level], *folders[level + 1 :]), stem_of(member.name)
            masks.setdefault(key, []).append(member.name)
        else:
            images.append(member)
    found: dict[str, list[str]] = {}
    for image in images:
        folders, stem = PurePath(image.name).parts[:-1], stem_of(image.name)
        beside = {folders, *((*folders[:level], *folders[level + 1 :]) for level in levels if level < len(folders))}
        found[image.name] = [name for each in beside for name in masks.get((each, stem), [])]
    unused = sum(map(len, masks.values())) - len({name for each in found.values() for name in each})
    return images, found, [f"{counted(unused, 'mask')} without an image: left out"] if unused else []


def by_pattern(files: Sequence[Member], pattern: str) -> tuple[list[Member], dict[str, list[str]], list[str]]:
    """Find masks by the pattern of their path from the folder of the image."""
    named: dict[str, list[str]] = {}
    for member in files:
        for name in (member.name, splitext(member.name)[0]):
            named.setdefault(name, []).append(member.name)
    found = {member.name: named.get(mask_path(member.name, pattern), []) for member in files}
    masks = {name for each in found.values() for name in each}
    # Masks of other objects in the same image are called "1_mask_1".
    stems = {splitext(name)[0] for name in masks}
    further = {name for name in found if NUMBERED.sub("", splitext(name)[0]) in stems} - masks
    images = [member for member in files if member.name not in masks | further]
    names = and_more(sorted(further), SHOWN)
    warnings = [f"{counted(len(further), 'further mask')} of an image: left out: {names}"] if further else []
    return images, {image.name: found[image.name] for image in images}, warnings


def mask_path(image: str, pattern: str) -> str:
    """Return the path of the mask of an image, without ending if the pattern has none."""
    folder, name = posixpath.split(image)
    path = pattern.replace(FOLDER, posixpath.basename(folder)).replace(IMAGE, splitext(name)[0])
    return posixpath.normpath(posixpath.join(folder, path))


def stem_of(name: str) -> str:
    """Return the words that the names of an image and its mask share."""
    stem = PurePath(name).stem.lower()
    return "_".join(word for word in WORD.findall(stem.replace("_", " ")) if word not in WORDS_OF_MASKS) or stem


def divided(items: Sequence[Item], path: str, place: ConfigPath) -> dict[PartName, list[Item]]:
    """Return the items of each split: by the first level whose folders are splits of all of them."""
    paths = [PurePath(item.member.name).parts for item in items]
    for level in range(max(map(len, paths)) - 1):
        splits = split_folders({each[level] for each in paths if len(each) > level + 1}, path, (*place, "path"))
        if splits and all(len(each) > level + 1 and each[level] in splits for each in paths):
            found: dict[PartName, list[Item]] = {}
            for item, each in zip(items, paths, strict=True):
                found.setdefault(splits[each[level]], []).append(item)
            return found
    return {"training": [*items]}


def load_masks(members: Members, names: Sequence[str], size: tuple[int, int], resize: Any) -> np.ndarray | Coded:
    """Return the masks called `names`, fitted like their images to `size` (height, width) without new values.

    They are (masks, height, width): grey values or indices of a common palette as integers, otherwise colours as text.
    Raises DataError naming all files that cannot be read, or more colours than classes can have."""
    by_name = {member.name: member for member in members.members}

    def decoded(is_coloured: bool) -> list[tuple[np.ndarray, bytes]]:
        def values_of(row: int, name: str) -> tuple[np.ndarray, bytes] | Fault:
            try:
                return mask_values(members.reader.read(by_name[name]), size, resize, is_coloured)
            except UnreadableMember as error:
                return Fault(row, name, str(error))

        with ThreadPoolExecutor(usable_cores(), "masks") as threads:
            outcomes = [*threads.map(values_of, range(len(names)), names)]
        faults = [each for each in outcomes if isinstance(each, Fault)]
        DataError.refuse(unusable("mask", faults, members))
        return [each for each in outcomes if not isinstance(each, Fault)]

    found = decoded(is_coloured=False)
    if len({palette for _, palette in found}) > 1 or len({values.ndim for values, _ in found}) > 1:
        found = decoded(is_coloured=True)
    values = np.stack([each for each, _ in found])
    return values if values.ndim == 3 else colours_of(values, members)


def colours_of(values: np.ndarray, members: Members) -> np.ndarray | Coded:
    """Return (masks, height, width) of the colours in (masks, height, width, 3): "#ff0000", or grey values."""
    if (values == values[..., :1]).all():
        return values[..., 0]
    codes = np.zeros(values.shape[:3], np.int32)
    numbers: dict[int, int] = {}
    for row, mask in enumerate(values):
        packed = mask.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
        colours, inverse = np.unique(packed, return_inverse=True)
        table = [numbers.setdefault(colour, len(numbers)) for colour in colours.tolist()]
        if len(numbers) > MOST_COLOURS:
            message = f"the masks of {members.path} have more than {MOST_COLOURS:,} colours"
            raise DataError(Problem(members.place, message, "each colour is a class: JPEG changes them, PNG does not"))
        codes[row] = np.array(table, np.int32)[inverse.reshape(packed.shape)]
    return Coded(codes, text_array(f"#{colour:06x}" for colour in numbers))


def mask_values(content: bytes, size: tuple[int, int], resize: str, is_coloured: bool) -> tuple[np.ndarray, bytes]:
    """Return the pixels of a mask, (height, width), or (height, width, 3) of colours, and its palette.

    Raises BadImage: it is damaged."""
    image = opened(content)
    try:
        if content.startswith(PNG_START):
            check_png(content)
        if orientation(image) != 1:
            image = ImageOps.exif_transpose(image)
        image = image.convert(PLAIN[image.mode]) if image.mode in PLAIN else image
        palette = bytes(image.getpalette() or ()) if image.mode == "P" else b""
        if is_coloured or image.mode not in ("L", "P", "I", "I;16"):
            image, palette = image.convert("RGB"), b""
        values = np.asarray(fitted(image, *size, resize, Image.Resampling.NEAREST))
        return (values if values.dtype == np.uint8 else values.astype(np.int32)), palette
    except DAMAGE as error:
        raise BadImage(f"damaged: {error}") from None
