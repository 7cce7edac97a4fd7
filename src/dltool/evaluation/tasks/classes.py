"""Evaluators of outputs that predict the class or the labels of an example."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dltool.config.columns import MultiLabelTarget
from dltool.config.last_layer import last_layer
from dltool.config.losses import family_of, loss_name
from dltool.config.outputs import layer_index
from dltool.errors import RunError
from dltool.evaluation.findings import Mistake
from dltool.evaluation.linear_models import softmax, softmax_regression
from dltool.evaluation.measures import areas, calibration, class_table, confusion, precision_recall, roc
from dltool.evaluation.tasks.evaluator import NOTHING, Columns, Evaluator, Found, Rules, figures, worst
from dltool.text import whole_text

MOST_PROBABILITIES = 20
"""Classes up to which each has a column of probabilities."""
MOST_CLASSES = 100
"""Classes up to which there is a linear model."""
MOST_INNER = 200_000
"""Values inside examples, such as pixels, that are assessed. More are sampled evenly."""
MOST_CURVES = 7
MOST_CONFUSED = 2_000
"""Classes up to which there is a confusion matrix, whose size is their square."""
MOST_VALUES = 2_000_000
"""Probabilities used for curves. More are sampled evenly."""
MICRO = "micro average"
Array = np.ndarray


class LabelEvaluator(Evaluator):
    """Evaluator of labels. Columns are "labels", those above their threshold, and "probability of NAME" for each."""

    column = "labels"

    @property
    def names(self) -> np.ndarray:
        return np.array([whole_text(name) for name in self.target.class_names], dtype=object)

    @property
    def has_probabilities(self) -> bool:
        """Return whether the loss takes probabilities of classes, or logits."""
        return family_of(self.head.loss).has_probabilities

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """Return the probabilities (examples, classes) of outputs that may be logits."""
        if self.head.loss.arguments.get("from_logits") is not True:
            return values
        return (1 + np.tanh(values / 2)) / 2 if family_of(self.head.loss).has_one_output else softmax(values)

    def decided(self, shares: np.ndarray) -> np.ndarray:
        """Return which labels are predicted, (examples, labels) of bool, for probabilities."""
        return np.asarray(shares > np.array(self.head.thresholds(self.target.class_names) or [0.5], shares.dtype))

    def chances(self, targets: Mapping[str, np.ndarray], values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return whether examples have each label, and its probability, (examples, labels) each."""
        return self.goal(targets) > 0.5, self.shares(values)

    def shares(self, values: np.ndarray) -> np.ndarray:
        """Return the probabilities. Raises RunError: their number differs from that of the classes."""
        found, classes = self.probabilities(values.reshape(len(values), -1)), len(self.target.class_names)
        if found.shape[1] != classes:
            raise RunError(f"the model has {found.shape[1]} outputs, and the run has {classes} classes")
        return found

    def predicted(self, shares: np.ndarray) -> np.ndarray:
        target = self.config.data.targets[str(self.head.target)].type
        options = target.options if target else None
        separator = options.separator if isinstance(options, MultiLabelTarget) else ","
        return self.labels_text(self.decided(shares), separator)

    def true_labels(self, goal: np.ndarray) -> np.ndarray:
        return self.labels_text(goal > 0.5, ",")

    def labels_text(self, values: np.ndarray, separator: str) -> np.ndarray:
        names = self.names
        return np.array([separator.join(names[row]) for row in values], dtype=object)

    def each_class(self, shares: np.ndarray) -> Columns:
        return {f"probability of {name}": column for name, column in zip(self.names, shares.T, strict=True)}

    def columns(self, values: np.ndarray) -> Columns:
        shares = self.shares(values)
        return {self.column: self.predicted(shares), **self.each_class(shares)}

    def compared(self, targets: Mapping[str, np.ndarray], values: np.ndarray) -> Columns:
        goal, shares = self.goal(targets), self.shares(values)
        columns = {"target": self.true_labels(goal), "prediction": self.predicted(shares)}
        return columns | (self.each_class(shares) if shares.shape[1] <= MOST_PROBABILITIES else {})

    def findings(self, prefix: str, targets: Mapping[str, np.ndarray], values: np.ndarray, rows: np.ndarray) -> Found:
        names, shares = self.target.class_names, self.probabilities(values.reshape(len(values), -1))
        if not self.has_probabilities or shares.shape[1] != len(names):
            return NOTHING
        return labels_found(prefix, names, self.goal(targets), shares, rows, self.decided(shares))


