"""A model that answers: the best model of a run, what it takes, and how a batch of requests is answered."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from dltool.config.explain_options import Asked
from dltool.config.outputs import heads_of
from dltool.data.arrays.rows import Rows, stack
from dltool.data.examples import Examples
from dltool.data.new_data import NewExamples
from dltool.errors import ConfigError, DataError
from dltool.evaluation.figures.figure import Figure
from dltool.evaluation.kept_distributions import DISTRIBUTIONS, described_inputs, read_kept
from dltool.evaluation.model_interface import ModelInterface
from dltool.evaluation.predictions import records
from dltool.experiment.opening import best_predictor, recorded_kind
from dltool.experiment.refusals import require_code
from dltool.exporting.export_options import Engine
from dltool.exporting.onnx_predictor import OnnxPredictor, export_for
from dltool.model.unusual_values import FAR
from dltool.runs.directory import open_run
from dltool.runs.files import Run
from dltool.serving.limits import Limits, Refused
from dltool.serving.row_schema import request_type
from dltool.text import data_number

if TYPE_CHECKING:
    from dltool.model.build import BuiltModel


@dataclass(frozen=True)
class Query:
    """`rows` examples: the `cells` of a table's rows, or texts, still to be read; or the `inputs` of the model. What is
    read may have `warnings` already. `in_words`: the predictions are wanted besides the outputs."""

    rows: int
    cells: Sequence[Any] | None = None
    inputs: Mapping[str, Rows] | None = None
    warnings: tuple[str, ...] = ()
    in_words: bool = True


@dataclass(frozen=True)
class Answer:
    """The `outputs` of the model by name, (rows, …); the same in words, a mapping for each row, if wanted; warnings."""

    outputs: Mapping[str, np.ndarray]
    predictions: Sequence[Mapping[str, Any]]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Served:
    """The best model of a run, ready to answer.

    `ranges` are those of what describes its arrays, in training; `request` is the type of what it takes as JSON; `why`
    says why TensorFlow computes it, unless it was asked to."""

    run: Run
    predictor: ModelInterface
    ranges: Mapping[str, tuple[float, float]]
    request: TypeAdapter[Any]
    why: str = ""

    @property
    def name(self) -> str:
        return self.predictor.config.name

    @property
    def version(self) -> str:
        return self.run.path.name

    @cached_property
    def can_merge(self) -> bool:
        """Whether the rows of several requests are read together: windows are made of the rows of one request."""
        data = self.predictor.config.data
        return data.windows is None and (bool(self.predictor.types) or data.source.name == "text")

    @cached_property
    def explainable(self) -> "BuiltModel":
        """The same model once more, for explanations: their proofs change its weights for a while."""
        built = best_predictor(self.run, self.predictor.config, self.predictor.facts, is_beside=True).built
        return replace(built, heads=heads_of(self.predictor.config))

    def question(self, rows: list[Any]) -> Query:
        """Return the question for the rows of a `request`. Raises Refused: they do not fit the model."""
        if self.predictor.types:
            # A column that no row names is missing, as one is that only some rows name.
            blank = dict.fromkeys(self.predictor.types)
            rows = [blank | row for row in rows]
        if self.can_merge:
            return Query(len(rows), cells=rows)
        if self.predictor.types:
            return self.read(lambda: self.predictor.rows(rows))
        inputs = self.predictor.inputs
        given = (
            {inputs[0].name: rows}
            if len(inputs) == 1
            else {each.name: [row[each.name] for row in rows] for each in inputs}
        )
        arrays = {name: numbers(values, name) for name, values in given.items()}
        return self.read(lambda: self.predictor.rows(arrays))

    def read(self, load: Callable[[], NewExamples]) -> Query:
        """Return the question for the examples that `load` returns. Raises Refused: they cannot be read."""
        try:
            new = load()
            warnings = (*new.warnings, *self.predictor.warnings(new), *self.unusual(new.examples))
        except DataError as error:
            raise unreadable(error) from None
        return Query(len(new.examples), inputs=new.examples.inputs, warnings=warnings)

    def unusual(self, examples: Examples) -> Iterator[str]:
        """Yield a warning for arrays on another scale than those of training, such as images of 0 to 255 where they
        were of 0 to 1."""
        if not self.ranges:
            return
        described = described_inputs(self.predictor.config, self.predictor.facts, examples)
        far = []
        for name, (low, high) in self.ranges.items():
            values = np.asarray(described.get(name, ()), float)
            beyond = values[(values < low - FAR * (high - low)) | (values > high + FAR * (high - low))]
            far += [
                f"{name} is {data_number(float(each))}, in training {data_number(low)} to {data_number(high)}"
                for each in beyond[:1]
            ]
        if far:
            more = f", and {len(far) - 1:,} others of {len(self.ranges):,}" if len(far) > 1 else ""
            yield f"values far outside the training range: {far[0]}{more}"

    def answers(self, questions: Sequence[Query]) -> list[Answer | BaseException]:
        """Answer questions as one batch; a question that cannot be read has its error."""
        ready = self.ready(questions)
        found: dict[int, Answer | BaseException] = {}
        found |= {number: each for number, each in ready.items() if isinstance(each, BaseException)}
        asked = {number: each for number, each in ready.items() if isinstance(each, Query)}
        try:
            found |= self.computed(asked) if asked else {}
        except Refused as refused:
            if len(questions) == 1:
                return [refused]
            # One of them has a value that fails the batch.
            return [answer for each in questions for answer in self.answers([each])]
        return [found[number] for number in range(len(questions))]

    def computed(self, asked: Mapping[int, Query]) -> dict[int, Answer]:
        """Return the answers to questions by number; a question without inputs has its rows in those before it. Raises
        Refused: a value that the model does not take."""
        parts = [each.inputs for each in asked.values() if each.inputs is not None]
        inputs = {each.name: stack([part[each.name] for part in parts]) for each in self.predictor.inputs}
        try:
            outputs = self.predictor(inputs)
        except (ConfigError, DataError) as error:
            raise Refused(422, f"the model does not take one of the values: {error}") from None
        is_said = any(each.in_words for each in asked.values())
        words = records(self.predictor.columns(outputs)) if is_said else []
        found: dict[int, Answer] = {}
        first = 0
        for number, question in asked.items():
            rows = slice(first, first + question.rows)
            own = {name: values[rows] for name, values in outputs.items()}
            found[number] = Answer(own, words[rows], question.warnings)
            first = rows.stop
        return found

    def ready(self, questions: Sequence[Query]) -> "dict[int, Query | BaseException]":
        """Return the questions by number, each with its inputs or its error, in the order of their rows. Rows that can
        be read together are: the first of their questions has the inputs of all, and the others none."""
        unread = {number: each for number, each in enumerate(questions) if each.cells is not None}
        found: dict[int, Query | BaseException] = {}
        if len(unread) > 1:
            together = self.read_cells([cell for each in unread.values() for cell in each.cells or ()])
            # Which of the requests a warning or an error is about shows only when each is read alone.
            if isinstance(together, Query) and not together.warnings:
                found |= {number: Query(each.rows) for number, each in unread.items()}
                first = next(iter(unread))
                found[first] = replace(together, rows=unread[first].rows)
        for number, each in enumerate(questions):
            if number not in found:
                found[number] = each if each.cells is None else self.read_cells(each.cells)
        return found

    def explained(self, question: Query) -> list[dict[str, Any]]:
        """Return what `dltool explain` finds for the only row of a question, with figures as data URIs. Raises Refused:
        the row cannot be read, or predictions of this model cannot be explained."""
        # It brings what draws, which few servers need.
        from dltool.explain.explaining import explained

        row = question if question.cells is None else self.read_cells(question.cells)
        if not isinstance(row, Query):
            raise row
        config, facts = self.predictor.config, self.predictor.facts
        try:
            _, found = explained(config, facts, self.explainable, Asked(), Examples(row.inputs or {}))
        except ConfigError as error:
            raise Refused(422, str(error)) from None
        return [each.record() | {"figures": [drawing(figure) for figure in each.figures]} for each in found]

    def read_cells(self, cells: Sequence[Any]) -> "Query | BaseException":
        try:
            return self.read(lambda: self.predictor.rows(cells))
        except Refused as refused:
            return refused


def drawing(figure: Figure) -> dict[str, str]:
    return {"title": figure.title, "description": figure.description, "image": figure.data_uri}


def numbers(rows: list[Any], name: str) -> np.ndarray:
    """Return nested lists of numbers as an array. Raises Refused: they are none, or have different lengths."""
    _, kinds = nested(rows)
    if list in kinds:
        raise Refused(422, f"{name}: the rows have different shapes")
    array = np.asarray(rows if kinds <= {int, float} else None)
    with np.errstate(over="ignore"):
        are_numbers = array.dtype.kind in "iuf" and np.isfinite(array.astype(np.float32)).all()
    if not are_numbers:
        raise Refused(422, f"{name}: each row is a number, or a nested list of numbers, without null, true and NaN")
    return array


def nested(values: Any) -> tuple[np.ndarray, set[type]]:
    """Return nested lists as an array of their objects, and the types of these; list is one if their lengths differ.

    NumPy's own strings are all as long as the longest: one long string among many would fill the memory."""
    found = np.asarray(values, dtype=object)
    return found, set(map(type, found.ravel().tolist()))


