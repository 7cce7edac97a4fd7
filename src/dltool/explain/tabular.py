"""Explanations of tables, windows and vectors of numbers: which columns matter, and how."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from dltool.data.arrays.window_rows import span_of
from dltool.data.examples import Examples
from dltool.data.split.by_column import numbered
from dltool.data.split.folds import block_length
from dltool.errors import ConfigError
from dltool.evaluation.figures.figure import Figure
from dltool.explain import column_figures as figures
from dltool.explain.attributions import TITLES, attribution
from dltool.explain.dependence import Dependence, dependence_on, raw_text
from dltool.explain.explained import Explained, Question
from dltool.explain.mixing import Columns, MixedModel
from dltool.explain.permutation import REPEATS, Importance, agreement, importances, randomisation
from dltool.explain.placing import TRAINING, ZEROS, places_of
from dltool.explain.proofs import Places
from dltool.explain.related_columns import related_groups
from dltool.text import joined, listed, number, shape_text

MOST_NUMBERS = 40_000_000
"""Input numbers of all predictions for permuted columns; of many columns, fewer rows are predicted."""
FEWEST_ROWS, MOST_BYTES = 200, 2**30
MOST_BARS, MOST_DEPENDENCES, MOST_WATERFALLS, MOST_TABLE_COLUMNS = 25, 6, 4, 8


def explain_columns(question: Question) -> tuple[Explained, ...]:
    """Explain the examples by each method. Raises ConfigError: a method does not fit the model."""
    only = question.facts.only_input
    if only is not None and len(only.shape) != 1:
        message = f"an input of {shape_text(only.shape)} that becomes a vector before the first layer has no columns"
        raise ConfigError(message, "preprocess it in the model's own layers")
    methods = question.methods or (EXPLAINERS if question.dataset else ["IntegratedGradients"])
    table = ExplainedTable(question)
    return tuple(EXPLAINERS[method](table) for method in methods)


class ExplainedTable:
    """What the methods share: the whole split of the examples, and the importances of its columns."""

    def __init__(self, question: Question) -> None:
        self.question, self.columns = question, Columns(question.config, question.facts)

    @cached_property
    def examples(self) -> Examples:
        """Return the examples of the split, evenly fewer of large ones. Raises ConfigError: they have no targets."""
        if self.question.dataset is None:
            message = "new examples have no permutation importance and no partial dependence"
            raise ConfigError(message, "use IntegratedGradients, or leave out FILE")
        examples = self.question.dataset.examples("validation" if self.question.split == "validation" else "test")
        shapes = [tensor.shape[1:] for tensor in self.question.built.core.inputs]
        row_bytes = 4 * sum(int(np.prod([size or 1 for size in shape])) for shape in shapes)
        predictions = REPEATS * (len(self.columns.names) + len({*self.columns.lags}))
        most = max(FEWEST_ROWS, MOST_NUMBERS // (predictions * self.columns.size))
        count = min(len(examples), most, max(1, MOST_BYTES // row_bytes))
        return examples.take(np.unique(np.linspace(0, len(examples) - 1, count).astype(int)))

    @cached_property
    def model(self) -> MixedModel:
        return MixedModel(self.question.built, self.question.config, self.question.facts, self.examples)

    @property
    def rows(self) -> np.ndarray:
        return np.arange(len(self.examples))

    @property
    def about(self) -> str:
        return replace(self.question, examples=self.examples).about

    @cached_property
    def clusters(self) -> np.ndarray | None:
        """Return the numbers (rows,) of rows that depend on each other, None if none is known to."""
        data, rows = self.question.config.data, len(self.examples)
        # Of overlapping windows, a block has at least as many as share a row.
        block = block_length(rows)
        if data.windows is not None:
            return np.asarray(self.rows // max(block, -(-span_of(data.windows) // data.windows.stride)))
        if data.split.group is not None and data.split.group in self.examples.inputs:
            return np.asarray(numbered(np.asarray(self.examples.inputs[data.split.group]))[0])
        return None if data.split.order is None else np.asarray(self.rows // block)

    @cached_property
    def importances(self) -> list[Importance]:
        """Return the importances of single columns, the largest first."""
        found = self.importances_of(self.selections)
        return sorted(found, key=lambda each: -each.loss.value)

    @cached_property
    def selections(self) -> dict[str, np.ndarray]:
        return {name: self.columns.chosen([name]) for name in self.columns.names}

    def importances_of(self, selections: Mapping[str, np.ndarray]) -> list[Importance]:
        return importances(self.model, selections, self.rows, self.clusters, self.question.config.seed)

    @cached_property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Return groups of columns that stand in for each other, by the names of their bars."""
        names = [name for name in self.columns.names if self.columns.kind(name) not in ("text", "image", "audio")]
        values = {name: self.columns.values(name, self.examples.inputs, self.rows) for name in names}
        # Dates are compared by their order.
        ordered = {name: each.astype(np.int64) if each.dtype.kind == "M" else each for name, each in values.items()}
        return {" + ".join(group): group for group in related_groups(ordered)}


