"""The kinds of targets, each a task: the losses and outputs that fit, and its words in messages and reports.

No other module asks for the name of a kind. A new one, such as boxes, takes four things:

1. a task in `TASKS`, and its options in `config/columns.py` (`TARGET_TYPES`), by which a config names it;
2. a reader of its labels in `data/labels.py` (`READERS`);
3. an evaluator in `evaluation/tasks/` (`EVALUATORS`): columns of predictions, a table, figures, errors and baselines;
4. in its reader, padding if examples have labels of different shapes: the targets of all examples are one array."""

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
"""The problem, and what to write instead."""
MOST_NUMBERS = 16
"""The most numbers of one target to show."""
FLATTEN = "add Flatten or a global pooling layer before it"


@dataclass(frozen=True)
class TargetFacts:
    """One target; `shape` is of one example. It is one or several class indices (`category`, int32), numbers (`number`,
    float32), or a 0 or 1 for each label (`multi_label`, float32). `class_names` is empty for numbers. For the input as
    target (`input`) nothing is known."""

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
    """The subset of `dltool.data.facts.Facts` needed here; config/ does not import data/."""

    @property
    def targets(self) -> Mapping[str, TargetFacts]: ...
    @property
    def validation_examples(self) -> int: ...


@dataclass(frozen=True)
class Misfit:
    """Losses that do not fit a task, or only targets that meet the condition `of`. `fix` is the loss to use instead, or
    another remedy."""

    losses: LossFamily
    message: str
    fix: str
    of: Callable[[TargetFacts], bool] = lambda target: True


@dataclass(frozen=True)
class Task:
    """A kind of target. The model gives one output for each value; `noun` is one value.

    The values may have names (`has_classes`) and be indices of them (`is_index`), which can be counted, weighted,
    stratified and one-hot encoded. An example may have several classes (`takes_several`), or none, which is called
    `nothing`. Without labels (`has_labels`), the input is the target. `activations` maps unsuitable last activations to
    reasons. `sureness` describes the confidence of a wrong prediction, or the size of its error."""

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
        """Return why the loss does not fit the target."""
        for invalid_mask in self.invalid:
            if invalid_mask.losses is family_of(loss) and invalid_mask.of(target):
                sizes = {"shape": "x".join(map(str, target.shape)), "classes": len(target.class_names)}
                return invalid_mask.message.format(**sizes), like(loss, invalid_mask.fix)
        return None

    def units_problem(self, units: int, loss: KerasObject, target: TargetFacts, dollar: str) -> Fix | None:
        """Return why `units` does not fit the number of outputs that the loss needs. `dollar` is how a config writes
        the number of classes."""
        wanted = math.prod(target.shape)
        fix = f"units: {dollar if self.has_classes else wanted}"
        return None if units == wanted else (f"{counted(units, 'output')} for {counted(wanted, self.noun)}", fix)

    def shape_problem(self, output: Shape, loss: KerasObject, target: TargetFacts) -> Fix | None:
        """Return why outputs of this shape cannot be compared with the target."""
        wanted = target.shape or (1,)
        if output in (target.shape, wanted) or None in output:
            return None
        values = math.prod(wanted)
        target_is = f"the target is {counted(values, self.noun)}"
        message = f"the model gives {shape_text(output)} for each example, and {target_is}"
        return message, FLATTEN if len(output) > len(wanted) else f"units: {values}"

    def counts(self, values: "np.ndarray", target: TargetFacts) -> list[int]:
        """Return the number of targets (examples, …) in each class; empty if undefined."""
        return [int(each) for each in values.sum(axis=0)] if self.has_classes else []

    def words(self, value: "np.ndarray", target: TargetFacts) -> str:
        """Return the target of one example in readable form."""
        if self.takes_several:
            return ", ".join(target.class_names[index] for index in value.nonzero()[0]) or self.nothing
        is_long = self.has_classes or value.size > MOST_NUMBERS
        return f"{shape(value.shape)} values" if is_long else ", ".join(f"{each:g}" for each in value.ravel())


class ClassTask(Task):
    """Targets are class indices, and the model gives one output per class."""

    def outputs_needed(self, loss: KerasObject, target: TargetFacts) -> int | None:
        """Return the number of outputs for each value; None if the loss does not determine it."""
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
            classes = counted(len(target.class_names), self.noun)
            return f"{counted(output[0] or 0, 'output')} for {classes}", f"units: {units}"
        takes = shape_text((*target.shape, units))
        message = f"the model gives {shape_text(output)} for each example, and the loss takes {takes}"
        return message, "" if target.shape else FLATTEN

    def counts(self, values: "np.ndarray", target: TargetFacts) -> list[int]:
        return [] if target.shape else [int((values == index).sum()) for index in range(len(target.class_names))]

    def words(self, value: "np.ndarray", target: TargetFacts) -> str:
        return super().words(value, target) if value.ndim else target.class_names[int(value)]


NO_CLASSES = "the target is a number, and this loss is for classes"
SEVERAL = "an example may have several labels"
USUAL = "sparse_categorical_crossentropy"
TWO_CLASSES = "this loss is for two classes, and the data has {classes}"
CATEGORY = ClassTask(
    "category",
    "class",
    invalid=(
        Misfit(REGRESSION, "the targets are classes, and this loss is for numbers", USUAL),
        Misfit(BINARY, TWO_CLASSES, USUAL, of=lambda target: len(target.class_names) > 2),
    ),
    dtype="int32",
    has_classes=True,
    is_index=True,
    table_title="Each class",
    mistakes_title="The most confident errors",
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
    activations={"softmax": (f"softmax makes the probabilities of one class, and {SEVERAL}", "activation: sigmoid")},
    has_classes=True,
    takes_several=True,
    nothing="no label",
    table_title="Each label",
    mistakes_title="The most confident errors",
    sureness="{:.1%} sure".format,
)
INPUT = Task("input", "number", has_labels=False, sureness=lambda value: f"squared error {number(value)}")
TASKS: Mapping[str, Task] = {task.name: task for task in (CATEGORY, NUMBER, MULTI_LABEL, INPUT)}
