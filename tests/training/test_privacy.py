"""Private training: gradients of single examples, their clipping, draws and noise, compared with plain Keras."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from tests.training.conftest import dataset_of
from tests.training.test_outputs import LAYERS, OUTPUTS, SOURCE
from tests.training.test_outputs import two as two_outputs

from dltool.config.privacy_checks import spending
from dltool.data.split.at_random import Split
from dltool.errors import ConfigError
from dltool.model.build import build_model
from dltool.training import batches
from dltool.training.compile import compile_core, loss_functions
from dltool.training.example_gradients import clipped_sum
from dltool.training.fit import prepare_fit
from dltool.training.private_steps import Noise, example_losses, made_noise, refuse_unknown_layers
from dltool.training.weighting import made_weighting

K = keras.layers
IMAGE, STEPS, WORDS, NUMBERS = (8, 8, 4), (6, 4), (5,), (7,)
FLAT = K.Flatten
NETWORKS: dict[str, tuple[tuple[int, ...], Any]] = {
    "Dense": (NUMBERS, lambda: [K.Dense(8, activation="tanh"), K.Dense(8, use_bias=False)]),
    "Dense of steps": (STEPS, lambda: [K.Dense(12, activation="relu"), FLAT()]),
    "a layer used twice": (NUMBERS, lambda: [K.Dense(5), *[K.Dense(5, activation="tanh")] * 2]),
    "Conv2D": (IMAGE, lambda: [K.Conv2D(3, 3, activation="tanh"), K.MaxPooling2D(), K.Conv2D(2, 2, strides=2), FLAT()]),
    "Conv2D with padding": (IMAGE, lambda: [K.Conv2D(3, 3, padding="same", dilation_rate=2, use_bias=False), FLAT()]),
    "Conv2D in groups": (IMAGE, lambda: [K.Conv2D(4, 3, groups=2), FLAT()]),
    "Conv1D": (STEPS, lambda: [K.Conv1D(3, 3, padding="causal", dilation_rate=2), K.Conv1D(2, 2, strides=2), FLAT()]),
    "DepthwiseConv2D": (IMAGE, lambda: [K.DepthwiseConv2D(3), FLAT()]),
    "Conv2DTranspose": (IMAGE, lambda: [K.Conv2DTranspose(2, 3), FLAT()]),
    "Embedding": (WORDS, lambda: [K.Embedding(4, 3), FLAT()]),
    "Embedding with a mask": (WORDS, lambda: [K.Embedding(4, 3, mask_zero=True), K.GlobalAveragePooling1D()]),
    "LayerNormalization": (STEPS, lambda: [K.LayerNormalization(), FLAT()]),
    "GroupNormalization": (IMAGE, lambda: [K.GroupNormalization(2), FLAT()]),
    "EinsumDense": (STEPS, lambda: [K.EinsumDense("abc,cde->abde", (6, 2, 3), bias_axes="de"), FLAT()]),
    "PReLU": (STEPS, lambda: [K.PReLU(), FLAT()]),
    "LSTM": (STEPS, lambda: [K.LSTM(3)]),
    "GRU in two directions": (STEPS, lambda: [K.Bidirectional(K.GRU(2, unroll=True))]),
}
FAST = ("Dense", "Conv2D")
RECURRENT = ("LSTM", "GRU in two directions")


class Attending(keras.Layer):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.attention = K.MultiHeadAttention(2, 3)

    def call(self, inputs: Any) -> Any:
        return self.attention(inputs, inputs)


NETWORKS["MultiHeadAttention"] = (STEPS, lambda: [Attending(), FLAT()])


def assert_sums_are_clipped(name: str, rows: int, clip: float, seed: int) -> None:
    """Compare the clipped sum and the norms with those of one example at a time."""
    shape, layers = NETWORKS[name]
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input(shape), *layers(), K.Dense(3)])
    generator = np.random.default_rng(seed)
    inputs = generator.integers(0, 4, (rows, *shape)) if shape == WORDS else generator.normal(size=(rows, *shape))
    inputs, targets = tf.constant(inputs, tf.float32), tf.constant(generator.integers(0, 3, rows))

    def losses(some: slice) -> Any:
        return keras.losses.sparse_categorical_crossentropy(targets[some], model(inputs[some]), from_logits=True)

    def private(some: slice) -> Any:
        return clipped_sum(model, lambda: (losses(some), None), clip)[1:]

    sums, norms = tf.function(lambda: private(slice(None)), autograph=False)()
    total = [np.zeros(variable.shape) for variable in model.trainable_variables]
    for row in range(rows):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(losses(slice(row, row + 1)))
        found = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
        found = [tf.convert_to_tensor(each).numpy().astype(float) for each in found]
        norm = np.sqrt(sum((each**2).sum() for each in found))
        assert float(norms[row]) == pytest.approx(norm, rel=1e-5, abs=1e-6)
        clipped = [each * min(1, clip / max(norm, 1e-12)) for each in found]
        assert np.sqrt(sum((each**2).sum() for each in clipped)) <= clip * (1 + 1e-6)
        total = [one + other for one, other in zip(total, clipped, strict=True)]
    for ours, theirs in zip(sums, total, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6 * max(1, rows * clip))
    (alone, _) = tf.function(lambda: private(slice(0, 1)), autograph=False)()
    assert np.sqrt(sum((each.numpy() ** 2).sum() for each in alone)) <= clip * (1 + 1e-5)


@pytest.mark.proof
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in NETWORKS]
)
def test_the_clipped_sum_is_that_of_one_example_at_a_time(name):
    assert_sums_are_clipped(name, 4, 0.7, 1)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in NETWORKS]
)
def test_an_example_whose_gradient_is_not_finite_counts_as_zero(name):
    shape, layers = NETWORKS[name]
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input(shape), *layers(), K.Dense(3)])
    inputs = np.random.default_rng(1).integers(0, 4, (4, *shape)).astype(np.float32)
    targets = tf.constant([0, 1, 2, 0])

    def sums(rows: list[int], *bad: float) -> Any:
        given, factors = inputs[rows], np.ones(len(rows), np.float32)
        for row, value in enumerate(bad):
            given[row] = given[row] if shape == WORDS else value
            factors[row] = value

        def forward() -> tuple[Any, None]:
            outputs, truth = model(tf.constant(given)), tf.gather(targets, rows)
            losses = keras.losses.sparse_categorical_crossentropy(truth, outputs, from_logits=True)
            return losses * factors, None

        return tf.function(lambda: clipped_sum(model, forward, 0.7)[1], autograph=False)()

    for ours, theirs in zip(sums([0, 1, 2, 3], np.nan, np.inf), sums([2, 3]), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.slow
def test_an_example_that_is_not_finite_does_not_end_the_run(private, dataset, train):
    inputs = dataset.all.inputs["input"].copy()
    inputs[dataset.split.train[0]] = np.nan
    broken = replace(dataset, all=replace(dataset.all, inputs={"input": inputs}))
    trained = train(private({"seed": 5}), broken)
    assert all(np.isfinite(weights).all() for weights in trained.weights)
    assert all(np.isfinite(epoch.logs["loss"]) for epoch in trained.result.history)


def test_dropout_inside_a_recurrent_layer_is_refused(private, dataset):
    reshape, last = {"Reshape": {"target_shape": [-1, 1]}}, {"Dense": {"units": 3, "activation": "softmax"}}
    layers = [reshape, {"Bidirectional": {"layer": {"GRU": {"units": 2, "dropout": 0.5}}}}, last]
    config = private(model={"layers": layers})
    with pytest.raises(ConfigError, match="dropout inside a recurrent layer") as found:
        refuse_unknown_layers(build_model(config, dataset.facts))
    assert found.value.problems[0].place == ("model", "layers", 1)


@pytest.mark.proof
@pytest.mark.slow
@settings(max_examples=20, phases=[Phase.generate])
@given(
    st.sampled_from([name for name in NETWORKS if name not in RECURRENT]),
    st.integers(1, 9),
    st.floats(0.01, 20),
    st.integers(0, 2**16),
)
def test_no_example_contributes_more_than_the_clip(name, rows, clip, seed):
    assert_sums_are_clipped(name, rows, clip, seed)


def noise(examples: int = 1000, expected: float = 50.0, deviation: float = 1.0, seed: int = 3) -> Noise:
    return Noise(examples, expected, 1.0, deviation, keras.Variable([seed, 4, 0], trainable=False, dtype="int64"))


@pytest.mark.proof
def test_the_noise_has_its_deviation_and_is_another_one_each_step():
    made = noise(expected=2.0, deviation=3.0)
    first, second = (made.noisy([tf.zeros([60_000]), tf.zeros([200, 200])]) for _ in range(2))
    values = np.concatenate([np.ravel(each) for each in first])
    assert values.std() == pytest.approx(1.5, rel=0.01)
    assert abs(values.mean()) < 0.02
    assert abs(np.corrcoef(first[0], second[0])[0, 1]) < 0.02
    made.key.assign([3, 4, 0])
    np.testing.assert_array_equal(made.noisy([tf.zeros([60_000]), tf.zeros([200, 200])])[0], first[0])


def test_each_step_draws_each_row_with_the_same_probability_and_an_epoch_can_be_drawn_again():
    made = noise()
    drawn = np.stack([made.order(epoch, 20) for epoch in range(100)]).reshape(2000, made.most)
    counts = np.bincount(drawn[drawn >= 0], minlength=1000)
    sizes = (drawn >= 0).sum(1)
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in drawn[:50])
    # Five standard deviations of binomial counts.
    assert np.abs(counts - 100).max() < 5 * np.sqrt(100 * 0.95)
    assert sizes.std() == pytest.approx(np.sqrt(50 * 0.95), rel=0.1)
    np.testing.assert_array_equal(made.order(7, 20), drawn[140:160].ravel())


def test_more_rows_than_there_is_room_for_are_never_drawn():
    for expected in (0.5, 3.0, 64.0, 5000.0):
        made = noise(10**6, expected)
        assert binom.sf(made.most, made.examples, made.rate) < 1e-30
        assert made.most < 3 * expected + 100


SGD = {"SGD": {"learning_rate": 0.5}}


def options(**changes: Any) -> dict[str, Any]:
    return {"noise": 0.8, "epsilon": None, "delta": 1e-3, "clip": 0.5, **changes}


@pytest.fixture(scope="module")
def private(make_config):
    def make(privacy: Any = (), **changes: Any) -> Any:
        training = {"optimizer": SGD, "privacy": options(**dict(privacy)), **changes.pop("training", {})}
        return make_config(training=training, **changes)

    return make


def by_hand(config: Any, dataset: Any, steps: int, weights: np.ndarray | None = None) -> list[np.ndarray]:
    """Return the weights after steps of private training without noise: one example at a time, by plain Keras."""
    built = build_model(config, dataset.facts)
    rows, privacy, core = dataset.split.train, config.training.privacy, built.core
    made = made_noise(config, built, len(rows), len(rows))
    assert made is not None
    order = made.order(0, steps).reshape(steps, -1)
    loss, optimizer = keras.losses.get(config.training.loss.name), keras.optimizers.SGD(0.5)
    for drawn in order:
        total = [np.zeros(variable.shape) for variable in core.trainable_variables]
        for row in rows[drawn[drawn >= 0]]:
            inputs = dataset.all.inputs["input"][row : row + 1]
            with tf.GradientTape() as tape:
                value = tf.reduce_sum(loss(dataset.all.targets["target"][row : row + 1], core(inputs)))
                value = value if weights is None else value * weights[row]
            found = [each.numpy() for each in tape.gradient(value, [v.value for v in core.trainable_variables])]
            scale = min(1, privacy.clip / np.sqrt(sum((each**2).sum() for each in found)))
            total = [one + scale * other for one, other in zip(total, found, strict=True)]
        optimizer.apply([tf.constant(each / 16, tf.float32) for each in total], core.trainable_variables)
    return core.get_weights()


@pytest.mark.parametrize("is_weighted", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_step_is_the_clipped_sum_over_the_draw_by_the_expected_size(private, dataset, train, is_weighted):
    config = private({"noise": 1e-9, "seed": 5}, training={"epochs": 1})
    values = np.linspace(0, 3, len(dataset.all)).astype(np.float32) if is_weighted else None
    data = replace(dataset, all=replace(dataset.all, weights=values))
    trained = train(config, data)
    for ours, theirs in zip(trained.weights, by_hand(config, dataset, 6, values), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert trained.result.steps == 6


def masked() -> Any:
    """Sequences with steps that are masked, and a class of each step."""
    words = np.random.default_rng(0).integers(0, 4, (20, 6)).astype(np.int32)
    return dataset_of(words, words % 3, Split(np.arange(20), np.arange(0), np.arange(0)))


MASKED = [
    {"Embedding": {"input_dim": 4, "output_dim": 3, "mask_zero": True}},
    {"Dense": {"units": 3, "activation": "softmax"}},
]
two = two_outputs


@pytest.mark.parametrize("kind", ["masked steps", "two outputs"])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_loss_of_an_example_is_that_of_keras_for_a_batch_of_it_alone(make_config, two, kind, is_weighted):
    changes: dict[str, Any] = {"model": {"layers": MASKED}}
    data = masked()
    if kind == "two outputs":
        changes, data = {"data": {"source": SOURCE}, "model": {"layers": LAYERS, "outputs": OUTPUTS}}, two
    loss = {"loss": None} if kind == "two outputs" else {}
    config = make_config(**changes, training={**loss, "metrics": [], "privacy": options()})
    built = build_model(config, data.facts)
    targets = batches.model_targets(built, data.targets)
    compile_core(built, config, targets, 0)
    weighting = made_weighting(built, targets, is_weighted)
    values = np.linspace(0.2, 2, len(data.all)).astype(np.float32) if is_weighted else None
    table = batches.make_tables(built, data.inputs, targets, values)

    def batch(rows: np.ndarray) -> Any:
        inputs, truth, weights, _ = table.batch(*table.feed(rows.astype(np.int32), 0, len(rows), len(rows)))
        own = None if weighting is None else weighting.of_batch(truth, weights)
        return inputs, truth, built.core(inputs, training=False), own

    _, truth, outputs, weights = batch(np.arange(5))
    ours = example_losses(built, loss_functions(built), truth, outputs, weights)
    alone = [built.core.compute_loss(*batch(np.array([row])), training=False) for row in range(5)]
    np.testing.assert_allclose(ours, alone, rtol=1e-5)


@pytest.mark.proof
@pytest.mark.slow
def test_a_resumed_run_has_the_bits_of_the_unbroken_one_and_no_other_run_has_them(private, dataset, train):
    config = private(training={"checkpoint": {"every": "1 steps"}, "optimizer": {"SGD": {"momentum": 0.9}}})
    whole = train(config, dataset, pace=2)
    resumed = train(config, dataset, pace=7, start=whole.recorder.states[3])
    assert whole.recorder.states[3].state["position"]["step"] > 0
    for ours, theirs in zip(resumed.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert resumed.result.steps == whole.result.steps
    other = train(config, dataset, pace=2)
    assert any((ours != theirs).any() for ours, theirs in zip(other.weights, whole.weights, strict=True))


@pytest.mark.slow
def test_the_key_is_in_checkpoints_and_not_among_the_weights(private, dataset, train):
    trained = train(private(training={"epochs": 1}), dataset)
    names = [name for name, _ in trained.recorder.states[-1].arrays]
    assert any(name.startswith("privacy/") for name in names)
    assert all(len(weights) == len(trained.built.core.variables) for weights in trained.recorder.best)
    key = trained.built.noise_key.numpy()
    assert key[2] == trained.result.steps
    assert abs(key[:2]).min() > 2**32


@pytest.mark.slow
def test_batches_that_are_read_ahead_have_the_same_draws(private, dataset, train, monkeypatch):
    config = private({"seed": 2}, training={"epochs": 1})
    resident = train(config, dataset)
    monkeypatch.setattr(batches, "are_resident", lambda *_: False)
    for ours, theirs in zip(train(config, dataset).weights, resident.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_a_step_that_draws_no_row_is_noise_alone(private, dataset, train):
    config = private({"noise": 1e-9, "seed": 5}, training={"batch_size": 1, "epochs": 1})
    made = made_noise(config, build_model(config, dataset.facts), 90, 90)
    assert made is not None
    drawn = made.order(0, 90).reshape(90, -1)
    assert (drawn < 0).all(1).sum() > 10
    assert all(np.isfinite(each).all() for each in train(config, dataset).weights)


@pytest.mark.slow
def test_penalties_of_weights_need_no_noise(private, dataset, train):
    layer = {"Dense": {"units": 3, "activation": "softmax", "kernel_regularizer": {"L2": 0.1}, "use_bias": False}}
    config = private({"noise": 1e-9, "clip": 1e-6, "seed": 1}, model={"layers": [layer]}, training={"epochs": 1})
    start = build_model(config, dataset.facts).core.get_weights()[0]
    # Clipped to nothing, the gradient is that of the penalty: 0.2 w.
    np.testing.assert_allclose(train(config, dataset).weights[0], start * 0.9**6, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_phases_freeze_layers_and_continue_the_noise(private, dataset, train):
    layers = [{"Dense": {"units": 8, "name": "body"}}, {"Dense": {"units": 3, "activation": "softmax", "name": "head"}}]
    phases = [{"epochs": 1, "optimizer": SGD, "trainable": ["head"]}, {"epochs": 1, "optimizer": SGD}]
    training = {"phases": phases, "optimizer": None, "epochs": None}
    trained = train(private(model={"layers": layers}, training=training), dataset)
    first = build_model(private(model={"layers": layers}), dataset.facts).core.get_weights()[0]
    kept = [dict(state.arrays) for state in trained.recorder.states]
    body = next(name for name in kept[0] if name.startswith("core/0/"))
    assert any((state[body] == first).all() for state in kept[1:])
    assert (trained.weights[0] != first).any()
    assert trained.built.noise_key.numpy()[2] == 12


STATISTICS = {"BatchNormalization": {"center": False, "scale": False}}


@pytest.mark.parametrize(
    ("layers", "place", "words"),
    [
        ([{"Conv3D": {"filters": 2, "kernel_size": 2}}, "Flatten"], 1, "single examples of conv3d are unknown"),
        ([{"UnitNormalization": {"axis": 0}}, "Flatten"], None, "depends on the other examples of its batch"),
        ([{"TimeDistributed": {"layer": STATISTICS}}, "Flatten"], 1, "keeps statistics of the training examples"),
    ],
)
def test_layers_whose_examples_cannot_be_told_are_refused(private, layers, place, words):
    generator = np.random.default_rng(0)
    data = dataset_of(
        generator.normal(size=(20, 8)).astype(np.float32),
        generator.integers(0, 3, 20).astype(np.int32),
        Split(np.arange(20), np.arange(0), np.arange(0)),
    )
    # Zeros would hide what the layers before them do.
    last = {"Dense": {"units": 3, "activation": "softmax", "kernel_initializer": "zeros"}}
    model = {"layers": [{"Reshape": [2, 2, 2, 1]}, *layers, last]}
    config = private(model=model)
    with pytest.raises(ConfigError, match=words) as error:
        prepare_fit(build_model(config, data.facts), config, data)
    assert error.value.problems[0].place == (("model", "layers", place) if place else ("training", "privacy"))


@pytest.mark.proof
@pytest.mark.parametrize("deviation", [2.0, pytest.param(0.01, marks=pytest.mark.slow)])
def test_canaries_do_not_tell_more_than_epsilon(private, train, deviation):
    """Steinke, Nasr and Jagielski, Privacy Auditing with One Training Run, 2023: half of the canaries are trained on,
    each with a weight of its own; guesses by the weights bound epsilon from below at 95 %."""
    count, guesses = 600, 200
    is_in = np.random.default_rng(1).permutation(np.repeat([True, False], count // 2))
    rows = np.flatnonzero(is_in)
    data = dataset_of(
        np.eye(count, dtype=np.float32),
        np.ones((count, 1), np.float32),
        Split(rows, np.arange(0), np.arange(0)),
        classes=0,
    )
    config = private(
        {"noise": deviation, "clip": 1.0, "seed": 9},
        model={"layers": [{"Dense": {"units": 1, "use_bias": False, "kernel_initializer": "zeros"}}]},
        training={"loss": "mse", "metrics": [], "batch_size": 100, "epochs": 10, "optimizer": {"SGD": 0.1}},
    )
    stated = spending(config, len(rows))
    assert stated is not None
    order = np.argsort(train(config, data).weights[0][:, 0])
    right = is_in[order[-guesses // 2 :]].sum() + (~is_in[order[: guesses // 2]]).sum()
    bounds = np.linspace(0, 12, 1201)
    excluded = binom.sf(right - 1, guesses, 1 / (1 + np.exp(-bounds))) < 0.05
    found = bounds[excluded].max(initial=0.0)
    assert found <= stated.epsilon
    if deviation < 1:
        # The audit does see what is not hidden.
        assert found > 3
