"""Examples as images, curves and text: raw, preprocessed and augmented."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Any

import numpy as np
from PIL import Image

from dltool.config.columns import CategoryColumn
from dltool.config.schema import Config
from dltool.data.dataset import Dataset
from dltool.data.facts import Facts, InputFacts
from dltool.data.split.at_random import first_of_each_class
from dltool.model.build import BuiltModel
from dltool.model.column_states import ColumnState
from dltool.model.columns import categories
from dltool.report.mask_views import mask_views
from dltool.text import data_number, shape, shortened
from dltool.text import numbers as numbers_text
from dltool.training.batches import tensor
from dltool.training.state import evaluating

SHOWN_EXAMPLES = 6
AUGMENTED = 2
"""Augmented versions of an example."""
LONGEST_TEXT = 400
MOST_NUMBERS = 16
MOST_ROWS = 40
MOST_CURVES = 4
BRIGHT = 127
"""Images with larger values use 0 to 255. The digits of scikit-learn use 0 to 16."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SHOWN_SIDE = 128
"""Pixels of the longer side on the page, to which larger images are reduced."""
LARGEST_PIXEL = 16
FEW_PIXELS = 64 * 64
FRAME = 256
MOST_MOMENTS = 160
SMALLEST_POWER = 1e-8
MOST_POINTS = 80
CURVE_WIDTH, CURVE_HEIGHT = 100.0, 30.0


@dataclass(frozen=True)
class Thumbnail:
    """An image as a data URI with its size on the page. `is_small`: single pixels are visible."""

    uri: str
    width: int
    height: int
    is_small: bool


@dataclass(frozen=True)
class Look:
    """One view of an example: an image, a curve, text, or columns as (name, value, preprocessed value)."""

    title: str
    image: Thumbnail | None = None
    curve: str = ""
    text: str = ""
    values: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Example:
    """An example of the data with its views; `place` is its location."""

    place: str
    label: str
    looks: tuple[Look, ...]


Arrays = Mapping[str, np.ndarray]
Looks = list[list[Look]]
"""The views of each example."""


def training_examples(config: Config, dataset: Dataset, built: BuiltModel) -> list[Example]:
    """Return training examples from all over the data, of as many classes as possible, with raw, preprocessed and
    augmented views. The seed of the config chooses them."""
    facts, targets = dataset.facts, dataset.targets.values()
    classes = next((values for values in targets if values.ndim == 1 and values.dtype.kind == "i"), None)
    shuffled = np.random.default_rng(config.seed).permutation(dataset.split.train)
    rows = np.sort(first_of_each_class(shuffled, classes, SHOWN_EXAMPLES))
    raw = {name: values[rows] for name, values in dataset.inputs.items()}
    prepared = prepare(built, raw)
    cells = {name: state for name, state in built.fitted.columns.items() if not facts.inputs[name].shape}
    after = {name: [taken_words(facts.inputs[name], cells[name], each) for each in prepared[name]] for name in cells}
    views = [raw_looks(config, facts, raw, after)]
    if any(prepared[name] is not values for name, values in raw.items()):
        views.append(preprocessed_looks(built, facts, prepared, "preprocessed"))
    for attempt in range(1, AUGMENTED + 1) if built.augmentation is not None else ():
        changed = augmented(built, dataset, rows, next(iter(prepared.values())))
        views.append(preprocessed_looks(built, facts, dict.fromkeys(prepared, changed), f"augmented, {attempt}"))
    for title, masks, last in mask_views(config, dataset, built, rows, prepared):
        views.append([[Look(title, thumbnail_of(mask, 0, last, is_heat=True))] for mask in masks])
    return [
        Example(dataset.place_of(row), target_words(dataset, row), tuple(chain.from_iterable(looks)))
        for row, *looks in zip(rows.tolist(), *views, strict=True)
    ]


def prepare(built: BuiltModel, raw: Arrays) -> dict[str, np.ndarray]:
    models = built.preprocessors
    return {
        name: models[name](tensor(values), training=False).numpy() if name in models else values
        for name, values in raw.items()
    }


