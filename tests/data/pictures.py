"""Small images made by Pillow."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def pixels(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth, so that JPEG changes little: (height, width, channels), or (height, width) of one channel."""
    generator = np.random.default_rng(seed)
    corners = Image.fromarray(generator.integers(0, 256, (2, 2, 3), np.uint8))
    values = np.asarray(corners.resize((width, height), Image.Resampling.BILINEAR))
    if channels == 4:
        return np.dstack([values, values[..., :1]])
    return values[..., 0] if channels == 1 else values


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(file, kind, **options)
    return file.getvalue()


def class_folders(classes: int = 2, each: int = 3, size: tuple[int, int] = (4, 5), top: str = "") -> dict[str, bytes]:
    """Files by name: `each` images for each class, all different."""
    return {
        f"{top}{'abcdefgh'[label]}/{number}.png": encoded(pixels(*size, seed=100 * label + number))
        for label in range(classes)
        for number in range(each)
    }


def tree(root: Path) -> set[str]:
    """The files below a folder."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
