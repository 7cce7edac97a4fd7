"""Decision thresholds: chosen on validation by a metric, recorded in results.json, and read from there."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dltool.config.outputs import ONE_OUTPUT, heads_of
from dltool.config.schema import Config
from dltool.data.dataset import Dataset
from dltool.data.facts import Facts
from dltool.errors import RunError
from dltool.evaluation.measures import above_thresholds
from dltool.evaluation.tasks import evaluators, without_padding
from dltool.evaluation.tasks.classes import MOST_VALUES, LabelEvaluator
from dltool.runs.files import Run
from dltool.runs.records import ThresholdRecord, read_results

if TYPE_CHECKING:
    from dltool.model.build import BuiltModel

Thresholds = Mapping[str, ThresholdRecord]
"""The threshold of each output that has one."""
Counts = np.ndarray
"""Numbers of examples by threshold, (thresholds,)."""

SCORES: Mapping[str, Callable[[Counts, Counts, float, float], np.ndarray]] = {
    "accuracy": lambda true, false, members, others: (true + others - false) / (members + others),
    "balanced_accuracy": lambda true, false, members, others: (true / members + 1 - false / others) / 2,
    "F1Score": lambda true, false, members, others: 2 * true / (members + true + false),
}
"""Metrics from the true and false positives at each threshold, and the numbers of examples of both classes."""


def best_threshold(are_of_class: np.ndarray, probabilities: np.ndarray, metric: str) -> float:
    """Return the threshold with the highest `metric`, the one nearest to 0.5 of equally good ones; (examples,) each.
    It lies midway between two neighbouring probabilities. It is 0.5 unless there are examples of both classes."""
    members, others = float(are_of_class.sum()), float((~are_of_class).sum())
    if not members or not others or not np.isfinite(probabilities).all():
        return 0.5
    true, false = (np.append(0, counts) for counts in above_thresholds(are_of_class, probabilities))
    # From none above the threshold to all of them.
    edges = np.concatenate([[2], np.unique(probabilities)[::-1], [0]]).astype(float)
    upper, lower = edges[:-1], edges[1:]
    between = np.minimum((upper + lower) / 2, 1).astype(probabilities.dtype).astype(float)
    # There may be no float between the two. Only what is higher than the threshold is above it.
    thresholds = np.where(between < upper, between, lower)
    scores = np.where(thresholds < upper, SCORES[metric](true, false, members, others), -1)
    best = thresholds[np.isclose(scores, scores.max(), rtol=0, atol=1e-12)]
    return float(str(best[np.abs(best - 0.5).argmin()].astype(probabilities.dtype)))


def decided_model(config: Config, dataset: Dataset, built: "BuiltModel") -> "tuple[Config, BuiltModel, Thresholds]":
    """Return config and model with the thresholds of the outputs, and these; a metric chooses them on validation.

    The metrics are compiled anew. Raises as :func:`dltool.evaluation.measure.measure`."""
    # To read thresholds needs no TensorFlow.
    from dltool.evaluation.measure import measure
    from dltool.training.batches import model_targets
    from dltool.training.compile import compile_core

    thresholds = written_thresholds(config)
    chosen = {name: metric for name, each in thresholds.items() if (metric := each.metric)}
    if not chosen:
        return config, built, thresholds
    examples = dataset.examples("validation")
    measured = measure(built, config, examples)
    targets = {name: values[measured.kept] for name, values in examples.targets.items()}
    for output in evaluators(config, dataset.facts):
        name, target = output.head.name, output.target
        if name in chosen and isinstance(output, LabelEvaluator):
            shown, values, _ = without_padding(output, targets, measured.outputs, measured.kept)
            are, chances = (each[:: -(-each.size // MOST_VALUES)].T for each in output.chances(shown, values))
            best = [best_threshold(*pair, chosen[name]) for pair in zip(are, chances, strict=True)]
            value = dict(zip(target.class_names, best, strict=True)) if target.task.takes_several else best[0]
            thresholds[name] = ThresholdRecord(value=value, metric=chosen[name])
    config = with_thresholds(config, thresholds)
    built = replace(built, heads=heads_of(config))
    compile_core(built, config, model_targets(built, examples.targets))
    return config, built, thresholds


def written_thresholds(config: Config) -> dict[str, ThresholdRecord]:
    """Return the thresholds of the config; those that a metric chooses have no value yet."""
    given = {head.name: head.threshold for head in heads_of(config) if head.threshold is not None}
    return {
        name: ThresholdRecord(metric=each) if isinstance(each, str) else ThresholdRecord(value=each)
        for name, each in given.items()
    }


def with_thresholds(config: Config, thresholds: Thresholds) -> Config:
    """Return the config with these values instead of the metrics that chose them."""
    if not config.model.outputs:
        own = {"threshold": thresholds[ONE_OUTPUT].value}
        return config.model_copy(update={"training": config.training.model_copy(update=own)})
    outputs = {
        name: each.model_copy(update={"threshold": thresholds[name].value}) if name in thresholds else each
        for name, each in config.model.outputs.items()
    }
    return config.model_copy(update={"model": config.model.model_copy(update={"outputs": outputs})})


def with_recorded(config: Config, recorded: Mapping[str, Any]) -> Config:
    """Return the config with the thresholds in a run's results, if any."""
    found = {name: ThresholdRecord.model_validate(each) for name, each in recorded.items()}
    return with_thresholds(config, found) if found else config


def recorded_decision(
    run: Run, config: Config, facts: Facts, warn: Callable[[str], None] | None = None
) -> tuple[Config, Thresholds]:
    """Return the config of a run with the thresholds that it recorded, and these. Before the run is complete, a metric
    has not chosen yet: the threshold is 0.5. Raises RunError: a threshold is missing or invalid."""
    thresholds = written_thresholds(config)
    chosen = [head for head in heads_of(config) if head.name in thresholds and thresholds[head.name].metric]
    if not chosen:
        return config, thresholds
    recorded = read_results(run).thresholds if run.is_complete() else {}
    if not run.is_complete() and warn is not None:
        warn("thresholds are chosen when a run is complete: 0.5 here")
    for head in chosen:
        target = facts.targets[str(head.target)]
        found = recorded.get(head.name, ThresholdRecord()) if run.is_complete() else ThresholdRecord(value=0.5)
        labels = target.class_names if target.task.takes_several and run.is_complete() else ()
        if found.value is None or {*labels} != (found.value.keys() if isinstance(found.value, dict) else set()):
            raise RunError(f"{run.results}: the threshold of the output is missing or invalid", "train a new run")
        thresholds[head.name] = found
    return with_thresholds(config, thresholds), thresholds
