"""Models with several outputs, and those that restore their input."""

from typing import Any

import keras
import numpy as np
import pytest

from dltool.config.tasks import TargetFacts
from dltool.data.dataset import Dataset
from dltool.data.examples import Examples
from dltool.data.facts import Facts, InputFacts
from dltool.data.split.at_random import Split
from dltool.evaluation.measure import measure
from dltool.evaluation.predictor import Inference
from dltool.model.build import build_model
from dltool.training import batches
from dltool.training.batches import make_tables, model_targets
from dltool.training.callbacks import make_callbacks
from dltool.training.checkpointing import make_best
from dltool.training.compile import compile_core

LAYERS = [
    {"Dense": {"units": 8, "activation": "relu", "from": "left"}},
    {"Dropout": {"rate": 0.2, "name": "features"}},
    {"Concatenate": {"from": ["features", "right"]}},
    {"Dense": {"units": 6, "activation": "relu", "name": "trunk"}},
    {"Dense": {"units": 3, "activation": "softmax", "name": "kind"}},
    {"Dense": {"units": 1, "from": "trunk", "name": "amount"}},
]
OUTPUTS: dict[str, dict[str, Any]] = {
    "kind": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
    "size": {"from": "amount", "loss": "mse", "metrics": ["mae", "RootMeanSquaredError"], "weight": 0.5},
}
SOURCE = {"arrays": {"path": "/a.npz", "x": {"left": "l", "right": "r"}, "y": {"kind": "k", "size": "s"}}}


@pytest.fixture(scope="module")
def two() -> Dataset:
    return two_targets()


def two_targets() -> Dataset:
    """Two inputs and two targets, of 118 rows."""
    generator = np.random.default_rng(0)
    kinds = generator.integers(0, 3, 118).astype(np.int32)
    left = (generator.normal(size=(118, 4)) + 2 * np.eye(3, 4)[kinds]).astype(np.float32)
    right = generator.integers(0, 255, (118, 2)).astype(np.uint8)
    sizes = (kinds + generator.normal(size=118)).astype(np.float32)
    rows = generator.permutation(118)
    split = Split(np.sort(rows[:90]), np.sort(rows[90:110]), np.sort(rows[110:]))
    facts = Facts(
        {"left": InputFacts((4,), "float32"), "right": InputFacts((2,), "uint8")},
        {"kind": TargetFacts("category", (), ("a", "b", "c")), "size": TargetFacts("number")},
        *(90, 20, 8),
    )
    return Dataset(Examples({"left": left, "right": right}, {"kind": kinds, "size": sizes}), split, facts)


@pytest.fixture(scope="module")
def config(make_config):
    model = {"layers": LAYERS, "outputs": OUTPUTS}
    return make_config(data={"source": SOURCE}, model=model, training={"loss": None, "metrics": []})


def test_one_of_two_outputs_may_take_its_classes_as_one_hot_vectors(make_config, config, two):
    kind = {"loss": {"CategoricalCrossentropy": {}}, "metrics": ["accuracy"]}
    one_hot = make_config(
        data={"source": SOURCE},
        model={"layers": LAYERS, "outputs": {**OUTPUTS, "kind": kind}},
        training={"loss": None, "metrics": []},
    )
    built = build_model(one_hot, two.facts)
    assert built.one_hot == {"kind": 3}
    found = measure(built, one_hot, two.all).metrics
    assert found == pytest.approx(measure(build_model(config, two.facts), config, two.all).metrics, rel=1e-5)


def test_the_numbers_are_those_of_keras(config, two):
    built = build_model(config, two.facts)
    found = measure(built, config, two.all).metrics
    losses = {name: output["loss"] for name, output in OUTPUTS.items()}
    metrics = {"kind": ["accuracy"], "size": ["mae", keras.metrics.RootMeanSquaredError()]}
    built.full.compile(loss=losses, metrics=metrics, loss_weights={"kind": 1, "size": 0.5})
    targets = {"kind": two.targets["kind"], "size": two.targets["size"][:, None]}
    # Keras averages the losses of single outputs over batches, whatever their size: there is one batch here.
    theirs = built.full.evaluate(dict(two.inputs), targets, batch_size=118, verbose=0, return_dict=True)
    assert found.keys() == theirs.keys()
    assert found == {name: pytest.approx(value, rel=1e-4) for name, value in theirs.items()}


def test_rows_that_are_read_ahead_give_the_same_numbers(config, two, monkeypatch):
    built = build_model(config, two.facts)
    resident = measure(built, config, two.all).metrics
    monkeypatch.setattr(batches, "usable_memory", lambda: 1)
    monkeypatch.setattr(batches, "CHUNK_BYTES", 400)
    assert measure(built, config, two.all).metrics == resident


def test_a_single_output_with_a_name_is_trained_like_one_without(make_config, dataset, train):
    layers = [{"Dense": {"units": 3, "activation": "softmax", "name": "kind"}}]
    weighted = {"class_weights": "balanced", "epochs": 1}
    plain = make_config(model={"layers": layers}, training=weighted)
    outputs = {"kind": OUTPUTS["kind"]}
    named = make_config(
        model={"layers": layers, "outputs": outputs}, training={**weighted, "loss": None, "metrics": []}
    )
    one, other = train(plain, dataset), train(named, dataset)
    assert one.result.history[0].logs == other.result.history[0].logs
    for left, right in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.slow
