"""What columns learn from the training rows, and the numbers that they become."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.every_column import INPUTS, write_table

from dltool.config.columns import parse_column_type
from dltool.config.schema import Config, Data
from dltool.data.arrays.rows import Coded, Rows, coded
from dltool.data.arrays.window_rows import Windowed
from dltool.data.dataset import Dataset, load_data
from dltool.errors import RunError
from dltool.model.build import build_model
from dltool.model.column_states import load_columns
from dltool.model.columns import encode, learn, prepare
from dltool.model.inputs import Fitted
from dltool.model.preprocessing import save_preprocessing

NO_DATE = np.iinfo(np.int64).min
DTYPES = {"number": "float32", "boolean": "float32", "date": "int64", "category": "string", "text": "string"}


def prepared(kind: Any, training: Rows, values: np.ndarray | None = None) -> np.ndarray:
    """What `values`, the training rows unless given, become of a column of this type."""
    column = parse_column_type(kind)
    dtype = "float64" if training.dtype == np.float64 else DTYPES[column.name]
    raw = keras.Input(training.shape[1:], dtype=dtype)
    function = tf.function(keras.Model(raw, prepare(column, learn(column, training), raw, "x")))
    values = training[:] if values is None else values
    return np.asarray(function(tf.constant(values if values.dtype != object else values.astype(str))))


def in_pieces(options: Any, training: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What the layers get of `values` of a number that is encoded in pieces."""
    column = parse_column_type({"number": options})
    raw = keras.Input((), dtype="float32")
    state = learn(column, training)
    return np.asarray(keras.Model(raw, encode(column, state, prepare(column, state, raw, "x"), "x"))(values))


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def seconds(*dates: str) -> np.ndarray:
    return np.array(dates, "datetime64[s]").astype(np.int64)


# --- numbers ---


@pytest.mark.parametrize("scale", ["standard", "min_max", "robust"])
def test_large_numbers_that_differ_little_are_scaled_in_float64(scale) -> None:
    values = 1_700_000_000 + np.random.default_rng(0).integers(0, 100, 500).astype(np.float64)
    low, high = np.percentile(values, [25, 75])
    center, spread = {
        "standard": (values.mean(), values.std()),
        "min_max": (values.min(), np.ptp(values)),
        "robust": (np.median(values), high - low),
    }[scale]
    found = prepared({"number": {"scale": scale, "indicator": True}}, values)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0], (values - center) / spread, atol=1e-6)
    assert len(np.unique(found[:, 0])) == len(np.unique(values))
    alone = prepared({"number": {"scale": scale}}, values, np.array([np.nan]))
    np.testing.assert_allclose(alone[0, 0], (np.median(values) - center) / spread, atol=1e-6)


@pytest.mark.parametrize("factor", [1e-30, 1e-6, 1, 1e20])
@pytest.mark.parametrize("scale", ["standard", "min_max", "robust", "log"])
def test_numbers_of_any_size_are_scaled_as_in_float64(scale, factor) -> None:
    values = (np.random.default_rng(0).normal(3, 2, 1001) * factor).astype(np.float32)
    x = values.astype(np.float64)
    if scale == "log":
        x = np.sign(x) * np.log1p(np.abs(x))
    low, high = np.percentile(x, [25, 75])
    center, spread = {
        "min_max": (x.min(), np.ptp(x)),
        "robust": (np.median(x), high - low),
    }.get(scale, (x.mean(), x.std()))
    np.testing.assert_allclose(prepared({"number": {"scale": scale}}, values)[:, 0], (x - center) / spread, atol=2e-6)


@pytest.mark.parametrize("value", [0, 0.1, 1e10, -1e-40])
@pytest.mark.parametrize("scale", ["standard", "min_max", "robust", "log"])
def test_numbers_that_are_all_the_same_become_0_and_others_stay_finite(scale, value) -> None:
    training = np.full(1000, value, np.float32)
    found = prepared({"number": {"scale": scale}}, training, floats(value, value + 1))[:, 0]
    assert found[0] == pytest.approx(0, abs=1e-6)
    assert abs(found[1]) <= 1.1


