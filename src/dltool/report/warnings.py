"""Warnings about a run, each with what to do next."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from dltool.evaluation.bootstrap import Interval
from dltool.report.advice import LOW_RATE, Advisor
from dltool.text import number, numbers

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
JUMP = 1.2
"""A training loss relative to that of the epoch before, from which on it jumps."""
FEWEST_JUMPS = 2
RATIO_OF_JUMPS = 5
"""Epochs for each jump, at most, of a learning rate that is too high."""
CONVERGED = 0.01
"""Relative improvement of the losses in the last quarter of the epochs, below which more epochs change little."""
DECAYED = 0.05
"""Learning rate relative to the highest, below which a schedule has ended."""
TOLERANCE = 0.01
"""Predictions this much outside of the range of the targets, relative to it, are still possible."""
CERTAIN = 4
"""Standard errors of the mean error that are no chance."""
NOTABLE = 0.25
"""Mean error relative to the mean absolute error."""
NO_MEANS = {
    "mean_absolute_error": "medians",
    "mean_absolute_percentage_error": "less than medians",
    "mean_squared_logarithmic_error": "means of logarithms",
}
"""What is predicted with losses that have a bias by their nature."""


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


def start_findings(warnings: Iterable[str]) -> list[Finding]:
    """Return the warnings about `model.start` and `training.teacher`."""
    step = "Choose a run that has the same split and vocabulary, or that was trained on other data."
    return [Finding("start", "The run that this one learned from", f"{each}.", step) for each in warnings]


def history_findings(
    lines: Lines, best_epoch: int | None, run: str, stopped_early: bool, advisor: Advisor, is_bad: bool = False
) -> Iterator[Finding]:
    """Yield warnings about the lines of metrics.jsonl. `run` is the run as a word of the command line. `is_bad`: the
    model is not better than its baselines."""
    yield from overfitting(lines, advisor)
    yield from gap(lines, best_epoch, advisor)
    losses = [line["loss"] for line in lines if are_numbers(line, "loss")]
    jumps = sum(loss > JUMP * before > 0 for before, loss in pairwise(losses))
    is_stuck = len(losses) > 1 and min(losses[1:]) > losses[0] * (1 - CONSTANT)
    is_best_last = best_epoch == len(lines) > 1 and not stopped_early
    cause = advisor.scaling() if is_stuck or is_bad else ""
    if is_stuck:
        words = f"The training loss was {number(losses[0])} after the first epoch and never fell below it."
        rates = [advisor.rate(factor, lines) for factor in (0.1, 10)]
        yield Finding("no learning", "The model does not learn", words, cause or f"Write {rates[0]}, or {rates[1]}.")
    elif jumps >= max(FEWEST_JUMPS, len(losses) / RATIO_OF_JUMPS):
        words = (
            f"In {jumps} of {len(losses)} epochs the training loss was more than {JUMP - 1:.0%} above the one before."
        )
        yield Finding("jumps", "The learning rate is too high", words, f"Write {advisor.rate(0.1, lines)}.")
    elif is_bad and (step := cause or (advisor.more_steps(len(lines)) if is_best_last else "")):
        yield Finding("weak", "Why the model is not better than the baselines", "This is the likely cause.", step)
        return
    if is_best_last and not is_stuck and is_improving(lines):
        words = f"The model was still improving in the last epoch, {best_epoch}."
        more = f"dltool resume {run} --epochs {2 * len(lines)}"
        rate = last_rate(lines)
        faster = f", or write {advisor.rate(10, lines)}" if rate is not None and rate <= LOW_RATE else ""
        yield Finding("short", "The last epoch was the best", words, f"Train longer: {more}{faster}", is_note=True)


def is_improving(lines: Lines) -> bool:
    """Return whether more epochs may help: losses still fall, and no schedule has ended the training."""
    rates = [line["learning_rate"] for line in lines if are_numbers(line, "learning_rate")]
    if rates and rates[-1] < DECAYED * max(rates):
        return False
    before, last = lines[-1 - max(1, len(lines) // 4)], lines[-1]
    name = "val_loss" if are_numbers(last, "val_loss") else "loss"
    if not (are_numbers(before, name) and are_numbers(last, name)):
        return True
    return bool(before[name] - last[name] > CONVERGED * abs(before[name]))


def last_rate(lines: Lines) -> float | None:
    return lines[-1]["learning_rate"] if are_numbers(lines[-1], "learning_rate") else None


def overfitting(lines: Lines, advisor: Advisor) -> Iterator[Finding]:
    """Yield a warning if the validation loss rose while the training loss fell."""
    pairs = [(line["loss"], line["val_loss"]) for line in lines if are_numbers(line, "loss", "val_loss")]
    if len(pairs) < LEAST_EPOCHS_AFTER + 1 or len(pairs) != len(lines):
        return
    turned = min(range(len(pairs)), key=lambda index: pairs[index][1])
    (loss_then, lowest), (loss_now, now) = pairs[turned], pairs[-1]
    if len(pairs) - 1 - turned < LEAST_EPOCHS_AFTER or now < RISE * lowest or loss_now >= loss_then:
        return
    low, high, then, last = numbers([lowest, now, loss_then, loss_now])
    words = (
        f"The validation loss was lowest, {low}, in epoch {turned + 1}, and rose to {high}, while "
        f"the training loss fell from {then} to {last}."
    )
    yield Finding("over-fitting", "The model overfits", words, advisor.against_overfitting())


def gap(lines: Lines, best_epoch: int | None, advisor: Advisor) -> Iterator[Finding]:
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
            title = f"{name} is much higher in training than in validation"
            yield Finding("gap", title, words, advisor.against_overfitting())


def data_findings(
    unweighted: Iterable[tuple[Mapping[str, Sequence[int]], str]],
    sizes: Mapping[str, int],
    warnings: Sequence[str],
    has_folds: bool = False,
    keeps_last: bool = False,
) -> Iterator[Finding]:
    """Yield warnings about the data. `unweighted` are the examples of each class in each split, for outputs without
    class weights, and the config path of the weights, empty if there can be none. `sizes` are those of the splits. A
    model that `keeps_last` has its last epoch, as folds without validation have."""
    for classes, place in unweighted:
        counts = {name: found[0] for name, found in classes.items()}
        most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        if counts[most] > IMBALANCE * max(1, counts[least]):
            words = f"The training split has {counts[most]:,} examples of {most} and {counts[least]:,} of {least}."
            step = "Check recall by class instead of accuracy"
            step += f"; {place}: balanced weights all equally." if place else "."
            yield Finding("imbalance", "The classes are imbalanced", words, step)
    if not sizes.get("validation"):
        chosen = "the last epoch counts" if keeps_last else "the training examples choose the best epoch"
        words = f"There is no validation split: {chosen}{', of each fold the last' * (has_folds and not keeps_last)}."
        yield Finding("no validation", "No validation split", words, "data.split: {validation: 0.1}")
    if not sizes.get("test"):
        words = "There is no test split: the quality of the model on new data is unknown."
        yield Finding("no test", "No test split", words, "data.split: {test: 0.1}")
    elif sizes["test"] < FEW_ROWS and not has_folds:
        words = f"The test split has {sizes['test']:,} examples: expect wide intervals."
        yield Finding("few test rows", "Few test examples", words, "Test in folds: data.split: {folds: 5}.")
    if warnings:
        words = " ".join(f"{warning[:1].upper()}{warning[1:]}." for warning in warnings)
        yield Finding("data", "Warnings about the data", words, "Check these rows in the source.")


def prediction_findings(
    table: Sequence[Mapping[str, Any]],
    examples: int,
    extremes: tuple[float, float] | None,
    loss: str,
    is_scaled: bool = False,
) -> Iterator[Finding]:
    """Yield warnings about predicted numbers: biased ones, and impossible ones. `table` has a row for each number,
    `extremes` are the lowest and the highest target. A quantile is biased on purpose. The
    outputs of the last layer are not in the units of targets that are scaled (`is_scaled`)."""
    for row in table:
        name = str(row.get("number"))
        if are_floats(row, "mean_error", "mean_absolute_error", "root_mean_squared_error"):
            error, absolute, squared = row["mean_error"], row["mean_absolute_error"], row["root_mean_squared_error"]
            standard = (max(squared * squared - error * error, 0) / max(examples, 1)) ** 0.5
            if loss != "quantile" and abs(error) > max(CERTAIN * standard, NOTABLE * absolute):
                how = "high" if error > 0 else "low"
                words = f"On average, {name} is predicted {number(abs(error))} too {how}."
                step = "Look at the errors below: which examples have them?"
                if loss in NO_MEANS:
                    step = f"This loss makes the model predict {NO_MEANS[loss]}; loss: mean_squared_error, means."
                yield Finding("bias", f"Predictions are too {how}", words, step)
        if extremes is not None and are_floats(row, "lowest", "highest"):
            yield from impossible(name, (row["lowest"], row["highest"]), extremes, is_scaled)


def impossible(
    name: str, predicted: tuple[float, float], targets: tuple[float, float], is_scaled: bool
) -> Iterator[Finding]:
    """Yield a warning if predictions lie where no target can be, or far from all targets."""
    (lowest, highest), (low, high) = predicted, targets
    span = high - low
    ends = numbers([low, high, lowest, highest])
    if low >= 0 and high <= 1 and (lowest < -TOLERANCE or highest > 1 + TOLERANCE):
        possible, activation = "between 0 and 1", "sigmoid"
    elif low >= 0 and lowest < -TOLERANCE * span:
        possible, activation = "0 or more", "softplus"
    elif lowest < low - span / 2 or highest > high + span / 2:
        possible, activation = f"between {ends[0]} and {ends[1]}", ""
    else:
        return
    words = f"All targets are {possible}; {name} is predicted from {ends[2]} to {ends[3]}."
    ends_with = activation and not is_scaled
    step = f"End model.layers with - Activation: {activation}" if ends_with else "Look at the largest errors below."
    title = f"Some predictions are {'impossible' if activation else 'far from all targets'}"
    yield Finding("impossible", title, words, step)


def wide_intervals(metrics: Mapping[str, Interval]) -> Iterator[Finding]:
    """Yield warnings about accuracies with wide intervals."""
    for name, interval in metrics.items():
        low, high = interval.low, interval.high
        if name.endswith("accuracy") and low is not None and high is not None and high - low > WIDE:
            words = f"The 95 % interval of {name} is {number(low)} to {number(high)}."
            yield Finding("wide interval", f"{name} has a wide interval", words, "Test on more examples.")


def are_numbers(line: Mapping[str, Any], *names: str) -> bool:
    return all(isinstance(line.get(name), int | float) and not isinstance(line[name], bool) for name in names)


def are_floats(row: Mapping[str, Any], *names: str) -> bool:
    return all(isinstance(row.get(name), float) for name in names)
