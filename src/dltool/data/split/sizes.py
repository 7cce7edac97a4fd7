"""Computes the number of rows of each split without data, for `check` and for loading."""

from collections.abc import Mapping
from dataclasses import dataclass

from dltool.config.schema import Data, SplitOptions
from dltool.config.tasks import TargetFacts
from dltool.errors import ConfigError, Problem

SPLIT = ("data", "split")


@dataclass(frozen=True)
class PartSizes:
    """Rows of each split. `taken_…` marks fractions of the source's training examples."""

    training: int
    validation: int
    test: int
    taken_validation: bool
    taken_test: bool


def check_parts(data: Data) -> None:
    """Raise ConfigError for a split that is both a source of its own and a fraction, naming both locations."""
    fractions = {"validation": data.split.validation or None, "test": data.split.test}
    problems = []
    for part, fraction in fractions.items():
        if fraction is not None and getattr(data, part) is not None:
            message, given = f"data.{part} already gives the {part} examples", ((("data", part), "given here"),)
            problems.append(Problem((*SPLIT, part), message, "remove one of the two", at_key=True, related=given))
    ConfigError.refuse(problems)


def check_stratify(split: SplitOptions, targets: Mapping[str, TargetFacts]) -> None:
    """Raise ConfigError for `stratify: true` if no target is one class for each example."""
    if split.stratify and not any(target.is_one_class for target in targets.values()):
        masks = [target.shape for target in targets.values() if target.task.is_index]
        kind = f"a {' and a '.join(target.kind for target in targets.values())}" if targets else "the input"
        what = f"each example has {masks[0]} of them" if masks else f"the target is {kind}"
        raise ConfigError(Problem((*SPLIT, "stratify"), f"only classes can be stratified; {what}", "remove it"))


def named_sizes(data: Data, named: tuple[int, int, int], given_validation: int, given_test: int) -> PartSizes:
    """Return the rows of each split that a column names: `named` for training, validation and test.

    Splits that the column does not name are the source's own, or from another source. Raises ConfigError: the column
    names a split with a source of its own."""
    training, validation, test = named
    problems = []
    for part, rows in (("validation", validation), ("test", test)):
        if rows and getattr(data, part) is not None:
            message = f"data.{part} already gives the {part} examples, and the column names {rows:,} more"
            hint, given = f"remove data.{part}, or those rows", ((("data", part), "given here"),)
            problems.append(Problem((*SPLIT, "column"), message, hint, related=given))
    ConfigError.refuse(problems)
    return PartSizes(training, validation or given_validation, test or given_test, validation > 0, test > 0)


def used_size(split: SplitOptions, training: int) -> int:
    """Return how many of the training examples are used. Raises ConfigError: none."""
    used = round(split.use * training)
    if not used:
        message = f"{split.use:g} of {training} training examples is no example at all"
        raise ConfigError(Problem((*SPLIT, "use"), message, "write a larger fraction"))
    return used


def part_sizes(split: SplitOptions, examples: int, given_validation: int, given_test: int) -> PartSizes:
    """Return the rows of each split.

    `examples` are the source's training examples, to which the fractions refer. `given_…` are the rows of a split of
    the source, or of another source; a fraction replaces them. Raises ConfigError: a fraction of less than one example,
    or that leaves none for training."""
    takes_validation, takes_test = split.validation > 0, split.test is not None
    validation = round(split.validation * examples) if takes_validation else given_validation
    test = round(split.test * examples) if split.test is not None else given_test
    problems = [
        Problem((*SPLIT, part), f"{fraction:g} of {examples} examples is no example at all", "write a larger fraction")
        for part, fraction, rows in (("validation", split.validation, validation), ("test", split.test, test))
        if fraction and not rows
    ]
    training = examples - (validation if takes_validation else 0) - (test if takes_test else 0)
    if training <= 0:
        place = (*SPLIT, "validation" if takes_validation else "test")
        message = f"of {examples} examples, none is left for training"
        problems.append(Problem(place, message, "write a smaller fraction"))
    ConfigError.refuse(problems)
    return PartSizes(training, validation, test, takes_validation, takes_test)
