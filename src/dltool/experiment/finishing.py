"""A training run inside its directory, from the first epoch to results.json."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dltool.config.expectations import missed_expectations
from dltool.config.privacy_checks import published, spending
from dltool.config.schema import Config
from dltool.cost.meter import Meter
from dltool.durable_files import disk_errors, sync
from dltool.environment import concealed
from dltool.errors import DltoolError, Interrupted, MachineError
from dltool.experiment.assessing import assessed, explain_test
from dltool.experiment.opening import Experiment, best_model
from dltool.experiment.parts import Parts
from dltool.experiment.signals import StopNow, StopRequests
from dltool.experiment.stages import Stages
from dltool.imports import Import, import_drawing
from dltool.machine import usable_cores
from dltool.runs.checkpoint_file import CheckpointWriter, remove_checkpoints
from dltool.runs.costs import cost_of_all
from dltool.runs.files import MetricsLog, Run
from dltool.tracking import Tracking

if TYPE_CHECKING:
    from dltool.evaluation.findings import Assessment
    from dltool.experiment.listener import Progress
    from dltool.training.fit import FitResult, Fitting
    from dltool.training.state import EpochRecord, TrainingState


@dataclass(frozen=True)
class TrainingOutcome:
    """A completed run. `missed` describes the expectations it missed; `assessment` is of the test split; `profile` has
    seconds by activity; `published` says what is private. Unless it `is_kept`, it is removed when the command ends."""

    run: Path
    results: dict[str, Any]
    missed: tuple[str, ...]
    is_kept: bool
    assessment: "Assessment | None"
    profile: Mapping[str, float] | None
    published: str

    def record(self) -> dict[str, Any]:
        return {"run": str(self.run) if self.is_kept else None, **self.results}


def complete(
    run: Run,
    experiment: Experiment,
    fitting: "Fitting",
    stages: Stages,
    start: "TrainingState | None" = None,
    parts: Parts | None = None,
) -> TrainingOutcome:
    """Train from `start` if given, test, carry out the `parts`, write the results; the status records every ending.

    A requested profile goes to the run's folder `profile`: a trace of some steps and the seconds by activity.

    Raises DltoolError: see :func:`dltool.training.fit.fit`; MachineError: a file cannot be written."""
    progress, stops = stages.progress, stages.stops
    tracking = Tracking(experiment.config.track, run, progress.warn)
    stages.meter.continue_from(run)
    shared = contextlib.nullcontext() if parts is None else parts.shared(run, stages)
    with recorded_status(run, stages, tracking), stops.unmasked(), shared:
        for folder in (run.preprocessing, run.checkpoints):
            run.directory(folder)
        with disk_errors(run.path):
            sync(run.path)
        if fitting.profile.is_wanted:
            fitting.profile.folder = run.directory(run.profile)
        if experiment.is_kept:
            # Import the plotting libraries while compiled steps run.
            Import(import_drawing)
        results, assessment = without_model(experiment), None
        if experiment.config.data.is_refit:
            with stages.timed("train"), MetricsLog(run) as log:
                observer = RecordingObserver(log, stages, tracking, fitting, start)
                fitted = fitted_model(run, fitting, observer, stages, start)
            with stages.timed("test", "testing"):
                results, assessment = tested_model(run, experiment, fitted, progress, stops)
        if parts is not None:
            results, of_parts = with_parts(run, experiment, stages, parts, results)
            assessment = assessment or of_parts
        explain_test(run, experiment, results, stages)
        ending = stages.total(), stages.meter, experiment.is_tested
        results, missed = concluded(run, experiment.config, results, *ending)
        profile = profile_times(fitting, results["seconds"]) if fitting.profile.is_wanted else None
        if profile is not None:
            run.write_json(run.profile / "times.json", profile)
        words = published(experiment.config)
        return TrainingOutcome(run.path, results, missed, experiment.is_kept, assessment, profile, words)


def profile_times(fitting: "Fitting", seconds: Mapping[str, float]) -> dict[str, float]:
    """Return wall seconds by activity, and the CPU utilisation of the compiled steps."""
    inside = fitting.profile.seconds
    # Further phases are traced when they begin.
    trace, later = inside.get("trace", 0.0), inside.get("trace in training", 0.0)
    within = {name: inside.get(name, 0.0) for name in ("compute", "validation", "callbacks", "checkpoints")}
    busy = fitting.profile.processor / (usable_cores() * max(within["compute"], 1e-9))
    parts = {
        "data": seconds["data"],
        "import": seconds["import"],
        "build": seconds["build"] - trace,
        "trace": trace + later,
        **within,
        "rest of training": seconds["train"] - later - sum(within.values()),
        "test": seconds["test"],
        "total": seconds["total"],
        "idle cores in compute": 1 - min(1.0, busy),
    }
    return {name: round(value, 3) for name, value in parts.items()}


def report_of_training(
    run: Run, experiment: Experiment, assessment: "Assessment | None", stages: Stages, parts: Parts | None = None
) -> None:
    """Write the report of a run that has just completed. A failure is a warning."""
    stages.progress.stage("writing the report")
    later = f"dltool report {run.path} writes it"
    try:
        with stages.stops.unmasked():
            from dltool.explain.kept import kept_sections
            from dltool.report.contents import Subject, contents
            from dltool.report.write import write_report
            from dltool.runs.records import read_contents

            config, dataset, built = experiment.config, experiment.dataset, experiment.built
            sections = (*(() if parts is None else parts.sections(run)), *kept_sections(run))
            subject = Subject(read_contents(run), config, dataset.facts, dataset, built, assessment, sections=sections)
            write_report(run, contents(subject))
    except StopNow:
        stages.progress.warn(f"stopped while the report was written; the run is complete, and {later}")
    except Exception as error:  # noqa: BLE001 (whatever it is, the run is complete: a report never fails one)
        reason = str(error) or type(error).__name__
        stages.progress.warn(f"the report could not be written: {reason}; the run is complete, and {later}")


@contextlib.contextmanager
def recorded_status(run: Run, stages: Stages, tracking: Tracking) -> Iterator[None]:
    """Record how the block ends as the run's status, with its cost until then, and report it to the trackers."""
    progress = stages.progress
    try:
        yield
        tracking.close("completed")
    except (Interrupted, StopNow) as error:
        error.kept, error.can_resume = str(run.path), is_resumable(run)
        run.update("interrupted", cost=stages.meter.read().model_dump())
        tracking.close("interrupted")
        progress.ended_early("interrupted")
        raise
    except BaseException as error:
        code = 1
        if isinstance(error, DltoolError):
            # Another program may have removed the run.
            error.kept, code = str(run.path) if run.record.exists() else "", error.exit_code
            # Other failures would recur.
            error.can_resume = isinstance(error, MachineError) and is_resumable(run)
        # This write may fail for the same reason; report the first error.
        with contextlib.suppress(DltoolError):
            reason, cost = concealed(str(error)) or type(error).__name__, stages.meter.read().model_dump()
            run.update("failed", reason=reason, exit_code=code, cost=cost)
        tracking.close("failed")
        progress.ended_early("failed")
        raise


