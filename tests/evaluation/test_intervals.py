"""Intervals of what Keras computes, and what each example gives."""

from typing import Any

import keras
import numpy as np
import pytest

from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.data.examples import Examples
from dltool.data.facts import Facts, InputFacts
from dltool.evaluation import measure as measure_module
from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.intervals import metric_intervals
from dltool.evaluation.measure import Measurement, measure
from dltool.evaluation.predictor import Inference
from dltool.model.build import build_model

EXAMPLES = 700
METRICS = [
    "accuracy",
    "AUC",
    {"F1Score": {}},
    "Precision",
    "RootMeanSquaredError",
    {"OneHotMeanIoU": {"num_classes": 3}},
]


def config_of(
    loss: str = "categorical_crossentropy", metrics: Any = METRICS, target: str = "output", added: Any = ("Flatten",)
) -> Config:
    layers = [*added, {"Dense": {"units": 3, "activation": "softmax", "kernel_regularizer": {"L2": 0.1}}}]
    training = {"optimizer": "adam", "loss": loss, "metrics": metrics, "epochs": 1}
    data: dict[str, Any] = {"source": "digits"}
    if target == "input":
        layers, data["target"] = ["Flatten", {"Dense": 4}, {"Reshape": {"target_shape": [2, 2, 1]}}], "input"
    return Config.model_validate({"name": "x", "data": data, "model": {"layers": layers}, "training": training})


def facts_of(target: TargetFacts | None = None) -> Facts:
    targets = {} if target is None else {"target": target}
    return Facts({"input": InputFacts((2, 2, 1), "float32")}, targets, 100, 10, 10)


CLASSES = TargetFacts("category", (), ("a", "b", "c"))


@pytest.fixture(scope="module")
def measured() -> Any:
    random = np.random.default_rng(0)
    inputs = {"input": random.random((EXAMPLES, 2, 2, 1)).astype(np.float32)}
    targets = {"target": random.integers(0, 3, EXAMPLES).astype(np.int32)}
    config = config_of()
    built = build_model(config, facts_of(CLASSES))
    return built, config, Examples(inputs, targets), measure(built, config, Examples(inputs, targets))


def test_every_metric_has_an_interval_around_its_value(measured) -> None:
    built, config, examples, whole = measured
    metrics = whole.metrics
    found = metric_intervals(built, whole, examples.targets, config.seed)
    assert list(found) == list(metrics)
    assert {"loss", "accuracy", "auc", "f1_score_2", "root_mean_squared_error"} <= found.keys()
    for name, interval in found.items():
        assert interval.value == metrics[name]
        assert interval.low is not None, name
        assert interval.high is not None
        assert interval.low <= interval.value <= interval.high
    half = 1.96 * np.sqrt(metrics["accuracy"] * (1 - metrics["accuracy"]) / EXAMPLES)
    low, high = found["accuracy"].low, found["accuracy"].high
    assert low is not None
    assert high is not None
    assert high - low == pytest.approx(2 * half, rel=0.1)


def test_the_values_of_examples_average_to_the_metrics_and_outputs_are_those_of_predict(measured) -> None:
    built, config, examples, found = measured
    for name in ("loss", "accuracy"):
        assert found.values[name].mean() == pytest.approx(found.metrics[name], rel=1e-4)
    np.testing.assert_array_equal(found.outputs["output"], Inference(built, config)(examples.inputs)["output"])


def test_the_loss_of_an_example_has_what_layers_add_to_that_of_its_batch() -> None:
    random = np.random.default_rng(0)
    inputs = {"input": random.random((EXAMPLES, 2, 2, 1)).astype(np.float32)}
    targets = {"target": random.integers(0, 3, EXAMPLES).astype(np.int32)}
    config = config_of(added=["Flatten", {"ActivityRegularization": {"l2": 10.0}}])
    built = build_model(config, facts_of(CLASSES))
    found = measure(built, config, Examples(inputs, targets))
    metrics, values = found.metrics, found.values
    assert values["loss"].mean() == pytest.approx(metrics["loss"], rel=1e-4)
    assert metrics["loss"] > 10, "most of it is what the layer adds"
    assert set(values) == {"loss", "accuracy"}


def test_outputs_too_large_to_keep_are_kept_of_some_examples_and_means_have_intervals_still(
    measured, monkeypatch
) -> None:
    built, config, examples, whole = measured
    monkeypatch.setattr(measure_module, "KEPT_BYTES", EXAMPLES * 3 * 4 // 3)
    some = measure(built, config, examples)
    assert some.kept.tolist() == list(range(0, EXAMPLES, 3))
    np.testing.assert_array_equal(some.outputs["output"], whole.outputs["output"][::3])
    found = metric_intervals(built, some, examples.targets, config.seed)
    assert found["accuracy"].low is not None
    assert found["auc"].low is None


def test_a_restored_input_has_the_interval_of_its_loss() -> None:
    config = config_of("mse", ["mae"], "input")
    built = build_model(config, facts_of())
    inputs = {"input": np.random.default_rng(1).random((60, 2, 2, 1)).astype(np.float32)}
    found = metric_intervals(built, measure(built, config, Examples(inputs)), {}, config.seed)
    assert [interval.low is not None for interval in found.values()] == [True, True]


@pytest.mark.slow
def test_one_example_has_no_interval(measured) -> None:
    built, config, examples, _ = measured
    one = examples.take(np.arange(1))
    found = metric_intervals(built, measure(built, config, one), one.targets, config.seed)
    assert {interval.low for interval in found.values()} == {None}


@pytest.mark.slow
def test_of_several_repeats_a_metric_is_the_mean_and_their_examples_are_resampled_together() -> None:
    """The same outputs twice are no more certain; other outputs for the same examples give the mean."""
    random = np.random.default_rng(0)
    inputs = {"input": random.random((60, 2, 2, 1)).astype(np.float32)}
    targets = {"target": random.integers(0, 3, 60).astype(np.int32)}
    config = config_of(metrics=["AUC"])
    built = build_model(config, facts_of(CLASSES))
    whole, rows = measure(built, config, Examples(inputs, targets)), np.arange(60)

    def interval(order: np.ndarray, outputs: np.ndarray, value: float) -> Interval:
        """The interval of all examples in some order, once or twice."""
        measured = Measurement({"auc": value}, {"loss": order}, {"output": outputs}, np.arange(len(order)), None)
        given = {"target": targets["target"][order]}
        return metric_intervals(built, measured, given, config.seed, order, len(order) // 60)["auc"]

    output, classes = whole.outputs["output"], np.eye(3)[targets["target"]]
    single = interval(rows, output, whole.metrics["auc"])
    order = np.concatenate([rows, random.permutation(rows)])
    twice = interval(order, output[order], whole.metrics["auc"])
    assert single.low is not None
    assert (twice.low, twice.high) == pytest.approx((single.low, single.high), rel=1e-4)
    other = output[::-1]
    first, second = (float(keras.metrics.AUC()(classes, each)) for each in (output, other))
    assert abs(first - second) > 0.01
    mean = interval(np.concatenate([rows, rows]), np.concatenate([output, other]), (first + second) / 2)
    assert mean.low is not None
    assert mean.high is not None
    assert mean.low < mean.value < mean.high