def augmented(built: BuiltModel, dataset: Dataset, rows: np.ndarray, prepared: np.ndarray) -> np.ndarray:
    """Return preprocessed examples (rows, …) as a training step might see them."""
    assert built.augmentation is not None
    inputs = tensor(prepared)
    if len(built.augmentation.inputs) > 1:
        # Labels are mixed too.
        classes = built.augmentation.inputs[1].shape[-1]
        labels = np.eye(classes, dtype=np.float32)[next(iter(dataset.targets.values()))[rows]]
        return np.asarray(built.augmentation([inputs, tensor(labels)], training=True)[0])
    return np.asarray(built.augmentation(inputs, training=True))


def target_words(dataset: Dataset, row: int) -> str:
    """Return the targets of a row as text; empty if the input is the target."""
    targets = dataset.facts.targets
    words = {name: facts.task.words(np.asarray(dataset.targets[name][row]), facts) for name, facts in targets.items()}
    return "; ".join(f"{name}: {each}" if len(words) > 1 else each for name, each in words.items())


def rows_looks(
    config: Config, dataset: Dataset, built: BuiltModel, rows: Sequence[int], autoencoder: str | None
) -> Looks:
    """Return the raw views of rows of the data, and their reconstruction by the output `autoencoder`, if it is one."""
    raw = {name: values[np.asarray(rows, np.int64)] for name, values in dataset.inputs.items()}
    looks = raw_looks(config, dataset.facts, raw, {})
    if autoencoder is None or not config.data.is_refit:
        return looks
    given = {name: tensor(values) for name, values in prepare(built, raw).items()}
    with evaluating(built.core, config.seed):
        found = built.core(built.structured(given), training=False)
    values = np.asarray(found[autoencoder] if isinstance(found, dict) else found, np.float32)
    restored = preprocessed_looks(built, dataset.facts, {next(iter(raw)): values}, "reconstructed")
    return [[*each, *more] for each, more in zip(looks, restored, strict=True)]


def raw_looks(config: Config, facts: Facts, raw: Arrays, prepared: Mapping[str, Sequence[str]]) -> Looks:
    """Return the raw views of each example. Columns of a table are one view, with their preprocessed values, which are
    text."""
    looks: Looks = [[] for _ in next(iter(raw.values()))]
    windows = config.data.windows
    # The target of a time series comes first.
    names = sorted(raw, key=lambda name: windows is not None and name not in windows.targets)
    kinds = {name: kind_of(config, facts, name) for name in names}
    named = [name for name in names if kinds[name] == "cell"]
    curves = [name for name in names if kinds[name] == "curve" and facts.inputs[name].column is not None]
    for name in names:
        if name in named or name in curves[MOST_CURVES:]:
            continue
        title = name if len(facts.inputs) > 1 else "raw"
        limits = limits_of(raw[name]) if kinds[name] == "image" else (0.0, 1.0)
        for example, value in zip(looks, raw[name], strict=True):
            example.append(look_at(kinds[name], title, value, limits))
    for position, example in enumerate(looks) if named else ():
        after = {name: prepared[name][position] for name in named if name in prepared}
        cells = ((name, cell_words(facts.inputs[name], raw[name][position]), after.get(name, "")) for name in named)
        title = "columns → preprocessed" if prepared else "columns"
        example.append(Look(title, values=tuple(islice(cells, MOST_ROWS))))
    return looks


def kind_of(config: Config, facts: Facts, name: str) -> str:
    """Return how an input is shown: "image", "sound", "text", "cell" of a table, "curve" or "numbers"."""
    found = facts.inputs[name]
    axes, column = len(found.shape), found.column
    if found.dtype == "string":
        return "steps" if axes else "cell" if column is not None and column.name == "category" else "text"
    if config.data.source.name == "audio" or (column is not None and column.name == "audio"):
        return "sound"
    if column is not None and not axes:
        return "cell"
    if axes in (2, 3):
        return "image"
    is_long = axes == 1 and (found.shape[0] or 0) > MOST_NUMBERS
    return "curve" if (is_long or column is not None) and found.dtype == "float32" else "numbers"


