"""`dltool search`: try the values of the config's search space, and write the best config."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.config.cluster import Cluster
from dltool.config.keras.values import UNKNOWN
from dltool.config.load import Document, read_document
from dltool.config.schema import Config
from dltool.config.search_options import PruneOptions, SearchOptions
from dltool.config.text.resolve import PASSWORD
from dltool.config.text.tree import find
from dltool.config.whole_config import refuse_another, whole_config
from dltool.data.checked import checked_config, checked_with
from dltool.data.dataset import load_data
from dltool.data.facts import Facts
from dltool.data.shared import SharedSource
from dltool.errors import ConfigError, ConfigPath, DltoolError, MachineError, Problem
from dltool.experiment.joining import folder_of_chief
from dltool.experiment.parts import refuse_parts
from dltool.experiment.signals import StopNow, stop_requests
from dltool.machine import usable_cores
from dltool.meeting import meeting_of
from dltool.runs.directory import refuse_unwritable
from dltool.search.search_folder import SearchFolder, create_search, unfinished_search
from dltool.search.space import Space, check_space, located, read_space, search_options, with_metric
from dltool.search.study import quiet_optuna, refuse_storage
from dltool.text import counted

if TYPE_CHECKING:
    from dltool.search.finish import SearchOutcome
    from dltool.search.searching import Watch

LOSSES = ("training.loss", "model.outputs")
ONE_SPLIT = "give a share of the examples to data.split.validation, such as 0.2"
NO_SEEDS = "search.seeds trains the best trials with other seeds"


def search(
    document: Document,
    *,
    runs: Path,
    workers: int = 1,
    storage: str | None = None,
    keep_all: bool = False,
    cluster: Cluster | None = None,
    watch: "Watch",
) -> "SearchOutcome":
    """Search the space of the config in a new folder below `runs`, or carry on with the newest search there if it is
    the same one and not finished. `storage` is the URL of Optuna's database. Of a `cluster`, the chief opens the
    folder; then each worker trains trials, and needs the others no more.

    Raises ConfigError: as :func:`new_search`; MachineError: a worker has not come, or does not see the folder; else as
    :func:`continue_search`."""
    read = SharedSource()
    if cluster is None:
        return continue_search(new_search(document, runs, workers, storage, keep_all, read), watch, read)
    with meeting_of(cluster, task="search") as meeting:
        chief = new_search(document, runs, workers, storage, keep_all, read) if cluster.is_chief else None
        folder = SearchFolder(folder_of_chief(meeting, None if chief is None else chief.path, "search.json"))
        if chief is None:
            meeting.wait_for_end()
    return continue_search(folder, watch, read)


def new_search(
    document: Document, runs: Path, workers: int, storage: str | None, keep_all: bool, read: SharedSource
) -> SearchFolder:
    """Return a new folder of a search, or that of the same search if it is not finished. Raises ConfigError: the space
    or the config with one of its values is invalid, and nothing was written; DataError."""
    with quiet_optuna():
        refuse_password(storage)
    config, _ = checked_config(document)
    refuse_parts(config, "a search trains each trial once, on one split", folds=ONE_SPLIT, seeds=NO_SEEDS)
    checked_search(document)
    refuse_unwritable(runs / config.name)
    dataset = load_data(config.data, config.seed, read=read)
    if not dataset.facts.validation_examples:
        raise ConfigError(Problem(("data", "split"), "a search needs validation examples", ONE_SPLIT))
    metric = checked_search(document, dataset.facts)
    refuse_storage(storage)
    options = search_options(document)
    prune = options.prune if isinstance(options.prune, PruneOptions) else None
    files = {"original.yaml": document.content, "config.yaml": whole_config(document)}
    fields: dict[str, Any] = {
        "config": str(document.path.absolute()),
        "seed": config.seed,
        "metric": metric,
        "trials": options.most_trials,
        "minutes": options.minutes,
        "factor": prune.factor if prune else None,
        "first": prune.first if prune else None,
        "seeds": options.seeds,
        "threads": max(1, usable_cores() // workers) if workers > 1 else None,
        "workers": workers,
        "storage": storage,
        "keep_all": keep_all,
    }
    folder = unfinished_search(runs, config.name, files, **fields) or create_search(runs, config.name, files, **fields)
    refuse_another(document, read_document(folder.config))
    return folder


def refuse_password(storage: str | None) -> None:
    if storage is not None and PASSWORD.search(storage):
        hint = "leave it out: PostgreSQL reads PGPASSWORD and ~/.pgpass, MySQL a file named in the URL"
        raise ConfigError("--storage: the password would be written into search.json", hint)


def checked_search(document: Document, facts: Facts | None = None) -> str:
    """Return the metric of a search whose space is valid. Raises ConfigError: every error in it."""
    options, space = search_options(document), read_space(document)
    metric = metric_of(document, options)
    refuse_other_losses(space, metric)
    measured = with_metric(document, metric)

    def check(changed: Document) -> Config:
        return checked_with(changed, facts) if facts else checked_config(changed)[0]

    with located(measured):
        config = check(measured)
        if config.training.privacy is not None:
            message = "each trial of a search would spend an epsilon of its own"
            raise ConfigError(
                Problem(("training", "privacy"), message, "search without it, then train the best config")
            )
        first, epochs = options.prune and options.prune.first, config.training.total_epochs
        if first and epochs is not UNKNOWN and first >= epochs:
            message = f"expected less than the {counted(epochs, 'epoch')} of a trial, got {first}"
            hint = "prune: false trains every trial to its end"
            raise ConfigError(Problem(("search", "prune", "first"), message, hint))
    check_space(measured, space, check)
    return metric


def metric_of(document: Document, options: SearchOptions) -> str:
    """Return the metric that is searched for. Raises ConfigError: it is not of the validation split."""
    place: ConfigPath = ("training", "checkpoint", "monitor")
    node = find(document.root, place)
    written = node.value if node is not None else None
    metric = options.metric or written or "val_loss"
    at = ("search", "metric") if options.metric else place
    if not str(metric).startswith("val_"):
        raise ConfigError(
            Problem(at, f"expected a metric of the validation split, got {metric}", f"for example val_{metric}")
        )
    if written not in (None, metric):
        related = ((place, "given here"),)
        raise ConfigError(
            Problem(at, f"the best epoch of a trial is that of {written}", "remove one of the two", related=related)
        )
    return str(metric)


def refuse_other_losses(space: Space, metric: str) -> None:
    """Raise ConfigError for a space with several losses whose values would be compared."""
    for parameter in space.parameters:
        if parameter.name.startswith(LOSSES) and metric.endswith("loss"):
            message = f"{metric} of different losses cannot be compared"
            raise ConfigError(Problem(parameter.steps[0][1], message, "search.metric: val_accuracy, for example"))


def continue_search(folder: SearchFolder, watch: "Watch", read: SharedSource | None = None) -> "SearchOutcome":
    """Carry on with a search, alone or beside other processes, and finish it unless this is a worker.

    Raises DltoolError: the config as written fails, or trial after trial; Interrupted: a signal asked to stop."""
    from dltool.search.finish import finish, finished, outcome_of
    from dltool.search.searching import Search

    if folder.record().result is not None:
        return finished(folder)
    with stop_requests() as stops:
        try:
            search = Search(folder, watch, stops, read or SharedSource())
            best = search.carry_on()
            if search.parent is not None:
                return outcome_of(folder, search.record)
            with search.alone():
                if search.record.result is None:
                    finish(search, best)
            return finished(folder)
        except StopNow as stop:
            stop.kept, stop.can_resume = str(folder.path), True
            raise
        except DltoolError as error:
            error.kept, error.can_resume = str(folder.path), isinstance(error, MachineError)
            raise
