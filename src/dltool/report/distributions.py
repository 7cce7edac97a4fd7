"""Distributions of the numbers in inputs and targets, as small histograms."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dltool.data.arrays.rows import Coded, Rows
from dltool.data.dataset import Dataset
from dltool.evaluation.measures import bulk

MOST_DISTRIBUTIONS = 40
MOST_VALUES = 5_000
"""Values of one histogram, from examples that are spread evenly over the training split."""
FEWEST_ROWS = 50
BARS = 25
WIDTH, HEIGHT = 100.0, 30.0


@dataclass(frozen=True)
class Distribution:
    """The distribution of `of` ("input x", "words of x", "target y") in the training split. `bars` is the path of an
    SVG, 100 wide and 30 high, with outliers in the outermost bars."""

    of: str
    lowest: float
    median: float
    highest: float
    bars: str


def distributions(dataset: Dataset) -> Iterator[Distribution]:
    """Yield the distribution of each target and input that consists of numbers, and of the lengths of texts."""
    for name, target in dataset.facts.targets.items():
        if not target.task.has_classes:
            yield from distribution(f"target {name}" if name != "target" else "target", dataset.targets[name], dataset)
    for name, found in dataset.facts.inputs.items():
        kind = found.column.name if found.column is not None else ""
        if found.dtype == "string" and not found.shape and kind != "category":
            yield from distribution(f"words of {name}", dataset.inputs[name], dataset)
        elif found.dtype != "string" and kind not in ("date", "boolean", "audio"):
            yield from distribution(f"input {name}" if name != "input" else "input", dataset.inputs[name], dataset)


def distribution(of: str, values: Rows, dataset: Dataset) -> Iterator[Distribution]:
    train = dataset.split.train
    size = max(1, int(np.prod(values.shape[1:])))
    examples = min(len(train), max(FEWEST_ROWS, MOST_VALUES // size))
    some = values[train[np.linspace(0, len(train) - 1, examples).astype(int)]]
    if isinstance(values, Coded) or some.dtype.kind in "OUS":
        some = np.array([len(str(text).split()) for text in some])
    numbers = np.asarray(some, float).ravel()[:: max(1, some.size // MOST_VALUES)]
    numbers = numbers[np.isfinite(numbers)]
    if len(numbers):
        lowest, median, highest = np.quantile(numbers, [0, 0.5, 1]).tolist()
        yield Distribution(of, lowest, median, highest, bars_of(numbers))


def bars_of(values: np.ndarray) -> str:
    """Return the histogram of `values` (examples,) as an SVG path."""
    low, high = bulk(values)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(np.clip(values, low, high), BARS, (low, high))
    width = WIDTH / BARS
    heights = counts / counts.max() * (HEIGHT - 1)
    return "".join(
        f"M{index * width:g} {HEIGHT:g}v{-height:.1f}h{width - 0.5:g}v{height:.1f}z"
        for index, height in enumerate(heights.tolist())
        if height
    )
