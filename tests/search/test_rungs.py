"""Which trial trains next: laws of the schedule, by trials whose curves are known beforehand."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltool.search.rungs import Job, Mode, Trial, make_rungs, next_job, winner


def curve_of(number: int, epochs: int, seed: int) -> tuple[float, ...]:
    return tuple(np.random.default_rng([seed, number]).random(epochs).tolist())


def whole_search(
    count: int, first: int, factor: int, epochs: int, seed: int, mode: Mode = "min"
) -> tuple[list[Trial], list[Job]]:
    """Carry out a search whose trials have known curves; return the trials and the jobs."""
    rungs = make_rungs(first, factor, epochs)
    trials = [Trial(0, {}, curve_of(0, epochs, seed), True)]
    jobs: list[Job] = []
    while True:
        job = next_job(trials, rungs, factor, mode, is_closing=len(trials) >= count)
        if job is None:
            if len(trials) >= count:
                return trials, jobs
            job = Job(Trial(len(trials), {}), rungs[0])
            trials.append(job.trial)
        jobs.append(job)
        trials[job.trial.number] = replace(
            job.trial, curve=curve_of(job.trial.number, epochs, seed)[: job.epochs], is_complete=job.epochs == epochs
        )


@pytest.mark.parametrize(
    ("first", "factor", "epochs", "expected"),
    [(1, 3, 27, (1, 3, 9, 27)), (2, 4, 30, (2, 8, 30)), (30, 3, 27, (27,)), (1, 3, 1, (1,))],
)
def test_rungs_grow_by_the_factor_up_to_all_epochs(first, factor, epochs, expected):
    assert make_rungs(first, factor, epochs) == expected


@given(st.integers(1, 40), st.integers(1, 4), st.integers(2, 4), st.integers(1, 40), st.integers(0, 99))
def test_every_search_ends_and_its_winner_was_never_beaten_where_trials_were_compared(
    count, first, factor, epochs, seed
):
    trials, jobs = whole_search(count, first, factor, epochs, seed)
    assert len(trials) == count
    rungs = make_rungs(first, factor, epochs)
    best = winner(trials, "min")
    assert best is not None
    # No epoch is trained twice: each job goes on where the last one of its trial ended.
    for trial in trials[1:]:
        ends = [job.epochs for job in jobs if job.trial.number == trial.number]
        assert ends == list(rungs[: len(ends)])
    # The best value that any trial reached is that of a trial that was trained to its end.
    assert best.best("min") == min(trial.best("min") for trial in trials)


@given(st.integers(2, 30), st.integers(0, 99))
def test_more_is_better_mirrors_less_is_better(count, seed):
    def mirrored(trials: Sequence[Trial]) -> list[Trial]:
        return [replace(each, curve=tuple(-value for value in each.curve)) for each in trials]

    trials, _ = whole_search(count, 1, 3, 9, seed)
    best, other = winner(trials, "min"), winner(mirrored(trials), "max")
    assert best is not None and other is not None and best.number == other.number  # noqa: PT018


def test_a_trial_that_was_stopped_within_a_stage_goes_on_first():
    trials = [Trial(0, {}, (1.0,) * 9, True), Trial(1, {}, (0.5,)), Trial(2, {}, (0.4, 0.3)), Trial(3, {}, (0.6,))]
    assert next_job(trials, (1, 3, 9), 3, "min") == Job(trials[2], 3)
    assert next_job(trials, (1, 3, 9), 3, "min", busy=[2]) is None
    assert next_job(trials, (1, 3, 9), 2, "min", busy=[2], is_closing=True) is None


def test_a_trial_that_was_stopped_after_its_last_epoch_is_completed():
    trials = [Trial(0, {}, (1.0,) * 9, True), Trial(1, {}, (0.5,) * 9)]
    for rungs in ((1, 3, 9), (9,)):
        assert next_job(trials, rungs, 3, "min") == Job(trials[1], 9)


def test_failures_and_values_that_are_no_numbers_never_win():
    nan = math.nan
    trials = [
        Trial(0, {}, (1.0, 0.9), True),
        Trial(1, {}, (0.1,), reason="the loss is NaN"),
        Trial(2, {}, (nan, nan), True),
        Trial(3, {}, (nan, 0.5), True),
    ]
    assert winner(trials, "min") == trials[3]
    assert winner(trials[1:3], "min") is None
    assert trials[3].best("min", 1) != trials[3].best("min", 1)
