"""Whole trainings with folds and seeds, against trainings without, scikit-learn's splitters and plain Keras."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import StratifiedKFold
from tests.folds.test_folds import CONFIG, write_rows

pytestmark = pytest.mark.slow

PLAIN = ("--set", "data.inputs={person: ignore, hour: ignore}", "--quiet")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path)
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    return tmp_path


def results(run: Path | str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(run) / "results.json").read_bytes())
    return found


def weights(run: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    content = (run / "checkpoints" / "best.weights.h5").read_bytes()
    with h5py.File(io.BytesIO(content)) as file:
        file.visititems(
            lambda name, item: found.update({name: item[()].tobytes()} if isinstance(item, h5py.Dataset) else {})
        )
    return found


def test_the_model_of_the_run_is_that_of_a_training_without_folds(dltool, folder: Path) -> None:
    assert dltool("train", "tiny.yaml", *PLAIN).code == 0
    assert dltool("train", "tiny.yaml", *PLAIN, "--set", "data.split={validation: 0.2}", "--set", "expect={}").code == 0
    whole, alone = folder / "runs" / "tiny" / "0001", folder / "runs" / "tiny" / "0002"
    assert weights(whole) == weights(alone)
    assert weights(whole)
    lines = [
        [{**json.loads(line), "seconds": 0} for line in (run / "metrics.jsonl").read_text().splitlines()]
        for run in (whole, alone)
    ]
    assert lines[0] == lines[1]
    assert results(whole)["best"] == results(alone)["best"]


def test_a_fold_trained_alone_is_the_fold_of_the_run(dltool, folder: Path) -> None:
    assert dltool("train", "tiny.yaml", *PLAIN).code == 0
    assert dltool("train", "tiny.yaml", *PLAIN, "--set", "data.split.fold=2").code == 0
    fold, alone = folder / "runs" / "tiny" / "0001" / "folds" / "2", folder / "runs" / "tiny" / "0002"
    assert weights(fold) == weights(alone)
    assert results(fold)["test"] == results(alone)["test"]
    assert (alone / "model.keras").exists()


def test_predictions_out_of_fold_are_those_of_predict_bit_by_bit(dltool, folder: Path) -> None:
    assert dltool("train", "tiny.yaml", *PLAIN).code == 0
    run = folder / "runs" / "tiny" / "0001"
    with (run / "evaluation" / "folds" / "predictions.csv").open() as file:
        pooled = list(csv.DictReader(file))
    rows = (folder / "rows.csv").read_text().splitlines()
    for fold in ("1", "2"):
        tested = [row for row in pooled if row["fold"] == fold]
        lines = [rows[0], *(rows[1 + int(row["row"])] for row in tested)]
        (folder / "new.csv").write_text("\n".join(lines) + "\n")
        assert dltool("predict", run / "folds" / fold, "new.csv", "--out", "out.csv").code == 0
        with (folder / "out.csv").open() as file:
            predicted = list(csv.DictReader(file))
        names = [name for name in tested[0] if name.startswith("probability")]
        assert [[row[name] for name in names] for row in predicted] == [[row[name] for name in names] for row in tested]
    # The model of the run is another one.
    assert dltool("predict", run, "rows.csv", "--out", "whole.csv").code == 0
    evaluated = dltool("evaluate", run / "folds" / "1", "--json")
    assert json.loads(evaluated.stdout)["metrics"] == results(run / "folds" / "1")["test"]


IRIS = """\
name: iris
data:
  source: {csv: iris.csv}
  target: kind
  inputs: {a: {number: {scale: none}}, b: {number: {scale: none}}, c: {number: {scale: none}}}
  split: {folds: 4, column: fold}
model:
  layers:
    - Dense: {units: $classes, activation: softmax, kernel_initializer: zeros}
training:
  optimizer: {SGD: {learning_rate: 0.05}}
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  batch_size: 200
  epochs: 30
  rewrites: false
  jit_compile: false
