"""What each metric of Keras compares, and whether it fits the targets and outputs of a loss.

Keras computes a number for any two arrays that broadcast, also for class indices beside probabilities. Here each metric
takes the forms of targets for which its number means what its name says. Logits are converted for metrics that need
probabilities."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Literal

from dltool.config.keras.objects import UNKNOWN, KerasObject
from dltool.config.last_layer import LINEAR, RANGES
from dltool.config.wording import snake_case
from dltool.errors import Problem
from dltool.keras_names import arguments, find

Form = Literal["index", "one_hot", "binary", "labels", "numbers", "other"]
FORMS: Mapping[Form, str] = {
    "index": "class indices",
    "one_hot": "one-hot targets",
    "binary": "0 or 1 for one output",
    "labels": "0 or 1 for each output",
    "numbers": "numbers",
    "other": "no outputs for classes",
}
"""The targets of a loss, in words; "other" are the embeddings and sequences of Circle and CTC."""
Outputs = Literal["probabilities", "logits", "margins", "scores"]
"""The outputs for classes: "margins" are those whose sign is the class, "scores" any others."""
TARGET_RANGES: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(("binary_crossentropy", "binary_focal_crossentropy", "dice", "tversky"), (0, 1)),
    **dict.fromkeys(("categorical_crossentropy", "categorical_focal_crossentropy", "categorical_hinge"), (0, 1)),
    **dict.fromkeys(("categorical_generalized_cross_entropy", "kl_divergence"), (0, 1)),
    **dict.fromkeys(("hinge", "squared_hinge"), (-1, 1)),
    **dict.fromkeys(("poisson", "mean_squared_logarithmic_error"), (0, inf)),
}
"""The range of the numbers that losses and metrics compare; beyond it Keras clips them, or its number means nothing."""
ONE_HOT_LOSS = "loss: categorical_crossentropy one-hot encodes the classes"


@dataclass(frozen=True)
class MetricForm:
    """Metrics that take targets in certain forms: `takes` in words, `forms` in detail.

    `needs` says what outputs for classes they need: probabilities that are compared with a threshold ("decisions"),
    probabilities as numbers ("probabilities"), their logarithms, for which Keras converts logits ("crossentropy"), or
    outputs whose sign is the class ("margins").
    `instead` is the remedy for other forms."""

    takes: str
    forms: tuple[Form, ...]
    needs: Literal["", "decisions", "probabilities", "crossentropy", "margins"] = ""
    instead: Mapping[Form, str] = field(default_factory=dict)


INDEX = MetricForm("class indices", ("index",), "", {"binary": "write accuracy", "labels": "write BinaryAccuracy"})
ONE_HOT = replace(INDEX, takes="one-hot targets", forms=("one_hot",))
ZERO_ONE = MetricForm(
    "0 or 1", ("binary", "labels"), "decisions", {"index": "write accuracy", "one_hot": "write accuracy"}
)
IOU: Mapping[Form, str] = {"binary": "write BinaryIoU", "labels": "write BinaryIoU"}
CURVES = MetricForm("one-hot targets", ("one_hot", "binary", "labels"), "decisions", {"index": ONE_HOT_LOSS})
ERRORS = MetricForm("numbers", ("one_hot", "binary", "labels", "numbers"), "probabilities", {"index": ONE_HOT_LOSS})
OF_NUMBERS = MetricForm(
    "numbers", ("numbers",), "probabilities", dict.fromkeys(("index", "one_hot", "binary", "labels"), "write accuracy")
)
MARGINS = MetricForm("0 or 1, and outputs whose sign is the class", ("binary", "labels", "numbers"), "margins")
CROSSENTROPY: Mapping[Form, str] = {
    "index": "write SparseCategoricalCrossentropy",
    "one_hot": "write CategoricalCrossentropy",
    "binary": "write BinaryCrossentropy",
    "labels": "write BinaryCrossentropy",
}
DECIDING = (
    *("accuracy", "BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy"),
    *("BinaryIoU", "IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU", "Precision", "Recall", "F1Score", "FBetaScore"),
    *("TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives"),
)
"""Metrics of predicted classes."""
OF_ONE_CLASS = (
    *("AUC", "Precision", "Recall", "PrecisionAtRecall", "RecallAtPrecision", "SensitivityAtSpecificity"),
    *("SpecificityAtSensitivity", "TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives"),
)
"""Metrics of a class against all others: of two classes, the second."""
ACCURACY: Mapping[Form, str] = {"index": "SparseCategoricalAccuracy", "one_hot": "CategoricalAccuracy"}
"""The class of `accuracy`, otherwise BinaryAccuracy."""
OF_VECTORS = ("F1Score", "FBetaScore", "R2Score")
"""Metrics that Keras computes for one vector of each example."""
ALONG_VECTORS = ("PearsonCorrelation", "ConcordanceCorrelation")
"""Metrics that Keras computes along the last axis of each example; over examples they would depend on the batches."""
METRIC_FORMS: Mapping[str, MetricForm] = {
    "accuracy": MetricForm("classes", ("index", "one_hot", "binary", "labels"), "decisions"),
    **dict.fromkeys(("SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy"), INDEX),
    **dict.fromkeys(("CategoricalAccuracy", "TopKCategoricalAccuracy"), ONE_HOT),
    "SparseCategoricalCrossentropy": replace(INDEX, needs="crossentropy", instead=CROSSENTROPY),
    "CategoricalCrossentropy": replace(ONE_HOT, needs="crossentropy", instead=CROSSENTROPY),
    "BinaryCrossentropy": replace(ZERO_ONE, needs="crossentropy", instead=CROSSENTROPY),
    "BinaryAccuracy": ZERO_ONE,
    "BinaryIoU": replace(ZERO_ONE, instead={"index": "write MeanIoU", "one_hot": "write OneHotMeanIoU"}),
    **dict.fromkeys(("IoU", "MeanIoU"), MetricForm("class indices", ("index", "one_hot"), "", IOU)),
    **dict.fromkeys(("OneHotIoU", "OneHotMeanIoU"), replace(ONE_HOT, instead={**IOU, "index": "write MeanIoU"})),
    **dict.fromkeys((*OF_ONE_CLASS, "F1Score", "FBetaScore"), CURVES),
    **dict.fromkeys(("MeanSquaredError", "MeanAbsoluteError", "RootMeanSquaredError", "LogCoshError"), ERRORS),
    **dict.fromkeys(ALONG_VECTORS, replace(OF_NUMBERS, takes="vectors")),
    "CosineSimilarity": MetricForm("vectors", ("one_hot", "labels", "numbers"), "", {"index": ONE_HOT_LOSS}),
    "KLDivergence": MetricForm("one-hot targets", ("one_hot",), "probabilities", {"index": ONE_HOT_LOSS}),
    "CategoricalHinge": MetricForm("one-hot targets", ("one_hot",), "", {"index": ONE_HOT_LOSS}),
    **dict.fromkeys(("Hinge", "SquaredHinge"), MARGINS),
    **dict.fromkeys(("MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "Poisson"), OF_NUMBERS),
    "R2Score": OF_NUMBERS,
}
"""By the class that a metric's name means; others, such as those of user code, are not checked."""


