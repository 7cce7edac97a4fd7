"""Weights of examples, from a column or an array."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from dltool.config.pydantic_errors import value_problems
from dltool.config.schema import Data
from dltool.data.dataset import load_data
from dltool.data.summary import column_rows
from dltool.errors import DataError


@pytest.fixture
def rows(tmp_path: Path) -> list[str]:
    """40 rows whose weight is their number."""
    return ["x,y,w", *(f"{row}.5,{'ab'[row % 2]},{row}" for row in range(40))]


def load(data: dict[str, Any]) -> Any:
    return load_data(Data.model_validate({"split": {"validation": 0.25, "test": 0.25}, **data}), seed=1)


def table(folder: Path, rows: list[str], name: str = "data.csv") -> dict[str, Any]:
    (folder / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return {"csv": str(folder / name)}


def test_a_column_of_weights_stays_with_its_rows_and_is_no_input(tmp_path, rows):
    data = {"source": table(tmp_path, rows), "target": "y", "weights": "w"}
    dataset = load(data)
    assert list(dataset.inputs) == ["x"]
    for name in ("train", "validation", "test"):
        found = dataset.examples(name)
        assert found.weights.dtype == np.float32
        np.testing.assert_array_equal(found.weights, found.inputs["x"][:] - 0.5)
    again = load(data | dict(dataset.inferred))
    assert again.fingerprint == dataset.fingerprint
    rows[3] = rows[3].replace(",2", ",3")
    table(tmp_path, rows)
    assert load(data).fingerprint != dataset.fingerprint


def test_the_table_of_columns_says_what_the_weights_are(tmp_path, rows):
    dataset = load({"source": table(tmp_path, rows), "target": "y", "weights": "w"})
    data = Data.model_validate({"source": table(tmp_path, rows), "target": "y", "weights": "w"})
    config = type("Named", (), {"data": data})
    assert [(row.name, row.use) for row in column_rows(config, dataset)] == [  # type: ignore[arg-type]
        *(("x", "input"), ("y", "target"), ("w", "weights"))
    ]


def test_other_sources_of_the_same_data_have_their_own_weights(tmp_path, rows):
    source, test = table(tmp_path, rows[:31]), table(tmp_path, [rows[0], *rows[31:]], "test.csv")
    split = {"validation": 0.2}
    dataset = load({"source": source, "test": test, "target": "y", "weights": "w", "split": split})
    assert dataset.examples("test").weights.tolist() == list(range(30, 40))


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("", "1 weight is missing, 1 row: data.csv, line 7"),
        ("-0.5", "1 weight is negative, 1 row: data.csv, line 7"),
    ],
)
def test_a_wrong_weight_is_named_with_its_row(tmp_path, rows, cell, problem):
    rows[6] = f"5.5,a,{cell}"
    with pytest.raises(DataError) as refused:
        load({"source": table(tmp_path, rows), "target": "y", "weights": "w"})
    (found,) = refused.value.problems
    assert found.place == ("data", "weights")
    assert (found.message, found.hint) == (f'"w": {problem}', "a weight is a number of at least 0, and not all are 0")


def test_words_and_absent_columns_are_no_weights(tmp_path, rows):
    with pytest.raises(DataError, match="heavy"):
        load({"source": table(tmp_path, [*rows, "1,a,heavy"]), "target": "y", "weights": "w"})
    with pytest.raises(DataError) as refused:
        load({"source": table(tmp_path, rows), "target": "y", "weights": "v"})
    assert refused.value.problems[0].place == ("data", "weights")


def arrays(folder: Path, **changed: Any) -> dict[str, Any]:
    numbers = np.arange(40)
    np.savez(folder / "data.npz", **{"x": numbers[:, None] + 0.5, "y": numbers % 2, "w": numbers, **changed})
    return {"arrays": str(folder / "data.npz")}


def test_an_array_of_weights_stays_with_its_rows(tmp_path):
    found = load({"source": arrays(tmp_path), "weights": "w"}).examples("test")
    np.testing.assert_array_equal(found.weights, found.inputs["input"][:][:, 0] - 0.5)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.arange(40) - 3, "w: 3 weights are negative, row 0, counted from 0"),
        (np.where(np.arange(40) == 7, np.nan, 1), "1 row of w hold NaN, infinity or a number too large for float32"),
        (np.zeros(40), "w: every weight is 0"),
        (np.ones((40, 2)), "w has the dtype float32 and the shape (40, 2)"),
        (np.array(["1"] * 40), "w has the dtype <U1 and the shape (40,)"),
        (np.ones(39), "x has 40 rows, w has 39"),
    ],
)
def test_wrong_arrays_are_no_weights(tmp_path, weights, message):
    with pytest.raises(DataError) as refused:
        load({"source": arrays(tmp_path, w=weights), "weights": "w"})
    (problem,) = refused.value.problems
    assert (problem.place, problem.message) == (("data", "weights"), message)


def test_an_array_of_weights_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="has x but no v"):
        load({"source": arrays(tmp_path), "weights": "v"})


WINDOWS = {"windows": {"length": 3, "target": "y"}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"source": "digits"}, "digits has no weights of examples"),
        ({"source": {"images": "photos"}}, "images has no weights of examples"),
        ({"source": {"arrays": {"x": "x.npy", "y": "y.npy"}}}, "arrays has no weights of examples"),
        ({"source": {"csv": "a.csv"}, "target": "w"}, '"w" is the target already'),
        ({"source": {"csv": "a.csv"}, "target": "y", "inputs": {"w": "number"}}, '"w" is an input already'),
        ({"source": {"csv": "a.csv"}, **WINDOWS}, "windows have several rows, and weights are those of one"),
        ({"source": {"arrays": {"path": "a.npz", "x": {"a": "w"}}}}, '"w" is an input already'),
        ({"source": {"arrays": {"path": "a.npz", "y": {"a": "w"}}}}, '"w" is the target already'),
    ],
)
def test_what_has_no_weights_is_refused(data, message):
    with pytest.raises(ValidationError) as refused:
        Data.model_validate({**data, "weights": "w"})
    (details,) = refused.value.errors()
    (problem,) = value_problems(details, ("data", *details["loc"]), None)
    assert (problem.place, problem.message) == (("data", "weights"), message)
