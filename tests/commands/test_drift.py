"""Groups, drift and the membership-inference audit of one run, from its training to the commands."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.commands.prediction_kinds import KINDS
from tests.in_process import command

from dltool.commands.drift import bound_of, told_apart
from dltool.config.load import build_config, read_document
from dltool.data.dataset import load_data
from dltool.errors import ConfigError
from dltool.evaluation.kept_distributions import binned, drift_of
from dltool.text import data_number

CENSUS = """\
name: census
data:
  source: {csv: people.csv}
  target: income
  inputs: {sex: ignore}
  slices: [sex, occupation, {age: [30, 50]}]
  split: {validation: 0.2, test: 0.3}
model:
  layers: [{Dense: {units: 8, activation: relu}}, {Dense: {units: 1, activation: sigmoid}}]
training: {optimizer: {Adam: {learning_rate: 0.02}}, loss: binary_crossentropy, metrics: [accuracy], epochs: 4}
"""


def people(rows: int, seed: int = 0) -> pd.DataFrame:
    """People whose age decides their income, the other way round in the army, which is rare."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"age": random.integers(17, 90, rows)})
    frame["sex"] = random.choice(["Male", "Female"], rows)
    frame["occupation"] = random.choice(["Sales", "Craft", "Army"], rows, p=[0.55, 0.3, 0.15])
    older = (frame.age > 50) ^ (frame.sex == "Male")
    frame["income"] = np.where(older, "high", "low")
    frame.loc[frame.sex == "Female", "income"] = np.where(frame.age > 50, "high", "low")[frame.sex == "Female"]
    return frame


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("census")
    people(1500).to_csv(folder / "people.csv", index=False)
    (folder / "census.yaml").write_text(CENSUS, encoding="utf-8")
    assert command("train", folder / "census.yaml", "--runs", folder / "runs", "--quiet", draws=True) == 0
    return folder / "runs/census/0001"