def test_a_number_does_not_depend_on_where_it_stands() -> None:
    values = np.random.default_rng(0).lognormal(3, 4, 1003).astype(np.float32)
    whole = prepared({"number": {"scale": "log"}}, values)
    for size in (1, 2, 5, 17):
        np.testing.assert_array_equal(
            prepared({"number": {"scale": "log"}}, values, values[100 : 100 + size]), whole[100 : 100 + size]
        )


@pytest.mark.parametrize(("missing", "fill"), [("median", 2), ("mean", 4), (-7, -7)])
def test_missing_numbers_are_filled_in_and_may_be_told(missing, fill) -> None:
    training = floats(1, 2, 9, np.nan)
    kind = {"number": {"missing": missing, "scale": "none", "indicator": True}}
    np.testing.assert_array_equal(prepared(kind, training), [[1, 0], [2, 0], [9, 0], [fill, 1]])


def test_numbers_that_are_all_missing_train() -> None:
    np.testing.assert_array_equal(prepared("number", floats(np.nan, np.nan), floats(np.nan, 0)), [[0], [0]])


def test_booleans_are_filled_in_by_the_most_frequent_one() -> None:
    training = floats(1, 1, 0, np.nan)
    np.testing.assert_array_equal(
        prepared({"boolean": {"indicator": True}}, training), [[1, 0], [1, 0], [0, 0], [1, 1]]
    )
    np.testing.assert_array_equal(prepared({"boolean": {"missing": 0.5}}, training)[:, 0], [1, 1, 0, 0.5])


def test_a_number_in_pieces_is_how_far_it_is_through_each_interval() -> None:
    training = np.random.default_rng(0).lognormal(2, 1, 999).astype(np.float32)
    values = np.append(np.linspace(0, training.max() + 1, 500), [1e30, -1e30]).astype(np.float32)
    # All values are distinct: both kinds of quantiles are the same.
    edges = np.quantile(training.astype(float), np.linspace(0, 1, 4 + 1))
    wanted = [np.interp(values, pair, [0, 1]) for pair in itertools.pairwise(edges)]
    np.testing.assert_allclose(in_pieces({"pieces": 8}, training, values), np.transpose(wanted), atol=1e-4)


def test_intervals_tell_crowded_values_apart_and_rare_ones_too() -> None:
    amounts = np.arange(1, 102, dtype=np.float32)
    training = np.append(np.zeros(2_000, np.float32), amounts)
    found = in_pieces({"pieces": 10}, training, training)
    assert found.shape[1] >= 5
    assert not found[:2_000].any()
    # Each fifth of the rare values has an interval of its own.
    fifths = found[2_000:][10::20]
    assert len(np.unique(np.ceil(fifths).sum(axis=1))) == 5


@pytest.mark.parametrize("value", [0, 7.5, 1e-42])
def test_a_constant_in_pieces_is_a_constant(value) -> None:
    training = np.full(20, value, np.float32)
    found = in_pieces({"pieces": 4, "scale": "none"}, training, training)
    np.testing.assert_allclose(found, 0, atol=1e-6)


def test_missing_numbers_in_pieces_may_be_told() -> None:
    found = in_pieces({"pieces": 2, "indicator": True}, floats(0, 1, 2, 3, 4), floats(0, 4, np.nan))
    np.testing.assert_allclose(found, floats(0, 0, 1, 0, 0.5, 1).reshape(3, 2), atol=1e-6)


# --- categories ---


def test_values_are_numbered_in_their_order_with_0_for_those_that_training_lacks() -> None:
    training = coded(["b", "a", "", "b"])
    new = np.array(["a", "b", "", "c"], object)
    assert prepared("category", training, new).tolist() == [2, 3, 1, 0]
    assert prepared({"category": {"min_count": 2}}, training, new).tolist() == [0, 2, 1, 0]
    assert prepared({"category": {"missing": "most_frequent"}}, training, new).tolist() == [1, 2, 2, 0]
    strict = {"category": {"missing": "most_frequent", "unknown": "error"}}
    assert prepared(strict, training, new[:3]).tolist() == [0, 1, 1]
    with pytest.raises(tf.errors.InvalidArgumentError):
        prepared(strict, training, new)


