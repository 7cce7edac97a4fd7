"""How many threads a training takes, which is decided before TensorFlow computes anything."""

import os
import subprocess
import sys

import pytest

from dltool.cost.flops import forward_flops
from dltool.imports import LightImports
from dltool.machine import usable_cores
from dltool.model.build import build_model
from dltool.training.numerics import COUNTED, KEEP_SHAPE, choose_threads, step_flops

SMALL = [{"Dense": {"units": 8, "activation": "relu"}}, {"Dropout": 0.2}, {"Dense": {"units": 3}}]


@pytest.fixture
def own_process(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [LightImports, *sys.meta_path])


@pytest.fixture
def chosen(make_config, dataset):
    return lambda layers, **training: choose_threads(
        make_config(model={"layers": layers}, training=training), dataset.facts
    )


@pytest.mark.usefixtures("own_process")
def test_a_step_that_computes_little_takes_one_thread(chosen):
    threads, why = chosen(SMALL)
    assert threads == 1
    assert why.endswith(" operations a step are too few to share")


@pytest.mark.usefixtures("own_process")
@pytest.mark.parametrize(
    "layers",
    [
        [{"Dense": 3000}, {"Dense": 3000}, {"Dense": 3}],
        [{"Reshape": [-1, 1]}, {"LSTM": 2}, {"Dense": 3}],
        [{"Dense": {"units": 8, "name": "a"}}, {"Dense": {"units": 3, "from": "a"}}],
        [{"Flatten": {}}, {"Reshape": [7, 7, 7]}, {"Dense": 3}],
    ],
    ids=[
        "much to compute",
        "a loop in each step",
        "no plain list",
        "a mistake, which whoever builds the model reports",
    ],
)
def test_others_take_one_for_each_core(chosen, layers):
    assert chosen(layers) == (usable_cores(), "one for each core")


def test_so_does_a_process_that_may_train_others(chosen):
    assert chosen(SMALL)[0] == usable_cores()


def test_the_config_decides_where_it_says_so(chosen):
    assert chosen(SMALL, threads=3) == (3, "the config says so")


@pytest.mark.parametrize("layers", [SMALL, [{"Dense": 5}, "ReLU", {"Dense": {"units": 3, "use_bias": False}}]])
def test_it_counts_what_the_model_will_compute(make_config, dataset, layers):
    config = make_config(model={"layers": layers})
    built = build_model(config, dataset.facts, dataset.examples("train").inputs)
    found = step_flops(config, dataset.facts)
    assert found is not None
    # Layers that keep the shape are not counted.
    assert found <= 3 * config.training.batch_size * forward_flops(built.core) <= 1.2 * found


CONVOLUTION = {
    "filters": 2,
    "kernel_size": 2,
    "kernel_initializer": "he_normal",
    "bias_constraint": "non_neg",
    "kernel_regularizer": {"L1": 0.01},
    "activity_regularizer": "l1",
}
DENSE = {
    "units": 3,
    "kernel_regularizer": "l1",
    "bias_regularizer": {"OrthogonalRegularizer": {}},
    "activation": "relu",
}
ARGUMENTS: dict[str, object] = {"Dense": DENSE, "Reshape": [2, 2], "Conv1D": CONVOLUTION, "Conv2D": CONVOLUTION}
ARGUMENTS |= {name: 2 for name in COUNTED if "Pooling" in name and "Global" not in name}
CODE = f"""
import keras, tensorflow as tf
from dltool.config.keras.objects import parse_keras_object
from dltool.model.keras_objects import make
from dltool.training.numerics import bare
for name in {sorted(COUNTED)}:
    arguments = {ARGUMENTS}.get(name)
    entry, problems = parse_keras_object("layer", {{name: arguments}} if arguments else name)
    assert not problems, problems
    shape = (None, 4) if name == "Reshape" else (None, *[8] * (2 if name[-2:] == "1D" else 3))
    print(name, make(bare(entry), name=name).compute_output_shape(shape))
tf.config.threading.set_intra_op_parallelism_threads(1)
"""


@pytest.mark.slow
def test_counting_starts_nothing_that_would_fix_the_number_of_threads():
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(COUNTED)
    assert not COUNTED & KEEP_SHAPE
