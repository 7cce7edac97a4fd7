"""Evaluating a run from its directory alone."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from tests.commands.prediction_kinds import write_series
from tests.data.hostile_archives import write_folder
from tests.data.pictures import class_folders, encoded, pixels
from tests.small_configs import TINY


def results(run: Path):
    return json.loads((run / "results.json").read_text("utf-8"))


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A run on arrays that the tests can change afterwards."""
    random = np.random.default_rng(0)
    np.savez(tmp_path / "own.npz", x=random.random((150, 4), "float32"), y=random.integers(0, 3, 150))
    return finished(TINY.replace("source: iris", "source: {arrays: own.npz}"))


def test_it_gives_the_numbers_of_the_training_again(run, dltool, monkeypatch, tmp_path) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    test = json.loads(dltool("evaluate", run, "--json").stdout)
    validation = json.loads(dltool("evaluate", run, "--json", "--split", "validation").stdout)
    assert test["metrics"] == results(run)["test"]
    assert test["examples"] == 30
    assert validation["metrics"] == results(run)["validation"]
    written = json.loads((run / "evaluation/test/metrics.json").read_text("utf-8"))
    assert written["metrics"] == test["metrics"]


@pytest.mark.slow
def test_another_process_gives_the_same_numbers(run) -> None:
    command = [sys.executable, "-m", "dltool", "evaluate", str(run), "--json"]
    printed = subprocess.run(command, cwd="/", check=True, capture_output=True, text=True, timeout=300).stdout
    assert json.loads(printed)["metrics"] == results(run)["test"]


def test_the_table_names_every_metric(run, dltool) -> None:
    outcome = dltool("evaluate", run.parent / "latest", "--split", "train")
    assert outcome.code == 0
    assert f"{run}: train, 90 examples" in outcome.stdout
    assert f"next  dltool runs --runs {run.parent.parent}\n" in outcome.stdout
    assert "accuracy" in outcome.stdout
    assert outcome.stderr == ""


def test_changed_data_is_refused(run, dltool, tmp_path) -> None:
    random = np.random.default_rng(1)
    np.savez(tmp_path / "own.npz", x=random.random((150, 4), "float32"), y=random.integers(0, 3, 150))
    outcome = dltool("evaluate", run)
    assert outcome.code == 3
    assert "the data has changed since the run was trained" in outcome.stderr


TABLE = """\
name: table
data:
  source: {csv: train.csv}
  test: {csv: test.csv}
  target: kind
  split: {validation: 0.2, group: household}
model: {layers: [{Dense: {units: $classes, activation: softmax}}]}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, epochs: 1}
"""


def write_tables(folder: Path, *changes: tuple[str, str], more: int = 0) -> None:
    """A train.csv of 40 rows and a test.csv of 10, with replacements in the latter, and `more` rows."""
    rows = [f"{number * 7 % 31},{number % 7},{number % 5},{'ab'[number % 2]}" for number in range(50 + more)]
    head = "age,fare,household,kind\n"
    (folder / "train.csv").write_text(head + "\n".join(rows[:40]), "utf-8")
    test = head + "\n".join(rows[40:])
    for old, new in changes:
        assert old in test
        test = test.replace(old, new)
    (folder / "test.csv").write_text(test, "utf-8")


def test_of_changed_data_it_is_said_what_differs(finished, dltool, tmp_path) -> None:
    def said() -> str:
        outcome = dltool("evaluate", run)
        assert outcome.code == 3
        assert "restore the old data" in outcome.stderr
        return outcome.stderr.splitlines()[0].partition("since the run was trained: ")[2]

    write_tables(tmp_path)
    run = finished(TABLE)
    assert dltool("evaluate", run).code == 0
    write_tables(tmp_path, ("\n22,", "\n20,"))
    assert said() == "column age in test"
    write_tables(tmp_path, ("\n15,0,", "\n16,6,"))
    assert said() == "columns age, fare in test"
    write_tables(tmp_path, ("9,2,4,a", "9,2,4,b"))
    assert said() == "the target in test"
    write_tables(tmp_path, more=3)
    assert said() == "3 more rows in test"
    write_tables(tmp_path, more=-1)
    assert said() == "1 fewer row in test"
    write_tables(tmp_path)
    table = (tmp_path / "train.csv").read_text("utf-8")
    (tmp_path / "train.csv").write_text("\n".join(line.replace(",0,", ",9,") for line in table.splitlines()), "utf-8")
    assert said().startswith("column fare in training")
    (tmp_path / "train.csv").write_text(re.sub(r",(.),(a|b)$", r",8\1,\2", table, flags=re.MULTILINE), "utf-8")
    assert dltool("evaluate", run).code == 0
    (tmp_path / "train.csv").write_text(re.sub(r",([01]),(a|b)$", r",7,\2", table, flags=re.MULTILINE), "utf-8")
    assert said() == "the assignment of rows to splits"


