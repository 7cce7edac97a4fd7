"""Distributions of inputs and predictions: what a run keeps of them, and how far new data has drifted from them.

A run keeps no rows: numbers are counted between quantiles, which are rounded, categories by value; no count is of fewer
than LEAST_ROWS rows."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dltool.config.columns import CategoryColumn
from dltool.config.schema import Config
from dltool.data.arrays.rows import Coded, Rows, is_text, text_array
from dltool.data.arrays.window_rows import values_once
from dltool.data.examples import Examples
from dltool.data.facts import Facts
from dltool.data.split.by_column import Values, is_missing
from dltool.evaluation.tasks import evaluators
from dltool.evaluation.tasks.classes import ClassEvaluator
from dltool.text import data_number

MOST_ROWS, MOST_MEDIA = 10_000, 1_000
"""Examples that are described, and those that are images, audio clips or other arrays."""
MOST_COLUMNS = 100
"""Numbers of an array that are described one by one."""
BINS, LEAST_ROWS = 100, 10
MOST_CATEGORIES = 1_000
PERMUTATIONS = 999
DISTRIBUTIONS = "distributions.json"


def distribution_record(
    config: Config, facts: Facts, training: Examples, outputs: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Return what a run keeps of its training inputs, and of the `outputs` for other examples."""
    parts = {"inputs": described_inputs(config, facts, training), "outputs": described_outputs(config, facts, outputs)}
    return {part: {name: binned(values) for name, values in found.items()} for part, found in parts.items()}


def described_inputs(config: Config, facts: Facts, examples: Examples) -> dict[str, Values]:
    """Return numbers or texts, (examples,), that describe each input: the values of a column, the length of a text,
    each number of a short array, mean and standard deviation of an image, an audio clip or another array."""
    found: dict[str, Values] = {}
    for name, rows in examples.inputs.items():
        column = facts.inputs[name].column
        if config.data.windows is not None or len(rows.shape) == 1:
            values = one_by_one(rows)
            if isinstance(values, Coded) and not (column and isinstance(column.options, CategoryColumn)):
                lengths = np.array([len(text) for text in values.values], float)
                found[f"{name} (characters)"] = lengths[values.codes]
            else:
                found[name] = values
        elif not is_text(rows):
            values = rows[evenly(len(rows), MOST_MEDIA)].astype(float).reshape(-1, math.prod(rows.shape[1:]))
            if len(rows.shape) == 2 and values.shape[1] <= MOST_COLUMNS:
                found |= {f"{name}[{number}]": each for number, each in enumerate(values.T)}
            else:
                found |= {f"{name} (mean)": values.mean(axis=1), f"{name} (deviation)": values.std(axis=1)}
    return found


def one_by_one(rows: Rows) -> Values:
    """Return values of the column, each row once, at most MOST_ROWS."""
    if isinstance(rows, Coded):
        return Coded(np.asarray(one_by_one(rows.codes)), rows.values)
    values = np.ravel(values_once(rows))
    return values[evenly(len(values), MOST_ROWS)]


def evenly(rows: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(int))


def described_outputs(config: Config, facts: Facts, outputs: Mapping[str, np.ndarray]) -> dict[str, Values]:
    """Return the predicted class and its probability, or the predicted numbers, (examples,) each, by name."""
    found: dict[str, Values] = {}
    for output in evaluators(config, facts):
        values, start = outputs[output.head.name], f"{output.head.name}: " if config.model.outputs else ""
        flat = values.reshape(len(values), -1).astype(float)
        if isinstance(output, ClassEvaluator) and output.target.shape in ((), (1,)) and output.has_probabilities:
            shares = output.shares(values)
            decided = output.decided(shares)
            found[f"{start}predicted class"] = Coded(decided.astype(np.int32), text_array(output.target.class_names))
            found[f"{start}confidence"] = shares[np.arange(len(shares)), decided].astype(float)
        elif flat.shape[1] <= MOST_COLUMNS and np.isfinite(flat).all():
            names = [
                f"{start}prediction" + (f"[{number}]" if flat.shape[1] > 1 else "") for number in range(len(flat.T))
            ]
            found |= dict(zip(names, flat.T, strict=True))
    return found


