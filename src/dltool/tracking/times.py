"""When the epochs of a run ended, as its record tells."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dltool.runs.files import Run


class EpochTimes:
    """Moments in seconds since 1970: the start of the run, and to it the seconds of the epochs until then.

    So a resumed run has one line of time, without the pause, and tells it the same each time.
    """

    def __init__(self, run: Run) -> None:
        self.now = datetime.strptime(str(run.read_json(run.record)["started"]), "%Y-%m-%dT%H:%M:%S%z").timestamp()

    def after(self, line: Mapping[str, Any]) -> float:
        self.now += float(line.get("seconds") or 0)
        return self.now


def finite_values(line: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers in a line of metrics.jsonl, without the epoch's."""
    return {
        name: float(value)
        for name, value in line.items()
        if name != "epoch" and isinstance(value, int | float) and not isinstance(value, bool)
    }