def test_data_that_was_moved_is_found_where_the_config_says(finished, dltool, tmp_path) -> None:
    write_tables(tmp_path)
    run = finished(TABLE)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "train.csv").rename(tmp_path / "elsewhere/moved.csv")
    assert dltool("evaluate", run).code == 3
    resolved = run / "resolved.yaml"
    resolved.write_text(resolved.read_text("utf-8").replace("/train.csv", "/elsewhere/moved.csv"), "utf-8")
    assert dltool("evaluate", run).code == 0
    assert dltool("resume", run, "--epochs", "2").code == 0
    assert dltool("evaluate", run).code == 0
    resolved.write_text(resolved.read_text("utf-8").replace("/elsewhere/moved.csv", "/test.csv"), "utf-8")
    outcome = dltool("evaluate", run)
    assert outcome.code == 3
    assert "30 fewer rows in training" in outcome.stderr


@pytest.mark.parametrize("cache", ["4 GB", pytest.param("off", marks=pytest.mark.slow)])
def test_pictures_are_told_by_their_contents_and_not_by_their_times(
    train, dltool, tmp_path, monkeypatch, cache
) -> None:
    monkeypatch.setenv("DLTOOL_CACHE", str(tmp_path / "cache"))
    path = write_folder(tmp_path / "files", class_folders(size=(4, 5)))
    config = TABLE.replace("source: {csv: train.csv}", f"source: {{images: files}}\n  cache: {cache}")
    config = config.replace("  test: {csv: test.csv}\n  target: kind\n", "").replace("0.2, group: household", "0.4")
    _, run = train(config.replace("layers: [", "layers: [Flatten, ").replace("0.4", "0.4, test: 0.2"))
    picture = path / "a/0.png"
    times = picture.stat()
    os.utime(picture, ns=(0, 0))
    assert dltool("evaluate", run, "--split", "train").code == 0
    content = bytearray(picture.read_bytes())
    flipped = encoded(pixels(4, 5, seed=0)[::-1])
    picture.write_bytes(flipped.ljust(len(content), b"\0"))
    os.utime(picture, ns=(times.st_atime_ns, times.st_mtime_ns))
    outcome = dltool("evaluate", run, "--split", "train")
    assert outcome.code == 3
    assert "since the run was trained: the examples in training\n" in outcome.stderr


def test_missing_data_is_named(run, dltool, tmp_path) -> None:
    (tmp_path / "own.npz").unlink()
    outcome = dltool("evaluate", run)
    assert outcome.code == 3
    assert "own.npz" in outcome.stderr


@pytest.mark.parametrize("damage", ["missing", "truncated", "link", "external", "other model"])
def test_damaged_weights_are_refused(run, dltool, damage, tmp_path) -> None:
    weights = run / "checkpoints/best.weights.h5"
    content = weights.read_bytes()
    weights.unlink()
    secret = tmp_path / "secret.h5"
    secret.write_bytes(content)
    if damage == "truncated":
        weights.write_bytes(content[:1000])
    elif damage == "link":
        weights.symlink_to(secret)
    elif damage == "external":
        with h5py.File(weights, "w") as file:
            file["layers"] = h5py.ExternalLink(str(secret), "/layers")
    elif damage == "other model":
        with h5py.File(weights, "w") as file:
            file.create_group("layers")
    outcome = dltool("evaluate", run)
    assert outcome.code == 4
    assert "Traceback" not in outcome.stderr
    assert "best.weights.h5" in outcome.stderr


@pytest.mark.parametrize("layer", ["Lambda: {function: print}", "os.system: {command: echo}"])
def test_an_edited_config_cannot_run_code(run, dltool, layer) -> None:
    resolved = run / "resolved.yaml"
    resolved.write_text(resolved.read_text("utf-8").replace("  layers:\n", f"  layers:\n  - {layer}\n"), "utf-8")
    outcome = dltool("evaluate", run)
    assert outcome.code == 4
    assert "resolved.yaml" in outcome.stderr