def permuted(table: ExplainedTable) -> Explained:
    """Explain by permutation importance."""
    columns, alone = table.columns, table.importances
    together = table.importances_of({name: columns.chosen(group) for name, group in table.groups.items()})
    found = sorted([*alone, *together], key=lambda each: -each.loss.value)
    lags = sorted({lag for lag in columns.lags if lag is not None}, reverse=True)
    by_lag = table.importances_of({f"row {-lag}": columns.chosen(columns.names, lag) for lag in lags})
    proofs = [agreement(alone)]
    proofs += [randomisation(table.model, alone, table.selections, table.rows)] if len(alone) > 2 else []
    drawn = []
    if all(proof.holds for proof in proofs):
        title = "Permutation importance of the {}"
        drawn.append(figures.importance_figure("importance", title.format("columns"), found[:MOST_BARS], table.groups))
        if len(by_lag) > 1:
            least = sorted((each.loss.value for each in by_lag), reverse=True)[:MOST_BARS][-1]
            most = [each for each in by_lag if each.loss.value >= least]
            drawn.append(figures.importance_figure("importance_by_row", title.format("rows of the windows"), most, ()))
    sentences = importance_sentences(table, together, by_lag)
    caption = "Increase of the loss by permuting columns, groups, or rows of windows, with its 95 % interval"
    rows = [importance_row(each) for each in (*found, *by_lag)]
    return Explained(TITLES["Permutation"], table.about, sentences, proofs, caption, rows, drawn)


def importance_sentences(
    table: ExplainedTable, together: Sequence[Importance], by_lag: Sequence[Importance]
) -> list[str]:
    heard = [f"{each.name} ({signed(each)})" for each in table.importances if each.exceeds_noise]
    others = [each.name for each in table.importances if not each.exceeds_noise]
    words = "Permuting a column gives its values to other rows, so that they tell the model nothing. "
    sentences = [f"{words}The increase of the loss is the mean over {table.about} and {REPEATS} permutations."]
    sentences += [f"The model needs these most: {joined(heard[:5], 'and')}."] if heard else []
    sentences += [f"No more important than noise: {listed(others, 10)}."] if others else []
    alone = {each.name: each for each in table.importances}
    for each in together:
        parts = joined([f"{name} {signed(alone[name])}" for name in table.groups[each.name]], "and")
        sentences.append(f"These stand in for each other: alone {parts}, together {signed(each)}.")
    if by_lag:
        count, best = sum(each.exceeds_noise for each in by_lag), max(by_lag, key=lambda each: each.loss.value)
        words = f"{count} of {len(by_lag)} rows of the window are more important than noise, permuted in all columns"
        sentences.append(f"{words}; row 0 is the last. The largest: {best.name} ({signed(best)}).")
    if table.clusters is not None:
        count = len(np.unique(table.clusters))
        sentences.append(f"Intervals resample {count:,} groups of rows that depend on each other, not single rows.")
    return sentences


def signed(found: Importance) -> str:
    return f"{'' if found.loss.value < 0 else '+'}{number(found.loss.value)}"


def importance_row(found: Importance) -> dict[str, Any]:
    """Return a row of a table, with the first metric that does not repeat the loss."""
    numbers = {"loss": found.loss.value, "low": found.loss.low, "high": found.loss.high, "noise": found.noise}
    metrics = {name: change for name, change in found.metrics.items() if not name.endswith("loss")}
    distinct = {name: each for name, each in metrics.items() if not np.isclose(each, found.loss.value, rtol=1e-4)}
    return {"column": found.name, **numbers, **dict(islice(distinct.items(), 1))}


