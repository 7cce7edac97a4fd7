import gzip
import io
import pickle
import tarfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dltool.config.sources import parse_source
from dltool.data.examples import Examples, SourceExamples
from dltool.data.sources import builtin_datasets
from dltool.data.sources.builtin_datasets import ARCHIVES, IDX_FILES, load_keras_dataset
from dltool.errors import DataError, MachineError

SOURCE = ("data", "source")
RANDOM = np.random.default_rng(0)


def load(name: str, **options: Any) -> SourceExamples:
    return load_keras_dataset(parse_source({name: options}), SOURCE)


def message_of(name: str, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        load(name, **options)
    (problem,) = error.value.problems
    assert problem.place == (*SOURCE, name, "path")
    return problem.message


def numbers(part: Examples) -> np.ndarray:
    """Its labels, none of which are text."""
    found = part.targets["target"]
    assert isinstance(found, np.ndarray)
    return found


def publish(monkeypatch: pytest.MonkeyPatch, name: str, path: Path) -> None:
    """Make the file at `path` the one that Keras publishes under `name`."""
    file = replace(ARCHIVES[name], sha256=sha256(path.read_bytes()).hexdigest())
    monkeypatch.setitem(builtin_datasets.ARCHIVES, name, file)


def images(rows: int, *shape: int) -> np.ndarray:
    return RANDOM.integers(0, 256, (rows, *shape), dtype=np.uint8)


def labels(rows: int, classes: int = 10) -> np.ndarray:
    return np.arange(rows) % classes


def write_npz(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "set.npz", **arrays)
    return folder / "set.npz"


def grey_npz(folder: Path, **changes: np.ndarray) -> Path:
    arrays = {"x_train": images(20, 28, 28), "y_train": labels(20), "x_test": images(5, 28, 28), "y_test": labels(5)}
    return write_npz(folder, **(arrays | changes))


def write_idx(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    for key, array in arrays.items():
        header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
        (folder / IDX_FILES[key]).write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


def write_cifar(path: Path, batches: dict[str, dict[bytes, Any]]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, batch in batches.items():
            content = pickle.dumps(batch)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def cifar_batch(pictures: np.ndarray, **label_lists: np.ndarray) -> dict[bytes, Any]:
    flat = pictures.transpose(0, 3, 1, 2).reshape(len(pictures), -1)
    return {b"data": flat} | {name.encode(): list(map(int, values)) for name, values in label_lists.items()}


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_grey_images_from_an_npz_get_a_channel(tmp_path, name):
    examples = load(name, path=str(grey_npz(tmp_path)))
    assert examples.training.inputs["input"].shape == (20, 28, 28, 1)
    assert examples.training.inputs["input"].dtype == np.uint8
    assert len(examples.parts["test"].targets["target"]) == 5
    assert len(examples.class_names) == 10


def test_integers_of_another_width_become_uint8(tmp_path):
    pictures = images(20, 28, 28)
    examples = load("mnist", path=str(grey_npz(tmp_path, x_train=pictures.astype(np.int64))))
    np.testing.assert_array_equal(examples.training.inputs["input"][..., 0], pictures)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": images(20, 28, 28) / 255}, "x_train is float64; pixels are integers from 0 to 255"),
        ({"x_train": np.full((20, 28, 28), 256)}, "x_train is int64; pixels are integers from 0 to 255"),
        ({"y_train": labels(19)}, "x_train has 20 rows, y_train has the shape (19,)"),
        ({"y_test": np.eye(10)[labels(5)]}, "x_test has 5 rows, y_test has the shape (5, 10)"),
        ({"x_train": images(20, 32, 32)}, "examples of mnist have the shape (28, 28, 1), these have (32, 32, 1)"),
    ],
)
def test_an_npz_that_is_not_the_set_is_refused(tmp_path, changes, message):
    assert message_of("mnist", path=str(grey_npz(tmp_path, **changes))) == message


def test_missing_arrays_are_named(tmp_path):
    path = write_npz(tmp_path, x=images(3, 28, 28), y=labels(3))
    assert message_of("mnist", path=str(path)) == f"{path} has no x_train, y_train, x_test, y_test"


def test_a_folder_of_the_official_idx_files(tmp_path):
    arrays = {"x_train": images(20, 28, 28), "y_train": labels(20), "x_test": images(5, 28, 28), "y_test": labels(5)}
    write_idx(tmp_path, arrays)
    examples = load("fashion_mnist", path=str(tmp_path))
    np.testing.assert_array_equal(examples.training.inputs["input"][..., 0], arrays["x_train"])
    np.testing.assert_array_equal(examples.training.targets["target"], arrays["y_train"])
    assert examples.class_names[9] == "Ankle boot"


def test_a_truncated_idx_file_is_damaged(tmp_path):
    write_idx(tmp_path, {key: labels(4) for key in IDX_FILES})
    path = tmp_path / IDX_FILES["x_train"]
    path.write_bytes(path.read_bytes()[:-9])
    assert message_of("fashion_mnist", path=str(tmp_path)).startswith(f"{path} is damaged")


def test_the_cache_of_keras_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "datasets").mkdir()
    publish(monkeypatch, "mnist", grey_npz(tmp_path).rename(tmp_path / "datasets" / "mnist.npz"))
    assert len(load("mnist").training.targets["target"]) == 20