def test_a_misspelt_part_is_named(run, dltool) -> None:
    outcome = dltool("evaluate", run, "--split", "tset")
    assert outcome.code == 2
    assert "expected test" in outcome.stderr


def test_what_is_no_run_is_exit_code_4(dltool, tmp_path) -> None:
    assert dltool("evaluate", tmp_path).code == 4
    assert dltool("evaluate", tmp_path / "runs/mnist/0001").code == 4


# --- what an evaluation leaves ---


def evaluation(run: Path, name: str = "test"):
    return json.loads((run / "evaluation" / name / "metrics.json").read_text("utf-8"))


def test_a_training_leaves_the_evaluation_of_its_test(draws, run, dltool) -> None:
    folder = run / "evaluation/test"
    found = evaluation(run)
    assert found["metrics"] == results(run)["test"]
    assert found["intervals"] == results(run)["intervals"]
    low, high = found["intervals"]["accuracy"]
    assert low <= found["metrics"]["accuracy"] <= high
    assert [line["name"] for line in found["baselines"]] == ["this model", "majority class", "logistic regression"]
    assert found["baselines"][0]["value"] == pytest.approx(found["metrics"]["accuracy"])
    drawn = {figure["name"] for output in found["outputs"] for figure in output["figures"]}
    assert {"confusion_matrix", "calibration"} <= drawn
    assert {path.stem for path in (folder / "figures").iterdir()} == drawn
    rows = (folder / "predictions.csv").read_text("utf-8").splitlines()
    assert len(rows) == 31
    assert rows[0].startswith("row,target,prediction,")
    with np.load(run / "split.npz") as split:
        assert [int(row.split(",")[0]) for row in rows[1:]] == split["test"].tolist()
    before = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    outcome = dltool("evaluate", run)
    assert "logistic regression: accuracy" in outcome.stdout
    assert f"in    {folder}" in outcome.stdout
    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_figure_that_cannot_be_drawn_is_a_warning(draws, run, dltool, monkeypatch) -> None:
    from dltool.evaluation.figures import prediction_figures

    def fail(*_: object) -> None:
        raise ValueError("no ink")

    monkeypatch.setattr(prediction_figures, "confusion_figure", fail)
    outcome = dltool("evaluate", run)
    assert outcome.code == 0
    assert "could not be drawn: ValueError: no ink" in outcome.stderr
    assert not (run / "evaluation/test/figures/confusion_matrix.svg").exists()
    assert (run / "evaluation/test/figures/calibration.svg").exists()


def test_new_data_with_labels_is_measured_beside_the_test(run, dltool, tmp_path) -> None:
    random = np.random.default_rng(7)
    np.savez(tmp_path / "test.new.npz", x=random.random((40, 4), "float32"), y=random.integers(0, 3, 40))
    outcome = dltool("evaluate", run, "--data", tmp_path / "test.new.npz", "--json")
    assert outcome.code == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    assert (found["split"], found["examples"]) == ("data-test", 40)
    assert evaluation(run, "data-test")["metrics"] == found["metrics"]
    assert evaluation(run)["examples"] == 30
    np.savez(tmp_path / "wrong.npz", x=random.random((40, 4), "float32"), y=np.full(40, 9))
    outcome = dltool("evaluate", run, "--data", tmp_path / "wrong.npz")
    assert outcome.code == 3
    assert "none of the 3 classes" in outcome.stderr
    np.savez(tmp_path / "bare.npz", x=random.random((40, 4), "float32"))
    assert dltool("evaluate", run, "--data", tmp_path / "bare.npz").code == 3
    assert dltool("evaluate", run, "--data", tmp_path / "bare.npz", "--split", "test").code == 2


def test_a_table_with_labels_is_measured(finished, dltool, tmp_path) -> None:
    write_tables(tmp_path)
    run = finished(TABLE)
    (tmp_path / "later.csv").write_text((tmp_path / "test.csv").read_text("utf-8"), "utf-8")
    found = json.loads(dltool("evaluate", run, "--data", tmp_path / "later.csv", "--json").stdout)
    assert found["metrics"] == results(run)["test"]
    text = (tmp_path / "later.csv").read_text("utf-8").replace(",kind", ",sort")
    (tmp_path / "later.csv").write_text(text, "utf-8")
    outcome = dltool("evaluate", run, "--data", tmp_path / "later.csv")
    assert outcome.code == 3
    assert "kind" in outcome.stderr


