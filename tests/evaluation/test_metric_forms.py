"""Every metric that dltool accepts beside a loss is compared with an independent computation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from dltool.config.checks import compared_by, static_checks
from dltool.config.keras.objects import parse_keras_object
from dltool.config.metric_forms import METRIC_FORMS, OF_ONE_CLASS, Adapted, adapted
from dltool.config.outputs import heads_of
from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.data.examples import Examples
from dltool.data.facts import Facts, InputFacts
from dltool.evaluation.measure import measure
from dltool.model.build import build_model

ROWS, INPUTS = 400, 4
THREE = TargetFacts("category", (), ("a", "b", "c"))
TWO = TargetFacts("category", (), ("no", "yes"))
LABELS = TargetFacts("multi_label", (3,), ("a", "b", "c"))
NUMBER, VECTOR = TargetFacts("number"), TargetFacts("number", (3,))
LOGITS = {"from_logits": True}


@dataclass(frozen=True)
class Pair:
    """A target and a loss, with the units and the activation of the last layer."""

    target: TargetFacts
    loss: Any
    units: int
    activation: str = "linear"
    seen_as: str = ""


PAIRS: Mapping[str, Pair] = {
    "class indices": Pair(THREE, "sparse_categorical_crossentropy", 3, "softmax"),
    "class indices, logits": Pair(THREE, {"SparseCategoricalCrossentropy": LOGITS}, 3),
    "one-hot": Pair(THREE, "categorical_crossentropy", 3, "softmax"),
    "one-hot, logits": Pair(THREE, {"CategoricalFocalCrossentropy": LOGITS}, 3),
    "one-hot, Kullback-Leibler": Pair(THREE, "kl_divergence", 3, "softmax"),
    "one-hot, Dice": Pair(THREE, "Dice", 3, "softmax"),
    "one-hot, cosine": Pair(THREE, "cosine_similarity", 3, "softmax"),
    "one-hot, margin": Pair(THREE, "categorical_hinge", 3),
    "two classes": Pair(TWO, "binary_crossentropy", 1, "sigmoid"),
    "two classes, logits": Pair(TWO, {"BinaryFocalCrossentropy": LOGITS}, 1),
    "two classes, margin": Pair(TWO, "squared_hinge", 1, "tanh"),
    "two classes, Tversky": Pair(TWO, "tversky", 1, "sigmoid"),
    "labels": Pair(LABELS, "binary_crossentropy", 3, "sigmoid"),
    "labels, logits": Pair(LABELS, {"BinaryCrossentropy": LOGITS}, 3),
    "number": Pair(NUMBER, "mse", 1),
    "numbers": Pair(VECTOR, "huber", 3),
    "one-hot numbers": Pair(VECTOR, "categorical_crossentropy", 3, "softmax"),
}
ARGUMENTS: Mapping[str, dict[str, Any]] = {
    "IoU": {"num_classes": 3, "target_class_ids": [1], "sparse_y_pred": False},
    "MeanIoU": {"num_classes": 3, "sparse_y_pred": False},
    "OneHotIoU": {"num_classes": 3, "target_class_ids": [1]},
    "OneHotMeanIoU": {"num_classes": 3},
    "BinaryIoU": {"target_class_ids": [0, 1], "threshold": 0.5},
    "F1Score": {"average": "macro"},
    "FBetaScore": {"average": "macro", "beta": 2.0},
    "TopKCategoricalAccuracy": {"k": 2},
    "SparseTopKCategoricalAccuracy": {"k": 2},
    "PrecisionAtRecall": {"recall": 0.5, "num_thresholds": 2000},
    "RecallAtPrecision": {"precision": 0.5, "num_thresholds": 2000},
    "SensitivityAtSpecificity": {"specificity": 0.5, "num_thresholds": 2000},
    "SpecificityAtSensitivity": {"sensitivity": 0.5, "num_thresholds": 2000},
    "AUC": {"num_thresholds": 2000},
}


def config_of(pair: Pair, entries: list[Any]) -> Config:
    layer = {"Dense": {"units": pair.units, "activation": pair.activation}}
    training = {"optimizer": "adam", "loss": pair.loss, "metrics": entries, "epochs": 1}
    return Config.model_validate(
        {"name": "x", "data": {"source": "digits"}, "model": {"layers": [layer]}, "training": training}
    )


def facts_of(pair: Pair) -> Facts:
    return Facts({"input": InputFacts((INPUTS,), "float32")}, {"target": pair.target}, ROWS, 10, 10)


def entry(pair: Pair, name: str) -> Any:
    own = dict(ARGUMENTS.get(name, {}))
    if name in ("IoU", "MeanIoU") and "one-hot" in next(key for key in PAIRS if PAIRS[key] is pair):
        own["sparse_y_true"] = False
    return {name: own} if own else name


def accepted(pair: Pair) -> list[str]:
    """Return the metrics that dltool accepts beside the loss of the pair."""
    config = config_of(pair, [])
    compared = compared_by(config, heads_of(config)[0], pair.target)
    parsed = {name: parse_keras_object("metric", entry(pair, name))[0] for name in METRIC_FORMS}
    return [name for name, metric in parsed.items() if metric and isinstance(adapted(metric, compared), Adapted)]


def targets_of(pair: Pair, generator: np.random.Generator) -> np.ndarray:
    if pair.target.kind == "category":
        return generator.integers(0, len(pair.target.class_names), ROWS).astype(np.int32)
    if pair.target.kind == "multi_label":
        return generator.integers(0, 2, (ROWS, 3)).astype(np.float32)
    if pair.activation == "softmax":
        return np.eye(3, dtype=np.float32)[generator.integers(0, 3, ROWS)]
    return generator.normal(size=(ROWS, *pair.target.shape)).astype(np.float32)


@dataclass(frozen=True)
class Facit:
    """What an independent computation may use: targets (rows, k) as one-hot, 0 or 1, or numbers; outputs (rows, k);
    probabilities (rows, k) and decisions (rows, k) of 0 or 1."""

    targets: np.ndarray
    outputs: np.ndarray
    shares: np.ndarray
    decided: np.ndarray

    @property
    def classes(self) -> np.ndarray:
        return self.targets.argmax(axis=1)

    @property
    def chosen(self) -> np.ndarray:
        return self.outputs.argmax(axis=1)

    @property
    def above(self) -> np.ndarray:
        """Return the probabilities above 0.5, which for exclusive classes are not the most probable ones."""
        return self.shares > 0.5


def facit_of(pair: Pair, targets: np.ndarray, outputs: np.ndarray) -> Facit:
    outputs = outputs.astype(float)
    columns = targets.reshape(ROWS, -1).astype(float)
    if pair.target is THREE:
        columns = np.eye(3)[targets]
    is_exclusive = pair.target is THREE or pair.activation == "softmax"
    shares = outputs
    if pair.activation == "linear":
        exponents = np.exp(outputs)
        shares = exponents / exponents.sum(axis=1, keepdims=True) if is_exclusive else 1 / (1 + np.exp(-outputs))
    if pair.activation == "tanh":
        shares = 1 / (1 + np.exp(-outputs))
    decided = np.eye(3)[shares.argmax(axis=1)] if is_exclusive else (shares > 0.5) * 1.0
    return Facit(columns, outputs, shares, decided)


def iou(facit: Facit, which: list[int]) -> float:
    are, found = (facit.classes, facit.chosen) if facit.targets.shape[1] > 1 else (facit.targets, facit.decided)
    return float(np.mean(sk.jaccard_score(np.ravel(are), np.ravel(found), labels=which, average=None)))


def binary_iou(facit: Facit) -> float:
    return float(np.mean(sk.jaccard_score(facit.targets.ravel(), facit.decided.ravel(), labels=[0, 1], average=None)))


def fbeta(facit: Facit, beta: float) -> float:
    pairs = zip(facit.targets.T, facit.decided.T, strict=True)
    return float(np.mean([sk.fbeta_score(true, decided, beta=beta) for true, decided in pairs]))


def top_two(facit: Facit) -> float:
    best = np.argsort(-facit.outputs, axis=1)[:, :2]
    return float(np.mean((best == facit.classes[:, None]).any(axis=1)))


def count(facit: Facit, target: int, prediction: int) -> float:
    return float(np.sum((facit.targets == target) & (facit.above == prediction)))


def accuracy(facit: Facit) -> float:
    is_exclusive = facit.targets.shape[1] > 1 and np.all(facit.targets.sum(axis=1) == 1) and facit.decided.sum() == ROWS
    return float(np.mean(facit.classes == facit.chosen if is_exclusive else facit.targets == facit.decided))


def crossentropy(facit: Facit) -> float:
    return float(-np.mean(np.sum(facit.targets * np.log(np.clip(facit.shares, 1e-7, 1)), axis=1)))


def binary_crossentropy(facit: Facit) -> float:
    shares = np.clip(facit.shares, 1e-7, 1 - 1e-7)
    return float(-np.mean(facit.targets * np.log(shares) + (1 - facit.targets) * np.log(1 - shares)))


def best_at(value: str, facit: Facit) -> float:
    """Return the best value that any threshold reaches while the other is at least 0.5."""
    true, shares = facit.targets.ravel(), facit.shares.ravel()
    precision, recall, _ = sk.precision_recall_curve(true, shares)
    false_rate, true_rate, _ = sk.roc_curve(true, shares, drop_intermediate=False)
    pairs = {
        "PrecisionAtRecall": (precision[:-1], recall[:-1]),
        "RecallAtPrecision": (recall[:-1], precision[:-1]),
        "SensitivityAtSpecificity": (true_rate, 1 - false_rate),
        "SpecificityAtSensitivity": (1 - false_rate, true_rate),
    }
    best, other = pairs[value]
    return float(best[other >= 0.5].max(initial=0))


def signed(facit: Facit) -> np.ndarray:
    is_binary = set(np.unique(facit.targets)) <= {0, 1}
    return 2 * facit.targets - 1 if is_binary else facit.targets


def cosine(facit: Facit) -> float:
    norms = np.linalg.norm(facit.targets, axis=1) * np.linalg.norm(facit.outputs, axis=1)
    products = (facit.targets * facit.outputs).sum(axis=1)
    return float(np.mean(np.divide(products, norms, out=np.zeros(ROWS), where=norms > 0)))


def concordance(facit: Facit) -> float:
    def of(true: np.ndarray, found: np.ndarray) -> float:
        together = np.mean((true - true.mean()) * (found - found.mean()))
        return float(2 * together / (true.var() + found.var() + (true.mean() - found.mean()) ** 2))

    return float(np.mean([of(*rows) for rows in zip(facit.targets, facit.outputs, strict=True)]))


def pearson(facit: Facit) -> float:
    return float(np.mean([np.corrcoef(*rows)[0, 1] for rows in zip(facit.targets, facit.outputs, strict=True)]))


def categorical_hinge(facit: Facit) -> float:
    right = (facit.targets * facit.outputs).sum(axis=1)
    wrong = ((1 - facit.targets) * facit.outputs).max(axis=1)
    return float(np.mean(np.maximum(0, wrong - right + 1)))


def log_error(facit: Facit) -> float:
    true, found = (np.log1p(np.maximum(each, 1e-7)) for each in (facit.targets, facit.outputs))
    return float(np.mean((true - found) ** 2))


REFERENCES: Mapping[str, Callable[[Facit], float]] = {
    **dict.fromkeys(("accuracy", "BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy"), accuracy),
    **dict.fromkeys(("TopKCategoricalAccuracy", "SparseTopKCategoricalAccuracy"), top_two),
    **dict.fromkeys(("CategoricalCrossentropy", "SparseCategoricalCrossentropy"), crossentropy),
    "BinaryCrossentropy": binary_crossentropy,
    "BinaryIoU": binary_iou,
    **dict.fromkeys(("IoU", "OneHotIoU"), lambda facit: iou(facit, [1])),
    **dict.fromkeys(("MeanIoU", "OneHotMeanIoU"), lambda facit: iou(facit, [0, 1, 2])),
    "AUC": lambda facit: sk.roc_auc_score(facit.targets.ravel(), facit.shares.ravel()),
    "Precision": lambda facit: sk.precision_score(facit.targets.ravel(), facit.above.ravel()),
    "Recall": lambda facit: sk.recall_score(facit.targets.ravel(), facit.above.ravel()),
    "F1Score": lambda facit: fbeta(facit, 1),
    "FBetaScore": lambda facit: fbeta(facit, 2),
    **{
        name: partial(best_at, name)
        for name in ("PrecisionAtRecall", "RecallAtPrecision", "SensitivityAtSpecificity", "SpecificityAtSensitivity")
    },
    "TruePositives": lambda facit: count(facit, 1, 1),
    "TrueNegatives": lambda facit: count(facit, 0, 0),
    "FalsePositives": lambda facit: count(facit, 0, 1),
    "FalseNegatives": lambda facit: count(facit, 1, 0),
    "MeanSquaredError": lambda facit: np.mean((facit.targets - facit.shares) ** 2),
    "RootMeanSquaredError": lambda facit: np.sqrt(np.mean((facit.targets - facit.shares) ** 2)),
    "MeanAbsoluteError": lambda facit: np.mean(np.abs(facit.targets - facit.shares)),
    "LogCoshError": lambda facit: np.mean(np.log(np.cosh(facit.targets - facit.shares))),
    "MeanAbsolutePercentageError": lambda facit: (
        100 * np.mean(np.abs(facit.targets - facit.outputs) / np.maximum(np.abs(facit.targets), 1e-7))
    ),
    "MeanSquaredLogarithmicError": log_error,
    "Poisson": lambda facit: np.nan,
    "KLDivergence": crossentropy,
    "CosineSimilarity": cosine,
    "CategoricalHinge": categorical_hinge,
    "Hinge": lambda facit: np.mean(np.maximum(0, 1 - signed(facit) * facit.outputs)),
    "SquaredHinge": lambda facit: np.mean(np.maximum(0, 1 - signed(facit) * facit.outputs) ** 2),
    "R2Score": lambda facit: sk.r2_score(facit.targets, facit.outputs),
    "PearsonCorrelation": pearson,
    "ConcordanceCorrelation": concordance,
}


FAST = ("class indices", "two classes, logits")


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in PAIRS]
)
def test_every_accepted_metric_is_what_its_name_says(name) -> None:
    pair = PAIRS[name]
    chosen = accepted(pair)
    assert chosen
    config, facts = config_of(pair, [entry(pair, each) for each in chosen]), facts_of(pair)
    assert static_checks(config, facts) == []
    generator = np.random.default_rng(3)
    inputs = generator.normal(size=(ROWS, INPUTS)).astype(np.float32)
    targets = targets_of(pair, generator)
    built = build_model(config, facts)
    measured = measure(built, config, Examples({"input": inputs}, {"target": targets}))
    facit = facit_of(pair, targets, built.full.predict(inputs, verbose=0))
    if pair.target.kind == "number" and pair.activation == "linear":
        facit = Facit(facit.targets, facit.outputs, facit.outputs, facit.outputs)
    found = dict(zip(chosen, [value for key, value in measured.metrics.items() if key != "loss"], strict=True))
    expected = {each: float(REFERENCES[each](facit)) for each in chosen}
    loose = {"AUC", "PrecisionAtRecall", "RecallAtPrecision", "SensitivityAtSpecificity", "SpecificityAtSensitivity"}
    wrong = {
        each: (found[each], expected[each])
        for each in chosen
        if not np.isclose(found[each], expected[each], rtol=1e-4, atol=2e-2 if each in loose else 1e-5, equal_nan=True)
    }
    assert wrong == {}


def test_of_two_classes_they_are_those_of_the_second_with_two_outputs_too() -> None:
    generator = np.random.default_rng(3)
    inputs, targets = generator.normal(size=(ROWS, INPUTS)).astype(np.float32), generator.integers(0, 2, ROWS)
    pair = Pair(TWO, {"CategoricalCrossentropy": LOGITS}, 2)
    config = config_of(pair, [*(entry(pair, each) for each in OF_ONE_CLASS), {"Recall": {"class_id": 0, "name": "no"}}])
    built = build_model(config, facts_of(pair))
    measured = measure(built, config, Examples({"input": inputs}, {"target": targets.astype(np.int32)}))
    outputs = built.full.predict(inputs, verbose=0).astype(float)
    shares = 1 / (1 + np.exp(outputs[:, :1] - outputs[:, 1:]))
    facit = Facit(targets[:, None], outputs[:, 1:], shares, (shares > 0.5) * 1.0)
    *found, of_first = [value for key, value in measured.metrics.items() if key != "loss"]
    assert found == pytest.approx([REFERENCES[each](facit) for each in OF_ONE_CLASS], abs=2e-2)
    assert found[1:3] == pytest.approx([REFERENCES[each](facit) for each in ("Precision", "Recall")], abs=1e-5)
    assert of_first == pytest.approx(sk.recall_score(targets == 0, shares.ravel() <= 0.5))


@pytest.mark.parametrize(
    ("units", "loss"),
    [(2, "CategoricalCrossentropy"), pytest.param(1, "BinaryCrossentropy", marks=pytest.mark.slow)],
)
def test_masked_steps_count_in_no_metric(units: int, loss: str) -> None:
    generator = np.random.default_rng(4)
    steps = generator.integers(1, 9, (60, 10)).astype(np.int32) * (np.arange(10) < generator.integers(1, 9, (60, 1)))
    targets = ((steps > 4) ^ (generator.random(steps.shape) < 0.2)).astype(np.int32)
    of_second = {"target_class_ids": [1]}
    iou = {"OneHotIoU": {"num_classes": 2, **of_second}} if units == 2 else {"BinaryIoU": of_second}
    metrics = ["Recall", "Precision", "TrueNegatives", "AUC", "RootMeanSquaredError", "accuracy", iou]
    layers = [{"Embedding": {"input_dim": 9, "output_dim": 4, "mask_zero": True}}, {"Dense": {"units": units}}]
    training = {"optimizer": "adam", "loss": {loss: LOGITS}, "metrics": metrics, "threshold": 0.49, "epochs": 1}
    config = Config.model_validate(
        {"name": "x", "data": {"source": "digits"}, "model": {"layers": layers}, "training": training}
    )
    target = TargetFacts("category", (10,), ("no", "yes"))
    built = build_model(config, Facts({"input": InputFacts((10,), "int32")}, {"target": target}, 60, 10, 10))
    found = dict(measure(built, config, Examples({"input": steps}, {"target": targets})).metrics)
    outputs = built.full.predict(steps, verbose=0).astype(float)[steps > 0]
    logits = outputs[:, 1] - outputs[:, 0] if units == 2 else outputs[:, 0]
    shares, true = 1 / (1 + np.exp(-logits)), targets[steps > 0]
    above = shares > 0.49
    expected = {
        "loss": sk.log_loss(true, shares),
        "recall": sk.recall_score(true, above),
        "precision": sk.precision_score(true, above),
        "true_negatives": np.sum(~above & (true == 0)),
        "root_mean_squared_error": np.sqrt(np.mean((true - shares) ** 2)),
        "accuracy": np.mean(true == above),
        "one_hot_io_u" if units == 2 else "binary_io_u": sk.jaccard_score(true, above),
    }
    assert found.pop("auc") == pytest.approx(sk.roc_auc_score(true, shares), abs=0.02)
    assert found == pytest.approx(expected, rel=1e-5)


def test_metrics_may_be_written_as_strings_too() -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(ROWS, INPUTS)).astype(np.float32)
    examples = Examples({"input": inputs}, {"target": generator.integers(0, 2, ROWS).astype(np.int32)})
    found = []
    for pair in (PAIRS["two classes"], Pair(TWO, {"BinaryCrossentropy": LOGITS}, 1)):
        config = config_of(pair, ["accuracy", "binary_accuracy", "auc", "f1_score", "bce", "mse"])
        found.append(measure(build_model(config, facts_of(pair)), config, examples).metrics)
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert list(found[0]) == ["loss", "accuracy", "binary_accuracy", "auc", "f1_score", "bce", "mse"]


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param(Pair(THREE, "categorical_crossentropy", 3, "softmax"), marks=pytest.mark.slow),
        Pair(TWO, "bce", 1, "sigmoid"),
    ],
)
def test_masked_steps_of_one_sigmoid_or_a_softmax_are_left_out(pair) -> None:
    """Keras leaves them out of the loss and of means over examples, but not of metrics from counts."""
    names = ["accuracy", "mse", "AUC", "Precision", "Recall", "TruePositives", "RootMeanSquaredError"]
    is_binary = pair.units == 1
    iou = "BinaryIoU" if is_binary else {"OneHotMeanIoU": {"num_classes": 3}}
    head = {"Dense": {"units": pair.units, "activation": pair.activation}}
    training = {"optimizer": "adam", "loss": pair.loss, "metrics": [*names, iou], "epochs": 1}
    layers = [{"Embedding": {"input_dim": 6, "output_dim": 4, "mask_zero": True}}, head]
    sections = {"data": {"source": "digits"}, "model": {"layers": layers}, "training": training}
    config = Config.model_validate({"name": "x", **sections})
    target = TargetFacts("category", (5,), pair.target.class_names)
    built = build_model(config, Facts({"input": InputFacts((5,), "int32")}, {"target": target}, ROWS, 10, 10))
    generator = np.random.default_rng(1)
    inputs = generator.integers(1, 6, (40, 5)).astype(np.int32)
    inputs[:20, 2:] = 0
    targets = generator.integers(0, len(target.class_names), (40, 5)).astype(np.int32)
    found = measure(built, config, Examples({"input": inputs}, {"target": targets})).metrics
    outputs, kept = built.full.predict(inputs, verbose=0)[inputs > 0], targets[inputs > 0]
    are = kept[:, None] if is_binary else np.eye(3)[kept]
    above = outputs > 0.5
    classes = above[:, 0] if is_binary else outputs.argmax(-1)
    labels = range(len(target.class_names))
    expected = {
        "loss": sk.log_loss(kept, outputs if not is_binary else outputs[:, 0], labels=labels),
        "accuracy": sk.accuracy_score(kept, classes),
        "mse": np.mean((are - outputs) ** 2),
        "auc": sk.roc_auc_score(are.ravel(), outputs.ravel()),
        "precision": sk.precision_score(are.ravel(), above.ravel(), zero_division=0),
        "recall": sk.recall_score(are.ravel(), above.ravel()),
        "true_positives": np.sum(above & (are == 1)),
        "root_mean_squared_error": np.sqrt(np.mean((are - outputs) ** 2)),
        "iou": np.mean(sk.jaccard_score(kept, classes, labels=labels, average=None)),
    }
    assert list(found.values()) == pytest.approx(list(expected.values()), rel=1e-4, abs=1e-2)
