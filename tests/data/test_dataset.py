from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dltool.config.schema import Data
from dltool.config.tasks import TargetFacts
from dltool.data.arrays.rows import Rows
from dltool.data.dataset import Dataset, load_data
from dltool.errors import ConfigError, DataError


def load(data: Any, seed: int = 1, most_rows: int | None = None) -> Dataset:
    return load_data(Data.model_validate(data), seed, most_rows)


def values(rows: Rows) -> np.ndarray:
    return rows[: len(rows)]


def sizes(dataset: Dataset) -> tuple[int, int, int]:
    return len(dataset.split.train), len(dataset.split.validation), len(dataset.split.test)


def npz(folder: Path, name: str = "data.npz", **arrays: Any) -> dict[str, Any]:
    np.savez(folder / name, **arrays)
    return {"arrays": {"path": str(folder / name)}}


def numbered(rows: int, start: int = 0) -> np.ndarray:
    """Inputs that tell the row they came from."""
    return np.arange(start, start + rows, dtype=np.float32)[:, np.newaxis]


@pytest.fixture
def three_parts(tmp_path: Path) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for part, rows, start in (("train", 20, 0), ("validation", 6, 100), ("test", 4, 200)):
        arrays |= {f"x_{part}": numbered(rows, start), f"y_{part}": np.arange(rows) % 2}
    return npz(tmp_path, **arrays)


def test_digits_are_small_grey_images():
    dataset = load({"source": "digits"})
    assert dataset.inputs["input"].shape == (1797, 8, 8, 1)
    assert dataset.inputs["input"].dtype == np.uint8
    assert values(dataset.inputs["input"]).max() == 16
    assert dataset.targets["target"].dtype == np.int32


def test_diabetes_is_in_raw_units():
    dataset = load({"source": "diabetes"})
    assert dataset.inputs["input"][0, 0] == 59  # years
    assert dataset.targets["target"].dtype == np.float32


def test_a_part_holds_its_rows():
    dataset = load({"source": "iris", "split": {"validation": 0.2, "test": 0.2}})
    found = dataset.examples("validation")
    np.testing.assert_array_equal(found.inputs["input"], dataset.inputs["input"][dataset.split.validation])
    assert np.bincount(found.targets["target"]).tolist() == [10, 10, 10]


def test_parts_of_the_source_are_used(three_parts):
    dataset = load({"source": three_parts})
    assert sizes(dataset) == (20, 6, 4)
    assert values(dataset.examples("validation").inputs["input"]).ravel().tolist() == list(range(100, 106))
    assert values(dataset.examples("test").inputs["input"]).ravel().tolist() == list(range(200, 204))


def test_a_row_is_named_by_what_its_part_was_read_from(three_parts):
    dataset = load({"source": three_parts})
    assert dataset.place_of(0) == "row 0 of x_train"
    assert dataset.place_of(int(dataset.split.test[0])) == "row 0 of x_test"
    assert load({"source": "digits"}).place_of(1_234) == "row 1,234"


def test_fractions_take_the_place_of_parts_of_the_source(three_parts):
    dataset = load({"source": three_parts, "split": {"validation": 0.2, "test": 0.1}})
    assert sizes(dataset) == (14, 4, 2)
    assert values(dataset.inputs["input"]).max() == 19


def test_a_test_fraction_leaves_the_validation_part_alone(three_parts):
    dataset = load({"source": three_parts, "split": {"test": 0.1}})
    assert sizes(dataset) == (18, 6, 2)
    assert values(dataset.examples("validation").inputs["input"]).min() == 100
    assert values(dataset.examples("test").inputs["input"]).max() < 20


def test_other_sources_take_the_place_of_parts_of_the_source(tmp_path, three_parts):
    other = npz(tmp_path, "other.npz", x=numbered(3, 500), y=[0, 1, 1])
    dataset = load({"source": three_parts, "test": other})
    assert sizes(dataset) == (20, 6, 3)
    assert values(dataset.examples("test").inputs["input"]).min() == 500


