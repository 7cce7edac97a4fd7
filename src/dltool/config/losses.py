"""Losses grouped by the form of their targets and outputs."""

from collections.abc import Mapping
from dataclasses import dataclass

from dltool.config.keras.objects import KerasObject
from dltool.config.metric_forms import Form
from dltool.config.wording import snake_case
from dltool.keras_names import find


@dataclass(frozen=True, eq=False)
class LossFamily:
    """Losses that take the same form of outputs, and of each kind of target that they fit (`forms`).

    Losses for classes take an output for each class, or (`has_one_output`) one for the second of two classes. The
    outputs are probabilities, or logits with from_logits (`has_probabilities`), or scores."""

    forms: Mapping[str, Form]
    has_probabilities: bool = False
    has_one_output: bool = False


def of_classes(form: Form) -> dict[str, Form]:
    """Return the form for both kinds of class indices: named classes, and integers that are indices already."""
    return {"category": form, "index": form}


REGRESSION = LossFamily({"number": "numbers", "multi_label": "labels", "input": "numbers"})
SPARSE = LossFamily({**of_classes("index"), "input": "index"}, has_probabilities=True)
ONE_HOT = LossFamily({**of_classes("one_hot"), "number": "one_hot"}, has_probabilities=True)
LABELS: Mapping[str, Form] = dict.fromkeys(("number", "multi_label", "input"), "labels")
OVERLAP = LossFamily({**of_classes("one_hot"), **LABELS}, has_probabilities=True)
"""Losses of the overlap of masks: an output for each class, or one for the second of two."""
SCORES = LossFamily({**of_classes("one_hot"), "number": "one_hot"})
SIMILARITY = LossFamily({**of_classes("one_hot"), "number": "numbers", "multi_label": "labels", "input": "numbers"})
BINARY = LossFamily({**of_classes("binary"), **LABELS}, has_probabilities=True, has_one_output=True)
MARGIN = LossFamily({**of_classes("binary"), "number": "numbers", "multi_label": "labels"}, has_one_output=True)
EMBEDDINGS, SEQUENCES = LossFamily(of_classes("other")), LossFamily({"index": "other"})
"""For CTC, class 0 is the blank: renumbered classes would give another loss."""
OTHER = LossFamily({})
"""All other losses, such as those of user code, fit any target in an unknown form."""
FAMILIES: Mapping[str, LossFamily] = {
    **dict.fromkeys(("mean_squared_error", "mean_absolute_error", "huber", "log_cosh", "poisson"), REGRESSION),
    **dict.fromkeys(("mean_absolute_percentage_error", "mean_squared_logarithmic_error", "quantile"), REGRESSION),
    # Keras chooses crossentropy by the shapes; it is the binary one if there is one output.
    **dict.fromkeys(("sparse_categorical_crossentropy", "crossentropy", "ce"), SPARSE),
    **dict.fromkeys(("categorical_crossentropy", "categorical_focal_crossentropy"), ONE_HOT),
    **dict.fromkeys(("categorical_generalized_cross_entropy", "kl_divergence"), ONE_HOT),
    **dict.fromkeys(("dice", "tversky"), OVERLAP),
    **dict.fromkeys(("binary_crossentropy", "binary_focal_crossentropy"), BINARY),
    **dict.fromkeys(("hinge", "squared_hinge"), MARGIN),
    "categorical_hinge": SCORES,
    "cosine_similarity": SIMILARITY,
    "circle": EMBEDDINGS,
    "ctc": SEQUENCES,
}
"""By the names of their functions."""


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