@dataclass(frozen=True)
class Compared:
    """What a loss compares: the form of its targets, and the outputs for classes (None if unknown or numbers).

    `is_vector` says whether each example has several numbers along the last axis. `names` are those of the classes,
    `extremes` the lowest and the highest number, and `last` is the activation of outputs for numbers, if known."""

    form: Form
    outputs: Outputs | None = None
    is_vector: bool = True
    names: tuple[str, ...] = ()
    extremes: tuple[float, float] | None = None
    last: str | None = None

    @property
    def is_each_alone(self) -> bool:
        """Return whether each output is a probability of its own."""
        return self.form not in ("index", "one_hot")

    @property
    def activation(self) -> Literal["sigmoid", "softmax"]:
        """Return the activation that makes logits probabilities."""
        return "sigmoid" if self.is_each_alone else "softmax"


@dataclass(frozen=True)
class Adapted:
    """A metric as it is made, which is given one-hot targets, outputs after an activation, then the classes that a
    threshold decides instead of their probabilities, and of two classes only the second, if so marked."""

    metric: KerasObject
    one_hot: bool = False
    activation: Literal["", "sigmoid", "softmax"] = ""
    decides: bool = False
    of_second: bool = False


def adapted(
    metric: KerasObject, compared: Compared | None, *, is_trained: bool = True, has_threshold: bool = False
) -> Adapted | Problem:
    """Return the metric as it has to be made to be right, or why it does not fit, at a path inside its entry. Metrics
    of one-hot targets may accompany a loss of class indices if nothing is trained (`is_trained`). If the output
    `has_threshold`, so have the metrics of classes without one of their own."""
    name = metric_class(metric)
    form = METRIC_FORMS.get(name)
    if form is None or compared is None:
        return Adapted(metric)
    is_for_one_hot = "one_hot" in form.forms and "index" not in form.forms and not twin(name)
    one_hot = not is_trained and compared.form == "index" and is_for_one_hot
    given: Form = "one_hot" if one_hot else compared.form
    if given not in form.forms:
        message = f"{metric.name} takes {form.takes}, and the loss takes {FORMS[given]}"
        return Problem((), message, remedy(metric, name, form, given))
    if given == "numbers" and (wrong := wrong_numbers(metric, name, compared)):
        return wrong
    if name in ALONG_VECTORS and metric.arguments.get("axis", -1) not in (-1, UNKNOWN):
        message = f"{metric.name} would be computed in each batch alone"
        return Problem((metric.name, "axis"), message, "remove axis, or write R2Score")
    if name.endswith("IoU") and (wrong := wrong_flag(metric, name, given)):
        return wrong
    compared = replace(compared, form=given)
    found = with_probabilities(chosen(metric, name, given), form, compared, one_hot)
    if isinstance(found, Adapted) and name in OF_ONE_CLASS and given == "one_hot" and len(compared.names) == 2:
        # Keras would count each example for both classes: precision and recall would be the accuracy.
        found = replace(found, of_second=not {"class_id", "multi_label"} & metric.arguments.keys())
    has_own = any(metric.arguments.get(key) is not None for key in ("threshold", "thresholds"))
    if isinstance(found, Problem) or has_own or not has_threshold or name not in DECIDING:
        return found
    return deciding(found, compared)


