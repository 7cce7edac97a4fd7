"""Whether a model is significantly better than its baselines."""

import pytest

from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.findings import Baseline
from dltool.report.verdict import tiles, verdict

BASELINES = (Baseline("majority", "accuracy", 0.5), Baseline("logistic regression", "accuracy", 0.8))
ERRORS = (
    Baseline("mean", "mae", 3.0),
    Baseline("linear regression", "mae", 2.0),
    Baseline("none", "mae", None, "too many"),
    Baseline("this model", "mae", 0.5),
)


@pytest.mark.parametrize(
    ("metric", "interval", "baselines", "kind", "best"),
    [
        ("accuracy", Interval(0.9, 0.85, 0.95), BASELINES, "good", "logistic regression, has 0.8000"),
        ("accuracy", Interval(0.82, 0.78, 0.86), BASELINES, "unclear", "logistic regression, has 0.8000"),
        ("accuracy", Interval(0.8, 0.78, 0.86), BASELINES, "bad", "logistic regression, has 0.8000"),
        # What differs in the last bits of a float is the same.
        ("accuracy", Interval(0.8 + 1e-8, 0.78, 0.86), BASELINES, "bad", "logistic regression, has 0.8000"),
        ("accuracy", Interval(0.9), BASELINES, "good", "logistic regression, has 0.8000"),
        ("mae", Interval(1.5, 1.2, 1.9), ERRORS, "good", "linear regression, has 2.0000"),
        ("mae", Interval(1.8, 1.5, 2.1), ERRORS, "unclear", "linear regression, has 2.0000"),
        ("mae", Interval(2.5, 2.2, 2.9), ERRORS, "bad", "linear regression, has 2.0000"),
    ],
)
def test_the_best_baseline_decides(metric, interval, baselines, kind, best) -> None:
    found = verdict(tiles({metric: interval}, baselines), 100)
    assert found.kind == kind
    assert best in found.words
    assert "on 100 test examples" in found.words


def test_of_several_outputs_the_worst_decides() -> None:
    metrics = {"a_accuracy": Interval(0.9, 0.8, 1.0), "b_accuracy": Interval(0.4, 0.3, 0.5)}
    baselines = [Baseline("majority", name, 0.5) for name in metrics]
    found = verdict(tiles(metrics, baselines), 50)
    assert found.kind == "bad"
    assert "a_accuracy" in found.words
    assert "b_accuracy" in found.words


def test_without_a_baseline_or_a_test_nothing_is_claimed() -> None:
    assert verdict([], 0).words == "The model was not tested: its quality on new data is unknown."
    found = verdict(tiles({"accuracy": Interval(0.9, 0.8, 1.0)}, ()), 1)
    assert (found.kind, found.words.split(";")[0]) == (
        "unclear",
        "accuracy is 0.9000 (0.8000 to 1.0000) on 1 test example",
    )


def test_a_metric_that_only_the_baselines_have_is_compared_too() -> None:
    shown = tiles({"loss": Interval(0.3, 0.2, 0.4)}, ERRORS)
    assert [(tile.name, tile.interval) for tile in shown] == [("mae", Interval(0.5)), ("loss", Interval(0.3, 0.2, 0.4))]
    assert verdict(shown, 9).kind == "good"


@pytest.mark.parametrize(
    ("own", "name", "is_same"),
    [
        ("mae", "mean_absolute_error", True),
        ("left_mae", "left_mean_absolute_error", True),
        ("sparse_categorical_accuracy", "accuracy", True),
        ("mae", "right_mean_absolute_error", False),
    ],
)
def test_a_metric_by_another_name_is_the_one_of_the_baselines(own, name, is_same) -> None:
    measured = Interval(0.5, 0.4, 0.6)
    shown = tiles({own: measured}, [Baseline("simple", name, 0.7), Baseline("this model", name, 0.5)])
    assert (shown[0].name, shown[0].interval) == ((own, measured) if is_same else (name, Interval(0.5)))
    other = tiles({own: Interval(0.8)}, [Baseline("simple", name, 0.7), Baseline("this model", name, 0.5)])
    assert other[0].name == name


def test_interval_and_baselines_lie_in_their_order_in_the_drawing() -> None:
    (tile,) = tiles({"accuracy": Interval(0.9, 0.85, 0.95)}, BASELINES)
    low, value, high, best, worst = tile.strip
    assert 8 == worst < best < low < value < high == 192
