"""Layers that are random in evaluation, such as Monte Carlo dropout: the numbers of a run are repeatable."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from tests.in_process import command

CODE = """\
import keras
from keras import ops


class MonteCarlo(keras.layers.Dropout):
    def call(self, inputs, training=False):
        return super().call(inputs, training=True)


class Sampling(keras.layers.Layer):
    def __init__(self, is_seeded: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.is_seeded = is_seeded
        self.seeds = keras.random.SeedGenerator(7) if is_seeded else None

    def call(self, inputs):
        mean, log_variance = inputs
        self.add_loss(-0.1 * ops.mean(1 + log_variance - mean**2 - ops.exp(log_variance)))
        return mean + ops.exp(0.5 * log_variance) * keras.random.normal(ops.shape(mean), seed=self.seeds)
"""
CLASSES = """\
data: {source: iris, split: {validation: 0.2, test: 0.2}}
model:
  layers: [Dense: 16, MonteCarlo: 0.5, Dense: {units: 3, activation: softmax}]
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 2}
"""
VARIATIONAL = """\
data: {source: digits, target: input, split: {validation: 0.2, test: 0.1}, preprocessing: [Rescaling: $(1 / 16)]}
model:
  layers:
    - Flatten
    - Dense: {units: 8, activation: relu, name: hidden}
    - Dense: {units: 2, name: mean, from: hidden}
    - Dense: {units: 2, name: log_variance, from: hidden}
    - Sampling: {from: [mean, log_variance], is_seeded: SEEDED}
    - Dense: {units: 64, activation: sigmoid}
    - Reshape: {target_shape: [8, 8, 1]}
training: {optimizer: adam, loss: mse, metrics: [mae], epochs: 1, batch_size: 128}
"""
CONFIGS = {
    "dropout": CLASSES,
    "sampling": VARIATIONAL.replace("SEEDED", "true"),
    "unseeded sampling": VARIATIONAL.replace("SEEDED", "false"),
}


PARAMETERS = [name if name == "dropout" else pytest.param(name, marks=pytest.mark.slow) for name in CONFIGS]


@pytest.fixture(scope="module", params=PARAMETERS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("random")
    (folder / "own.py").write_text(CODE)
    (folder / "a.yaml").write_text(f"name: a\n{CONFIGS[request.param]}")
    options = ("--allow-code", folder / "own.py", "--runs", folder / "runs", "--quiet")
    assert command("train", folder / "a.yaml", *options) == 0
    return folder / "runs/a/0001"


def evaluated(dltool, run: Path, *options: str) -> dict[str, float]:
    outcome = dltool("evaluate", run, "--allow-code", run.parents[2] / "own.py", "--json", *options)
    assert outcome.code == 0, outcome.stderr
    return json.loads(outcome.stdout)["metrics"]


def test_training_and_evaluation_show_the_same_numbers(run, dltool):
    assert evaluated(dltool, run) == json.loads((run / "results.json").read_text())["test"]


@pytest.mark.slow
def test_the_numbers_are_repeatable_and_random_all_the_same(run, dltool):
    assert evaluated(dltool, run) == evaluated(dltool, run)
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    validation = {name: value for name, value in last.items() if name.startswith("val_")}
    found = evaluated(dltool, run, "--split", "validation")
    assert {f"val_{name}": value for name, value in found.items()} == pytest.approx(validation, rel=1e-6)
    # Plain Keras gives other numbers each time.
    space: dict[str, type] = {}
    exec(CODE, space)
    model = keras.models.load_model(run / "model.keras", custom_objects=space)
    inputs = np.ones((8, *model.input_shape[1:]), np.float32)
    assert not np.array_equal(model.predict(inputs, verbose=0), model.predict(inputs, verbose=0))
