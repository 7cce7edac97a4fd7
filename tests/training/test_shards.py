"""Training rows that are read in shards: the bits of rows in memory in the same order, and what they cannot do."""

import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from tests.data.shard_files import LAYERS, columns, write_shards

from dltool.config.load import in_force
from dltool.config.schema import Config
from dltool.data.dataset import Dataset, load_data
from dltool.data.sources import sharded
from dltool.errors import ConfigError, DataError, MachineError
from dltool.experiment.assessing import assessed
from dltool.model.build import build_model
from dltool.model.columns import learn
from dltool.model.streamed_columns import fitted_to
from dltool.training import batches
from dltool.training.worker_steps import WorkerOrder

IGNORED = {"part": "ignore", "weight": "ignore"}


def made(folder: Path, shuffle: int | None = None, **data: Any) -> Config:
    given = {"source": {"parquet": str(folder)}, "inputs": IGNORED, "target": "label"}
    given |= {"shuffle": {"window": shuffle}} if shuffle else {}
    training = {
        "optimizer": "adam",
        "loss": "sparse_categorical_crossentropy",
        "batch_size": 16,
        "epochs": 2,
        "class_weights": "balanced",
        "checkpoint": {"every": "1 steps"},
    }
    sections = {"data": {**given, **data}, "model": {"layers": LAYERS}, "training": training}
    return Config.model_validate({"name": "x", "seed": 3, **sections})


def loaded(config: Config) -> tuple[Config, Dataset]:
    dataset = load_data(config.data, config.seed)
    return dataset.in_force(config), dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards") / "table")


@pytest.fixture(scope="module")
def others(tmp_path_factory) -> dict[str, Any]:
    """Validation and test rows of their own, as a split by a hash is not that of rows in memory."""
    path = write_shards(tmp_path_factory.mktemp("others") / "table", files=1, seed=70)
    return {name: {"parquet": str(path)} for name in ("validation", "test")}


@pytest.fixture(scope="module")
def in_memory(folder, others) -> tuple[Config, Dataset]:
    return loaded(made(folder, **others))


@pytest.fixture(scope="module")
def in_shards(folder, others) -> tuple[Config, Dataset]:
    return loaded(made(folder, 100, **others))


def test_the_rows_in_shards_are_those_in_memory(in_memory, in_shards) -> None:
    (_, memory), (config, shards) = in_memory, in_shards
    assert shards.stream is not None
    assert config.data.inputs == in_memory[0].data.inputs
    assert shards.facts.sizes == memory.facts.sizes
    train = memory.split.train
    for name, rows in shards.stream.inputs.items():
        np.testing.assert_array_equal(rows[:], memory.inputs[name][train])
        np.testing.assert_array_equal(rows[np.array([130, 2, 2])], memory.inputs[name][train[[130, 2, 2]]])
    np.testing.assert_array_equal(shards.stream.targets["target"][:], memory.targets["target"][train])
    assert shards.stream.class_counts["target"].tolist() == np.bincount(memory.targets["target"][train]).tolist()
    for name in ("validation", "test"):
        ours, theirs = shards.examples(name), memory.examples(name)
        np.testing.assert_array_equal(ours.places["row"], getattr(shards.split, name))
        np.testing.assert_array_equal(ours.targets["target"], theirs.targets["target"])
        np.testing.assert_array_equal(ours.inputs["gaps"][:], theirs.inputs["gaps"][:])
    assert shards.place_of(95) == "file part-1.parquet, row 6"


def test_columns_are_fitted_in_shards_as_in_memory(in_memory, in_shards) -> None:
    fitted = fitted_to(in_shards[1])
    assert fitted is not None
    train = in_memory[1].examples("train").inputs
    for name, found in in_memory[1].facts.inputs.items():
        expected = learn(found.column, train[name])
        assert fitted.columns[name].keys() == expected.keys()
        for key, value in expected.items():
            if isinstance(value, list) and isinstance(value[0], str):
                assert fitted.columns[name][key] == value
            else:
                np.testing.assert_allclose(fitted.columns[name][key], value, rtol=1e-12)


