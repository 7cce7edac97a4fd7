"""Runs on a network of KerasHub through the command line, from a preset that the test writes."""

import json
import shutil
import sys

import numpy as np
import pytest
from tests.commands.test_resume import final_arrays, killed, metrics, results
from tests.presets import write_preset, write_text_preset

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
    assert "networks and tokenizers of KerasHub need a package that is not installed" in outcome.stderr


TEXTS = """\
name: example
data:
  source: {csv: reviews.csv}
  target: label
  split: {validation: 0.2, test: 0.2}
  inputs: {stars: number, review: {text: {preset: ./bert, length: 12}}}
model:
  layers:
    - backbone: {KerasHub: {preset: ./bert, output: pooled_output, from: review, name: read}}
    - Concatenate: {from: [read, stars]}
    - Dense: {units: 1, activation: sigmoid}
training: {optimizer: {Adam: 0.02}, loss: binary_crossentropy, metrics: [accuracy], batch_size: 12, epochs: 25}
"""


def write_reviews(folder) -> None:
    """Write texts and numbers that say nothing, but for one word: good or bad."""
    draws, rows = np.random.default_rng(0), ["review,stars,label"]
    for index in range(80):
        words = [str(word) for word in draws.choice(["the", "a", "film", "films"], draws.integers(1, 7))]
        label = ("good", "bad")[index % 2]
        rows.append(f"{' '.join([*words, label, *words[::-1][:2]])},{draws.integers(1, 6)},{label}")
    (folder / "reviews.csv").write_text("\n".join(rows), "utf-8")


@pytest.mark.slow
def test_a_network_for_texts_learns_a_word_and_its_run_needs_no_preset(train, dltool, tmp_path, monkeypatch) -> None:
    from dltool.training.numerics import pin

    pin(0)
    write_reviews(tmp_path)
    write_text_preset(tmp_path / "bert")
    outcome, run = train(TEXTS)
    assert outcome.code == 0, outcome.stderr
    expected, arrays, lines = results(run), final_arrays(run), metrics(run)
    assert expected["test"] == {"loss": pytest.approx(0, abs=0.3), "accuracy": 1.0}

    shutil.rmtree(tmp_path / "bert")
    assert dltool("evaluate", run).code == 0
    (tmp_path / "new.csv").write_text("review,stars\na good film,3\nthe bad film,3\n", "utf-8")
    assert dltool("predict", run, tmp_path / "new.csv", "--out", tmp_path / "predicted.csv").code == 0
    predicted = (tmp_path / "predicted.csv").read_text("utf-8").splitlines()
    assert [line.split(",")[2] for line in predicted] == ["class", "good", "bad"]
    assert "would need the tokenizer of KerasHub" in dltool("export", run, "saved_model").stderr
    assert dltool("explain", run).code == 0
    found = json.loads((run / "explanation/test/explanation.json").read_text("utf-8"))["explanations"]
    permuted, gradients = found[0], found[-1]
    assert permuted["rows"][0]["column"] == "review"
    assert gradients["sentences"][1].startswith("Mean size of the contributions: review")
    killed(run)
    assert dltool("resume", run).code == 0
    assert (results(run), final_arrays(run), metrics(run)) == (expected, arrays, lines)

    monkeypatch.setitem(sys.modules, "keras_hub", None)
    outcome = dltool("predict", run, tmp_path / "new.csv")
    assert outcome.code == 5
    assert "tokenizers of KerasHub need a package that is not installed" in outcome.stderr