def test_of_another_source_with_a_test_part_that_part_is_the_test(tmp_path, three_parts):
    plain = npz(tmp_path, "plain.npz", x=numbered(8), y=np.arange(8) % 2)
    dataset = load({"source": plain, "test": three_parts, "validation": three_parts})
    assert values(dataset.examples("test").inputs["input"]).min() == 200
    assert values(dataset.examples("validation").inputs["input"]).min() == 100


@settings(max_examples=25, deadline=None)
@given(st.floats(0.02, 0.4), st.floats(0.02, 0.4), st.integers(0, 2**32 - 1), st.none() | st.booleans())
def test_every_row_is_in_exactly_one_part(validation, test, seed, stratify):
    split = {"validation": validation, "test": test, "stratify": stratify}
    dataset = load({"source": "iris", "split": split}, seed)
    rows = np.concatenate([dataset.split.train, dataset.split.validation, dataset.split.test])
    assert sorted(rows) == list(range(150))
    assert sizes(dataset)[1:] == (round(validation * 150), round(test * 150))


def test_the_seed_of_the_split_overrules_that_of_the_config():
    first, second = (load({"source": "iris", "split": {"validation": 0.2, "seed": 7}}, seed) for seed in (1, 2))
    np.testing.assert_array_equal(first.split.validation, second.split.validation)
    third = load({"source": "iris", "split": {"validation": 0.2}}, 2)
    assert not np.array_equal(third.split.validation, second.split.validation)


def test_text_labels_become_class_names(tmp_path):
    source = npz(tmp_path, x=numbered(6), y=np.array(["cat", "ant", "cat", "bee", "ant", "bee"]))
    dataset = load({"source": source})
    assert dataset.facts.targets["target"].class_names == ("ant", "bee", "cat")
    assert dataset.targets["target"].tolist() == [2, 0, 2, 1, 0, 1]


def test_a_class_with_one_example_cannot_be_stratified(tmp_path):
    source = npz(tmp_path, x=numbered(5), y=np.array(["a", "a", "b", "a", "a"]))
    with pytest.raises(DataError) as error:
        load({"source": source, "split": {"validation": 0.2}})
    (problem,) = error.value.problems
    assert problem.message == 'the class "b" has one example only and cannot be stratified'
    assert "stratify: false" in problem.hint
    assert sizes(load({"source": source, "split": {"validation": 0.2, "stratify": False}})) == (4, 1, 0)
    assert sizes(load({"source": source})) == (5, 0, 0)


def test_numbers_cannot_be_stratified():
    with pytest.raises(ConfigError, match="only classes can be stratified"):
        load({"source": "diabetes", "split": {"validation": 0.1, "stratify": True}})


@pytest.mark.parametrize("most_rows", [None, 5])
def test_masks_have_a_class_for_each_pixel(tmp_path, most_rows):
    masks = np.arange(20 * 16).reshape(20, 4, 4) % 3
    source = npz(tmp_path, x=np.zeros((20, 4, 4, 3), np.uint8), y=masks)
    dataset = load({"source": source, "target": "category", "split": {"validation": 0.2}}, most_rows=most_rows)
    assert dataset.facts.targets == {"target": TargetFacts("category", (4, 4), ("0", "1", "2"))}
    assert dataset.targets["target"].dtype == np.int32
    with pytest.raises(ConfigError, match="only classes can be stratified"):
        load({"source": source, "target": "category", "split": {"validation": 0.2, "stratify": True}})


def test_labels_beyond_32_bits_are_classes(tmp_path):
    source = npz(tmp_path, x=numbered(4), y=np.array([76561198000000001, 76561198000000002] * 2))
    names = load({"source": source}).facts.targets["target"].class_names
    assert names == ("76561198000000001", "76561198000000002")


def test_a_test_source_of_another_shape_is_refused(tmp_path):
    source = npz(tmp_path, x=np.zeros((6, 3)), y=np.arange(6) % 2)
    other = npz(tmp_path, "other.npz", x=np.zeros((2, 4)), y=[0, 1])
    with pytest.raises(DataError) as error:
        load({"source": source, "test": other})
    (problem,) = error.value.problems
    assert problem.place == ("data", "test", "arrays", "path")
    assert problem.message == "the examples of x are floats of shape (4,), those of x floats of shape (3,)"