def test_a_category_may_have_no_value_at_all() -> None:
    training = coded(["", ""])
    assert prepared("category", training, np.array(["", "x"], object)).tolist() == [1, 0]
    assert prepared({"category": {"missing": "most_frequent"}}, training, np.array(["", "x"], object)).tolist() == [
        1,
        0,
    ]


# --- dates ---

FAR = (
    "0001-03-01T00:00:01",
    "1583-12-31T23:59:59",
    "1969-12-31T23:59:59",
    "2038-01-19T03:14:08",
    "9999-12-31T12:00:00",
)


def test_dates_before_1970_and_beyond_2038_have_their_parts() -> None:
    values = seconds(*FAR)
    found = prepared(
        {"date": {"parts": ["year", "month", "day", "weekday", "day_of_year", "hour", "minute", "second"]}}, values
    )
    days = [np.datetime64(date, "D") for date in FAR]
    rows = [
        (
            int(date[:4]),
            int(date[5:7]),
            int(date[8:10]),
            (int(day.astype(int)) + 3) % 7,
            int((day - np.datetime64(date[:4], "Y")).astype(int)) + 1,
            *map(int, date[11:].split(":")),
        )
        for date, day in zip(FAR, days, strict=True)
    ]
    expected = np.array(rows, np.float64)
    np.testing.assert_allclose(found, (expected - expected.mean(axis=0)) / expected.std(axis=0), atol=1e-5)


def test_elapsed_time_tells_one_second_from_the_next() -> None:
    values = seconds("2024-05-01T10:00:00") + np.arange(100)
    found = prepared({"date": {"parts": ["elapsed"]}}, values)[:, 0]
    assert np.ptp(np.diff(found)) < 1e-5
    assert abs(found.mean()) < 0.05


def test_a_missing_date_is_the_median_of_those_in_training() -> None:
    training = np.array([*seconds("2000-01-01", "2001-01-01", "2003-01-01"), NO_DATE])
    found = prepared({"date": {"parts": ["year"]}}, training)
    assert found[3] == found[1]


# --- texts ---


def test_a_text_is_a_vector_of_its_words_or_a_sequence_of_their_numbers() -> None:
    training = coded(["a b", "a", "c"])
    new = np.array(["A, b b", "z", ""], object)
    vectors = prepared({"text": {"output_mode": "count"}}, training, new)
    # The words are [UNK], and a, c and b by their frequency.
    assert vectors.tolist() == [[0, 1, 0, 2], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert prepared({"text": {"length": 3}}, training, new).tolist() == [[2, 4, 4], [1, 0, 0], [0, 0, 0]]


# --- windows ---


def test_a_row_counts_once_however_many_windows_hold_it() -> None:
    base = floats(1, 2, 3, 100, 200)
    windows = Windowed(base, np.arange(5), np.array([0, 1, 2]), 2)
    assert windows.distinct(np.array([0, 1])).tolist() == [1, 2, 3]
    assert windows.distinct(np.array([2])).tolist() == [3, 100]
    assert windows.distinct(np.array([], int)).tolist() == []


# --- the law ---

TABLE: dict[str, Any] = {
    "inputs": {**INPUTS, "words": "ignore", "tags": "ignore"},
    "target": "label",
    "split": {"validation": 0.2, "test": 0.2, "seed": 1},
}


def config_of(path: Path, **changes: Any) -> Config:
    data = {"source": {"csv": str(path)}, **TABLE, **changes}
    model = {"layers": [{"Dense": {"units": 3}}]}
    training = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "epochs": 1}
    return Config.model_validate({"name": "columns", "data": data, "model": model, "training": training})


