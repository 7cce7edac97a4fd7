"""Distributions of inputs and predictions: what a run keeps of them, and how far new data has drifted from them.

A run keeps no rows: numbers and days are counted between rounded quantiles, texts by value, and nothing that is kept is
of fewer than LEAST_ROWS rows."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from dltool.config.columns import CategoryColumn, DateColumn
from dltool.config.schema import Config
from dltool.data.arrays.rows import Coded, Rows, is_text, text_array
from dltool.data.arrays.window_rows import values_once
from dltool.data.dataset import Dataset
from dltool.data.examples import Examples
from dltool.data.facts import Facts
from dltool.data.split.by_column import Values, is_missing
from dltool.errors import RunError
from dltool.evaluation.significance import SURPRISING, holm
from dltool.evaluation.tasks import evaluators
from dltool.evaluation.tasks.classes import ClassEvaluator
from dltool.runs.files import encode_json
from dltool.text import data_number

DISTRIBUTIONS = "distributions.json"
MOST_ROWS, MOST_MEDIA = 10_000, 1_000
"""Examples that are described, and those that are images, audio clips or other arrays."""
MOST_COLUMNS = 100
"""Numbers of an array that are described one by one."""
BINS, LEAST_ROWS = 100, 10
BLOCK = 50
"""Images read at once."""
MOST_VALUES = 1_000
PERMUTATIONS = 999
SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Kept:
    """The distribution of `rows` values, of which some are `missing`: the `counts` of numbers up to each of the `edges`
    and above the last, or of texts by value, without rare ones. Fewer than LEAST_ROWS values that are missing, present
    or rare are not among the rows either."""

    rows: int
    missing: int
    counts: list[int]
    edges: list[float]
    values: list[str] | None = None

    @property
    def is_possible(self) -> bool:
        bins = len(self.edges) + 1 if self.values is None else len(self.values)
        rest = self.rows - self.missing - sum(self.counts)
        return len(self.counts) == bins and min([rest, self.missing, *self.counts]) >= 0 < self.rows < 2**31


@dataclass(frozen=True)
class Drift:
    """How far new values are from those that were kept: the `distance`, from 0 to 1, and the p value of all columns
    together. `change` describes it; `missing` is the share of missing values before and now."""

    name: str
    distance: float
    p: float
    change: str
    missing: tuple[float, float]

    @property
    def is_significant(self) -> bool:
        return self.p < SURPRISING


def distributions_file(config: Config, dataset: Dataset, outputs: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """Return the file of what a run keeps of its training inputs, and of the `outputs` for its test examples, by its
    name; none of too few examples."""
    described = described_inputs(config, dataset.facts, dataset.examples("train"))
    found = all_binned(described | described_outputs(config, dataset.facts, outputs))
    written = encode_json({name: asdict(each) for name, each in found.items()}).encode()
    return {DISTRIBUTIONS: written} if found else {}


def read_kept(record: Mapping[str, Any], shown_as: str) -> dict[str, Kept]:
    """Return the distributions in a run's record. Raises RunError: it holds something else."""
    try:
        found = TypeAdapter(dict[str, Kept]).validate_python(record)
    except ValidationError:
        found = {}
    if not found or not all(each.is_possible for each in found.values()):
        raise RunError(f"{shown_as} is damaged", "evaluate the run again")
    return found