DIVIDED = """\
name: example
data:
  source: {csv: rows.csv}
  inputs: {age: number}
  target: {kind: category}
  split: {group: household, test: 0.2}
model:
  layers: [{Dense: {units: 1, activation: sigmoid}}]
training: {optimizer: adam, loss: binary_crossentropy, metrics: [accuracy], epochs: 1}
"""
ROWS = [
    f"{n * 7 % 31},{n % 20},2024-01-{n % 28 + 1:02},{('train', 'test')[n % 4 == 0]},{'ab'[n % 2]}" for n in range(60)
]
HEAD = "age,household,day,part,kind"


def test_rows_that_are_left_out_move_no_other_row_of_the_test(finished, dltool, tmp_path) -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame({"x": random.normal(size=90), "z": random.normal(size=90)})
    table["label"] = ["" if row % 3 == 0 else "a" if x > 0 else "b" for row, x in enumerate(table.x)]
    table.to_csv(tmp_path / "own.csv", index=False)
    data = "source: {csv: own.csv}\n  target: {label: {category: {missing: drop}}}"
    run = finished(TINY.replace("source: iris", data).replace("  preprocessing: [Normalization]\n", ""))
    stored = pd.read_csv(run / "evaluation/test/predictions.csv", index_col="file row")
    assert stored.target.tolist() == table.label[stored.index - 1].tolist()
    dltool("predict", run, tmp_path / "own.csv", "--out", tmp_path / "all.csv")
    expected = pd.read_csv(tmp_path / "all.csv", index_col="row").loc[stored.index]
    np.testing.assert_allclose(stored["probability of a"], expected["probability of a"], rtol=1e-6)
    assert results(run)["test"]["accuracy"] == pytest.approx((stored.target == stored.prediction).mean())


@pytest.fixture
def divided(finished, tmp_path) -> Path:
    (tmp_path / "rows.csv").write_text("\n".join([HEAD, *ROWS]), "utf-8")
    return finished(DIVIDED.replace("{age: number}", "{age: number, day: ignore, part: ignore}"))


def test_new_data_may_lack_the_column_that_divided_the_rows(divided, dltool, tmp_path) -> None:
    whole = [row.split(",") for row in ROWS[:24]]
    tables = {
        "whole": [HEAD, *ROWS[:24]],
        "other": [HEAD, *(f"{age},x{group},,,{kind}" for age, group, _, _, kind in whole)],
        "bare": ["age,kind", *(f"{row[0]},{row[-1]}" for row in whole)],
    }
    found = []
    for name, lines in tables.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(lines), "utf-8")
        outcome = dltool("evaluate", divided, "--data", tmp_path / f"{name}.csv", "--json")
        assert outcome.code == 0, outcome.stderr
        found.append(json.loads(outcome.stdout)["metrics"])
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("split", ["group: household", "order: day", "order: time", "column: part"])
@pytest.mark.parametrize("source", ["csv: rows.csv", "csv: {path: rows.csv, names: [age, household, day, part, kind]}"])
def test_no_column_that_divided_the_rows_becomes_an_input(tmp_path, monkeypatch, split, source) -> None:
    from dltool.config.load import build_config, read_document
    from dltool.data.dataset import load_data
    from dltool.data.new_data import load_labelled

    monkeypatch.chdir(tmp_path)
    lines = ROWS if "names" in source else [HEAD, *ROWS]
    (tmp_path / "rows.csv").write_text("\n".join(lines), "utf-8")
    size = "" if "column" in split else ", test: 0.2"
    inputs = {"order: time": "age: number, household: ignore, part: ignore"}.get(split, "age: number")
    aside = {"household", "day", "part"} - {split.split()[1]} if split != "order: time" else set()
    inputs = ", ".join([inputs, *(f"{name}: ignore" for name in sorted(aside))])
    text = DIVIDED.replace("csv: rows.csv", source).replace("group: household, test: 0.2", split + size)
    (tmp_path / "example.yaml").write_text(text.replace("age: number", inputs), "utf-8")
    config = build_config(read_document(tmp_path / "example.yaml"))
    dataset = load_data(config.data, 0)
    data = dataset.in_force(config).data
    new = load_labelled(data, 0, tmp_path / "rows.csv")
    assert {*new.facts.inputs} == {*dataset.facts.inputs}
    assert len(new.split.test) == 60


