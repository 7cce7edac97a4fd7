from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from dltool.config.checks import metric_name
from dltool.config.keras.objects import KerasObject
from dltool.config.outputs import OutputSpec, heads_of
from dltool.errors import ConfigError
from dltool.keras_names import arguments, find, names
from dltool.model.build import build_model
from dltool.training.compile import compile_core, made_metrics
from dltool.training.state import uncounted
from dltool.training.weighting import class_weights

KNOWN = [(name, find("metric", name)) for name in names("metric")]
CLASSES = [name for name, known in KNOWN if known and not known.is_string and known.means == name]


@pytest.mark.parametrize("name", CLASSES)
def test_a_metric_has_the_name_that_keras_would_log(name):
    needed: dict[str, Any] = {argument.name: 1 for argument in arguments("metric", name).values() if argument.required}
    if "target_class_ids" in needed:
        needed = {key: [0] if key == "target_class_ids" else 2 for key in needed}
    if {"fn", "reduce_fn"} & needed.keys() or name == "Metric":
        pytest.skip("not made from a config")
    needed = {
        key: 0.5 if key in ("recall", "precision", "sensitivity", "specificity") else v for key, v in needed.items()
    }
    theirs = uncounted(getattr(keras.metrics, name)(**needed).name)
    entry = KerasObject("metric", name, needed)
    assert metric_name(entry) == theirs
    head = OutputSpec("output", None, None, KerasObject("loss", "MeanSquaredError", {}), (entry,), 1.0, ("training",))
    built: Any = SimpleNamespace(compared={}, outputs={"output": SimpleNamespace(output_shape=(1,), output=None)})
    assert made_metrics(built, head)[0].name == theirs


def test_balanced_weights_are_those_of_scikit_learn(make_config, dataset):
    from sklearn.utils.class_weight import compute_class_weight

    targets = np.array([0] * 10 + [1] * 5 + [2] * 1, dtype=np.int32)
    (head,) = heads_of(make_config(training={"class_weights": "balanced"}))
    weights = class_weights(head, dataset.facts.targets["target"], np.bincount(targets))
    np.testing.assert_allclose(weights, compute_class_weight("balanced", classes=np.arange(3), y=targets), rtol=1e-6)


def test_unknown_and_missing_classes_are_named(make_config, dataset):
    (head,) = heads_of(make_config(training={"class_weights": {"a": 1.0, "bee": 2.0}}))
    with pytest.raises(ConfigError) as refused:
        class_weights(head, dataset.facts.targets["target"], None)
    unknown, missing = refused.value.problems
    assert (unknown.place, unknown.message) == (("training", "class_weights", "bee"), "no such class")
    assert missing.message == "no weight for b, c"


def test_a_loss_that_cannot_take_the_outputs_is_named(make_config, dataset):
    config = make_config(training={"loss": "categorical_crossentropy"})
    with pytest.raises(ConfigError) as refused:
        compile_core(build_model(config, dataset.facts), config, {"output": np.zeros((4, 7), np.float32)})
    (problem,) = refused.value.problems
    assert problem.place == ("training", "loss")
    assert "\n" not in problem.message
