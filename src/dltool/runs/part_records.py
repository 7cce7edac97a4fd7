"""What results.json holds of folds and seeds, as typed values; see :mod:`dltool.runs.records`."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from dltool.runs.records import Count, Lenient, Number, Results, Words

Bounds = Annotated[list[float], Field(min_length=2, max_length=2)]
Each = Annotated[list[Number | None], Field(max_length=1000)]


class MetricSpread(Lenient):
    """A test metric of folds or seeds: the `value` of all folds together, and how the values of `each` spread."""

    value: Number | None = None
    mean: Number | None = None
    sd: Number | None = None
    min: Number | None = None
    max: Number | None = None
    interval: Bounds | None = None
    each: Each = Field(default_factory=list)

    @property
    def shown(self) -> float | None:
        """Return the value of all together."""
        return self.mean if self.value is None else self.value


class FoldBaseline(Lenient):
    name: Words = ""
    metric: Words = ""
    value: Number | None = None
    each: Each = Field(default_factory=list)


class PartResults(Lenient):
    """The folds or seeds of a run. `division` is a digest of the fold of each row; `training` and `test` count the
    examples of each fold."""

    count: Count = 0
    repeats: Count = 1
    examples: Count = 0
    seeds: Annotated[list[Count], Field(max_length=1000)] = Field(default_factory=list)
    training: Annotated[list[Count], Field(max_length=1000)] = Field(default_factory=list)
    test: Annotated[list[Count], Field(max_length=1000)] = Field(default_factory=list)
    division: str = ""
    best_epochs: Each = Field(default_factory=list)
    epochs: Each = Field(default_factory=list)
    metrics: dict[str, MetricSpread] = Field(default_factory=dict)
    baselines: Annotated[list[FoldBaseline], Field(max_length=100)] = Field(default_factory=list)

    @property
    def words(self) -> str:
        """Return "5 folds", "3 × 5 folds" or "5 seeds"."""
        if self.seeds:
            return f"{self.count} seeds"
        return f"{self.repeats} × {self.count} folds" if self.repeats > 1 else f"{self.count} folds"


def part_results(results: Results | Mapping[str, Any]) -> PartResults | None:
    """Return the folds or seeds in results.json; None if the run has neither."""
    found = results if isinstance(results, Mapping) else {"folds": results.folds, "seeds": results.seeds}
    return next((PartResults.model_validate(found[key]) for key in ("folds", "seeds") if found.get(key)), None)
