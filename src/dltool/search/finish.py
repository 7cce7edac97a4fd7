"""The end of a search: other seeds for the best trials, one test of the winner, its config, and less disk."""

import math
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from dltool.config.load import with_option
from dltool.data.dataset import Read
from dltool.durable_files import disk_errors
from dltool.errors import TrainingDiverged
from dltool.evaluation.bootstrap import paired_difference
from dltool.experiment.assessing import assessed
from dltool.experiment.finishing import concluded, report_of_training
from dltool.experiment.opening import Experiment, best_model, recorded_data, recorded_model
from dltool.experiment.stages import Stages
from dltool.machine import usable_cores
from dltool.runs.costs import cost_of_all
from dltool.runs.directory import open_run
from dltool.runs.files import Run
from dltool.runs.summaries import missed_by
from dltool.search.best_config import write_best
from dltool.search.rungs import Trial
from dltool.search.search_folder import SearchFolder, SearchRecord, curve_of, free
from dltool.search.search_page import BETTER, UNCLEAR, WORSE, search_page
from dltool.search.searching import Search
from dltool.text import counted, number

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress

SPLIT_SEED = "data.split.seed"
SEED = 0
"""Of the bootstrap."""


@dataclass(frozen=True)
class SearchOutcome:
    """A finished search. `result` is that of search.json; `missed` are the expectations that its winner missed."""

    folder: Path
    metric: str
    result: Mapping[str, Any]
    missed: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        found = {"search": str(self.folder), "status": "completed", "metric": self.metric, **self.result}
        return {**found, "missed": list(self.missed)}


def finish(search: Search, best: Trial) -> None:
    """Choose the winner, test it once, and write best.yaml, the report and the result.

    What a killed process has done of it is found again. Raises DltoolError: a training or the test fails."""
    folder, record, mode = search.folder, search.record, search.measured.mode
    with folder.locked():
        trials = search.trials()
        assert search.study is not None
        for trial in trials:
            search.study.end(trial)
    again: dict[int, list[float]] = {}
    if record.seeds > 1:
        complete = (each for each in trials if each.is_complete)
        for trial in sorted(complete, key=lambda each: each.rank(mode))[: record.seeds]:
            again[trial.number] = reseeded(search, trial)
        means = [replace(trials[each], curve=(fmean([trials[each].best(mode), *again[each]]),)) for each in again]
        best = trials[min(means, key=lambda each: each.rank(mode)).number]
    run = folder.run(best.number)
    assert run is not None
    with search.watch.listening("testing the winner") as progress:
        results = tested_once(run, search.read, Stages(progress, search.stops))
        compared = compared_on_test(search, run, folder.run(0)) if best.number else None
    title = f"The best of {counted(len(trials), 'trial')} of dltool search: {record.metric} {number(best.best(mode))}"
    with disk_errors(folder.best):
        write_best(folder.best, folder.original.read_bytes(), Path(record.config), search.document_of(best), title)
    result = {
        "trials": len(trials),
        "winner": best.number,
        "run": str(run.path),
        "values": dict(best.values),
        "value": best.best(mode),
        "as_written": trials[0].best(mode),
        **{key: results.get(key, {}) for key in ("test", "intervals")},
        "against_written": compared,
        "other_seeds": {str(each): values for each, values in again.items()},
        "failed": {str(each.number): each.reason for each in trials if each.reason},
        "epochs": sum(each.epochs for each in trials),
        "cost": cost_of_all(folder.trials.glob("*/0*")).rated(search.config.cost, usable_cores()).amounts,
        "best": str(folder.best),
    }
    folder.write_file(folder.page, search_page(record, search.space, trials, result).encode())
    # Weights are removed once nothing needs them: a process may be killed in between.
    with folder.locked():
        folder.update(result=result)


def finished(folder: SearchFolder) -> SearchOutcome:
    """Remove what a search that has its result no longer needs, unless that has happened, and return the outcome."""
    record = folder.record()
    with ExitStack() as claim:
        if record.status != "completed" and record.result is not None and folder.claim(0, claim):
            if not record.keep_all:
                free_disk(folder, record.result["winner"])
            with folder.locked():
                record = folder.update(status="completed")
    return outcome_of(folder, record)


