"""A config with its data and its model, from a config file or from a run directory."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.config.schema import Config
from dltool.data.dataset import Dataset, Read, load_data
from dltool.data.facts import Facts
from dltool.errors import ConfigError, DataError, RunError, UnreadableConfig
from dltool.experiment.joining import Met, joined
from dltool.experiment.refusals import refuse_files, refuse_other_preprocessing, refuse_other_weights
from dltool.imports import is_own_process
from dltool.runs.files import Run
from dltool.runs.recorded import as_run_error, data_changes, recorded_config, recorded_facts, refuse_missing_data
from dltool.runs.records import read_record, recorded_threads
from dltool.runs.start_record import kept_start

if TYPE_CHECKING:
    from dltool.evaluation.predictor import Predictor
    from dltool.model.build import BuiltModel
    from dltool.training.numerics import Strategy


@dataclass(frozen=True)
class Experiment:
    """A model and its data, ready to train or to evaluate. `pinned` are the settings that determine result bits.

    `is_kept`: figures are drawn. `is_tested`: the best model is tested. For `prepare` see `joined`."""

    config: Config
    dataset: Dataset
    built: "BuiltModel"
    pinned: Mapping[str, Any]
    is_kept: bool = True
    is_tested: bool = True
    prepare: Callable[..., Any] | None = None


def new_experiment(
    config: Config, dataset: Dataset, threads: int | None = None, start: Path | None = None, meeting: Met = None
) -> Experiment:
    """Build the model for the data, its preprocessing fitted on the training split alone.

    `threads` is how many TensorFlow may use; None infers it. `start` is a run's copy of the weights to start with, see
    :func:`dltool.runs.start_record.kept_start`. Raises ConfigError: a layer cannot be built, or the model
    does not fit the data or the loss."""
    from dltool.explain.asking import refuse_unexplainable
    from dltool.model.build import build_model
    from dltool.model.hub import with_networks
    from dltool.model.output_checks import check_fit
    from dltool.model.streamed_columns import fitted_to
    from dltool.training.numerics import choose_threads, pin

    threads, why = (threads, "as recorded") if threads else choose_threads(config, dataset.facts)
    pinned = pin(config.seed, threads) | {"why_threads": why}
    config = with_networks(config, is_connected=False)
    prepare = joined(meeting, config, dataset, pinned)
    config = with_networks(config)
    built = build_model(config, dataset.facts, dataset.examples("train").inputs, fitted_to(dataset), start=start)
    check_fit(config, dataset.facts, built, dataset.inputs)
    refuse_unexplainable(config, dataset.facts, built)
    return Experiment(config, dataset, built, pinned, prepare=prepare)


def recorded_data(
    run: Run,
    may_differ: Collection[str] = ("training.epochs",),
    settings: Sequence[str] = (),
    read: Read | None = None,
) -> tuple[Config, Dataset]:
    """Read the config and the data of a run. For `may_differ` and `settings` see :func:`recorded_config`, for `read`
    :func:`dltool.data.dataset.load_data`.

    Raises RunError: the run's files are damaged, or its config was edited; ConfigError: a setting is wrong; DataError:
    its data is missing or has changed."""
    record = read_record(run)
    config = recorded_config(run, may_differ, settings)
    refuse_missing_data(config)
    dataset = load_data(config.data, config.seed, record.most_rows, read)
    if changes := data_changes(record.data, dataset):
        hint = "restore the old data, or train a new run"
        raise DataError(f"the data has changed since the run was trained: {changes}", hint)
    return config, dataset


def recorded_kind(run: Run, settings: Sequence[str] = ()) -> tuple[Config, Facts]:
    """Return the config and the facts of a run's data without reading the data. For `settings` see
    :func:`dltool.runs.recorded.recorded_config`."""
    config = recorded_config(run, settings=settings)
    return config, recorded_facts(read_record(run).data, config.data, str(run.record))


def recorded_model(
    run: Run, config: Config, facts: Facts, is_pretrained: bool = False, is_beside: bool = False
) -> tuple["BuiltModel", Mapping[str, Any]]:
    """Build the model of a run with its fitted preprocessing and new weights; return it and the pinned settings.

    The run holds its trained weights. A backbone's weight files are needed only if training starts over
    (`is_pretrained`). A model `is_beside` the one that this process trains, whose threads are left unchanged. Raises
    RunError: the run's files are damaged, or a file of weights has changed."""
    refuse_files(run, config, ("model", "augmentation"))
    from dltool.model.build import build_model
    from dltool.model.column_states import LARGEST_FILE, load_columns
    from dltool.model.inputs import Fitted
    from dltool.model.output_checks import check_fit
    from dltool.model.preprocessing import load_preprocessing
    from dltool.training.numerics import pin

    record = read_record(run)
    refuse_other_preprocessing(run, record, LARGEST_FILE)
    threads = recorded_threads(run, record)
    # In other processes the number of threads is left unchanged: TensorFlow may be running already.
    pinned = pin(config.seed, threads if is_own_process() and not is_beside else None)
    fitted = Fitted(load_preprocessing(run.preprocessing), load_columns(run.preprocessing))
    try:
        start = kept_start(run) if is_pretrained else None
        built = build_model(config, facts, fitted=fitted, is_pretrained=is_pretrained, start=start)
        check_fit(config, facts, built)
    except UnreadableConfig:
        # An error in allowed code is not the run's.
        raise
    except ConfigError as error:
        raise as_run_error(error, f"{run.resolved}: ") from error
    refuse_other_weights(record, built)
    return built, pinned


