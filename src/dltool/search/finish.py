"""The end of a search: other seeds for the best trials, one test of the winner, its config, and less disk."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from dltool.config.load import with_option
from dltool.data.dataset import Read
from dltool.durable_files import disk_errors
from dltool.errors import MachineError
from dltool.experiment.assessing import assessed
from dltool.experiment.finishing import concluded, report_of_training
from dltool.experiment.opening import Experiment, recorded_data, recorded_model
from dltool.experiment.stages import Stages
from dltool.runs.checkpoint_file import remove_checkpoints
from dltool.runs.files import Run
from dltool.search.best_config import write_best
from dltool.search.rungs import Trial
from dltool.search.search_folder import SearchFolder, SearchRecord, curve_of
from dltool.search.search_page import search_page
from dltool.search.searching import Search
from dltool.text import counted, number

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress

SPLIT_SEED = "data.split.seed"


@dataclass(frozen=True)
class SearchOutcome:
    """A finished search. `result` is that of search.json."""

    folder: Path
    metric: str
    result: Mapping[str, Any]

    def record(self) -> dict[str, Any]:
        return {"search": str(self.folder), "status": "completed", "metric": self.metric, **self.result}


def finished(search: Search, best: Trial) -> SearchOutcome:
    """Choose the winner, test it once, and write best.yaml, the result and the report.

    What a killed process has done of it is found again. Raises DltoolError: a training or the test fails."""
    folder, record = search.folder, search.record
    with folder.locked():
        trials = search.trials()
    mode = search.measured.mode
    again: dict[int, list[float]] = {}
    if record.seeds > 1:
        complete = [each for each in trials if each.is_complete]
        for trial in sorted(complete, key=lambda each: each.rank(mode))[: record.seeds]:
            again[trial.number] = reseeded(search, trial)
        means = {each: fmean([trials[each].best(mode), *values]) for each, values in again.items()}
        best = trials[min(means, key=lambda each: (means[each] if mode == "min" else -means[each], each))]
    run = folder.run(best.number)
    assert run is not None
    with search.watch.listening("testing the winner") as progress:
        results = tested_once(run, search.read, Stages(progress, search.stops))
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
        "test": results["test"],
        "intervals": results.get("intervals", {}),
        "other_seeds": {str(each): values for each, values in again.items()},
        "failed": {str(each.number): each.reason for each in trials if each.reason},
        "epochs": sum(each.epochs for each in trials),
        "best": str(folder.best),
    }
    with folder.locked():
        assert search.study is not None
        for trial in trials:
            search.study.end(trial, "PRUNED", mode)
        search.record = folder.update(status="completed", result=result)
    trials = [folder.reached(each, record.metric) for each in trials]
    folder.write_file(folder.page, search_page(search.record, search.space, trials, result).encode())
    if not record.keep_all:
        free_disk(folder, trials, best)
    return outcome_of(folder, search.record)


def outcome_of(folder: SearchFolder, record: SearchRecord) -> SearchOutcome:
    """Return the outcome of a completed search."""
    return SearchOutcome(folder.path, record.metric, record.result or {})


def reseeded(search: Search, trial: Trial) -> list[float]:
    """Return the best values of a trial with other seeds, on the same split; train those that are missing."""
    config, folder, found = search.config, search.folder, []
    split_seed = config.data.split.seed if config.data.split.seed is not None else config.seed
    for which in range(2, search.record.seeds + 1):
        run = folder.run(trial.number, which)
        if run is None or not run.is_complete():
            seed = (config.seed + which - 1) % 2**32
            document = with_option(search.document_of(trial, (SPLIT_SEED, split_seed)), "seed", seed)
            title = f"trial {trial.number} with the seed {seed}"
            search.train(document, folder.trial_folder(trial.number).name, run, None, title)
        run = folder.run(trial.number, which)
        assert run is not None
        curve = curve_of(run, search.record.metric)
        found.append(replace(trial, curve=curve).best(search.measured.mode))
    return found


def tested_once(run: Run, read: Read, stages: Stages) -> dict[str, Any]:
    """Measure the best weights of a run on the test split unless that has happened, as training does at its end.

    Return the results."""
    results = run.read_json(run.results)
    if results["test"]:
        return results
    from dltool.config.outputs import heads_of
    from dltool.evaluation.findings import interval_record
    from dltool.evaluation.thresholds import recorded_decision
    from dltool.model.saving import load_weights

    progress: Progress = stages.progress
    with run.locked():
        config, dataset = recorded_data(run, read=read)
        if not len(dataset.split.test):
            return results
        built, pinned = recorded_model(run, config, dataset.facts)
        load_weights(built.core, run.best_weights, is_own=True)
        decided, _ = recorded_decision(run, config, dataset.facts)
        shown = replace(built, heads=heads_of(decided))
        assessment, files = assessed(decided, dataset, shown, dataset.examples("test"), progress.warn)
        run.replace_folder(run.evaluation / "test", files)
        values = {name: interval.value for name, interval in assessment.metrics.items()}
        found = {**results, "test": values, "intervals": interval_record(assessment.metrics)}
        seconds = found.pop("seconds")
        results, _ = concluded(run, config.expect, found, seconds)
        report_of_training(run, Experiment(config, dataset, built, pinned), assessment, stages)
    return results


def free_disk(folder: SearchFolder, trials: Sequence[Trial], best: Trial) -> None:
    """Remove the states of all trials but the winner, and the weights and models of those that did not win.

    Their configs and metrics stay."""
    for trial in trials:
        runs = [run for which in range(1, 100) if (run := folder.run(trial.number, which)) is not None]
        for run in runs if trial.number != best.number else runs[1:]:
            with suppress(MachineError), run.locked():
                remove_checkpoints(run.checkpoints)
                for file in (run.best_weights, run.model):
                    file.unlink(missing_ok=True)
