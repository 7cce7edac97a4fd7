"""A run with folds: what it holds, and what other commands make of it. One small run serves all fast tests."""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.in_process import command

from dltool.config.schema import Data
from dltool.data.dataset import load_data

CONFIG = """\
name: tiny
data:
  source: {csv: rows.csv}
  target: kind
  split: {folds: 2, validation: 0.2}
model:
  layers:
    - Dense: {units: $classes, activation: softmax}
training:
  optimizer: {Adam: {learning_rate: 0.05}}
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  batch_size: 8
  epochs: 2
expect: {accuracy: ">= 0"}
"""


def write_rows(folder: Path, rows: int = 41) -> Path:
    """Two numbers, a group, a time, a category with a rare value, and two classes that overlap."""
    random = np.random.default_rng(1)
    kind = random.integers(0, 2, rows)
    left = random.normal(kind, 0.8)
    right = random.normal(-kind, 1.2)
    word = np.where(np.arange(rows) == 3, "rare", np.where(kind == 0, "a", "b"))
    lines = ["left,right,word,person,hour,kind"]
    for number in range(rows):
        values = f"{left[number]:.4f},{right[number]:.4f},{word[number]},p{number % 9},{number}"
        lines.append(f"{values},{'no' if kind[number] else 'yes'}")
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    return folder / "rows.csv"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("folds")
    write_rows(folder)
    (folder / "tiny.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert command("train", "tiny.yaml", "--set", "data.inputs={person: ignore, hour: ignore}", "--quiet") == 0
        yield folder / "runs" / "tiny" / "0001"


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def results(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "results.json").read_bytes())
    return found


def test_every_row_is_predicted_by_the_fold_that_tests_it(run: Path) -> None:
    pooled = table(run / "evaluation" / "folds" / "predictions.csv")
    assert [int(row["row"]) for row in pooled] == list(range(41))
    for fold in ("1", "2"):
        of_fold = table(run / "folds" / fold / "evaluation" / "test" / "predictions.csv")
        with np.load(run / "folds" / fold / "split.npz") as split:
            assert [int(row["row"]) for row in of_fold] == split["test"].tolist()
            assert not set(split["test"]) & {*split["train"], *split["validation"]}
        assert [{**row, "fold": fold} for row in of_fold] == [row for row in pooled if row["fold"] == fold]


def test_the_metrics_of_all_folds_are_those_of_all_predictions(run: Path) -> None:
    pooled = table(run / "evaluation" / "folds" / "predictions.csv")
    right = [row["target"] == row["prediction"] for row in pooled]
    loss = [-np.log(float(row[f"probability of {row['target']}"])) for row in pooled]
    found = results(run)["folds"]["metrics"]
    assert found["accuracy"]["value"] == pytest.approx(np.mean(right), abs=1e-6)
    assert found["loss"]["value"] == pytest.approx(np.mean(loss), abs=1e-5)
    each = [np.mean([r for r, row in zip(right, pooled, strict=True) if row["fold"] == fold]) for fold in "12"]
    assert found["accuracy"]["each"] == pytest.approx(each)
    assert found["accuracy"]["sd"] == pytest.approx(np.std(each, ddof=1))
    # The plain interval of the same rows is narrower by sqrt(1 / 2).
    low, high = found["loss"]["interval"]
    draws = np.random.default_rng(0).choice(loss, (4000, 41)).mean(axis=1)
    plain = np.subtract(*np.quantile(draws, [0.975, 0.025]))
    assert (high - low) / plain == pytest.approx(np.sqrt(2), rel=0.12)


def test_a_fold_is_a_run_without_model_report_and_checkpoints(run: Path) -> None:
    names = {path.name for path in (run / "folds" / "2").iterdir()}
    assert {"run.json", "results.json", "resolved.yaml", "outputs.npz", "metrics.jsonl"} <= names
    assert not {"model.keras", "report.html", "figures", "log.txt"} & names
    assert [path.name for path in (run / "folds" / "2" / "checkpoints").iterdir()] == ["best.weights.h5"]
    assert "fold: 2" in (run / "folds" / "2" / "resolved.yaml").read_text()


def test_an_expectation_without_a_test_split_is_one_of_all_folds(run: Path) -> None:
    expected = results(run)["expectations"]["accuracy"]
    assert expected["value"] == results(run)["folds"]["metrics"]["accuracy"]["value"]
    assert expected["met"] is True
    assert results(run / "folds" / "1")["expectations"] == {}


def test_runs_shows_one_row_and_with_folds_a_row_for_each(dltool, run: Path) -> None:
    found = json.loads(dltool("runs", "--json").stdout)["runs"]
    assert [each["number"] for each in found] == ["0001"]
    assert found[0]["test"]["accuracy"] == results(run)["folds"]["metrics"]["accuracy"]["value"]
    shown = dltool("runs").stdout
    assert "accuracy 0." in shown
    assert "±" in shown
    assert "(2 folds)" in shown
    unfolded = json.loads(dltool("runs", "--folds", "--json").stdout)["runs"]
    assert [each["path"] for each in unfolded] == ["runs/tiny/0001", *(f"runs/tiny/0001/folds/{n}" for n in (1, 2))]


