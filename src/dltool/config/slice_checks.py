"""Whether the outputs of a model have results by group, as the slices of a config ask for them."""

from collections.abc import Iterator, Sequence

from dltool.config.losses import family_of
from dltool.config.outputs import OutputSpec
from dltool.config.schema import Config
from dltool.config.tasks import DataFacts
from dltool.errors import Problem
from dltool.text import joined


def ungrouped_problems(config: Config, heads: Sequence[OutputSpec], facts: DataFacts | None) -> list[Problem]:
    """Find slices of a model of which no output has results by group. `facts` are None if unknown."""
    reasons = [*ungrouped(heads, facts)]
    if not config.data.slices or len(reasons) < len(heads):
        return []
    message = f"nothing to compare by group: {joined(reasons, 'and')}"
    return [Problem(("data", "slices"), message, "remove it, or predict classes or numbers", at_key=True)]


def ungrouped(heads: Sequence[OutputSpec], facts: DataFacts | None) -> Iterator[str]:
    """Yield why outputs have no results by group, one reason for each of these."""
    for head in heads:
        target = None if facts is None else facts.targets.get(str(head.target))
        if head.target is None:
            yield f"{head.name} reconstructs its input, which no constant of a group does"
        elif target is not None and target.task.has_classes and not family_of(head.loss).has_probabilities:
            yield f"{head.name} gives no probabilities, with the loss {head.loss.name}"
