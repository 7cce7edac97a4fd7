"""Windows with several steps and targets, columns known in advance and static ones, from config to predictions."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dltool.config.schema import Data
from dltool.data.dataset import load_data

LENGTH, DAYS, STEPS = 14, 90, [1, 2, 5]
CONFIG = """\
name: shops
seed: 1
data:
  source: {csv: shops.csv}
  windows:
    {length: 14, target: [sales, visits], horizon: [1, 2, 5], key: shop, order: day, known: [promo], static: [size]}
  inputs: {day: ignore, sales: {number: {scale: none}}, visits: {number: {scale: none}}}
  split: {validation: 0.25, test: 0.25}
model:
  layers:
    - Concatenate: {from: [sales, visits], axis: -1}
    - Flatten: {name: past}
    - Flatten: {from: promo, name: calendar}
    - Concatenate: {from: [past, calendar, size], axis: -1}
    - Dense: 6
training: {optimizer: Adam, loss: mae, metrics: [mae], batch_size: 16, epochs: 1}
"""


def shops() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    table = pd.DataFrame(
        [(day, shop) for day in pd.date_range("2024-01-01", periods=DAYS).strftime("%Y-%m-%d") for shop in "ab"],
        columns=["day", "shop"],
    )
    table["size"] = table["shop"].map({"a": 3.0, "b": 8.0})
    table["promo"] = generator.integers(0, 2, len(table))
    table["sales"] = generator.normal(10, 2, len(table)).round(2)
    table["visits"] = generator.normal(50, 9, len(table)).round(2)
    return table


def data_of(folder: Path, table: pd.DataFrame, **windows: object) -> Data:
    table.to_csv(folder / "shops.csv", index=False)
    given = {"length": LENGTH, "target": "sales", "key": "shop", "order": "day", **windows}
    split = {"validation": 0.25, "test": 0.25}
    return Data.model_validate({"source": {"csv": str(folder / "shops.csv")}, "windows": given, "split": split})


@pytest.mark.parametrize("horizon", [3, [1, 2, 5], "1..4"])
@pytest.mark.parametrize("target", ["sales", ["sales", "visits"]])
def test_targets_are_those_of_pandas(tmp_path, horizon, target) -> None:
    table = shops()
    dataset = load_data(data_of(tmp_path, table, horizon=horizon, target=target, known=["promo"], static=["size"]), 1)
    steps = {3: [3], "1..4": [1, 2, 3, 4]}.get(horizon if isinstance(horizon, int | str) else "", STEPS)
    columns = [target] if isinstance(target, str) else target
    rows = dataset.all.places["target row"]
    by_shop = table.groupby("shop")
    expected = [by_shop[name].shift(steps[0] - step)[rows] for name in columns for step in steps]
    found = dataset.targets["target"]
    np.testing.assert_allclose(found.reshape(len(rows), -1), np.stack(expected, axis=1).astype(np.float32))
    days = pd.to_datetime(table["day"])[rows].to_numpy()
    assert days[dataset.split.train].max() + steps[-1] - steps[0] < days[dataset.split.test].min() - LENGTH
    shapes = {name: rows.shape[1:] for name, rows in dataset.inputs.items()}
    assert shapes["promo"] == (LENGTH + steps[-1],)
    assert shapes["visits"] == (LENGTH,)
    assert shapes["size"] == ()
    promo = table.loc[table["shop"] == "a", "promo"].to_numpy()
    np.testing.assert_array_equal(dataset.inputs["promo"][2], promo[2 : 2 + LENGTH + steps[-1]])
    assert set(dataset.inputs["size"][:].tolist()) == {3.0, 8.0}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("static: [size]", "static: [promo, size]", '"promo" has several values in one series'),
        ("static: [size]", "static: [shop]", '"shop" is not among the inputs'),
        ("known: [promo]", "known: [promotion]", 'did you mean "promo"?'),
        ("known: [promo]", "known: [sales]", '"sales" is also under target'),
        ("static: [size]", "static: [promo]", '"promo" is also under known'),
        ("horizon: [1, 2, 5]", "horizon: [2, 1]", "expected distinct integers in ascending order"),
        (
            "horizon: [1, 2, 5]",
            "horizon: 5..1",
            'expected an integer, a list of integers, or first..last, got the string "5..1"',
        ),
        ("target: [sales, visits]", "target: [sales, sales]", "a column is named twice"),
        ("  inputs: {", "  target: {sales: category}\n  inputs: {", "several columns or steps have to be numbers"),
    ],
)
def test_columns_and_steps_that_cannot_be_are_refused(dltool, tmp_path, old, new, message) -> None:
    shops().to_csv(tmp_path / "shops.csv", index=False)
    text = CONFIG.replace(old, new)
    (tmp_path / "a.yaml").write_text(text.replace(", known: [promo]", "") if "several values" in message else text)
    outcome = dltool("check", tmp_path / "a.yaml", "--data")
    assert message in outcome.stderr, outcome.stderr


@pytest.fixture
def run(draws, finished, tmp_path) -> Path:
    shops().to_csv(tmp_path / "shops.csv", index=False)
    return finished(CONFIG)


def test_each_step_has_its_prediction_and_its_metrics(run, dltool) -> None:
    assert dltool("evaluate", run).code == 0
    names = [f"{name}+{step}" for name in ("sales", "visits") for step in STEPS]
    found = json.loads((run / "evaluation/test/metrics.json").read_text("utf-8"))
    predictions = pd.read_csv(run / "evaluation/test/predictions.csv")
    for row, name in zip(found["outputs"][0]["table"], names, strict=True):
        errors = predictions[f"target {name}"] - predictions[f"prediction {name}"]
        assert row["number"] == name
        assert row["mean_absolute_error"] == pytest.approx(errors.abs().mean(), rel=1e-4)
    targets = predictions[[f"target {name}" for name in names]].to_numpy()
    table = shops()
    series = {(shop, day): values for shop, day, *values in table[["shop", "day", "sales", "visits"]].to_numpy()}
    places = table.loc[predictions["target row"], ["shop", "day"]].to_numpy()

    def at(back: list[int]) -> np.ndarray:
        """The values so many days before the first day of the target, for each of its numbers."""
        days = [[str(np.datetime64(day) - each) for each in back] for _, day in places]
        return np.array(
            [
                [series[shop, day][column] for column in (0, 1) for day in chosen]
                for (shop, _), chosen in zip(places, days, strict=True)
            ]
        )

    baselines = {each["name"]: each["value"] for each in found["baselines"]}
    assert baselines["last value"] == pytest.approx(np.abs(targets - at([1, 1, 1])).mean(), rel=1e-5)
    assert baselines["last season"] == pytest.approx(np.abs(targets - at([7, 6, 3])).mean(), rel=1e-5)
    assert baselines["linear regression"] is not None
    assert baselines["this model"] == pytest.approx(found["metrics"]["mae"], rel=1e-4)


def test_new_rows_end_with_the_days_known_in_advance(run, dltool, tmp_path) -> None:
    table = shops()
    table.loc[table.index[-10:], ["sales", "visits"]] = np.nan
    table.to_csv(tmp_path / "new.csv", index=False)
    outcome = dltool("predict", run, tmp_path / "new.csv", "--out", tmp_path / "p.csv")
    assert outcome.code == 0, outcome.stderr
    predictions = pd.read_csv(tmp_path / "p.csv")
    assert list(predictions)[2:] == ["sales+1", "sales+2", "sales+5", "visits+1", "visits+2", "visits+5"]
    # The last window of each shop ends with its last sales.
    assert predictions.groupby(table.loc[predictions["row"] - 1, "shop"].to_numpy())["row"].max().tolist() == [169, 170]


def test_columns_of_other_lengths_are_not_joined_without_a_word(dltool, tmp_path) -> None:
    shops().to_csv(tmp_path / "shops.csv", index=False)
    layers = CONFIG[CONFIG.index("    - Concatenate") : CONFIG.index("training:")]
    (tmp_path / "a.yaml").write_text(CONFIG.replace(layers, "    - Flatten\n    - Dense: 6\n"))
    outcome = dltool("check", tmp_path / "a.yaml", "--build")
    assert outcome.code == 2
    assert "promo is (19, 1) and cannot stand in one vector with other inputs" in outcome.stderr
    assert "size is (1,) and cannot stand in one vector with other inputs" in outcome.stderr
    (tmp_path / "a.yaml").write_text(CONFIG)
    outcome = dltool("check", tmp_path / "a.yaml", "--build")
    assert outcome.code == 0, outcome.stderr
    assert "promo (windows.known, 19 rows)" in outcome.stdout
    assert "size (windows.static, 1 row)" in outcome.stdout