"""


def test_folds_give_the_numbers_of_a_loop_by_hand_over_the_folds_of_scikit_learn(dltool, folder: Path) -> None:
    import keras

    x, y = load_iris(return_X_y=True)
    x = x[:, :3].astype(np.float32)
    divided = list(StratifiedKFold(4, shuffle=True, random_state=3).split(x, y))
    fold = np.zeros(len(y), int)
    for number, (_, test) in enumerate(divided, 1):
        fold[test] = number
    lines = [
        f"{','.join(f'{value:.1f}' for value in values)},k{label},{number}"
        for values, label, number in zip(x, y, fold, strict=True)
    ]
    (folder / "iris.csv").write_text("\n".join(["a,b,c,kind,fold", *lines]) + "\n")
    (folder / "iris.yaml").write_text(IRIS)
    outcome = dltool("train", "iris.yaml", "--quiet")
    assert outcome.code == 0, outcome.stderr
    run = folder / "runs" / "iris" / "0001"
    for number, (train, test) in enumerate(divided, 1):
        # All rows in one batch, from weights of zero: nothing is left to chance.
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(3, activation="softmax", kernel_initializer="zeros")]
        )
        model.compile(keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x[train], y[train], batch_size=200, epochs=30, shuffle=False, verbose=0)
        loss, accuracy = model.evaluate(x[test], y[test], verbose=0)
        found = results(run / "folds" / str(number))
        assert found["best"]["epoch"] == 30, "without validation the last epoch counts"
        assert found["test"]["loss"] == pytest.approx(loss, rel=1e-5)
        assert found["test"]["accuracy"] == pytest.approx(accuracy, abs=1e-6)


@pytest.mark.parametrize(
    "split",
    [
        "{folds: 3, group: person, validation: 0.2}",
        "{folds: 3, order: hour, gap: 2, window: 20}",
        "{folds: 2, repeats: 2, validation: 0.2, test: 0.2}",
        "{folds: 2, stratify: false}",
    ],
)
def test_every_kind_of_folds_trains_is_reproduced_and_reported(draws, dltool, folder: Path, split: str) -> None:
    trained = dltool("train", "tiny.yaml", "--set", f"data.split={split}", *PLAIN)
    assert trained.code == 0, trained.stderr
    run = folder / "runs" / "tiny" / "0001"
    found = results(run)["folds"]
    assert found["count"] * found["repeats"] == len(found["metrics"]["loss"]["each"])
    reproduced = dltool("reproduce", run, "--json")
    assert json.loads(reproduced.stdout)["identical"] is True, reproduced.stdout
    page = (run / "report.html").read_text()
    assert ">Folds</h2>" in page
    before = json.loads((run / "report.json").read_bytes())
    assert dltool("report", run).code == 0
    after = json.loads((run / "report.json").read_bytes())
    for part in ("parts", "test", "baselines", "verdict", "outputs", "warnings"):
        assert after[part] == before[part]


@pytest.mark.parametrize("split", ["{folds: 2}", "{folds: 3, order: hour, gap: 2, window: 20}"])
def test_a_rare_category_ends_no_fold(dltool, folder: Path, split: str) -> None:
    inputs = "data.inputs={person: ignore, hour: ignore, word: {category: {unknown: error}}}"
    trained = dltool("train", "tiny.yaml", "--set", inputs, "--set", f"data.split={split}")
    assert trained.code == 0, trained.stderr
    if "order" not in split:
        assert 'test value of "word" not among those of the training rows: "rare"' in trained.stderr


def test_seeds_train_on_one_split_and_their_spread_is_reported(dltool, folder: Path) -> None:
    settings = ("--set", "data.split={validation: 0.2, test: 0.3}", "--seed", "7")
    trained = dltool("train", "tiny.yaml", *PLAIN, *settings, "--seeds", "3")
    assert trained.code == 0, trained.stderr
    run = folder / "runs" / "tiny" / "0001"
    found = results(run)["seeds"]
    runs = [run, run / "seeds" / "2", run / "seeds" / "3"]
    each = [results(path)["test"]["loss"] for path in runs]
    metric = found["metrics"]["loss"]
    assert found["seeds"] == [7, 8, 9]
    assert metric["each"] == each
    assert (metric["min"], metric["max"]) == (min(each), max(each))
    assert metric["mean"] == pytest.approx(np.mean(each))
    assert metric["sd"] == pytest.approx(np.std(each, ddof=1))
    splits = [np.load(path / "split.npz")["test"].tolist() for path in runs]
    assert splits[0] == splits[1] == splits[2]
    # Drawn by hand: a seed, then rows.
    values = []
    for path in runs:
        with np.load(path / "outputs.npz") as kept:
            values.append(kept["value loss"])
    random = np.random.default_rng(0)
    chosen = [values[random.integers(3)] for _ in range(4000)]
    drawn = [random.choice(value, len(value)).mean() for value in chosen]
    assert metric["interval"] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), rel=0.1)
    alone = dltool("train", "tiny.yaml", *PLAIN, *settings[:2], "--seed", "8", "--set", "data.split.seed=7")
    assert alone.code == 0
    assert weights(run / "seeds" / "2") == weights(folder / "runs" / "tiny" / "0002")


def test_runs_are_compared_by_all_their_folds_if_these_are_the_same(dltool, folder: Path) -> None:
    settings = (*PLAIN, "--set", "data.split={folds: 4}")
    assert dltool("train", "tiny.yaml", *settings).code == 0
    assert dltool("train", "tiny.yaml", *settings, "--set", "training.epochs=40").code == 0
    assert dltool("train", "tiny.yaml", *settings, "--set", "data.split.seed=5").code == 0
    first, longer, divided = (f"runs/tiny/000{number}" for number in (1, 2, 3))
    found = json.loads(dltool("compare", first, longer, "--json").stdout)
    difference = found["metrics"]["loss"]["differences"][1]
    pairs = [results(path)["folds"]["metrics"]["loss"] for path in (first, longer)]
    assert difference["value"] == pytest.approx(pairs[1]["value"] - pairs[0]["value"])
    assert difference["is_paired"]
    differences = np.subtract(pairs[1]["each"], pairs[0]["each"])
    share = sum(results(first)["folds"]["test"]) / sum(results(first)["folds"]["training"])
    statistic = differences.mean() / (differences.std(ddof=1) * np.sqrt(1 / 4 + share))
    is_outside = difference["low"] > 0 or difference["high"] < 0
    # 3.182: Student's t with three degrees of freedom.
    assert difference["exceeds_noise"] is bool(is_outside and abs(statistic) > 3.182)
    other = json.loads(dltool("compare", first, divided, "--json").stdout)
    assert any("has other folds" in remark for remark in other["remarks"])


def test_without_a_model_of_its_own_a_run_has_its_folds_alone(dltool, folder: Path) -> None:
    assert dltool("train", "tiny.yaml", *PLAIN, "--set", "data.final=none").code == 0
    run = folder / "runs" / "tiny" / "0001"
    assert not (run / "model.keras").exists()
    assert not list((run / "checkpoints").iterdir())
    refused = dltool("predict", run, "rows.csv")
    assert refused.code == 4
    assert "has no model of its own" in refused.stderr
    assert dltool("predict", run / "folds" / "1", "rows.csv", "--out", "out.csv").code == 0
    assert dltool("report", run).code == 0
    reproduced = json.loads(dltool("reproduce", run, "--json").stdout)
    assert (reproduced["identical"], reproduced["epochs"]) == (True, 4), "two of each fold"


def test_a_smoke_test_trains_the_model_that_the_run_would_not_have(dltool, folder: Path) -> None:
    outcome = dltool("train", "tiny.yaml", *PLAIN[:2], "--set", "data.final=none", "--smoke")
    assert outcome.code == 0, outcome.stderr
    assert "epoch 2/2" in outcome.stderr
    assert "fold 1" not in outcome.stderr


@pytest.mark.parametrize("what", ["missing", "empty", "other rows"])
def test_a_damaged_fold_is_refused_when_the_run_is_resumed(dltool, folder: Path, what: str) -> None:
    assert dltool("train", "tiny.yaml", *PLAIN).code == 0
    run = folder / "runs" / "tiny" / "0001"
    record = run / "run.json"
    record.write_text(record.read_text().replace('"status": "completed"', '"status": "interrupted"'))
    outputs = run / "folds" / "2" / "outputs.npz"
    if what == "missing":
        outputs.unlink()
    elif what == "empty":
        outputs.write_bytes(b"")
    else:
        outputs.write_bytes((run / "folds" / "1" / "outputs.npz").read_bytes())
    resumed = dltool("resume", run)
    assert resumed.code == 4
    assert "outputs.npz" in resumed.stderr


def test_a_fold_that_was_not_trained_yet_finds_data_that_has_moved(dltool, folder: Path) -> None:
    assert dltool("train", "tiny.yaml", *PLAIN).code == 0
    run = folder / "runs" / "tiny" / "0001"
    expected = results(run)["folds"]
    shutil.rmtree(run / "folds" / "2")
    record = run / "run.json"
    record.write_text(record.read_text().replace('"status": "completed"', '"status": "interrupted"'))
    (folder / "elsewhere").mkdir()
    (folder / "rows.csv").rename(folder / "elsewhere" / "rows.csv")
    resumed = dltool("resume", run, "--set", "data.source.csv.path=elsewhere/rows.csv")
    assert resumed.code == 0, resumed.stderr
    assert results(run)["folds"] == expected


def test_an_error_names_its_fold(dltool, folder: Path) -> None:
    layers = "model.layers=[{Dense: 8}, {Dense: 8}, {Dense: {units: $classes, activation: softmax}}]"
    diverging = ("--set", "training.optimizer={SGD: {learning_rate: 1e30}}", "--set", layers)
    failed = dltool("train", "tiny.yaml", *PLAIN, *diverging, "--set", "data.final=none")
    assert failed.code == 6
    assert "fold 1: " in failed.stderr


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_metric_that_is_no_mean_is_that_of_all_rows_of_a_repeat_at_once(dltool, folder: Path, repeats: int) -> None:
    from sklearn.metrics import roc_auc_score

    layers = "model.layers=[{Dense: {units: 1, activation: sigmoid}}]"
    binary = ("--set", layers, "--set", "training.loss=binary_crossentropy", "--set", "training.metrics=[AUC]")
    again = () if repeats == 1 else ("--set", f"data.split.repeats={repeats}", "--set", "data.final=none")
    trained = dltool("train", "tiny.yaml", *PLAIN, *binary, *again, "--set", "expect={}", "--set", "training.epochs=20")
    assert trained.code == 0, trained.stderr
    run = folder / "runs" / "tiny" / "0001"
    with (run / "evaluation" / "folds" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    name, areas = "probability of yes", []
    for repeat in range(1, repeats + 1):
        pooled = [row for row in rows if row.get("repeat", "1") == str(repeat)]
        areas.append(roc_auc_score([row["target"] == "yes" for row in pooled], [float(row[name]) for row in pooled]))
    expected = np.mean(areas)
    auc = results(run)["folds"]["metrics"]["auc"]
    # Keras computes the area from 200 thresholds.
    assert auc["value"] == pytest.approx(expected, abs=0.01)
    low, high = auc["interval"]
    assert low < auc["value"] < high <= 1


def test_folds_of_a_data_frame_use_the_table_of_their_run_wherever_it_is(folder: Path) -> None:
    import pandas as pd

    import dltool

    frame = pd.read_csv("rows.csv").drop(columns=["person", "hour"])
    run = dltool.train("tiny.yaml", {"expect": {}}, data=frame)
    assert not (run.path / "folds" / "1" / "data.parquet").exists()
    (folder / "runs").rename(folder / "moved")
    fold = dltool.open_run(folder / "moved" / "tiny" / "0001" / "folds" / "1")
    found = fold.evaluate()
    assert found.loc["loss", "value"] == results(fold.path)["test"]["loss"]
    assert len(fold.predict(frame.head(3))) == 3
