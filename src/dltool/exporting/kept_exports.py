"""What the report of a run shows of its verified exports. Reading their records trusts none of them."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from dltool.errors import RunError
from dltool.exporting.export_options import PRECISIONS, ExportOptions
from dltool.exporting.foreseen import CHECK, FILES
from dltool.report.sections import ReportSection
from dltool.runs.files import Run
from dltool.runs.records import Count, Lenient, Number, Words, read

SENTENCE = (
    "Each file was compared with the model on rows of the data and on rows made to be difficult. The largest "
    "difference is over all outputs and rows; check.json beside each file has more."
)


class CheckedRows(Lenient):
    test: Count | None = None
    made: Count | None = None


class CheckedOutput(Lenient):
    max_difference: Number | None = None
    max_difference_made: Number | None = None


class CheckedLatency(Lenient):
    median_ms: Number | None = None


class CheckRecord(Lenient):
    """check.json of an export."""

    rows: CheckedRows = CheckedRows()
    outputs: dict[str, CheckedOutput] = Field(default_factory=dict)
    bytes: Count | None = None
    latency: dict[str, CheckedLatency] = Field(default_factory=dict)
    weights: str | None = None
    sha256: dict[str, str] = Field(default_factory=dict)
    tolerance: Number | None = None
    compared_with: Words = ""

    @property
    def cells(self) -> dict[str, Any]:
        """Return the numbers that the report shows; None is unknown."""
        found = [[each.max_difference, each.max_difference_made] for each in self.outputs.values()]
        known = [each for pair in found for each in pair if each is not None]
        return {
            "test rows": self.rows.test,
            "made rows": self.rows.made,
            "largest difference": max(known) if known and len(known) == 2 * len(found) else None,
            "bytes": self.bytes,
            "ms for one row": self.latency.get("1", CheckedLatency()).median_ms,
        }


def exports_section(run: Run) -> Iterator[ReportSection]:
    """Yield the section of the report on the exports in a run, if there are any."""
    rows: list[dict[str, Any]] = []
    for form, precision in itertools.product(FILES, PRECISIONS):
        folder = run.exports / ExportOptions(precision).folder(form)
        # A damaged record is none.
        with contextlib.suppress(RunError):
            if os.path.lexists(folder):
                rows.append({"format": folder.name, **read(run, folder / CHECK, CheckRecord).cells})
    if rows:
        yield ReportSection("exports", "Exports", [SENTENCE], [], "Verified exports", rows, follows_results=True)
