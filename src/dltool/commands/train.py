"""`dltool train`: from a config to a run directory.

Reads as the architecture: check the config, read the data, build the model, create the run, fit, test, write the results.
"""

import contextlib
import io
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np

from dltool.checkpoint_file import write_checkpoint
from dltool.commands.check import checked_config, checked_with
from dltool.commands.signals import stop_requests
from dltool.config.dump import dump_yaml
from dltool.config.expectations import missed_expectations
from dltool.config.load import Document
from dltool.config.schema import Config
from dltool.data.load import Dataset, load_data
from dltool.errors import DltoolError, ExpectationMissed, Interrupted, RunError
from dltool.machine import describe_machine, git_commit
from dltool.run_directory import create
from dltool.run_files import Run

if TYPE_CHECKING:
    from dltool.commands.progress import Progress
    from dltool.model.build import BuiltModel
    from dltool.training.fit import EpochRecord, FitResult

SMOKE_EPOCHS = 2
SMOKE_BATCHES = 2
MOST_SMOKE_ROWS = 512


@dataclass(frozen=True)
class TrainingOutcome:
    """A finished training. `run` is None for a smoke run, which is gone; `missed` says which expectations were not met."""

    run: Path | None
    results: dict[str, Any]
    missed: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        return ExpectationMissed.exit_code if self.missed else 0


@dataclass
class Clock:
    """Seconds by phase, of wall time."""

    started: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - begin, 3)

    def total(self) -> dict[str, float]:
        return {**self.seconds, "total": round(time.perf_counter() - self.started, 3)}


def train(document: Document, *, runs: Path, smoke: bool, progress: "Progress") -> TrainingOutcome:
    """Train, validate and test; with `smoke` on a small slice, in a run directory that is removed at the end.

    Raises:
        DltoolError: as its classes say. Before the run directory exists, nothing has been written.
    """
    clock = Clock()
    config, _ = checked_config(document)
    tensorflow = Import("tensorflow")
    progress.stage("reading the data")
    with clock.phase("data"):
        dataset = load_data(config.data, config.seed, smoke_rows(config) if smoke else None)
        config = checked_with(document, dataset.facts)
    for warning in dataset.warnings:
        progress.warn(warning)
    if smoke:
        config = for_smoke(config)
    progress.stage("importing TensorFlow")
    with clock.phase("import"):
        tensorflow.wait()
        import_module("dltool.training.fit")
    progress.stage("building the model")
    with clock.phase("build"):
        pinned, built = built_model(config, dataset)
    progress.prepared(config.name, dataset.facts, built.full.count_params())
    with contextlib.ExitStack() as stack:
        if smoke:
            runs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dltool-smoke-")))
        run = stack.enter_context(created_run(document, config, dataset, built, runs, pinned, smoke, progress))
        progress.run_created(run)
        with clock.phase("train"):
            fitted = fitted_model(run, config, dataset, built, progress)
        with clock.phase("test"):
            progress.stage("testing")
            results = written_results(run, config, dataset, built, fitted)
        outcome = finished(run, config, results, clock, smoke)
        if smoke:
            progress.stage("reloading")
            check_reload(run, results)
    return outcome