class ClassEvaluator(LabelEvaluator):
    """Evaluator of classes. Columns are "class", the most probable one unless there is a threshold, and "probability of
    NAME" for each."""

    column = "class"

    @property
    def unclear(self) -> str:
        if self.target.shape:
            shape = " × ".join(map(str, self.target.shape))
            return f"the model predicts {shape} classes for each example, which a table cannot hold"
        last = last_layer(self.config.model.layers, layer_index(self.config, self.head))
        if self.has_probabilities or (last is not None and last.is_probability):
            return ""
        return f"with the loss {loss_name(self.head.loss)}, the outputs of the model are not probabilities of classes"

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """Return the probabilities of both classes if the model has one output, the probability of the second."""
        found = super().probabilities(values)
        return np.concatenate([1 - found, found], axis=1) if found.shape[1] == 1 else found

    def decided(self, shares: np.ndarray) -> np.ndarray:
        """Return the index of the predicted class, (examples,), for probabilities (examples, classes)."""
        thresholds = self.head.thresholds(self.target.class_names)
        return shares.argmax(axis=1) if thresholds is None else (shares[:, 1] > thresholds[0]).astype(int)

    def chances(self, targets: Mapping[str, np.ndarray], values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return whether values inside examples are of the second class, and its probability, (values, 1) each."""
        shares = self.probabilities(values.reshape(-1, values.shape[-1]))
        return self.goal(targets).reshape(-1, 1) == 1, shares[:, 1:]

    def predicted(self, shares: np.ndarray) -> np.ndarray:
        return np.asarray(self.names[self.decided(shares)])

    def true_labels(self, goal: np.ndarray) -> np.ndarray:
        return np.asarray(self.names[goal.ravel()])

    def compared(self, targets: Mapping[str, np.ndarray], values: np.ndarray) -> Columns:
        found, goal, shares = super().compared(targets, values), self.goal(targets).ravel(), self.shares(values)
        if shares.shape[1] <= MOST_PROBABILITIES:
            return found
        of_target = shares[np.arange(len(shares)), goal]
        return {**found, "probability": shares.max(axis=1), "probability of the target": of_target}

    def findings(self, prefix: str, targets: Mapping[str, np.ndarray], values: np.ndarray, rows: np.ndarray) -> Found:
        inner = bool(self.target.shape)
        flat = values.reshape(-1, values.shape[-1]) if inner else values.reshape(len(values), -1)
        some = slice(None, None, -(-len(flat) // MOST_INNER) if inner else 1)
        names, shares = self.target.class_names, self.probabilities(flat[some])
        if not self.has_probabilities or shares.shape[1] != len(names):
            return NOTHING
        goal = self.goal(targets).ravel()[some]
        return classes_found(prefix, names, goal, shares, None if inner else rows, self.decided(shares))

    @property
    def rules(self) -> Rules | None:
        if self.target.shape not in ((), (1,)) or not self.has_probabilities:
            return None
        classes = len(self.target.class_names)
        return Rules(
            metric="accuracy",
            constant_name="majority class",
            linear_name="logistic regression",
            score=lambda targets, predicted: np.mean(targets == predicted),
            predicted=lambda values: self.decided(self.probabilities(values)),
            constant=lambda fitted: np.bincount(fitted).argmax(),
            linear=lambda fitted, true, other: (other @ softmax_regression(fitted, true, classes)).argmax(axis=1),
            why_not_linear=why_not_logistic,
        )


def why_not_logistic(fitted: np.ndarray) -> str:
    count = len(np.unique(fitted))
    if count > MOST_CLASSES:
        return f"not fitted: more than {MOST_CLASSES} classes"
    return "not fitted: only one class" if count < 2 else ""


def classes_found(
    prefix: str, names: Sequence[str], targets: Array, probabilities: Array, rows: Array | None, predicted: Array
) -> Found:
    """Return the findings for `targets` and `predicted` (examples,), class indices, and `probabilities` (examples,
    classes). `rows` (examples,) are rows of the data, None if an example has many classes."""
    confidence = probabilities[np.arange(len(predicted)), predicted]
    are_right = predicted == targets
    some = slice(None, None, -(-probabilities.size // MOST_VALUES))
    mistakes = tuple(
        Mistake(int(row), names[int(targets[index])], names[int(predicted[index])], sure)
        for index, sure in worst(np.where(are_right, 0, confidence))
        for row in ([] if rows is None else rows[index : index + 1])
    )

    def confusion_matrix() -> Any:
        return figures().confusion_figure(f"{prefix}confusion_matrix", confusion(targets, predicted, len(names)), names)

    table = class_table(targets, predicted, names)
    are_of_class = targets[some, None] == np.arange(len(names))
    makers, table = with_curves(prefix, table, names, are_of_class, probabilities[some])
    makers = [*([confusion_matrix] if len(names) <= MOST_CONFUSED else []), *makers]
    return [*makers, calibration_maker(prefix, confidence, are_right)], table, mistakes


def labels_found(
    prefix: str, names: Sequence[str], targets: Array, probabilities: Array, rows: Array, predicted: Array
) -> Found:
    """Return the findings for `targets` of 0 or 1, `probabilities` and labels `predicted`, (examples, labels) each."""
    are_labels = targets > 0.5
    some = slice(None, None, -(-probabilities.size // MOST_VALUES))
    confidence = np.where(predicted, probabilities, 1 - probabilities)
    are_right = predicted == are_labels
    mistakes = tuple(
        Mistake(int(rows[index]), label_names(names, are_labels[index]), label_names(names, predicted[index]), sure)
        for index, sure in worst(np.where(are_right, 0, confidence).max(axis=1))
    )
    table = class_table(are_labels, predicted, names, kind="label")
    makers, table = with_curves(prefix, table, names, are_labels[some], probabilities[some])
    calibrated = calibration_maker(prefix, confidence[some].ravel(), are_right[some].ravel())
    return [*makers, calibrated], table, mistakes


def label_names(names: Sequence[str], chosen: np.ndarray) -> str:
    return ", ".join(names[index] for index in np.flatnonzero(chosen).tolist())


def with_curves(
    prefix: str, table: list[dict[str, Any]], names: Sequence[str], are_of_class: np.ndarray, probabilities: np.ndarray
) -> tuple[list[Callable[[], Any]], list[dict[str, Any]]]:
    """Return makers of the curves of each class against all others and of the micro average, and the table with AUCs.
    Only the classes with the lowest AUC are drawn if there are many."""
    by_class = areas(are_of_class, probabilities)
    found = np.flatnonzero(np.isfinite(by_class))
    rows = [{**row, "auc": float(a) if np.isfinite(a) else None} for row, a in zip(table, by_class, strict=True)]
    if not len(found):
        return [], rows
    if len(names) == 2 and len(found) == 2 and are_of_class.sum(axis=1).max() == 1:
        # The curves of two classes mirror each other.
        found = found[1:]
    chosen = np.sort(found[np.argsort(by_class[found], kind="stable")[:MOST_CURVES]])
    which = f" of the {len(chosen)} classes with the lowest AUC" if len(chosen) < len(found) else ""
    curves = [(names[int(index)], are_of_class[:, index], probabilities[:, index]) for index in chosen]
    if len(found) > 1:
        curves.append((MICRO, are_of_class.ravel(), probabilities.ravel()))
    name = f"{prefix}precision_recall"
    makers = [
        lambda: figures().roc_figure(f"{prefix}roc", [roc(*curve) for curve in curves], which),
        lambda: figures().precision_recall_figure(name, [precision_recall(*curve) for curve in curves], which),
    ]
    return makers, rows


def calibration_maker(prefix: str, confidence: np.ndarray, are_right: np.ndarray) -> Callable[[], Any]:
    name = f"{prefix}calibration"
    return lambda: figures().calibration_figure(name, calibration(confidence, are_right), len(confidence))
