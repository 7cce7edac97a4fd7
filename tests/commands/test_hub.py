"""Runs on a network of KerasHub through the command line, from a preset that the test writes."""

import json
import shutil
import sys

import numpy as np
import pytest
from tests.commands.test_resume import final_arrays, killed, metrics, results
from tests.presets import write_preset

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 16, 16, 3)).astype(np.uint8)
CONFIG = """\
name: example
data: {source: {arrays: images.npz}, split: {validation: 0.2, test: 0.2}}
model:
  layers:
    - backbone: {KerasHub: ./preset}
    - GlobalAveragePooling2D
    - Dense: {units: $classes, activation: softmax, name: classifier}
training:
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  batch_size: 20
  phases:
    - {epochs: 1, trainable: [classifier], optimizer: {Adam: 0.01}}
    - {epochs: 1, trainable: ["stack0*", classifier], optimizer: {SGD: {learning_rate: 0.001, momentum: 0.9}}}
"""


def test_a_folder_that_is_not_there_is_an_error_at_its_line(dltool, tmp_path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.replace("./preset", "{preset: ~/none}"), "utf-8")
    outcome = dltool("check", tmp_path / "config.yaml")
    assert outcome.code == 2
    assert "config.yaml:5:37: model.layers[0].backbone.KerasHub.preset: no such folder: " in outcome.stderr


@pytest.mark.slow
def test_a_run_resumes_to_the_same_bits_and_needs_no_preset(train, dltool, tmp_path, monkeypatch) -> None:
    from dltool.training.numerics import pin

    # TensorFlow started as a training expects it.
    pin(0)
    np.savez(tmp_path / "images.npz", x=IMAGES, y=np.arange(60) % 3)
    write_preset(tmp_path / "preset")
    outcome, run = train(CONFIG)
    assert outcome.code == 0, outcome.stderr
    (found,) = json.loads((run / "run.json").read_text("utf-8"))["weights"].values()
    assert found["file"] == str(tmp_path / "preset/model.weights.h5")
    assert dltool("reproduce", run).code == 0
    expected, arrays, lines = results(run), final_arrays(run), metrics(run)

    shutil.rmtree(tmp_path / "preset")
    assert dltool("evaluate", run).code == 0
    np.savez(tmp_path / "new.npz", x=IMAGES[:2])
    assert dltool("predict", run, tmp_path / "new.npz").code == 0
    killed(run)
    outcome = dltool("resume", run)
    assert outcome.code == 0, outcome.stderr
    assert (results(run), final_arrays(run), metrics(run)) == (expected, arrays, lines)

    monkeypatch.setitem(sys.modules, "keras_hub", None)
    outcome = dltool("evaluate", run)
    assert outcome.code == 5
    assert "networks of KerasHub need a package that is not installed" in outcome.stderr
