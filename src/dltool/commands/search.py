"""`dltool search`: try the values of the config's search space, and write the best config."""

from pathlib import Path
from typing import TYPE_CHECKING

from dltool.config.load import Document, read_document
from dltool.config.schema import Config
from dltool.config.search_options import PruneOptions, SearchOptions
from dltool.data.checked import checked_config, checked_with
from dltool.data.dataset import load_data
from dltool.data.shared import SharedSource
from dltool.errors import ConfigError, DltoolError, Interrupted, Problem
from dltool.experiment.signals import StopNow, stop_requests
from dltool.keras_names import ALLOWED
from dltool.machine import usable_cores
from dltool.runs.directory import refuse_unwritable
from dltool.search.best_config import refuse_another, whole_config
from dltool.search.search_folder import SearchFolder, create_search
from dltool.search.space import Space, check_space, read_space, search_options
from dltool.search.study import quiet_optuna

if TYPE_CHECKING:
    from dltool.search.finish import SearchOutcome
    from dltool.search.searching import Watch

LOSSES = ("training.loss", "model.outputs")


def search(
    document: Document,
    *,
    runs: Path,
    trials: int | None,
    minutes: float | None,
    workers: int,
    storage: str | None,
    keep_all: bool,
    watch: "Watch",
) -> "SearchOutcome":
    """Search the space of the config in a new folder below `runs`.

    Raises ConfigError: the space or the config with one of its values is invalid; nothing was written. Else as
    :func:`continue_search`."""
    with quiet_optuna():
        pass
    config, _ = checked_config(document)
    options = search_options(document)
    options = options.model_copy(update={k: v for k, v in (("trials", trials), ("minutes", minutes)) if v is not None})
    metric = metric_of(document, config, options)
    space = read_space(document)
    refuse_other_losses(document, space, metric)
    check_space(document, space, lambda changed: checked_config(changed)[0])
    refuse_unwritable(runs / config.name)
    read = SharedSource()
    dataset = load_data(config.data, config.seed, read=read)
    if not dataset.facts.validation_examples:
        hint = "give a share of the examples to data.split.validation, such as 0.2"
        raise ConfigError(Problem(("data", "split"), "a search needs validation examples", hint))
    check_space(document, space, lambda changed: checked_with(changed, dataset.facts))
    folder = new_folder(document, runs, config, options, metric, workers, storage, keep_all)
    return continue_search(folder, watch, read)


def metric_of(document: Document, config: Config, options: SearchOptions) -> str:
    """Return the metric that is searched for. Raises ConfigError: it is not of the validation split."""
    monitor = config.training.checkpoint.monitor
    metric = options.metric or monitor or "val_loss"
    place = ("search", "metric") if options.metric else ("training", "checkpoint", "monitor")
    if not metric.startswith("val_"):
        message = f"expected a metric of the validation split, got {metric}"
        raise ConfigError(Problem(place, message, f"for example val_{metric}"))
    if monitor not in (None, metric):
        message = f"the best epoch of a trial is that of {monitor}"
        related = ((("training", "checkpoint", "monitor"), "given here"),)
        raise ConfigError(Problem(place, message, "remove one of the two", related=related))
    return metric


def refuse_other_losses(document: Document, space: Space, metric: str) -> None:
    """Raise ConfigError for a space with several losses whose values would be compared."""
    for parameter in space.parameters:
        if parameter.name.startswith(LOSSES) and metric.endswith("loss"):
            message = f"{metric} of different losses cannot be compared"
            raise ConfigError(Problem(parameter.steps[0][1], message, "search.metric: val_accuracy, for example"))


def new_folder(
    document: Document,
    runs: Path,
    config: Config,
    options: SearchOptions,
    metric: str,
    workers: int,
    storage: str | None,
    keep_all: bool,
) -> SearchFolder:
    whole = whole_config(document)
    prune = options.prune if isinstance(options.prune, PruneOptions) else PruneOptions.model_construct(factor=None)
    folder = create_search(
        runs,
        config.name,
        {"original.yaml": document.content, "config.yaml": whole},
        config=str(document.path.absolute()),
        seed=config.seed,
        metric=metric,
        trials=options.most_trials,
        minutes=options.minutes,
        factor=prune.factor,
        first=prune.first,
        seeds=options.seeds,
        workers=workers,
        threads=max(1, usable_cores() // workers) if workers > 1 else None,
        storage=storage,
        keep_all=keep_all,
        code=tuple(code.shown_as for code in ALLOWED),
    )
    refuse_another(document, read_document(folder.config))
    return folder


def continue_search(folder: SearchFolder, watch: "Watch", read: SharedSource | None = None) -> "SearchOutcome":
    """Carry on with a search, alone or beside other processes, and finish it unless this is a worker.

    Raises DltoolError: the config as written fails, or trial after trial; Interrupted: a signal asked to stop."""
    from dltool.search.finish import finished, outcome_of
    from dltool.search.searching import Search

    record = folder.record()
    if record.result is not None:
        return outcome_of(folder, record)
    with stop_requests() as stops:
        try:
            search = Search(folder, watch, stops, read or SharedSource())
            best = search.carry_on()
            return outcome_of(folder, search.record) if search.is_worker else finished(search, best)
        except (StopNow, Interrupted) as stop:
            stop.kept, stop.can_resume = str(folder.path), True
            raise
        except DltoolError as error:
            error.kept, error.can_resume = str(folder.path), False
            raise
