"""Configs with folds and seeds that contradict themselves are refused at their line, before the data is read."""

import pytest
from tests.bad_configs import GOOD

SPLIT = "{validation: 0.2, test: 0.2}"
STATIC = {
    "one fold": "{folds: 1}",
    "repeats without folds": "{repeats: 3}",
    "one repeat": "{folds: 5, repeats: 1}",
    "repeats in order": "{folds: 5, repeats: 2, order: time}",
    "classes in order": "{folds: 5, order: time, stratify: true}",
    "gap without order": "{folds: 5, gap: 3}",
    "window without folds": "{order: time, window: 10}",
    "fold beyond the last": "{folds: 5, fold: 6}",
    "fold without repeat": "{folds: 5, repeats: 2, fold: 3}",
    "too many folds": "{folds: 50, repeats: 3}",
    "test beside a column of folds": "{folds: 5, column: fold, test: 0.2}",
}


@pytest.fixture
def check(dltool, golden, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(name: str, text: str) -> None:
        (tmp_path / "example.yaml").write_text(text, encoding="utf-8")
        outcome = dltool("check", "example.yaml")
        assert outcome.code == 2
        golden(f"folds/{name.replace(' ', '-')}", outcome.stderr)

    return run


@pytest.mark.parametrize("name", STATIC)
def test_a_split_that_contradicts_itself_is_refused(check, name) -> None:
    check(name, GOOD.replace(SPLIT, STATIC[name]))


def test_folds_with_all_their_seeds_are_bounded(check) -> None:
    text = GOOD.replace(SPLIT, "{folds: 5, repeats: 4}").replace("epochs: 2", "epochs: 2\n  seeds: 6")
    check("too many folds with seeds", text)


def test_one_seed_is_refused(check) -> None:
    check("one seed", GOOD.replace("epochs: 2", "epochs: 2\n  seeds: 1"))


def test_seeds_need_a_test(check) -> None:
    check("seeds without a test", GOOD.replace(", test: 0.2", "").replace("epochs: 2", "epochs: 2\n  seeds: 3"))


def test_a_final_model_needs_folds(check) -> None:
    check("final without folds", GOOD.replace(SPLIT, f"{SPLIT}\n  final: none"))


def test_a_fold_alone_has_no_other_final_model(check) -> None:
    check("final of one fold", GOOD.replace(SPLIT, "{folds: 5, fold: 3}\n  final: none"))


@pytest.mark.parametrize(
    "learning",
    [
        "checkpoint: {monitor: accuracy}",
        "callbacks: [EarlyStopping]",
        "callbacks: [{ReduceLROnPlateau: {monitor: loss}}]",
    ],
)
def test_without_validation_nothing_may_choose_the_epoch_by_the_tested_fold(check, learning) -> None:
    text = GOOD.replace(SPLIT, "{folds: 5}").replace("epochs: 2", f"epochs: 2\n  {learning}")
    check(f"monitor {learning.split(':')[0]} {'plateau' if 'Plateau' in learning else ''}".strip(), text)
