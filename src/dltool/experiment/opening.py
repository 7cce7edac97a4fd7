"""A config with its data and its model: what every command needs, from a config file or from a run directory."""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dltool.config.schema import Config
from dltool.data.dataset import Dataset, load_data
from dltool.data.facts import Facts
from dltool.errors import ConfigError, DataError, RunError, UnreadableConfig
from dltool.experiment.clock import Clock
from dltool.experiment.refusals import refuse_files, refuse_other_preprocessing, refuse_other_weights
from dltool.experiment.signals import StopRequests
from dltool.imports import Import, import_keras, is_own_process
from dltool.runs.files import Run
from dltool.runs.recorded_config import as_run_error, recorded_config
from dltool.runs.recorded_data import data_changes, recorded_facts
from dltool.runs.records import read_record, recorded_threads

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress
    from dltool.model.build import BuiltModel
    from dltool.training.fit import Fitting
    from dltool.training.numerics import Strategy


@dataclass(frozen=True)
class Experiment:
    """Ready to train or to measure. `pinned` is what changes bits and was fixed before the model was built.

    `is_kept`: somebody will look at the run, so that it is worth to draw figures.
    """

    config: Config
    dataset: Dataset
    built: "BuiltModel"
    pinned: Mapping[str, Any]
    is_kept: bool = True


class Stages:
    """The stages of a command, told to its listener and timed; signals are asked for between them."""

    def __init__(self, progress: "Progress", stops: StopRequests | None = None) -> None:
        self.progress, self.clock = progress, Clock()
        self.stops = stops or StopRequests()

    @contextlib.contextmanager
    def reading(self, *, trains: bool = False) -> Iterator[None]:
        """The block reads the data; afterwards TensorFlow is imported.

        A training imports it meanwhile. Others need it only where the data is right, which they find sooner alone.
        """
        tensorflow = Import(import_keras) if trains else None
        self.progress.stage("reading the data")
        with self.clock.phase("data"), tensorflow.quiet_failures() if tensorflow else contextlib.nullcontext():
            yield
        self.progress.stage("importing TensorFlow")
        with self.clock.phase("import"):
            if tensorflow:
                tensorflow.wait()
                import_module("dltool.training.fit")
            else:
                import_keras()

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """The block builds the model, and compiles its steps."""
        self.progress.stage("building the model")
        with self.clock.phase("build"):
            yield


def new_experiment(config: Config, dataset: Dataset, threads: int | None = None, is_kept: bool = True) -> Experiment:
    """The model for the data, its preprocessing fitted on the training rows alone.

    `threads` is how many TensorFlow may use; unless given, a rule decides.

    Raises:
        ConfigError: a layer cannot be built, or the model does not fit the data or the loss.
    """
    from dltool.model.build import build_model
    from dltool.model.output_checks import check_fit
    from dltool.training.numerics import choose_threads, pin

    threads, why = (threads, "as recorded") if threads else choose_threads(config, dataset.facts)
    pinned = pin(config.seed, threads) | {"why_threads": why}
    inputs = dataset.examples("train").inputs
    built = build_model(config, dataset.facts, inputs)
    check_fit(config, dataset.facts, built)
    return Experiment(config, dataset, built, pinned, is_kept)


def prepared_steps(experiment: Experiment, strategy: "Strategy | None" = None) -> "Fitting":
    """The compiled steps of a training, by the `strategy` of a run; unless given, rules decide."""
    from dltool.training.fit import prepare_fit

    return prepare_fit(experiment.built, experiment.config, experiment.dataset, strategy=strategy)


def recorded_data(run: Run, may_differ: Collection[str] = ("training.epochs",)) -> tuple[Config, Dataset]:
    """The config and the data of a run. Of `may_differ`, see :func:`recorded_config`.

    Raises:
        RunError: the run's files are damaged, or its config was edited.
        DataError: the data is no longer what the run was trained on.
    """
    record = read_record(run)
    config = recorded_config(run, may_differ)
    dataset = load_data(config.data, config.seed, record.most_rows)
    if changes := data_changes(record.data, dataset):
        hint = "bring the old data back, or train a new run"
        raise DataError(f"the data has changed since the run was trained: {changes}", hint)
    return config, dataset


def recorded_kind(run: Run) -> tuple[Config, Facts]:
    """What the model of a run is made from, besides what it has learnt; its data is not needed."""
    config = recorded_config(run)
    return config, recorded_facts(read_record(run).data, config.data, str(run.record))


def recorded_experiment(run: Run, config: Config, dataset: Dataset, is_pretrained: bool = False) -> Experiment:
    """The model of a run and its data. Raises as :func:`recorded_model`."""
    return Experiment(config, dataset, *recorded_model(run, config, dataset.facts, is_pretrained))


def recorded_model(
    run: Run, config: Config, facts: Facts, is_pretrained: bool = False
) -> tuple["BuiltModel", Mapping[str, Any]]:
    """The model of a run, with what its preprocessing learnt then, and with new weights; and what is pinned.

    Its own weights are in the run. The files of a backbone's weights are needed where it is to begin anew, and
    `is_pretrained`.

    Raises:
        RunError: the run's files are damaged, or a file of weights is not what it was.
    """
    refuse_files(run, config, ("model", "augmentation"))
    from dltool.model.build import build_model
    from dltool.model.inputs import Learnt
    from dltool.model.output_checks import check_fit
    from dltool.model.preprocessing import LARGEST_FILE, load_columns, load_preprocessing
    from dltool.training.numerics import pin

    record = read_record(run)
    refuse_other_preprocessing(run, record, LARGEST_FILE)
    threads = recorded_threads(run, record)
    # Elsewhere with what TensorFlow has: it cannot change it, and other models may have other numbers.
    pinned = pin(config.seed, threads if is_own_process() else None)
    learnt = Learnt(load_preprocessing(run.preprocessing), load_columns(run.preprocessing))
    try:
        built = build_model(config, facts, learnt=learnt, is_pretrained=is_pretrained)
        check_fit(config, facts, built)
    except UnreadableConfig:
        # Of code that is allowed: not the run's.
        raise
    except ConfigError as error:
        raise as_run_error(error, f"{run.resolved}: ") from error
    refuse_other_weights(record, built)
    return built, pinned


def best_model(run: Run, config: Config, facts: Facts) -> "BuiltModel":
    """The model with the best weights of the run."""
    from dltool.model.saving import load_weights

    built, _ = recorded_model(run, config, facts)
    load_weights(built.core, run.best_weights)
    return built


def recorded_strategy(run: Run) -> "Strategy":
    """How the steps of the run were computed.

    Raises:
        RunError: the record does not say.
    """
    from dltool.training.numerics import Strategy

    found = read_record(run).strategy
    if found is None:
        message = f"{run.record} does not say how steps were computed: its strategy is missing, or is damaged"
        raise RunError(message, "train a new run")
    return Strategy(found.jit_compile, found.rewrites, found.why)
