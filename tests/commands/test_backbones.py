"""Pretrained backbones and phases through the command line, from a file of weights that the test has made."""

import json
import shutil
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from tests.bad_configs import PHASES, changed
from tests.commands.test_resume import final_arrays, killed, metrics, results

ROOT = Path(__file__).parents[2]
SHAPE = (32, 32, 3)
CONFIG = """\
name: example
data: {source: {arrays: images.npz}, split: {validation: 0.2, test: 0.2}}
model:
  layers:
    - backbone: {MobileNet: {weights: own.weights.h5, alpha: 0.25, trainable: false, pooling: avg, name: features}}
    - Dense: {units: $classes, activation: softmax, name: classifier}
training:
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  batch_size: 20
  phases:
    - {epochs: 1, trainable: [classifier], optimizer: {Adam: 0.01}}
    - {epochs: 1, trainable: ["conv_pw_13*", classifier], optimizer: {SGD: {learning_rate: 0.001, momentum: 0.9}}}
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Images of three classes, and weights as Keras writes them."""
    import keras

    from dltool.training.numerics import pin

    # TensorFlow started as a training expects it.
    pin(0)
    folder = tmp_path_factory.mktemp("files")
    random, labels = np.random.default_rng(0), np.arange(60) % 3
    np.savez(folder / "images.npz", x=random.integers(0, 256, (60, *SHAPE)).astype(np.uint8), y=labels)
    keras.utils.set_random_seed(1)
    network = keras.applications.MobileNet(include_top=False, weights=None, input_shape=SHAPE, alpha=0.25)
    network.save_weights(folder / "own.weights.h5")
    return folder


@pytest.fixture
def folder(files, tmp_path) -> Path:
    for file in files.iterdir():
        shutil.copy(file, tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_run_remembers_the_file_of_weights_and_does_not_need_it_again(train, dltool, folder) -> None:
    outcome, run = train(CONFIG)
    assert outcome.code == 0, outcome.stderr
    (found,) = json.loads((run / "run.json").read_text("utf-8"))["weights"].items()
    assert found[0] == "model.layers[0]"
    assert found[1]["file"] == str(folder / "own.weights.h5")
    assert len(found[1]["sha256"]) == 64
    expected, arrays = results(run), final_arrays(run)

    (folder / "own.weights.h5").unlink()
    assert dltool("evaluate", run).code == 0
    killed(run)
    outcome = dltool("resume", run)
    assert outcome.code == 0, outcome.stderr
    assert results(run) == expected
    assert final_arrays(run) == arrays


@pytest.mark.slow
def test_a_run_is_made_again_from_the_same_file_alone(train, dltool, folder) -> None:
    _, run = train(CONFIG)
    assert dltool("reproduce", run).code == 0
    import keras

    keras.utils.set_random_seed(2)
    network = keras.applications.MobileNet(include_top=False, weights=None, input_shape=SHAPE, alpha=0.25)
    network.save_weights(folder / "own.weights.h5")
    outcome = dltool("reproduce", run)
    assert outcome.code == 4
    assert "own.weights.h5 has changed since the run was made" in outcome.stderr

    # Stopped before its first checkpoint, it begins anew.
    killed(run)
    shutil.rmtree(run / "checkpoints")
    (run / "metrics.jsonl").unlink()
    outcome = dltool("resume", run)
    assert outcome.code == 4
    assert "own.weights.h5 has changed since the run was made" in outcome.stderr


@pytest.mark.slow
def test_more_epochs_belong_to_the_last_phase(train, dltool) -> None:
    _, whole = train(PHASES.replace("{epochs: 1, opt", "{epochs: 3, opt"), folder="whole")
    _, run = train(PHASES)
    outcome = dltool("resume", run, "--epochs", "4")
    assert outcome.code == 0, outcome.stderr
    assert metrics(run) == metrics(whole)
    assert final_arrays(run) == final_arrays(whole)


def test_fewer_epochs_than_the_phases_before_the_last_are_refused(train, dltool) -> None:
    text = changed(
        (
            "  optimizer: {Adam: {learning_rate: 1e-3}}\n",
            "  callbacks: [{EarlyStopping: {patience: 0, min_delta: 9}}]\n",
        ),
        ("  epochs: 2\n", "  phases: [{epochs: 5, optimizer: sgd}, {epochs: 1, optimizer: adam}]\n"),
    )
    _, run = train(text)
    outcome = dltool("resume", run, "--epochs", "4")
    assert outcome.code == 2
    assert "the phases before the last have 5 epochs" in outcome.stderr
    assert "--epochs 6 or more" in outcome.stderr


def transfer(*settings: str) -> list[str]:
    """The ready config on small images of its size."""
    small = (
        "data.source={arrays: images.npz}",
        "data.split.test=0.2",
        "model.layers[0].Resizing={height: 32, width: 32}",
    )
    return [word for setting in (*small, *settings) for word in ("--set", setting)]


@pytest.mark.slow
def test_the_ready_config_trains_from_a_file_of_weights(dltool, folder, monkeypatch) -> None:
    import keras

    monkeypatch.chdir(folder)
    network = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=SHAPE)
    network.save_weights(folder / "mine.weights.h5")
    settings = transfer("vars.weights=mine.weights.h5")
    outcome = dltool("train", ROOT / "configs/transfer.yaml", "--smoke", *settings)
    assert outcome.code == 0, outcome.stderr
    assert "epoch 2/2" in outcome.stderr


def test_the_ready_config_says_where_the_published_weights_belong(dltool, folder, monkeypatch) -> None:
    def no_network(*_args, **_options):
        raise URLError("no network")

    monkeypatch.chdir(folder)
    monkeypatch.setenv("KERAS_HOME", str(folder / "keras"))
    monkeypatch.setattr("dltool.data.sources.download.urlopen", no_network)
    outcome = dltool("train", ROOT / "configs/transfer.yaml", *transfer())
    assert outcome.code == 5
    file = folder / "keras/models/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    assert f"the file of MobileNetV2's weights is not at {file}" in outcome.stderr
    assert "put the file there, or name one of your own: weights: PATH" in outcome.stderr
    assert not (folder / "runs").exists()