def written(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


@pytest.mark.proof
@pytest.mark.slow
def test_the_report_shows_the_group_that_is_worse_than_its_base(trained: Path) -> None:
    """The model does not know the sex, and is wrong about all men."""
    groups = written(trained / "evaluation/test/metrics.json")["groups"][0]
    table = pd.read_csv(trained / "evaluation/test/predictions.csv")
    frame = people(1500).iloc[table["row"]].reset_index(drop=True)
    by_name = {each["group"]: each for each in groups["groups"]}
    assert {"sex: Male", "sex: Female", "occupation: Army", "age: below 30"} <= set(by_name)
    for sex in ("Male", "Female"):
        mine = table[frame.sex == sex]
        found = by_name[f"sex: {sex}"]
        assert found["rows"] == len(mine)
        assert found["numbers"]["accuracy"]["value"] == pytest.approx((mine.target == mine.prediction).mean())
        assert found["numbers"]["base"]["value"] == pytest.approx(mine.target.value_counts(normalize=True).max())
    report = written(trained / "report.json")
    worst = min(groups["groups"], key=lambda each: each["numbers"]["lift"]["value"])
    assert worst["group"] == "sex: Male"
    assert any(each["kind"] == "group" and "sex: Male" in each["words"] for each in report["warnings"])
    assert len(report["parts"]["groups-1"]) == len(by_name) + 1
    assert len(report["parts"]["membership"]) == 2
    assert "Training examples recognized by their loss" in (trained / "report.html").read_text("utf-8")


@pytest.mark.slow
def test_any_columns_can_be_compared_later(trained: Path, dltool, draws) -> None:
    found = dltool("evaluate", trained, "--slices", "[sex, {age: [40]}]")
    assert found.code == 0, found.stderr
    assert all(name in found.stdout for name in ("sex: Male", "sex: Female", "age: below 40", "age: 40 and above"))
    unknown = dltool("evaluate", trained, "--slices", "sexx")
    assert unknown.code == 2
    assert 'error: --slices: there is no column "sexx"' in unknown.stderr
    assert 'did you mean "sex"?' in unknown.stderr
    bounded = dltool("evaluate", trained, "--slices", "[{occupation: [3]}]")
    assert bounded.code == 2
    assert '--slices: "occupation" has no numbers to bound' in bounded.stderr
    alone = dltool("evaluate", trained, "--slices", "[{age: [0]}]")
    assert alone.code == 0
    assert "there are no two groups among these examples" in alone.stderr


@pytest.mark.proof
@pytest.mark.slow
def test_data_of_the_same_kind_has_not_drifted_and_other_data_has(trained: Path, dltool, tmp_path: Path) -> None:
    same, moved = people(700, seed=1), people(1000, seed=2)
    moved["age"] += round(0.3 * float(moved.age.std()))
    same.drop(columns=["income", "sex"]).to_csv(tmp_path / "same.csv", index=False)
    moved.to_csv(tmp_path / "moved.csv", index=False)
    found = dltool("drift", trained, tmp_path / "same.csv", "--expect", "drifted == 0", "--json")
    assert found.code == 0, found.stderr
    outcome = json.loads(found.stdout)
    assert {each["name"] for each in outcome["found"]} == {"age", "occupation", "model: class", "model: confidence"}
    assert outcome["auc"]["low"] < 0.55
    found = dltool("drift", trained, tmp_path / "moved.csv", "--expect", "age <= 0.05")
    assert found.code == 7
    assert "expectation missed: expected age <= 0.05, got 0." in found.stderr
    assert "age" in found.stdout
    assert "occupation" not in found.stdout
    found = dltool("drift", trained, tmp_path / "moved.csv", "--expect", "agee <= 0.05")
    assert found.code == 2
    assert '--expect: unknown name "agee"' in found.stderr
    assert 'did you mean "age"?' in found.stderr


@pytest.mark.slow
def test_the_classifier_sees_drift_in_rows_that_stand_in_order(trained: Path, dltool, tmp_path: Path) -> None:
    """Folds of neighbours would hold ages that the classifier has never seen."""
    frame = people(1000, seed=2).sort_values("age")
    frame["occupation"] = np.where(frame.age.rank() % 3 < 1, "Army", "Sales")
    frame.to_csv(tmp_path / "ordered.csv", index=False)
    found = json.loads(dltool("drift", trained, tmp_path / "ordered.csv", "--json").stdout)
    assert found["auc"]["value"] > 0.6
    frame.head(2).to_csv(tmp_path / "few.csv", index=False)
    assert "no classifier: " in dltool("drift", trained, tmp_path / "few.csv").stdout


@pytest.mark.slow
def test_an_explanation_of_new_rows_warns_as_a_prediction_does(trained: Path, dltool, tmp_path: Path) -> None:
    people(3).assign(occupation="Astronaut", age=900).to_csv(tmp_path / "odd.csv", index=False)
    found, predicted = (dltool(name, trained, tmp_path / "odd.csv") for name in ("explain", "predict"))
    assert found.code == predicted.code == 0, found.stderr
    warnings = [line for line in predicted.stderr.splitlines() if line.startswith("warning")]
    assert len(warnings) == 2
    assert [line for line in found.stderr.splitlines() if line.startswith("warning")] == warnings


@pytest.mark.slow
def test_a_run_that_keeps_nothing_needs_its_data(trained: Path, dltool, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(trained.parents[2], folder, symlinks=True)
    run = folder / "runs/census/0001"
    for file in run.rglob("*"):
        if file.name in ("run.json", "resolved.yaml"):
            file.write_text(file.read_text("utf-8").replace(str(trained.parents[2]), str(folder)), encoding="utf-8")
    (run / "evaluation/test/distributions.json").unlink()
    people(300, seed=1).to_csv(tmp_path / "new.csv", index=False)
    found = dltool("drift", run, tmp_path / "new.csv")
    assert found.code == 0, found.stderr
    assert "0 of 2 columns and predictions have drifted" in found.stdout
    (folder / "people.csv").unlink()
    found = dltool("drift", run, tmp_path / "new.csv")
    assert found.code == 4
    assert "keeps no distributions of its training data, which is not available" in found.stderr
    assert f"dltool evaluate {run} writes them" in found.stderr


@pytest.mark.parametrize("text", ["auc", "<= 0.5", "auc <= many", "auc < = 1"])
def test_a_bound_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a name and a bound"):
        bound_of(text)


def test_a_bound_has_a_name_and_a_comparison() -> None:
    assert bound_of("drifted == 0") == ("drifted", "== 0")
    assert bound_of("hours per week<=0.1") == ("hours per week", "<=0.1")
    assert bound_of("income<=50K > 0.1") == ("income<=50K", "> 0.1")
    assert bound_of("a == b <0.5") == ("a == b", "<0.5")


NUMBERS = """\
name: numbers
data: {source: {arrays: numbers.npz}, split: {validation: 0.1, test: 0.1}}
model: {layers: [{Dense: {units: 1, activation: sigmoid}}]}
training: {optimizer: adam, loss: binary_crossentropy, epochs: 1}
"""
FOLDS = """\
name: folds
data:
  source: {csv: people.csv}
  target: {wage: number}
  inputs: {age: number}
  slices: [sex, village]
  split: {folds: 3, group: village}
  final: none
model: {layers: [{Dense: 4}, {Dense: 1}]}
training: {optimizer: {Adam: 0.05}, loss: mean_squared_error, epochs: 2}
"""


@pytest.mark.slow
def test_folds_are_compared_by_their_out_of_fold_rows(tmp_path: Path, dltool, draws) -> None:
    """The village divides the rows, and is no input: a column of the folds is one for groups too."""
    frame = people(400).drop(columns=["income", "occupation"])
    frame["village"] = np.random.default_rng(0).choice(["A", "B", "C", "D", ""], 400, p=[0.3, 0.3, 0.2, 0.2, 0.0])
    frame["wage"] = frame.age + np.random.default_rng(1).normal(0, np.where(frame.sex == "Male", 30, 3))
    frame.to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "folds.yaml").write_text(FOLDS, encoding="utf-8")
    found = dltool("train", tmp_path / "folds.yaml", "--runs", tmp_path / "runs", "--quiet")
    assert found.code == 0, found.stderr
    run = tmp_path / "runs/folds/0001"
    (groups,) = written(run / "evaluation/folds/metrics.json")["groups"]
    table = pd.read_csv(run / "evaluation/folds/predictions.csv").sort_values("row")
    errors = (table.target - table.prediction).to_numpy() ** 2
    by_name = {each["group"]: each for each in groups["groups"]}
    assert set(by_name) == {"sex: Male", "sex: Female", "village: A", "village: B", "village: C", "village: D"}
    for name, each in by_name.items():
        column, _, value = name.partition(": ")
        inside = (frame[column] == value).to_numpy()
        assert each["rows"] == inside.sum()
        numbers = each["numbers"]
        assert numbers["root mean squared error"]["value"] == pytest.approx(np.sqrt(errors[inside].mean()), rel=1e-4)
        assert numbers["base"]["value"] == pytest.approx(frame.wage[inside].std(ddof=0), rel=1e-4)
    assert written(run / "report.json")["parts"]["groups-1"][-1]["rows"] == 400
    found = dltool("report", run)
    assert found.code == 0, found.stderr
    assert written(run / "report.json")["parts"]["groups-1"][-1]["rows"] == 400


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in KINDS if name not in ("json lines", "parquet")])
def test_drift_is_measured_on_data_of_every_kind(name: str, train, dltool, draws, tmp_path: Path) -> None:
    """The new files are the test rows, on which nothing has drifted."""
    kind = KINDS[name]
    kind.write(tmp_path)
    outcome, run = train(kind.config)
    assert outcome.code == 0, outcome.stderr
    assert (run / "evaluation/test/distributions.json").is_file()
    found = dltool("drift", run, *[tmp_path / file for file in kind.new], "--json")
    assert found.code == 0, found.stderr
    columns = json.loads(found.stdout)["found"]
    assert columns
    assert not [each for each in columns if each["name"].startswith("model: ") and each["p"] < 0.05]
    assert not [each for each in columns if not each["name"].startswith("model: ") and each["p"] < 0.01]


def test_the_median_of_new_values_is_theirs_however_far_they_are() -> None:
    lengths = np.random.default_rng(0).normal(45, 5, 500)
    found = drift_of("length", binned(lengths), lengths / 10, 0)
    assert found.change.endswith(f" → {data_number(float(np.median(lengths / 10)), 4)}")
    assert drift_of("length", binned(lengths), np.full(20, np.nan), 0).change.endswith(" → unknown")


@pytest.mark.slow
def test_copies_of_training_rows_look_neither_new_nor_old(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)
    np.savez(tmp_path / "numbers.npz", x=values, y=np.arange(400) % 2)
    (tmp_path / "numbers.yaml").write_text(NUMBERS, encoding="utf-8")
    config = build_config(read_document(tmp_path / "numbers.yaml"))
    dataset = load_data(config.data, config.seed)
    found = told_apart(config, dataset.facts, dataset.examples("train"), dataset.all)
    assert found is not None
    assert 0.4 < found.value < 0.6