def is_resumable(run: Run) -> bool:
    """Return whether the run's config allows resuming."""
    with contextlib.suppress(DltoolError):
        return run.read_json(run.record).get("resumable") is not False
    return False


def fitted_model(
    run: Run, fitting: "Fitting", observer: "RecordingObserver", stages: Stages, start: "TrainingState | None"
) -> "FitResult":
    """Train the model, which then has its best weights. The run gets checkpoints, best weights and a metrics line an
    epoch."""
    from dltool.model.saving import save_weights
    from dltool.model.trainable import merge_lora
    from dltool.training.fit import fit
    from dltool.training.state import assign

    since = None if start is None else start.state["position"]["steps"]
    # Keras's loading catches a signal's exception and calls the file damaged.
    with stages.stops.patient(), stages.meter.training(*fitting.steps.flops):
        with CheckpointWriter(run.checkpoints, since) as checkpoints:
            fitted = fit(
                fitting,
                observer=observer,
                save_state=checkpoints.submit,
                wait_for_state=checkpoints.wait,
                save_best=lambda best: save_weights(best, run.best_weights),
                should_stop=stages.stops.asked,
                start=start,
            )
        if fitted.best_epoch is None:
            # The monitored value was never a number: keep the last weights.
            save_weights(fitting.core, run.best_weights)
        else:
            assign(fitting.core, fitting.recovery.best_weights)
        merge_lora(fitting.core)
    return fitted


