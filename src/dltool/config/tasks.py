"""The kinds of targets, each a task: the losses and outputs that fit, and its words in messages and reports.

No other module asks for the name of a kind. A new one, such as boxes, takes four things:

1. a task in `TASKS`, its forms in `config/losses.py`, and in `config/columns.py` (`TARGET_TYPES`) its options, by which
   a config names it;
2. a reader of its labels in `data/labels.py` (`READERS`);
3. an evaluator in `evaluation/tasks/` (`EVALUATORS`): columns of predictions, a table, figures, errors and baselines;
4. in its reader, padding if examples have labels of different shapes: the targets of all examples are one array."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol

from dltool.config import losses
from dltool.config.keras.objects import KerasObject
from dltool.config.last_layer import EACH_CLASS, ONE_CLASS, RANGES, LastLayer
from dltool.config.metric_forms import Compared, Outputs, beyond, negative
from dltool.text import Shape, counted, data_number, number, shape, shape_text

if TYPE_CHECKING:
    import numpy as np

TargetKind = Literal["category", "index", "number", "multi_label", "input"]
Fix = tuple[str, str]
"""The problem, and what to write instead."""
MOST_NUMBERS = 16
"""The most numbers of one target to show."""
FLATTEN = "add Flatten or a global pooling layer before it"


@dataclass(frozen=True)
class TargetScale:
    """Brings outputs x into the units of their target: `spread` · x + `center`, which is log(1 + y) if it `is_log`."""

    center: float
    spread: float
    is_log: bool = False

    def output_for(self, target: float) -> float:
        """Return the output that stands for a target."""
        return ((math.log1p(target) if self.is_log else target) - self.center) / self.spread


@dataclass(frozen=True)
class TargetFacts:
    """One target; `shape` is of one example.

    It is one or several class indices (`category` and `index`, int32), numbers (`number`, float32), or a 0 or 1 for
    each label (`multi_label`, float32). `class_names` is empty for numbers, whose lowest and highest are `extremes`,
    None if unknown; `are_binary` says whether each is 0 or 1. `scale` is None if outputs have their units. Of the input
    as target (`input`) nothing is known."""

    kind: TargetKind
    shape: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()
    extremes: tuple[float, float] | None = field(default=None, compare=False)
    are_binary: bool | None = field(default=None, compare=False)
    scale: TargetScale | None = field(default=None, compare=False)

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
    def examples(self) -> int: ...
    @property
    def validation_examples(self) -> int: ...
    @property
    def test_examples(self) -> int: ...


@dataclass(frozen=True)
class InvalidLoss:
    """Losses that do not fit if `applies` returns true. `fix` is the loss to use instead, or another remedy."""

    families: Sequence[losses.LossFamily]
    applies: Callable[[TargetFacts], bool]
    message: str
    fix: str


@dataclass(frozen=True)
class Task:
    """A kind of target. The model gives one output for each value; `noun` is one value.

    `unfit` says why losses that have no form for the kind do not fit, `invalid` which others do not always fit. The
    values may have names (`has_classes`) and be indices of them (`is_index`), which can be counted, weighted,
    stratified and one-hot encoded. An example may have several classes (`takes_several`), or none, which is called
    `nothing`. Without labels (`has_labels`), the input is the target. `activations` maps unsuitable last activations to
    reasons. `sureness` describes the confidence of a wrong prediction, or the size of its error."""

    name: TargetKind
    noun: str
    unfit: Fix
    invalid: tuple[InvalidLoss, ...] = ()
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
        family, (message, fix) = losses.family_of(loss), self.unfit
        for entry in self.invalid:
            if any(family is each for each in entry.families) and entry.applies(target):
                sizes = {"shape": "x".join(map(str, target.shape)), "classes": len(target.class_names)}
                return entry.message.format(**sizes), losses.like(loss, entry.fix)
        is_unfit = self.name not in family.forms and family is not losses.OTHER
        return (message, losses.like(loss, fix)) if is_unfit else None

    def compared(self, loss: KerasObject, target: TargetFacts, last: LastLayer | None) -> Compared | None:
        """Return what the loss compares, for outputs of `last`; None if unknown."""
        family = losses.family_of(loss)
        form = family.forms.get(self.name)
        if form == "one_hot" and family is losses.OVERLAP and last is not None and last.units == 1:
            form = "binary"
        if form == "labels" and not self.has_classes and math.prod(target.shape) == 1:
            form = "binary"
        if form in ("binary", "labels") and (target.are_binary is False or not self.has_labels):
            form = "numbers"
        if form is None:
            return None
        activation = None if last is None or target.scale is not None else last.activation
        is_vector = target.shape[-1:] not in ((), (1,)) or not self.has_labels
        compared = Compared(form, None, is_vector, extremes=target.extremes, last=activation)
        if family.has_probabilities:
            are_logits = loss.arguments.get("from_logits") is True
            return replace(compared, outputs="logits" if are_logits else "probabilities")
        if form in ("numbers", "other"):
            return compared
        if family is losses.MARGIN:
            return replace(compared, outputs="margins")
        are_probabilities = activation in (*ONE_CLASS, *EACH_CLASS)
        outputs: Outputs = "probabilities" if are_probabilities else "scores"
        return compared if activation is None else replace(compared, outputs=outputs)

    def units_problem(self, units: int, loss: KerasObject, target: TargetFacts, dollar: str) -> Fix | None:
        """Return why `units` does not fit the number of outputs that the loss needs. `dollar` is how a config writes
        the number of classes."""
        needed = math.prod(target.shape)
        steps = ", or Flatten after it if it gives a number for each step" if units == len(target.shape) == 1 else ""
        fix = f"units: {dollar}" if self.has_classes else f"units: {needed}{steps}"
        # A layer acts on the last axis: Dense: 1 after an LSTM with return_sequences gives a number for each step.
        is_fitting = units in (needed, *target.shape[-1:])
        return None if is_fitting else (f"{counted(units, 'output')} for {counted(needed, self.noun)}", fix)

    def shape_problem(self, output: Shape, loss: KerasObject, target: TargetFacts) -> Fix | None:
        """Return why outputs of this shape cannot be compared with the target."""
        needed = target.shape or (1,)
        if output in (target.shape, needed) or None in output:
            return None
        values = math.prod(needed)
        target_is = f"the target is {counted(values, self.noun)}"
        message = f"the model gives {shape_text(output)} for each example, and {target_is}"
        return message, FLATTEN if len(output) > len(needed) else f"units: {values}"

    def range_problem(self, loss: KerasObject, target: TargetFacts, activation: str | None) -> tuple[bool, Fix] | None:
        """Return whether the loss (or the activation) is at fault, and why: numbers that it cannot take (or reach)."""
        if target.extremes is None:
            return None
        low, high = target.extremes
        if message := beyond(losses.loss_name(loss), target.extremes):
            return True, (f"this loss {message}", f"{losses.like(loss, 'mean_squared_error')}, or scale the targets")
        if target.scale is not None:
            low, high = map(target.scale.output_for, target.extremes)
        are = f"and the targets lie between {low:g} and {high:g}" + " once scaled" * (target.scale is not None)
        least, most = RANGES.get(activation or "", (-math.inf, math.inf))
        if low < least or high > most:
            reach = f"from {least:g} to {most:g}" if math.isfinite(most - least) else f"above {least:g}"
            reach = reach if math.isfinite(least) else f"below {most:g}"
            return False, (f"{activation} gives values {reach}, {are}", "remove the activation, or scale the targets")
        if target.scale is None and (message := negative(losses.loss_name(loss), activation)):
            return False, (f"the loss {message}", "activation: softplus, or exponential")
        return None

    def counts(self, values: "np.ndarray", target: TargetFacts) -> list[int]:
        """Return the number of targets (examples, …) in each class; empty if undefined."""
        return [int(each) for each in values.sum(axis=0)] if self.has_classes else []

    def words(self, value: "np.ndarray", target: TargetFacts) -> str:
        """Return the target of one example in readable form."""
        if self.takes_several:
            return ", ".join(target.class_names[index] for index in value.nonzero()[0]) or self.nothing
        is_long = self.has_classes or value.size > MOST_NUMBERS
        return f"{shape(value.shape)} values" if is_long else ", ".join(map(data_number, value.ravel().tolist()))


class ClassTask(Task):
    """Targets are class indices, and the model gives one output per class."""

    def outputs_needed(self, loss: KerasObject, target: TargetFacts) -> int | None:
        """Return the number of outputs for each value; None if the loss does not determine it."""
        form = losses.family_of(loss).forms.get(self.name, "other")
        return None if form == "other" else 1 if form == "binary" else len(target.class_names)

    def takes_one(self, outputs: int | None, loss: KerasObject, target: TargetFacts) -> bool:
        """Return whether one output may stand for two classes although the loss also takes one for each."""
        return losses.family_of(loss) is losses.OVERLAP and outputs == 1 and len(target.class_names) == 2

    def units_problem(self, units: int, loss: KerasObject, target: TargetFacts, dollar: str) -> Fix | None:
        needed, classes = self.outputs_needed(loss, target), len(target.class_names)
        if needed is None or needed == units or self.takes_one(units, loss, target):
            return None
        message = f"{counted(units, 'output')} for {counted(classes, self.noun)}"
        if losses.family_of(loss).has_one_output:
            activation = "tanh" if losses.family_of(loss) is losses.MARGIN else "sigmoid"
            return f"{message}: this loss needs one", f"units: 1 and activation: {activation}"
        other = "; or loss: binary_crossentropy with activation: sigmoid" if (units, classes) == (1, 2) else ""
        return message, f"units: {classes}, or units: {dollar}{other}"

    def shape_problem(self, output: Shape, loss: KerasObject, target: TargetFacts) -> Fix | None:
        units = self.outputs_needed(loss, target)
        if units is not None and output and self.takes_one(output[-1], loss, target):
            units = 1
        if units is None or output == (*target.shape, units):
            return None
        if len(output) == 1:
            classes = counted(len(target.class_names), self.noun)
            return f"{counted(output[0] or 0, 'output')} for {classes}", f"units: {units}"
        takes = shape_text((*target.shape, units))
        message = f"the model gives {shape_text(output)} for each example, and the loss takes {takes}"
        return message, "" if target.shape else FLATTEN

    def counts(self, values: "np.ndarray", target: TargetFacts) -> list[int]:
        examples = Counter(values.ravel().tolist())
        return [] if target.shape else [examples[index] for index in range(len(target.class_names))]

    def words(self, value: "np.ndarray", target: TargetFacts) -> str:
        return super().words(value, target) if value.ndim else target.class_names[int(value)]


USUAL = "sparse_categorical_crossentropy"
UNCHANGED = "target: {index: N} takes integers from 0 to N - 1 unchanged"
ONE_NUMBER = ((), (1,))
CATEGORY = ClassTask(
    "category",
    "class",
    unfit=("the targets are classes, and this loss is for numbers", USUAL),
    invalid=(
        InvalidLoss(
            (losses.SEQUENCES,),
            lambda target: True,
            "CTC takes class 0 for its blank, and category numbers the classes anew",
            UNCHANGED,
        ),
        InvalidLoss(
            (losses.BINARY, losses.MARGIN),
            lambda target: len(target.class_names) > 2,
            "this loss is for two classes, and the data has {classes}",
            USUAL,
        ),
    ),
    dtype="int32",
    has_classes=True,
    is_index=True,
    table_title="Each class",
    mistakes_title="The most confident errors",
    sureness="{:.1%} sure".format,
)
INDEX = replace(CATEGORY, name="index", invalid=CATEGORY.invalid[1:])
NO_CLASSES = ("the target is a number, and this loss is for classes", "mean_squared_error")
NUMBER = Task(
    "number",
    "number",
    unfit=NO_CLASSES,
    invalid=(
        InvalidLoss((losses.SEQUENCES,), lambda target: True, NO_CLASSES[0], UNCHANGED),
        InvalidLoss(
            (losses.SPARSE,),
            lambda target: target.extremes == (0.0, 1.0) and target.shape[-1:] > (1,),
            "the target is {shape} numbers of 0 or 1, and this loss is for class indices",
            "one-hot targets take categorical_crossentropy; if each number is a class, write target: category",
        ),
        InvalidLoss(
            (losses.SPARSE,),
            lambda target: bool(target.shape),
            "the target is {shape} numbers, and this loss is for classes",
            "if each is a class, write target: category under data",
        ),
        InvalidLoss(
            (losses.SPARSE,),
            lambda target: not target.shape,
            NO_CLASSES[0],
            "loss: mean_squared_error, or target: category under data if each number is a class",
        ),
        InvalidLoss((losses.ONE_HOT, losses.SCORES), lambda target: target.shape in ONE_NUMBER, *NO_CLASSES),
        InvalidLoss(
            (losses.SIMILARITY,),
            lambda target: target.shape in ONE_NUMBER,
            "this loss compares the directions of vectors, and the target is one number",
            "mean_squared_error",
        ),
    ),
)
SEVERAL = "an example may have several labels"
MULTI_LABEL = Task(
    "multi_label",
    "label",
    unfit=(f"{SEVERAL}, and this loss is for one class", "binary_crossentropy"),
    activations={"softmax": (f"softmax makes the probabilities of one class, and {SEVERAL}", "activation: sigmoid")},
    has_classes=True,
    takes_several=True,
    nothing="no label",
    table_title="Each label",
    mistakes_title="The most confident errors",
    sureness="{:.1%} sure".format,
)
INPUT = Task(
    "input",
    "number",
    unfit=("the target is the input, and this loss is for classes", "mean_squared_error"),
    has_labels=False,
    sureness=lambda value: f"squared error {number(value)}",
)
TASKS: Mapping[str, Task] = {task.name: task for task in (CATEGORY, INDEX, NUMBER, MULTI_LABEL, INPUT)}