def binned(values: Values) -> dict[str, Any]:
    """Return the counts of the bins of numbers between `edges`, or of the texts `values`, as JSON."""
    present = ~is_missing(values)
    found: dict[str, Any] = {"rows": len(present), "missing": int((~present).sum())}
    if isinstance(values, Coded):
        counts = np.bincount(values.codes[present], minlength=len(values.values))
        kept = [code for code in np.argsort(-counts, kind="stable")[:MOST_CATEGORIES] if counts[code] >= LEAST_ROWS]
        return {**found, "values": [str(values.values[code]) for code in kept], "counts": counts[kept].tolist()}
    numbers = np.sort(values[present].astype(float))
    most = min(BINS, len(numbers) // LEAST_ROWS)
    edges = np.quantile(numbers, np.linspace(0, 1, most + 1)[1:-1]) if most > 1 else np.empty(0)
    if len(edges) and edges[-1] > edges[0]:
        # The exact value of a row is hidden.
        step = 10.0 ** (math.floor(math.log10(edges[-1] - edges[0])) - 2)
        edges = np.round(np.round(edges / step) * step, 12)
    kept_edges: list[float] = []
    below = 0
    for edge in np.unique(edges).tolist():
        count = int(np.searchsorted(numbers, edge, side="right"))
        if count - below >= LEAST_ROWS and len(numbers) - count >= LEAST_ROWS:
            kept_edges.append(edge)
            below = count
    return {**found, "edges": kept_edges, "counts": counts_in(numbers, kept_edges).tolist()}


def counts_in(numbers: np.ndarray, edges: list[float]) -> np.ndarray:
    """Return the numbers up to each edge and after the one before it, and those above the last."""
    return np.bincount(np.searchsorted(np.array(edges), numbers, side="left"), minlength=len(edges) + 1)


def drift_of(kept: Mapping[str, Any], values: Values, seed: int) -> dict[str, Any]:
    """Return how far `values` (examples,) are from the distribution that was `kept`: the Kolmogorov-Smirnov distance of
    numbers, the total variation of texts, both from 0 to 1 with missing values as a bin, and a p value.

    It is that of a permutation test on the bins. If no permutation is as far, McDiarmid's inequality bounds it (R.
    El-Yaniv and D. Pechyony, Transductive Rademacher Complexity and Its Applications, 2009)."""
    present = ~is_missing(values)
    is_number = not isinstance(values, Coded)
    if isinstance(values, Coded):
        places = {text: place for place, text in enumerate(kept["values"])}
        codes = np.array([places.get(str(text), len(places)) for text in values.values])[values.codes[present]]
        counts = np.bincount(codes, minlength=len(places) + 1)
        rare = kept["rows"] - kept["missing"] - sum(kept["counts"])
        names, old = [*kept["values"], "other values"], [*kept["counts"], rare]
    else:
        counts, old = counts_in(values[present].astype(float), kept["edges"]), kept["counts"]
    was = np.array([kept["missing"], *old], np.int64)
    new = np.array([len(present) - present.sum(), *counts], np.int64)
    sizes = int(was.sum()), int(new.sum())
    largest = (new / sizes[1] - was / sizes[0])[1:]

    def distance(drawn: np.ndarray) -> np.ndarray:
        apart = drawn / sizes[1] - (was + new - drawn) / sizes[0]
        return np.asarray(
            np.abs(np.cumsum(apart, axis=-1)).max(axis=-1) if is_number else np.abs(apart).sum(axis=-1) / 2
        )

    found = float(distance(new))
    generator = np.random.Generator(np.random.Philox(seed))
    others = distance(generator.multivariate_hypergeometric(was + new, sizes[1], PERMUTATIONS, method="marginals"))
    exceeding = int((others >= found * (1 - 1e-9)).sum())
    p_value = (1 + exceeding) / (1 + PERMUTATIONS)
    if not exceeding:
        scale = max(sizes) ** 2 * min(sizes) / sum(sizes) ** 2
        p_value = min(p_value, math.exp(-2 * max(0.0, found - float(others.mean())) ** 2 * scale))
    if is_number:
        words = f"median {middle(was[1:], kept['edges'])} → {middle(new[1:], kept['edges'])}"
    else:
        at = int(np.abs(largest).argmax())
        words = f"{names[at]}: {was[at + 1] / sizes[0]:.1%} → {new[at + 1] / sizes[1]:.1%}"
    shares = {"missing_before": float(was[0] / sizes[0]), "missing": float(new[0] / sizes[1])}
    return {"distance": found, "p": p_value, "rows": sizes[1], "change": words, **shares}


def middle(counts: np.ndarray, edges: list[float]) -> str:
    """Return the bin of the median in words."""
    if not edges or not counts.sum():
        return "unknown"
    at = int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))
    return f"above {data_number(edges[-1])}" if at == len(edges) else f"up to {data_number(edges[at])}"