def deciding(found: Adapted, compared: Compared) -> Adapted:
    """Return a metric that is given the classes that a threshold decides, as outputs of 0 or 1."""
    name = metric_class(found.metric)
    metric = (
        KerasObject("metric", ACCURACY.get(compared.form, "BinaryAccuracy")) if name == "accuracy" else found.metric
    )
    activation = compared.activation if compared.outputs == "logits" else ""
    return replace(found, metric=metric, activation=activation, decides=True)


def metric_class(metric: KerasObject) -> str:
    """Return the class that the metric's name means; "accuracy" if Keras chooses it; "" for user code."""
    known = find("metric", metric.name)
    if known is None or known.code is not None:
        return ""
    return "accuracy" if metric.is_string and known.means.lower() in ("accuracy", "acc") else known.means


def twin(name: str) -> str:
    """Return the metric that compares the same with classes in the other form, "" if there is none."""
    other = name.removeprefix("Sparse") if name.startswith("Sparse") else f"Sparse{name}"
    return other if other in METRIC_FORMS else ""


def remedy(metric: KerasObject, name: str, form: MetricForm, given: Form) -> str:
    if given == "numbers":
        return "" if form.takes == "numbers" else "write mean_absolute_error"
    other = twin(name) if given in ("index", "one_hot") else ""
    if not other:
        return form.instead.get(given, "remove it")
    return f"write {snake_case(other) if metric.name.islower() else other}"


def wrong_numbers(metric: KerasObject, name: str, compared: Compared) -> Problem | None:
    """Find numbers that a metric cannot compare."""
    if name in (*ALONG_VECTORS, "CosineSimilarity") and not compared.is_vector:
        return Problem((), f"{metric.name} compares the numbers of each example, and each has one", "write R2Score")
    message = beyond(snake_case(name), compared.extremes) or negative(snake_case(name), compared.last)
    return Problem((), f"{metric.name} {message}", "write mean_absolute_error") if message else None


