"""Metrics named on the command line for a finished model."""

from typing import Any

import pytest

from dltool.config.checks import metric_name
from dltool.config.metric_choice import with_metrics
from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.errors import ConfigError

TARGETS = {
    "target": TargetFacts("category", (), ("a", "b")),
    "digit": TargetFacts("category", (), ("a", "b")),
    "size": TargetFacts("number"),
}


def config_of(outputs: Any = None) -> Config:
    layers = [{"Dense": {"units": 2, "name": "digit"}}, {"Dense": {"units": 1, "from": "digit", "name": "size"}}]
    data = {"source": {"csv": {"path": "a.csv"}}, "target": {"digit": "category"}}
    training: dict[str, Any] = {"optimizer": "adam", "epochs": 1}
    model: dict[str, Any] = {"layers": layers}
    if outputs is None:
        training |= {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    else:
        data["target"] = {"digit": "category", "size": "number"}
        model["outputs"] = outputs
    return Config.model_validate({"name": "x", "data": data, "model": model, "training": training})


@pytest.mark.parametrize(
    "given",
    [
        ["SparseTopKCategoricalAccuracy,SparseCategoricalCrossentropy"],
        ["[SparseTopKCategoricalAccuracy, SparseCategoricalCrossentropy]"],
        ["{SparseTopKCategoricalAccuracy: 2}", "SparseCategoricalCrossentropy"],
    ],
)
def test_metrics_are_named_as_in_a_config(given) -> None:
    changed = with_metrics(config_of(), TARGETS, given)
    names = ["sparse_top_k_categorical_accuracy", "sparse_categorical_crossentropy"]
    assert [metric_name(metric) for metric in changed.training.metrics] == names


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("acuracy", 'unknown metric "acuracy"'),
        ("{AUC: {num_treshold: 3}}", "unknown argument of AUC"),
        ("CategoricalAccuracy", "takes one-hot targets"),
        ("[accuracy", ""),
        ("3", "expected the name of a metric"),
        ("{MeanSquaredError: {name: loss}}", "loss is reserved"),
    ],
)
def test_a_mistake_is_refused_as_in_a_config(given, message) -> None:
    with pytest.raises(ConfigError, match=message):
        with_metrics(config_of(), TARGETS, [given])


def test_each_of_several_outputs_has_its_own() -> None:
    config = config_of(
        {"digit": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}, "size": {"loss": "mse"}}
    )
    changed = with_metrics(config, TARGETS, ["{size: [mae, R2Score]}"])
    assert [metric_name(metric) for metric in changed.model.outputs["size"].metrics] == ["mae", "r2_score"]
    assert changed.model.outputs["digit"].metrics == ()
    with pytest.raises(ConfigError, match="the outputs digit, size"):
        with_metrics(config, TARGETS, ["accuracy"])
