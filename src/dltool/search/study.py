"""Optuna: it suggests values for trials, remembers them, and says which parameters matter.

Nothing here trains. Every write happens under the lock of the search folder, so a storage never sees two at once."""

import math
import os
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dltool.errors import MachineError
from dltool.installation import install_extra
from dltool.search.rungs import Mode, Trial
from dltool.search.space import Space, Value, Values

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage

ATTEMPTS = 20
"""Suggestions that repeat earlier trials before the space counts as exhausted."""
MINIMUM, MAXIMUM = "minimize", "maximize"
REASON = "reason"


@contextmanager
def quiet_optuna() -> Iterator[Any]:
    """Yield Optuna's module without its messages. Raises MachineError: it is not installed."""
    try:
        import optuna
    except ImportError as error:
        message = "`dltool search` needs Optuna, which is not installed"
        raise MachineError(message, install_extra("search")) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield optuna


class Fixed:
    """Suggests given values, and collects Optuna's distributions of their parameters. Others are left out."""

    def __init__(self, optuna: Any, values: Values) -> None:
        self.kinds, self.values = optuna.distributions, values
        self.found: dict[str, BaseDistribution] = {}

    def suggest_float(self, name: str, low: float, high: float, /, **options: Any) -> float:
        return float(self.noted(name, self.kinds.FloatDistribution(low, high, **options)))

    def suggest_int(self, name: str, low: int, high: int, /, **options: Any) -> int:
        return int(self.noted(name, self.kinds.IntDistribution(low, high, **options)))

    def suggest_categorical(self, name: str, choices: Any, /) -> Any:
        return self.noted(name, self.kinds.CategoricalDistribution(choices))

    def noted(self, name: str, kind: "BaseDistribution") -> Any:
        self.found[name] = kind
        return self.values[name]


def distributions(optuna: Any, space: Space, values: Values) -> "dict[str, BaseDistribution]":
    fixed = Fixed(optuna, values)
    for parameter in space.parameters:
        if parameter.name in values:
            parameter.suggested(fixed)
    return fixed.found


def frozen(optuna: Any, space: Space, trial: Trial, state: str, value: float | None = None, **more: Any) -> Any:
    """Return Optuna's form of a trial."""
    kinds = distributions(optuna, space, trial.values)
    found = getattr(optuna.trial.TrialState, state)
    params = dict(trial.values)
    return optuna.trial.create_trial(state=found, params=params, distributions=kinds, value=value, **more)


def suggested(space: Space, trials: Sequence[Trial], mode: Mode, seed: int, busy: Sequence[int]) -> Values | None:
    """Return values that no trial has, by the tree-structured Parzen estimator; None if there seem to be no others.

    They depend on the arguments alone. A paused trial counts by its last value, one in progress as a bad one."""
    with quiet_optuna() as optuna:
        study = optuna.create_study(direction=MINIMUM if mode == "min" else MAXIMUM)
        for each in trials:
            best = each.best(mode)
            if each.reason or (math.isnan(best) and each.number not in busy):
                continue
            if each.number in busy:
                study.add_trial(frozen(optuna, space, each, "RUNNING"))
            elif each.is_complete:
                study.add_trial(frozen(optuna, space, each, "COMPLETE", best))
            else:
                study.add_trial(frozen(optuna, space, each, "PRUNED", intermediate_values={each.epochs: best}))
        is_nested = any(any(each.inside.values()) for each in space.parameters)
        earlier = [each.values for each in trials]
        for attempt in range(ATTEMPTS):
            mixed = zlib.crc32(f"{seed}/{len(trials)}/{attempt}".encode())
            study.sampler = optuna.samplers.TPESampler(seed=mixed, group=is_nested)
            asked = study.ask()
            values = space.suggested(asked)
            if values not in earlier:
                return values
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
    return None