def best_model(run: Run, config: Config, facts: Facts, is_beside: bool = False) -> "BuiltModel":
    """Build the model with the best weights of the run. Raises RunError: it has no model of its own; and as
    :func:`recorded_model`."""
    if config.data.final == "none":
        raise RunError(f"{run.path} has no model of its own: data.final is none", f"use a fold: {run.folds / '1'}")
    built, _ = recorded_model(run, config, facts, is_beside=is_beside)
    return with_best_weights(run, config, built, is_beside)


def best_predictor(run: Run, config: Config, facts: Facts, is_beside: bool = False) -> "Predictor":
    """Load the best model of the run with its decision thresholds. Arguments and errors are those of
    :func:`best_model`."""
    from dltool.evaluation.predictor import Predictor
    from dltool.evaluation.thresholds import recorded_decision

    built = best_model(run, config, facts, is_beside)
    return Predictor(built, recorded_decision(run, config, facts)[0], facts)


def with_best_weights(run: Run, config: Config, built: "BuiltModel", is_beside: bool = False) -> "BuiltModel":
    """Return the recorded model of the run with its best weights, or the mean of those of its folds. Raises RunError:
    they are missing or damaged."""
    from dltool.model.saving import load_weights

    if config.data.final != "ensemble":
        load_weights(built.core, run.best_weights)
        return built
    from dltool.model.ensemble import mean_of

    complete = [part for part in run.parts if part.is_complete()]
    if len(complete) != config.data.split.count_of_folds * (config.training.seeds or 1):
        hint = "train a new run" if run.is_complete() else f"dltool resume {run.path}"
        raise RunError(f"{run.path} has no model: not all of its folds are there and complete", hint)
    models = {f"fold_{part.number}": best_model(part, *recorded_kind(part), is_beside).full for part in complete}
    return mean_of(models, built, config.name)


def recorded_strategy(run: Run) -> "Strategy":
    """Return how the run's steps were computed. Raises RunError: this is not recorded."""
    from dltool.training.numerics import Strategy

    found = read_record(run).strategy
    if found is None:
        raise RunError(f"{run.record}: the strategy of the steps is missing or invalid", "train a new run")
    return Strategy(found.jit_compile, found.rewrites, found.why, found.grappler)
