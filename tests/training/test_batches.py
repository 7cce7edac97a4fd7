"""Examples in memory, or read ahead: the same bits, and errors that surface."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tests.data.pictures import class_folders
from tests.every_column import FILES, INPUTS, write_table

from dltool.config.columns import parse_column_type
from dltool.config.schema import Config
from dltool.data.arrays.rows import Rows, aligned, coded
from dltool.data.dataset import Dataset, load_data
from dltool.data.facts import InputFacts
from dltool.errors import DataError
from dltool.model.build import build_model
from dltool.training import batches, numerics, rewrites
from dltool.training import joined as joined_columns
from dltool.training.batches import Resident, Streamed, make_tables, shared, tensor
from dltool.training.fit import prepare_fit
from dltool.training.joined import joined_vector

TRAINING = {
    "optimizer": "adam",
    "loss": "sparse_categorical_crossentropy",
    "metrics": ["accuracy"],
    "batch_size": 7,
    "epochs": 2,
    "checkpoint": {"every": "1 steps"},
}
DENSE: list[Any] = [{"Dropout": 0.2}, {"Dense": {"units": 3, "activation": "softmax"}}]
SPLIT = {"validation": 0.2, "test": 0.2}
BRANCHES: list[Any] = [
    {"Flatten": {"from": "photo"}},
    {"Dense": {"units": 4, "name": "seen"}},
    {"Dense": {"units": 4, "name": "heard", "from": "sound"}},
    {"Embedding": {"input_dim": 12, "output_dim": 3, "from": "words"}},
    {"GlobalAveragePooling1D": {"name": "read"}},
    {"Concatenate": {"from": ["seen", "heard", "read", "size", "price", "color", "shape"]}},
    *DENSE,
]


def write_table_of_numbers(folder: Path) -> dict[str, Any]:
    inputs = {**INPUTS, "words": "ignore", "tags": "ignore"}
    return {"data": {"source": {"csv": str(write_table(folder))}, "inputs": inputs, "target": "label"}}


def write_table_of_files(folder: Path) -> dict[str, Any]:
    path = write_table(folder, files=True)
    kept = {name: INPUTS[name] for name in ("size", "price", "color", "shape")}
    ignored = dict.fromkeys(("ratio", "weight", "is_new", "made", "about", "tags", "number"), "ignore")
    data = {"source": {"csv": str(path)}, "inputs": {**kept, **FILES, **ignored}, "target": "label"}
    return {"data": data, "model": {"layers": BRANCHES}}


def write_series(folder: Path) -> dict[str, Any]:
    path = write_table(folder, rows=90)
    windows = {"length": 4, "target": "number"}
    inputs = {**{name: kind for name, kind in INPUTS.items() if name != "about"}}
    ignored = dict.fromkeys(("about", "words", "tags", "label"), "ignore")
    data = {"source": {"csv": str(path)}, "inputs": {**inputs, **ignored}, "windows": windows}
    layers = ["Flatten", {"Dense": 1}]
    return {"data": data, "model": {"layers": layers}, "training": {"loss": "mse", "metrics": ["mae"]}}


def write_pictures(folder: Path, cache: str = "4 GB") -> dict[str, Any]:
    for name, content in class_folders(3, 15, top="images/").items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    data = {"source": {"images": {"path": str(folder / "images")}}, "cache": cache}
    return {"data": data, "model": {"layers": ["Flatten", *DENSE]}}


def write_pictures_without_cache(folder: Path) -> dict[str, Any]:
    return write_pictures(folder, "off")


KINDS = [write_table_of_numbers, write_table_of_files, write_series, write_pictures, write_pictures_without_cache]
FEW = (write_series, write_pictures_without_cache)
FEW_KINDS = [each if each in FEW else pytest.param(each, marks=pytest.mark.slow) for each in KINDS]
Experiment = tuple[Config, Dataset]


def made(sections: dict[str, Any]) -> Config:
    data = {"split": SPLIT, **sections["data"]}
    model = sections.get("model", {"layers": DENSE})
    return Config.model_validate(
        {"name": "x", "seed": 3, "data": data, "model": model, "training": {**TRAINING, **sections.get("training", {})}}
    )


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Experiment]:
    monkeypatch.setenv("DLTOOL_CACHE", str(tmp_path / "cache"))

    def load(write: Callable[[Path], dict[str, Any]]) -> Experiment:
        config = made(write(tmp_path))
        dataset = load_data(config.data, config.seed)
        return dataset.in_force(config), dataset

    return load


def stream(monkeypatch: pytest.MonkeyPatch, chunk: int = 400) -> None:
    """As if the machine had no memory to speak of."""
    monkeypatch.setattr(batches, "usable_memory", lambda: 1)
    monkeypatch.setattr(batches, "CHUNK_BYTES", chunk)


def assert_same(left: list[np.ndarray], right: list[np.ndarray]) -> None:
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("write", FEW_KINDS)
def test_rows_that_are_read_ahead_train_to_the_same_bits_at_whatever_pace(load, train, monkeypatch, write) -> None:
    config, dataset = load(write)
    resident = train(config, dataset)
    assert isinstance(make_tables(resident.built, dataset.inputs, {"output": dataset.targets["target"]}), Resident)
    stream(monkeypatch)
    assert isinstance(make_tables(resident.built, dataset.inputs, {"output": dataset.targets["target"]}), Streamed)
    streamed = train(config, dataset, pace=1)
    assert_same(streamed.weights, resident.weights)
    logs = [[record.logs for record in trained.result.history] for trained in (streamed, resident)]
    assert logs[0] == logs[1]
    # From the middle of an epoch, which is not where a chunk begins.
    position = resident.recorder.states[3].state["position"]
    assert (position["epoch"], position["step"]) == (0, 3)
    resumed = train(config, dataset, pace=100, start=resident.recorder.states[3])
    assert_same(resumed.weights, resident.weights)


@pytest.mark.parametrize("chunk", [1, 200, 10**6])
def test_what_is_fed_are_the_rows_of_the_order_whatever_is_read_at_once(
    make_config, dataset, monkeypatch, chunk
) -> None:
    built = build_model(make_config(), dataset.facts)
    stream(monkeypatch, chunk)
    (inputs,), (targets,) = dataset.inputs.values(), dataset.targets.values()
    streamed = make_tables(built, dataset.inputs, {"output": targets})
    orders = [np.random.default_rng(seed).permutation(len(targets)) for seed in (0, 1)]
    for order, first, size in [(0, 0, 10), (0, 10, 10), (0, 110, 10), (1, 110, 10), (1, 0, 16), (0, 5, 3), (0, 0, 200)]:
        rows = orders[order]
        steps = streamed.most_steps(rows, first, size)
        assert steps >= 1
        last = min(len(rows), first + steps * size)
        found, places = streamed.feed(rows, first, last, size)
        np.testing.assert_array_equal(found[0].numpy()[places.numpy()], inputs[rows[first:last]])
        np.testing.assert_array_equal(found[1].numpy()[places.numpy()], targets[rows[first:last]])


def test_the_next_rows_are_read_while_these_are_used(make_config, dataset, monkeypatch) -> None:
    read: list[str] = []

    class Watched(Rows):
        shape, dtype = (118, 4), np.dtype(np.float32)

        def __len__(self) -> int:
            return 118

        def __getitem__(self, rows: Any) -> np.ndarray:
            read.append(threading.current_thread().name)
            return np.zeros((len(rows), 4), np.float32)

    stream(monkeypatch, 200)
    (targets,) = dataset.targets.values()
    streamed = make_tables(build_model(make_config(), dataset.facts), {"input": Watched()}, {"output": targets})
    read.clear()
    order = np.arange(118)
    for first in range(0, 118, 10):
        streamed.feed(order, first, min(118, first + 10), 10)
    assert len([name for name in read if name.startswith("reading ahead")]) == 11
    assert len(read) == 12


def test_a_picture_that_is_damaged_after_the_start_is_named(load, train, monkeypatch, tmp_path) -> None:
    config, dataset = load(write_pictures_without_cache)
    stream(monkeypatch)
    (tmp_path / "images" / "b" / "7.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"b/7\.png"):
        train(config, dataset)


def test_texts_without_preparation_and_without_rows_are_tables_too() -> None:
    assert shared(aligned((0, 3), np.float32)).shape == (0, 3)
    texts = aligned((2,), object)
    texts[:] = ["a", "b"]
    assert shared(texts).numpy().tolist() == [b"a", b"b"]


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.float32, tf.bfloat16.as_numpy_dtype])
def test_a_tensor_in_shared_memory_is_the_array(dtype) -> None:
    for size in (1, 3, 1000):
        array = aligned((size, 3), dtype)
        assert array.ctypes.data % 64 == 0
        array[:] = np.arange(size * 3).reshape(size, 3) % 200
        np.testing.assert_array_equal(shared(array), array)


def test_columns_of_one_dtype_lie_in_one_tensor(load) -> None:
    config, dataset = load(write_table_of_numbers)
    built = build_model(config, dataset.facts, dataset.examples("train").inputs)
    specs = make_tables(built, dataset.inputs, {"output": dataset.targets["target"]}).specs
    # Numbers, booleans and words; category indices; dates, which take more room prepared; the targets.
    assert len(specs) <= 5


def fitting_of(config: Config, dataset: Dataset) -> Any:
    built = build_model(config, dataset.facts, dataset.examples("train").inputs)
    return prepare_fit(built, config, dataset)


def test_the_vector_of_a_table_is_joined_once_and_no_bit_depends_on_it(tmp_path, train, monkeypatch) -> None:
    lines = "".join(f"{i % 7 or ''},{i % 5},j{i % 3},{i % 2 == 0},c{i % 2}\n" for i in range(60))
    (tmp_path / "table.csv").write_text("age,size,job,is_new,label\n" + lines)
    inputs = {"age": {"number": {"indicator": True}}, "size": "number", "job": "category", "is_new": "boolean"}
    config = made({"data": {"source": {"csv": str(tmp_path / "table.csv")}, "inputs": inputs, "target": "label"}})
    dataset = load_data(config.data, config.seed)
    config = dataset.in_force(config)
    monkeypatch.setattr(numerics, "GRAPPLER_SECONDS", 0)
    joined, tables = train(config, dataset), fitting_of(config, dataset).steps.train.tables
    # The vector and the target. The model encodes what the tables of columns have.
    vector, _ = tables.tensors
    columns, rows = tables.layout.columns, np.arange(60)
    inputs, *_ = columns.batch([tensor(each) for each in columns.arrays(rows, columns.groups)], rows)
    encoded = keras.Function(joined.built.core.input, joined_vector(joined.built.core))(inputs)
    np.testing.assert_array_equal(vector, encoded)
    monkeypatch.setattr(joined_columns, "MOST_BYTES", 0)
    assert len(fitting_of(config, dataset).steps.train.tables.tensors) > 2
    apart = train(config, dataset)
    assert_same(joined.weights, apart.weights)
    assert [record.logs for record in joined.result.history] == [record.logs for record in apart.result.history]


def test_columns_that_the_model_learns_to_encode_or_takes_alone_are_not_joined(make_config, dataset) -> None:
    def vector_of(layers: list[Any], **columns: Any) -> Any:
        inputs = {name: InputFacts((), "int32", parse_column_type(column)) for name, column in columns.items()}
        raw = {name: np.arange(4, dtype=np.int32) for name in columns}
        built = build_model(make_config(model={"layers": layers}), replace(dataset.facts, inputs=inputs), raw)
        return joined_vector(built.core)

    assert vector_of(DENSE, a="category", b="category") is not None
    assert vector_of(DENSE, a="category", b={"category": {"embedding": 3}}) is None
    apart: list[Any] = [{"Dense": {"units": 4, "name": name, "from": name[0]}} for name in ("a1", "b1")]
    assert vector_of([*apart, {"Concatenate": {"from": ["a1", "b1"]}}, *DENSE], a="number", b="number") is None


def test_texts_are_looked_up_as_they_would_be_prepared(make_config, dataset, monkeypatch) -> None:
    monkeypatch.setattr(batches, "LOOKUP_BYTES", 0)
    facts = replace(dataset.facts, inputs={"x": InputFacts((), "string", parse_column_type("category"))})
    texts = coded(["a", "b", "a", "c"])
    built = build_model(make_config(), facts, {"x": texts})
    without = make_tables(built, {"x": texts}, {}).feed(np.arange(4), 0, 4, 4)[0][0]
    monkeypatch.setattr(batches, "LOOKUP_BYTES", 10**6)
    found = make_tables(built, {"x": texts}, {}).feed(np.arange(4), 0, 4, 4)[0][0]
    assert found.numpy().tolist() == without.numpy().tolist() == [2, 3, 2, 4]


@pytest.mark.slow
def test_a_smaller_last_batch_learns_in_the_cheaper_way_too_wherever_it_is_read_from(
    make_config, dataset, train, monkeypatch
) -> None:
    monkeypatch.setattr(rewrites, "LEAST_FUSED", 1)
    config = make_config(training={"checkpoint": {"every": "1 steps"}})
    assert len(dataset.split.train) % config.training.batch_size
    resident = train(config, dataset)
    # Then the last batch lies in a table of other rows as well.
    stream(monkeypatch, chunk=10**6)
    streamed = train(config, dataset)
    assert_same(streamed.weights, resident.weights)
    resumed = train(config, dataset, start=streamed.recorder.states[3])
    assert_same(resumed.weights, resident.weights)


def test_arrays_of_two_parts_that_need_no_preparation_are_not_copied_again(tmp_path) -> None:
    generator = np.random.default_rng(0)
    parts = {"train": 200, "test": 50}
    x: Any = {f"x_{part}": generator.integers(0, 256, (rows, 8, 8), np.uint8) for part, rows in parts.items()}
    y: Any = {f"y_{part}": np.arange(rows) % 3 for part, rows in parts.items()}
    np.savez(tmp_path / "data.npz", **x, **y)
    data = {"source": {"arrays": str(tmp_path / "data.npz")}, "preprocessing": [{"Rescaling": {"scale": 1 / 255}}]}
    config = Config.model_validate(
        {"name": "x", "data": data, "model": {"layers": ["Flatten", *DENSE]}, "training": TRAINING}
    )
    dataset = load_data(config.data, config.seed)
    built = build_model(config, dataset.facts, dataset.examples("train").inputs)
    (read,) = dataset.inputs.values()
    resident = make_tables(built, dataset.inputs, {})
    assert isinstance(resident, Resident)
    (table,) = resident.tensors
    np.testing.assert_array_equal(table, np.concatenate(list(x.values()))[..., np.newaxis])
    # Nobody does that; it shows that the memory is the same.
    np.asarray(read)[:] = 0
    assert not table.numpy().any()