def unreadable(error: DataError) -> Refused:
    problems = [{"row": None, "field": None, "message": problem.message} for problem in error.problems]
    return Refused(422, "the request is not what the model takes", problems)


def served(path: Path, limits: Limits, engine: Engine = "auto", *, is_beside: bool = False) -> Served:
    """Load the best model of the run at `path`. The threads of TensorFlow are left as they are, if it `is_beside`
    another model. Raises RunError: it is damaged, or has no model; and as
    :func:`dltool.exporting.onnx_predictor.export_for`."""
    run = open_run(path)
    require_code(run, f"serve {run.path}")
    config, facts = recorded_kind(run)
    files, why = export_for(run, config, facts, engine)
    predictor: ModelInterface
    if files is None:
        predictor = best_predictor(run, config, facts, is_beside)
    else:
        predictor = OnnxPredictor(run, config, facts, files)
    request = request_type(predictor.inputs, predictor.types, config.data, limits.rows)
    ranges = {} if predictor.types else ranges_of(run)
    return Served(run, predictor, ranges, request, why)


def ranges_of(run: Run) -> dict[str, tuple[float, float]]:
    """Return the lowest and highest quantile of what describes the inputs in training; none if the run keeps none."""
    file = run.evaluation / "test" / DISTRIBUTIONS
    kept = read_kept(run.read_json(file), str(file)) if file.exists() else {}
    return {name: (each.edges[0], each.edges[-1]) for name, each in kept.items() if len(each.edges) > 1}
