"""A config with its data and its model: what a training needs, from a config file or from a run directory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dltool.config.load import build_config, read_document
from dltool.config.schema import Config
from dltool.data.load import Dataset, load_data
from dltool.errors import ConfigError, DataError, RunError
from dltool.run_files import Run

if TYPE_CHECKING:
    from dltool.model.build import BuiltModel


MOST_THREADS = 4096


@dataclass(frozen=True)
class Experiment:
    """Ready to train or to measure. `pinned` is what changes bits and was fixed before the model was built."""

    config: Config
    dataset: Dataset
    built: "BuiltModel"
    pinned: Mapping[str, Any]


def new_experiment(config: Config, dataset: Dataset, threads: int | None = None) -> Experiment:
    """The model for the data, its preprocessing fitted on the training rows alone.

    `threads` is how many TensorFlow may use; unless given, as many as there are cores.

    Raises:
        ConfigError: a layer cannot be built, or the model does not fit the data or the loss.
    """
    from dltool.model.build import build_model
    from dltool.model.checks import check_fit
    from dltool.training.determinism import pin

    pinned = pin(config.seed, threads)
    inputs = dataset.part("train")[0] if config.data.preprocessing else None
    built = build_model(config, dataset.facts, inputs)
    check_fit(config, dataset.facts, built)
    return Experiment(config, dataset, built, pinned)


def recorded_data(run: Run) -> tuple[Config, Dataset]:
    """The config and the data of a run.

    Raises:
        RunError: the run's files are damaged.
        DataError: the data is no longer what the run was trained on.
    """
    record = run.read_json(run.record)
    run.read(run.resolved)  # refuses links and giants before the file is opened by its name
    try:
        config = build_config(read_document(run.resolved))
    except ConfigError as error:
        raise RunError(f"{run.resolved} is not a valid config any more: {error}") from None
    data = record.get("data")
    recorded = data.get("fingerprint") if isinstance(data, Mapping) else None
    most_rows = record.get("most_rows")
    dataset = load_data(config.data, config.seed, most_rows if isinstance(most_rows, int) else None)
    if dataset.fingerprint != recorded:
        message = "the data has changed since the run was trained"
        raise DataError(message, f"it was {recorded} and is {dataset.fingerprint}")
    return config, dataset


def recorded_experiment(run: Run, config: Config, dataset: Dataset) -> Experiment:
    """The model of a run, with what its preprocessing learnt then, and with new weights.

    Raises:
        RunError: the run's files are damaged.
    """
    from dltool.model.build import build_model
    from dltool.model.preprocessing import load_preprocessing
    from dltool.training.determinism import pin

    pinned = pin(config.seed, recorded_threads(run))
    built = build_model(config, dataset.facts, preprocessing_state=load_preprocessing(run.preprocessing))
    return Experiment(config, dataset, built, pinned)


def recorded_threads(run: Run) -> int | None:
    """The number of threads that the run began with: another one could change the last bits."""
    pinned = run.read_json(run.record).get("pinned")
    threads = pinned.get("intra_op_threads") if isinstance(pinned, Mapping) else None
    return threads if isinstance(threads, int) and 0 < threads <= MOST_THREADS else None
