"""Optuna: it suggests values for trials, remembers them, and says which parameters matter.

Nothing here trains. Every write happens under the lock of the search folder, so a storage never sees two at once."""

import math
import os
import re
import sys
import warnings
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from dltool.durable_files import disk_errors
from dltool.errors import MachineError
from dltool.installation import install_extra
from dltool.search.rungs import Mode, Trial
from dltool.search.space import Parameter, Values, suggested_by

ATTEMPTS = 20
"""Suggestions that repeat earlier trials before the space counts as exhausted."""
LEAST_TRIALS = 4
"""For the importance of parameters."""
DIRECTIONS = {"min": "minimize", "max": "maximize"}
REASON = "reason"
PROXY = "grpc://"
PROXY_ADDRESS = re.compile(re.escape(PROXY) + r"([\w.-]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})")
PROXY_SECONDS = 10.0
"""Until a proxy must answer."""
Parameters = Sequence[Parameter]
State = Literal["RUNNING", "COMPLETE", "PRUNED", "FAIL"]


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
    """Suggests given values, and collects Optuna's distributions of their parameters."""

    def __init__(self, optuna: Any, values: Values) -> None:
        self.kinds, self.values = optuna.distributions, values
        self.found: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float, /, **options: Any) -> Any:
        return self.noted(name, self.kinds.FloatDistribution(low, high, **options))

    def suggest_int(self, name: str, low: int, high: int, /, **options: Any) -> Any:
        return self.noted(name, self.kinds.IntDistribution(low, high, **options))

    def suggest_categorical(self, name: str, choices: Any, /) -> Any:
        return self.noted(name, self.kinds.CategoricalDistribution(choices))

    def noted(self, name: str, kind: Any) -> Any:
        self.found[name] = kind
        return self.values[name]


def frozen(optuna: Any, parameters: Parameters, values: Values, state: State, **more: Any) -> Any:
    """Return Optuna's form of a trial; the config as written may lack values of the `parameters`."""
    fixed = Fixed(optuna, values)
    suggested_by(fixed, [each for each in parameters if each.name in values])
    params = {name: values[name] for name in fixed.found}
    found = getattr(optuna.trial.TrialState, state)
    return optuna.trial.create_trial(state=found, params=params, distributions=fixed.found, **more)


def suggested(
    parameters: Parameters, trials: Sequence[Trial], mode: Mode, seed: int, busy: Collection[int]
) -> Values | None:
    """Return values that no trial has, by the tree-structured Parzen estimator; None if there seem to be no others.

    They depend on the arguments alone. A paused trial counts by its best value, one in progress as a bad one, and one
    that failed as the worst."""
    with quiet_optuna() as optuna:
        study = optuna.create_study(direction=DIRECTIONS[mode])
        names = {each.name for each in parameters}
        # Values are learned from together by the trials that have all of them, which the config as written may not.
        for each in (trial for trial in trials if trial.values.keys() >= names):
            best, end = each.best(mode), dict[str, Any]()
            state: State = "RUNNING" if each.number in busy else "PRUNED"
            if not each.reason and not math.isnan(best) and each.number not in busy:
                state = "COMPLETE" if each.is_complete else "PRUNED"
                end = {"value": best} if each.is_complete else {"intermediate_values": {each.epochs: best}}
            # Without a value, a failed trial counts as worse than all others.
            study.add_trial(frozen(optuna, parameters, each.values, state, **end))
        earlier = [each.values for each in trials]
        for attempt in range(ATTEMPTS):
            mixed = zlib.crc32(f"{seed}/{len(trials)}/{attempt}".encode())
            study.sampler = optuna.samplers.TPESampler(seed=mixed, group=True)
            asked = study.ask()
            values = suggested_by(asked, parameters)
            if values not in earlier:
                return values
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
    return None


