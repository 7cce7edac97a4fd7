"""A section of a report that a capability adds: sentences, figures and a table, as plain values."""

from collections.abc import Sequence
from dataclasses import dataclass

from dltool.evaluation.figures.figure import Figure
from dltool.report.warnings import Finding


@dataclass(frozen=True)
class ReportSection:
    """`name` is its id in the page. `table` has a row for each part, below `headings`."""

    name: str
    title: str
    paragraphs: Sequence[str]
    figures: Sequence[Figure]
    headings: Sequence[str] = ()
    table: Sequence[Sequence[str]] = ()
    findings: Sequence[Finding] = ()
