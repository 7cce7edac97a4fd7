"""Explanations of tables, windows and vectors of numbers: which columns matter, and how."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from dltool.data.arrays.window_rows import span_of
from dltool.data.examples import Examples
from dltool.data.split.by_column import numbered
from dltool.errors import ConfigError
from dltool.evaluation.figures.figure import Figure
from dltool.explain import column_figures as figures
from dltool.explain.contributions import Contributions, contributions_of
from dltool.explain.dependence import MISSING, Dependence, dependence_on
from dltool.explain.explained import Explained, Question
from dltool.explain.mixing import Columns, MixedModel
from dltool.explain.permutation import REPEATS, Importance, importances, proofs
from dltool.explain.related_columns import related_groups
from dltool.text import counted, data_number, joined, listed, number, shortened

MOST_NUMBERS = 40_000_000
"""Input numbers of all predictions for permuted columns; of many columns, fewer rows are predicted."""
FEWEST_ROWS, MOST_BYTES = 200, 2**30
MOST_DEPENDENCES, MOST_WATERFALLS, MOST_TABLE_ROWS, MOST_TABLE_COLUMNS = 6, 4, 20, 8


def explain_columns(question: Question) -> tuple[Explained, ...]:
    """Explain the examples by each method. Raises ConfigError: a method does not fit the model."""
    methods = question.methods or (EXPLAINERS if question.dataset else ["IntegratedGradients"])
    table = ExplainedTable(question)
    return tuple(EXPLAINERS[method](table) for method in methods)


@dataclass(frozen=True)
class ExplainedTable:
    """What the methods share: the whole split of the examples, and the importances of its columns."""

    question: Question

    @cached_property
    def examples(self) -> Examples:
        """Return the examples of the split, evenly fewer of large ones. Raises ConfigError: they have no targets."""
        question = self.question
        if question.dataset is None:
            message = "new examples without targets have no permutation importance and no partial dependence"
            raise ConfigError(message, "use IntegratedGradients, or leave out FILE")
        examples = question.dataset.examples("validation" if question.split == "validation" else "test")
        columns = Columns(question.config, question.facts)
        row_bytes = 4 * sum(
            int(np.prod([size or 1 for size in tensor.shape[1:]])) for tensor in question.built.core.inputs
        )
        predictions = REPEATS * (len(columns.names) + len({*columns.lags}))
        most = max(FEWEST_ROWS, MOST_NUMBERS // (predictions * columns.size))
        count = min(len(examples), most, max(1, MOST_BYTES // row_bytes))
        return examples.take(np.unique(np.linspace(0, len(examples) - 1, count).astype(int)))

    @cached_property
    def model(self) -> MixedModel:
        return MixedModel(self.question.built, self.question.config, self.question.facts, self.examples)

    @property
    def rows(self) -> np.ndarray:
        return np.arange(len(self.examples))

    @cached_property
    def clusters(self) -> np.ndarray | None:
        """Return the numbers (rows,) of rows that depend on each other, None if none is known to."""
        data, rows = self.question.config.data, len(self.examples)
        # Blocks of neighbours, as for folds in :mod:`dltool.data.split.folds`, in which windows overlap.
        block = max(1, round(rows ** (1 / 3)))
        if data.windows is not None:
            return np.arange(rows) // max(block, -(-span_of(data.windows) // data.windows.stride))
        if data.split.group in self.examples.inputs:
            return numbered(np.asarray(self.examples.inputs[data.split.group]))[0]
        return None if data.split.order is None else np.arange(rows) // block

    @cached_property
    def selections(self) -> dict[str, np.ndarray]:
        return {name: self.model.columns.chosen([name]) for name in self.model.columns.names}

    @cached_property
    def importances(self) -> list[Importance]:
        return self.importances_of(self.selections)

    def importances_of(self, selections: Mapping[str, np.ndarray]) -> list[Importance]:
        return importances(self.model, selections, self.rows, self.clusters, self.question.config.seed)

    @cached_property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Return groups of columns that stand in for each other, by the name of their bar."""
        columns = self.model.columns
        values = {
            name: columns.values(name, self.examples.inputs, self.rows)
            for name in columns.names
            if self.is_one_value(name)
        }
        return {f"{' + '.join(group)}": group for group in related_groups(values)}

    def is_one_value(self, name: str) -> bool:
        found = self.question.facts.inputs.get(name)
        return found is None or found.column is None or found.column.name not in ("text", "image", "audio")


