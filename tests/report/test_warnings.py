"""What of a run should make one doubt it."""

from typing import Any

import pytest

from dltool.evaluation.bootstrap import Interval
from dltool.report.leakage import leakage_finding
from dltool.report.warnings import data_findings, history_findings, wide_intervals


def lines(**columns: list[Any]) -> list[dict[str, Any]]:
    epochs = len(next(iter(columns.values())))
    return [{"epoch": i + 1, **{name: values[i] for name, values in columns.items()}} for i in range(epochs)]


def kinds(*arguments, **options) -> list[str]:
    return [finding.kind for finding in history_findings(*arguments, **options)]


GOOD = lines(
    loss=[1.0, 0.5, 0.4, 0.39, 0.38], val_loss=[1.1, 0.6, 0.5, 0.49, 0.491], accuracy=[0.5, 0.8, 0.8, 0.8, 0.8]
)


def test_a_good_training_gives_no_reason_to_doubt() -> None:
    assert kinds(GOOD, 4, "runs/a/1", stopped_early=False) == []
    assert kinds([], None, "runs/a/1", stopped_early=False) == []


def test_a_validation_loss_that_has_turned_is_over_fitting() -> None:
    turned = lines(loss=[1.0, 0.5, 0.3, 0.1, 0.05], val_loss=[0.9, 0.6, 0.7, 0.8, 0.9])
    (found,) = history_findings(turned, 2, "runs/a/1", stopped_early=False)
    assert found.kind == "over-fitting"
    assert "lowest, 0.6000, in epoch 2, and rose to 0.9000" in found.words


def test_a_validation_loss_that_rises_with_the_training_loss_is_none() -> None:
    both = lines(loss=[1.0, 0.5, 0.7, 0.8], val_loss=[0.9, 0.6, 0.8, 0.9])
    assert kinds(both, 2, "runs/a/1", stopped_early=False) == []


def test_accuracy_far_better_in_training_than_in_validation_is_said() -> None:
    apart = lines(loss=[1.0, 0.5], accuracy=[0.9, 0.99], val_accuracy=[0.8, 0.85])
    assert kinds(apart, 1, "runs/a/1", stopped_early=False) == ["gap"]


def test_a_best_epoch_that_is_the_last_asks_for_more() -> None:
    (found,) = history_findings(GOOD, 5, "'runs/a b/1'", stopped_early=False)
    assert (found.kind, found.is_note) == ("short", True)
    assert found.next_step == "Train longer: dltool resume 'runs/a b/1' --epochs 10"
    assert kinds(GOOD, 5, "runs/a/1", stopped_early=True) == []


def test_a_loss_that_never_falls_is_no_learning() -> None:
    assert kinds(lines(loss=[0.7, 0.7, 0.71]), 1, "runs/a/1", stopped_early=False) == ["no learning"]


@pytest.mark.parametrize("loss", [[None, 0.5], [float("nan"), float("nan")], ["a", "b"]])
def test_damaged_lines_give_no_reason_and_no_error(loss) -> None:
    assert kinds(lines(loss=loss, val_loss=[True, None]), 1, "runs/a/1", stopped_early=False) == []


SIZES = {"training": 600, "validation": 100, "test": 200}


def test_classes_of_very_different_size_are_named_unless_they_are_weighted() -> None:
    classes = {"rare": (10, 1, 1), "often": (590, 99, 199)}
    (found,) = data_findings([classes], False, SIZES, ())
    assert found.words == "The training split has 590 examples of often and 10 of rare."
    assert list(data_findings([classes], True, SIZES, ())) == []


def test_parts_that_are_missing_or_small_are_named() -> None:
    found = data_findings([], False, {"training": 9, "validation": 0, "test": 0}, ())
    assert [each.kind for each in found] == ["no validation", "no test"]
    few = data_findings([], False, {**SIZES, "test": 30}, ["7 rows repeat"])
    assert [each.words for each in few] == [
        "The test split has 30 examples: expect wide intervals.",
        "7 rows repeat.",
    ]


def test_a_wide_interval_of_an_accuracy_is_said() -> None:
    metrics = {"accuracy": Interval(0.8, 0.7, 0.9), "loss": Interval(5.0, 1.0, 9.0), "top_accuracy": Interval(0.8)}
    assert [found.title for found in wide_intervals(metrics)] == ["accuracy has a wide interval"]


@pytest.mark.parametrize(("column", "written"), [("leak", "leak"), ("a: b", '"a: b"'), ("[/foo]", '"[/foo]"')])
def test_a_suspect_is_ignored_by_what_its_finding_says(column, written) -> None:
    found = leakage_finding(column, "target", "predicts 99.0% of unseen rows correctly")
    assert found.next_step.endswith(f"data.inputs: {{{written}: ignore}}")
    assert found.words.startswith("A rule that predicts the target from ")
