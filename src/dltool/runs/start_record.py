"""What a run holds of the weights that its model started with, and warnings about other runs that it learns from."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from dltool.config.schema import Config
from dltool.errors import RunError
from dltool.runs.checkpoint_file import checkpoint_path
from dltool.runs.directory import open_run
from dltool.runs.files import Run
from dltool.runs.records import MOST_ITEMS, Lenient, Words, read_record
from dltool.text import and_more, counted

VOCABULARY = "vocabulary.txt"


class StartRecord(Lenient):
    """The layers that started with the weights of another run or a file, and those that did not."""

    source: Words = ""
    taken: list[Words] = Field(default_factory=list)
    new: dict[str, Words] = Field(default_factory=dict)
    warnings: list[Words] = Field(default_factory=list)

    @property
    def words(self) -> str:
        new = f"; new: {and_more(list(self.new), MOST_ITEMS)}" if self.new else ""
        return f"starts with the weights of {counted(len(self.taken), 'layer')} of {self.source}{new}"


def start_lines(record: Mapping[str, Any] | None) -> list[str]:
    """Return the line of a new run about the weights that its model starts with."""
    return [] if record is None else [StartRecord.model_validate(record).words]


def recorded_warnings(run: Run, config: Config) -> list[str]:
    """Record the warnings about the runs that `model.start` and `training.teacher` of a new run name; return them.
    Raises RunError."""
    found, start, teacher = read_record(run), config.model.start, config.training.teacher
    of_start = [] if start is None or start.run is None else [*leaks(run, config, start.run), *misread(run, start.run)]
    of_teacher = [] if teacher is None else [*leaks(run, config, teacher.run)]
    if of_start:
        run.update("running", start={**(found.start or {}), "warnings": of_start})
    if of_teacher:
        run.update("running", teacher={**(found.teacher or {}), "warnings": of_teacher})
    return [*of_start, *of_teacher]


def leaks(run: Run, config: Config, source: str) -> Iterator[str]:
    own, theirs = read_record(run), read_record(open_run(Path(source)))
    is_other_split = own.data.split != theirs.data.split or config.data.split.folds is not None
    if own.data.fingerprint == theirs.data.fingerprint and is_other_split:
        risk = "its weights may have seen test examples of this run, whose results would then be too good"
        yield f"{source} was trained on the same data with another split: {risk}"


def misread(run: Run, source: str) -> Iterator[str]:
    runs = run, open_run(Path(source))
    ours, others = (
        {k: v for k, v in read_record(each).preprocessing.items() if k.endswith(VOCABULARY)} for each in runs
    )
    if ours and others and ours != others:
        yield f"{source} has another vocabulary: its weights give the same numbers to other words"


def kept_start(run: Run) -> Path | None:
    """Return the copy of the weights that a run started with, or of the run that it is a part of; None without any.
    Raises RunError: it is missing."""
    whole = run.whole or run
    if read_record(whole).start is None:
        return None
    copy = checkpoint_path(whole.start, 0)
    if not copy.is_file() or copy.is_symlink():
        raise RunError(f"{copy} is missing: the weights that the run started with", "train a new run")
    return copy
