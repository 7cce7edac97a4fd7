"""Which trial trains next, and for how many epochs: asynchronous successive halving with trials that pause and resume.

Source: Li et al., A System for Massively Parallel Hyperparameter Tuning (ASHA), MLSys 2020, arXiv:1810.05934. A trial
that pauses keeps its whole state, so a trial that is promoted trains no epoch twice."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from dltool.search.space import Values

Mode = Literal["min", "max"]


@dataclass(frozen=True)
class Trial:
    """A trial so far. `curve` are the values of the metric by epoch, NaN where there is none; `reason` says why it
    failed."""

    number: int
    values: "Values"
    curve: tuple[float, ...] = ()
    is_complete: bool = False
    reason: str = ""

    @property
    def epochs(self) -> int:
        return len(self.curve)

    def best(self, mode: Mode, epochs: int | None = None) -> float:
        """Return its best value in the first `epochs`, or all; NaN if there is none."""
        finite = [value for value in self.curve[:epochs] if math.isfinite(value)]
        return (min if mode == "min" else max)(finite) if finite else math.nan

    def rank(self, mode: Mode, epochs: int | None = None) -> tuple[float, int]:
        """Return what sorts the best trial first, of equal ones the earliest."""
        value = self.best(mode, epochs)
        return math.inf if math.isnan(value) else value if mode == "min" else -value, self.number


@dataclass(frozen=True)
class Job:
    """A trial to train until it has `epochs` epochs."""

    trial: Trial
    epochs: int


def make_rungs(first: int, factor: int, epochs: int) -> tuple[int, ...]:
    """Return the epochs after which trials are compared: `first`, then each `factor` times the last, up to all."""
    found = []
    while first < epochs:
        found.append(first)
        first *= factor
    return (*found, epochs)


def next_job(
    trials: Sequence[Trial],
    rungs: Sequence[int],
    factor: int,
    mode: Mode,
    busy: Collection[int] = (),
    *,
    is_closing: bool = False,
) -> Job | None:
    """Return the job that comes before any new trial, None if there is none; it depends on these arguments alone.

    A trial that was stopped within a stage, or after its last epoch, goes on first. Then the best of every `factor`
    trials that reached a rung is promoted, at the highest rung first. When no further trial begins (`is_closing`), at
    least one is. Trial 0, the config as written, trains to its end in any case and takes nobody's place."""
    free = [each for each in trials if not (each.is_complete or each.reason or each.number in busy)]
    for trial in free:
        if trial.epochs not in rungs[:-1]:
            return Job(trial, next((rung for rung in rungs if rung > trial.epochs), rungs[-1]))
    for rung, following in reversed([*pairwise(rungs)]):
        reached = [each for each in trials[1:] if not each.reason and (each.is_complete or each.epochs >= rung)]
        promoted = sorted(reached, key=lambda each: each.rank(mode, rung))[
            : max(int(is_closing), len(reached) // factor)
        ]
        for trial in promoted:
            if trial.epochs == rung and trial in free:
                return Job(trial, following)
    return None


def winner(trials: Sequence[Trial], mode: Mode) -> Trial | None:
    """Return the best trial of those that trained to their end."""
    complete = [each for each in trials if each.is_complete and not math.isnan(each.best(mode))]
    return min(complete, key=lambda each: each.rank(mode), default=None)
