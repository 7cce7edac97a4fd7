"""Assess a finished model on one set of examples: intervals, tables, figures, worst errors and baselines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from dltool.config.schema import Config
from dltool.data.facts import Facts
from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.figures.figure import file_word
from dltool.evaluation.findings import Assessment, Baseline, OutputAssessment
from dltool.evaluation.tasks import evaluators
from dltool.evaluation.tasks.evaluator import NOTHING

Drawn = TypeVar("Drawn")
DRAWING_ERRORS = (
    *(ArithmeticError, AttributeError, ImportError, LookupError, OSError),
    *(RuntimeError, TypeError, ValueError),
)
"""Errors that matplotlib raises if it cannot draw."""


@dataclass(frozen=True)
class Measured:
    """The numbers measured on `examples` of `split`."""

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
    """Assess `outputs` against `targets`, both by name and (kept, …). A reconstruction is given as its squared errors.

    `rows` (kept,) are the rows of the data. Without `warn` nothing is drawn; it receives the reason if a figure fails.
    """
    found = []
    for output in evaluators(config, facts):
        name = output.head.name
        prefix = f"{file_word(name)}_" if config.model.outputs else ""
        # Nothing more can be measured if a model predicts NaN.
        is_number = np.isfinite(outputs[name]).all()
        makers, table, mistakes = output.findings(prefix, targets, outputs[name], rows) if is_number else NOTHING
        figures = () if warn is None else images(makers, warn)
        found.append(OutputAssessment(name, output.target.kind, figures, table, mistakes))
    return Assessment(measured.split, measured.examples, dict(measured.metrics), tuple(found), measured.baselines)


def images(makers: Sequence[Callable[[], Drawn]], warn: Callable[[str], None]) -> tuple[Drawn, ...]:
    """Return the figures that could be drawn, and warn of the others."""
    found = []
    for make in makers:
        try:
            found.append(make())
        except DRAWING_ERRORS as error:
            warn(f"a figure could not be drawn: {type(error).__name__}: {error}")
    return tuple(found)
