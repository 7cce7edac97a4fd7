"""What results.json holds of folds and seeds, as typed values; see :mod:`dltool.runs.records`."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from dltool.errors import RunError
from dltool.runs.records import Count, Lenient, Number, Results, Words
from dltool.text import number

Bounds = Annotated[list[float], Field(min_length=2, max_length=2)]
Few = Annotated[int, Field(ge=0, le=1000)]
Each = Annotated[list[Number | None], Field(max_length=1000)]


class MetricSpread(Lenient):
    """A test metric of folds or seeds: the `value` of all folds together, and how the values of `each` spread."""

    value: Number | None = None
    mean: Number | None = None
    sd: Number | None = None
    sd_of_seeds: Number | None = None
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
    examples of each fold. Folds may be trained with several `seeds`, one after the other."""

    count: Few = 0
    repeats: Few = 1
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
        """Return "5 folds", "3 × 5 folds", "5 folds × 3 seeds" or "5 seeds"."""
        if not self.are_folds:
            return f"{self.count} seeds"
        return f"{self.fold_words} × {len(self.seeds)} seeds" if self.seeds else self.fold_words

    @property
    def are_folds(self) -> bool:
        return bool(self.division)

    @property
    def fold_words(self) -> str:
        return f"{self.repeats} × {self.count} folds" if self.repeats > 1 else f"{self.count} folds"

    @property
    def levels(self) -> dict[str, Sequence[int]]:
        """Return the seeds, repeats and folds that `each` value of a metric is of, the last one changing fastest."""
        seeds, repeats = list(self.seeds), range(1, self.repeats + 1)
        if not self.are_folds:
            return {"seed": seeds}
        outer = {"seed": seeds} if seeds else {}
        return {**outer, **({"repeat": repeats} if self.repeats > 1 else {}), "fold": range(1, self.count + 1)}

    def values(self) -> dict[str, list[Number | None]]:
        """Return the values of all parts by metric, in the order of `levels`. Raises RunError: some are missing."""
        found = {name: metric.each for name, metric in self.metrics.items()}
        if ({len(each) for each in found.values()} or {0}) != {math.prod(map(len, self.levels.values()))}:
            raise RunError(f"results.json is damaged: not all metrics have the values of {self.words}")
        return found

    def spread_words(self, metric: MetricSpread) -> str:
        """Return "0.05 over 5 folds", and how far the seeds of folds spread."""
        words = self.fold_words if self.are_folds else self.words
        largest = metric.shown or 0.0
        found = f"{number(metric.sd or 0.0, largest)} over {words}"
        if metric.sd_of_seeds is None:
            return found
        return f"{found}, {number(metric.sd_of_seeds, largest)} over {len(self.seeds)} seeds"


def part_results(results: Results | Mapping[str, Any]) -> PartResults | None:
    """Return the folds or seeds in results.json; None if the run has neither."""
    found = results if isinstance(results, Mapping) else {"folds": results.folds, "seeds": results.seeds}
    return next((PartResults.model_validate(found[key]) for key in ("folds", "seeds") if found.get(key)), None)