def test_other_metrics_take_the_place_of_the_configs(run, dltool) -> None:
    arguments = ("--metrics", "SparseCategoricalCrossentropy,SparseTopKCategoricalAccuracy", "--json")
    found = json.loads(dltool("evaluate", run, *arguments).stdout)
    assert list(found["metrics"]) == ["loss", "sparse_categorical_crossentropy", "sparse_top_k_categorical_accuracy"]
    assert found["metrics"]["loss"] == results(run)["test"]["loss"]
    assert set(found["intervals"]) == set(found["metrics"])
    outcome = dltool("evaluate", run, "--metrics", "[acuracy]")
    assert outcome.code == 2
    assert 'did you mean "accuracy"' in outcome.stderr


def test_metrics_of_one_hot_classes_are_measured_of_a_model_whose_loss_takes_class_indices(run, dltool) -> None:
    import keras

    metrics = ("--metrics", "AUC,CategoricalHinge", "--metrics", "{F1Score: {average: macro}}")
    found = json.loads(dltool("evaluate", run, *metrics, "--json").stdout)
    table = pd.read_csv(run / "evaluation/test/predictions.csv")
    one_hot, outputs = np.eye(3)[table["target"]], table.filter(like="probability of").to_numpy()
    for metric in (keras.metrics.AUC(), keras.metrics.CategoricalHinge(), keras.metrics.F1Score(average="macro")):
        metric.update_state(one_hot, outputs)
        name = {"AUC": "auc", "F1Score": "f1_score"}.get(type(metric).__name__, metric.name)
        assert found["metrics"][name] == pytest.approx(float(metric.result()), rel=1e-5)
        low, high = found["intervals"][name]
        assert low <= found["metrics"][name] <= high


def test_a_metric_that_has_a_twin_for_the_form_of_the_classes_is_refused_with_it(run, dltool) -> None:
    assert "write SparseCategoricalAccuracy" in dltool("evaluate", run, "--metrics", "CategoricalAccuracy").stderr


WINDOWS = """\
name: windows
data:
  source: {csv: train.csv}
  test: {csv: test.csv}
  windows: {length: 5, horizon: 2, target: load, order: hour}
  inputs: {wind: {category: {unknown: error}}}
  split: {validation: 0.3}
model: {layers: [{LSTM: 3}, {Dense: 1}]}
training: {optimizer: adam, loss: mse, epochs: 1}
"""


@pytest.fixture
def windows(finished, tmp_path) -> Path:
    write_series(tmp_path)
    return finished(WINDOWS)


def test_a_window_is_named_by_where_its_target_stands(windows, dltool, tmp_path) -> None:
    assert dltool("evaluate", windows, "--split", "validation").code == 0
    for part, file, first in (("validation", "train.csv", 42 + 5 - 1 + 2), ("test", "test.csv", 5 - 1 + 2)):
        table, rows = pd.read_csv(windows / f"evaluation/{part}/predictions.csv"), pd.read_csv(tmp_path / file)
        found = rows.loc[table["target row"]]
        assert set(table["file"]) == {file}
        assert table["target row"].min() == first
        assert np.allclose(found["load"], table["target"])
        assert list(pd.to_datetime(found["hour"])) == list(pd.to_datetime(table["target hour"]))


def test_too_few_rows_for_a_window_ask_for_more_rows_and_not_for_another_config(windows, dltool, tmp_path) -> None:
    lines = (tmp_path / "test.csv").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "short.csv").write_text("".join(lines[:4]), "utf-8")
    said = " ".join(dltool("evaluate", windows, "--data", tmp_path / "short.csv").stderr.split())
    assert "none of the 3 rows for test begins a window: it takes 7 rows" in said
    assert "more rows make a window" in said
    assert "smaller length" not in said


def test_what_only_another_config_would_mend_says_that_it_takes_another_training(windows, dltool, tmp_path) -> None:
    text = (tmp_path / "test.csv").read_text("utf-8").replace(",n,", ",everywhere,")
    (tmp_path / "new.csv").write_text(text, "utf-8")
    said = " ".join(dltool("evaluate", windows, "--data", tmp_path / "new.csv").stderr.split())
    assert "unknown: as_category takes them (in the config of another run)" in said
