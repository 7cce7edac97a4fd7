"""What a run keeps of its data, and how drift is found in it."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from scipy import stats

from dltool.data.arrays.rows import Coded, coded
from dltool.errors import RunError
from dltool.evaluation.kept_distributions import LEAST_ROWS, all_binned, binned, drift_of, drifts, read_kept

LETTERS = list("abcdefgh")
SHARES = [0.4, 0.2, 0.15, 0.1, 0.05, 0.05, 0.03, 0.02]


def letters(rows: int, random: np.random.Generator) -> Coded:
    return coded(random.choice(LETTERS, rows, p=SHARES))


@pytest.mark.proof
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["numbers", "counts", "letters"])
def test_p_values_are_uniform_without_drift(kind: str) -> None:
    random = np.random.default_rng(3)
    make: Any = {
        "numbers": lambda rows: random.normal(size=rows),
        "counts": lambda rows: np.asarray(random.poisson(2, rows), float),
        "letters": lambda rows: letters(rows, random),
    }[kind]
    found = [drifts({kind: binned(make(3000))}, {kind: make(400)}, seed)[0].p for seed in range(60)]
    assert stats.kstest(found, "uniform").pvalue > 0.001
    assert sum(p < 0.05 for p in found) <= 9


@pytest.mark.proof
def test_a_shift_of_a_third_of_a_deviation_in_a_thousand_rows_is_found_and_named() -> None:
    random = np.random.default_rng(0)
    names = [f"column {number}" for number in range(20)]
    kept = {name: binned(random.normal(10, 2, 5000)) for name in names} | {"letters": binned(letters(5000, random))}
    for _ in range(2):
        new: dict[str, Any] = {name: random.normal(10, 2, 1000) for name in names}
        new |= {"letters": letters(1000, random), "column 7": new["column 7"] + 0.3 * 2}
        found = drifts(kept, new, 0)
        assert [each.name for each in found if each.is_significant] == ["column 7"]
        assert found[0].change.startswith("median 10")
        # The distance of normal distributions.
        assert found[0].distance == pytest.approx(2 * stats.norm.cdf(0.15) - 1, abs=0.04)


def test_new_values_missing_values_and_other_shares_are_found() -> None:
    random = np.random.default_rng(0)
    numbers, texts = random.normal(size=2000), letters(2000, random)
    kept = {"numbers": binned(numbers), "texts": binned(texts)}
    gaps = np.where(random.random(500) < 0.2, np.nan, random.normal(size=500))
    found = {
        each.name: each for each in drifts(kept, {"numbers": gaps, "texts": coded(["new"] * 100 + ["a"] * 400)}, 0)
    }
    assert found["numbers"].is_significant
    assert list(found["numbers"].missing) == pytest.approx([0.0, 0.2], abs=0.05)
    assert found["texts"].is_significant
    assert found["texts"].change.endswith("→ 80.0%")
    (only,) = drifts(kept, {"texts": coded(["new"] * 500)}, 0)
    assert only.change == "other values: 0.0% → 100.0%"
    # Up to nine rows may have been other values.
    assert only.distance == pytest.approx(1, abs=0.01)
    few = binned(coded(["a"] * 14 + ["b"] * 6))
    assert few.rows == 14
    assert drift_of("texts", few, coded(["a"] * 14 + ["b"] * 6), 0).distance == pytest.approx(0, abs=0.01)


def test_no_row_can_be_read_from_what_is_kept() -> None:
    random = np.random.default_rng(0)
    incomes = np.exp(random.normal(10, 1, 3000))
    kept = binned(incomes)
    assert min(kept.counts) >= LEAST_ROWS
    assert sum(kept.counts) == kept.rows == 3000
    assert not {*kept.edges} & {*incomes.tolist()}
    assert incomes.min() < kept.edges[0] < kept.edges[-1] < incomes.max()
    rare = binned(coded(["common"] * 500 + ["Dr. Rare"] * 9))
    assert "Rare" not in json.dumps(asdict(rare))
    assert rare.values == ["common"]
    assert binned(incomes[:19]).edges == []
    # The number of rows does not tell of those that are left out.
    assert rare.rows == 500
    gaps = np.where(np.arange(3000) < 9, np.nan, incomes)
    assert (binned(gaps).rows, binned(gaps).missing) == (2991, 0)
    assert binned(np.where(np.arange(3000) < 10, np.nan, incomes)).missing == 10
    few = binned(np.where(np.arange(3000) < 9, incomes, np.nan))
    assert (few.rows, few.missing, few.counts) == (2991, 2991, [0])
    assert all_binned({"few": incomes[:9], "many": incomes}).keys() == {"many"}
    assert binned(np.full(50, 3.0)).edges == []
    assert len(json.dumps(asdict(kept))) < 3000


def test_the_share_below_each_edge_is_exact() -> None:
    numbers = np.random.default_rng(0).poisson(3, 1000).astype(float)
    kept = binned(numbers)
    assert np.cumsum(kept.counts)[:-1].tolist() == [int((numbers <= edge).sum()) for edge in kept.edges]


@pytest.mark.parametrize(
    "damage", [{"counts": [1]}, {"counts": "x"}, {"rows": -1}, {"missing": 9999}, {"rows": 10**12}, {"edges": [1.0]}]
)
def test_a_damaged_record_is_refused(damage: dict[str, object]) -> None:
    record = {"age": asdict(binned(np.arange(500.0)))}
    assert read_kept(json.loads(json.dumps(record)), "file")["age"].rows == 500
    with pytest.raises(RunError, match="damaged"):
        read_kept({"age": {**record["age"], **damage}}, "file")


def test_days_drift_and_are_written_as_dates() -> None:
    days = np.datetime64("2020-01-01", "D").astype(np.int64) + np.random.default_rng(0).integers(0, 365, 2000)
    unknown = np.int64(np.iinfo(np.int64).min)
    found = drift_of("when", binned(days), np.append(days[:500] + 366, unknown), 0)
    assert found.is_significant
    assert found.distance == pytest.approx(1, abs=0.02)
    before, after = found.change.removeprefix("median ").split(" → ")
    assert abs(np.datetime64(before) - np.median(days).astype("datetime64[D]")) <= np.timedelta64(10, "D")
    assert after == str(np.median(days[:500] + 366).astype("datetime64[D]"))
    assert not drift_of("when", binned(days), days[:500], 0).is_significant
