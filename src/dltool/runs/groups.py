"""Searches and learning curves: folders of many runs beside the runs of a name, and what their records have in common.

    runs/titanic/search-0001/search.json
    runs/titanic/curve-0001/curve.json

Their folders are as little trusted as runs."""

import time
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dltool import __version__
from dltool.errors import RunError
from dltool.installation import UPDATE
from dltool.runs.directory import GROUP_RECORDS, NAME, NUMBER, subfolders
from dltool.runs.files import Run, Status
from dltool.runs.summaries import RunSummary

FORMAT = 1
"""Increased whenever an older dltool could misread a newer record."""


class GroupRecord(BaseModel):
    """What the records of a search and of a curve have in common. `started` is ISO 8601."""

    model_config = ConfigDict(frozen=True)
    format: int = FORMAT
    dltool: str = __version__
    started: str | None = Field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    status: Literal["running", "completed"] = "running"


R = TypeVar("R", bound=GroupRecord)


def read_group_record(folder: Path, kind: str, model: type[R]) -> R:
    """Read the record of a search or curve. Raises RunError: it is damaged, or of a newer dltool."""
    file = folder / GROUP_RECORDS[kind]
    found = Run(folder).read_json(file)
    if isinstance(found.get("format"), int) and found["format"] > FORMAT:
        raise RunError(f"{folder} was written by a newer dltool", UPDATE)
    try:
        return model.model_validate({"started": None, **found})
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise RunError(f"{file}: {where} is missing or invalid", f"begin a new {kind}") from None


def list_groups(runs: Path) -> list[tuple[str, Path]]:
    """Return the kind and the folder of every search and learning curve below `runs`, by name and number, unread."""
    found = [
        (name.name, kind, int(number), Path(entry.path))
        for name in subfolders(runs)
        if NAME.fullmatch(name.name)
        for entry in subfolders(Path(name.path))
        for kind, _, number in [entry.name.rpartition("-")]
        if kind in GROUP_RECORDS and NUMBER.fullmatch(number)
    ]
    return [(kind, path) for *_, kind, _, path in sorted(found)]


def group_row(kind: str, path: Path, status: Status | Literal["broken"], **found: Any) -> RunSummary:
    """Return a search or curve as a row of `dltool runs`."""
    number, can_resume = path.name.rpartition("-")[2], status == "interrupted"
    return RunSummary(path.parent.name, number, path, status, kind=kind, can_resume=can_resume, **found)


def group_status(record: GroupRecord, is_locked: bool) -> Status:
    return "completed" if record.status == "completed" else "running" if is_locked else "interrupted"