class RecordingObserver:
    """Forwards the events of the training loop, writes each epoch's metrics to the run, and counts its examples: a
    run that resumes with the state `start` has passed those before."""

    def __init__(
        self, log: MetricsLog, stages: Stages, tracking: Tracking, fitting: "Fitting", start: "TrainingState | None"
    ) -> None:
        self.log, self.progress, self.meter, self.tracking = log, stages.progress, stages.meter, tracking
        self.epoch_begins, self.validation_begins = self.progress.epoch_begins, self.progress.validation_begins
        self.rows, self.batch_size = len(fitting.steps.rows), fitting.config.training.batch_size
        # Steps of this epoch.
        self.passed = 0 if start is None else start.state["position"]["step"]

    def steps_done(self, step: int, logs: dict[str, float]) -> None:
        before, now = (min(self.rows, each * self.batch_size) for each in (self.passed, step))
        self.meter.trained(now - before)
        self.passed = step
        self.progress.steps_done(step, logs)

    def epoch_ends(self, record: "EpochRecord", is_best: bool) -> None:
        line = metrics_line(record)
        self.passed = 0
        self.log.append(line)
        self.progress.epoch_ends(record, is_best)
        self.tracking.add(line)


def metrics_line(record: "EpochRecord") -> dict[str, Any]:
    """Return an epoch's line of metrics.jsonl."""
    fitted = {"epoch": record.epoch, **record.logs, "learning_rate": record.learning_rate}
    return {**fitted, "seconds": round(record.seconds, 3)}


def without_model(experiment: Experiment) -> dict[str, Any]:
    """Return the results of a run that trains its parts alone."""
    best = {"epoch": None, "monitor": None, "value": None}
    parameters = experiment.built.full.count_params()
    return {"test": {}, "intervals": {}, "validation": {}, "best": best, "epochs": 0, "parameters": parameters}


def tested_model(
    run: Run, experiment: Experiment, fitted: "FitResult", progress: "Progress", stops: StopRequests
) -> tuple[dict[str, Any], "Assessment | None"]:
    """Save and test the model with its best weights; return the results of the run."""
    test, assessment = saved_and_tested(run, experiment, progress, stops)
    best = next((record for record in fitted.history if record.epoch == fitted.best_epoch), fitted.history[-1])
    results = {
        **test,
        "validation": {name.removeprefix("val_"): v for name, v in best.logs.items() if name.startswith("val_")},
        "best": {"epoch": fitted.best_epoch, "monitor": fitted.monitor, "value": fitted.best_value},
        "epochs": len(fitted.history),
        **privacy_record(experiment.config, experiment.dataset.facts.examples, fitted.steps),
    }
    return results, assessment


def with_parts(
    run: Run, experiment: Experiment, stages: Stages, parts: Parts, results: Mapping[str, Any]
) -> tuple[dict[str, Any], "Assessment | None"]:
    """Carry out the parts, and save and test the mean of their models if that is the model of the run. Return the
    `results` with theirs."""
    with stages.timed("parts"):
        found, together = parts.carry_out(run, experiment, stages, results)
    if experiment.config.data.final != "ensemble":
        return {**results, **found}, together
    with stages.timed("test", "testing"):
        whole = replace(experiment, built=best_model(run, experiment.config, experiment.dataset.facts))
        test, assessment = saved_and_tested(run, whole, stages.progress, stages.stops)
    return {**results, **found, **test, "ensemble": len(run.parts)}, assessment or together