def test_one_window_trains_to_the_bits_of_rows_in_memory_and_resumes_within_an_epoch(
    in_memory, in_shards, train, monkeypatch
) -> None:
    memory = train(*in_memory)
    monkeypatch.setattr(batches, "CHUNK_BYTES", 2000)
    shards = train(*in_shards, pace=100)
    for ours, theirs in zip(shards.weights, memory.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [each.logs for each in shards.result.history] == [each.logs for each in memory.result.history]
    start = shards.recorder.states[3]
    assert start.state["position"]["step"] == 3
    monkeypatch.setattr(batches, "CHUNK_BYTES", 2**20)
    resumed = train(*in_shards, pace=1, start=start)
    for ours, theirs in zip(resumed.weights, memory.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_narrow_windows_feed_the_rows_of_their_order_whatever_is_read_at_once(
    folder, others, in_memory, monkeypatch
) -> None:
    config, dataset = loaded(made(folder, 2, **others))
    stream = dataset.stream
    assert stream is not None
    assert dataset.facts.shuffled == stream.width < len(stream)
    memory = in_memory[1]
    expected = memory.inputs["small"][memory.split.train]
    built = build_model(config, dataset.facts, fitted=fitted_to(dataset))
    only = {"small": stream.inputs["small"]}
    for chunk in (1, 500, 10**6):
        monkeypatch.setattr(batches, "CHUNK_BYTES", chunk)
        tables = batches.Streamed(batches.Layout(replace(built, preprocessors={}), only, {}, None))
        for epoch in (0, 1):
            order, found = stream.order(config.seed, epoch, 16), []
            for first in range(0, len(order), 16):
                tensors, rows = tables.feed(order, first, min(first + 16, len(order)), 16)
                found.append(tensors[0].numpy()[rows.numpy()])
            np.testing.assert_array_equal(np.concatenate(found).ravel(), expected[order[:]])


def test_a_hash_divides_the_rows_the_same_each_time(folder) -> None:
    splits = {"validation": 0.2, "test": 0.1}
    (_, one), (_, other) = (loaded(made(folder, window, split=splits)) for window in (1, 3))
    for name in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(one.split, name), getattr(other.split, name))
    sizes = one.facts.sizes
    assert sum(sizes.values()) == 360
    assert 50 < sizes["validation"] < 95
    assert 18 < sizes["test"] < 60
    _, reseeded = loaded(made(folder, 1, split={**splits, "seed": 9}))
    assert reseeded.split.test.tolist() != one.split.test.tolist()


def test_a_sample_stands_for_the_training_rows_and_knows_every_class(folder, monkeypatch) -> None:
    monkeypatch.setattr(sharded, "SAMPLE", 20)
    _, dataset = loaded(made(folder, 2, split={"test": 0.1}))
    assert dataset.stream is not None
    assert len(dataset.split.train) < 60 < dataset.facts.examples == len(dataset.stream)
    assert dataset.facts.targets["target"].class_names == ("high", "low", "middle")
    places = dataset.examples("train").places
    assert {*places["file"]} <= {f"part-{number}.parquet" for number in range(4)}


@pytest.mark.slow
def test_a_model_is_tested_on_the_rows_of_the_test_split(folder) -> None:
    config, dataset = loaded(made(folder, 2, split={"test": 0.2}))
    test = dataset.examples("test")
    built = build_model(config, dataset.facts, fitted=fitted_to(dataset))
    alone, audited = (assessed(config, dataset, built, test, warn)[0] for warn in (None, lambda _: None))
    assert audited.audit is not None
    assert audited.metrics["loss"].value == pytest.approx(alone.metrics["loss"].value, rel=1e-6)


def test_the_sample_has_the_range_of_a_target_and_few_of_its_values(monkeypatch) -> None:
    monkeypatch.setattr(sharded, "MOST_VALUES", 3)
    seen: set[float] = set()
    values = np.array([5.0, 9.0, 1.0, 7.0, 1.0])
    assert {*sharded.witnesses(values, seen)} == {0, 1, 2, 3}
    assert {*sharded.witnesses(values + 0.5, seen)} == {1, 2}
    assert {*sharded.witnesses(np.arange(5, dtype=np.int32), set())} == {*range(5)}


def test_memory_holds_two_windows_and_not_the_table(tmp_path) -> None:
    write_shards(tmp_path / "t", files=5, rows=20_000, group=1_000)
    _, dataset = loaded(made(tmp_path / "t", 2, split={"test": 0.01}))
    stream = dataset.stream
    assert stream is not None
    whole = sum(rows.dtype.itemsize for rows in stream.inputs.values() if rows.dtype != object) * len(stream)
    tracemalloc.start()
    order = stream.order(1, 0, 500)
    for first in range(0, len(order), 500):
        rows = order[first : first + 500]
        assert len(stream.inputs["small"][rows]) == len(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < whole / 4


def test_a_worker_reads_the_row_groups_of_its_rows_alone(tmp_path, monkeypatch) -> None:
    write_shards(tmp_path / "t", files=5, rows=400, group=20)
    _, dataset = loaded(made(tmp_path / "t", 8, split={"test": 0.05}))
    stream = dataset.stream
    assert stream is not None
    read = stream.shard
    found = []
    for rank in (0, 1):
        numbers: list[int] = []
        monkeypatch.setattr(
            stream, "shard", lambda number, keys, to=numbers: (to.append(number), read(number, keys))[1]
        )
        order = WorkerOrder(stream.order(1, 0, 16), 16, rank, 2)
        for first in range(0, len(order), 8):
            rows = order[first : first + 8]
            assert len(stream.inputs["small"][rows]) == len(rows)
        stream.announce([])
        assert len({*numbers}) == len(numbers) <= 53
        found.append({*numbers})
    assert found[0] | found[1] == {*range(100)}


def damage(folder: Path) -> None:
    content = bytearray((folder / "part-1.parquet").read_bytes())
    content[3000:3400] = bytes(400)
    (folder / "part-1.parquet").write_bytes(content)


def other_rows(folder: Path) -> None:
    write_shards(folder.parent / "new", files=2, seed=50)
    shutil.copy(folder.parent / "new" / "part-1.parquet", folder / "part-1.parquet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "part-1.parquet").unlink(), r"part-1\.parquet, row group 1 of 3: it has changed"),
        (other_rows, r"part-1\.parquet, row group 1 of 3: it has changed since it was first read, or is gone"),
    ],
)
def test_a_shard_that_is_gone_or_changes_in_training_is_named(tmp_path, change, message, train) -> None:
    folder = write_shards(tmp_path / "t")
    config, dataset = loaded(made(folder, 1, split={"test": 0.1}))
    change(folder)
    with pytest.raises(DataError, match=message):
        train(config, dataset)


def test_a_damaged_row_group_is_named(tmp_path) -> None:
    folder = write_shards(tmp_path / "t")
    _, dataset = loaded(made(folder, 1, split={"test": 0.1}))
    assert dataset.stream is not None
    damage(folder)
    for shard in dataset.stream.table.shards:
        shard.known = shard.file.identity()
    with pytest.raises(DataError, match=r"part-1\.parquet, row group \d of 3 is damaged"):
        dataset.stream.inputs["small"][np.arange(len(dataset.stream))]


def test_a_row_without_a_target_is_named_by_its_file(tmp_path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    folder = write_shards(tmp_path / "t")
    table = pa.table(columns(90, 1))
    labels = table["label"].to_pylist()
    labels[57] = None
    table = table.set_column(table.schema.get_field_index("label"), "label", pa.array(labels))
    parquet.write_table(table, folder / "part-1.parquet", row_group_size=40)
    with pytest.raises(DataError, match=r'the target "label" is missing in 1 row: part-1\.parquet, row 58'):
        loaded(made(folder, 1, split={"test": 0.1}))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"split": {"group": "word"}}, "split.group needs all rows at once"),
        ({"split": {"order": "day"}}, "order needs all rows at once"),
        ({"split": {"validation": 0.1, "stratify": True}}, "stratify needs all rows at once"),
        ({"split": {"use": 0.5}}, "use needs all rows at once"),
        ({"split": {"column": "part"}}, "column needs all rows at once"),
        ({"weights": "weight", "inputs": {}}, "weights needs all rows at once"),
        ({"target": {"small": {"number": {"scale": "log"}}}}, "scale of a target needs all rows at once"),
        ({"split": {"folds": 3}}, "folds needs all rows at once"),
        ({"source": {"csv": "t.csv"}}, "csv cannot be read in shards"),
        ({"inputs": {"word": "text"}}, '"word" has the type text, which is not read in shards'),
        ({"inputs": {"small": {"number": {"pieces": 4}}}}, "pieces needs all rows at once"),
        ({"inputs": {"word": {"category": {"unknown": "error"}}}}, "unknown needs all rows at once"),
        ({"inputs": {"gaps": {"number": {"scale": "robust", "missing": "mean"}}}}, "scale: robust in shards needs"),
        ({"target": {"label": {"category": {"missing": "drop"}}}}, "missing of a target needs all rows at once"),
    ],
)
def test_what_shards_cannot_do_is_refused(folder, data, message) -> None:
    with pytest.raises(ValidationError) as refused:
        made(folder, 2, **data)
    assert message in str(refused.value.errors()[0]["ctx"]["problems"])


def test_the_config_in_force_is_not_stratified_and_can_be_read_again(folder) -> None:
    config = in_force(made(folder, 2), {"classes": 3, "target_shape": [], "validation_examples": 1})
    assert config.data.split.stratify is False
    assert made(folder, 2, split=config.data.split.model_dump()).data.split.stratify is False


def test_windows_wider_than_memory_are_refused(folder, monkeypatch) -> None:
    monkeypatch.setattr("dltool.data.stream.usable_memory", lambda: 10_000)
    with pytest.raises(MachineError, match="two windows of 9 shards, 301 rows each, take"):
        loaded(made(folder, 9, split={"test": 0.1}))


def test_a_split_without_rows_is_refused(folder) -> None:
    with pytest.raises((DataError, ConfigError), match=r"no (row|example)"):
        loaded(made(folder, 2, split={"test": 0.00001}))