class StoredStudy:
    """The trials of a search in its journal, or in the database of a URL. Its writers hold the lock of the folder."""

    def __init__(self, journal: Path, url: str | None, name: str, parameters: Parameters, mode: Mode) -> None:
        self.parameters, self.mode, self.journal = parameters, mode, journal
        with self.stored() as optuna:
            storage = opened(optuna, journal, url)
            # The values come from `suggested`.
            options = {"sampler": optuna.samplers.RandomSampler(), "load_if_exists": True}
            self.study = optuna.create_study(study_name=name, storage=storage, direction=DIRECTIONS[mode], **options)

    @contextmanager
    def stored(self) -> Iterator[Any]:
        """Yield Optuna's module for a use of the storage. Raises MachineError: the disk, the database or its proxy
        fails."""
        with quiet_optuna() as optuna, disk_errors(self.journal):
            try:
                yield optuna
            except storage_failures(optuna) as error:
                details = error.details() if hasattr(error, "details") else ""
                words = str(details or error.__cause__ or error).splitlines()[0]
                raise MachineError(f"the storage has failed: {words}") from error

    def trials(self) -> list[Trial]:
        """Return all trials by number, without what they have reached."""
        with self.stored():
            found = self.study.get_trials(deepcopy=False)
        return [Trial(each.number, dict(each.params), reason=str(each.user_attrs.get(REASON, ""))) for each in found]

    def add(self, values: Values) -> Trial:
        """Add a trial, and return it with its number."""
        with self.stored() as optuna:
            self.study.add_trial(frozen(optuna, self.parameters, values, "RUNNING"))
            return self.trials()[-1]

    def end(self, trial: Trial) -> None:
        """Record how a trial ends, once: with its best value, with the reason of its failure, or paused for good."""
        with self.stored() as optuna:
            stored = self.study.get_trials(deepcopy=False)[trial.number]
            states, value = optuna.trial.TrialState, trial.best(self.mode)
            if stored.state != states.RUNNING:
                return
            record = optuna.trial.Trial(self.study, stored._trial_id)
            if trial.reason:
                record.set_user_attr(REASON, trial.reason)
            if trial.epochs and not math.isnan(value):
                record.report(value, trial.epochs)
            state = states.FAIL if trial.reason else states.COMPLETE if trial.is_complete else states.PRUNED
            self.study.tell(trial.number, value if state == states.COMPLETE else None, state)


def storage_failures(optuna: Any) -> tuple[type[Exception], ...]:
    """Return the exceptions of a database, and those of a proxy if one is in use."""
    grpc = sys.modules.get("grpc")
    return (optuna.exceptions.StorageInternalError, *([grpc.RpcError] if grpc else []))


class NoLock:
    """Takes the place of Optuna's lock, which a killed process leaves behind for 30 seconds."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None: ...


def opened(optuna: Any, journal: Path, url: str | None) -> Any:
    """Return the storage, new or existing. Raises MachineError: the database or its proxy cannot be reached."""
    if url is None:
        # A process that was killed while it wrote leaves an incomplete line.
        descriptor = os.open(journal, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with open(descriptor, "r+b") as file:
            file.truncate(file.read().rfind(b"\n") + 1)
        backend = optuna.storages.journal.JournalFileBackend(str(journal), lock_obj=NoLock())
        return optuna.storages.JournalStorage(backend)
    if url.startswith(PROXY):
        return opened_proxy(optuna, url)
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return optuna.storages.RDBStorage(url)
    except ImportError as error:
        raise MachineError(f"the driver of the database is not installed: {error}", "install it with pip") from error
    except (SQLAlchemyError, ValueError) as error:
        raise MachineError(f"the storage cannot be opened: {str(error).splitlines()[0]}") from error


def opened_proxy(optuna: Any, url: str) -> Any:
    """Return Optuna's gRPC proxy for the database of its server. Raises MachineError: nothing answers there."""
    address = PROXY_ADDRESS.fullmatch(url)
    if address is None:
        raise MachineError(f"the storage cannot be opened: {url} is not {PROXY}HOST:PORT")
    proxy = optuna.storages.GrpcStorageProxy(host=address[1], port=int(address[2]))
    try:
        proxy.wait_server_ready(PROXY_SECONDS)
    except ConnectionError as error:
        message = f"the storage cannot be opened: no proxy answers at {address[1]}:{address[2]}"
        raise MachineError(message, "start optuna.storages.run_grpc_proxy_server there") from error
    return proxy


def refuse_storage(url: str | None) -> None:
    """Raise MachineError if there is a database that cannot be used."""
    if url is not None:
        with quiet_optuna() as optuna:
            opened(optuna, Path(), url)


def importances(parameters: Parameters, trials: Sequence[Trial], mode: Mode, epochs: int) -> Mapping[str, float]:
    """Return the share of each parameter in the differences between trials after `epochs` epochs, by PED-ANOVA.

    Parameters inside choices are left out: few trials have each. Empty with less than four trials.
    Source: Watanabe et al., PED-ANOVA, IJCAI 2023, arXiv:2304.10255."""
    outer = [replace(each, inside=dict.fromkeys(each.inside, ())) for each in parameters]
    names = [each.name for each in outer]
    there = [each for each in trials if not each.reason and not math.isnan(each.best(mode, epochs))]
    there = [each for each in there if each.epochs >= epochs and each.values.keys() >= {*names}]
    if len(there) < LEAST_TRIALS or len(names) < 2:
        return {}
    with quiet_optuna() as optuna:
        study = optuna.create_study(direction=DIRECTIONS[mode])
        for each in there:
            study.add_trial(frozen(optuna, outer, each.values, "COMPLETE", value=each.best(mode, epochs)))
        found = optuna.importance.get_param_importances(study, params=names)
        total = sum(found.values()) or 1.0
        return {name: share / total for name, share in found.items()}
