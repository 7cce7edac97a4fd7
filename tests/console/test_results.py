from pathlib import Path

import pytest
from rich.cells import cell_len

from dltool.commands.export import ExportForecast
from dltool.console.results import best_words, metric_lines, show
from dltool.exporting.foreseen import Forecast

RESULTS = {
    "test": {"loss": 0.03041, "accuracy": 0.99164, "f1_score": 0.98},
    "intervals": {"loss": [0.0182, 0.0441], "accuracy": [0.97772, 0.99721]},
}


def test_test_metrics_have_their_intervals() -> None:
    assert metric_lines(RESULTS, 200) == [
        "test  loss 0.0304 (0.0182 to 0.0441)  accuracy 0.9916 (0.9777 to 0.9972)  f1_score 0.9800"
    ]


def test_without_intervals_there_are_the_values_alone() -> None:
    assert metric_lines({"test": {"loss": 0.5}}, 80) == ["test  loss 0.5000"]
    assert metric_lines({"test": {}}, 80) == []


@pytest.mark.parametrize("width", [40, 60, 80])
def test_lines_are_broken_between_metrics(width) -> None:
    lines = metric_lines(RESULTS, width)
    assert len(lines) > 1
    assert all(cell_len(line) <= max(width, 42) for line in lines)
    assert all(line.startswith("      ") for line in lines[1:])


def test_the_best_epoch_is_named_or_that_there_is_none() -> None:
    best = {"epoch": 2, "monitor": "val_loss", "value": 0.25}
    assert best_words({"epochs": 3, "best": best}) == "best epoch 2 of 3 by val_loss (0.2500)"
    last = {"epoch": 3, "monitor": "epoch", "value": 3.0}
    assert best_words({"epochs": 3, "best": last}) == "the last of 3 epochs counts: there is no validation split"
    unfitted = {"epochs": 0, "best": {"epoch": None, "monitor": None, "value": None}}
    assert best_words(unfitted) == "no model of its own beside its folds"
    assert best_words({**unfitted, "ensemble": 15}) == "the mean of 15 models"
    none = {"epoch": None, "monitor": "val_loss", "value": None}
    assert best_words({"epochs": 3, "best": none}) == "no best epoch of 3: val_loss was never a number"


def test_a_run_that_no_format_fits_says_why_of_each(capsys) -> None:
    show(
        ExportForecast(Path("runs/a/0001"), (Forecast("onnx", why="no form"), Forecast("litert", why="no form"))),
        as_json=False,
    )
    assert capsys.readouterr().out.splitlines() == ["onnx         no   no form", "litert       no   no form"]
    show(ExportForecast(Path("runs/a/0001"), (Forecast("onnx", why="no form"), Forecast("saved_model"))), as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == "next  dltool export runs/a/0001 saved_model"
