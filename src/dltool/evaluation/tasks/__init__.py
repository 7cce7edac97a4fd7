"""Evaluators of the outputs of a model, by the kind of their targets, and what they find."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from dltool.config.checks import target_of
from dltool.config.outputs import heads_of
from dltool.config.schema import Config
from dltool.config.tasks import TargetKind
from dltool.data.facts import Facts
from dltool.errors import RunError
from dltool.evaluation.figures.figure import file_word
from dltool.evaluation.findings import MASK, OutputAssessment
from dltool.evaluation.tasks.classes import ClassEvaluator, LabelEvaluator
from dltool.evaluation.tasks.evaluator import NOTHING, Evaluator
from dltool.evaluation.tasks.numbers import NumberEvaluator, ReconstructionEvaluator

Drawn = TypeVar("Drawn")
EVALUATORS: Mapping[TargetKind, type[Evaluator]] = {
    "category": ClassEvaluator,
    "index": ClassEvaluator,
    "multi_label": LabelEvaluator,
    "number": NumberEvaluator,
    "input": ReconstructionEvaluator,
}
DRAWING_ERRORS = (
    *(ArithmeticError, AttributeError, ImportError, LookupError, OSError),
    *(RuntimeError, TypeError, ValueError),
)
"""Errors that matplotlib raises if it cannot draw."""


def evaluators(config: Config, facts: Facts) -> list[Evaluator]:
    """Return an evaluator for each output. Raises RunError: the data has no such target."""
    found = []
    for head in heads_of(config):
        target = target_of(head, facts.targets)
        if target is None:
            raise RunError(f"the data has no target {str(head.target)[:100]}")
        found.append(EVALUATORS[target.kind](config, head, target))
    return found


def assessed_outputs(
    config: Config,
    facts: Facts,
    targets: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    rows: np.ndarray,
    warn: Callable[[str], None] | None = None,
) -> tuple[OutputAssessment, ...]:
    """Assess `outputs` against `targets`, both by name and (kept, …). A reconstruction is given as its squared errors.
    `rows` (kept,) are rows of the data. Without `warn` nothing is drawn; it receives the reason if a figure fails."""
    found = []
    for output in evaluators(config, facts):
        name = output.head.name
        prefix = f"{file_word(name)}_" if config.model.outputs else ""
        # Nothing more can be measured if a model predicts NaN.
        is_number = np.isfinite(outputs[name]).all()
        shown = without_padding(output, targets, outputs, rows)
        makers, table, mistakes = output.findings(prefix, *shown) if is_number else NOTHING
        figures = () if warn is None else images(makers, warn)
        found.append(OutputAssessment(name, output.target.kind, figures, table, mistakes))
    return tuple(found)


def without_padding(
    output: Evaluator, targets: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray], rows: np.ndarray
) -> tuple[Mapping[str, np.ndarray], np.ndarray, np.ndarray]:
    """Return targets, values and rows of the output without masked steps, as Keras's loss and metrics."""
    name = output.head.name
    mask = outputs.get(f"{name}{MASK}")
    if mask is None or output.target.shape[:1] != mask.shape[1:]:
        return targets, outputs[name], rows
    return {str(output.head.target): output.goal(targets)[mask]}, outputs[name][mask], rows[mask.nonzero()[0]]


def images(makers: Sequence[Callable[[], Drawn]], warn: Callable[[str], None]) -> tuple[Drawn, ...]:
    """Return the figures that could be drawn, and warn of the others."""
    found = []
    for make in makers:
        try:
            found.append(make())
        except DRAWING_ERRORS as error:
            warn(f"a figure could not be drawn: {type(error).__name__}: {error}")
    return tuple(found)
