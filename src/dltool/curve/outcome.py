"""What a learning curve found, in words and numbers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dltool.curve.folder import CurveFolder
from dltool.curve.law import LEAST_SIZES, FittedLaw, Size, fitted_law
from dltool.curve.points import CurvePoint
from dltool.errors import RunError
from dltool.text import counted

FLAT = 0.1
"""The curve is flat if even the lowest error of the band is lower by less than this fraction."""
PERCENT = " %"


@dataclass(frozen=True)
class Foretold:
    """The error at a number of rows that was not trained, with its 95 % band."""

    rows: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class CurveOutcome:
    """The `sizes` of the curve in `folder`, ascending; the law that they follow and what it foretells, if there is one.
    `last` is a point of the largest size."""

    folder: Path
    name: str
    sizes: tuple[Size, ...]
    reach: float
    last: CurvePoint
    fitted: FittedLaw | None
    foretold: Foretold | None

    @property
    def words(self) -> str:
        """Return what more rows would bring, in a sentence."""
        quantity, found, fitted, last = self.last.quantity, self.foretold, self.fitted, self.sizes[-1]
        if found is None or fitted is None:
            return f"{quantity.amount(last.mean)} now; {self.why_no_law}"
        value, low, high, now = quantity.texts(found.value, found.low, found.high, last.mean)
        amount = f"{value} {quantity.label}" if quantity.is_share else f"{quantity.label} {value}"
        bounds = f"{low.removesuffix(PERCENT)} to {high.removesuffix(PERCENT)}"
        sentence = f"with {self.reach:g} times the rows: {amount} ({bounds}), now {now}"
        if fitted.law.at(last.rows) - found.low < FLAT * fitted.law.at(last.rows):
            return f"the curve is flat, more rows of this kind will not help; {sentence}"
        return sentence if self.is_clear else f"it is not clear whether more rows will help; {sentence}"

    @property
    def is_clear(self) -> bool:
        """Return whether more rows will help, by the whole band."""
        return self.foretold is not None and self.foretold.high < self.sizes[-1].mean

    @property
    def why_no_law(self) -> str:
        if len(self.sizes) < LEAST_SIZES:
            return f"to foretell more rows takes {LEAST_SIZES} sizes, and there are {len(self.sizes)}"
        return "what more rows would bring cannot be foretold from these values"

    @property
    def remark(self) -> str:
        """Return what is measured, and what the choice of the test examples adds to the uncertainty."""
        quantity, interval = self.last.quantity, self.last.interval
        same = f"{quantity.words}, for all sizes on the same {counted(self.last.examples, 'example')}"
        if interval.low is None or interval.high is None:
            return same
        low, high = quantity.texts(interval.low, interval.high)
        return f"{same}; on others, the {quantity.label} with all rows may be {low} to {high}"

    def record(self) -> dict[str, Any]:
        """Return the numbers, for curve.json and the command line."""
        return {
            "folder": str(self.folder),
            "measured": self.last.quantity.words,
            "examples": self.last.examples,
            "sizes": [{"rows": size.rows, "mean": size.mean, "values": list(size.values)} for size in self.sizes],
            "law": None if self.fitted is None else asdict(self.fitted.law),
            "foretold": None if self.foretold is None else asdict(self.foretold),
            "words": self.words,
        }


def outcome_of(folder: CurveFolder, points: Sequence[CurvePoint]) -> CurveOutcome:
    """Return what the complete runs of a curve found. Raises RunError: there are none."""
    if not points:
        raise RunError("every training of the curve has diverged", "dltool train says why")
    # By the rows that were used: whole groups are seldom as many as planned.
    values: dict[int, list[float]] = {}
    for point in points:
        values.setdefault(point.rows, []).append(point.interval.value)
    sizes = tuple(Size(rows, tuple(found)) for rows, found in sorted(values.items()))
    fitted, foretold = fitted_law(sizes), None
    if fitted is not None:
        rows = round(folder.plan.reach * sizes[-1].rows)
        foretold = Foretold(rows, fitted.law.at(rows), *fitted.band(rows))
    last = next(point for point in points if point.rows == sizes[-1].rows)
    return CurveOutcome(folder.path, folder.plan.name, sizes, folder.plan.reach, last, fitted, foretold)
