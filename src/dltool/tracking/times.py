"""End times of the epochs of a run, from its record."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dltool.runs.files import Run


class EpochTimes:
    """Times in seconds since 1970: the start of the run plus the seconds of its epochs.

    A resumed run has one continuous time axis, without the pause."""

    def __init__(self, run: Run) -> None:
        self.now = datetime.strptime(str(run.read_json(run.record)["started"]), "%Y-%m-%dT%H:%M:%S%z").timestamp()

    def after(self, line: Mapping[str, Any]) -> float:
        self.now += float(line.get("seconds") or 0)
        return self.now


def finite_values(line: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers in a line of metrics.jsonl, without the epoch."""
    return {
        name: float(value)
        for name, value in line.items()
        if name != "epoch" and isinstance(value, int | float) and not isinstance(value, bool)
    }
