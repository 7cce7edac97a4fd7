"""Metrics that repeat the loss."""

from dltool.runs.repeats import repeats

LINE = {"epoch": 1, "loss": 4.0, "mse": 4.000001, "mae": 1.5, "val_loss": 5.0, "val_mse": 5.0, "val_mae": 2.0}


def test_the_loss_is_not_shown_beside_the_metric_of_its_values() -> None:
    assert repeats([LINE]) == {"loss", "val_loss"}


def test_the_monitored_loss_is_shown_and_the_metric_is_not() -> None:
    assert repeats([LINE], "val_loss") == {"mse", "val_mse"}


def test_a_metric_that_differs_once_repeats_nothing() -> None:
    assert repeats([LINE, {**LINE, "val_mse": 5.1}]) == frozenset()
    assert repeats([LINE, {"epoch": 2}]) == {"loss", "val_loss"}
    assert repeats([]) == repeats([{"epoch": 1.0, "loss": 1.0, "seconds": 1.0}]) == frozenset()


def test_each_of_several_outputs_has_a_loss_of_its_own() -> None:
    assert repeats([{"loss": 9.0, "a_loss": 4.0, "a_mse": 4.0, "b_loss": 5.0}]) == {"a_loss", "val_a_loss"}
