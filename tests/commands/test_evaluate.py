"""Evaluating a run from its directory alone."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.small_configs import TINY


def results(run: Path):
    return json.loads((run / "results.json").read_text("utf-8"))


@pytest.fixture
def run(train, tmp_path) -> Path:
    """A run on arrays that the tests can change afterwards."""
    random = np.random.default_rng(0)
    np.savez(tmp_path / "own.npz", x=random.random((150, 4), "float32"), y=random.integers(0, 3, 150))
    return train(TINY.replace("source: iris", "source: {arrays: own.npz}"))[1]


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
    assert "write test" in outcome.stderr


def test_what_is_no_run_is_exit_code_4(dltool, tmp_path) -> None:
    assert dltool("evaluate", tmp_path).code == 4
    assert dltool("evaluate", tmp_path / "runs/mnist/0001").code == 4
