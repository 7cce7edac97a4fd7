"""The loss of a model that a teacher teaches, compared with a computation in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dltool.config.metric_forms import Compared
from dltool.config.schema import TeacherOptions
from dltool.model.build import build_model
from dltool.training.batches import tensor
from dltool.training.distillation import SoftLoss, Teacher
from dltool.training.fit import prepare_fit

RANDOM = np.random.default_rng(0)
TAUGHT, OWN = RANDOM.normal(0, 3, (2, 5, 4, 3)).astype(np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def divergence(taught: np.ndarray, own: np.ndarray, temperature: float, form: str) -> np.ndarray:
    """T² · KL of each vector, in double precision."""
    theirs, ours = (logits.astype(np.float64) / temperature for logits in (taught, own))
    if form == "index":
        p, q = softmax(theirs), softmax(ours)
        return temperature**2 * (p * np.log(p / q)).sum(-1)
    p, q = sigmoid(theirs), sigmoid(ours)
    return temperature**2 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean(-1)


@pytest.mark.parametrize("form", ["index", "labels"])
@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_the_divergence_is_that_of_logits_whatever_both_models_end_in(form, outputs):
    squash = softmax if form == "index" else sigmoid
    weights = RANDOM.uniform(0, 2, 5).astype(np.float32)
    compared, logits = Compared(form, outputs), Compared(form, "logits")
    activation = keras.activations.get(compared.activation if outputs == "probabilities" else "linear")

    @tf.function
    def loss(taught, own):
        return SoftLoss(compared, compared, 3.0, "sum_over_batch_size")(taught, activation(own), weights[:, None])

    given = squash(TAUGHT.astype(np.float64)).astype(np.float32) if outputs == "probabilities" else TAUGHT
    expected = (divergence(TAUGHT, OWN, 3.0, form) * weights[:, None]).mean()
    assert float(loss(given, OWN)) == pytest.approx(expected, abs=1e-6, rel=1e-6)
    mixed = tf.function(lambda taught, own: SoftLoss(logits, compared, 3.0, "sum")(taught, activation(own)))
    assert float(mixed(TAUGHT, OWN)) == pytest.approx(divergence(TAUGHT, OWN, 3.0, form).sum(), abs=1e-5, rel=1e-6)


@pytest.mark.parametrize("form", ["index", "labels"])
def test_probabilities_of_0_and_1_give_finite_losses_and_gradients(form):
    compared, own = Compared(form, "probabilities"), tf.Variable([[-200.0, 200.0]])
    activation = keras.activations.get(compared.activation)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = SoftLoss(compared, compared, 2.0, "sum_over_batch_size")(tf.constant([[1.0, 0.0]]), activation(own))
        return loss, tape.gradient(loss, own)

    loss, gradient = step()
    assert np.isfinite(loss)
    # The model is wrong, and learns.
    assert gradient[0, 0] < 0 < gradient[0, 1]


def taught_loss(config, dataset, teacher):
    """The training loss of an epoch of steps that change nothing."""
    built = build_model(config, dataset.facts, dataset.examples("train").inputs)
    prepared = prepare_fit(built, config, dataset, teacher=teacher)
    rows = prepared.steps.rows
    _, _, results = prepared.steps.train(rows, 0, 1)
    first = rows[: config.training.batch_size]
    outputs = built.core(tensor(dataset.inputs["input"][first]), training=False)
    return float(results["loss"]), np.asarray(outputs, np.float64), first


def teacher_of(outputs, form="index", kind="probabilities", respond=None, **options):
    taught_by = TeacherOptions.model_validate({"run": "x", **options})
    given = {} if respond else {"output": outputs}
    return Teacher(taught_by, given, respond, {"output": Compared(form, kind)}, None, {})


STILL = {"SGD": {"learning_rate": 1e-30}}


def test_the_loss_of_a_step_weights_targets_and_teacher_and_counts_penalties_in_full(make_config, dataset):
    dense = {"units": 3, "activation": "softmax", "kernel_regularizer": {"L2": 0.1}}
    config = make_config(model={"layers": [{"Dense": dense}]}, training={"optimizer": STILL})
    taught = softmax(RANDOM.normal(0, 2, (118, 3))).astype(np.float32)
    loss, outputs, rows = taught_loss(config, dataset, teacher_of(taught, temperature=4, weight=0.7))
    plain, *_ = taught_loss(config, dataset, None)
    hard = -np.log(outputs[np.arange(len(rows)), dataset.targets["target"][rows]]).mean()
    soft = divergence(np.log(taught[rows]), np.log(outputs), 4.0, "index").mean()
    assert loss == pytest.approx(0.3 * hard + 0.7 * soft + (plain - hard), abs=1e-6, rel=1e-6)
    assert plain - hard > 0.01


def test_numbers_are_compared_with_those_of_the_teacher_by_the_loss_of_the_config(make_config, make_dataset, dataset):
    numbers = make_dataset(dataset.inputs["input"], RANDOM.normal(size=118).astype(np.float32), dataset.split, 0)
    still = {"loss": "mean_absolute_error", "optimizer": STILL, "metrics": []}
    config = make_config(model={"layers": [{"Dense": {"units": 1}}]}, training=still)
    taught = RANDOM.normal(size=(118, 1)).astype(np.float32)
    loss, outputs, rows = taught_loss(config, numbers, teacher_of(taught, "numbers", None, weight=0.25))
    targets = numbers.targets["target"][rows][:, None]
    expected = 0.75 * np.abs(targets - outputs).mean() + 0.25 * np.abs(taught[rows] - outputs).mean()
    assert loss == pytest.approx(expected, abs=1e-6, rel=1e-6)