class StoredStudy:
    """The trials of a search in its journal, or in the database of a URL. Its writers hold the lock of the folder."""

    def __init__(self, journal: Path, url: str | None, name: str, space: Space, mode: Mode) -> None:
        self.space = space
        with quiet_optuna() as self.optuna:
            self.study = self.optuna.create_study(
                study_name=name,
                storage=opened(self.optuna, journal, url),
                direction=MINIMUM if mode == "min" else MAXIMUM,
                # The values come from `suggested`.
                sampler=self.optuna.samplers.RandomSampler(),
                load_if_exists=True,
            )

    def trials(self) -> list[Trial]:
        """Return all trials by number, without what they have reached."""
        return [self.read(each) for each in self.study.get_trials(deepcopy=False)]

    def read(self, stored: Any) -> Trial:
        is_failed = stored.state == self.optuna.trial.TrialState.FAIL
        reason = str(stored.user_attrs.get(REASON, "failed")) if is_failed else ""
        return Trial(stored.number, dict(stored.params), reason=reason)

    def add(self, values: Values) -> Trial:
        """Add a trial, and return it with its number."""
        with quiet_optuna() as optuna:
            self.study.add_trial(frozen(optuna, self.space, Trial(0, values), "RUNNING"))
            return self.trials()[-1]

    def end(self, trial: Trial, state: Literal["COMPLETE", "PRUNED", "FAIL"], mode: Mode) -> None:
        """Record how a trial ends, once: with its best value, or with the reason of its failure."""
        states, value = self.optuna.trial.TrialState, trial.best(mode)
        stored = self.study.get_trials(deepcopy=False)[trial.number]
        if stored.state != states.RUNNING:
            return
        with quiet_optuna() as optuna:
            record = optuna.trial.Trial(self.study, stored._trial_id)
            if trial.reason:
                record.set_user_attr(REASON, trial.reason)
            if trial.epochs and not math.isnan(value):
                record.report(value, trial.epochs)
            self.study.tell(trial.number, value if state == "COMPLETE" else None, getattr(states, state))


class NoLock:
    """Takes the place of Optuna's lock, which a killed process leaves behind for 30 seconds."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None: ...


def opened(optuna: Any, journal: Path, url: str | None) -> "BaseStorage":
    """Return the storage, new or existing. Raises MachineError: the database cannot be reached."""
    if url is None:
        # A process that was killed while it wrote leaves an incomplete line.
        descriptor = os.open(journal, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with open(descriptor, "r+b") as file:
            file.truncate(file.read().rfind(b"\n") + 1)
        backend = optuna.storages.journal.JournalFileBackend(str(journal), lock_obj=NoLock())
        storage: BaseStorage = optuna.storages.JournalStorage(backend)
        return storage
    from sqlalchemy.exc import SQLAlchemyError

    try:
        database: BaseStorage = optuna.storages.RDBStorage(url)
    except ImportError as error:
        raise MachineError(f"the driver of the database is not installed: {error}", "install it with pip") from error
    except (SQLAlchemyError, ValueError) as error:
        raise MachineError(f"the storage cannot be opened: {str(error).splitlines()[0]}") from error
    return database


def importances(space: Space, trials: Sequence[Trial], mode: Mode, epochs: int) -> Mapping[str, float]:
    """Return the share of each parameter in the differences between trials after `epochs` epochs, by PED-ANOVA.

    Parameters inside choices are left out: few trials have each. Empty with less than four trials.
    Source: Watanabe et al., PED-ANOVA, IJCAI 2023, arXiv:2304.10255."""
    names = [each.name for each in space.parameters]
    there = [each for each in trials if each.epochs >= epochs and not math.isnan(each.best(mode, epochs))]
    there = [each for each in there if all(name in each.values for name in names) and not each.reason]
    if len(there) < 4 or len(names) < 2:
        return {}
    with quiet_optuna() as optuna:
        study = optuna.create_study(direction=MINIMUM if mode == "min" else MAXIMUM)
        for each in there:
            kept: dict[str, Value] = {name: each.values[name] for name in names}
            kinds = {k: v for k, v in distributions(optuna, space, each.values).items() if k in kept}
            value = each.best(mode, epochs)
            study.add_trial(optuna.trial.create_trial(params=kept, distributions=kinds, value=value))
        found = optuna.importance.get_param_importances(study, params=names)
        total = sum(found.values())
        return {name: share / total for name, share in found.items()} if total > 0 else {}
