"""What the report of a run says of its folds or seeds."""

from dltool.report.sections import ReportSection
from dltool.runs.files import Run


def part_sections(run: Run) -> tuple[ReportSection, ...]:
    """Return the section of the report on the folds or seeds of a complete run."""
    return ()
