"""What a learning curve says: the error that it measures, and what more rows would bring."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltool.commands.curve import sizes_of
from dltool.console.results import show
from dltool.curve.outcome import CurveOutcome, CurvePoint, Quantity, mean_of, outcome_of, quantities
from dltool.errors import ConfigError
from dltool.evaluation.bootstrap import Interval, mean_intervals

ROWS = (30, 60, 120, 240, 480)
ERROR = Quantity("accuracy", is_rest=True)


def found(means: "np.ndarray | list[float]", quantity: Quantity = ERROR, noise: float = 0.02) -> CurveOutcome:
    points = [
        CurvePoint(rows, quantity, Interval(mean * (1 + noise * (seed - 0.5)), mean / 2, 2 * mean), "150 test examples")
        for seed in (0, 1)
        for rows, mean in zip(ROWS, means, strict=False)
    ]
    return outcome_of(Path("runs/iris/curve-0001"), points, 4)


LAW = 0.02 + 0.03 * (np.array(ROWS) / 480) ** -0.7


def test_what_more_rows_bring_is_said_with_its_band():
    words = found(LAW).words
    assert words.startswith("with 4 times the rows: 3.1 % error (")
    assert words.endswith("), now 5.0 %")


def test_a_flat_curve_is_called_flat():
    assert found([0.2] * 5).words.startswith("the curve is flat, more rows of this kind will not help; with 4 times")


def test_runs_that_scatter_decide_nothing():
    outcome = found(LAW, noise=1.2)
    assert outcome.words.startswith("it is not clear whether more rows will help; with 4 times the rows")
    assert not outcome.is_clear


def test_fewer_than_four_sizes_predict_nothing():
    outcome = found(LAW[:3])
    assert outcome.words == ("9.9 % error now; to predict that of more rows takes 4 sizes of different errors above 0")
    assert outcome.record()["predicted"] is None


def test_the_band_is_that_of_the_runs_and_the_choice_of_the_test_examples_is_said_beside_it():
    assert found(LAW).measured == (
        "error (1 - accuracy) of all sizes on the same 150 test examples; "
        "on others, that of all rows may be 2.5 % to 10.0 %"
    )


def test_the_interval_for_other_examples_is_that_of_all_seeds():
    """Not of the first run alone, nor narrower than a bootstrap of the mean of the seeds."""
    rng = np.random.default_rng(0)
    difficulty = rng.random(300)
    misses = [(rng.random(300) < difficulty * share).astype(float) for share in (0.2, 0.4, 0.6)]
    each = [mean_intervals({"error": miss}, 0)["error"] for miss in misses]
    together, exact = mean_of(each), mean_intervals({"error": np.mean(misses, axis=0)}, 0)["error"]
    assert together.value == pytest.approx(exact.value)
    bounds = np.array([(found.low, found.high) for found in (together, exact, *each)], float)
    assert bounds[0, 0] <= bounds[1, 0] < bounds[1, 1] <= bounds[0, 1]
    assert bounds[0] == pytest.approx(bounds[2:].mean(axis=0))
    assert mean_of([Interval(0.1, 0.0, 0.2), Interval(0.3)]) == Interval(0.2)
    points = [CurvePoint(90, ERROR, interval, "300 test examples") for interval in each]
    assert outcome_of(Path("curve-0001"), points, 4).last.interval == together


def test_other_quantities_have_their_names():
    words = found(10 * LAW, Quantity("mean_absolute_error", is_rest=False)).words
    assert words.startswith("with 4 times the rows: mean_absolute_error 0.31")
    assert "%" not in words


@pytest.mark.parametrize(
    ("metrics", "label"),
    [
        (["loss", "accuracy"], "error"),
        (["loss", "sparse_categorical_accuracy"], "error"),
        (["loss", "auc", "accuracy"], "1 - auc"),
        (["loss", "mean_absolute_error"], "mean_absolute_error"),
        (["loss", "true_positives", "f1_score"], "1 - f1_score"),
        (["loss", "my_own"], "loss"),
        (["loss"], "loss"),
        (["loss", "a_loss", "b_loss", "a_accuracy"], "loss"),
    ],
)
def test_the_first_metric_that_is_an_error_is_measured_else_the_loss(metrics, label):
    assert next(quantities(metrics)).label == label


@given(st.integers(40, 10**6), st.integers(2, 20))
def test_sizes_ascend_to_all_rows_by_at_most_two_and_begin_with_enough(rows, count):
    sizes = sizes_of(rows, count)
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == rows
    assert sizes[0] >= 20
    assert len(sizes) <= count
    assert all(many <= 2 * few + 1 for few, many in pairwise(sizes))


def test_sizes_are_halves_where_there_are_enough_rows():
    assert sizes_of(1168, 6) == [36, 73, 146, 292, 584, 1168]
    with pytest.raises(ConfigError, match="takes at least 40 training examples, and there are 39"):
        sizes_of(39, 2)


def test_the_console_shows_each_size_and_the_sentence(capsys):
    show(found(LAW), as_json=False)
    printed = capsys.readouterr().out
    assert "           30  22.9 %  22.7 %   23.1 %      2" in printed
    assert found(LAW).words in printed
    assert "see   runs/iris/curve-0001/curve.html" in printed


def test_a_quiet_curve_prints_nothing(capsys):
    show(found(LAW), as_json=False, is_quiet=True)
    assert capsys.readouterr() == ("", "")


def test_the_numbers_are_one_document(capsys):
    show(found(LAW), as_json=True)
    record = json.loads(capsys.readouterr().out)
    assert [size["rows"] for size in record["sizes"]] == list(ROWS)
    assert record["predicted"]["rows"] == 1920
    assert record["law"]["unit"] == 480


@pytest.mark.parametrize("means", [LAW, LAW[:3], [0.2, 0.1, 0.05, 0.0, 0.0]], ids=["law", "few sizes", "no error"])
def test_the_page_has_the_sentence_the_figure_and_the_numbers(means):
    from dltool.curve.curve_page import html

    page = html(found(means))
    assert "would more data help?" in page
    assert found(means).words[1:] in page
    assert page.count("<figure>") == 1
    assert page.count("<tr>") == len(means) + 1
