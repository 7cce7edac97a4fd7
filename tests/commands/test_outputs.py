"""Several outputs through the command line, and a model that restores its input."""

import csv
import io
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

TABLE = """\
name: example
data:
  source: {csv: people.csv}
  target: {kind: category, size: number}
  split: {validation: 0.2, test: 0.2}
model:
  layers:
    - Dense: {units: 6, activation: relu, name: trunk}
    - Dense: {units: $classes, activation: softmax, name: kind}
    - Dense: {units: 1, from: trunk, name: size}
  outputs:
    kind: {loss: sparse_categorical_crossentropy, metrics: [accuracy]}
    size: {loss: mse, metrics: [mae], weight: 0.5}
training:
  optimizer: adam
  batch_size: 16
  epochs: 2
  callbacks: [{ReduceLROnPlateau: {monitor: val_size_mae, patience: 1}}]
  checkpoint: {monitor: val_kind_accuracy}
expect: {kind_accuracy: ">= 0", val_size_loss: ">= 0"}
"""
RESTORING = """\
name: example
data:
  source: digits
  target: input
  split: {validation: 0.2, test: 0.2}
  preprocessing: [{Rescaling: $(1 / 16)}]
  augmentation: [{GaussianNoise: 0.1}]
model: {layers: [{Conv2D: {filters: 1, kernel_size: 3, padding: same}}]}
training: {optimizer: adam, loss: mse, epochs: 1, batch_size: 256}
"""


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    random = np.random.default_rng(0)
    rows = [f"{random.normal():.3f},{'ab'[row % 2]},{random.normal():.3f}" for row in range(60)]
    (folder / "people.csv").write_text("\n".join(["age,kind,size", *rows]))
    return folder / "people.csv"


@pytest.fixture
def trained(people, tmp_path, train, monkeypatch):
    shutil.copy(people, tmp_path)
    monkeypatch.chdir(tmp_path)
    outcome, run = train(TABLE)
    assert outcome.code == 0, outcome.stderr
    return outcome, run


def test_a_run_with_two_outputs_does_all_that_runs_do(draws, trained, dltool, tmp_path) -> None:
    outcome, run = trained
    assert "kind: 2 classes, size: numbers to predict" in outcome.stderr
    results = json.loads((run / "results.json").read_text())
    names = {"loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae"}
    assert results["test"].keys() == results["validation"].keys() == names
    assert results["best"]["monitor"] == "val_kind_accuracy"
    evaluated = json.loads(dltool("evaluate", run, "--json").stdout)
    assert evaluated["metrics"] == results["test"]
    assert evaluated["intervals"].keys() == results["intervals"].keys() == names
    assert {line["metric"] for line in evaluated["baselines"]} == {"kind_accuracy", "size_mean_absolute_error"}
    drawn = {path.stem for path in (run / "evaluation/test/figures").iterdir()}
    assert {"kind_confusion_matrix", "size_predicted"} <= drawn
    rows = list(csv.DictReader((run / "evaluation/test/predictions.csv").read_text().splitlines()))
    columns = ["row", "kind target", "kind", "kind probability of a", "kind probability of b", "size target", "size"]
    assert list(rows[0]) == columns
    predicted = dltool("predict", run, "people.csv")
    (first, *_) = csv.DictReader(io.StringIO(predicted.stdout))
    assert list(first) == [*("file", "row", "kind class", "kind probability of a", "kind probability of b", "size")]
    model = keras.models.load_model(run / "model.keras")
    assert model.predict({"age": np.zeros((3, 1), np.float32)}, verbose=0).keys() == {"kind", "size"}


@pytest.mark.slow
def test_a_run_with_two_outputs_that_is_trained_further_ends_as_if_never_stopped(trained, dltool, tmp_path) -> None:
    _, run = trained
    longer = dltool("resume", run, "--epochs", "3")
    assert longer.code == 0, longer.stderr
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (tmp_path / "example.yaml").write_text(TABLE.replace("epochs: 2", "epochs: 3"))
    assert dltool("train", "example.yaml", "--runs", "again").code == 0
    again = Path("again/example/0001/metrics.jsonl").read_text().splitlines()
    assert list(map(without_seconds, lines)) == list(map(without_seconds, again))


def without_seconds(line: str) -> dict[str, object]:
    return {key: value for key, value in json.loads(line).items() if key != "seconds"}


def test_check_shows_the_classes_of_each_target(people, dltool, tmp_path, monkeypatch) -> None:
    shutil.copy(people, tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.yaml").write_text(TABLE)
    found = json.loads(dltool("check", "example.yaml", "--data", "--json").stdout)["data"]
    assert found["targets"]["kind"] == {"kind": "category", "shape": [], "class_names": ["a", "b"]}
    assert [column["use"] for column in found["columns"]] == ["input", "target", "target"]
    assert sum(found["examples_of_classes"]["kind: a"].values()) == 30


@pytest.mark.slow
def test_a_model_that_restores_is_measured_and_predicts_by_its_error(train, dltool, tmp_path) -> None:
    outcome, run = train(RESTORING)
    assert outcome.code == 0, outcome.stderr
    assert "to be reconstructed" in outcome.stderr
    test = json.loads((run / "results.json").read_text())["test"]
    evaluated = json.loads(dltool("evaluate", run, "--json").stdout)
    assert evaluated["metrics"] == test
    assert evaluated["intervals"].keys() == test.keys()
    assert evaluated["outputs"][0]["table"][0]["mean"] == pytest.approx(test["loss"], rel=1e-4)
    assert dltool("report", run).code == 0
    assert "reconstructed: " in (run / "report.html").read_text("utf-8")
    np.save(tmp_path / "new.npy", np.zeros((3, 8, 8), np.uint8))
    lines = list(csv.DictReader(io.StringIO(dltool("predict", run, tmp_path / "new.npy").stdout)))
    assert list(lines[0]) == ["file", "row", "squared reconstruction error"]
    assert float(lines[0]["squared reconstruction error"]) < 1