def saved_and_tested(
    run: Run, experiment: Experiment, progress: "Progress", stops: StopRequests
) -> tuple[dict[str, Any], "Assessment | None"]:
    """Save the model, evaluate it once on the test split, and write the evaluation. A run that is not tested is one of
    several to choose from, and a part is one of several together: their models are not saved."""
    from dltool.evaluation.findings import interval_record
    from dltool.evaluation.kept_outputs import OUTPUTS
    from dltool.evaluation.thresholds import decided_model
    from dltool.model.saving import save_model

    dataset, built = experiment.dataset, experiment.built
    is_part = run.whole is not None
    with stops.patient():
        if experiment.is_tested and not is_part:
            save_model(built.full, run.model)
    config, built, thresholds = decided_model(experiment.config, dataset, built)
    assessment = None
    test: dict[str, Any] = {"test": {}, "intervals": {}}
    if experiment.is_tested and len(dataset.split.test):
        warn = progress.warn if experiment.is_kept else None
        keeps_outputs = is_part or config.training.seeds is not None
        assessment, files = assessed(config, dataset, built, dataset.examples("test"), warn, is_part, keeps_outputs)
        values = {name: interval.value for name, interval in assessment.metrics.items()}
        test = {"test": values, "intervals": interval_record(assessment.metrics)}
        if keeps_outputs:
            run.write(run.outputs, files.pop(OUTPUTS))
        run.replace_folder(run.evaluation / "test", files)
    decided = {name: each.model_dump() for name, each in thresholds.items()}
    parameters = {"parameters": built.full.count_params()}
    return {**test, **parameters, **({"thresholds": decided} if thresholds else {})}, assessment


def privacy_record(config: Config, examples: int, steps: int) -> dict[str, Any]:
    """Return the field of results.json on what the steps of a private training have spent; empty for others."""
    spent, options = spending(config, examples, steps), config.training.privacy
    return {"privacy": {"epsilon": spent.epsilon, "clip": options.clip, **asdict(spent)}} if spent and options else {}


def concluded(
    run: Run, config: Config, results: dict[str, Any], seconds: Mapping[str, float], meter: Meter, is_tested: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Check the expectations and write results.json, the last file of a run. Return it, and what was missed. Without a
    test split, the metrics are those of the folds together. The key of private noise goes with the checkpoints."""
    expect, privacy, own = config.expect, config.training.privacy, meter.read()
    cost = (own + cost_of_all(part.path for part in run.parts)).rated(config.cost, usable_cores())
    values = {
        **{name: each["value"] for name, each in results.get("folds", {}).get("metrics", {}).items()},
        **results["test"],
        **{f"val_{name}": value for name, value in results["validation"].items()},
        "seconds": seconds["total"],
        "parameters": results["parameters"],
        **({"epsilon": results["privacy"]["epsilon"]} if "privacy" in results else {}),
        **cost.amounts,
    }
    missed = missed_expectations(expect, values)
    expectations = {
        name: {"bound": bound, "value": values.get(name), "met": name not in missed} for name, bound in expect.items()
    }
    is_trained = results["epochs"] > 0
    has_model = (is_trained or "ensemble" in results) and is_tested and run.whole is None
    run.refuse_missing(is_trained, has_model)
    found = {"seconds": seconds, "cost": cost.model_dump(), "expectations": expectations}
    whole = {"status": "completed", **results, **found}
    run.write_json(run.results, whole)
    if privacy is not None and privacy.is_secret:
        remove_checkpoints(run.checkpoints)
    run.update("completed", cost=own.model_dump())
    return whole, tuple(missed.values())