def depended(table: ExplainedTable) -> Explained:
    """Explain by the partial dependence on the most important columns that have one."""
    tried = (dependence_on(table.question, table.model, each.name, table.examples.inputs) for each in table.importances)
    found: list[Dependence] = list(islice((each for each in tried if each is not None), MOST_DEPENDENCES))
    arrays: dict[str, np.ndarray] = {}
    for index, each in enumerate(found, 1):
        arrays[f"dependence_{index}_values"] = each.grid.astype(str) if each.grid.dtype.kind == "O" else each.grid
        arrays[f"dependence_{index}_means"] = np.stack(list(each.means.values()), axis=1)
        arrays[f"dependence_{index}_rows"] = each.each
    words = "The mean output if a column had the same value in all rows, and the outputs of single rows. The other"
    sentences = [f"{words} columns keep their values, so combinations may be predicted that do not exist."]
    if table.question.config.data.windows is not None:
        sentences.append("Only the value in the last row of a window changes.")
    related = {name for group in table.groups.values() for name in group}
    if careful := [each.column for each in found if each.column in related]:
        sentences.append(f"Read with care, other columns stand in for these: {joined(careful, 'and')}.")
    rows, drawn = [each.row() for each in found], [figures.dependence_figure(each) for each in found]
    caption = "Where the mean output is lowest and highest"
    return Explained(TITLES["PartialDependence"], table.about, sentences, (), caption, rows, drawn, arrays)


def contributed(table: ExplainedTable) -> Explained:
    """Explain single predictions by integrated gradients."""
    question, places, names = table.question, places_of(table.question, "columns"), table.columns.names
    made = places.valid.shape[1]
    if made != len(names):
        message = f"preprocessing makes {made} numbers of {len(names)}: none belongs to one column"
        raise ConfigError(message, "use the methods Permutation and PartialDependence")
    found = attribution(places, "IntegratedGradients")
    sizes = np.abs(found.values).mean(axis=0)
    order = np.argsort(-sizes, kind="stable")
    largest = [f"{names[at]} ({number(float(sizes[at]))})" for at in order[:5]]
    start = TRAINING if question.dataset else ZEROS
    sentences = [
        f"What each column adds to the score of {question.scored}, compared with {start}.",
        f"Mean size of the contributions: {joined(largest, 'and')}.",
    ]
    by_position = np.zeros((len(found.values), table.columns.size), np.float32)
    for name, each in found.arrays.items():
        first, last = table.columns.inputs[places.scores.input_of[name]]
        by_position[:, first:last] += each.reshape(len(each), last - first, -1).sum(axis=2)
    arrays = {"contributions": by_position, "columns": np.array(names)}
    ends = {"baseline": places.ends[0].astype(float), "score": places.ends[1].astype(float)}
    arrays |= {**ends, "labels": places.labels}
    rows = []
    for at, values in enumerate(found.values):
        numbers = {name: float(each[at]) for name, each in ends.items()}
        shown = {f"by {names[column]}": float(values[column]) for column in order[:MOST_TABLE_COLUMNS]}
        rest = order[MOST_TABLE_COLUMNS:]
        others = {"by other columns": float(values[rest].sum())} if len(rest) else {}
        rows.append({"example": places.label_words(at), **numbers, **shown, **others})
    chosen = places.some_of_each(MOST_WATERFALLS) if found.holds else []
    drawn = [waterfall(table, places, f"example_{index}", at, found.values[at]) for index, at in enumerate(chosen, 1)]
    caption = "What the columns add to the scores of single predictions"
    return Explained(found.title, question.about, sentences, found.proofs, caption, rows, drawn, arrays)


def waterfall(table: ExplainedTable, places: Places, name: str, at: int, contributions: np.ndarray) -> Figure:
    columns, question, labels = table.columns, table.question, []
    classes = question.target.class_names
    for column in columns.names:
        (value,) = columns.values(column, question.examples.inputs, np.array([at]))
        last = " in the last row" if columns.lags_of(column) else ""
        labels.append(column if np.ndim(value) else f"{column} = {raw_text(value)}{last}")
    of = f"score of {classes[places.labels[at]]}" if classes else "predicted number"
    before, after = (float(each[at]) for each in places.ends)
    title = places.label_words(at)
    return figures.waterfall_figure(name, title, labels, contributions, before, after, of)


EXPLAINERS: Mapping[str, Callable[[ExplainedTable], Explained]] = {
    "Permutation": permuted,
    "PartialDependence": depended,
    "IntegratedGradients": contributed,
}
