"""Evaluators of the outputs of a model, by the kind of their targets."""

from collections.abc import Mapping

from dltool.config.outputs import heads_of
from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts, TargetKind
from dltool.data.facts import Facts
from dltool.errors import RunError
from dltool.evaluation.tasks.classes import ClassEvaluator, LabelEvaluator
from dltool.evaluation.tasks.evaluator import Evaluator
from dltool.evaluation.tasks.numbers import NumberEvaluator, ReconstructionEvaluator

EVALUATORS: Mapping[TargetKind, type[Evaluator]] = {
    "category": ClassEvaluator,
    "multi_label": LabelEvaluator,
    "number": NumberEvaluator,
    "input": ReconstructionEvaluator,
}


def evaluators(config: Config, facts: Facts) -> list[Evaluator]:
    """Return an evaluator for each output. Raises RunError: the data has no such target."""
    found = []
    for head in heads_of(config):
        if head.target is not None and head.target not in facts.targets:
            raise RunError(f"the data has no target {head.target[:100]}")
        target = TargetFacts("input") if head.target is None else facts.targets[head.target]
        found.append(EVALUATORS[target.kind](config, head, target))
    return found
