"""The arrays of the benchmarks: real ones where they are at hand, generated ones of the same shape elsewhere."""

from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]
GENERATED = "generated data"


def mnist(folder: Path | None) -> tuple[Arrays, str]:
    return images(folder, "mnist.npz", (28, 28, 1), 60_000)


def cifar10(folder: Path | None) -> tuple[Arrays, str]:
    return images(folder, "cifar10.npz", (32, 32, 3), 50_000)


def images(folder: Path | None, name: str, shape: tuple[int, ...], rows: int) -> tuple[Arrays, str]:
    """The file in the folder, or one blurred shape a class with noise."""
    if folder is not None and (folder / name).exists():
        with np.load(folder / name) as file:
            found = {key: file[key] for key in ("x_train", "y_train", "x_test", "y_test")}
        return {
            key: values.reshape(len(values), *(shape if key[0] == "x" else ())) for key, values in found.items()
        }, f"data of {folder}"
    generator = np.random.default_rng(0)
    shapes = generator.integers(0, 160, (10, *shape))
    arrays: Arrays = {}
    for part, count in (("train", rows), ("test", 10_000)):
        targets = generator.integers(0, 10, count).astype(np.uint8)
        noise = generator.integers(0, 96, (count, *shape), dtype=np.uint8)
        arrays |= {f"x_{part}": (shapes[targets] + noise).astype(np.uint8), f"y_{part}": targets}
    return arrays, GENERATED


def digits(_: Path | None) -> tuple[Arrays, str]:
    from sklearn.datasets import load_digits

    found = load_digits()
    inputs, targets = found.images[..., np.newaxis].astype(np.uint8), found.target.astype(np.uint8)
    return parts(inputs, targets, 1437), "data of scikit-learn"


def small_table(_: Path | None) -> tuple[Arrays, str]:
    return table(4_000), GENERATED


def large_table(_: Path | None) -> tuple[Arrays, str]:
    return table(1_000_000), GENERATED


def table(rows: int) -> Arrays:
    """20 numbers a row, of which three decide."""
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((rows + 1_000, 20), dtype=np.float32)
    score = inputs[:, 0] + inputs[:, 1] * inputs[:, 2] + 0.5 * generator.standard_normal(len(inputs))
    return parts(inputs, (score > 0).astype(np.uint8), rows)


def words(_: Path | None) -> tuple[Arrays, str]:
    """Texts of 40 numbered words; a few words are more frequent in one class than in the other."""
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 2, 9_000).astype(np.uint8)
    inputs = np.minimum(generator.zipf(1.3, (9_000, 40)), 19_899).astype(np.int32)
    marked = generator.random((9_000, 40)) < 0.05
    inputs[marked] = (19_900 + generator.integers(0, 50, inputs.shape) + 50 * targets[:, np.newaxis])[marked]
    return parts(inputs, targets, 8_000), GENERATED


def parts(inputs: np.ndarray, targets: np.ndarray, rows: int) -> Arrays:
    """The first `rows` for training, the others for the test."""
    return {"x_train": inputs[:rows], "y_train": targets[:rows], "x_test": inputs[rows:], "y_test": targets[rows:]}
