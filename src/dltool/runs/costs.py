"""What runs have cost, as run.json and results.json record it."""

from collections.abc import Iterable
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from dltool.config.expectations import COSTS
from dltool.runs.files import Run
from dltool.runs.records import LARGEST, Lenient, Words
from dltool.text import duration, number, short, size_text

if TYPE_CHECKING:
    from dltool.config.schema import CostFactors

Amount = Annotated[float, Field(ge=0, lt=LARGEST)]
SECONDS_AN_HOUR, JOULES_A_KWH = 3600, 3.6e6


class Cost(Lenient):
    """The sum over all processes that worked on a run. `seconds` are wall time, and `train_seconds` that of training
    with its validation; `cpu_seconds` are those of all cores. `peak_memory` is in bytes.

    `flops` are the operations of training, 3 × a forward pass for each of the `examples` passed; None if a layer's are
    unknown. `joules` are those of `counters`, None without one, with the reason `why`. The others are None without
    the factors of the user; `carbon` is in grams."""

    seconds: Amount = 0.0
    cpu_seconds: Amount = 0.0
    train_seconds: Amount = 0.0
    peak_memory: Amount = 0.0
    examples: Amount = 0.0
    flops: Amount | None = 0.0
    joules: Amount | None = 0.0
    counters: Words = ""
    why: Words = ""
    examples_per_second: Amount | None = None
    price: Amount | None = None
    carbon: Amount | None = None

    def __add__(self, other: "Cost") -> "Cost":
        """Return the cost of both together, before factors. What is unknown of one is unknown of both."""
        names = ("seconds", "cpu_seconds", "train_seconds", "examples")
        sums = {name: getattr(self, name) + getattr(other, name) for name in names}
        for name in ("flops", "joules"):
            both = getattr(self, name), getattr(other, name)
            sums[name] = None if None in both else sum(both)
        words = {name: getattr(self, name) or getattr(other, name) for name in ("counters", "why")}
        return Cost(**sums, **words, peak_memory=max(self.peak_memory, other.peak_memory))

    def rated(self, factors: "CostFactors | None", cores: int) -> "Cost":
        """Return the whole cost, with what the user's `factors` make of it. Without a counter, joules are those of the
        `cores` at their `power`, "assumed"."""
        speed = self.examples / self.train_seconds if self.train_seconds else None
        found: dict[str, Any] = {"examples_per_second": speed}
        price, power, carbon = (None, None, None) if factors is None else (factors.price, factors.power, factors.carbon)
        joules = self.joules
        if joules is None and power is not None:
            joules = self.cpu_seconds / cores * float(power.split()[0])
            found |= {"joules": joules, "counters": f"assumed: {power} for {cores} cores"}
        if price is not None:
            found["price"] = self.seconds / SECONDS_AN_HOUR * float(price.split()[0])
        if carbon is not None and joules is not None:
            found["carbon"] = joules / JOULES_A_KWH * carbon
        return self.model_copy(update=found)

    @property
    def amounts(self) -> dict[str, float]:
        """Return the known amounts by the names that expectations and `dltool runs` have for them; empty for a run of a
        dltool that did not measure them."""
        if not self.cpu_seconds:
            return {}
        return {name: value for name in COSTS if (value := getattr(self, name)) is not None}

    @property
    def words(self) -> dict[str, str]:
        """Return each amount in words, for a report; empty as `amounts`."""
        if not self.amounts:
            return {}
        found = {"processor time": duration(self.cpu_seconds), "peak memory": size_text(round(self.peak_memory))}
        if self.examples_per_second:
            found["training examples a second"] = f"{self.examples_per_second:,.0f}"
        found["operations of training"] = "unknown" if self.flops is None else f"{short(round(self.flops))} FLOPs"
        found["energy"] = f"{number(self.joules)} J ({self.counters})" if self.joules is not None else self.why
        found["price"] = "" if self.price is None else number(self.price)
        found["carbon"] = "" if self.carbon is None else f"{number(self.carbon)} g"
        return {name: text for name, text in found.items() if text}


def cost_of_all(folders: Iterable[Path]) -> Cost:
    """Return the cost of the runs in these folders together, complete or not, as run.json has it: without that of their
    parts. Raises RunError."""
    runs = (run for run in map(Run, sorted(folders)) if run.record.exists())
    return reduce(add, (Cost.model_validate(run.read_json(run.record).get("cost")) for run in runs), Cost())
