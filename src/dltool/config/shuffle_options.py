"""The section `data.shuffle` of a config: training rows shuffled within windows of shards, and what this excludes."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

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
    if data.source.name not in SHARDED:
        hint = "write Parquet files; or remove it, and all rows are shuffled together"
        if data.source.name == "text":
            hint = "remove it: texts are in memory, and all rows are shuffled together"
        yield Problem(("shuffle",), f"{data.source.name} cannot be read in shards", hint, at_key=True)
    split = data.split
    excluded: dict[str, object] = {"split.folds": split.folds, "windows": data.windows}
    if data.is_streamed:
        excluded |= {f"split.{key}": getattr(split, key) for key in ("group", "order", "column", "stratify")}
        excluded |= {"split.use": split.use != 1, "weights": data.weights, "preprocessing": data.preprocessing}
        yield from column_problems(data)
    for key in (key for key, value in excluded.items() if value):
        message = f"{key} needs all rows at once, and with shuffle they are read in shards"
        yield Problem(tuple(key.split(".")), message, "remove one of the two", True, ((("shuffle",), "given here"),))


def column_problems(data: "Data") -> Iterator[Problem]:
    """Yield the options of columns and targets that cannot be fitted block by block."""
    for name, kind in (data.inputs or {}).items():
        options: Any = kind.options
        if kind.name not in STREAMABLE:
            message = f"{quoted(name)} has the type {kind.name}, which is not read in shards"
            yield Problem(("inputs", name), message, "ignore the column, or remove shuffle")
        for key in (key for key in ("pieces", "unknown") if getattr(options, key, None) not in (None, "as_category")):
            yield Problem(("inputs", name), f"{key} needs all rows at once", f"remove {key}, or shuffle")
        if getattr(options, "scale", "") == "robust" and options.missing not in ("median", "error"):
            yield Problem(("inputs", name), "scale: robust in shards needs missing: median", "write missing: median")
    for target in data.targets.values():
        options = target.type and target.type.options
        for key, usual in (("missing", "error"), ("scale", "none")):
            if getattr(options, key, usual) != usual:
                message = f"{key} of a target needs all rows at once, and with shuffle they are read in shards"
                yield Problem(("target",), message, "remove one of the two")