def test_a_fold_cannot_be_removed_alone_and_a_run_is_removed_with_its_folds(dltool, run: Path) -> None:
    refused = dltool("runs", "remove", run / "folds" / "1", "--yes")
    assert refused.code == 4
    assert f"{run / 'folds' / '1'} is a part of {run.absolute()}" in refused.stderr
    planned = json.loads(dltool("runs", "prune", "--keep", "0", "--dry-run", "--json").stdout)["would_remove"]
    assert [each["run"] for each in planned] == ["runs/tiny/0001"]


def test_a_complete_run_with_folds_has_nothing_to_resume_and_no_further_epochs(dltool, run: Path) -> None:
    for complete in (run, run / "folds" / "1"):
        resumed = dltool("resume", complete)
        assert "nothing to do" in resumed.stdout
        assert "--epochs" not in resumed.stdout + resumed.stderr
    longer = dltool("resume", run, "--epochs", "5")
    assert longer.code == 2
    assert "has folds, which would have fewer epochs" in longer.stderr


def test_a_run_that_is_tested_by_its_folds_alone_says_so_when_it_is_evaluated(dltool, run: Path) -> None:
    refused = dltool("evaluate", run)
    assert refused.code == 2
    assert "or evaluate a fold: RUN/folds/1" in refused.stderr


def test_the_report_of_a_fold_advises_on_the_config_of_its_run(dltool, run: Path) -> None:
    advised = dltool("report", run / "folds" / "2")
    assert "tiny.yaml:" in advised.stdout
    assert "parts.json" not in advised.stdout
    assert "Test in folds" not in advised.stdout
    (run / "folds" / "2" / "report.html").unlink()
    (run / "folds" / "2" / "report.json").unlink()


def test_check_shows_the_examples_of_each_fold(dltool, run: Path) -> None:
    inputs = ("--set", "data.inputs={person: ignore, hour: ignore}")
    found = json.loads(dltool("check", "tiny.yaml", "--data", "--json", *inputs).stdout)["data"]["folds"]
    assert found == [[16, 4, 21], [17, 4, 20]]
    shown = dltool("check", "tiny.yaml", "--data", *inputs).stdout
    assert "2 folds: 16 to 17 training, 4 validation, 20 to 21 test examples each" in shown


def test_a_notebook_gets_a_row_for_each_fold(run: Path) -> None:
    from dltool import open_run

    table = open_run(run).folds
    assert list(table.index) == [1, 2]
    assert table["accuracy"].tolist() == results(run)["folds"]["metrics"]["accuracy"]["each"]
    assert open_run(run / "folds" / "1").folds.empty


def test_without_folds_a_run_has_none_of_this(run: Path) -> None:
    assert "folds" in results(run)
    assert results(run / "folds" / "1").get("folds") is None
    assert not (run / "folds" / "1" / "folds").exists()


@pytest.fixture
def killed(run: Path, tmp_path: Path) -> Path:
    """The run as if it had been killed in its second fold."""
    copy = shutil.copytree(run, tmp_path / "runs" / "tiny" / "0001")
    for each in (copy, copy / "folds" / "2"):
        record = json.loads((each / "run.json").read_bytes())
        (each / "run.json").write_text(json.dumps({**record, "status": "running"}))
        (each / "results.json").unlink()
    (copy / "folds" / "2" / "checkpoints" / "best.weights.h5").unlink()
    return copy


def test_after_a_kill_every_command_proposes_to_resume_the_whole_run(dltool, killed: Path) -> None:
    listed = dltool("runs", "--folds", "--runs", killed.parents[1])
    assert f"next  dltool resume {killed}\n" in listed.stdout
    refused = dltool("reproduce", killed / "folds" / "2")
    assert refused.code == 4
    assert f"dltool resume {killed}\n" in refused.stderr
    # A run that no process writes is not running, whatever its record says.
    assert "its status is interrupted" in dltool("compare", killed, killed / "folds" / "1").stdout


def test_a_fold_without_weights_yet_predicts_nothing_and_warns_of_nothing_else(dltool, run: Path, killed: Path) -> None:
    refused = dltool("predict", killed / "folds" / "2", run.parents[2] / "rows.csv")
    assert refused.code == 4
    assert "warning" not in refused.stderr


def test_the_sizes_of_folds_are_those_of_the_rows_that_are_used(tmp_path: Path) -> None:
    base = {"source": {"csv": str(write_rows(tmp_path, 60))}, "target": "kind", "inputs": {"hour": "ignore"}}
    for rule in ({"group": "person"}, {"validation": 0.2}, {"order": "hour", "gap": 2}):
        split = {"folds": 3, "use": 0.1, **rule}
        folds = load_data(Data.model_validate({**base, "split": split}), seed=0).split.folds
        assert folds is not None
        for fold, size in enumerate(folds.sizes, 1):
            found = load_data(Data.model_validate({**base, "split": {**split, "fold": fold}}), seed=0).split
            assert size == (len(found.train), len(found.validation), len(found.test))
