"""The positive class and the decision threshold of a run, from its config to its predictions."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sk

CONFIG = """\
data:
  source: {csv: own.csv}
  inputs: {a: number, b: number}
  target: {health: {category: {positive: ill}}}
  split: {validation: 0.3, test: 0.3}
model:
  layers: [{Dense: {units: 1, activation: sigmoid}}]
training:
  optimizer: {Adam: 0.02}
  loss: binary_crossentropy
  metrics: [accuracy, Recall, F1Score, AUC]
  threshold: balanced_accuracy
  epochs: 2
"""


@pytest.fixture
def run(finished, tmp_path) -> Path:
    random = np.random.default_rng(0)
    values = random.normal(size=(400, 2)).round(3)
    are_ill = values[:, 0] + 0.7 * values[:, 1] + random.normal(size=400) > 1.2
    rows = [f"{a},{b},{'ill' if ill else 'well'}" for (a, b), ill in zip(values, are_ill, strict=True)]
    (tmp_path / "own.csv").write_text("\n".join(["a,b,health", *rows]) + "\n", encoding="utf-8")
    return finished(CONFIG)


def results(run: Path):
    return json.loads((run / "results.json").read_text("utf-8"))


def probabilities(run: Path, dltool, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return whether examples of a split are ill, are predicted as ill, and the probability of it."""
    assert dltool("evaluate", run, "--split", split).code == 0
    rows = [*csv.DictReader(io.StringIO((run / "evaluation" / split / "predictions.csv").read_text("utf-8")))]
    are, predicted = (np.array([row[key] == "ill" for row in rows]) for key in ("target", "prediction"))
    return are, predicted, np.array([row["probability of ill"] for row in rows], np.float32)


@pytest.mark.slow
def test_the_threshold_is_chosen_on_validation_and_used_everywhere(run, dltool, tmp_path) -> None:
    record = results(run)["thresholds"]["output"]
    threshold = np.float32(record["value"])
    assert record["metric"] == "balanced_accuracy"
    are, _, chances = probabilities(run, dltool, "validation")
    best = max(sk.balanced_accuracy_score(are, chances > edge) for edge in [0, *chances])
    assert sk.balanced_accuracy_score(are, chances > threshold) == pytest.approx(best)
    test, predicted, chances = probabilities(run, dltool, "test")
    assert (predicted == (chances > threshold)).all()
    assert (predicted != (chances > 0.5)).any()
    found = results(run)["test"]
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(test, predicted))
    assert found["recall"] == pytest.approx(sk.recall_score(test, predicted))
    assert found["f1_score"] == pytest.approx(sk.f1_score(test, predicted))
    assert found["auc"] == pytest.approx(sk.roc_auc_score(test, chances), abs=0.01)
    rows = [*csv.DictReader(io.StringIO(dltool("predict", run, tmp_path / "own.csv").stdout))]
    assert all((row["class"] == "ill") == (np.float32(row["probability of ill"]) > threshold) for row in rows)
    table = json.loads((run / "evaluation/test/metrics.json").read_text("utf-8"))["outputs"][0]["table"]
    assert [row["class"] for row in table] == ["well", "ill"]
    assert table[1]["recall"] == pytest.approx(found["recall"])


@pytest.mark.slow
def test_the_threshold_is_shown_as_what_it_is(run, dltool) -> None:
    record = results(run)["thresholds"]["output"]
    words = f"hreshold {record['value']:.4f}, chosen on validation by balanced_accuracy"
    assert f"t{words}\n" in dltool("evaluate", run).stdout
    outcome = json.loads(dltool("evaluate", run, "--json").stdout)
    assert (outcome["metrics"], outcome["thresholds"]) == (results(run)["test"], {"output": record})
    assert dltool("report", run).code == 0
    assert f"T{words}: a higher probability of ill predicts it." in (run / "report.html").read_text("utf-8")
    (output,) = json.loads((run / "report.json").read_text("utf-8"))["outputs"]
    assert output["table"][1]["recall"] == pytest.approx(results(run)["test"]["recall"])


@pytest.mark.slow
def test_a_damaged_threshold_is_refused(run, dltool) -> None:
    record = results(run)
    for value in (1.5, "high", None, {"ill": 0.5}):
        record["thresholds"]["output"]["value"] = value
        (run / "results.json").write_text(json.dumps(record), encoding="utf-8")
        outcome = dltool("evaluate", run)
        assert outcome.code != 0
        assert "the threshold of the output is missing or invalid" in outcome.stderr
    (run / "results.json").unlink()
    record = json.loads((run / "run.json").read_text("utf-8"))
    (run / "run.json").write_text(json.dumps(record | {"status": "interrupted"}), encoding="utf-8")
    assert "thresholds are chosen when a run is complete: 0.5 here" in dltool("evaluate", run).stderr


@pytest.mark.slow
def test_a_run_with_a_threshold_is_reproduced(run, dltool) -> None:
    assert "identical" in dltool("reproduce", run).stdout