def test_a_test_part_of_another_kind_is_refused(tmp_path):
    rows = np.arange(6) % 2
    source = npz(tmp_path, x_train=np.zeros((6, 3)), y_train=rows, x_test=np.zeros((6, 3), np.uint8), y_test=rows)
    with pytest.raises(DataError, match="the examples of x_test are integers of shape"):
        load({"source": source})


def test_a_test_label_that_training_lacks_is_refused(tmp_path):
    source = npz(tmp_path, x_train=numbered(6), y_train=np.arange(6) % 3, x_test=numbered(2), y_test=[0, 7])
    with pytest.raises(DataError, match='x_test has labels that are none of the 3 classes: "7"'):
        load({"source": source})


def test_examples_in_training_and_test_give_a_warning(tmp_path):
    source = npz(tmp_path, x_train=numbered(6), y_train=np.arange(6) % 3, x_test=numbered(2, 5), y_test=[0, 1])
    assert load({"source": source}).warnings == (
        "1 of 2 test examples are also training examples: row 0 of x_test is row 5 of x_train",
    )


@pytest.mark.parametrize("split", [{}, {"validation": 0.1, "test": 0.2}])
def test_smoke_keeps_a_few_rows_of_every_class(split):
    whole = load({"source": "digits", "split": split})
    few = load({"source": "digits", "split": split}, most_rows=64)
    assert sizes(few) == tuple(min(rows, most) for rows, most in zip(sizes(whole), (64, 64, 64), strict=True))
    assert len(few.targets["target"]) == sum(sizes(few))
    assert few.facts.examples == len(few.split.train)
    for part in ("train", "validation", "test"):
        found = few.examples(part)
        assert len(set(found.targets["target"])) in (0, 10)
        members = {row.tobytes() for row in values(whole.examples(part).inputs["input"])}
        assert all(row.tobytes() in members for row in values(found.inputs["input"]))


def test_smoke_is_deterministic():
    data = {"source": "digits", "split": {"validation": 0.1}}
    assert load(data, most_rows=64).fingerprint == load(data, most_rows=64).fingerprint


def test_the_fingerprint_is_of_the_data_and_not_of_the_split():
    first, second = (load({"source": "iris", "split": {"validation": 0.2}}, seed) for seed in (1, 2))
    assert first.fingerprint == second.fingerprint != load({"source": "wine"}).fingerprint
    assert first.fingerprint.startswith("sha256:")


def named_arrays(tmp_path: Path, rows: int = 40) -> dict[str, Any]:
    kinds = np.arange(rows) % 2
    arrays = {"a": numbered(rows), "b": numbered(rows), "c": numbered(rows)[:, 0], "d": kinds, "e": np.arange(rows) % 4}
    names = {"x": {"left": "a", "right": "b"}, "y": {"size": "c", "kind": "d", "quarter": "e"}}
    return {"arrays": {**npz(tmp_path, "named.npz", **arrays)["arrays"], **names}}


def test_several_targets_are_each_read_as_they_seem_or_as_the_config_says(tmp_path):
    source = named_arrays(tmp_path)
    facts = load({"source": source}).facts
    assert {name: target.kind for name, target in facts.targets.items()} == {
        "size": "number",
        "kind": "category",
        "quarter": "category",
    }
    told = load({"source": source, "target": {"quarter": "number"}}).facts
    assert told.targets["quarter"] == TargetFacts("number")
    assert facts.names()["classes_quarter"] == 4
    assert "classes" not in facts.names()
    assert told.names()["classes"] == told.names()["classes_kind"] == 2


def test_the_first_target_with_classes_is_stratified(tmp_path):
    dataset = load({"source": named_arrays(tmp_path), "split": {"validation": 0.5}})
    for rows in (dataset.split.train, dataset.split.validation):
        assert np.bincount(dataset.targets["kind"][rows]).tolist() == [10, 10]
    few = load({"source": named_arrays(tmp_path), "split": {"validation": 0.5}}, most_rows=6)
    assert sizes(few) == (6, 6, 0)
    assert {len(values) for values in few.targets.values()} == {12}


