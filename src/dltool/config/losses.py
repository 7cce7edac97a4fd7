"""Losses grouped by the form of their targets and outputs, and metrics that match them."""

from collections.abc import Mapping
from dataclasses import dataclass

from dltool.config.keras.objects import KerasObject
from dltool.config.wording import snake_case
from dltool.keras_names import find


@dataclass(frozen=True)
class LossFamily:
    """Losses that take the same form of targets (`targets`) and of outputs. Classification losses take probabilities or
    logits of all classes, or (`has_one_output`) of the second of two."""

    targets: str
    has_probabilities: bool = False
    has_one_output: bool = False


REGRESSION, OTHER = LossFamily("numbers"), LossFamily("other")
SPARSE = LossFamily("class indices", has_probabilities=True)
ONE_HOT = LossFamily("one-hot targets", has_probabilities=True)
BINARY = LossFamily("0 or 1", has_probabilities=True, has_one_output=True)
FAMILIES: Mapping[str, LossFamily] = {
    **dict.fromkeys(("mean_squared_error", "mean_absolute_error", "huber", "log_cosh"), REGRESSION),
    **dict.fromkeys(("mean_absolute_percentage_error", "mean_squared_logarithmic_error"), REGRESSION),
    "sparse_categorical_crossentropy": SPARSE,
    **dict.fromkeys(("categorical_crossentropy", "categorical_focal_crossentropy"), ONE_HOT),
    **dict.fromkeys(("binary_crossentropy", "binary_focal_crossentropy"), BINARY),
}
"""By the names of their functions; all others are `OTHER`."""


def loss_name(loss: KerasObject) -> str:
    """Return the name of the loss function in any spelling: mse, MeanSquaredError → mean_squared_error."""
    known = find("loss", loss.name)
    return snake_case(known.means if known else loss.name)


def family_of(loss: KerasObject) -> LossFamily:
    return FAMILIES.get(loss_name(loss), OTHER)


def like(loss: KerasObject, name: str) -> str:
    """Return how to write the loss `name` in the form of `loss`: a string identifier or a class."""
    if name not in FAMILIES:
        return name
    return f"loss: {name if loss.is_string else ''.join(word.capitalize() for word in name.split('_'))}"


HAVE_TWINS = ("CategoricalAccuracy", "CategoricalCrossentropy", "TopKCategoricalAccuracy")
SPARSE_TWINS = {
    **{name: f"Sparse{name}" for name in HAVE_TWINS},
    **{snake_case(name): f"sparse_{snake_case(name)}" for name in HAVE_TWINS},
}
"""Metrics of one-hot targets, with the equivalent metrics of class indices."""
TWINS: Mapping[LossFamily, Mapping[str, str]] = {
    SPARSE: SPARSE_TWINS,
    ONE_HOT: {twin: name for name, twin in SPARSE_TWINS.items()},
}
"""By loss family: metrics that take classes in the other form, with their equivalents."""
OF_ONE_HOT = {
    *("AUC", "Precision", "Recall", "F1Score", "FBetaScore", "PrecisionAtRecall", "RecallAtPrecision"),
    *("SensitivityAtSpecificity", "SpecificityAtSensitivity", "CategoricalHinge"),
    *("TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives"),
}
"""Metrics that require one-hot targets for several classes."""


def takes_one_hot(loss: KerasObject, metric: KerasObject) -> bool:
    """Return whether the metric requires one-hot targets, and the loss class indices."""
    known = find("metric", metric.name)
    return family_of(loss) is SPARSE and known is not None and known.means in OF_ONE_HOT
