"""The seeds of a run together: how far another training may lie from this one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dltool.config.schema import Config
from dltool.evaluation.bootstrap import LEVEL, grouped_sums, resampled
from dltool.evaluation.kept_outputs import read_outputs
from dltool.runs.files import Run
from dltool.runs.records import numbers, read_results


def seeds_together(run: Run, config: Config, results: Mapping[str, Any]) -> dict[str, Any]:
    """Return what results.json holds of the seeds: of each test metric the mean, the standard deviation, the extremes,
    and the values by seed. `results` are those of the run itself, which has the first seed.

    The 95 % interval is that of another training on other test examples: the percentiles of a bootstrap of two levels,
    which draws a seed and then examples. Only metrics that are means over examples have one."""
    tests = [numbers(results["test"]), *(read_results(part).test for part in run.parts)]
    outputs = [read_outputs(each) for each in (run, *run.parts)]
    found = {}
    for name in tests[0]:
        each = [test[name] for test in tests]
        values = [output.values[name] for output in outputs if name in output.values]
        means = [float(value.mean(dtype=float)) for value in values]
        is_mean = len(values) == len(each) and np.allclose(means, each, rtol=1e-3, atol=1e-5)
        found[name] = {
            "mean": float(np.mean(each)),
            "sd": float(np.std(each, ddof=1)),
            "min": min(each),
            "max": max(each),
            "interval": two_levels(values, config.seed) if is_mean else None,
            "each": each,
        }
    best_epochs = [results["best"]["epoch"], *(read_results(part).best.epoch for part in run.parts)]
    seeds = [(config.seed + number) % 2**32 for number in range(len(tests))]
    return {"count": len(tests), "seeds": seeds, "best_epochs": best_epochs, "metrics": found}


def two_levels(values: Sequence[np.ndarray], seed: int, clusters: np.ndarray | None = None) -> list[float]:
    """Return the bounds of the mean of another training's values, (examples,) each of the same examples. Whole
    `clusters` are resampled, see :func:`dltool.evaluation.bootstrap.random_groups`."""
    columns = np.stack([*(np.asarray(each, float) for each in values), np.ones(len(values[0]))], axis=1)
    sums = resampled(grouped_sums(columns, seed, clusters), seed)
    drawn = np.random.Generator(np.random.Philox(seed + 1)).integers(0, len(values), len(sums))
    means = sums[np.arange(len(sums)), drawn] / sums[:, -1]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [float(low), float(high)]
