"""All folds of a run together: each example is predicted by a model that was not trained on it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dltool.config.schema import Config
from dltool.data.dataset import Dataset
from dltool.errors import RunError
from dltool.evaluation.bootstrap import Interval, widened
from dltool.evaluation.findings import Assessment, Baseline
from dltool.evaluation.intervals import metric_intervals
from dltool.evaluation.kept_outputs import KeptOutputs, read_outputs
from dltool.evaluation.measure import Measurement, metrics_by_output
from dltool.evaluation.membership import audit
from dltool.evaluation.predictions import Columns
from dltool.evaluation.slices import comparisons
from dltool.evaluation.stored import ExampleValues, digest_of, evaluation_files, prediction_table
from dltool.evaluation.tasks import assessed_outputs
from dltool.evaluation.thresholds import recorded_decision
from dltool.experiment.opening import Experiment
from dltool.folds.seed_results import two_levels
from dltool.model.build import BuiltModel
from dltool.report.verdict import less_is_better
from dltool.runs.files import Run, digest
from dltool.runs.records import Evaluation, Results, read, read_results
from dltool.training.batches import in_loss_form, model_targets
from dltool.training.loop import logs_of

NAME = "folds"
"""The evaluation of all folds, a folder beside that of the test split."""


@dataclass(frozen=True)
class FoldRun:
    """One trained fold: its run, results and outputs, its number from 1 on, that of its repeat from 0 on, and its
    seed."""

    run: Run
    results: Results
    outputs: KeptOutputs
    fold: int
    repeat: int
    seed: int


def folds_together(
    run: Run, experiment: Experiment, warn: Callable[[str], None]
) -> tuple[dict[str, Any], Assessment | None]:
    """Write the evaluation of all folds of the run; return their part of its results. Raises RunError: a fold is
    damaged."""
    config, dataset, built = experiment.config, experiment.dataset, experiment.built
    count = config.data.split.folds or 0
    folds = trained_folds(run, config, dataset)
    rows = np.concatenate([fold.outputs.rows for fold in folds])
    measured = together(experiment, folds, rows)
    targets = {name: values[rows] for name, values in dataset.targets.items()}
    clusters = clusters_of(dataset, rows, len(folds) > count)
    repeats = len(folds) // count
    intervals = metric_intervals(built, measured, targets, config.seed, clusters, repeats)
    if config.training.seeds is not None:
        intervals = seeded_intervals(intervals, measured, clusters, config)
    values = measured.values
    metrics = {name: possible(name, widened(each, count), values.get(name)) for name, each in intervals.items()}
    baselines = pooled_baselines(folds)
    # A row stands in the figures once.
    first = folds[:count]
    kept = np.concatenate([fold.outputs.rows[fold.outputs.kept] for fold in first])
    order = np.argsort(kept)
    outputs = {name: np.concatenate([fold.outputs.outputs[name] for fold in first])[order] for name in measured.outputs}
    shown = {name: values[kept[order]] for name, values in dataset.targets.items()}
    found = assessed_outputs(config, dataset.facts, shown, outputs, kept[order], warn if experiment.is_kept else None)
    clusters = clusters_of(dataset, kept[order], is_repeated=False)
    examples = dataset.all.take(kept[order])
    groups = tuple(comparisons(config, dataset.facts, examples, outputs, clusters, count))
    members = np.concatenate([fold.outputs.beyond for fold in folds])
    audited = audit(members, values["loss"], config.seed)
    assessment = Assessment(NAME, len(np.unique(rows)), metrics, found, baselines, groups, audited)
    table = prediction_rows(folds, experiment)
    run.replace_folder(run.evaluation / NAME, evaluation_files(assessment, example_means(dataset, folds), table))
    results = {"folds": record(dataset, folds, metrics, baselines, config)}
    if config.training.privacy is not None and not config.data.is_refit:
        # Without a model of its own, the run has spent what each of its folds has.
        results["privacy"] = max((fold.results.privacy for fold in folds), key=lambda each: each["epsilon"])
    return results, assessment


def trained_folds(run: Run, config: Config, dataset: Dataset) -> list[FoldRun]:
    """Return all folds of the run, repeat by repeat, and seed by seed. Raises RunError: one is missing, damaged, or of
    other data."""
    count = config.data.split.folds
    assert dataset.split.folds is not None
    assert count is not None
    each = count * len(dataset.split.folds.numbers)
    folds = []
    for part in run.parts:
        seed, index = divmod(int(part.number) - 1, each)
        own = index % count + 1, index // count, (config.seed + seed) % 2**32
        folds.append(FoldRun(part, read_results(part), read_outputs(part), *own))
    expected = range(1, each * (config.training.seeds or 1) + 1)
    if [fold.run.number for fold in folds] != [str(number) for number in expected]:
        raise RunError(f"{run.folds} does not hold the folds of the run", "train a new run")
    for fold in folds:
        found, first = fold.outputs, folds[0].outputs
        if (found.values.keys(), found.outputs.keys()) != (first.values.keys(), first.outputs.keys()):
            raise RunError(f"{fold.run.outputs} has other metrics or outputs than the first fold", "train a new run")
        tested = np.flatnonzero(dataset.split.folds.numbers[fold.repeat] == fold.fold)
        if not np.array_equal(found.rows, tested) or np.any((found.kept < 0) | (found.kept >= len(tested))):
            raise RunError(f"{fold.run.outputs} has other rows than the fold", "train a new run")
    return folds


def together(experiment: Experiment, folds: Sequence[FoldRun], rows: np.ndarray) -> Measurement:
    """Return the outputs and values of all folds, one after the other, with the metrics of all of them together: of
    several repeats or seeds their mean, as each has every example once.

    A metric that is no mean over examples is computed of all folds of a repeat at once: means over folds bias F1. For
    AUC they are preferred, but a fold with one class has none; results.json has them as `mean`. Source: G. Forman and
    M. Scholz, Apples-to-Apples in Cross-Validation Studies, SIGKDD Explorations 12, 2010."""
    first = folds[0].outputs
    values = {name: np.concatenate([fold.outputs.values[name] for fold in folds]) for name in first.values}
    outputs = {name: np.concatenate([fold.outputs.outputs[name] for fold in folds]) for name in first.outputs}
    starts = np.cumsum([0, *(len(fold.outputs.rows) for fold in folds)])
    kept = np.concatenate([start + fold.outputs.kept for start, fold in zip(starts, folds, strict=False)])
    shares = np.array([len(fold.outputs.rows) for fold in folds], float)
    metrics = {
        name: float(np.average([fold.results.test[name] for fold in folds], weights=shares))
        for name in folds[0].results.test
        # NaN is no number in results.json.
        if all(name in fold.results.test for fold in folds)
    }
    if len(kept) == len(rows):
        wanted, found = [name for name in metrics if name not in values], []
        for positions in np.split(np.arange(len(rows)), len(folds) // (experiment.config.data.split.folds or 1)):
            targets = {name: each[rows[positions]] for name, each in experiment.dataset.targets.items()}
            of_repeat = {name: each[positions] for name, each in outputs.items()}
            found.append(state_metrics(experiment.built, targets, of_repeat, wanted))
        metrics |= {name: float(np.mean([each[name] for each in found])) for name in found[0]}
    return Measurement(metrics, values, outputs, kept, None)


def seeded_intervals(
    found: Mapping[str, Interval], measured: Measurement, clusters: np.ndarray | None, config: Config
) -> dict[str, Interval]:
    """Return the intervals of another seed on other rows, of metrics that are means over examples; `found` are those of
    the rows. `clusters` are of all rows of all seeds, one seed after another."""
    count = config.training.seeds or 1
    own = None if clusters is None else np.split(clusters, count)[0]
    return {
        name: Interval(each.value, *two_levels(np.split(measured.values[name], count), config.seed, own))
        if each.low is not None and name in measured.values
        else Interval(each.value)
        for name, each in found.items()
    }


def possible(name: str, interval: Interval, values: np.ndarray | None) -> Interval:
    """Return the interval within the values that the metric can have: those of the examples, whose mean it is, or up to
    1 for a metric of which more is better, such as AUC."""
    if interval.low is None or interval.high is None:
        return interval
    is_share = values is None and interval.value <= 1 and not less_is_better(name)
    limits = (-np.inf, 1.0 if is_share else np.inf) if values is None else (float(values.min()), float(values.max()))
    return Interval(interval.value, *(min(max(end, limits[0]), limits[1]) for end in (interval.low, interval.high)))


def state_metrics(
    built: BuiltModel, targets: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray], wanted: Sequence[str]
) -> dict[str, float]:
    """Return the `wanted` metrics, which are no means over examples, of all these examples at once."""
    found: dict[str, float] = {}
    by_output = model_targets(built, targets)
    for output, by_name in metrics_by_output(built).items():
        for name, metric in by_name.items():
            if output not in by_output or not any(each == name or each.startswith(f"{name}_") for each in wanted):
                continue
            metric.reset_state()
            metric.update_state(in_loss_form(built, output, by_output[output]), outputs[output])
            found |= logs_of({name: metric.result()})
            metric.reset_state()
    return {name: float(value) for name, value in found.items() if name in wanted}


def clusters_of(dataset: Dataset, rows: np.ndarray, is_repeated: bool) -> np.ndarray | None:
    """Return the cluster of each of the `rows`: its group or block, else the row itself if it is there repeatedly."""
    folds = dataset.split.folds
    if folds is not None and folds.clusters is not None:
        return np.asarray(folds.clusters[rows])
    return rows if is_repeated else None


def example_means(dataset: Dataset, folds: Sequence[FoldRun]) -> ExampleValues:
    """Return the values of each tested example, its mean over the repeats, by row."""
    rows, positions = np.unique(np.concatenate([fold.outputs.rows for fold in folds]), return_inverse=True)
    counts = np.bincount(positions)
    values = {
        name: (np.bincount(positions, np.concatenate([fold.outputs.values[name] for fold in folds])) / counts)
        for name in folds[0].outputs.values
    }
    targets = {name: each[rows] for name, each in dataset.targets.items()}
    return ExampleValues(rows, values, digest_of(targets), clusters_of(dataset, rows, is_repeated=False))


def prediction_rows(folds: Sequence[FoldRun], experiment: Experiment) -> Columns | None:
    """Return the predictions of all folds by row, with the number of the fold, its repeat and its seed."""
    dataset, tables = experiment.dataset, []
    for fold in folds:
        # A threshold may have been chosen in each fold.
        config, _ = recorded_decision(fold.run, experiment.config, dataset.facts)
        rows = fold.outputs.rows[fold.outputs.kept]
        targets = {name: values[rows] for name, values in dataset.targets.items()}
        places = {"row": rows, **{name: values[rows] for name, values in dataset.all.places.items()}}
        places["fold"] = np.full(len(rows), fold.fold)
        if experiment.config.data.split.repeats is not None:
            places["repeat"] = np.full(len(rows), fold.repeat + 1)
        if experiment.config.training.seeds is not None:
            places["seed"] = np.full(len(rows), fold.seed)
        table = prediction_table(config, dataset.facts, targets, fold.outputs.outputs, places)
        if table is None:
            return None
        tables.append(table)
    whole = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    order = np.argsort(whole["row"], kind="stable")
    return {name: column[order] for name, column in whole.items()}


def fold_baselines(folds: Sequence[FoldRun]) -> dict[tuple[str, str], list[float | None]]:
    """Return the value of each baseline in each fold, by name and metric; None if a fold has none."""
    found: dict[tuple[str, str], list[float | None]] = {}
    for index, fold in enumerate(folds):
        for each in read(fold.run, fold.run.evaluation / "test" / "metrics.json", Evaluation).baselines:
            values = found.setdefault((each.name, each.metric), [None] * len(folds))
            values[index] = each.value
    return found


def pooled_baselines(folds: Sequence[FoldRun]) -> tuple[Baseline, ...]:
    """Return the baselines of all folds: their means, weighted by the examples."""
    weights = [len(fold.outputs.rows) for fold in folds]
    return tuple(
        Baseline(name, metric, None, "not computed in every fold")
        if None in values
        else Baseline(name, metric, float(np.average(np.array(values, float), weights=weights)))
        for (name, metric), values in fold_baselines(folds).items()
    )


def record(
    dataset: Dataset,
    folds: Sequence[FoldRun],
    metrics: Mapping[str, Interval],
    baselines: Sequence[Baseline],
    config: Config,
) -> dict[str, Any]:
    """Return what results.json holds of the folds."""
    assert dataset.split.folds is not None
    numbers, seeds = dataset.split.folds.numbers, list(dict.fromkeys(fold.seed for fold in folds))
    sizes = dataset.split.folds.sizes * len(seeds)
    tested = [size[2] for size in dataset.split.folds.sizes]
    of_all: dict[str, Any] = {}
    for name, interval in metrics.items():
        each = [fold.results.test[name] for fold in folds]
        ends = None if interval.low is None else [interval.low, interval.high]
        by_seed = np.reshape(each, (len(seeds), -1))
        spread = {"mean": float(np.mean(each)), "sd": float(np.std(by_seed.mean(axis=0), ddof=1))}
        if config.training.seeds is not None:
            spread["sd_of_seeds"] = float(np.std(np.average(by_seed, axis=1, weights=tested), ddof=1))
        of_all[name] = {"value": interval.value, "interval": ends, **spread, "each": each}
    scores = fold_baselines(folds)
    return {
        "count": config.data.split.folds,
        "repeats": len(numbers),
        **({} if config.training.seeds is None else {"seeds": seeds}),
        "examples": len(np.unique(np.concatenate([fold.outputs.rows for fold in folds]))),
        "training": [size[0] for size in sizes],
        "test": [size[2] for size in sizes],
        "division": digest(np.ascontiguousarray(numbers).tobytes()),
        "best_epochs": [fold.results.best.epoch for fold in folds],
        "epochs": [fold.results.epochs for fold in folds],
        "metrics": of_all,
        "baselines": [
            {"name": each.name, "metric": each.metric, "value": each.value, "each": scores[each.name, each.metric]}
            for each in baselines
        ],
    }
