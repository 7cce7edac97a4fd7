"""Images for configs/unet.yaml: scikit-learn's handwritten digits, scattered over 32 × 32 pixels of noise.

python configs/scenes.py FILE.npz

writes x_train, x_test (images, 32, 32, 1), uint8, and y_train, y_test (images, 32, 32), uint8: 0 where there is no
ink, else 1 + the digit. The digits of the test images are in no training image.
"""

import sys
from collections.abc import Sequence

import numpy as np
from sklearn.datasets import load_digits

SIZE, DIGITS, NOISE, INK = 32, 4, 100, 4


def scenes(
    digits: np.ndarray, labels: np.ndarray, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` images and their masks, of overlapping `digits` (digits, 8, 8), values 0 to 16."""
    images = generator.integers(0, NOISE, (count, SIZE, SIZE, 1), dtype=np.uint8)
    masks = np.zeros((count, SIZE, SIZE), np.uint8)
    height, width = digits.shape[1:]
    for image, mask in zip(images, masks, strict=True):
        for index in generator.integers(0, len(digits), DIGITS):
            top, left = generator.integers(0, (SIZE - height + 1, SIZE - width + 1))
            place = np.s_[top : top + height, left : left + width]
            ink = digits[index] > INK
            image[place][ink, 0] = (digits[index] * 15.9)[ink]
            mask[place][ink] = 1 + labels[index]
    return images, masks


def main(arguments: Sequence[str]) -> None:
    (path,) = arguments
    images, labels = load_digits(return_X_y=True)
    images, generator = images.reshape(-1, 8, 8), np.random.default_rng(0)
    x_train, y_train = scenes(images[:1400], labels[:1400], 2000, generator)
    x_test, y_test = scenes(images[1400:], labels[1400:], 400, generator)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


if __name__ == "__main__":
    main(sys.argv[1:])
