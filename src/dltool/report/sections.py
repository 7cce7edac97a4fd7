"""A section of a report that a capability adds: sentences, figures, a table and warnings, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dltool.evaluation.figures.figure import Figure
from dltool.report.warnings import Finding


@dataclass(frozen=True)
class ReportSection:
    """`name` is its anchor in the page. `table` has a row for each part, of one set of keys, below its `caption`. If it
    `follows_results`, it comes after the results of each output."""

    name: str
    title: str
    paragraphs: Sequence[str]
    figures: Sequence[Figure]
    caption: str
    table: Sequence[Mapping[str, Any]]
    findings: Sequence[Finding] = ()
    follows_results: bool = False
