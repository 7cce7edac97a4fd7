"""The datasets bundled with scikit-learn, and those of keras.datasets, without Keras: the same files, the same order of
rows."""

import gzip
import io
import pickle
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dltool.config.columns import ONE_TARGET
from dltool.config.sources import CaliforniaHousingSource, Cifar100Source, Source, TokenSource
from dltool.data.arrays.cleaning import clean_inputs, clean_labels
from dltool.data.arrays.npz import npz_headers, read_npz
from dltool.data.examples import Examples, SourceExamples
from dltool.data.facts import ONE_INPUT
from dltool.data.files.paths import require, unreadable
from dltool.data.sources.catalog import FIXED, Published, published
from dltool.data.sources.download import PublishedFile, fetch, keras_cache
from dltool.errors import ConfigPath, DataError, Problem

GOOGLE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
TORONTO = "https://www.cs.toronto.edu/~kriz/"
KERAS_SHUFFLE_SEED = 113
FOUR_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
PADDING, START, RARE = 0, 1, 2
FIRST_WORD = 3

# File names, addresses and hashes are those of keras 3.15 (keras/src/datasets).
NPZ_HASHES = {
    "mnist": "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    "imdb": "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
    "reuters": "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916",
    "california_housing": "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f",
}
ARCHIVES = {
    **{name: PublishedFile(f"{name}.npz", f"{GOOGLE}{name}.npz", found) for name, found in NPZ_HASHES.items()},
    "cifar10": PublishedFile(
        "cifar-10-batches-py-target_archive",
        f"{TORONTO}cifar-10-python.tar.gz",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    "cifar100": PublishedFile(
        "cifar-100-python-target_archive",
        f"{TORONTO}cifar-100-python.tar.gz",
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
}
IDX_FILES = {
    "x_train": "train-images-idx3-ubyte.gz",
    "y_train": "train-labels-idx1-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}
FASHION_FOLDER = "fashion-mnist"
CIFAR_BATCHES = {
    "cifar10": ("cifar-10-batches-py/data_batch_", "cifar-10-batches-py/test_batch"),
    "cifar100": ("cifar-100-python/train", "cifar-100-python/test"),
}
"""How the names of the training and of the test batches begin."""
Arrays = dict[str, np.ndarray]


def load_bundled(name: str, place: ConfigPath) -> SourceExamples:
    """Load digits as uint8 images of 0…16, the others as float32 tables in their raw units."""
    from sklearn import datasets  # type: ignore[import-untyped,unused-ignore]

    # By default diabetes is centred and scaled over all its rows, which would leak the test rows.
    options = {"scaled": False} if name == "diabetes" else {}
    bundle = getattr(datasets, f"load_{name}")(**options)
    inputs = bundle.images[..., np.newaxis].astype(np.uint8) if name == "digits" else bundle.data.astype(np.float32)
    labels = bundle.target.astype(np.int32 if FIXED[name].class_names else np.float32)
    examples = Examples({ONE_INPUT: inputs}, {ONE_TARGET: labels}, name, place)
    return SourceExamples({"training": examples}, FIXED[name].class_names)


def load_keras_dataset(source: Source, place: ConfigPath) -> SourceExamples:
    """Load the dataset that `source` names, from its `path`, else from Keras's cache, else downloaded into it.

    Images are uint8 with a channel axis, texts int32 (rows, length), California housing float32 in raw units.

    Raises:
        DataError: the file at `path` is missing, damaged, of another layout, or a pickle other than the published one.
        MachineError: nothing in the cache, and no network."""
    known, path = published(source), getattr(source.options, "path", None)
    assert known is not None
    if path is None:
        arrays = published_arrays(source, known, place)
    else:
        place = (*place, source.name, "path")
        arrays = arrays_at(source, known, path, place)
    if known.share is not None and "x" in arrays:
        arrays = divided(arrays, *known.share(len(arrays["x"])))
    training, test = (part(source, arrays, suffix, place) for suffix in ("train", "test"))
    shape = training.inputs[ONE_INPUT].shape[1:]
    if shape != known.input_shape:
        message = f"examples of {source.name} have the shape {known.input_shape}, these have {shape}"
        raise DataError(Problem(place, message, "the source arrays takes any shape"))
    return SourceExamples({"training": training, "test": test}, known.class_names)


def published_arrays(source: Source, known: Published, place: ConfigPath) -> Arrays:
    if source.name == "fashion_mnist":
        files = {key: PublishedFile(f"{FASHION_FOLDER}/{name}", f"{GOOGLE}{name}") for key, name in IDX_FILES.items()}
        contents = {key: fetch(file, source.name, place) for key, file in files.items()}
        return idx_arrays(contents, keras_cache() / FASHION_FOLDER, place)
    content = fetch(ARCHIVES[source.name], source.name, place)
    if source.name in CIFAR_BATCHES:
        return cifar_arrays(source, content)
    return npz_arrays(source, known, io.BytesIO(content), f"{source.name}.npz", place)


def arrays_at(source: Source, known: Published, text: str, place: ConfigPath) -> Arrays:
    path = require(text, place, allow_folder=source.name in {"mnist", "fashion_mnist"})
    if path.is_dir():
        files = {key: require(str(path / name), place) for key, name in IDX_FILES.items()}
        return idx_arrays({key: content_of(file, place) for key, file in files.items()}, path, place)
    if source.name in CIFAR_BATCHES and tarfile.is_tarfile(path):
        content = content_of(path, place)
        check_published(source, content, path.name, place)
        return cifar_arrays(source, content)
    return npz_arrays(source, known, path, str(path), place)


def content_of(path: Path, place: ConfigPath) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, place, error) from None


def check_published(source: Source, content: bytes, shown_as: str, place: ConfigPath) -> None:
    """Raise DataError if `content` is not the pickle that Keras publishes: another one could run code."""
    if not ARCHIVES[source.name].is_content(content):
        message = f"{shown_as} holds pickles and is not the published file (its SHA-256 differs): it is not loaded"
        raise DataError(Problem(place, message, "save plain arrays with np.savez: x_train, y_train, x_test, y_test"))


def idx_arrays(contents: dict[str, bytes], folder: Path, place: ConfigPath) -> Arrays:
    """Return an array in MNIST's format: a big-endian header (https://yann.lecun.com/exdb/mnist), then bytes."""
    arrays = {}
    for key, content in contents.items():
        try:
            raw = gzip.decompress(content)
            axes = raw[3]
            shape = np.frombuffer(raw, ">i4", count=axes, offset=4)
            arrays[key] = np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)
        except (OSError, EOFError, zlib.error, ValueError, IndexError) as error:
            message = f"{folder / IDX_FILES[key]} is damaged: {error}"
            raise DataError(Problem(place, message, "delete it and download it again")) from None
    return arrays


def cifar_arrays(source: Source, content: bytes) -> Arrays:
    """Return the arrays of a published CIFAR archive. `content` must have passed its hash."""
    options, starts = source.options, CIFAR_BATCHES[source.name]
    key = f"{options.label_mode}_labels" if isinstance(options, Cifar100Source) else "labels"
    batches = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r|gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.startswith(starts) else None
            if file is not None:
                batches[member.name] = pickle.load(file, encoding="bytes")  # noqa: S301 (the published file, byte for byte)
    arrays = {}
    for suffix, start in zip(("train", "test"), starts, strict=True):
        names = sorted(name for name in batches if name.startswith(start))
        images = [batches[name][b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1) for name in names]
        arrays[f"x_{suffix}"] = np.concatenate(images)
        arrays[f"y_{suffix}"] = np.concatenate([np.asarray(batches[name][key.encode()]) for name in names])
    return arrays


def npz_arrays(source: Source, known: Published, file: Path | io.BytesIO, shown_as: str, place: ConfigPath) -> Arrays:
    headers = npz_headers(file, shown_as, place)
    names = ("x", "y") if known.share is not None and {"x", "y"} <= headers.keys() else FOUR_ARRAYS
    missing = [name for name in names if name not in headers]
    if missing:
        message = f"{shown_as} has no {', '.join(missing)}"
        raise DataError(Problem(place, message, f"it holds {', '.join(sorted(headers))}"))
    is_pickled = any(headers[name].descr == "|O" for name in names)
    if not (is_pickled and isinstance(source.options, TokenSource)):
        return read_npz(file, names, headers, shown_as, place)
    content = file.getvalue() if isinstance(file, io.BytesIO) else content_of(file, place)
    check_published(source, content, shown_as, place)
    with np.load(io.BytesIO(content), allow_pickle=True) as archive:
        arrays = {name: archive[name] for name in names}
    return arrays if "x" in arrays else shuffled(arrays)


def shuffled(arrays: Arrays) -> Arrays:
    """Return both splits in the order of keras.datasets.imdb."""
    generator = np.random.RandomState(KERAS_SHUFFLE_SEED)
    result: Arrays = {}
    for suffix in ("train", "test"):
        order = np.arange(len(arrays[f"x_{suffix}"]))
        generator.shuffle(order)
        result |= {f"{letter}_{suffix}": arrays[f"{letter}_{suffix}"][order] for letter in "xy"}
    return result


def divided(arrays: Arrays, training: int, test: int) -> Arrays:
    """Return one table in the order of keras.datasets, divided where Keras divides it."""
    order = np.arange(training + test)
    np.random.RandomState(KERAS_SHUFFLE_SEED).shuffle(order)
    rows = {"train": order[:training], "test": order[training:]}
    return {f"{letter}_{suffix}": arrays[letter][rows[suffix]] for letter in "xy" for suffix in rows}


def part(source: Source, arrays: Arrays, suffix: str, place: ConfigPath) -> Examples:
    """Return one split with inputs and labels in the form of :func:`load_keras_dataset`."""
    x, y = f"x_{suffix}", f"y_{suffix}"
    labels = clean_labels(arrays[y], y, place)
    options = source.options
    if isinstance(options, TokenSource):
        inputs = tokens(arrays[x], options, x, place)
    elif isinstance(options, CaliforniaHousingSource):
        inputs, labels = clean_inputs(arrays[x], x, place).astype(np.float32), labels.astype(np.float32)
    else:
        inputs = pixels(arrays[x], x, place)
    if len(inputs) != len(labels) or labels.ndim != 1:
        message = f"{x} has {len(inputs):,} rows, {y} has the shape {labels.shape}"
        raise DataError(Problem(place, message, "each example needs one label"))
    return Examples({ONE_INPUT: inputs}, {ONE_TARGET: labels}, x, place)


def pixels(array: np.ndarray, name: str, place: ConfigPath) -> np.ndarray:
    """Return (rows, height, width, channels) of uint8."""
    if array.dtype != np.uint8 and array.size:
        if array.dtype.kind not in "iu" or array.min() < 0 or array.max() > 255:
            message = f"{name} is {array.dtype}; pixels are integers from 0 to 255"
            raise DataError(Problem(place, message, "the source arrays takes any numbers"))
        array = array.astype(np.uint8)
    return clean_inputs(array, name, place)


def tokens(array: np.ndarray, options: TokenSource, name: str, place: ConfigPath) -> np.ndarray:
    """Return (rows, length) of int32, from published sequences, or from a table, which is truncated or padded in front.
    Every number from `num_words` on becomes 2."""
    if array.dtype == object:
        table = padded_table(array, options.length)  # type: ignore[arg-type]
    elif array.ndim == 2 and array.dtype.kind in "iu":
        kept = clean_inputs(array, name, place)[:, -options.length :].astype(np.int32)
        table = np.pad(kept, ((0, 0), (options.length - kept.shape[1], 0)), constant_values=PADDING)
    else:
        message = f"{name} has the shape {array.shape} and dtype {array.dtype}; expected rows of word indices"
        raise DataError(Problem(place, message))
    most = options.num_words
    return table if most is None else np.where(table < most, table, np.int32(RARE))


def padded_table(sequences: Sequence[Sequence[int]], length: int) -> np.ndarray:
    """Return (rows, length) of int32 from published sequences of words 1, 2, … by frequency, as keras.datasets does.

    Words are shifted by three for padding, start and rare; every sequence begins with the start mark. The last `length`
    numbers are kept; short sequences are padded with zeros in front."""
    table = np.full((len(sequences), length), PADDING - FIRST_WORD, dtype=np.int32)
    for row, words in enumerate(sequences):
        last = words[-length:]
        if last:
            table[row, length - len(last) :] = last
        if len(words) < length:
            table[row, length - len(words) - 1] = START - FIRST_WORD
    table += FIRST_WORD
    return table
