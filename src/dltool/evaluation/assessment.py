"""What a finished model is worth: intervals, tables, figures, mistakes and baselines of one set of examples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from dltool.config.outputs import OutputSpec, heads_of
from dltool.config.schema import Config
from dltool.data.facts import Facts, TargetFacts
from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.classes import Found, classes_found, labels_found
from dltool.evaluation.figures.figure import file_word
from dltool.evaluation.findings import Assessment, Baseline, OutputAssessment
from dltool.evaluation.numbers import numbers_found, restoring_found
from dltool.evaluation.predictions import has_probabilities, number_names, probabilities, target_of

MOST_INNER = 200_000
"""Values of classes inside examples, such as pixels, that are looked at; of more, some that are spread evenly."""
Drawn = TypeVar("Drawn")
DRAWING_ERRORS = (
    ArithmeticError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What matplotlib raises where it cannot draw."""


@dataclass(frozen=True)
class Measured:
    """What is known of a model by numbers alone, from `examples` of `split`."""

    split: str
    examples: int
    metrics: Mapping[str, Interval]
    baselines: tuple[Baseline, ...] = ()


def assess(
    config: Config,
    facts: Facts,
    measured: Measured,
    targets: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    rows: np.ndarray,
    warn: Callable[[str], None] | None = None,
) -> Assessment:
    """Assess `outputs` by name, as the model gives them (of a restored input its squared errors), against `targets` by
    name, (kept, …) each. `rows` (kept,) are the rows of the data that they are for.

    Without `warn`, nothing is drawn; it is called with the reason where a figure cannot be.
    """
    found = []
    for head in heads_of(config):
        target = target_of(head, facts)
        prefix = f"{file_word(head.name)}_" if config.model.outputs else ""
        goal = None if head.target is None else targets[head.target]
        makers, table, mistakes = findings(config, head, target, prefix, goal, outputs[head.name], rows)
        figures = () if warn is None else pictures(makers, warn)
        found.append(OutputAssessment(head.name, target.kind if target else "input", figures, table, mistakes))
    return Assessment(measured.split, measured.examples, dict(measured.metrics), tuple(found), measured.baselines)


def findings(
    config: Config,
    head: OutputSpec,
    target: TargetFacts | None,
    prefix: str,
    goal: np.ndarray | None,
    output: np.ndarray,
    rows: np.ndarray,
) -> Found:
    if not np.isfinite(output).all():
        # Of a model that gives NaN, nothing more can be said.
        return [], [], ()
    if target is None or goal is None:
        return restoring_found(prefix, output, rows)
    if target.kind == "number":
        flat = goal.reshape(len(goal), -1)
        values = output.reshape(len(output), -1)
        if flat.shape != values.shape:
            return [], [], ()
        names = number_names(config.data.targets[str(head.target)], flat.shape[1])
        return numbers_found(prefix, names, flat, values, rows)
    if not has_probabilities(head):
        return [], [], ()
    names, inner = list(target.class_names), target.kind == "category" and bool(target.shape)
    values = output.reshape(-1, output.shape[-1]) if inner else output.reshape(len(output), -1)
    some = slice(None, None, -(-len(values) // MOST_INNER) if inner else 1)
    shares = probabilities(head, values[some], target)
    if shares.shape[1] != len(names):
        return [], [], ()
    if target.kind == "multi_label":
        return labels_found(prefix, names, goal, shares, rows)
    return classes_found(prefix, names, goal.ravel()[some], shares, None if inner else rows)


def pictures(makers: Sequence[Callable[[], Drawn]], warn: Callable[[str], None]) -> tuple[Drawn, ...]:
    """What the makers draw, without those that fail."""
    found = []
    for make in makers:
        try:
            found.append(make())
        except DRAWING_ERRORS as error:
            warn(f"a figure could not be drawn: {type(error).__name__}: {error}")
    return tuple(found)