def test_training_goes_on_from_a_state_to_the_same_bits(config, two, train):
    whole = train(config, two)
    start = whole.recorder.states[2]
    again = train(config, two, start=start)
    for one, other in zip(whole.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [record.logs for record in whole.result.history] == [record.logs for record in again.result.history]
    assert list(whole.result.history[0].logs)[:2] == ["loss", "kind_accuracy"]


@pytest.mark.parametrize(
    ("monitor", "way"),
    [("val_kind_accuracy", "max"), ("val_size_loss", "min"), ("val_size_mae", "min"), ("loss", "min")],
)
def test_more_or_less_of_an_outputs_metric_is_better_as_its_metric_says(make_config, two, monitor, way):
    callbacks = [{"EarlyStopping": {"monitor": monitor}}, {"ReduceLROnPlateau": {"monitor": monitor}}]
    training = {"loss": None, "metrics": [], "checkpoint": {"monitor": monitor}, "callbacks": callbacks}
    config = make_config(data={"source": SOURCE}, model={"layers": LAYERS, "outputs": OUTPUTS}, training=training)
    built = build_model(config, two.facts)
    compile_core(built, config, model_targets(built, two.targets))
    assert make_best(config, built, has_validation=True).direction == way
    assert [callback.mode for callback in make_callbacks(config, built)] == [way] * 2


def test_two_outputs_may_have_one_target(make_config, dataset, train):
    layers = [
        {"Dense": {"units": 8, "activation": "relu", "name": "trunk"}},
        {"Dense": {"units": 3, "activation": "softmax", "name": "early"}},
        {"Dense": {"units": 8, "activation": "relu", "from": "trunk"}},
        {"Dense": {"units": 3, "activation": "softmax", "name": "late"}},
    ]
    outputs = {name: {"loss": "sparse_categorical_crossentropy"} for name in ("late", "early")}
    config = make_config(model={"layers": layers, "outputs": outputs}, training={"loss": None, "metrics": []})
    logs = train(config, dataset).result.history[-1].logs
    assert logs["loss"] == pytest.approx(logs["late_loss"] + logs["early_loss"], rel=1e-5)


def test_what_is_restored_is_the_input_before_augmentation(make_config, images):
    data = {
        "target": "input",
        "preprocessing": [{"Rescaling": {"scale": 0.5}}],
        "augmentation": [{"GaussianNoise": 0.5}],
    }
    layers = [{"Conv2D": {"filters": 1, "kernel_size": 3, "padding": "same"}}]
    config = make_config(data=data, model={"layers": layers}, training={"loss": "mse", "metrics": []})
    facts = Facts(images.facts.inputs, {}, 90, 20, 8)
    built = build_model(config, facts)
    rows = make_tables(built, images.inputs, model_targets(built, {}))
    given, restored, *_ = rows.batch(*rows.feed(np.arange(10), 0, 10, 10))
    half = images.inputs["input"][:10] / 2
    np.testing.assert_array_equal(given, half)
    np.testing.assert_array_equal(restored, half)
    loss = measure(built, config, Examples(images.inputs)).metrics["loss"]
    errors = Inference(built, config)(images.inputs)["output"]
    assert errors.shape == (118,)
    np.testing.assert_allclose(errors.mean(), loss, rtol=1e-5)


def test_classification_and_restoring_go_together(make_config, images, train):
    layers = [
        {"Conv2D": {"filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu", "name": "features"}},
        {"Conv2D": {"filters": 1, "kernel_size": 3, "padding": "same", "name": "image"}},
        {"Flatten": {"from": "features"}},
        {"Dense": {"units": 3, "activation": "softmax", "name": "kind"}},
    ]
    outputs = {
        "kind": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
        "image": {"target": "input", "loss": "mse"},
    }
    config = make_config(model={"layers": layers, "outputs": outputs}, training={"loss": None, "metrics": []})
    trained = train(config, images)
    assert {"kind_accuracy", "val_image_loss"} <= trained.result.history[-1].logs.keys()
    found = Inference(trained.built, config)(images.inputs)
    assert (found["kind"].shape, found["image"].shape) == ((118, 3), (118,))


def test_arrays_that_are_vectors_are_joined_where_no_layer_takes_them(make_config, two):
    layers = [{"Dense": {"units": 5, "name": "trunk"}}, *LAYERS[4:]]
    config = make_config(data={"source": SOURCE}, model={"layers": layers, "outputs": OUTPUTS}, training={"loss": None})
    built = build_model(config, two.facts)
    assert built.layers[0].output_shape == (6,)
    outputs = built.full.predict({name: rows[:3] for name, rows in two.inputs.items()}, verbose=0)
    assert {name: values.shape for name, values in outputs.items()} == {"kind": (3, 3), "size": (3, 1)}
