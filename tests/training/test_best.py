import math

import numpy as np
import pytest

from dltool.errors import ConfigError
from dltool.model.build import build_model
from dltool.training.checkpointing import Best, make_best
from dltool.training.compile import compile_core


@pytest.mark.parametrize(("direction", "best"), [("min", 3), ("max", 2)])
def test_of_equal_values_the_first_is_the_best_and_nan_never(direction, best):
    tracker = Best("x", direction)
    values = [math.nan, 5.0, 1.0, 5.0, 1.0, math.nan]
    for epoch, value in enumerate(values, 1):
        tracker.improves(epoch, {"x": value})
    assert tracker.epoch == best


@pytest.mark.parametrize(("monitor", "direction"), [(None, "min"), ("val_accuracy", "max"), ("mse", "min")])
def test_the_direction_is_the_metrics_own(make_config, dataset, monitor, direction):
    metric = "mse" if monitor == "mse" else "accuracy"
    config = make_config(training={"metrics": [metric], "checkpoint": {"monitor": monitor}})
    built = build_model(config, dataset.facts)
    (targets,) = dataset.targets.values()
    given = targets[:, None].astype("float32") if monitor == "mse" else targets
    compile_core(built, config, {"output": given})
    assert make_best(config, built, has_validation=True).direction == direction


def test_a_metric_without_direction_cannot_be_monitored(make_config, dataset):
    training = {"metrics": ["TruePositives"], "checkpoint": {"monitor": "val_true_positives"}}
    config = make_config(training={**training, "loss": "categorical_crossentropy"})
    built = build_model(config, dataset.facts)
    compile_core(built, config, {"output": np.zeros(4, np.int32)})
    with pytest.raises(ConfigError, match="val_true_positives: cannot tell whether more or less is better") as refused:
        make_best(config, built, has_validation=True)
    assert refused.value.problems[0].place == ("training", "checkpoint", "monitor")


@pytest.mark.parametrize(
    ("metric", "monitor", "mode", "message"),
    [
        ("TruePositives", "val_true_positives", "max", ""),
        ("accuracy", "val_accuracy", "max", ""),
        ("accuracy", "val_accuracy", "min", "more of val_accuracy is better"),
        ("accuracy", "val_loss", "max", "less of val_loss is better"),
    ],
)
def test_the_mode_says_what_is_better_and_cannot_contradict(make_config, dataset, metric, monitor, mode, message):
    training = {"metrics": [metric], "checkpoint": {"monitor": monitor, "mode": mode}}
    config = make_config(training={**training, "loss": "categorical_crossentropy"})
    built = build_model(config, dataset.facts)
    compile_core(built, config, {"output": np.zeros(4, np.int32)})
    if not message:
        assert make_best(config, built, has_validation=True).direction == mode
        return
    with pytest.raises(ConfigError, match=message) as refused:
        make_best(config, built, has_validation=True)
    assert refused.value.problems[0].place == ("training", "checkpoint", "mode")
