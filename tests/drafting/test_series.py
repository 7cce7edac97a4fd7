"""Drafts for tables whose rows a time orders."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def drafted(dltool):
    """The config and the text of a successful init for a table."""

    def draft(table: pd.DataFrame, *arguments: str) -> tuple[dict[str, Any], str]:
        table.to_csv("data.csv", index=False)
        outcome = dltool("init", "data.csv", *arguments)
        assert outcome.code == 0, outcome.stderr
        return yaml.safe_load(outcome.stdout), outcome.stdout

    return draft


def walk(rows: int, seed: int = 0) -> np.ndarray:
    return (100 + np.cumsum(np.random.default_rng(seed).normal(size=rows))).round(2)


@pytest.mark.parametrize(
    ("frequency", "written", "every"),
    [
        ("MS", "%Y-%m", "a row every month"),
        ("ME", "%Y-%m-%d", "a row every month"),
        ("QS", "%b-%y", "a row every quarter"),
        ("YS", "%Y", "a row every year"),
        ("B", "%Y-%m-%d", "a row every business day"),
        ("D", "%d.%m.%Y", "a row every day"),
        ("30min", "%Y-%m-%d %H:%M", "a row every 30 minutes"),
    ],
)
def test_rows_in_steps_of_a_calendar_become_windows(drafted, frequency, written, every) -> None:
    dates = pd.date_range("1990-01-01", periods=130, freq=frequency)
    config, text = drafted(pd.DataFrame({"date": dates.strftime(written), "sales": walk(130)}))
    assert config["data"]["windows"]["order"] == "date"
    assert config["data"]["windows"]["target"] == "sales"
    assert every in text


@pytest.mark.parametrize(("days", "parts"), [(500, ["weekday"]), (700, ["month", "weekday"])])
def test_months_are_an_input_if_the_training_rows_have_them_all(drafted, days, parts) -> None:
    dates = pd.date_range("2020-01-01", periods=days).strftime("%Y-%m-%d")
    config, _ = drafted(pd.DataFrame({"day": dates, "level": walk(days)}))
    assert config["data"]["inputs"]["day"] == {"date": {"parts": parts}}


def test_a_column_of_years_orders_the_rows_and_is_no_input(drafted) -> None:
    config, text = drafted(pd.DataFrame({"Year": range(1800, 1944), "spots": walk(144)}))
    assert config["data"]["windows"] == {"length": 12, "target": "spots", "order": "Year"}
    assert config["data"]["inputs"]["Year"] == "ignore"
    assert "a row every year" in text


def panel(stores: list[Any], days: int, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    rows = [
        {
            "date": day.date(),
            "store": store,
            "promo": int(generator.integers(2)),
            "sales": round(100 * number + 20 * ((index % 7) == 3) + generator.normal(), 1),
        }
        for index, day in enumerate(pd.date_range("2022-01-01", periods=days))
        for number, store in enumerate(stores)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("stores", [["S0", "S1", "S2"], [17, 23, 99]])
@pytest.mark.parametrize("by_store", [False, True])
def test_several_series_get_the_key_that_separates_them(drafted, stores, by_store) -> None:
    table = panel(stores, 120)
    config, text = drafted(table.sort_values(["store", "date"]) if by_store else table)
    assert config["data"]["windows"] == {"length": 12, "target": "sales", "key": "store", "order": "date"}
    assert config["data"]["inputs"]["store"] == "category"
    assert "by time: the last rows are the test" in text


def test_the_stronger_of_the_last_value_and_the_season_is_the_bound_and_where_training_begins(drafted) -> None:
    table = panel(["S0", "S1"], 200)
    config, text = drafted(table)
    length = config["data"]["windows"]["length"]
    test = sorted(table["date"].unique())[-40 + length :]
    wide = table.pivot_table(index="date", columns="store", values="sales")
    seasonal, last = ((wide - wide.shift(lag)).abs().loc[test].to_numpy().mean() for lag in (7, 1))
    assert seasonal < last
    assert 'repeating the last season of "sales"' in text
    bound = float(config["expect"]["mean_absolute_error"].removeprefix("<"))
    assert bound == pytest.approx(seasonal, abs=1e-3)
    cropped = {"name": "base", "from": "sales", "cropping": [length - 7, 6]}
    assert config["model"]["layers"][0] == {"Cropping1D": cropped}


def test_rows_of_many_at_a_time_are_never_split_at_random(drafted) -> None:
    dates = np.repeat(pd.date_range("2020-01-01", periods=60).astype(str), 5)
    values = np.random.default_rng(0).normal(size=(300, 2)).round(3)
    kinds = np.where(values[:, 0] > 0, "up", "down")
    for target in ("size", "kind"):
        table = pd.DataFrame({"day": dates, "x": values[:, 0], "size": values[:, 1], "kind": kinds})
        config, text = drafted(table, "--target", target)
        assert config["data"]["split"] == {"validation": 0.15, "test": 0.2, "order": "day"}
        assert "by time, not at random" in text


def test_two_dates_are_too_few_to_split_by(drafted) -> None:
    table = pd.DataFrame({"day": np.repeat(["2020-01-01", "2020-01-02"], 50), "x": walk(100), "size": walk(100, 1)})
    assert "order" not in drafted(table)[0]["data"]["split"]


def test_dates_that_do_not_order_the_rows_leave_the_split_at_random(drafted) -> None:
    generator = np.random.default_rng(0)
    born = pd.to_datetime("1950-01-01") + pd.to_timedelta(generator.integers(0, 60, 200), "D")
    table = pd.DataFrame({"born": born.strftime("%Y-%m-%d"), "x": generator.normal(size=200), "y": walk(200)})
    assert "order" not in drafted(table)[0]["data"]["split"]


@pytest.mark.parametrize("has_gaps", [False, True])
def test_prices_are_predicted_from_the_days_before(drafted, has_gaps) -> None:
    days = pd.date_range("2020-01-01", periods=200, freq="B")
    close = walk(200)
    table = pd.DataFrame({"Date": days, "Open": close - 0.1, "High": close + 1, "Low": close - 1, "Close": close})
    table["Volume"] = np.random.default_rng(1).integers(1_000, 9_000, 200)
    config, _ = drafted(table[np.arange(200) % 3 > 0] if has_gaps else table)
    assert config["data"]["windows"]["target"] == "Close"
    assert config["data"]["windows"]["order"] == "Date"
    assert config["data"]["inputs"]["Open"] == "number"


def test_a_column_of_hours_belongs_to_the_date(drafted) -> None:
    hours = pd.date_range("2011-01-01", periods=400, freq="h").delete(300)
    table = pd.DataFrame({"day": hours.strftime("%Y-%m-%d"), "hr": hours.hour, "count": walk(399)})
    config, text = drafted(table.sample(frac=1, random_state=0))
    assert config["data"]["windows"] == {"length": 24, "target": "count", "order": ["day", "hr"]}
    assert config["data"]["inputs"]["day"] == {"date": {"parts": ["weekday"]}}
    assert "a row every hour" in text


@pytest.mark.parametrize(("step", "every", "is_input"), [("h", "a row every hour", True), ("min", "minute", False)])
def test_a_column_of_times_belongs_to_the_date(drafted, step, every, is_input) -> None:
    moments = pd.date_range("2006-12-16 17:24", periods=3_000, freq=step)
    columns = {"Date": moments.strftime("%d/%m/%Y"), "Time": moments.strftime("%H:%M:%S"), "power": walk(3_000)}
    config, text = drafted(pd.DataFrame(columns))
    assert config["data"]["windows"]["order"] == ["Date", "Time"]
    assert config["data"]["inputs"]["Time"] == ("category" if is_input else "ignore")
    assert every in text


def test_a_time_in_columns_of_its_parts_orders_each_of_several_series(drafted) -> None:
    hours = pd.date_range("2013-03-01", periods=200, freq="h")
    parts = {"year": hours.year, "month": hours.month, "day": hours.day, "hour": hours.hour}
    table = pd.concat([pd.DataFrame({**parts, "station": name, "ozone": walk(200)}) for name in ("A", "B")])
    config, _ = drafted(table)
    assert config["data"]["windows"]["order"] == ["year", "month", "day", "hour"]
    assert config["data"]["windows"]["key"] == "station"


@pytest.mark.parametrize("codes", [1, 2**24])
def test_two_columns_that_separate_the_series_together_are_the_key(drafted, codes) -> None:
    table = pd.concat([panel(["S0", "S1", "S2"], 60).assign(item=codes + number) for number in (0, 1)])
    config, _ = drafted(table[["date", "store", "item", "promo", "sales"]])
    assert config["data"]["windows"]["key"] == ["store", "item"]
    assert config["data"]["inputs"]["item"] == "category"


def test_the_model_of_a_series_does_not_depend_on_the_rows_for_its_test(drafted) -> None:
    dates = pd.date_range("2020-01-01", periods=200).strftime("%Y-%m-%d")
    table = pd.DataFrame({"day": dates, "level": walk(200)})
    config, _ = drafted(table)
    table.loc[160:, "level"] = 10_000 - 20 * table.loc[160:, "level"]
    assert {**drafted(table)[0], "expect": config["expect"]} == config


@pytest.mark.parametrize("is_random", [False, True])
def test_a_series_without_a_pattern_is_not_expected_to_be_predicted(drafted, is_random) -> None:
    dates = pd.date_range("2020-01-01", periods=300).strftime("%Y-%m-%d")
    values = walk(300) if is_random else np.random.default_rng(0).normal(10, 1, 300).round(2)
    config, text = drafted(pd.DataFrame({"day": dates, "level": values}))
    baseline = float(text.partition("error of ")[2].partition(" on the test")[0])
    bound = float(config["expect"]["mean_absolute_error"].removeprefix("<"))
    assert bound == pytest.approx(1.25 * baseline if is_random else baseline, rel=1e-3)
    assert ("follow no pattern" in text) == is_random


@pytest.mark.parametrize("days", [40, 9])
def test_a_file_for_the_test_beside_a_series_is_its_test(dltool, days) -> None:
    table = panel(["S0", "S1"], 150)
    table[: -2 * days].to_csv("train.csv", index=False)
    table[-2 * days :].to_csv("test.csv", index=False)
    outcome = dltool("init", "train.csv")
    config = yaml.safe_load(outcome.stdout)
    assert config["data"]["test"] == {"csv": {"path": "test.csv"}}
    assert config["data"]["split"] == {"validation": 0.15}
    assert config["data"]["windows"]["length"] == {40: 11, 9: 8}[days]
    table[-2 * days :].drop(columns="sales").to_csv("test.csv", index=False)
    outcome = dltool("init", "train.csv")
    assert "test" not in yaml.safe_load(outcome.stdout)["data"]
    assert "test.csv is not used, it has no sales\n" in outcome.stderr


def test_rows_with_a_time_of_day_are_split_by_it_in_any_order(drafted) -> None:
    generator = np.random.default_rng(0)
    times = pd.to_datetime("2019-03-01") + pd.to_timedelta(generator.integers(0, 10**6, 300), "s")
    table = pd.DataFrame({"pickup": times, "dropoff": times + pd.to_timedelta(900, "s"), "fare": walk(300)})
    table["payment"] = np.where(generator.random(300) < 0.5, "cash", "card")
    for target in ("fare", "payment"):
        config, text = drafted(table, "--target", target)
        assert config["data"]["split"]["order"] == "pickup"
        assert "by time, not at random" in text


def test_rows_at_the_time_of_another_are_named_where_they_prevent_windows(dltool) -> None:
    hours = pd.date_range("2023-10-25", "2023-11-03", freq="h", tz="Europe/Berlin")
    table = pd.DataFrame({"time": hours.strftime("%Y-%m-%d %H:%M"), "load": walk(len(hours))})
    table.to_csv("data.csv", index=False)
    outcome = dltool("init", "data.csv")
    assert "1 row has the time of another: without them, the next value could be predicted" in outcome.stderr
    assert yaml.safe_load(outcome.stdout)["data"]["split"]["order"] == "time"
    table["time"] = hours.strftime("%Y-%m-%d %H:%M%z")
    table.to_csv("data.csv", index=False)
    assert yaml.safe_load(dltool("init", "data.csv").stdout)["data"]["windows"]["order"] == "time"


def test_a_rare_row_without_a_date_is_in_no_window_and_the_others_are_as_without_it(dltool) -> None:
    dates = [f"{day:%d/%m/%Y}" for day in pd.date_range("2020-01-01", periods=100)]
    table = pd.DataFrame({"date": dates, "visitors": walk(100)})
    table.loc[37, "date"] = "00/00/0000"
    table.to_csv("data.csv", index=False)
    outcome = dltool("init", "data.csv", "--out", "draft.yaml")
    assert outcome.code == 0, outcome.stderr
    config = yaml.safe_load(Path("draft.yaml").read_text())
    assert config["data"]["windows"]["order"] == "date"
    assert '1 row without a "date" left out of the windows' in outcome.stderr
    outcome = dltool("check", "draft.yaml", "--data")
    assert outcome.code == 0, outcome.stderr


def test_rows_without_a_date_are_for_training_where_the_others_are_split_by_it(dltool) -> None:
    dates = [f"{day:%Y-%m-%d}" for day in pd.date_range("2020-01-01", periods=50)]
    table = pd.DataFrame({"date": sorted(dates * 2), "size": walk(100), "rent": walk(100, 1)})
    table.loc[[90, 95], "date"] = ""
    table.to_csv("data.csv", index=False)
    outcome = dltool("init", "data.csv", "--out", "draft.yaml")
    assert yaml.safe_load(Path("draft.yaml").read_text())["data"]["split"]["order"] == "date"
    assert '2 rows without a "date" for training only' in outcome.stderr


def test_a_counter_is_no_input_of_a_series(drafted) -> None:
    hours = pd.date_range("2020-01-01", periods=200, freq="h")[::-1]
    table = pd.DataFrame({"unix": hours.astype("datetime64[s]").astype(np.int64), "date": hours, "level": walk(200)})
    config, _ = drafted(table)
    assert config["data"]["windows"]["order"] == "date"
    assert config["data"]["inputs"]["unix"] == "ignore"


@pytest.mark.parametrize(
    ("quantity", "other", "target"),
    [
        ("Weekly_Sales", walk(60, 1), "Weekly_Sales"),
        ("AveragePrice", ["north", "south"] * 30, "AveragePrice"),
        ("Rented Bike Count", ["Yes", "No"] * 30, "Rented Bike Count"),
        ("passenger_count", walk(60, 1), "other"),
        ("temperature", ["Yes", "No"] * 30, "other"),
    ],
)
def test_a_table_with_dates_predicts_the_number_that_it_is_called_for(drafted, quantity, other, target) -> None:
    dates = pd.date_range("2020-01-01", periods=60)
    config, _ = drafted(pd.DataFrame({"date": dates, quantity: walk(60), "other": other}))
    assert [*config["data"]["target"]] == [target]


def test_a_number_that_is_constant_in_each_series_is_not_the_target(drafted, dltool) -> None:
    dates = pd.date_range("2020-03-01", periods=40)
    each = [
        pd.DataFrame({"place": name, "date": dates, "cases": walk(40, seed), "population": 9_000 * (seed + 2)})
        for seed, name in enumerate("abc")
    ]
    config, _ = drafted(pd.concat(each))
    assert [*config["data"]["target"]] == ["cases"]
    assert '"population" is constant within each series' in dltool("init", "data.csv").stderr


def test_several_lines_of_names_as_pandas_writes_them_are_found(drafted, dltool) -> None:
    table = prices(60).set_index("Date")
    table.columns = pd.MultiIndex.from_product([table.columns, ["ACME"]], names=["Price", "Ticker"])
    table.to_csv("data.csv")
    outcome = dltool("init", "data.csv")
    assert outcome.code == 0, outcome.stderr
    config = yaml.safe_load(outcome.stdout)["data"]
    assert config["source"]["csv"]["skip_rows"] == [2, 3]
    assert config["source"]["csv"]["names"][0] == "Date"
    assert config["windows"]["order"] == "Date"


def test_numbers_of_rows_are_no_names_of_a_few_images_beside_the_table(drafted) -> None:
    Path("plots").mkdir()
    for number in range(5):
        Image.new("RGB", (8, 8)).save(f"plots/{number}.png")
    table = pd.DataFrame({"row": range(100), "date": pd.date_range("2020-01-01", periods=100), "level": walk(100)})
    config, _ = drafted(table)
    assert config["data"]["inputs"]["row"] == "ignore"


def prices(days: int) -> pd.DataFrame:
    close = walk(days)
    table = pd.DataFrame({"Date": pd.date_range("2018-01-01", periods=days, freq="B"), "Open": close - 0.1})
    return table.assign(High=close + 1, Low=close - 1, Close=close, Volume=np.arange(days) % 97)


@pytest.mark.slow
def test_a_draft_for_prices_trains_untouched_and_keeps_its_bound(dltool) -> None:
    prices(400).to_csv("data.csv", index=False)
    assert dltool("init", "data.csv", "--out", "mine.yaml").code == 0
    outcome = dltool("train", "mine.yaml")
    assert outcome.code == 0, outcome.stdout + outcome.stderr
