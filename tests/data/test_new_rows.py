from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dltool.config.sources import parse_source
from dltool.config.tasks import TargetFacts
from dltool.data.facts import Facts, InputFacts
from dltool.data.new_data import load_rows, plain_cell, records_of, source_of_file
from dltool.errors import DataError

CLASSES = {"target": TargetFacts("category", class_names=("a", "b"))}


def facts(**inputs: InputFacts) -> Facts:
    return Facts(inputs=inputs, targets=CLASSES, examples=2, validation_examples=0, test_examples=0)


def source(name: str) -> Any:
    return SimpleNamespace(source=SimpleNamespace(name=name))


@pytest.mark.parametrize(
    "rows", [["good film", " bad "], np.array(["good film", "bad"]), pd.Series(["good film", "bad"])]
)
def test_texts_are_examples_without_the_blanks_around_them(rows) -> None:
    found = load_rows(source("text"), facts(text=InputFacts((), "string")), rows)
    assert found.examples.inputs["text"][np.array([0, 1])].tolist() == ["good film", "bad"]
    assert found.examples.places["row"].tolist() == [1, 2]


@pytest.mark.parametrize("rows", [[], ["good", "  "]])
def test_no_text_and_blank_ones_are_refused(rows) -> None:
    with pytest.raises(DataError, match=r"no text|blank"):
        load_rows(source("text"), facts(text=InputFacts((), "string")), rows)


def test_pictures_may_come_without_their_channel_and_in_any_whole_numbers() -> None:
    model = facts(input=InputFacts((4, 3, 1), "uint8"))
    for pictures in (np.ones((2, 4, 3), np.uint8), np.ones((2, 4, 3, 1), np.int64), [[[1] * 3] * 4] * 2):
        found = load_rows(source("arrays"), model, pictures).examples.inputs["input"]
        assert (found.shape, found.dtype) == ((2, 4, 3, 1), np.uint8)
    with pytest.raises(DataError, match=r"the model takes uint8 of shape \(4, 3, 1\)"):
        load_rows(source("arrays"), model, np.ones((2, 5, 3), np.uint8))


def test_several_inputs_are_arrays_by_name() -> None:
    model = facts(left=InputFacts((2,), "float32"), right=InputFacts((3,), "float32"))
    found = load_rows(source("arrays"), model, {"left": np.ones((4, 2)), "right": np.zeros((4, 3))})
    assert {name: rows.shape for name, rows in found.examples.inputs.items()} == {"left": (4, 2), "right": (4, 3)}
    for rows, message in (
        ({"left": np.ones((4, 2))}, "right is not given"),
        ({"left": np.ones((4, 2)), "right": np.ones((5, 3))}, "right has 5 rows"),
        (np.ones((4, 2)), "takes several arrays"),
    ):
        with pytest.raises(DataError, match=message):
            load_rows(source("arrays"), model, rows)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(1.5), 1.5), (np.int64(3), 3), (3.0, 3), (np.bool_(True), True), (float("nan"), None), (None, None),
        (pd.NaT, None), (pd.NA, None), ("?", None), (" ? ", None), ("a", "a"), (date(2024, 2, 29), "2024-02-29"),
        (pd.Timestamp("2024-02-29 12:00"), "2024-02-29T12:00:00"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_a_cell_becomes_what_a_file_would_say(value, plain) -> None:
    found = plain_cell(value, frozenset("?"))
    assert (found, type(found)) == (plain, type(plain))


def test_rows_of_a_table_have_names() -> None:
    assert records_of(pd.DataFrame({"x": [1, 2]})) == [{"x": 1}, {"x": 2}]
    with pytest.raises(DataError, match="whose values have names"):
        records_of(np.ones((2, 2)))


@pytest.mark.parametrize(
    ("source", "path", "expected"),
    [
        ({"csv": {"path": "a.csv", "delimiter": ";"}}, "b.dat", {"csv": {"path": "b.dat", "delimiter": ";"}}),
        ({"tsv": {"path": "a.tsv"}}, "b.csv", {"tsv": {"path": "b.csv"}}),
        ({"csv": {"path": "a.csv", "delimiter": ";"}}, "b.parquet", {"parquet": {"path": "b.parquet"}}),
        ({"json_lines": {"path": "a.jsonl"}}, "b.txt", {"json_lines": {"path": "b.txt"}}),
        ({"excel": {"path": "a.xlsx", "sheet": "S"}}, "b.xlsm", {"excel": {"path": "b.xlsm", "sheet": "S"}}),
        ({"excel": {"path": "a.xlsx", "sheet": "S"}}, "b.csv.gz", {"csv": {"path": "b.csv.gz"}}),
        (
            {"sql": {"url": "sqlite:///a", "query": "SELECT 1 ORDER BY 1"}},
            "b.jsonl",
            {"json_lines": {"path": "b.jsonl"}},
        ),
        ({"sql": {"url": "sqlite:///a", "query": "SELECT 1 ORDER BY 1"}}, "rows", {"csv": {"path": "rows"}}),
        ({"images": {"path": "a"}}, "b.csv", {"images": {"path": "b.csv"}}),
    ],
)
def test_new_data_are_read_like_the_source_or_by_their_name_if_they_are_a_table_of_another_kind(
    source, path, expected
) -> None:
    assert source_of_file(parse_source(source), path) == parse_source(expected)