def described_inputs(config: Config, facts: Facts, examples: Examples) -> dict[str, Values]:
    """Return numbers or texts, (examples,), that describe each input: the values of a column, the day of a date as
    int64, the length of a text, each number of a short array, mean and standard deviation of an image, an audio clip or
    another array."""
    found: dict[str, Values] = {}
    for name, rows in examples.inputs.items():
        column = facts.inputs[name].column
        if column is not None and isinstance(column.options, DateColumn):
            seconds = np.asarray(one_by_one(rows))
            found[name] = np.where(is_missing(seconds), seconds, seconds // SECONDS_A_DAY)
        elif config.data.windows is not None or len(rows.shape) == 1:
            values = one_by_one(rows)
            if isinstance(values, Coded) and not (column and isinstance(column.options, CategoryColumn)):
                lengths = np.array([len(text) for text in values.values], float)
                found[f"{name} (characters)"] = lengths[np.asarray(values.codes)]
            else:
                found[name] = values
        elif not is_text(rows):
            chosen, width = evenly(len(rows), MOST_MEDIA), math.prod(rows.shape[1:])
            blocks = (rows[chosen[at : at + BLOCK]].reshape(-1, width) for at in range(0, len(chosen), BLOCK))
            if width <= MOST_COLUMNS:
                found |= {f"{name}[{number}]": each for number, each in enumerate(np.concatenate([*blocks]).T)}
            else:
                means, deviations = zip(*((each.mean(axis=1), each.std(axis=1)) for each in blocks), strict=True)
                found |= {f"{name} (mean)": np.concatenate(means), f"{name} (deviation)": np.concatenate(deviations)}
    return found


def one_by_one(rows: Rows) -> Values:
    """Return the values of a column, each row of a window once, at most MOST_ROWS."""
    if isinstance(rows, Coded):
        return Coded(np.asarray(one_by_one(rows.codes)), rows.values)
    values = np.ravel(values_once(rows))
    return np.asarray(values[evenly(len(values), MOST_ROWS)])


def evenly(rows: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(int))


def described_outputs(config: Config, facts: Facts, outputs: Mapping[str, np.ndarray]) -> dict[str, Values]:
    """Return the predicted class and its probability, or the predicted numbers, (examples,) each, by name."""
    found: dict[str, Values] = {}
    for output in evaluators(config, facts):
        values, name = outputs[output.head.name], output.head.name if config.model.outputs else "model"
        flat = values.reshape(len(values), -1).astype(float)
        if isinstance(output, ClassEvaluator) and output.rules is not None:
            shares, names = output.probabilities(values.reshape(flat.shape)), output.target.class_names
            if shares.shape[1] == len(names):
                decided = output.decided(shares)
                found[f"{name}: class"] = Coded(decided.astype(np.int32), text_array(names))
                found[f"{name}: confidence"] = shares[np.arange(len(shares)), decided].astype(float)
        elif flat.shape[1] <= MOST_COLUMNS and np.isfinite(flat).all():
            numbers = [""] if flat.shape[1] == 1 else [f"[{number}]" for number in range(flat.shape[1])]
            found |= {f"{name}: output{number}": each for number, each in zip(numbers, flat.T, strict=True)}
    return found


def all_binned(described: Mapping[str, Values]) -> dict[str, Kept]:
    """Return the distribution of each column that has LEAST_ROWS values."""
    found = {name: binned(values) for name, values in described.items()}
    return {name: each for name, each in found.items() if each.rows}


def binned(values: Values) -> Kept:
    present = ~is_missing(values)
    missing = not_few((~present).sum())
    if isinstance(values, Coded):
        counts = np.bincount(np.asarray(values.codes)[present], minlength=len(values.values))
        kept = [code for code in np.argsort(-counts, kind="stable")[:MOST_VALUES] if counts[code] >= LEAST_ROWS]
        rows = missing + int(counts[kept].sum()) + not_few(counts.sum() - counts[kept].sum())
        return Kept(rows, missing, counts[kept].tolist(), [], [str(values.values[code]) for code in kept])
    numbers = np.sort(values[present].astype(float))
    numbers = numbers[: not_few(len(numbers))]
    shares = np.linspace(0, 1, min(BINS, len(numbers) // LEAST_ROWS) + 1)[1:-1]
    quantiles = np.quantile(numbers, shares) if len(shares) else np.empty(0)
    if len(quantiles) and quantiles[-1] > quantiles[0]:
        # The exact value of a row is hidden.
        step = 10.0 ** (math.floor(math.log10(quantiles[-1] - quantiles[0])) - 2)
        quantiles = np.round(np.round(quantiles / step) * step, 12)
    edges: list[float] = []
    below = 0
    for edge in np.unique(quantiles).tolist():
        count = int(np.searchsorted(numbers, edge, side="right"))
        if count - below >= LEAST_ROWS and len(numbers) - count >= LEAST_ROWS:
            edges.append(edge)
            below = count
    return Kept(len(numbers) + missing, missing, counts_in(numbers, edges).tolist(), edges)


def not_few(rows: int) -> int:
    return int(rows) if rows >= LEAST_ROWS else 0


def counts_in(numbers: np.ndarray, edges: list[float]) -> np.ndarray:
    return np.bincount(np.searchsorted(np.array(edges), numbers, side="left"), minlength=len(edges) + 1)


def drifts(kept: Mapping[str, Kept], described: Mapping[str, Values], seed: int) -> list[Drift]:
    """Return the drift of each described column that was kept, the most significant first."""
    found = [drift_of(name, kept[name], values, seed) for name, values in described.items() if name in kept]
    adjusted = holm(np.array([each.p for each in found]))
    pairs = zip(found, adjusted.tolist(), strict=True)
    return sorted((replace(each, p=p_value) for each, p_value in pairs), key=lambda each: (each.p, -each.distance))


def drift_of(name: str, kept: Kept, values: Values, seed: int) -> Drift:
    """Return how far `values` (examples,) are from what was kept: the Kolmogorov-Smirnov distance of numbers, the total
    variation of texts, with missing values as a bin of their own.

    The p value is that of a permutation test on the bins. If no permutation is as far, it is bounded by McDiarmid's
    inequality (R. El-Yaniv and D. Pechyony, Transductive Rademacher Complexity and Its Applications, 2009)."""
    present = ~is_missing(values)
    if isinstance(values, Coded):
        names = [*(kept.values or []), "other values"]
        places = {text: place for place, text in enumerate(names[:-1])}
        found_at = np.array([places.get(str(text), len(places)) for text in values.values], int)
        counts = np.bincount(found_at[np.asarray(values.codes)[present]], minlength=len(names))
        old = [*kept.counts, kept.rows - kept.missing - sum(kept.counts)]
    else:
        counts, old = counts_in(values[present].astype(float), kept.edges), kept.counts
    known, new = np.array([kept.missing, *old]), np.array([(~present).sum(), *counts])
    was = with_hidden(known, new, [0, -1] if isinstance(values, Coded) else [0])
    sizes = was.sum(), new.sum()

    def distance(drawn: np.ndarray) -> np.ndarray:
        apart = drawn / sizes[1] - (was + new - drawn) / sizes[0]
        is_text = isinstance(values, Coded)
        return np.asarray(np.abs(apart).sum(axis=-1) / 2 if is_text else np.abs(np.cumsum(apart, axis=-1)).max(axis=-1))

    found, generator = float(distance(new)), np.random.Generator(np.random.Philox(seed))
    others = distance(generator.multivariate_hypergeometric(was + new, sizes[1], PERMUTATIONS, method="marginals"))
    exceeding = int((others >= found * (1 - 1e-9)).sum())
    p_value = (1 + exceeding) / (1 + PERMUTATIONS)
    if not exceeding:
        scale = float(max(sizes)) ** 2 * float(min(sizes)) / float(sum(sizes)) ** 2
        p_value = min(p_value, math.exp(-2 * max(0.0, found - float(others.mean())) ** 2 * scale))
    if isinstance(values, Coded):
        at = int(np.abs(new / sizes[1] - was / sizes[0])[1:].argmax())
        change = f"{names[at]}: {known[at + 1] / known.sum():.1%} → {new[at + 1] / sizes[1]:.1%}"
    else:
        # Far from all edges, the bins do not know it.
        written = written_day if values.dtype == np.int64 else lambda value: data_number(value, 4)
        now = written(float(np.median(values[present]))) if present.any() else "unknown"
        change = f"median {median(was[1:], kept.edges, written)} → {now}"
    return Drift(name, found, p_value, change, (float(known[0] / known.sum()), float(new[0] / sizes[1])))


def with_hidden(known: np.ndarray, new: np.ndarray, bins: Sequence[int]) -> np.ndarray:
    """Return the counts that were kept. Those of the `bins` that are 0 may have been up to LEAST_ROWS - 1: as many as
    make them most like the `new` ones, so that nothing drifts that need not have."""
    found = known.copy()
    for place in bins:
        share = new[place] / new.sum()
        if not known[place]:
            found[place] = min(LEAST_ROWS - 1, int(share * known.sum() / max(1 - share, 1e-9)))
    return found


def median(counts: np.ndarray, edges: list[float], written: Callable[[float], str]) -> str:
    at = int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))
    if not edges or not counts.sum():
        return "unknown"
    return f"above {written(edges[-1])}" if at == len(edges) else written(edges[at])


def written_day(value: float) -> str:
    return str(np.datetime64(math.floor(value), "D"))