def fitted_on(config: Config, dataset: Dataset, folder: Path) -> bytes:
    built = build_model(config, dataset.facts, dataset.examples("train").inputs)
    save_preprocessing(built.fitted.layers, built.fitted.columns, folder)
    return (folder / "columns.json").read_bytes()


ROWS = 60
Load = Callable[[list[str]], tuple[Config, Dataset]]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Load:
    folder = tmp_path_factory.mktemp("table")
    lines = write_table(folder, ROWS).read_text().splitlines()

    def load(others: list[str]) -> tuple[Config, Dataset]:
        """The table with other lines in place of those for validation and test."""
        path = folder / "changed.csv"
        path.write_text("\n".join(lines) + "\n")
        config = config_of(path)
        split = load_data(config.data, 0).split
        changed = list(lines)
        for row, line in zip([*split.validation, *split.test], others, strict=False):
            # Which rows are in which part follows from the labels too.
            changed[1 + row] = line.rpartition(",")[0] + "," + lines[1 + row].rpartition(",")[2]
        path.write_text("\n".join(changed) + "\n")
        return config, load_data(config.data, 0)

    return load


CELLS = (
    st.sampled_from(["", "-3e37", "1e-30", "0", "12.5"]),
    st.sampled_from(["", "1e38", "-5", "0.5"]),
    st.sampled_from(["", "1e30", "-1"]),
    st.sampled_from(["", "1e-38", "7"]),
    st.sampled_from(["", "mauve", "red", "blue"]),
    st.sampled_from(["", "round", "tall"]),
    st.sampled_from(["", "yes", "no"]),
    st.sampled_from(["", "1800-01-01", "2100-12-31T23:59:59"]),
    st.sampled_from(["", "never seen before", "red red"]),
    st.just("w"),
    st.just("t"),
    st.just("0.5"),
    st.just("a"),
)


@pytest.mark.slow
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(st.lists(st.tuples(*CELLS).map(",".join), min_size=10, max_size=24))
def test_rows_of_validation_and_test_change_nothing_that_is_learnt(table: Load, tmp_path_factory, others) -> None:
    folder = tmp_path_factory.mktemp("fitted")
    expected = fitted_on(*table([]), folder)
    assert fitted_on(*table(others), folder) == expected


def test_other_training_rows_change_what_every_column_learns(tmp_path) -> None:
    """Or else the law above would hold of nothing."""
    learnt = []
    for seed in (0, 1):
        config = config_of(write_table(tmp_path, ROWS, seed))
        learnt.append(json.loads(fitted_on(config, load_data(config.data, 0), tmp_path)))
    alike = {name for name in learnt[0] if learnt[0][name] == learnt[1][name]}
    # The same few words, and the same fill, may come of other rows.
    assert alike <= {"color", "shape", "is_new"}


# --- saved and loaded ---


def saved(table, folder: Path) -> tuple[Config, Dataset, Any]:
    config, dataset = table([])
    built = build_model(config, dataset.facts, dataset.examples("train").inputs)
    save_preprocessing(built.fitted.layers, built.fitted.columns, folder)
    return config, dataset, built


def test_what_was_saved_and_loaded_prepares_the_same_bits(table, tmp_path) -> None:
    config, dataset, built = saved(table, tmp_path)
    again = build_model(config, dataset.facts, fitted=Fitted(columns=load_columns(tmp_path)))
    assert built.preprocessors.keys() == again.preprocessors.keys() == dataset.inputs.keys()
    for name, model in built.preprocessors.items():
        rows = dataset.inputs[name]
        values = tf.constant(rows[:].astype(str) if isinstance(rows, Coded) else rows[:])
        np.testing.assert_array_equal(model(values), again.preprocessors[name](values))


