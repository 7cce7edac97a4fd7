"""The section `data.shuffle` of a config: training rows shuffled within windows of shards, and what this excludes."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from dltool.config.section import Section
from dltool.errors import Problem
from dltool.text import quoted

if TYPE_CHECKING:
    from dltool.config.data_options import Data

SHARDED = ("parquet", "images", "audio")
"""The sources that can be read in shards."""
STREAMABLE = ("number", "category", "boolean", "date", "ignore")
"""The types of columns that can be fitted block by block, with flat memory."""


class Shuffle(Section):
    """Training rows are shuffled in two steps: the shards, then the rows within each window of shards. A shard is a row
    group of a Parquet file, or 1,000 files of a folder or zip."""

    window: Annotated[int, Field(ge=1, le=10**6)]
    """The number of shards whose rows are shuffled together. Two windows are in memory at once."""


def shuffle_problems(data: "Data") -> Iterator[Problem]:
    """Yield what contradicts `shuffle`, which is set; the paths are those within `data`."""
    name, split = data.source.name, data.split
    if name not in SHARDED:
        hint = "write Parquet files; or remove it, and all rows are shuffled together"
        yield Problem(("shuffle",), f"{name} cannot be read in shards", hint, at_key=True)
        return
    excluded: dict[tuple[str, ...], object] = {("windows",): data.windows, ("split", "folds"): split.folds}
    if name == "parquet":
        excluded |= {("split", key): getattr(split, key) for key in ("group", "order")}
        excluded |= {("split", "stratify"): split.stratify, ("split", "use"): None if split.use == 1 else split.use}
        excluded |= {("preprocessing",): data.preprocessing}
    for path, value in excluded.items():
        if value:
            message = f"{path[-1]} needs all rows at once, and with shuffle they are read in shards"
            yield Problem(path, message, "remove one of the two", True, ((("shuffle",), "given here"),))
    if name == "parquet":
        yield from column_problems(data)


def column_problems(data: "Data") -> Iterator[Problem]:
    """Yield the options of columns that cannot be fitted block by block."""
    for column, kind in (data.inputs or {}).items():
        options, message, hint = kind.options, "", "ignore the column, or remove shuffle"
        if kind.name not in STREAMABLE:
            message = f"{quoted(column)} has the type {kind.name}, which is not read in shards"
        elif getattr(options, "pieces", None):
            message, hint = "pieces need the distinct values of all rows at once", "remove it, or shuffle"
        elif getattr(options, "scale", "") == "robust" and options.missing not in ("median", "error"):  # type: ignore[attr-defined]
            message, hint = "scale: robust in shards needs missing: median", "write missing: median"
        elif getattr(options, "unknown", "") == "error":
            message, hint = "unknown: error is not checked in shards", "unknown: as_category takes such values"
        if message:
            yield Problem(("inputs", column), message, hint)
    for target in data.targets.values():
        if target.type is not None and getattr(target.type.options, "missing", "error") == "drop":
            message = "rows without a target are not left out in shards"
            yield Problem(("target",), message, "leave them out of the files, or remove shuffle")
