"""Folds that are trained with several seeds: which trainings they are, and what they show together."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.folds.test_fold_trainings import PLAIN, results, weights
from tests.folds.test_folds import CONFIG, write_rows

from dltool.config.load import build_config, read_document
from dltool.data.dataset import load_data
from dltool.errors import RunError
from dltool.folds.part_configs import part_configs
from dltool.folds.part_section import sentences
from dltool.notebook import TrainedRun
from dltool.report.ranking import differ_by_folds
from dltool.runs.part_records import PartResults
from dltool.runs.records import Results


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path)
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    return tmp_path


@pytest.mark.slow
def test_each_fold_is_trained_with_each_seed_and_the_spreads_are_apart(draws, dltool, folder: Path) -> None:
    settings = (*PLAIN, "--set", "data.split={validation: 0.2}", "--seed", "7", "--folds", "3")
    assert dltool("train", "tiny.yaml", *settings).code == 0
    trained = dltool("train", "tiny.yaml", *settings, "--seeds", "2")
    assert trained.code == 0, trained.stderr
    plain, run = (folder / "runs" / "tiny" / number for number in ("0001", "0002"))
    for fold in ("1", "2", "3"):
        assert weights(run / "folds" / fold) == weights(plain / "folds" / fold)
    alone = ("--seed", "8", "--set", "data.split.seed=7", "--set", "data.split.fold=2")
    assert dltool("train", "tiny.yaml", *settings[:5], *settings[7:], *alone, "--runs", "alone").code == 0
    assert weights(run / "folds" / "5") == weights(folder / "alone" / "tiny" / "0001")
    found = results(run)["folds"]
    assert (found["count"], found["seeds"]) == (3, [7, 8])
    with (run / "evaluation" / "folds" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["row"]), row["seed"]) for row in rows] == [(n, seed) for n in range(41) for seed in ("7", "8")]
    loss = np.array([-np.log(float(row[f"probability of {row['target']}"])) for row in rows]).reshape(41, 2)
    metric = found["metrics"]["loss"]
    assert metric["value"] == pytest.approx(loss.mean(), abs=1e-5)
    assert metric["sd_of_seeds"] == pytest.approx(np.std(loss.mean(axis=0), ddof=1), abs=1e-6)
    folds = np.array([int(row["fold"]) for row in rows[::2]])
    of_folds = [loss[folds == fold].mean() for fold in (1, 2, 3)]
    assert metric["sd"] == pytest.approx(np.std(of_folds, ddof=1), abs=1e-5)
    # Drawn by hand: a seed, then rows; and wider by sqrt(3 / 2).
    random = np.random.default_rng(0)
    drawn = [random.choice(loss[:, random.integers(2)], 41).mean() for _ in range(4000)]
    low, high = metric["interval"]
    assert high - low == pytest.approx(np.sqrt(1.5) * np.subtract(*np.quantile(drawn, [0.975, 0.025])), rel=0.12)
    assert "over 3 folds, " in (run / "report.html").read_text()
    compared = json.loads(dltool("compare", plain, run, "--json").stdout)
    assert compared["metrics"]["loss"]["differences"][1]["is_paired"]
    assert json.loads(dltool("reproduce", run, "--json").stdout)["identical"] is True


@pytest.mark.slow
def test_a_metric_that_is_no_mean_is_the_mean_of_that_of_each_seed(dltool, folder: Path) -> None:
    from sklearn.metrics import roc_auc_score

    binary = ("training.loss=binary_crossentropy", "training.metrics=[AUC]", "expect={}", "data.final=none")
    layers = ("--set", "model.layers=[{Dense: {units: 1, activation: sigmoid}}]", "--seeds", "2")
    settings = [part for each in binary for part in ("--set", each)]
    trained = dltool("train", "tiny.yaml", *PLAIN, *settings, *layers)
    assert trained.code == 0, trained.stderr
    run = folder / "runs" / "tiny" / "0001"
    with (run / "evaluation" / "folds" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    of_seed = [[row for row in rows if row["seed"] == seed] for seed in ("0", "1")]
    areas = [
        roc_auc_score([row["target"] == "yes" for row in each], [float(row["probability of yes"]) for row in each])
        for each in of_seed
    ]
    assert results(run)["folds"]["metrics"]["auc"]["value"] == pytest.approx(np.mean(areas), abs=0.01)


@pytest.mark.slow
def test_stopped_in_the_second_seed_it_goes_on_to_the_same_results(dltool, folder: Path) -> None:
    ensemble = ("--set", "data.final=ensemble", "--set", "data.split={folds: 2, repeats: 2, test: 0.2}")
    assert dltool("train", "tiny.yaml", *PLAIN, *ensemble, "--seeds", "2").code == 0
    run = folder / "runs" / "tiny" / "0001"
    expected: dict[str, Any] = results(run)
    assert expected["ensemble"] == 8
    model = (run / "model.keras").read_bytes()
    for fold in ("6", "7", "8"):
        shutil.rmtree(run / "folds" / fold)
    record = run / "run.json"
    record.write_text(record.read_text().replace('"status": "completed"', '"status": "interrupted"'))
    assert dltool("resume", run).code == 0
    assert {**results(run), "seconds": 0, "cost": 0} == {**expected, "seconds": 0, "cost": 0}
    assert (run / "model.keras").read_bytes() == model


def test_folds_are_compared_by_the_means_of_their_seeds() -> None:
    sizes = {"training": [80] * 3, "test": [40] * 3, "division": "sha256:1", "count": 3}
    plain = PartResults.model_validate({**sizes, "metrics": {"loss": {"each": [0.5, 0.6, 0.7]}}})
    # The seeds differ by 0.2. In their mean, each fold is lower by 0.1, to three digits.
    each = [0.3, 0.401, 0.5, 0.5, 0.6, 0.7]
    seeded = PartResults.model_validate({**sizes, "seeds": [0, 1], "metrics": {"loss": {"each": each}}})
    assert differ_by_folds("loss", plain, seeded)
    assert differ_by_folds("loss", seeded, plain)
    assert seeded.words == "3 folds × 2 seeds"
    damaged = PartResults.model_validate({**sizes, "seeds": [0, 1], "metrics": {"loss": {"each": each[:5]}}})
    assert not differ_by_folds("loss", plain, damaged)


def test_a_fold_alone_has_seeds_as_any_run_has(folder: Path) -> None:
    settings = ["data.inputs={person: ignore, hour: ignore}", "data.split={folds: 30, fold: 2, stratify: false}"]
    document = read_document(folder / "tiny.yaml", [*settings, "training.seeds=4"])
    unknown = build_config(document)
    dataset = load_data(unknown.data, unknown.seed)
    parts = [*part_configs(document, build_config(document, dataset.facts.names()), dataset)]
    assert [(part.path, part.words) for part in parts] == [(f"seeds/{n}", f"seed {n - 1}") for n in (2, 3, 4)]
    assert all("fold: 2" in part.text for part in parts)


@pytest.mark.parametrize(
    ("repeats", "seeds", "words"),
    [
        (1, [], ""),
        (2, [], "the first repeat."),
        (1, [3, 4], "the first seed."),
        (2, [3, 4], "repeat and the first seed."),
    ],
)
def test_the_report_says_which_predictions_its_figures_show(repeats: int, seeds: list[int], words: str) -> None:
    found = PartResults(count=3, repeats=repeats, seeds=seeds, division="sha256:0")
    text = " ".join(sentences(found, {}, Results.model_validate({"epochs": 2})))
    assert ("each example once" in text) is bool(words)
    assert words in text


@pytest.mark.parametrize(
    ("repeats", "seeds", "names", "index"),
    [
        (1, [], ["fold"], [1, 2]),
        (1, [3, 4], ["seed", "fold"], [(3, 1), (3, 2), (4, 1), (4, 2)]),
        (2, [], ["repeat", "fold"], [(1, 1), (1, 2), (2, 1), (2, 2)]),
    ],
)
def test_a_notebook_gets_the_seed_and_the_repeat_of_each_fold(repeats, seeds, names, index, tmp_path: Path) -> None:
    each = [float(number) for number in range(2 * repeats * max(1, len(seeds)))]
    found = {
        "count": 2,
        "repeats": repeats,
        "seeds": seeds,
        "division": "sha256:0",
        "metrics": {"loss": {"each": each}},
    }
    (tmp_path / "results.json").write_text(json.dumps({"folds": found}))
    table = TrainedRun(tmp_path).folds
    assert list(table.index.names) == names
    assert table.index.tolist() == index
    assert table["loss"].tolist() == each


@pytest.mark.parametrize("metrics", [{}, {"loss": {"each": [0.5]}}, {"loss": {"each": [0.5] * 2}, "auc": {}}])
def test_a_notebook_is_told_of_damaged_folds(metrics, tmp_path: Path) -> None:
    found = {"count": 2, "division": "sha256:0", "metrics": metrics}
    (tmp_path / "results.json").write_text(json.dumps({"folds": found}))
    with pytest.raises(RunError, match=r"results.json is damaged: not all metrics have the values of 2 folds"):
        _ = TrainedRun(tmp_path).folds
