"""The folder of a learning curve: its plan, its config, and its runs.

    runs/NAME/curve-0001/config.yaml      the config with everything that it extends, as the runs read it
    runs/NAME/curve-0001/curve.json       the plan, and at the end what was found
    runs/NAME/curve-0001/rows-240/0002    the run with 240 training rows and the second seed

The folder is as little trusted as a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from dltool.machine import MOST_THREADS
from dltool.runs.directory import GROUP_RECORDS, NUMBER, subfolders
from dltool.runs.files import Run
from dltool.runs.groups import GroupRecord, group_row, group_status, read_group_record
from dltool.runs.records import Strict, numbers, read_results
from dltool.runs.summaries import RunSummary
from dltool.text import counted

KIND = "curve"
CONFIG = "config.yaml"


class CurvePlan(Strict):
    """The `sizes` in training rows, the last one all of them, are trained with each of the `seeds`; the error of
    `reach` times the rows is predicted. `data` is the fingerprint. The number of `threads` determines the last bits."""

    data: str
    threads: Annotated[int, Field(gt=0, le=MOST_THREADS)]
    sizes: Annotated[list[Annotated[int, Field(gt=0, lt=2**31)]], Field(min_length=2, max_length=100)]
    seeds: Annotated[list[int], Field(min_length=2, max_length=1000)]
    reach: Annotated[float, Field(gt=1, le=4)]


class CurveRecord(GroupRecord):
    """curve.json. The error of all rows is `error`, and its name `quantity`, once all runs are complete."""

    plan: CurvePlan
    error: float | None = None
    cost: dict[str, Any] = Field(default_factory=dict)
    quantity: str | None = None


def write_curve(folder: Path, record: CurveRecord, results: Mapping[str, Any] | None = None) -> None:
    """Write curve.json; the curve is complete if there are `results`. Raises MachineError."""
    status = "completed" if results else "running"
    Run(folder).write_json(folder / GROUP_RECORDS[KIND], {**record.model_dump(), **(results or {}), "status": status})


def curve_summary(path: Path) -> RunSummary:
    """Return the curve at `path` as a row of `dltool runs`; its seconds are those of its runs. Raises RunError: it is
    damaged."""
    record = read_group_record(path, KIND, CurveRecord)
    sizes = [Path(each.path) for each in subfolders(path) if each.name.startswith("rows-")]
    runs = [Run(Path(run.path)) for size in sizes for run in subfolders(size) if NUMBER.fullmatch(run.name)]
    complete = [run for run in runs if run.record.is_file() and run.is_complete()]
    count, planned = len(complete), len(record.plan.sizes) * len(record.plan.seeds)
    done = counted(count, "run") if record.status == "completed" else f"{count} of {counted(planned, 'run')}"
    seconds = sum(read_results(run).seconds.get("total", 0.0) for run in complete)
    found = {"started": record.started, "monitor": record.quantity, "value": record.error, "parts": done}
    found |= {"seconds": seconds or None}
    return group_row(KIND, path, group_status(record, Run(path).is_locked()), cost=numbers(record.cost), **found)
