"""`data.split.use`: a fraction of the training rows, smaller ones within larger ones."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltool.config.load import build_config, read_document
from dltool.data.checked import checked_config
from dltool.data.dataset import Dataset, load_data
from dltool.data.split.subset import in_shares, latest, whole_groups
from dltool.errors import ConfigError

SEEDS = st.integers(0, 2**32 - 1)
CODES = st.lists(st.integers(0, 6), min_size=1, max_size=120).map(
    lambda codes: np.unique(codes, return_inverse=True)[1]
)


@given(CODES, st.data(), SEEDS)
def test_fewer_rows_are_some_of_more_rows_whatever_chooses_them(codes, data, seed):
    few, many = sorted(data.draw(st.lists(st.integers(1, len(codes)), min_size=2, max_size=2)))
    rows = np.arange(len(codes))
    for chosen in (
        lambda most: in_shares(codes, most, seed),
        lambda most: latest(codes, rows, most),
        lambda most: whole_groups(codes, rows, most, seed),
    ):
        assert set(chosen(few)) <= set(chosen(many))
        assert len(set(chosen(few))) == len(chosen(few))


@given(CODES, st.data(), SEEDS)
def test_classes_keep_their_shares(codes, data, seed):
    most = data.draw(st.integers(1, len(codes)))
    counts, shares = np.bincount(codes[in_shares(codes, most, seed)], minlength=7), np.bincount(codes, minlength=7)
    assert counts.sum() == most
    # Rounding each class up or down can leave or lack half a row a class, which the others share.
    bound = 0.5 + shares / len(codes) * len(np.unique(codes)) / 2
    assert np.all(np.abs(counts - shares * most / len(codes)) <= bound + 1e-9)


@given(CODES, st.data(), SEEDS)
def test_groups_stay_whole_and_the_nearest_number_of_them_is_used(codes, data, seed):
    most = data.draw(st.integers(1, len(codes)))
    kept = whole_groups(codes, np.arange(len(codes)), most, seed)
    assert len(kept)
    assert len(kept) == np.isin(codes, codes[kept]).sum()
    smallest = min(np.bincount(codes)[codes[kept]])
    assert len(np.unique(codes[kept])) == 1 or len(kept) - most <= max(np.bincount(codes)) / 2
    assert len(kept) == len(codes) or most - len(kept) <= max(np.bincount(codes)) / 2
    assert smallest <= len(kept)


def test_the_seed_chooses_the_rows_and_they_stay_the_same_across_versions():
    codes = np.arange(20) % 3
    assert sorted(in_shares(codes, 6, 42)) != sorted(in_shares(codes, 6, 43))
    assert sorted(in_shares(codes, 6, 42)) == [0, 2, 4, 13, 14, 18]


TABLE = """\
name: flats
data:
  source: {csv: flats.csv}
  target: kind
  split: {validation: 0.2, test: 0.2}
model: {layers: [Dense: {units: $classes, activation: softmax}]}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, epochs: 1}
"""
WINDOWS = ("data.target=null", "data.windows={length: 2, target: price, order: day, key: town}")


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., Dataset]:
    rows = [f"{day},{'ab'[day % 2]},{day % 9},{'xyz'[day % 3]},{day * 7 % 10}" for day in range(60)]
    (tmp_path / "flats.csv").write_text("day,town,house,kind,price\n" + "\n".join(rows) + "\n", "utf-8")
    (tmp_path / "flats.yaml").write_text(TABLE, "utf-8")

    def load(*settings: str) -> Dataset:
        config = build_config(read_document(tmp_path / "flats.yaml", settings))
        return load_data(config.data, config.seed)

    return load


@pytest.mark.parametrize("settings", [(), ("data.split.order=day",), ("data.split.group=house",), WINDOWS])
def test_validation_and_test_stay_the_same(loaded, settings: Sequence[str]):
    whole, half = loaded(*settings), loaded(*settings, "data.split.use=0.5")
    assert np.array_equal(half.split.validation, whole.split.validation)
    assert np.array_equal(half.split.test, whole.split.test)
    assert set(half.split.train) < set(whole.split.train)
    assert half.facts.examples == len(half.split.train)
    assert half.fingerprint == whole.fingerprint


def test_another_seed_draws_other_rows_of_the_same_split(loaded):
    first, other = (loaded("data.split={test: 0.2, seed: 3, use: 0.5}", f"seed={seed}").split for seed in (1, 2))
    assert np.array_equal(first.test, other.test)
    assert len(first.train) == len(other.train)
    assert not np.array_equal(first.train, other.train)


@pytest.mark.parametrize("settings", [("data.split.order=day",), WINDOWS])
def test_the_latest_rows_are_used_of_an_order_and_of_windows(loaded, settings):
    whole, few = loaded(*settings), loaded(*settings, "data.split.use=0.25")
    day = whole.all.places.get("target day", np.arange(60))
    left_out = np.setdiff1d(whole.split.train, few.split.train)
    assert day[few.split.train].min() >= day[left_out].max()


def test_a_category_that_only_rows_left_out_have_is_no_error(loaded):
    strict = ("data.inputs={town: {category: {unknown: error}}}", "data.split={order: day, test: 0.2, use: 0.021}")
    assert len(loaded(*strict).split.train) == 1


def test_the_facts_of_a_built_in_set_count_the_rows_used(tmp_path):
    (tmp_path / "digits.yaml").write_text(TABLE.replace("{csv: flats.csv}", "digits").replace("target: kind", ""))
    document = read_document(tmp_path / "digits.yaml", ["data.split.use=0.1"])
    _, facts = checked_config(document)
    assert facts is not None
    assert facts.examples == 108 == round(0.1 * round(0.6 * 1797))


def test_a_fraction_of_no_row_is_refused(loaded):
    with pytest.raises(ConfigError, match=r"0\.001 of 36 training examples is no example at all"):
        loaded("data.split.use=0.001")


@pytest.mark.parametrize(
    ("value", "words"),
    [("0", "above 0"), ("1.5", "at most 1"), ("half", "expected a number, got the string"), ("-1", "above 0")],
)
def test_what_is_no_fraction_is_refused_at_its_place(dltool, tmp_path, value, words):
    (tmp_path / "flats.yaml").write_text(TABLE.replace("test: 0.2}", f"test: 0.2, use: {value}}}"), "utf-8")
    outcome = dltool("check", tmp_path / "flats.yaml")
    assert outcome.code == 2
    assert "flats.yaml:5:44: data.split.use: " in outcome.stderr
    assert words in outcome.stderr
