"""The section `data.split` of a config: how the examples are split, and their division into folds."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from dltool.config.pydantic_errors import refusal, refuse
from dltool.config.section import Section
from dltool.errors import Problem

Fraction = Annotated[float, Field(ge=0, lt=1)]
MOST_FOLDS = 100
"""Each fold is a run inside the run, with files of its own."""


class SplitOptions(Section):
    """How the examples are split. The fractions refer to the source's training examples."""

    validation: Fraction = 0.0
    """The fraction of examples for validation after each epoch."""
    test: Fraction | None = None
    """The fraction of examples for the test of the best epoch. Default: the source's own test split."""
    stratify: bool | None = None
    """Whether every split has the same share of each class. Default: true for classes. With several targets, the first
    one with classes counts."""
    group: str | None = None
    """A column. Rows with the same value in it belong to the same split."""
    order: str | None = None
    """A column. Rows with its smallest values are for training, those with its largest for the test. Unless a column is
    called `time`, `time` means the table's date column, or the order of the rows."""
    column: str | None = None
    """A column that names the split of each row: train, validation or test. With `folds`, the number of its fold."""
    folds: Annotated[int, Field(ge=2, le=MOST_FOLDS)] | None = None
    """The number of folds of a cross-validation: the run also holds a run for each fold, tested on that fold and
    trained on the others. `validation` is then also a fraction of the training examples of each fold, and the examples
    of `test` are in no fold."""
    repeats: Annotated[int, Field(ge=2, le=MOST_FOLDS)] | None = None
    """How often the examples are divided into folds, differently each time."""
    gap: Annotated[int, Field(ge=0)] | None = None
    """With `folds`, and `order` or windows: how many values of that column, or times, between training and test belong
    to neither."""
    window: Annotated[int, Field(ge=1)] | None = None
    """With `folds`, and `order` or windows: how many values of that column, or times, each fold is trained on. Default:
    all before its test."""
    fold: Annotated[int, Field(ge=1)] | None = None
    """The number of a fold, which this run alone trains and tests."""
    repeat: Annotated[int, Field(ge=1)] | None = None
    """The number of the repeat that `fold` is of."""
    use: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The fraction of the training examples that is used; validation and test stay. A smaller fraction is a part of a
    larger one. Classes keep their shares, groups stay whole, and of an order the latest rows are used. Otherwise the
    config's seed draws the examples."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    """The random seed of the split. Default: the config's seed."""

    @model_validator(mode="after")
    def leaves_training(self) -> Self:
        # One of them may be absent, or wait for the data.
        fractions = [value for value in (self.validation, self.test) if isinstance(value, float)]
        if sum(fractions) >= 1:
            message = f"validation and test add up to {sum(fractions):g}: no example is left for training"
            related = ((("validation",), f"validation: {self.validation:g}"),)
            raise refusal(Problem(("test",), message, related=related))
        return self

    @model_validator(mode="after")
    def one_rule(self) -> Self:
        rule, *others = self.rules or ("",)
        if rule == "column":
            # A column of folds leaves the validation examples to chance.
            named = ("test",) if self.folds is not None else ("validation", "test")
            others += [part for part in named if getattr(self, part) not in (None, 0)]
        if rule in ("order", "column") and self.stratify is True and not self.may_be_stratified:
            others.append("stratify")
        hint = f"{rule} already assigns each row to a split; remove one of the two"
        related = (((rule,), f"{rule} is given here"),)
        refuse(*(Problem((key,), f"{key} and {rule} are mutually exclusive", hint, True, related) for key in others))
        return self

    @model_validator(mode="after")
    def folds_are_whole(self) -> Self:
        needs = {"repeats": "folds", "gap": "folds", "window": "folds", "fold": "folds", "repeat": "repeats"}
        problems = [
            Problem((key,), f"{key} needs {needed}", f"{needed}: {5 if needed == 'folds' else 2}, or remove it", True)
            for key, needed in needs.items()
            if getattr(self, key) is not None and getattr(self, needed) is None
        ]
        if self.folds is not None and not problems:
            rule = next((rule for rule in ("column", "order") if getattr(self, rule) is not None), "")
            if self.repeats is not None and rule:
                message = f"{rule} divides the rows into the same folds each time"
                problems.append(Problem(("repeats",), message, "remove it", True, (((rule,), "given here"),)))
            for key, whole in (("fold", "folds"), ("repeat", "repeats")):
                number, most = getattr(self, key), getattr(self, whole)
                if isinstance(number, int) and isinstance(most, int) and number > most:
                    problems.append(Problem((key,), f"expected at most {most}, the number of {whole}, got {number}"))
            if self.repeats is not None and (self.fold is None) != (self.repeat is None):
                key, other = ("repeat", "fold") if self.fold is None else ("fold", "repeat")
                problems.append(Problem((key,), f"{key} needs {other}: a fold of a repeat has both", at_key=True))
            if self.count_of_folds > MOST_FOLDS:
                message = f"expected at most {MOST_FOLDS} folds in all repeats, got {self.count_of_folds}"
                problems.append(Problem(("repeats",), message))
        refuse(*problems)
        return self

    @property
    def has_folds(self) -> bool:
        """Return whether a run has a run for each fold: one that is a fold alone has none."""
        return self.folds is not None and self.fold is None

    @property
    def count_of_folds(self) -> int:
        """Return the number of folds in all repeats, 0 while a number is unknown."""
        repeats = 1 if self.repeats is None else self.repeats
        return self.folds * repeats if isinstance(self.folds, int) and isinstance(repeats, int) else 0

    @property
    def rules(self) -> tuple[str, ...]:
        """Return the keys that split rows by a rule instead of at random."""
        return tuple(rule for rule in ("column", "order", "group") if getattr(self, rule) is not None)

    @property
    def may_be_stratified(self) -> bool:
        """Return whether the rules leave a choice of rows."""
        return self.order is None and (self.column is None or self.folds is not None)