def limits_of(values: np.ndarray) -> tuple[float, float]:
    """Return the values shown as black and as white."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if values.dtype == np.uint8:
        return (0.0, 255.0) if high > BRIGHT else (0.0, max(high, 1.0))
    return low, high


def look_at(kind: str, title: str, value: Any, limits: tuple[float, float]) -> Look:
    if kind == "image":
        return Look(title, thumbnail_of(value, *limits))
    if kind == "sound":
        return Look(f"{title}: spectrogram", spectrogram(value))
    if kind == "text":
        return Look(title, text=shortened(str(value), LONGEST_TEXT))
    if kind == "steps":
        return Look(title, text=shortened(", ".join(map(str, np.ravel(value)[-MOST_NUMBERS:])), LONGEST_TEXT))
    if kind == "curve":
        last = value.ravel()[-1]
        end = data_number(float(last)) if np.isfinite(last) else "missing"
        return Look(f"{title}, at the end {end}", curve=curve_points(value))
    return Look(title, text=numbers(value))


def numbers(values: Any) -> str:
    flat = np.ravel(values)
    shown = ", ".join(numbers_text(flat[:MOST_NUMBERS].tolist()))
    return f"{shown}, … ({shape(np.shape(values))})" if len(flat) > MOST_NUMBERS else shown


def taken_words(facts: InputFacts, state: ColumnState, value: np.ndarray) -> str:
    """Return a preprocessed value as the model takes it: a category as one-hot vector, or as index of an embedding."""
    options = facts.column.options if facts.column is not None else None
    if not isinstance(options, CategoryColumn):
        return numbers(value)
    size, index = categories(options, state), int(value)
    if options.embedding is not None:
        return f"index {index} of {size}, for the embedding"
    one_hot = ", ".join(str(int(each == index)) for each in range(size))
    return one_hot if size <= MOST_NUMBERS else f"one-hot vector, 1 at index {index} of {size}"


def cell_words(facts: InputFacts, value: Any) -> str:
    kind = facts.column.name if facts.column is not None else ""
    if isinstance(value, str):
        return shortened(value, LONGEST_TEXT) or "missing"
    if kind == "date":
        try:
            return (EPOCH + timedelta(seconds=int(value))).isoformat(" ", "minutes").removesuffix("+00:00")
        except OverflowError:
            return "missing"
    if np.isnan(value):
        return "missing"
    return ("yes" if value else "no") if kind == "boolean" else data_number(float(value))


def preprocessed_looks(built: BuiltModel, facts: Facts, prepared: Arrays, title: str) -> Looks:
    """Return the preprocessed views of each example. Cells of a table have theirs beside the raw ones."""
    looks: Looks = [[] for _ in next(iter(prepared.values()))]
    for name, values in prepared.items():
        column = facts.inputs[name].column
        if column is not None and column.name not in ("image", "audio", "text"):
            continue
        own = f"{name}, {title}" if len(prepared) > 1 else title
        words = vocabulary_of(built, name) if values.dtype.kind == "i" else None
        limits = limits_of(values) if values.dtype.kind in "fu" else (0.0, 1.0)
        for example, value in zip(looks, values, strict=True):
            example.append(preprocessed_look(own, value, limits, words, padding_of(built, name)))
    return looks


def preprocessed_look(
    title: str, value: np.ndarray, limits: tuple[float, float], words: Sequence[str] | None, padding: int = 0
) -> Look:
    if words is not None:
        return Look(title, text=shortened(" ".join(tokens(value.ravel(), words, padding)), LONGEST_TEXT))
    if value.ndim in (2, 3) and value.dtype.kind in "fu":
        says = f"{title}: {' to '.join(data_number(limit, 3) for limit in limits)}"
        return Look(says, thumbnail_of(value, *limits, is_heat=value.ndim == 2))
    if value.ndim == 1 and len(value) > MOST_NUMBERS and value.dtype.kind == "f":
        says = f"{title}: {np.count_nonzero(value):,} of {len(value):,} values are not 0"
        return Look(says, curve=curve_points(value))
    return Look(title, text=numbers(value))


def vocabulary_of(built: BuiltModel, name: str) -> Sequence[str] | None:
    """Return the vocabulary of a preprocessed text, None for other inputs."""
    layers = built.preprocessors[name].layers if name in built.preprocessors else []
    found = next((layer for layer in reversed(layers) if hasattr(layer, "get_vocabulary")), None)
    return None if found is None else [str(word) for word in found.get_vocabulary()]


def padding_of(built: BuiltModel, name: str) -> int:
    """Return the token that fills up the texts of an input: 0, or that of a preset."""
    layers = built.preprocessors[name].layers if name in built.preprocessors else []
    return next((int(layer.pad_token_id) for layer in layers if hasattr(layer, "pad_token_id")), 0)


def tokens(values: np.ndarray, words: Sequence[str], padding: int = 0) -> Iterator[str]:
    """Yield the words of token numbers, without the padding at the end."""
    used = np.flatnonzero(values != padding)
    for index in values[: used[-1] + 1 if len(used) else 0].tolist():
        yield words[index] if 0 <= index < len(words) and words[index] else "·"


def thumbnail_of(values: np.ndarray, low: float, high: float, is_heat: bool = False) -> Thumbnail:
    """Return an image of (height, width) or (height, width, channels); `low` is black, `high` white. Other than 1, 3 or
    4 channels are averaged. `is_heat` shows one channel as a heat map."""
    array = np.asarray(values, np.float32)
    if array.ndim == 3 and array.shape[-1] not in (3, 4):
        array = array.mean(axis=-1)
    scaled = np.clip((np.nan_to_num(array) - low) / max(high - low, 1e-12), 0, 1)
    if is_heat:
        from matplotlib import colormaps

        scaled = colormaps["magma"](scaled)[..., :3]
    image = Image.fromarray(np.rint(scaled * 255).astype(np.uint8))
    if max(image.size) > 2 * SHOWN_SIDE:
        image.thumbnail((2 * SHOWN_SIDE, 2 * SHOWN_SIDE))
    longer = max(image.size)
    factor = min(LARGEST_PIXEL, SHOWN_SIDE // longer) if longer <= SHOWN_SIDE else SHOWN_SIDE / longer
    shown = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    is_small = image.width * image.height <= FEW_PIXELS
    kind, options = ("png", {"optimize": True}) if is_small else ("webp", {"quality": 80})
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Thumbnail(f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}", *shown, is_small)


def spectrogram(samples: np.ndarray) -> Thumbnail:
    """Return the log-power spectrogram of an audio clip (samples,), low frequencies at the bottom."""
    samples = np.asarray(samples, np.float32).ravel()
    samples = np.pad(samples, (0, max(0, FRAME - len(samples))))
    step = (len(samples) - FRAME) // MOST_MOMENTS + 1
    starts = np.arange(0, len(samples) - FRAME + 1, step)
    frames = samples[starts[:, None] + np.arange(FRAME)] * np.hanning(FRAME).astype(np.float32)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    decibels = 10 * np.log10(np.maximum(power, SMALLEST_POWER))
    # Sounds 80 dB below the loudest are inaudible.
    return thumbnail_of(decibels.T[::-1], float(decibels.max()) - 80, float(decibels.max()), is_heat=True)


def curve_points(values: np.ndarray) -> str:
    """Return the numbers as the points of an SVG polyline, 100 wide and 30 high."""
    values = np.asarray(values, np.float64).ravel()
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return ""
    # Missing values are interpolated.
    values = np.interp(np.arange(len(values)), known, values[known])
    if len(values) > MOST_POINTS:
        values = values[np.linspace(0, len(values) - 1, MOST_POINTS).round().astype(int)]
    spread = max(float(np.ptp(values)), 1e-12)
    across = np.linspace(1, CURVE_WIDTH - 1, max(2, len(values)))
    down = CURVE_HEIGHT - 2 - (values - values.min()) / spread * (CURVE_HEIGHT - 4)
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=False))