def test_the_fingerprint_holds_every_target(tmp_path):
    source = named_arrays(tmp_path)
    first = load({"source": source}).fingerprint
    assert load({"source": source}).fingerprint == first
    arrays = dict(np.load(tmp_path / "named.npz"))
    np.savez(tmp_path / "named.npz", **{**arrays, "e": arrays["e"][::-1]})
    assert load({"source": source}).fingerprint != first


def test_another_part_has_the_names_of_the_source(tmp_path):
    source = named_arrays(tmp_path)
    other = {"arrays": {"path": source["arrays"]["path"]}}
    assert sizes(load({"source": source, "test": other})) == (40, 0, 40)


def test_the_input_as_the_target_needs_no_labels(tmp_path):
    dataset = load({"source": npz(tmp_path, x=numbered(6)), "target": "input", "split": {"validation": 0.5}})
    assert dataset.targets == dataset.facts.targets == {}
    assert sizes(dataset) == (3, 3, 0)
    assert sizes(load({"source": "digits", "target": "input"}, most_rows=7)) == (7, 0, 0)
    with pytest.raises(ConfigError, match="only classes can be stratified; the target is the input"):
        load({"source": "digits", "target": "input", "split": {"validation": 0.5, "stratify": True}})


def test_columns_of_a_table_as_targets(tmp_path):
    lines = [f"{row % 7},{'ab'[row % 2]},{row / 2},{'xyz'[row % 3]}" for row in range(30)]
    (tmp_path / "a.csv").write_text("\n".join(["n,kind,size,word", *lines]))
    data = {"source": {"csv": str(tmp_path / "a.csv")}, "target": {"kind": "category", "size": "number"}}
    dataset = load({**data, "split": {"validation": 0.2}})
    assert list(dataset.inputs) == ["n", "word"]
    assert dataset.targets["kind"].tolist() == [row % 2 for row in range(30)]
    assert dataset.targets["size"].tolist() == [row / 2 for row in range(30)]
    assert dataset.inferred["target"] == Data.model_validate(data).target
    lines[3] = "3,,,x"
    (tmp_path / "a.csv").write_text("\n".join(["n,kind,size,word", *lines]))
    with pytest.raises(DataError) as error:
        load(data)
    assert [problem.message for problem in error.value.problems] == [
        'the target "kind" is missing in 1 row: a.csv, line 5',
        'the target "size" is missing in 1 row: a.csv, line 5',
    ]


def test_a_column_of_class_indices_keeps_its_integers(tmp_path):
    (tmp_path / "a.csv").write_text("\n".join(["n,token", *(f"{n},{n % 3 * 5}" for n in range(30))]))
    data = {"source": {"csv": str(tmp_path / "a.csv")}, "target": {"token": {"index": 20}}, "split": {"test": 0.2}}
    dataset = load(data)
    assert dataset.targets["target"].tolist() == [n % 3 * 5 for n in range(30)]
    assert dataset.facts.targets["target"].class_names == tuple(map(str, range(20)))
    with pytest.raises(DataError, match="expected integers from 0 to 9, got 10 in 10 labels"):
        load({**data, "target": {"token": {"index": 10}}})


def test_the_rows_of_a_table_without_some_targets_are_those_of_its_splits(tmp_path):
    lines = ["x,y", *(f"{row},{'' if row % 3 == 0 else row % 2}" for row in range(30))]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    target = {"y": {"category": {"missing": "drop"}}}
    dataset = load({"source": {"csv": str(tmp_path / "table.csv")}, "target": target, "split": {"test": 0.3}})
    assert sum(sizes(dataset)) == 20
    for name in ("train", "validation", "test"):
        examples = dataset.examples(name)
        np.testing.assert_array_equal(examples.places["row"], getattr(dataset.split, name))
        np.testing.assert_array_equal(examples.places["file row"] - 1, values(examples.inputs["x"]))
