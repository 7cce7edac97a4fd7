"""Predictions for raw data of every kind are the outputs of the evaluation, bit by bit, and those of plain Keras."""

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tests.commands.prediction_kinds import KINDS, Kind


def outputs_of_evaluation(dltool, run: Path) -> np.ndarray:
    """What `dltool evaluate RUN` hands to the loss, batch by batch."""
    found: list[np.ndarray] = []
    original = keras.Model.compute_loss

    def recorded(self, x=None, y=None, y_pred=None, *arguments, **options):
        tf.py_function(lambda outputs: found.append(outputs.numpy()), [y_pred], [])
        return original(self, x, y, y_pred, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "compute_loss", recorded)
        outcome = dltool("evaluate", run)
    assert outcome.code == 0, outcome.stderr
    return np.concatenate(found)


def predicted(dltool, run: Path, *files: Path) -> list[dict[str, Any]]:
    out = run.parent / "predictions.jsonl"
    outcome = dltool("predict", run, *files, "--out", out)
    assert outcome.code == 0, outcome.stderr
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()]


def numbers_in(lines: list[dict[str, Any]], outputs: int) -> np.ndarray:
    """The model's outputs again: of two classes with one output, the probability of the second."""
    values = [[value for value in line.values() if isinstance(value, float)] for line in lines]
    return np.array(values, np.float32)[:, -outputs:]


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if n not in ("csv", "images") else ()) for n in KINDS],
)
def test_predictions_without_the_training_data_are_the_outputs_of_evaluation(name, train, dltool, tmp_path) -> None:
    kind: Kind = KINDS[name]
    kind.write(tmp_path)
    outcome, run = train(kind.config)
    assert outcome.code == 0, outcome.stderr
    expected = outputs_of_evaluation(dltool, run)
    raw = kind.raw(tmp_path)
    new = [tmp_path / file for file in kind.new]
    for path in tmp_path.iterdir():
        if path not in new and path.name not in ("runs", "example.yaml"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    lines = predicted(dltool, run, *new)
    found = numbers_in(lines, expected.shape[-1])
    extra = len(found) - len(expected)
    assert extra == (2 if name == "windows" else 0)
    if extra:
        # Two more examples in the batch: TensorFlow's last bits at the end of one are others.
        np.testing.assert_allclose(found[: len(expected)], expected, rtol=1e-6)
    else:
        np.testing.assert_array_equal(found, expected)

    model = keras.models.load_model(run / "model.keras")
    if isinstance(raw, dict):
        raw = {key: values for key, values in raw.items() if key in model.input}
        raw = {key: tf.constant(values) for key, values in raw.items()}
    if kind.loss == "binary_crossentropy":
        # Keras's own predict computes a layer and its sigmoid as one operation, with other last bits.
        plain = np.asarray(model(raw, training=False))
    else:
        plain = model.predict(raw, batch_size=4096, verbose=0)
    np.testing.assert_array_equal(plain, expected)
