"""Decision thresholds: what they change in metrics, and how they are chosen on validation."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk
from tests.evaluation.test_metric_forms import INPUTS, LABELS, LOGITS, ROWS, TWO, Pair, config_of, facts_of, targets_of

from dltool.config.checks import static_checks
from dltool.config.schema import Config
from dltool.data.examples import Examples
from dltool.evaluation.measure import measure
from dltool.evaluation.tasks import assessed_outputs
from dltool.evaluation.thresholds import best_threshold
from dltool.model.build import build_model

SCORES = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "F1Score": lambda true, found: sk.f1_score(true, found, zero_division=0),
}


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=30),
    st.sampled_from([*SCORES]),
    st.data(),
)
def test_the_chosen_threshold_is_the_best_of_all(rows, metric, data):
    true = np.array([each for each, _ in rows])
    step = data.draw(st.sampled_from([0.125, 2.0**-24]))
    probabilities = np.array([1 - (8 - level) * step for _, level in rows], np.float32)
    threshold = best_threshold(true, probabilities, metric)
    assert 0 <= threshold <= 1
    if len(set(true)) < 2:
        assert threshold == 0.5
        return
    edges = [-1.0 if probabilities.min() > 0 else 0.0, *np.unique(probabilities)]
    best = max(SCORES[metric](true, probabilities > np.float32(edge)) for edge in edges)
    assert SCORES[metric](true, probabilities > np.float32(threshold)) == pytest.approx(best)


def test_of_equally_good_thresholds_the_one_nearest_to_a_half_is_chosen():
    probabilities = np.array([0.125, 0.25, 0.75, 0.875], np.float32)
    assert best_threshold(np.array([False, False, True, True]), probabilities, "F1Score") == 0.5


PAIRS: Mapping[str, Pair] = {
    "one sigmoid": Pair(TWO, "binary_crossentropy", 1, "sigmoid"),
    "one logit": Pair(TWO, {"BinaryCrossentropy": LOGITS}, 1),
    "softmax of indices": Pair(TWO, "sparse_categorical_crossentropy", 2, "softmax"),
    "logits of one-hot": Pair(TWO, {"CategoricalCrossentropy": LOGITS}, 2),
    "labels": Pair(LABELS, "binary_crossentropy", 3, "sigmoid"),
    "logits of labels": Pair(LABELS, {"BinaryCrossentropy": LOGITS}, 3),
}
OWN = {"Precision": {"thresholds": 0.5, "name": "own"}}


def with_threshold(config: Config, threshold: Any) -> Config:
    return config.model_copy(update={"training": config.training.model_copy(update={"threshold": threshold})})


def shares_of(pair: Pair, outputs: np.ndarray) -> np.ndarray:
    """Return the probabilities of the second class or of each label."""
    outputs = outputs.astype(float)
    if pair.units == 2 and pair.activation == "linear":
        outputs = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    elif pair.activation == "linear":
        outputs = 1 / (1 + np.exp(-outputs))
    return outputs[:, 1:] if pair.units == 2 else outputs


FAST = ("one logit", "logits of one-hot", "labels")


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in PAIRS]
)
def test_metrics_and_tables_are_those_of_the_thresholds(name) -> None:
    pair = PAIRS[name]
    thresholds = {"a": 0.3, "b": 0.6, "c": 0.5} if pair.target is LABELS else 0.35
    written = {key: thresholds[key] for key in "cba"} if isinstance(thresholds, dict) else thresholds
    counts = ["Precision", "Recall", "TruePositives", "F1Score", OWN, "AUC"] if pair.units != 2 else []
    config = with_threshold(config_of(pair, ["accuracy", *counts]), written)
    facts = facts_of(pair)
    assert static_checks(config, facts) == []
    generator = np.random.default_rng(3)
    inputs = generator.normal(size=(ROWS, INPUTS)).astype(np.float32)
    targets = targets_of(pair, generator)
    built = build_model(config, facts)
    found = measure(built, config, Examples({"input": inputs}, {"target": targets}))
    true = targets.reshape(ROWS, -1)
    shares = shares_of(pair, built.full.predict(inputs, verbose=0))
    decided = shares > np.array(list(thresholds.values()) if isinstance(thresholds, dict) else [thresholds])
    assert 0 < decided.mean() < 1
    assert (decided != (shares > 0.5)).any()
    assert found.metrics["accuracy"] == pytest.approx(np.mean(true == decided))
    assert found.values["accuracy"].mean() == pytest.approx(np.mean(true == decided))
    if counts:
        flat = true.ravel(), decided.ravel()
        assert found.metrics["precision"] == pytest.approx(sk.precision_score(*flat))
        assert found.metrics["recall"] == pytest.approx(sk.recall_score(*flat))
        assert found.metrics["true_positives"] == np.sum((flat[0] == 1) & flat[1])
        assert found.metrics["own"] == pytest.approx(sk.precision_score(true.ravel(), shares.ravel() > 0.5))
        assert found.metrics["auc"] == pytest.approx(sk.roc_auc_score(true.ravel(), shares.ravel()), abs=0.01)
        several = [value for key, value in found.metrics.items() if key.startswith("f1_score")]
        assert several == pytest.approx([sk.f1_score(*pair) for pair in zip(true.T, decided.T, strict=True)])
    (output,) = assessed_outputs(config, facts, {"target": targets}, found.outputs, np.arange(ROWS))
    for row, are, is_predicted in zip(output.table[-true.shape[1] :], true.T, decided.T, strict=True):
        assert row["recall"] == pytest.approx(sk.recall_score(are, is_predicted))
        assert row["f1"] == pytest.approx(sk.f1_score(are, is_predicted))