def permuted(table: ExplainedTable) -> Explained:
    """Explain by permutation importance."""
    found, columns = table.importances, table.model.columns
    together = table.importances_of({name: columns.chosen(group) for name, group in table.groups.items()})
    lags = sorted({lag for lag in columns.lags if lag is not None}, reverse=True)
    by_lag = table.importances_of({f"row {-lag}": columns.chosen(columns.names, lag) for lag in lags})
    evidence = proofs(table.model, found, table.selections, table.rows)
    drawn: list[Figure] = []
    if all(proof.holds for proof in evidence):
        drawn.append(figures.importance_figure([*found, *together], table.groups, "loss"))
        drawn += [figures.lag_figure(by_lag, lags, "loss")] if len(lags) > 1 else []
    ordered = sorted([*found, *together], key=lambda each: -each.loss.value)
    return Explained(
        "Permutation",
        about(table),
        [*importance_sentences(table, together), *lag_sentences(by_lag)],
        evidence,
        "Increase of the loss if a column, a group or a row of the window is permuted, with its 95 % interval",
        [importance_row(each) for each in [*ordered, *by_lag]],
        drawn,
    )


def about(table: ExplainedTable) -> str:
    return f"{len(table.examples):,} examples of the {table.question.split} split"


def importance_sentences(table: ExplainedTable, together: Sequence[Importance]) -> list[str]:
    found = sorted(table.importances, key=lambda each: -each.loss.value)
    heard = [each for each in found if each.exceeds_noise]
    sentences = [
        "Permuting a column takes its information from the model: its values go to other rows. "
        f"The loss is the mean over {about(table)} and {REPEATS} permutations."
    ]
    if heard:
        names = [f"{each.name} ({signed(each.loss.value)})" for each in heard[:5]]
        sentences.append(f"The model needs these most: {joined(names, 'and')}.")
    if len(heard) < len(found):
        rest = [each.name for each in found if not each.exceeds_noise]
        sentences.append(f"No more important than noise: {listed(rest, 10)}.")
    alone = {each.name: each.loss.value for each in found}
    for each in together:
        group = table.groups[each.name]
        parts = joined([f"{name} {signed(alone[name])}" for name in group], "and")
        sentences.append(f"These stand in for each other: alone {parts}, together {signed(each.loss.value)}.")
    if table.clusters is not None:
        whole = counted(len(np.unique(table.clusters)), "group", "groups")
        sentences.append(f"Intervals resample {whole} of rows that depend on each other, not single rows.")
    return sentences


def lag_sentences(by_lag: Sequence[Importance]) -> list[str]:
    if len(by_lag) < 2:
        return []
    heard, best = sum(each.exceeds_noise for each in by_lag), max(by_lag, key=lambda each: each.loss.value)
    most = f", {best.name} the most ({signed(best.loss.value)}); row 0 is the last" if heard else ""
    return [f"Permuted in all columns at once, {heard} of {len(by_lag)} rows are more important than noise{most}."]


def signed(value: float) -> str:
    return f"{'' if value < 0 else '+'}{number(value)}"


def importance_row(found: Importance) -> dict[str, Any]:
    numbers = {"loss": found.loss.value, "low": found.loss.low, "high": found.loss.high, "noise": found.noise}
    others = {name: change for name, change in found.metrics.items() if not name.endswith("loss")}
    # Metrics that repeat the loss say nothing more.
    distinct = {name: change for name, change in others.items() if not np.isclose(change, found.loss.value, rtol=1e-4)}
    return {"column": found.name, **numbers, **dict(islice(distinct.items(), 1))}


def depended(table: ExplainedTable) -> Explained:
    """Explain by the partial dependence on the most important columns."""
    names = [each.name for each in sorted(table.importances, key=lambda each: -each.loss.value)]
    question = table.question
    # All examples of the split, not only those in question, have the values of the grid.
    found: list[Dependence] = []
    for name in names:
        one = dependence_on(question, table.model, name, table.examples.inputs)
        found += [] if one is None else [one]
        if len(found) == MOST_DEPENDENCES:
            break
    arrays: dict[str, np.ndarray] = {}
    for index, each in enumerate(found):
        grid = each.grid if each.is_ordered else each.grid.astype(str)
        arrays |= {f"dependence_{index}_values": grid, f"dependence_{index}_rows": each.each.astype(np.float32)}
        arrays[f"dependence_{index}_means"] = np.stack(list(each.means.values()), axis=1)
    sentences = [
        "The mean output if a column had the same value in all rows, and the outputs of single rows. The other columns "
        "keep their values, so combinations may be predicted that do not exist.",
        *(["In windows, only the value in the last row changes."] if question.config.data.windows else []),
    ]
    related = {name for group in table.groups.values() for name in group}
    if warned := [each.column for each in found if each.column in related]:
        sentences.append(f"Read with care, others stand in for them: {listed(warned, 10)}.")
    caption = "Where the mean output is lowest and highest"
    drawn = [figures.dependence_figure(each) for each in found]
    return Explained(
        "PartialDependence", about(table), sentences, (), caption, [each.row() for each in found], drawn, arrays
    )