def test_without_cache_and_network_the_machine_is_at_fault(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setitem(builtin_datasets.ARCHIVES, "mnist", replace(ARCHIVES["mnist"], url="file:///absent/mnist.npz"))
    with pytest.raises(MachineError, match="cannot be downloaded") as error:
        load("mnist")
    assert "source: {mnist: {path: mnist.npz}}" in error.value.problems[0].hint


def test_the_published_cifar10_archive(tmp_path, monkeypatch):
    pictures, answers = images(60, 32, 32, 3), labels(60)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    batches = {
        f"cifar-10-batches-py/{name}": cifar_batch(pictures[at : at + 10], labels=answers[at : at + 10])
        for at, name in zip(range(0, 60, 10), names, strict=True)
    }
    path = write_cifar(tmp_path / "cifar-10-python.tar.gz", batches)
    publish(monkeypatch, "cifar10", path)
    examples = load("cifar10", path=str(path))
    np.testing.assert_array_equal(examples.training.inputs["input"], pictures[:50])
    np.testing.assert_array_equal(examples.training.targets["target"], answers[:50])
    np.testing.assert_array_equal(examples.parts["test"].inputs["input"], pictures[50:])


@pytest.mark.parametrize(("label_mode", "classes"), [("fine", 100), ("coarse", 20)])
def test_the_published_cifar100_archive(tmp_path, monkeypatch, label_mode, classes):
    fine, coarse = labels(8, 100), labels(8, 20)[::-1]
    batch = cifar_batch(images(8, 32, 32, 3), fine_labels=fine, coarse_labels=coarse)
    path = write_cifar(tmp_path / "c.tar.gz", {f"cifar-100-python/{name}": batch for name in ("train", "test")})
    publish(monkeypatch, "cifar100", path)
    examples = load("cifar100", path=str(path), label_mode=label_mode)
    np.testing.assert_array_equal(examples.training.targets["target"], fine if label_mode == "fine" else coarse)
    assert len(examples.class_names) == classes


def test_cifar_labels_in_a_column(tmp_path):
    x, y = images(12, 32, 32, 3), labels(12)[:, np.newaxis]
    examples = load("cifar10", path=str(write_npz(tmp_path, x_train=x, y_train=y, x_test=x, y_test=y)))
    assert examples.training.targets["target"].shape == (12,)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def test_an_archive_that_is_not_the_published_one_is_not_unpickled(tmp_path):
    path = write_cifar(tmp_path / "cifar.tar.gz", {"cifar-10-batches-py/data_batch_1": {b"data": Bomb()}})
    assert message_of("cifar10", path=str(path)).startswith("cifar.tar.gz holds pickles and is not the published file")


@pytest.mark.parametrize("name", ["imdb", "reuters", "mnist", "california_housing"])
def test_an_npz_of_pickles_that_is_not_the_published_one_is_not_unpickled(tmp_path, name):
    objects = np.array([Bomb(), Bomb()], dtype=object)
    arrays = dict.fromkeys(("x", "x_train", "x_test"), objects) | {key: labels(2) for key in ("y", "y_train", "y_test")}
    with pytest.raises(DataError, match="pickle"):
        load(name, path=str(write_npz(tmp_path, **arrays)))


def ragged(texts: list[list[int]]) -> np.ndarray:
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array


def test_published_texts_come_in_the_order_of_keras(tmp_path, monkeypatch):
    texts = ragged([[row + 1] * (row + 1) for row in range(9)])
    path = write_npz(tmp_path, x_train=texts, y_train=labels(9, 2), x_test=texts, y_test=labels(9, 2))
    publish(monkeypatch, "imdb", path)
    examples = load("imdb", path=str(path), length=4, num_words=10)
    generator = np.random.RandomState(113)
    for part in (examples.training, examples.parts["test"]):
        assert part is not None
        order = np.arange(9)
        generator.shuffle(order)
        # The last number of text 3 is 4 + 3, and what reaches 10 becomes 2.
        assert part.inputs["input"][:, -1].tolist() == [row + 4 if row + 4 < 10 else 2 for row in order]
        assert numbers(part).tolist() == [row % 2 for row in order]


def test_reuters_is_divided_as_keras_divides_it(tmp_path, monkeypatch):
    path = write_npz(tmp_path, x=ragged([[row + 1, 1] for row in range(10)]), y=labels(10, 46))
    publish(monkeypatch, "reuters", path)
    examples = load("reuters", path=str(path), length=3)
    order = np.arange(10)
    np.random.RandomState(113).shuffle(order)
    assert numbers(examples.training).tolist() == order[:8].tolist()
    assert numbers(examples.parts["test"]).tolist() == order[8:].tolist()
    assert np.asarray(examples.training.inputs["input"]).tolist() == [[1, row + 4, 4] for row in order[:8]]


def test_texts_that_are_padded_already(tmp_path):
    table = np.array([[0, 1, 5, 6], [1, 7, 8, 9]])
    path = write_npz(tmp_path, x_train=table, y_train=labels(2), x_test=table, y_test=labels(2))
    assert np.asarray(load("imdb", path=str(path), length=2).training.inputs["input"]).tolist() == [[5, 6], [8, 9]]


def test_texts_must_be_rows_of_numbers(tmp_path):
    flat = np.arange(4)
    path = write_npz(tmp_path, x_train=flat, y_train=labels(4, 2), x_test=flat, y_test=labels(4, 2))
    assert message_of("imdb", path=str(path)).startswith("x_train has the shape (4,) and dtype int64")


@pytest.mark.parametrize(("version", "sizes"), [("large", (560, 140)), ("small", (480, 120))])
def test_california_housing(tmp_path, version, sizes):
    table = RANDOM.normal(size=(700, 8))
    path = write_npz(tmp_path, x=table, y=np.arange(700.0))
    examples = load("california_housing", path=str(path), version=version)
    assert (len(examples.training.targets["target"]), len(examples.parts["test"].targets["target"])) == sizes
    row = int(examples.training.targets["target"][0])
    np.testing.assert_allclose(examples.training.inputs["input"][0], table[row].astype(np.float32))
    assert max(numbers(examples.training).max(), numbers(examples.parts["test"]).max()) == sum(sizes) - 1