def beyond(name: str, extremes: tuple[float, float] | None) -> str:
    """Return why a loss or metric cannot compare numbers between these two, empty if it can."""
    least, most = TARGET_RANGES.get(name, (-inf, inf))
    if extremes is None or (least <= extremes[0] and extremes[1] <= most):
        return ""
    takes = f"from {least:g} to {most:g}" if most < inf else f"of at least {least:g}"
    return f"takes targets {takes}, and the targets lie between {extremes[0]:g} and {extremes[1]:g}"


def negative(name: str, activation: str | None) -> str:
    """Return why a loss or metric cannot compare outputs of this activation, of which it takes the logarithm."""
    is_negative = activation == LINEAR or RANGES.get(activation or "", (0, 0))[0] < 0
    gives = "outputs without activation may be lower" if activation == LINEAR else f"{activation} gives lower ones"
    return f"takes outputs of at least 0, and {gives}" if name == "poisson" and is_negative else ""


def wrong_flag(metric: KerasObject, name: str, given: Form) -> Problem | None:
    """Find a flag by which IoU would take outputs for class indices, or targets for what they are not."""
    targets = ("sparse_y_true", given == "index", "targets", FORMS[given])
    outputs = ("sparse_y_pred", False, "outputs", "an output for each class")
    known = arguments("metric", name)
    for flag, needed, what, are in (targets, outputs):
        value = metric.arguments.get(flag, known[flag].default) if flag in known else needed
        if value is not UNKNOWN and value is not needed:
            place = (metric.name, flag) if flag in metric.arguments else ()
            taken = "class indices" if value else "one-hot"
            message = f"{metric.name} takes the {what} for {taken}, and they are {are}"
            return Problem(place, message, f"{flag}: {str(needed).lower()}")
    return None


def chosen(metric: KerasObject, name: str, given: Form) -> KerasObject:
    """Return the metric with what Keras would choose wrongly: the class of `accuracy`, and a missing threshold. Keras
    takes several outputs of 0 or 1 for one-hot classes, and for F1Score the largest output for the class."""
    if name == "accuracy" and given == "labels":
        return KerasObject("metric", "BinaryAccuracy", {"name": metric.name})
    has_threshold = metric.arguments.get("threshold") is not None
    if name in ("F1Score", "FBetaScore") and given in ("binary", "labels") and not has_threshold:
        return KerasObject("metric", name, {**metric.arguments, "threshold": 0.5})
    return metric


def with_probabilities(metric: KerasObject, form: MetricForm, compared: Compared, one_hot: bool) -> Adapted | Problem:
    """Return the metric with outputs converted to probabilities if it needs them and the loss takes others."""
    outputs, name = compared.outputs, metric_class(metric)
    if not form.needs or outputs is None:
        return Adapted(metric, one_hot)
    if metric.arguments.get("from_logits") is True and outputs != "logits":
        message = f"{metric.name} has from_logits: true, and the outputs are {outputs}"
        return Problem((metric.name, "from_logits"), message, "remove from_logits")
    is_choice = name == "accuracy" and compared.form in ("index", "one_hot")
    if form.needs == "margins" and outputs == "probabilities":
        return Problem((), f"{metric.name} takes outputs whose sign is the class, not probabilities", "remove it")
    if form.needs == "margins":
        return Adapted(metric, one_hot)
    if (outputs == "scores" and not is_choice) or (outputs == "margins" and form.needs != "decisions"):
        message = f"{metric.name} needs probabilities, and the loss takes scores"
        return Problem((), message, "remove it, or write accuracy")
    if outputs == "probabilities" or is_choice:
        return Adapted(metric, one_hot)
    if form.needs == "crossentropy":
        return Adapted(KerasObject("metric", name, {**metric.arguments, "from_logits": True}), one_hot)
    name = "BinaryAccuracy" if name == "accuracy" else name
    without = {key: value for key, value in metric.arguments.items() if key != "from_logits"}
    return Adapted(KerasObject("metric", name, without), one_hot, compared.activation)
