"""Folds of windows over time series, against windows by hand inside the parts of scikit-learn's TimeSeriesSplit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import TimeSeriesSplit
from tests.folds.test_fold_trainings import results

from dltool.config.schema import Data
from dltool.data.dataset import Dataset, load_data
from dltool.data.split.at_random import Folds
from dltool.errors import DataError

ROWS, LENGTH, HORIZON = 64, 4, 2


def write_series(folder: Path, series: int, is_shuffled: bool) -> Path:
    """Hourly rows of each series. `n` is the number of the row in its series, beyond 1,000 for each further series."""
    lines = [
        f"2024-01-{1 + n // 24:02} {n % 24:02}:00,s{number},{1000 * number + n}"
        for number in range(series)
        for n in range(ROWS)
    ]
    if is_shuffled:
        np.random.default_rng(0).shuffle(lines)
    (folder / "hours.csv").write_text("\n".join(["hour,station,n", *lines]) + "\n")
    return folder / "hours.csv"


def options(path: Path, split: dict[str, Any], windows: dict[str, Any], inputs: dict[str, Any]) -> Data:
    whole = {"length": LENGTH, "horizon": HORIZON, "target": "n", **windows}
    source = {"source": {"csv": str(path)}, "inputs": {"station": "ignore", "hour": "ignore", **inputs}}
    return Data.model_validate({**source, "windows": whole, "split": split})


def folds_in(dataset: Dataset) -> Folds:
    assert dataset.split.folds is not None
    return dataset.split.folds


def windows_of(dataset: Dataset, rows: np.ndarray) -> set[tuple[int, ...]]:
    """The numbers of the rows in these windows, and last that of the target."""
    inputs = np.asarray(dataset.inputs["n"][rows], int).reshape(len(rows), LENGTH)
    return {(*each, int(dataset.targets["target"][row])) for each, row in zip(inputs.tolist(), rows, strict=True)}


def by_hand(times: np.ndarray, series: int) -> set[tuple[int, ...]]:
    """All windows whose rows, those up to the target included, have these times."""
    inside = {int(time) for time in times}
    span = LENGTH + HORIZON
    starts = [start for start in range(ROWS - span + 1) if inside.issuperset(range(start, start + span))]
    found = [[*range(start, start + LENGTH), start + span - 1] for start in starts]
    return {tuple(1000 * number + n for n in each) for number in range(series) for each in found}


@pytest.mark.parametrize(("series", "is_shuffled"), [(1, False), (2, True)])
@pytest.mark.parametrize(("gap", "window"), [(None, None), (3, None), (5, 14)])
def test_no_row_of_a_tested_window_is_in_a_window_of_the_training(tmp_path, series, is_shuffled, gap, window) -> None:
    path = write_series(tmp_path, series, is_shuffled)
    windows = {"key": "station", "order": "hour"} if series > 1 else {}
    split = {"folds": 4, **({} if gap is None else {"gap": gap}), **({} if window is None else {"window": window})}
    sizes = folds_in(load_data(options(path, split, windows, {}), seed=0)).sizes
    divided = TimeSeriesSplit(4, gap=gap or 0, max_train_size=window).split(np.arange(ROWS))
    for fold, (before, tested) in enumerate(divided, 1):
        dataset = load_data(options(path, {**split, "fold": fold}, windows, {}), seed=0)
        training, test = (windows_of(dataset, rows) for rows in (dataset.split.train, dataset.split.test))
        assert training == by_hand(before, series)
        assert test == by_hand(tested, series)
        assert sizes[fold - 1] == (len(training), 0, len(test))
        used, measured = (
            {n % 1000 for each in found for n in range(each[0], each[-1] + 1)} for found in (training, test)
        )
        assert max(used) + (gap or 0) < min(measured)


def test_the_latest_windows_before_a_fold_validate_it_and_the_test_is_in_no_fold(tmp_path) -> None:
    path = write_series(tmp_path, 1, False)
    split = {"folds": 3, "validation": 0.5, "test": 0.125}
    whole = load_data(options(path, split, {}, {}), seed=0)
    assert min(n for each in windows_of(whole, whole.split.test) for n in each) == 56
    for fold in (1, 2, 3):
        dataset = load_data(options(path, {**split, "fold": fold}, {}, {}), seed=0)
        parts = [windows_of(dataset, getattr(dataset.split, name)) for name in ("train", "validation", "test")]
        rows = [{n for each in part for n in range(each[0], each[-1] + 1)} for part in parts]
        assert max(rows[0]) < min(rows[1]) <= max(rows[1]) < min(rows[2]) <= max(rows[2]) < 56
        before = 14 * fold
        assert min(rows[2]) == before
        assert min(rows[1]) == before - round(0.5 * before)
        # Also across the end of the training of the whole run.
        assert parts[2] == by_hand(np.arange(before, before + 14), 1)
        # The same rows of all examples as in the whole run.
        assert np.array_equal(whole.targets["target"], dataset.targets["target"])
        assert np.array_equal(np.flatnonzero(folds_in(whole).numbers[0] == fold), dataset.split.test)


def test_the_order_may_be_named_and_part_of_the_training_be_used(tmp_path) -> None:
    path, windows = write_series(tmp_path, 2, True), {"key": "station", "order": "hour"}
    plain = load_data(options(path, {"folds": 3, "fold": 3}, windows, {}), seed=0)
    for order in ("hour", "time"):
        named = load_data(options(path, {"folds": 3, "fold": 3, "order": order}, windows, {}), seed=0)
        assert np.array_equal(named.split.train, plain.split.train)
    half = load_data(options(path, {"folds": 3, "fold": 3, "use": 0.5}, windows, {}), seed=0)
    assert np.array_equal(half.split.test, plain.split.test)
    used, whole = (windows_of(each, each.split.train) for each in (half, plain))
    # The latest ones, of both series.
    assert used < whole
    assert len(used) == round(len(whole) / 2)
    assert min(each[0] % 1000 for each in used) > min(each[0] % 1000 for each in whole - used)


def test_blocks_that_are_resampled_hold_whole_windows(tmp_path) -> None:
    clusters = folds_in(load_data(options(write_series(tmp_path, 1, False), {"folds": 4}, {}, {}), seed=0)).clusters
    assert clusters is not None
    assert np.bincount(clusters).max() == LENGTH + HORIZON


def test_a_fold_without_a_window_is_refused(tmp_path) -> None:
    path = write_series(tmp_path, 1, False)
    with pytest.raises(DataError, match="fold 1 has no window for test"):
        load_data(options(path, {"folds": 11}, {}, {}), seed=0)
    with pytest.raises(DataError, match="fold 1 has no window for training"):
        load_data(options(path, {"folds": 4, "gap": 12}, {}, {}), seed=0)


CONFIG = """\
name: series
data:
  source: {{csv: {path}}}
  windows: {{length: 4, horizon: 2, target: n}}
  inputs: {{station: ignore, hour: ignore}}
  split: {{folds: 2, gap: 2, validation: 0.4, test: 0.2}}