HOSTILE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no document": lambda columns: None,
    "a list": lambda columns: [columns],
    "a column is gone": lambda columns: {name: state for name, state in columns.items() if name != "color"},
    "a column is a number": lambda columns: {**columns, "color": 3},
    "no vocabulary": lambda columns: {**columns, "color": {}},
    "a vocabulary that is a number": lambda columns: {**columns, "color": {"vocabulary": 5}},
    "a vocabulary of numbers": lambda columns: {**columns, "color": {"vocabulary": [1, 2]}},
    "words twice": lambda columns: {**columns, "color": {"vocabulary": ["a", "a"]}},
    "a fill that is no word": lambda columns: {**columns, "shape": {"vocabulary": ["a"], "fill": "b"}},
    "a fill that is a list": lambda columns: {**columns, "shape": {"vocabulary": ["a"], "fill": ["a"]}},
    "no scale": lambda columns: {**columns, "size": {"fill": 0.0}},
    "a scale of text": lambda columns: {**columns, "size": {"fill": 0.0, "center": "x", "spread": 1.0}},
    "a scale of several numbers": lambda columns: {
        **columns,
        "size": {"fill": 0.0, "center": [1.0, 2.0], "spread": 1.0},
    },
    "too few parts": lambda columns: {**columns, "made": {"fill": 0, "center": [0.0], "spread": [1.0]}},
    "parts of text": lambda columns: {**columns, "made": {"fill": 0, "center": "abcde", "spread": "abcde"}},
    "other weights": lambda columns: {**columns, "about": {**columns["about"], "weights": ["a"]}},
    "too few weights": lambda columns: {**columns, "about": {**columns["about"], "weights": [1.0]}},
    "nested": lambda columns: {**columns, "color": {"vocabulary": [["a"]]}},
    "no edges": lambda columns: {**columns, "size": {**columns["size"], "edges": 3}},
    "edges of text": lambda columns: {**columns, "size": {**columns["size"], "edges": ["a", "b"]}},
}


@pytest.mark.parametrize("what", HOSTILE)
def test_saved_columns_that_do_not_fit_are_refused(table, tmp_path, what) -> None:
    config, dataset, _ = saved(table, tmp_path)
    path = tmp_path / "columns.json"
    path.write_text(json.dumps(HOSTILE[what](json.loads(path.read_text()))))
    with pytest.raises(RunError):
        build_model(config, dataset.facts, fitted=Fitted(columns=load_columns(tmp_path)))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 10_000, b'{"a": {"b": NaN}}', b'{"a": {"b": 1e999}}'])
def test_saved_columns_that_are_no_document_are_refused(tmp_path, content) -> None:
    (tmp_path / "columns.json").write_bytes(content)
    with pytest.raises(RunError):
        load_columns(tmp_path)


@pytest.mark.parametrize("scale", ["standard", "robust", "log"])
def test_a_series_has_one_scale_as_input_and_as_target_fitted_to_its_training_rows(tmp_path, scale) -> None:
    values = np.concatenate([np.random.default_rng(0).gamma(2, 9, 60), np.full(40, 1e6)])
    (tmp_path / "data.csv").write_text("\n".join(["y,x", *(f"{value},{value}" for value in values)]), encoding="utf-8")
    number = {"number": {"scale": scale}}
    windows, split = {"length": 3, "target": "y"}, {"validation": 0.2, "test": 0.2}
    data = {"source": {"csv": str(tmp_path / "data.csv")}, "windows": windows, "split": split}
    dataset = load_data(Data.model_validate({**data, "inputs": {"y": number}, "target": {"y": number}}), 1)
    found, column = dataset.facts.targets["target"].scale, dataset.facts.inputs["y"].column
    assert found is not None
    assert column is not None
    # The last of the 60 training rows is in no window.
    rows = values[:59].astype(np.float32).astype(np.float64)
    rows = np.log1p(rows) if scale == "log" else rows
    center = np.median(rows) if scale == "robust" else rows.mean()
    spread = np.subtract(*np.percentile(rows, [75, 25])) if scale == "robust" else rows.std()
    assert (found.center, found.spread) == pytest.approx((center, spread), rel=1e-9)
    state = learn(column, dataset.examples("train").inputs["y"])
    assert (found.center, found.spread) == (state["center"], state["spread"])