def outcome_of(folder: SearchFolder, record: SearchRecord) -> SearchOutcome:
    """Return the outcome of a completed search, whose folder may have been moved."""
    result, missed = dict(record.result or {}), tuple[str, ...]()
    if "winner" in result and (run := folder.run(result["winner"])) is not None:
        result |= {"run": str(run.path), "best": str(folder.best)}
        missed = missed_by(run)
    return SearchOutcome(folder.path, record.metric, result, missed)


def reseeded(search: Search, trial: Trial) -> list[float]:
    """Return the best values of a trial with other seeds, on the same split; train those that are missing. A run that
    fails has the worst value."""
    config, folder, mode, found = search.config, search.folder, search.measured.mode, []
    split_seed = config.data.split.seed if config.data.split.seed is not None else config.seed
    for which in range(2, search.record.seeds + 1):
        run, seed = folder.run(trial.number, which), (config.seed + which - 1) % 2**32
        if run is None or not run.is_complete():
            document = with_option(search.document_of(trial, {SPLIT_SEED: split_seed}), "seed", seed)
            with suppress(TrainingDiverged):
                name = folder.trial_folder(trial.number).name
                search.train(document, name, run, None, f"trial {trial.number} with the seed {seed}")
        run = folder.run(trial.number, which)
        is_whole = run is not None and run.is_complete()
        curve = curve_of(run, search.record.metric) if run is not None and is_whole else ()
        value = replace(trial, curve=curve).best(mode)
        found.append(value if not math.isnan(value) else math.inf if mode == "min" else -math.inf)
    return found


def tested_once(run: Run, read: Read, stages: Stages) -> dict[str, Any]:
    """Save the best model of a run, measure it on the test split and write its report, as training does at its end,
    unless a killed process has done so. Return the results."""
    results = run.read_json(run.results)
    if results["test"] and run.report.exists():
        return results
    from dltool.config.outputs import heads_of
    from dltool.evaluation.findings import interval_record
    from dltool.evaluation.thresholds import recorded_decision
    from dltool.model.saving import load_weights, save_model

    progress: Progress = stages.progress
    with run.locked():
        config, dataset = recorded_data(run, read=read)
        built, pinned = recorded_model(run, config, dataset.facts)
        load_weights(built.core, run.best_weights, is_own=True)
        save_model(built.full, run.model)
        assessment = None
        if len(dataset.split.test):
            decided, _ = recorded_decision(run, config, dataset.facts)
            shown = replace(built, heads=heads_of(decided))
            assessment, files = assessed(decided, dataset, shown, dataset.examples("test"), progress.warn)
        if assessment is not None and not results["test"]:
            run.replace_folder(run.evaluation / "test", files)
            values = {name: interval.value for name, interval in assessment.metrics.items()}
            found = {**results, "test": values, "intervals": interval_record(assessment.metrics)}
            seconds = found.pop("seconds")
            stages.meter.continue_from(run)
            results, _ = concluded(run, config, found, seconds, stages.meter, is_tested=True)
        report_of_training(run, Experiment(config, dataset, built, pinned), assessment, stages)
    return results


def compared_on_test(search: Search, run: Run, written: Run | None) -> dict[str, Any] | None:
    """Return how far the winner's test metric is from that of the config as written, with a paired bootstrap interval.

    Nothing is chosen by it. The metric is that of the search if it is a mean over examples, else the loss."""
    from dltool.evaluation.measure import measure

    assert written is not None
    found = []
    for each in (written, run):
        config, dataset = recorded_data(each, read=search.read)
        if not len(dataset.split.test):
            return None
        built = best_model(each, config, dataset.facts)
        found.append(measure(built, config, dataset.examples("test")).values)
    wanted = search.record.metric.removeprefix("val_")
    metric = wanted if all(wanted in values for values in found) else "loss"
    first, second = (values[metric] for values in found)
    difference = paired_difference(first, second, SEED)
    sign = 1 if metric != "loss" and search.measured.mode == "max" else -1
    return {
        "metric": metric,
        "as_written": float(first.mean()),
        "winner": float(second.mean()),
        "difference": [difference.value, difference.low, difference.high],
        "verdict": UNCLEAR if not difference.exceeds_noise else BETTER if sign * difference.value > 0 else WORSE,
    }


def free_disk(folder: SearchFolder, best: int) -> None:
    """Remove the states and the weights of all trials but the winner.

    Their configs and metrics stay."""
    winner = folder.run(best)
    for path in sorted(folder.trials.glob("*/0*")):
        if (run := open_run(path)) != winner:
            free(run)
