"""Weights of examples and of classes, compared with plain Keras and NumPy."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from dltool.config.tasks import TargetFacts
from dltool.data.dataset import Dataset
from dltool.data.examples import Examples
from dltool.data.facts import Facts, InputFacts
from dltool.data.split.at_random import Split
from dltool.errors import ConfigError
from dltool.evaluation.intervals import metric_intervals
from dltool.evaluation.measure import measure
from dltool.model.build import build_model
from dltool.training import batches
from dltool.training.steps import epoch_order

BY_CLASS = {"a": 1.0, "b": 0.5, "c": 3.0}


def assert_close(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    for left, right in zip(one, other, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def weighted(dataset) -> Dataset:
    """As `dataset`, with weights from 0 to 3."""
    weights = np.random.default_rng(3).uniform(0, 3, len(dataset.all)).astype(np.float32)
    return replace(dataset, all=replace(dataset.all, weights=np.where(weights < 0.5, 0, weights).astype(np.float32)))


def parts_of(dataset: Dataset, name: Any) -> Any:
    """Return the inputs, targets and weights of a split."""
    found = dataset.examples(name)
    (inputs,), (targets,) = found.inputs.values(), found.targets.values()
    assert found.weights is not None
    return inputs, targets, found.weights


@pytest.mark.parametrize(
    ("loss", "by_class"),
    [
        pytest.param("sparse_categorical_crossentropy", None, marks=pytest.mark.slow),
        ("categorical_crossentropy", BY_CLASS),
    ],
)
def test_weights_are_keras_sample_weight(make_config, weighted, train, loss, by_class):
    config = make_config(training={"class_weights": by_class, "epochs": 1, "loss": loss})
    ours = train(config, weighted)
    model = build_model(config, weighted.facts).core
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    inputs, targets, weights = parts_of(weighted, "train")
    order = epoch_order(config.seed, 0, len(inputs))
    if by_class is not None:
        weights = weights * np.array([*by_class.values()], np.float32)[targets]
    history = model.fit(
        *(inputs[order], targets[order]),
        sample_weight=weights[order],
        validation_data=parts_of(weighted, "validation"),
        batch_size=16,
        shuffle=False,
        verbose=0,
    ).history
    assert_close(ours.weights, model.get_weights())
    assert ours.result.history[0].logs == {name: pytest.approx(value, rel=1e-6) for name, (value,) in history.items()}


def test_the_loss_of_the_test_is_weighted_and_its_metrics_are_not(make_config, weighted):
    config = make_config()
    built = build_model(config, weighted.facts)
    found = measure(built, config, weighted.examples("test"))
    inputs, targets, weights = parts_of(weighted, "test")
    outputs = np.asarray(built.core(inputs))
    losses = -np.log(outputs[np.arange(len(targets)), targets])
    right = (outputs.argmax(axis=1) == targets).mean()
    assert found.metrics == {"loss": pytest.approx((weights * losses).mean()), "accuracy": pytest.approx(right)}
    np.testing.assert_allclose(found.values["loss"], weights * losses, rtol=1e-5)
    interval = metric_intervals(built, found, {"target": targets}, 1)["loss"]
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low < found.metrics["loss"] < interval.high


@pytest.mark.slow
def test_a_weighted_run_resumes_to_the_same_bits_also_if_rows_are_read_ahead(make_config, weighted, train, monkeypatch):
    config = make_config(training={"class_weights": BY_CLASS})
    whole = train(config, weighted)
    monkeypatch.setattr(batches, "usable_memory", lambda: 1)
    monkeypatch.setattr(batches, "CHUNK_BYTES", 400)
    resumed = train(config, weighted, start=whole.recorder.states[2])
    for one, other in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [record.logs for record in whole.result.history] == [record.logs for record in resumed.result.history]


@pytest.fixture(scope="module")
def two() -> Dataset:
    """Two targets: a class for each of four steps, and one class; 48 rows, 32 of them for training."""
    random = np.random.default_rng(0)
    steps, kinds = random.integers(0, 3, (48, 4)).astype(np.int32), random.integers(0, 2, 48).astype(np.int32)
    inputs = random.normal(size=(48, 4, 2)).astype(np.float32)
    rows = np.arange(48)
    facts = Facts(
        {"input": InputFacts((4, 2), "float32")},
        {"steps": TargetFacts("index", (4,), ("0", "1", "2")), "kind": TargetFacts("category", (), ("no", "yes"))},
        *(32, 16, 0),
    )
    weights = random.uniform(0, 2, 48).astype(np.float32)
    examples = Examples({"input": inputs}, {"steps": steps, "kind": kinds}, weights=weights)
    return Dataset(examples, Split(rows[:32], rows[32:], rows[:0]), facts)


OUTPUTS: dict[str, Any] = {
    "steps": {"loss": "sparse_categorical_crossentropy"},
    "kind": {"loss": "binary_crossentropy", "metrics": ["accuracy"], "class_weights": {"no": 1, "yes": 4}},
}


def config_of_two(make_config: Any, **outputs: Any) -> Any:
    layers = [
        {"Dense": {"units": 3, "activation": "softmax", "name": "steps"}},
        "Flatten",
        {"Dense": {"units": 1, "activation": "sigmoid", "name": "kind"}},
    ]
    source = {"arrays": {"path": "/a.npz", "y": {"steps": "s", "kind": "k"}}}
    model = {"layers": layers, "outputs": {**OUTPUTS, **outputs}}
    return make_config(data={"source": source}, model=model, training={"loss": None, "metrics": [], "epochs": 1})


def test_each_output_has_its_weights(make_config, two, train):
    config = config_of_two(make_config)
    ours = train(config, two)
    model = build_model(config, two.facts).core
    model.compile("adam", {"steps": "sparse_categorical_crossentropy", "kind": "binary_crossentropy"})
    order = epoch_order(config.seed, 0, 32)
    assert two.all.weights is not None
    weights, kinds = two.all.weights[order], two.targets["kind"][order]
    model.fit(
        two.inputs["input"][order],
        {"steps": two.targets["steps"][order], "kind": kinds[:, None]},
        sample_weight={"steps": np.repeat(weights[:, None], 4, axis=1), "kind": weights * np.where(kinds, 4, 1)},
        batch_size=16,
        shuffle=False,
        verbose=0,
    )
    assert_close(ours.weights, model.get_weights())
    losses = ours.result.history[0].logs
    assert losses["loss"] == pytest.approx(losses["steps_loss"] + losses["kind_loss"], rel=1e-5)


def test_a_weight_counts_for_all_pixels_of_its_example(make_config, make_dataset):
    random = np.random.default_rng(0)
    masks, rows = random.integers(0, 3, (4, 4, 4)).astype(np.int32), np.arange(4)
    plain = make_dataset(random.normal(size=(4, 4, 4, 1)).astype(np.float32), masks, Split(rows, rows[:0], rows[:0]))
    weights = np.array([0, 1, 2, 5], np.float32)
    dataset = replace(plain, all=replace(plain.all, weights=weights))
    config = make_config(model={"layers": [{"Dense": {"units": 3, "activation": "softmax"}}]})
    built = build_model(config, dataset.facts)
    outputs = np.asarray(built.core(dataset.inputs["input"]))
    losses = -np.log(np.take_along_axis(outputs, masks[..., None], axis=-1)).mean(axis=(1, 2, 3))
    assert measure(built, config, dataset.all).metrics["loss"] == pytest.approx((weights * losses).mean(), rel=1e-5)


@pytest.mark.parametrize(("changes", "cure"), [({"class_weights": BY_CLASS}, "class_weights"), ({}, "data.weights")])
def test_a_loss_of_a_whole_batch_takes_no_weights(make_config, dataset, weighted, train, changes, cure):
    config = make_config(training={"loss": "dice", **changes})
    with pytest.raises(ConfigError) as refused:
        train(config, dataset if changes else weighted)
    (problem,) = refused.value.problems
    assert problem.place == ("training", "loss")
    assert problem.message == "this loss is one number for all examples of a batch, which weights cannot change"
    assert problem.hint == f"remove {cure}"


def test_keras_would_weigh_the_last_axis_of_four() -> None:
    """Why weights get the axes of the loss: Keras multiplies (4,) with the last axis of (4, 4, 4) without a word."""
    loss = keras.losses.SparseCategoricalCrossentropy()
    targets, outputs = np.zeros((4, 4, 4), np.int32), np.full((4, 4, 4, 2), 0.5, np.float32)
    outputs[0] = [0.9, 0.1]
    only_first = np.array([1, 0, 0, 0], np.float32)
    wrong, right = (float(loss(targets, outputs, weights)) for weights in (only_first, only_first[:, None, None]))
    assert right == pytest.approx(-np.log(0.9) / 4, rel=1e-5)
    assert wrong != pytest.approx(right)
