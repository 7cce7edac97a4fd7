"""The folder of a learning curve: `runs/NAME/curve-0001` with curve.json, curve.html, and a run for each training.

    curve-0001/rows-240/0002    240 training rows, the second seed

It is not trusted, as a run is not."""

import errno
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from dltool import __version__
from dltool.durable_files import atomic_write, disk_errors, read_file, sync
from dltool.errors import RunError
from dltool.installation import UPDATE
from dltool.runs.directory import CURVE_RECORD, NUMBER, refuse_unwritable
from dltool.runs.files import DOCUMENT_LIMIT, Run, encode_json, parse_json
from dltool.runs.records import Strict

PAGE = "curve.html"
PREFIX = "curve-"
FORMAT = 1
Rows = Annotated[int, Field(gt=0, lt=2**31)]


class Plan(Strict):
    """What a curve trains: `sizes` in rows, of `rows` in all, with each of the `seeds`, and `reach`, the multiple of
    the rows for which the error is foretold. `config` is an absolute path, `settings` are the `--set` arguments, and
    `texts` the digest of all that was read. `use` and `split_seed` are the config's own; `data` is the fingerprint."""

    format: int = FORMAT
    config: str
    settings: list[str]
    texts: str
    data: str
    name: str
    rows: Rows
    use: Annotated[float, Field(gt=0, le=1)]
    split_seed: int
    sizes: Annotated[list[Rows], Field(min_length=2, max_length=100)]
    seeds: Annotated[list[int], Field(min_length=2, max_length=1000)]
    reach: Annotated[float, Field(gt=1, le=4)]


@dataclass(frozen=True)
class CurveFolder:
    """One folder of a curve: its path and what it trains."""

    path: Path
    plan: Plan

    def run(self, rows: int, seed: int) -> Run:
        """Return the run of this training, which may not exist."""
        return Run(self.path / name_of(rows) / f"{self.plan.seeds.index(seed) + 1:04d}")

    def write(self, status: str, **results: Any) -> None:
        """Write curve.json: the plan, and what was found. Raises MachineError."""
        record = {"dltool": __version__, "status": status, "plan": self.plan.model_dump(), **results}
        self.write_file(CURVE_RECORD, (encode_json(record, indent=2) + "\n").encode())

    def write_file(self, name: str, content: bytes) -> None:
        """Replace a file of the folder as a whole. Raises MachineError, and RunError for a link."""
        atomic_write(self.path / name, content, self.path)

    def remove_if_empty(self) -> bool:
        """Remove the folder unless a training has begun, and return whether it is gone."""
        if any(NUMBER.fullmatch(path.name) for path in self.path.glob("*/[0-9]*")):
            return False
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            self.path.parent.rmdir()
        return True


def name_of(rows: int) -> str:
    """Return the name of the runs on this number of rows."""
    return f"rows-{rows}"


def new_folder(runs: Path, plan: Plan) -> CurveFolder:
    """Create the next folder below `runs`. Raises ConfigError: `runs` cannot hold any; MachineError: the disk."""
    parent = runs / plan.name
    refuse_unwritable(parent)
    with disk_errors(parent, "create a curve in"):
        parent.mkdir(parents=True, exist_ok=True)
        taken = (name.removeprefix(PREFIX) for name in os.listdir(parent) if name.startswith(PREFIX))
        number = max((int(each) for each in taken if NUMBER.fullmatch(each)), default=0) + 1
        while True:
            path = parent / f"{PREFIX}{number:04d}"
            try:
                path.mkdir()
                break
            except OSError as error:
                # Another process took the number.
                if error.errno != errno.EEXIST:
                    raise
                number += 1
        sync(parent)
    found = CurveFolder(path, plan)
    found.write("running")
    return found


def open_folder(path: Path) -> CurveFolder:
    """Return the folder of a curve. Raises RunError: it is damaged, or of a newer dltool."""
    record = parse_json(read_file(path, CURVE_RECORD, DOCUMENT_LIMIT), str(path / CURVE_RECORD))
    try:
        plan = Plan.model_validate(record.get("plan"))
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise RunError(f"{path / CURVE_RECORD}: plan.{place} is missing or invalid") from None
    if plan.format > FORMAT:
        raise RunError(f"{path} was written by a newer dltool: this is {__version__}", UPDATE)
    return CurveFolder(path, plan)