class Import:
    """An import that takes seconds, in a thread, so that the data can load meanwhile."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.thread = Thread(target=self.attempt, daemon=True)
        self.thread.start()

    def attempt(self) -> None:
        # What fails here fails again, and is reported, where the module is used.
        with contextlib.suppress(ImportError):
            import_module(self.module)

    def wait(self) -> None:
        self.thread.join()


def smoke_rows(config: Config) -> int:
    """Two batches; fewer rows where the batches are large or their size depends on the data."""
    batch_size = config.training.batch_size
    return min(MOST_SMOKE_ROWS, SMOKE_BATCHES * batch_size) if isinstance(batch_size, int) else MOST_SMOKE_ROWS


def for_smoke(config: Config) -> Config:
    epochs = min(config.training.epochs, SMOKE_EPOCHS)
    return config.model_copy(update={"training": config.training.model_copy(update={"epochs": epochs})})


def built_model(config: Config, dataset: Dataset) -> tuple[dict[str, Any], "BuiltModel"]:
    """The model for the data, its preprocessing fitted on the training rows alone, and what was pinned before."""
    from dltool.model.build import build_model
    from dltool.model.checks import check_fit
    from dltool.training.determinism import pin

    pinned = pin(config.seed)
    inputs = dataset.part("train")[0] if config.data.preprocessing else None
    built = build_model(config, dataset.facts, inputs)
    check_fit(config, dataset.facts, built)
    return pinned, built


@contextlib.contextmanager
def created_run(
    document: Document,
    config: Config,
    dataset: Dataset,
    built: "BuiltModel",
    runs: Path,
    pinned: Mapping[str, Any],
    smoke: bool,
    progress: "Progress",
) -> Iterator[Run]:
    """The run directory. Whatever ends the block badly is recorded in its status."""
    record = {
        "command": "train",
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "config": document.shown_as,
        "seed": config.seed,
        "most_rows": smoke_rows(config) if smoke else None,
        "data": {"fingerprint": dataset.fingerprint, **facts_record(dataset)},
        "machine": describe_machine(),
        "pinned": dict(pinned),
        "git": git_commit(document.path.absolute().parent),
    }
    files = {
        "config.yaml": document.texts[document.shown_as].encode(),
        "resolved.yaml": dump_yaml(config).encode(),
        "split.npz": split_file(dataset),
        **preprocessing_files(built),
    }
    with create(runs, config.name, record, files) as run:
        try:
            for folder in (run.preprocessing, run.checkpoints):
                run.directory(folder)
            yield run
        except (KeyboardInterrupt, Interrupted):
            run.update("interrupted")
            progress.ended_early(run, "interrupted")
            raise
        except BaseException as error:
            # A disk that refused a file may well refuse this one too; the first error is the one to report.
            with contextlib.suppress(DltoolError):
                run.update("failed", reason=str(error) or type(error).__name__)
                progress.ended_early(run, "failed")
            raise


def facts_record(dataset: Dataset) -> dict[str, Any]:
    return {"class_names": list(dataset.facts.class_names), **dataset.facts.names()}


def split_file(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, train=dataset.split.train, validation=dataset.split.validation, test=dataset.split.test)
    return buffer.getvalue()


def preprocessing_files(built: "BuiltModel") -> dict[str, bytes]:
    """What the preprocessing layers learnt, as files of the run."""
    from dltool.model.preprocessing import save_preprocessing

    with tempfile.TemporaryDirectory() as folder:
        save_preprocessing(built.learnt, Path(folder))
        files = [file for file in sorted(Path(folder).rglob("*")) if file.is_file()]
        return {f"preprocessing/{file.relative_to(folder).as_posix()}": file.read_bytes() for file in files}


def fitted_model(run: Run, config: Config, dataset: Dataset, built: "BuiltModel", progress: "Progress") -> "FitResult":
    """Train; leave checkpoints, the best weights and a line an epoch in the run, the best weights in the model."""
    from dltool.training.fit import fit
    from dltool.model.files import load_weights, save_weights

    with stop_requests() as should_stop:
        fitted = fit(
            built,
            config,
            dataset,
            observer=RecordingObserver(run, progress),
            save_state=partial(write_checkpoint, run.checkpoints),
            save_best=lambda core: save_weights(core, run.best_weights),
            should_stop=should_stop,
        )
    if fitted.best_epoch is not None:
        load_weights(built.core, run.best_weights)
    return fitted


class RecordingObserver:
    """Passes on what the training loop tells, and writes the line of each epoch to the run."""

    def __init__(self, run: Run, progress: "Progress") -> None:
        self.run = run
        self.progress = progress

    def epoch_begins(self, epoch: int, epochs: int, steps: int) -> None:
        self.progress.epoch_begins(epoch, epochs, steps)

    def steps_done(self, step: int, logs: dict[str, float]) -> None:
        self.progress.steps_done(step, logs)

    def validation_begins(self) -> None:
        self.progress.validation_begins()

    def epoch_ends(self, record: "EpochRecord", is_best: bool) -> None:
        self.run.append_metrics(
            {
                "epoch": record.epoch,
                **record.logs,
                "learning_rate": record.learning_rate,
                "seconds": round(record.seconds, 3),
            }
        )
        self.progress.epoch_ends(record, is_best)


def written_results(
    run: Run, config: Config, dataset: Dataset, built: "BuiltModel", fitted: "FitResult"
) -> dict[str, Any]:
    """Save the model and measure it on the test part, once. The best weights are in it by now."""
    from dltool.evaluation.evaluate import evaluate
    from dltool.model.files import save_model

    save_model(built.full, run.model)
    test = evaluate(built, config, *dataset.part("test")) if len(dataset.split.test) else {}
    record = next((record for record in fitted.history if record.epoch == fitted.best_epoch), fitted.history[-1])
    return {
        "test": test,
        "validation": {name.removeprefix("val_"): v for name, v in record.logs.items() if name.startswith("val_")},
        "best": {"epoch": fitted.best_epoch, "monitor": fitted.monitor, "value": fitted.best_value},
        "epochs": len(fitted.history),
        "parameters": built.full.count_params(),
    }


def finished(run: Run, config: Config, results: dict[str, Any], clock: Clock, smoke: bool) -> TrainingOutcome:
    """Check what the config expects, and write results.json, the last file of a run."""
    seconds = clock.total()
    values = {
        **results["test"],
        **{f"val_{name}": value for name, value in results["validation"].items()},
        "seconds": seconds["total"],
        "parameters": results["parameters"],
    }
    missed = {} if smoke else missed_expectations(config.expect, values)
    expectations = {
        name: {"bound": bound, "value": values.get(name), "met": name not in missed}
        for name, bound in config.expect.items()
    }
    whole = {"status": "completed", **results, "seconds": seconds, "expectations": {} if smoke else expectations}
    run.write_json(run.results, whole)
    run.update("completed", seconds=seconds["total"])
    return TrainingOutcome(None if smoke else run.path, whole, tuple(missed.values()))


def check_reload(run: Run, results: Mapping[str, Any]) -> None:
    """What a smoke run adds: the run alone must give the numbers of its training again."""
    from dltool.commands.evaluate import evaluate

    if not results["test"]:
        return
    again = evaluate(run.path, "test").metrics
    if again != results["test"]:
        raise RunError(f"the reloaded model gives {again}, and gave {dict(results['test'])} after training")
