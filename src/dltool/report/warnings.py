"""Warnings about a run, each with what to do next."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dltool.evaluation.bootstrap import Interval
from dltool.text import number

RISE = 1.1
"""Overfitting: the final validation loss relative to its minimum."""
LEAST_EPOCHS_AFTER = 2
GAP = 0.05
"""Accuracy gap between training and validation."""
IMBALANCE = 5
FEW_ROWS = 100
WIDE = 0.1
"""Width of the interval of an accuracy."""
CONSTANT = 1e-3


@dataclass(frozen=True)
class Finding:
    """A warning. `kind` is for programs, `title` is the problem, `words` the evidence, `next_step` what to do.

    `is_note`: it need not be a problem."""

    kind: str
    title: str
    words: str
    next_step: str
    is_note: bool = False


Lines = Sequence[Mapping[str, Any]]


def history_findings(lines: Lines, best_epoch: int | None, run: str, stopped_early: bool) -> Iterator[Finding]:
    """Yield warnings about the lines of metrics.jsonl. `run` is the run as a word of the command line."""
    yield from overfitting(lines)
    yield from gap(lines, best_epoch)
    if best_epoch == len(lines) > 1 and not stopped_early:
        words = f"The model was still improving in the last epoch, {best_epoch}."
        more = f"dltool resume {run} --epochs {2 * len(lines)}"
        yield Finding("short", "The last epoch was the best", words, f"Train longer: {more}", is_note=True)
    losses = [line["loss"] for line in lines if are_numbers(line, "loss")]
    if len(losses) > 1 and min(losses[1:]) > losses[0] * (1 - CONSTANT):
        words = f"The training loss was {number(losses[0])} after the first epoch and never fell below it."
        step = "Try another learning rate, ten times smaller and ten times larger, and check the examples below."
        yield Finding("no learning", "The model does not learn", words, step)


def overfitting(lines: Lines) -> Iterator[Finding]:
    """Yield a warning if the validation loss rose while the training loss fell."""
    pairs = [(line["loss"], line["val_loss"]) for line in lines if are_numbers(line, "loss", "val_loss")]
    if len(pairs) < LEAST_EPOCHS_AFTER + 1 or len(pairs) != len(lines):
        return
    turned = min(range(len(pairs)), key=lambda index: pairs[index][1])
    (loss_then, lowest), (loss_now, now) = pairs[turned], pairs[-1]
    if len(pairs) - 1 - turned < LEAST_EPOCHS_AFTER or now < RISE * lowest or loss_now >= loss_then:
        return
    words = (
        f"The validation loss was lowest, {number(lowest)}, in epoch {turned + 1}, and rose to {number(now)}, while "
        f"the training loss fell from {number(loss_then)} to {number(loss_now)}."
    )
    step = "Add Dropout, augmentation or weight_decay, use fewer units, or stop with EarlyStopping: {patience: 3}."
    yield Finding("over-fitting", "The model overfits", words, step)


def gap(lines: Lines, best_epoch: int | None) -> Iterator[Finding]:
    """Yield a warning if training accuracy is far above validation accuracy in the best epoch."""
    line = next((line for line in lines if line.get("epoch") == best_epoch), {})
    for name in line:
        if not name.endswith("accuracy") or not are_numbers(line, name, f"val_{name}"):
            continue
        difference = line[name] - line[f"val_{name}"]
        if difference > GAP:
            words = (
                f"In the best epoch, {name} is {number(line[name])} in training and {number(line[f'val_{name}'])} in "
                f"validation, a gap of {number(difference)}."
            )
            step = "Use more data, augmentation, Dropout, weight_decay or a smaller model."
            yield Finding("gap", f"{name} is much higher in training than in validation", words, step)


def data_findings(
    targets: Sequence[Mapping[str, Sequence[int]]], has_weights: bool, sizes: Mapping[str, int], warnings: Sequence[str]
) -> Iterator[Finding]:
    """Yield warnings about the data. `targets` have the examples of each class in each split, `sizes` those of the
    splits."""
    for classes in filter(None, targets) if not has_weights else ():
        counts = {name: found[0] for name, found in classes.items()}
        most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        if counts[most] > IMBALANCE * max(1, counts[least]):
            words = f"The training split has {counts[most]:,} examples of {most} and {counts[least]:,} of {least}."
            step = "Check recall by class instead of accuracy; class_weights: balanced weights all classes equally."
            yield Finding("imbalance", "The classes are imbalanced", words, step)
    if not sizes.get("validation"):
        words = "There is no validation split: the best epoch is the one with the lowest training loss."
        yield Finding("no validation", "No validation split", words, "data.split: {validation: 0.1}")
    if not sizes.get("test"):
        words = "There is no test split: the quality of the model on new data is unknown."
        yield Finding("no test", "No test split", words, "data.split: {test: 0.1}")
    elif sizes["test"] < FEW_ROWS:
        words = f"The test split has {sizes['test']:,} examples: expect wide intervals."
        yield Finding("few test rows", "Few test examples", words, "Test on more examples, or repeat with other seeds.")
    if warnings:
        words = " ".join(f"{warning[:1].upper()}{warning[1:]}." for warning in warnings)
        yield Finding("data", "Warnings about the data", words, "Check these rows in the source.")


def wide_intervals(metrics: Mapping[str, Interval]) -> Iterator[Finding]:
    """Yield warnings about accuracies with wide intervals."""
    for name, interval in metrics.items():
        low, high = interval.low, interval.high
        if name.endswith("accuracy") and low is not None and high is not None and high - low > WIDE:
            words = f"The 95 % interval of {name} is {number(low)} to {number(high)}."
            yield Finding("wide interval", f"{name} has a wide interval", words, "Test on more examples.")


def are_numbers(line: Mapping[str, Any], *names: str) -> bool:
    return all(isinstance(line.get(name), int | float) and not isinstance(line[name], bool) for name in names)
