"""What stands out among folds or seeds: one far from the others, and best epochs that vary."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from dltool.folds.part_section import best_epoch_findings, figures, outliers
from dltool.runs.files import Run
from dltool.runs.part_records import MetricSpread, PartResults

OTHERS = [0.90, 0.91, 0.89, 0.92]
RUNS = {f"fold {number}": Run(Path("runs/a/0001/folds") / str(number)) for number in range(1, 6)}


def worse(metric: str, value: float) -> list[str]:
    spread = MetricSpread(each=[*OTHERS[:2], value, *OTHERS[2:]])
    return [finding.title for finding in outliers({metric: spread}, RUNS)]


@pytest.mark.parametrize(("metric", "sign"), [("accuracy", -1), ("loss", 1)])
def test_a_fold_outside_the_prediction_interval_of_the_others_is_a_finding(metric: str, sign: int) -> None:
    # One in a hundred runs of five equal folds has such a fold.
    bound = stats.t.ppf(1 - 0.01 / 5 / 2, 3) * np.std(OTHERS, ddof=1) * np.sqrt(1 + 1 / 4)
    assert worse(metric, float(np.mean(OTHERS) + sign * bound * 0.99)) == []
    assert worse(metric, float(np.mean(OTHERS) + sign * bound * 1.01)) == ["Fold 3 is much worse than the others"]
    assert worse(metric, float(np.mean(OTHERS) - sign * bound * 3)) == [], "a better fold is no finding"


def test_the_finding_names_the_fold_to_look_at() -> None:
    (finding,) = outliers({"accuracy": MetricSpread(each=[*OTHERS[:2], 0.4, *OTHERS[2:]])}, RUNS)
    assert finding.words == (
        "accuracy is 0.4000 in fold 3, 39.1 standard deviations of the others worse than their mean 0.9050."
    )
    assert finding.next_step == "Look at its worst errors: dltool evaluate runs/a/0001/folds/3"


@pytest.mark.parametrize(("epochs", "is_found"), [([3, 12, 38], True), ([30, 33, 38], False), ([1, 2, 4], False)])
def test_best_epochs_that_vary_are_a_note(epochs: list[int], is_found: bool) -> None:
    found = [*best_epoch_findings(PartResults.model_validate({"best_epochs": epochs}))]
    assert bool(found) is is_found
    assert all(finding.is_note and "between 3 and 38" in finding.words for finding in found)


@pytest.mark.parametrize(("monitor", "curve"), [("val_mean_iou", "val_mean_iou"), ("epoch", "loss")])
def test_the_curves_are_those_that_chose_the_best_epochs(tmp_path: Path, monitor: str, curve: str) -> None:
    lines = [{"epoch": epoch, "loss": 1 / epoch, "val_loss": 2 / epoch, "val_mean_iou": 0.1} for epoch in (1, 2)]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    best = {"epoch": 1, "monitor": monitor, "value": 0.1}
    (tmp_path / "results.json").write_text(json.dumps({"status": "completed", "best": best}))
    (figure,) = figures(PartResults(best_epochs=[1]), {}, {"fold 1": Run(tmp_path)})
    assert figure.title == f"{curve} by epoch, of each part"
