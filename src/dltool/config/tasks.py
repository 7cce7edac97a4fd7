"""The kinds of targets, each a task: the losses and outputs that fit, and what messages and reports call it.

Nothing outside asks for the name of a kind. A new one, such as boxes, takes four things:

1. a task in `TASKS`, and its options in `config/columns.py` (`TARGET_TYPES`), by which a config names it;
2. a reader of its labels in `data/labels.py` (`READERS`);
3. an evaluator in `evaluation/tasks/` (`EVALUATORS`): columns of predictions, a table, figures, mistakes and baselines;
4. in its reader, padding where examples have labels of different shapes: the targets of all examples are one array.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from dltool.config.keras.objects import KerasObject
from dltool.config.losses import BINARY, ONE_HOT, REGRESSION, SPARSE, LossFamily, family_of, like
from dltool.text import Shape, counted, number, shape, shape_text

if TYPE_CHECKING:
    import numpy as np

TargetKind = Literal["category", "number", "multi_label", "input"]
Fix = tuple[str, str]
"""What is wrong, and what to write instead."""
MOST_NUMBERS = 16
"""Of one target that are shown."""
FLATTEN = "add Flatten or a global pooling layer before it"


@dataclass(frozen=True)
class TargetFacts:
    """One target; `shape` is of one example.

    It is one or several class indices (`category`, int32), numbers (`number`, float32), or a 0 or 1 for each label
    (`multi_label`, float32). `class_names` is empty for numbers. Of the input as a target nothing is known (`input`).
    """

    kind: TargetKind
    shape: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()

    @property
    def task(self) -> "Task":
        return TASKS[self.kind]

    @property
    def is_one_class(self) -> bool:
        """Return whether each example has the index of one class."""
        return self.task.is_index and not self.shape

    @property
    def in_words(self) -> str:
        """Return `10 classes`."""
        return counted(len(self.class_names), self.task.noun) if self.class_names else "numbers to predict"


class DataFacts(Protocol):
    """The part of `dltool.data.facts.Facts` that is needed here; config/ does not import data/."""

    @property
    def targets(self) -> Mapping[str, TargetFacts]: ...
    @property
    def validation_examples(self) -> int: ...


@dataclass(frozen=True)
class Misfit:
    """Losses that are not for a task, of some targets alone where there is a condition `of`.

    `fix` is the loss to take instead, or what else to write.
    """

    losses: LossFamily
    message: str
    fix: str
    of: Callable[[TargetFacts], bool] = lambda target: True


@dataclass(frozen=True)
class Task:
    """A kind of target, of which a model gives one output for each value. `noun` is one value of it.

    The values may have names (`has_classes`) and be indices of these (`is_index`), which can be counted, weighted,
    stratified and made one-hot; an example may have several of the classes (`takes_several`), and is then called
    `nothing` where it has none. Without labels (`has_labels`), the input is the target. `activations` are last ones
    that do not fit, with the reason. `sureness` says how sure the model was of a wrong prediction, or how far off.
    """

    name: TargetKind
    noun: str
    invalid: tuple[Misfit, ...] = ()
    activations: Mapping[str, Fix] = field(default_factory=dict)
    dtype: Literal["int32", "float32"] = "float32"
    has_labels: bool = True
    has_classes: bool = False
    is_index: bool = False
    takes_several: bool = False
    nothing: str = ""
    table_title: str = "What is predicted"
    mistakes_title: str = "The largest errors"
    sureness: Callable[[float], str] = lambda value: f"error {number(value)}"

    def loss_problem(self, loss: KerasObject, target: TargetFacts) -> Fix | None:
        """Say why the loss is not for such a target."""
        for invalid_mask in self.invalid:
            if invalid_mask.losses is family_of(loss) and invalid_mask.of(target):
                sizes = {"shape": "x".join(map(str, target.shape)), "classes": len(target.class_names)}
                return invalid_mask.message.format(**sizes), like(loss, invalid_mask.fix)
        return None

    def units_problem(self, units: int, loss: KerasObject, target: TargetFacts, dollar: str) -> Fix | None:
        """Say why so many `units` are more or fewer outputs than the loss needs.

        `dollar` is how a config writes the number of classes.
        """
        wanted = math.prod(target.shape)
        fix = f"units: {dollar if self.has_classes else wanted}"
        return None if units == wanted else (f"{counted(units, 'output')} for {counted(wanted, self.noun)}", fix)

    def shape_problem(self, output: Shape, loss: KerasObject, target: TargetFacts) -> Fix | None:
        """Say why outputs of this shape cannot be compared with the target."""
        wanted = target.shape or (1,)
        if output in (target.shape, wanted) or None in output:
            return None
        values = math.prod(wanted)
        message = (
            f"the model gives {shape_text(output)} for each example, and the target is {counted(values, self.noun)}"
        )
        return message, FLATTEN if len(output) > len(wanted) else f"units: {values}"

    def counts(self, values: "np.ndarray", target: TargetFacts) -> list[int]:
        """Return how many of the targets (examples, …) are of each class; empty where that cannot be said."""
        return [int(each) for each in values.sum(axis=0)] if self.has_classes else []

    def words(self, value: "np.ndarray", target: TargetFacts) -> str:
        """Return the target of one example as people read it."""
        if self.takes_several:
            return ", ".join(target.class_names[index] for index in value.nonzero()[0]) or self.nothing
        is_long = self.has_classes or value.size > MOST_NUMBERS
        return f"{shape(value.shape)} values" if is_long else ", ".join(f"{each:g}" for each in value.ravel())


class ClassTask(Task):
    """Targets are class indices, and a model gives an output for each class."""

    def outputs_needed(self, loss: KerasObject, target: TargetFacts) -> int | None:
        """Return how many outputs each value must have; None where the loss does not tell."""
        losses = family_of(loss)
        return None if not losses.has_probabilities else 1 if losses.has_one_output else len(target.class_names)

    def units_problem(self, units: int, loss: KerasObject, target: TargetFacts, dollar: str) -> Fix | None:
        wanted, classes = self.outputs_needed(loss, target), len(target.class_names)
        if wanted is None or wanted == units:
            return None
        message = f"{counted(units, 'output')} for {counted(classes, self.noun)}"
        if family_of(loss).has_one_output:
            return f"{message}: this loss needs one", "units: 1 and activation: sigmoid"
        other = "; or loss: binary_crossentropy with activation: sigmoid" if (units, classes) == (1, 2) else ""
        return message, f"units: {classes}, or units: {dollar}{other}"

    def shape_problem(self, output: Shape, loss: KerasObject, target: TargetFacts) -> Fix | None:
        units = self.outputs_needed(loss, target)
        if units is None or output == (*target.shape, units):
            return None
        if len(output) == 1:
            return (
                f"{counted(output[0] or 0, 'output')} for {counted(len(target.class_names), self.noun)}",
                f"units: {units}",
            )
        takes = shape_text((*target.shape, units))
        message = f"the model gives {shape_text(output)} for each example, and the loss takes {takes}"
        return message, "" if target.shape else FLATTEN

    def counts(self, values: "np.ndarray", target: TargetFacts) -> list[int]:
        return [] if target.shape else [int((values == index).sum()) for index in range(len(target.class_names))]

    def words(self, value: "np.ndarray", target: TargetFacts) -> str:
        return super().words(value, target) if value.ndim else target.class_names[int(value)]


NO_CLASSES = "the target is a number, and this loss is for classes"
SEVERAL = "an example may have several labels"
CATEGORY = ClassTask(
    "category",
    "class",
    invalid=(
        Misfit(REGRESSION, "the targets are classes, and this loss is for numbers", "sparse_categorical_crossentropy"),
        Misfit(
            BINARY,
            "this loss is for two classes, and the data has {classes}",
            "sparse_categorical_crossentropy",
            of=lambda target: len(target.class_names) > 2,
        ),
    ),
    dtype="int32",
    has_classes=True,
    is_index=True,
    table_title="Each class",
    mistakes_title="The most confident mistakes",
    sureness="{:.1%} sure".format,
)
NUMBER = Task(
    "number",
    "number",
    invalid=(
        Misfit(
            SPARSE,
            "the target is {shape} numbers, and this loss is for classes",
            "if each is a class, write target: category under data",
            of=lambda target: bool(target.shape),
        ),
        Misfit(SPARSE, NO_CLASSES, "mean_squared_error"),
        Misfit(ONE_HOT, NO_CLASSES, "mean_squared_error", of=lambda target: target.shape in ((), (1,))),
    ),
)
MULTI_LABEL = Task(
    "multi_label",
    "label",
    invalid=tuple(
        Misfit(losses, f"{SEVERAL}, and this loss is for one class", "binary_crossentropy")
        for losses in (SPARSE, ONE_HOT)
    ),
    activations={
        "softmax": (f"softmax makes the probabilities of one class, and {SEVERAL}", "activation: sigmoid"),
    },
    has_classes=True,
    takes_several=True,
    nothing="no label",
    table_title="Each label",
    mistakes_title="The most confident mistakes",
    sureness="{:.1%} sure".format,
)
INPUT = Task("input", "number", has_labels=False, sureness=lambda value: f"squared error {number(value)}")
TASKS: Mapping[str, Task] = {task.name: task for task in (CATEGORY, NUMBER, MULTI_LABEL, INPUT)}
