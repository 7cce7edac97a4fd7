"""Plain functions as losses and metrics, from a file that `--allow-code` names."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from tests.in_process import command

CODE = """\
from keras import ops


def my_loss(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def whole_batch(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred))


def closeness(targets, outputs, scale=100.0):
    return ops.exp(-ops.abs(targets - outputs) / scale)


def three_arguments(a, b, c):
    return a


def _hidden(y_true, y_pred):
    return y_true
"""
CONFIG = """\
name: example
data: {source: diabetes, split: {validation: 0.2, test: 0.2}}
model: {layers: [Dense: 1]}
training:
  optimizer: {Adam: 1.0}
  loss: my_loss
  metrics: [my_loss, whole_batch, closeness, mse]
  batch_size: 60
  epochs: 2
  checkpoint: {monitor: val_closeness, mode: max}
"""
CODE_OPTION = ("--allow-code", "own.py")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("functions")
    (folder / "own.py").write_text(CODE)
    (folder / "example.yaml").write_text(CONFIG)
    options = ("--allow-code", folder / "own.py", "--runs", folder / "runs", "--quiet")
    assert command("train", folder / "example.yaml", *options) == 0
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Path("runs/example/0001")


def test_the_numbers_are_those_of_the_functions(run):
    results = json.loads((run / "results.json").read_text())
    with np.load(run / "split.npz") as splits:
        rows = splits["test"]
    from sklearn.datasets import load_diabetes

    inputs, targets = load_diabetes(return_X_y=True, scaled=False)
    # The run's code is not needed: the model holds neither loss nor metrics.
    model = keras.models.load_model(run / "model.keras")
    error = model.predict(inputs[rows].astype(np.float32), verbose=0)[:, 0] - targets[rows]
    expected = np.mean(error**2)
    assert [results["test"][name] for name in ("loss", "my_loss", "whole_batch", "mse")] == pytest.approx(
        [expected] * 4
    )
    assert results["test"]["closeness"] == pytest.approx(np.mean(np.exp(-np.abs(error) / 100)))
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert epochs[-1]["my_loss"] == pytest.approx(epochs[-1]["mse"])
    # Batches of 60, and one of 26.
    assert epochs[-1]["whole_batch"] == pytest.approx(epochs[-1]["mse"])
    assert results["best"]["monitor"] == "val_closeness"
    assert results["best"]["value"] == max(epoch["val_closeness"] for epoch in epochs)


def test_intervals_are_those_of_the_same_number(run):
    intervals = json.loads((run / "results.json").read_text())["intervals"]
    for name in ("loss", "my_loss", "whole_batch"):
        assert intervals[name] == pytest.approx(intervals["mse"], rel=1e-5)


def test_the_functions_are_metrics_of_evaluate(run, dltool):
    outcome = dltool("evaluate", run, *CODE_OPTION, "--metrics", "closeness", "--json")
    assert outcome.code == 0, outcome.stderr
    results = json.loads((run / "results.json").read_text())
    assert json.loads(outcome.stdout)["metrics"]["closeness"] == results["test"]["closeness"]


@pytest.mark.slow
def test_a_run_resumes_with_a_function_of_a_whole_batch_as_its_loss(run, dltool):
    option = ("--set", "training.loss=whole_batch", "--quiet")
    assert dltool("train", "example.yaml", *CODE_OPTION, *option).code == 0
    assert dltool("resume", "runs/example/0002", *CODE_OPTION, "--epochs", "3", "--quiet").code == 0
    assert dltool("train", "example.yaml", *CODE_OPTION, *option, "--set", "training.epochs=3").code == 0
    resumed, straight = (Path(f"runs/example/000{n}/results.json").read_text() for n in (2, 3))
    assert json.loads(resumed)["test"] == json.loads(straight)["test"]


@pytest.mark.parametrize("name", ["three_arguments", "_hidden"])
def test_other_functions_are_none(name, run, dltool):
    outcome = dltool("check", "example.yaml", *CODE_OPTION, "--set", f"training.loss={name}")
    assert outcome.code == 2
    assert f'unknown loss "{name}"' in outcome.stderr


def test_a_function_of_the_name_of_a_loss_is_refused(run, dltool):
    Path("own.py").write_text(CODE.replace("def my_loss", "def dice"))
    outcome = dltool("check", "example.yaml", *CODE_OPTION)
    assert outcome.code == 2
    assert "own.py:4:5: Keras has a loss of the name dice" in outcome.stderr


def test_a_monitor_that_is_a_function_needs_a_mode(run, dltool):
    outcome = dltool("train", "example.yaml", *CODE_OPTION, "--set", "training.checkpoint={monitor: val_closeness}")
    assert outcome.code == 2
    assert "val_closeness: cannot tell whether more or less is better" in outcome.stderr
    assert "mode: max or mode: min" in outcome.stderr


def test_a_function_is_given_targets_and_outputs_of_equal_rank():
    from dltool.model.user_code import FunctionMetric

    metric = FunctionMetric(lambda y_true, y_pred: keras.ops.abs(y_true - y_pred), "distance")
    metric.update_state(np.array([0, 1, 1, 0]), np.array([[0.0], [0.5], [1.0], [1.0]], np.float32))
    assert float(metric.result()) == 0.375


@pytest.mark.slow
def test_weights_need_a_loss_of_each_example(run, dltool):
    changes = [
        "data.source=iris",
        "training.metrics=[]",
        "training.checkpoint.monitor=val_loss",
        "model.layers=[Dense: 3]",
    ]
    changes += ["training.class_weights=balanced", "training.checkpoint.mode=min"]
    options = [option for change in changes for option in ("--set", change)]
    code = "from keras import losses, ops\n\n\ndef own(y_true, y_pred):\n    return "
    loss = "losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)"
    for body, expected in ((loss, 0), (f"ops.mean({loss})", 2)):
        Path("own.py").write_text(f"{code}{body}\n")
        outcome = dltool("train", "example.yaml", *CODE_OPTION, "--quiet", *options, "--set", "training.loss=own")
        assert outcome.code == expected, outcome.stderr
    assert "training.loss: this loss is one number for all examples of a batch" in outcome.stderr
