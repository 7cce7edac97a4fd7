"""The mean of the models of the folds as the model of the run, against the mean of their predictions by hand."""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.bad_configs import GOOD
from tests.folds.test_folds import CONFIG, write_rows
from tests.in_process import command

SETTINGS = (
    "--set",
    "data.inputs={person: ignore, hour: ignore}",
    "--set",
    "data.split={folds: 2, validation: 0.2, test: 0.3}",
    "--set",
    "model.layers=[{Dense: {units: $classes, activation: softmax, kernel_regularizer: l2}}]",
    "--quiet",
)
CHANCE = "probability of yes"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run with an ensemble, and one that differs in its final model alone."""
    folder = tmp_path_factory.mktemp("ensemble")
    write_rows(folder)
    (folder / "tiny.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert command("train", "tiny.yaml", *SETTINGS, "--set", "data.final=ensemble") == 0
        assert command("train", "tiny.yaml", *SETTINGS) == 0
        yield folder / "runs" / "tiny" / "0001"


def results(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "results.json").read_bytes())
    return found


def predicted(run: Path) -> np.ndarray:
    assert command("predict", run, "rows.csv", "--out", "out.csv") == 0
    with Path("out.csv").open() as file:
        return np.array([float(row[CHANCE]) for row in csv.DictReader(file)])


@pytest.mark.slow
def test_the_ensemble_predicts_the_mean_of_the_predictions_of_its_folds(run: Path) -> None:
    import keras

    by_hand = np.mean([predicted(run / "folds" / fold) for fold in "12"], axis=0)
    assert predicted(run) == pytest.approx(by_hand, abs=2e-7)
    # The file needs nothing but Keras, and takes raw inputs.
    model = keras.saving.load_model(run / "model.keras")
    with Path("rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    numbers = {name: np.array([float(row[name]) for row in rows], np.float32) for name in ("left", "right")}
    columns = {**numbers, "word": [row["word"] for row in rows]}
    raw = {name: keras.ops.convert_to_tensor(values) for name, values in columns.items()}
    assert np.asarray(model(raw))[:, 1] == pytest.approx(by_hand, abs=2e-7)


@pytest.mark.slow
def test_the_test_split_measures_the_ensemble(run: Path, dltool) -> None:
    found, test = results(run), np.load(run / "split.npz")["test"]
    with Path("rows.csv").open() as file:
        kinds = np.array([row["kind"] for row in csv.DictReader(file)])[test]
    chances = np.mean([predicted(run / "folds" / fold) for fold in "12"], axis=0)[test]
    own = np.where(kinds == "yes", chances, 1 - chances)
    # Penalties of the weights are no part of its loss.
    assert found["test"]["loss"] == pytest.approx(-np.log(own).mean(), rel=1e-5)
    assert found["test"]["accuracy"] == pytest.approx(np.mean(own > 0.5))
    assert (found["ensemble"], found["epochs"]) == (2, 0)
    assert found["parameters"] == 2 * results(run / "folds" / "1")["parameters"]
    assert json.loads(dltool("evaluate", run, "--json").stdout)["metrics"] == found["test"]
    # Baselines have the preprocessing of the run, as those of a trained model.
    ours, others = (json.loads((each / "report.json").read_bytes())["baselines"] for each in (run, run.parent / "0002"))
    assert ours == others
    assert len(ours["accuracy"]) == 2


@pytest.mark.slow
def test_the_report_says_what_an_ensemble_is_and_costs(draws, run: Path, dltool) -> None:
    before = json.loads((run / "report.json").read_bytes())
    assert "is the mean of these 2 models" in (run / "report.html").read_text()
    assert "costs 2 times as much" in (run / "report.html").read_text()
    assert f"{results(run)['parameters']} parameters" in (run / "report.html").read_text()
    assert dltool("report", run).code == 0
    after = json.loads((run / "report.json").read_bytes())
    for part in ("parts", "test", "baselines", "verdict", "outputs"):
        assert after[part] == before[part]


@pytest.mark.slow
def test_an_ensemble_is_compared_on_the_test_split(run: Path, dltool) -> None:
    other = run.parent / "0002"
    found = json.loads(dltool("compare", run, other, "--json").stdout)["metrics"]["loss"]
    assert found["values"][0]["value"] == results(run)["test"]["loss"]
    assert found["values"][1]["value"] == results(other)["test"]["loss"]
    assert found["differences"][1]["is_paired"]


@pytest.mark.slow
def test_a_run_that_was_stopped_before_its_ensemble_goes_on_to_the_same_bits(draws, run: Path, dltool) -> None:
    stopped = shutil.copytree(run, run.parent / "0003")
    shutil.rmtree(stopped / "folds" / "2")
    for name in ("model.keras", "results.json"):
        (stopped / name).unlink()
    shutil.rmtree(stopped / "evaluation")
    record = stopped / "run.json"
    record.write_text(record.read_text().replace('"status": "completed"', '"status": "interrupted"'))
    refused = dltool("predict", stopped, "rows.csv")
    assert refused.code == 4
    assert "not all of its folds are there" in refused.stderr
    assert dltool("resume", stopped).code == 0
    assert (stopped / "model.keras").read_bytes() == (run / "model.keras").read_bytes()
    assert {**results(stopped), "seconds": 0, "cost": 0} == {**results(run), "seconds": 0, "cost": 0}
    assert json.loads(dltool("reproduce", run, "--json").stdout)["identical"] is True


@pytest.mark.slow
def test_several_outputs_have_an_ensemble_too(dltool, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path)
    text = CONFIG.replace("target: kind", "target: {kind: category, left: number}\n  final: ensemble")
    text = text.replace("{folds: 2, validation: 0.2}", "{folds: 2, test: 0.3}")
    text = text.replace(
        "    - Dense: {units: $classes, activation: softmax}\n",
        "    - Dense: {units: $classes_kind, activation: softmax, name: a}\n"
        "    - Dense: {units: 1, name: b, from: input}\n"
        "  outputs:\n"
        "    a: {target: kind, loss: sparse_categorical_crossentropy, metrics: [accuracy]}\n"
        "    b: {target: left, loss: mean_squared_error}\n",
    ).replace("  loss: sparse_categorical_crossentropy\n  metrics: [accuracy]\n", "")
    (tmp_path / "tiny.yaml").write_text(text.replace('expect: {accuracy: ">= 0"}\n', ""))
    trained = dltool("train", "tiny.yaml", "--set", "data.inputs={person: ignore, hour: ignore}", "--quiet")
    assert trained.code == 0, trained.stderr
    tables = []
    for name in ("", "folds/1", "folds/2"):
        assert command("predict", tmp_path / "runs" / "tiny" / "0001" / name, "rows.csv", "--out", "out.csv") == 0
        with Path("out.csv").open() as file:
            tables.append(list(csv.DictReader(file)))
    for column in tables[0][0]:
        if column.startswith(("a probability", "b")):
            whole, *folds = (np.array([float(row[column]) for row in table]) for table in tables)
            assert whole == pytest.approx(np.mean(folds, axis=0), rel=1e-5, abs=1e-6)


REFUSED = {
    "logits": GOOD.replace(", activation: softmax", "").replace(
        "loss: sparse_categorical_crossentropy",
        "loss: {SparseCategoricalCrossentropy: {from_logits: true}}",
    ),
    "the input": GOOD.replace("  source: iris", "  source: digits\n  target: input"),
    "a chosen threshold": GOOD.replace("  epochs: 2", "  epochs: 2\n  threshold: F1Score")
    .replace("sparse_categorical", "binary")
    .replace("units: 3, activation: softmax", "units: 1, activation: sigmoid")
    .replace("source: iris", "source: {csv: two.csv}\n  target: kind"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_mean_is_refused_at_its_line(dltool, golden, tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    text = REFUSED[name].replace("{validation: 0.2, test: 0.2}", "{folds: 2, validation: 0.2}\n  final: ensemble")
    (tmp_path / "example.yaml").write_text(text)
    (tmp_path / "two.csv").write_text("x,kind\n" + "1.5,a\n2.5,b\n" * 20)
    outcome = dltool("check", "example.yaml")
    assert outcome.code == 2
    golden(f"folds/ensemble-of-{name.replace(' ', '-')}", outcome.stderr)
