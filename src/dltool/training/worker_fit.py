"""A training run as one worker of a cluster: what is decided together, and the state of all workers."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import tensorflow as tf

from dltool.config.schema import Config
from dltool.data.dataset import Dataset
from dltool.errors import MachineError, WorkerLost
from dltool.model.build import BuiltModel
from dltool.text import listed
from dltool.training.checkpointing import Cadence
from dltool.training.failures import plain_failures
from dltool.training.fit import FitResult, Fitting, traced
from dltool.training.loop import Pace
from dltool.training.numerics import Strategy
from dltool.training.recovery import Recovery
from dltool.training.state import BEST, TrainingState, variables
from dltool.training.team import Team
from dltool.training.worker_state import WORKERS, is_own, mixed_seed, packed, state_of_worker, unpacked
from dltool.training.worker_steps import WorkerSteps


@dataclass
class AgreedCadence(Cadence):
    """A cadence whose clock is the chief's: it is read before a call of the loop, for all workers."""

    is_time: bool = False

    def is_time_here(self) -> bool:
        return super().is_due_within(1) if self.steps is None else False

    def is_due_within(self, done: int) -> bool:
        return self.is_time or (self.steps is not None and done % self.steps == 0)

    def saved(self) -> None:
        super().saved()
        self.is_time = False


def prepare_worker_fit(
    team: Team,
    built: BuiltModel,
    config: Config,
    dataset: Dataset,
    strategy: Strategy | None = None,
    pace: Pace | None = None,
) -> Fitting:
    """Prepare as :func:`dltool.training.fit.prepare_fit` the part of a worker."""
    with plain_failures(config):
        return traced(WorkerFitting(team, built, config, dataset, strategy, None), dataset, pace)


class WorkerFitting(Fitting):
    """One worker's part of a run. All workers run the same calls, of equally many steps: sums would wait for ever."""

    def __init__(self, team: Team, *parts: Any) -> None:
        super().__init__(WorkerSteps(team, *parts))
        self.team, plain = team, self.recovery
        self.cadence = AgreedCadence(**{each.name: getattr(self.cadence, each.name) for each in fields(Cadence)})
        self.recovery = WorkerRecovery(team, self.steps, plain.callbacks, plain.best, self.cadence)
        self.position = self.recovery.position

    def run(self, start: TrainingState | None) -> FitResult:
        for name, variable in variables(self.steps.built):
            if self.team.cluster.rank and is_random(name):
                # Each worker draws its own masks.
                variable.assign(mixed_seed(variable.numpy(), self.team.cluster.rank))
        self.asked, self.should_stop = self.should_stop, self.agreed_stop
        try:
            result = super().run(self.shared(start))
            self.team.meeting.needs_all = not self.team.cluster.is_chief
            return result
        except (WorkerLost, tf.errors.OpError) as error:
            position = self.position
            where = f"in epoch {position.epoch + 1} of {self.steps.epochs}, after step {position.step}"
            lost = self.team.loss_of(error, f"{where} of {self.steps.count}")
            if lost is None:
                raise
            raise lost from error

    def shared(self, start: TrainingState | None) -> TrainingState | None:
        """Return this worker's part of the state with which the chief starts."""
        meeting, cluster = self.team.meeting, self.team.cluster
        if cluster.is_chief:
            meeting.of_chief(*((None, b"") if start is None else packed(start)))
        else:
            value, data = meeting.of_chief()
            start = None if value is None else unpacked(value, data)
        return None if start is None else state_of_worker(start, cluster.rank, cluster.size)

    def agreed_stop(self) -> int | None:
        """Return a signal that any worker has got. All take the chief's pace and clock."""
        pace, cadence = self.steps.train.pace, self.cadence
        assert isinstance(cadence, AgreedCadence)
        given = [self.asked() or 0, pace.steps, cadence.is_time_here()]
        number, pace.steps, cadence.is_time = self.team.meeting.decide(given, decided)
        return number or None

    def leave_if_asked(self) -> None:
        """Do nothing: the workers validate different rows, and stop together before the next step."""


def decided(given: list[Any]) -> list[Any]:
    """Return the first signal, and the pace and the clock of the chief."""
    return [next((number for number, *_ in given if number), 0), *given[0][1:]]


class WorkerRecovery(Recovery):
    """As without a cluster, but the chief alone writes, and what it writes is compared with what the others have."""

    def __init__(self, team: Team, *parts: Any) -> None:
        super().__init__(*parts)
        self.team = team

    def save(self) -> None:
        """Write the remembered state with what each worker has of its own.

        Raises MachineError on all workers: one has other weights than the chief."""
        meeting, cluster = self.team.meeting, self.team.cluster
        with self.steps.profile.activity("checkpoints"):
            own = TrainingState([each for each in self.saved.arrays if is_own(each[0])], {})
            described, data = packed(own)
            messages = meeting.gather([digests(self.saved), described], data)
            others = [(f"{cluster.name_of(rank)} has", given[0]) for rank, (given, _) in enumerate(messages)]
            problem = meeting.of_chief(difference(others) if cluster.is_chief else None)[0]
            if problem:
                raise MachineError(problem, "resume all workers; if it happens again, look for a broken machine")
            if cluster.is_chief:
                of_all = [dict(unpacked(given[1], data).arrays) for given, data in messages]
                further = [(f"{WORKERS}{name}", np.stack([each[name] for each in of_all])) for name, _ in own.arrays]
                self.save_state(self.position.steps, [*self.saved.arrays, *further], self.saved.state)
        self.cadence.saved()

    def diverged(self, order: Any, step: int, loss: float | None) -> Any:
        pace = self.steps.train.pace
        pace.steps = self.team.meeting.of_chief(pace.steps)[0]
        pace.is_fixed = True
        return super().diverged(order, step, loss)


def is_random(name: str) -> bool:
    return is_own(name) and not name.startswith("metrics/")


def digests(state: TrainingState) -> dict[str, str]:
    """Return a digest of each array that all workers must have the same."""
    same = [(name, array) for name, array in state.arrays if not is_own(name.removeprefix(BEST))]
    return {name: hashlib.blake2b(array.tobytes(), digest_size=8).hexdigest() for name, array in same}


def difference(found: list[tuple[str, Mapping[str, str]]]) -> str:
    """Return which worker differs from the first, and in what; empty if none does."""
    chief = found[0][1]
    for worker, own in found[1:]:
        names = [name for name in {**chief, **own} if chief.get(name) != own.get(name)]
        if names:
            return f"{worker} other values than the chief in {listed(names, 3)}"
    return ""