model:
  layers:
    - Flatten
    - Dense: 1
training: {{optimizer: adam, loss: mean_squared_error, batch_size: 16, epochs: 2}}
"""


@pytest.mark.slow
def test_folds_of_windows_train_and_are_reproduced_and_resumed(draws, dltool, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "series.yaml").write_text(CONFIG.format(path=write_series(tmp_path, 1, False)))
    trained = dltool("train", "series.yaml", "--set", "data.final=ensemble", "--seeds", "2")
    assert trained.code == 0, trained.stderr
    run = tmp_path / "runs" / "series" / "0001"
    expected = results(run)
    assert expected["folds"]["count"] == 2
    assert expected["folds"]["examples"] == sum(expected["folds"]["test"][:2])
    assert json.loads(dltool("reproduce", run, "--json").stdout)["identical"] is True
    assert dltool("evaluate", run / "folds" / "2").code == 0
    plain = dltool("train", "series.yaml", "--quiet")
    assert plain.code == 0, plain.stderr
    alone = dltool("train", "series.yaml", "--quiet", "--set", "data.split={validation: 0.4, test: 0.2}")
    assert alone.code == 0
    both = [results(tmp_path / "runs" / "series" / number)["test"] for number in ("0002", "0003")]
    assert both[0] == both[1], "the model of the run is that of a training without folds"


@pytest.mark.parametrize("split", ["{folds: 3, column: station}", "{folds: 3, repeats: 2}"])
def test_windows_have_folds_in_order_alone(dltool, golden, tmp_path, monkeypatch, split: str) -> None:
    monkeypatch.chdir(tmp_path)
    text = CONFIG.format(path="hours.csv").replace("{folds: 2, gap: 2, validation: 0.4, test: 0.2}", split)
    (tmp_path / "series.yaml").write_text(text)
    outcome = dltool("check", "series.yaml")
    assert outcome.code == 2
    golden(f"folds/windows-{'column' if 'column' in split else 'repeats'}", outcome.stderr)
