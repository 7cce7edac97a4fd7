"""Runs that start with the weights of another run."""

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.commands.test_resume import killed
from tests.small_configs import TINY

from dltool.experiment.opening import best_model, recorded_kind
from dltool.runs.files import Run

FIRST = TINY.replace("name: example", "name: first").replace("units: 8,", "units: 8, name: body,")
# A step of this size changes no float32.
STILL = ("{Adam: {learning_rate: 1e-3}}", "{SGD: {learning_rate: 1e-30}}")
SECOND = FIRST.replace("name: first", "name: second").replace("model:\n", "model:\n  start: {run: runs/first/latest}\n")


def best(run: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with h5py.File(run / "checkpoints" / "best.weights.h5") as file:
        file.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return found


def record(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text("utf-8"))


@pytest.fixture
def first(finished) -> Path:
    return finished(FIRST)


@pytest.mark.slow
def test_a_run_starts_with_the_best_weights_of_another_which_may_have_seen_its_test_examples(first, train):
    outcome, run = train(SECOND.replace(*STILL), "--seed", "5")
    assert outcome.code == 0, outcome.stderr
    for name, array in best(first).items():
        np.testing.assert_array_equal(best(run)[name], array)
    assert f"starts with the weights of 2 layers of {first}" in " ".join(outcome.stderr.split())
    start = record(run)["start"]
    assert (start["source"], start["taken"], start["new"]) == (str(first), ["body", "dense_1"], {})
    (warning,) = start["warnings"]
    assert warning.startswith(f"{first.parent}/latest was trained on the same data with another split")
    assert "was trained on the same data with another split" in outcome.stderr


def test_sources_that_are_none_are_refused_at_their_line(dltool, tmp_path):
    path = tmp_path / "example.yaml"
    (tmp_path / "net.pth").write_bytes(b"weights")
    for written, message in {
        "{run: elsewhere}": "no such run: ",
        "{}": "expected either run or weights",
        "{run: a, weights: b}": "expected either run or weights",
        "{weights: net.pth}": "net.pth is not a file of weights",
        "{weights: net.keras}": "no such file: ",
    }.items():
        path.write_text(SECOND.replace("{run: runs/first/latest}", written), "utf-8")
        outcome = dltool("check", path)
        assert outcome.code == 2
        assert "example.yaml:7:" in outcome.stderr
        assert message in outcome.stderr
    assert "expected .weights.h5 or .keras by Keras, or .safetensors by PyTorch" in outcome.stderr


@pytest.mark.slow
def test_a_run_without_weights_is_refused_at_its_line(first, train):
    (first / "checkpoints" / "best.weights.h5").unlink()
    outcome, _ = train(SECOND)
    assert outcome.code == 2
    assert "example.yaml:7:16: model.start.run: " in outcome.stderr
    assert "best.weights.h5 is missing" in outcome.stderr


@pytest.mark.slow
def test_everything_later_works_from_the_run_alone(first, train, dltool):
    outcome, run = train(SECOND.replace("epochs: 2", "epochs: 1"))
    assert outcome.code == 0, outcome.stderr
    assert "seen test examples" not in outcome.stderr
    shutil.rmtree(first.parent)
    assert dltool("evaluate", run).code == 0
    assert dltool("reproduce", run).code == 0
    expected = best(run)
    assert dltool("resume", run, "--epochs", "2").code == 0
    # As if it had been killed before its first checkpoint.
    killed(run)
    shutil.rmtree(run / "checkpoints")
    (run / "metrics.jsonl").unlink()
    outcome = dltool("resume", run, "--epochs", "1")
    assert outcome.code == 0, outcome.stderr
    for name, array in best(run).items():
        np.testing.assert_array_equal(array, expected[name])
    shutil.rmtree(run / "start")
    outcome = dltool("reproduce", run)
    assert outcome.code == 4
    assert "is missing: the weights that the run started with" in outcome.stderr


@pytest.mark.slow
def test_folds_and_seeds_start_with_the_same_weights_though_the_source_is_gone(first, train, dltool):
    text = SECOND.replace(*STILL).replace("{validation: 0.2, test: 0.2}", "{validation: 0.2, folds: 2}")
    outcome, run = train(text)
    assert outcome.code == 0, outcome.stderr
    assert outcome.stderr.count("was trained on the same data") == 1
    shutil.rmtree(first.parent)
    killed(run)
    shutil.rmtree(run / "folds" / "2")
    outcome = dltool("resume", run)
    assert outcome.code == 0, outcome.stderr
    for part in (run / "folds" / "1", run / "folds" / "2"):
        assert not (part / "start").exists()
        for name, array in best(run).items():
            np.testing.assert_array_equal(best(part)[name], array)


LORA = FIRST.replace(
    "  optimizer: {Adam: {learning_rate: 1e-3}}\n",
    "  phases:\n    - {epochs: 1, optimizer: {Adam: 0.01}}\n"
    "    - {epochs: 1, trainable: [head], lora: {layers: [body]}, optimizer: {Adam: 0.1}}\n",
).replace("units: $classes,", "units: $classes, name: head,")
LORA = LORA.replace("  epochs: 2\n", "")


@pytest.mark.slow
def test_a_model_trained_by_lora_is_a_plain_model_of_keras(train, dltool):
    import keras

    outcome, run = train(LORA)
    assert outcome.code == 0, outcome.stderr
    model = keras.models.load_model(run / "model.keras")
    assert model.get_layer("body").lora_rank is None
    assert [weight.path.split("/")[-1] for weight in model.get_layer("body").weights] == ["kernel", "bias"]
    (body,) = (array for name, array in best(run).items() if array.shape == (4, 8))
    np.testing.assert_array_equal(model.get_layer("body").kernel, body)
    results = json.loads((run / "results.json").read_text("utf-8"))
    assert results["best"]["epoch"] == 2
    again = best_model(Run(run), *recorded_kind(Run(run)))
    assert again.core.get_layer("body").lora_rank is None
    np.testing.assert_array_equal(again.core.get_layer("body").kernel, body)
    assert dltool("evaluate", run).code == 0
    found = json.loads((run / "evaluation/test/metrics.json").read_text("utf-8"))
    assert json.dumps(results["test"]["loss"]) in json.dumps(found)