def contributed(table: ExplainedTable) -> Explained:
    """Explain single predictions by integrated gradients."""
    question = table.question
    found, proof = contributions_of(question)
    by_column, columns = found.by_column, found.columns
    sizes = np.abs(by_column).mean(axis=0)
    order = np.argsort(-sizes, kind="stable")
    names = [f"{columns.names[at]} ({number(float(sizes[at]))})" for at in order[:5]]
    sentences = [
        f"What each column adds to the {score_text(question)}, compared with a baseline: {found.baseline}.",
        f"Mean size of the contributions: {joined(names, 'and')}.",
    ]
    arrays = {"contributions": found.by_position.astype(np.float32), "columns": np.array(columns.names)}
    arrays |= {"scores": found.scores, "baseline_scores": found.baseline_scores, "labels": found.labels}
    rows = [contribution_row(question, found, at, order) for at in range(len(by_column))]
    rows = rows[:MOST_TABLE_ROWS] if question.split else rows
    drawn = [waterfall(question, found, at) for at in range(min(len(rows), MOST_WATERFALLS))] if proof.holds else []
    caption = "What the columns add to the scores of single predictions"
    return Explained("IntegratedGradients", question.about, sentences, (proof,), caption, rows, drawn, arrays)


def score_text(question: Question) -> str:
    if not question.target.class_names:
        return "predicted number"
    return "score of the class" if question.label is not None else "score of the predicted class"


def contribution_row(question: Question, found: Contributions, at: int, order: np.ndarray) -> dict[str, Any]:
    values, names = found.by_column[at], found.columns.names
    places = {name: plain(places[at]) for name, places in question.examples.places.items()}
    classes = question.target.class_names
    label = {"predicted class" if question.label is None else "class": classes[found.labels[at]]} if classes else {}
    score = {"baseline score": float(found.baseline_scores[at]), "score": float(found.scores[at])}
    shown = {f"by {names[column]}": float(values[column]) for column in order[:MOST_TABLE_COLUMNS]}
    rest = order[MOST_TABLE_COLUMNS:]
    others = {"by other columns": float(values[rest].sum())} if len(rest) else {}
    return {**places, **label, **score, **shown, **others}


def plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, int | float | str) else str(value)


def waterfall(question: Question, found: Contributions, at: int) -> Figure:
    columns, inputs = found.columns, question.examples.inputs
    labels = []
    for name in columns.names:
        (value,) = columns.values(name, inputs, np.array([at]))
        last = " in the last row" if columns.lags_of(name) else ""
        labels.append(name if np.ndim(value) else f"{name} = {raw_text(question, name, value)}{last}")
    places, classes = question.examples.places.items(), question.target.class_names
    where = ", ".join(f"{name} {plain(values[at])}" for name, values in places) or f"example {at + 1}"
    of = f"score of {classes[found.labels[at]]}" if classes else "prediction"
    before, after = float(found.baseline_scores[at]), float(found.scores[at])
    title = f"{where}: {of}"
    return figures.waterfall_figure(f"example_{at + 1}", title, labels, found.by_column[at], before, after, of)


def raw_text(question: Question, name: str, value: Any) -> str:
    """Return a raw value of a column as text."""
    found = question.facts.inputs.get(name)
    if found is not None and found.column is not None and found.column.name == "date":
        return str(np.datetime64(value, "s"))
    if isinstance(value, str):
        return shortened(value, 30) or MISSING
    return MISSING if np.isnan(value) else data_number(float(value), 4)


EXPLAINERS: Mapping[str, Callable[[ExplainedTable], Explained]] = {
    "Permutation": permuted,
    "PartialDependence": depended,
    "IntegratedGradients": contributed,
}
