"""Intervals of all metrics of a model, also of those that are no means over examples."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import tensorflow as tf

from dltool.evaluation.bootstrap import Interval, intervals, mean_intervals, random_groups
from dltool.evaluation.measure import Measurement, metrics_by_output
from dltool.model.build import BuiltModel
from dltool.model.keras_objects import KERAS_ERRORS
from dltool.training.batches import in_loss_form, model_targets
from dltool.training.loop import logs_of

MOST_STATES = 500
"""Groups for metrics with state. There are fewer than for means, because a state may hold hundreds of numbers."""
TOLERANCE = 1e-3
"""Relative tolerance for sums of float32 in another order."""


def metric_intervals(
    built: BuiltModel,
    measured: Measurement,
    targets: Mapping[str, np.ndarray],
    seed: int,
    clusters: np.ndarray | None = None,
    repeats: int = 1,
) -> dict[str, Interval]:
    """Return an interval for each metric, in order. `targets` are by name, (examples, …). There is none if the metric
    is not a function of sums over examples, or the outputs were too large to keep. Whole `clusters` are resampled, see
    :func:`dltool.evaluation.bootstrap.random_groups`. Of several `repeats`, which have the same clusters one after the
    other, a metric is their mean."""
    metrics = measured.metrics
    # With masks, for example, a metric is not the plain mean of its values.
    means = {
        name: values
        for name, values in measured.values.items()
        if name in metrics and np.isclose(values.mean(dtype=float), metrics[name], rtol=TOLERANCE, atol=1e-5)
    }
    found = {name: replace(each, value=metrics[name]) for name, each in mean_intervals(means, seed, clusters).items()}
    by_output = model_targets(built, targets)
    are_all_kept = len(measured.kept) == len(next(iter(measured.values.values())))
    for name, by_name in metrics_by_output(built).items() if are_all_kept else ():
        for metric_name, metric in by_name.items():
            if metric_name not in found and name in by_output:
                target = np.asarray(in_loss_form(built, name, by_output[name]))
                groups = random_groups(len(target), MOST_STATES, seed, clusters)
                found |= state_intervals(
                    metric_name, metric, metrics, (target, measured.outputs[name]), groups, seed, repeats
                )
    return {name: found.get(name, Interval(value)) for name, value in metrics.items()}


def state_intervals(
    name: str,
    metric: Any,
    metrics: Mapping[str, float],
    examples: tuple[np.ndarray, np.ndarray],
    groups: np.ndarray,
    seed: int,
    repeats: int,
) -> dict[str, Interval]:
    """Return the intervals of a metric by result name; none if its state is not a sum over examples. `groups`
    (examples,) are resampled. The states of all `repeats` of a group stand beside each other.

    Keras computes its metrics from variables to which each batch adds, such as true positives by threshold, so the
    state of a sample of examples is a sum too."""
    sizes = [variable.shape for variable in metric.variables]

    def mean_results(states: np.ndarray) -> np.ndarray:
        each = [results(metric, part, sizes) for part in np.split(states, repeats, axis=1)]
        return np.asarray(np.mean(each, axis=0))

    try:
        parts = zip(*(np.split(each, repeats) for each in (*examples, groups)), strict=True)
        states = np.concatenate([grouped_states(metric, *part) for part in parts], axis=1)
        (numbers,) = mean_results(states.sum(axis=0, keepdims=True))
    except KERAS_ERRORS:
        return {}
    # Numbered if the metric gives several, as in the logs of a run.
    whole = logs_of({name: numbers if len(numbers) > 1 else numbers[0]})
    values = [metrics.get(each, np.nan) for each in whole]
    if not np.allclose(list(whole.values()), values, rtol=TOLERANCE, atol=1e-5):
        return {}
    found = intervals(values, states, seed, mean_results)
    return dict(zip(whole, found, strict=True))


def grouped_states(metric: Any, targets: np.ndarray, outputs: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return what each of the groups (examples,) adds to the variables of the metric, (groups, k)."""
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    metric.reset_state()
    start = [tf.constant(variable.numpy()) for variable in metric.variables]

    def added(example: tuple[Any, Any]) -> Any:
        state = metric.stateless_update_state(start, *example)
        changes = [tf.cast(each - was, tf.float32) for each, was in zip(state, start, strict=True)]
        return tf.concat([tf.reshape(change, [-1]) for change in changes], 0)

    parts = []
    for size in np.unique(sizes):
        rows = order[np.repeat(sizes == size, sizes)]
        parts.append([each[rows].reshape(-1, size, *each.shape[1:]) for each in (targets, outputs)])
    return compiled_map(added, parts)


def results(metric: Any, states: np.ndarray, shapes: list[tuple[int, ...]]) -> np.ndarray:
    """Return the results of the metric, (samples, m), for states (samples, k)."""
    edges = [0, *np.cumsum([int(np.prod(shape)) for shape in shapes]).tolist()]

    def result(given: Any) -> Any:
        (state,) = given
        variables = [
            tf.cast(tf.reshape(state[first:last], shape), variable.dtype)
            for (first, last), shape, variable in zip(pairwise(edges), shapes, metric.variables, strict=True)
        ]
        return tf.reshape(tf.cast(metric.stateless_result(variables), tf.float32), [-1])

    return compiled_map(result, [[states.astype(np.float32)]]).astype(float)


def compiled_map(function: Any, parts: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Return `function` of each element of the arrays in `parts`, which differ in their first two axes only. It is
    traced once: TensorFlow would warn of repeated retracing."""
    specs = [tf.TensorSpec((None, None, *each.shape[2:]), each.dtype) for each in parts[0]]
    mapped = tf.function(lambda *given: tf.map_fn(function, given, fn_output_signature=tf.float32), autograph=False)
    compiled = mapped.get_concrete_function(*specs)
    return np.concatenate([compiled(*map(tf.constant, part)).numpy() for part in parts])
