"""The columns that separate, order and scale time series, in training data and in new rows, against pandas."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dltool.config.schema import Data, SplitOptions
from dltool.data.dataset import Dataset, load_data
from dltool.data.new_data import load_new
from dltool.errors import DataError

LENGTH = 3
SPLITS = ("train", "validation", "test")


def data_of(folder: Path, table: pd.DataFrame, inputs: dict[str, Any] | None = None, **windows: Any) -> Data:
    table.to_csv(folder / "data.csv", index=False)
    given = {"length": LENGTH, "target": "y", **windows}
    split = {"validation": 0.2, "test": 0.2}
    source = {"csv": str(folder / "data.csv")}
    return Data.model_validate({"source": source, "windows": given, "split": split, "inputs": inputs})


def sales(first: int = 1) -> pd.DataFrame:
    """Two shops × two items × 30 days, in no order."""
    days = pd.date_range("2024-01-01", periods=30)
    rows = [(shop, first + item, day) for shop in (10**8, 10**8 + 1) for item in (0, 1) for day in days]
    table = pd.DataFrame(rows, columns=["shop", "item", "day"])
    table["y"] = np.arange(len(table)) % 97 + 0.5
    return table.sample(frac=1, random_state=0).reset_index(drop=True)


def windows_in(dataset: Dataset) -> list[tuple[float, ...]]:
    values = np.column_stack([dataset.inputs["y"][:], dataset.targets["target"]])
    return sorted(map(tuple, values.tolist()))


@pytest.mark.parametrize("as_inputs", [{}, {"shop": "number", "item": "number"}])
def test_several_columns_separate_series_as_one_of_their_pairs_does(tmp_path, as_inputs) -> None:
    table = sales(2**24)
    data = data_of(tmp_path, table, as_inputs, key=["shop", "item"], order="day")
    found = load_data(data, 1)
    by_pair = table.sort_values("day").groupby(["shop", "item"])["y"]
    expected = [
        tuple(series[first : first + LENGTH + 1])
        for series in (each.tolist() for _, each in by_pair)
        for part in (range(18), range(18, 24), range(24, 30))
        for first in part[: len(part) - LENGTH]
    ]
    assert windows_in(found) == sorted(expected)
    in_force = data.model_copy(update=dict(found.inferred))
    new = load_new(in_force, found.facts, [str(tmp_path / "data.csv")]).examples
    assert new.inputs["y"].dtype == np.float32
    assert sorted(map(tuple, new.inputs["y"][:].tolist())) == sorted(
        tuple(series[first : first + LENGTH])
        for series in (each.tolist() for _, each in by_pair)
        for first in range(30 - LENGTH + 1)
    )


@pytest.mark.parametrize("name", ["t", "time"])
@pytest.mark.parametrize("first", [0, 1_600_000_000, 2**53 - 60])
def test_integers_that_order_the_rows_are_exact_also_as_inputs(tmp_path, name, first) -> None:
    moments = first + np.arange(40)
    table = pd.DataFrame({name: moments, "y": np.arange(40) / 2})[::-1].sample(frac=1, random_state=1)
    data = data_of(tmp_path, table, {name: "number"}, order=name)
    found = load_data(data, 1)
    assert all(np.diff(window).tolist() == [0.5] * LENGTH for window in windows_in(found))
    in_force = data.model_copy(update=dict(found.inferred))
    new = load_new(in_force, found.facts, [str(tmp_path / "data.csv")]).examples
    assert (np.diff(new.inputs["y"][:], axis=1) == 0.5).all()
    assert new.inputs[name].dtype == found.inputs[name].dtype


def test_a_time_in_several_columns_orders_rows_and_shows_gaps(tmp_path) -> None:
    hours = pd.date_range("2020-02-28", periods=60, freq="h").delete(40)
    parts = {"day": hours.strftime("%Y-%m-%d"), "hr": hours.hour}
    table = pd.DataFrame({**parts, "y": np.arange(59.0)}).sample(frac=1, random_state=0)
    found = load_data(data_of(tmp_path, table, order=["day", "hr"]), 1)
    assert found.season == 24
    assert found.warnings == ('1 step is not 1 hour in "day, hr": no window goes across',)
    windows = np.array(windows_in(found))
    assert (np.diff(windows, axis=1) == 1).all()
    assert not ((windows[:, 0] < 40) & (windows[:, -1] >= 40)).any()
    moments = found.all.places["target day, hr"]
    assert moments[0] == np.datetime64("2020-02-28T03:00:00")


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ({"order": ["shop", "item"]}, "shop, item are no time together"),
        ({"order": ["day", "hours"], "key": "shop"}, 'no column "hours"'),
        ({"key": ["shop", "part"], "order": "day"}, 'no column "part"'),
        ({"key": ["shop"], "order": "day"}, '60 rows have the same "day" as the row before'),
    ],
)
def test_columns_that_do_not_separate_or_order_are_refused(tmp_path, windows, message) -> None:
    with pytest.raises(DataError) as error:
        load_data(data_of(tmp_path, sales(), **windows), 1)
    assert message in error.value.problems[0].message


def test_a_row_without_its_key_is_refused(tmp_path) -> None:
    table = sales().astype({"shop": object})
    table.loc[5, "shop"] = ""
    with pytest.raises(DataError, match='1 row has no value in the column "shop"'):
        load_data(data_of(tmp_path, table, key=["shop", "item"], order="day"), 1)


@pytest.mark.parametrize(
    ("order", "split", "is_warned"),
    [
        (1, {"validation": 0.2, "test": 0.2}, True),
        (-1, {"validation": 0.2, "test": 0.2}, True),
        (7, {"validation": 0.2, "test": 0.2}, False),
        (1, {"validation": 0.2, "test": 0.2, "order": "day"}, False),
        (1, {}, False),
    ],
)
def test_a_random_split_of_rows_that_a_date_orders_is_warned_of(tmp_path, order, split, is_warned) -> None:
    days = np.datetime64("2020-01-01") + (np.arange(50) * order - (order < 0)) % 50
    pd.DataFrame({"day": days, "x": np.arange(50) % 7, "y": np.arange(50) / 4}).to_csv(tmp_path / "a.csv", index=False)
    source = {"csv": str(tmp_path / "a.csv")}
    data = Data.model_validate({"source": source, "target": "y", "split": split, "test": None if split else source})
    warnings = [each for each in load_data(data, 1).warnings if "order of" in each]
    message = 'the rows are in the order of "day", and the split is at random: split: {order: day} tests later rows'
    assert warnings == ([message] if is_warned else [])


def test_windows_are_split_by_a_column_that_names_the_split_of_each_row(tmp_path) -> None:
    table = pd.DataFrame({"y": np.arange(30) + 0.5, "part": ["train"] * 14 + ["validation"] * 8 + ["test"] * 8})
    data = data_of(tmp_path, table, {"part": "ignore"})
    data = data.model_copy(update={"split": SplitOptions(column="part")})
    found = load_data(data, 0)
    # Each begins and ends in its split.
    firsts = {
        name: found.inputs["y"][:][rows][:, 0].tolist() for name, rows in vars(found.split).items() if name in SPLITS
    }
    assert firsts == {
        "train": [each + 0.5 for each in range(11)],
        "validation": [each + 0.5 for each in range(14, 19)],
        "test": [each + 0.5 for each in range(22, 27)],
    }
