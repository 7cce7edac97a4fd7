"""The config of a run, verified against run.json."""

import re
from collections.abc import Collection
from itertools import islice

from dltool.config.load import read_recorded
from dltool.config.schema import Config
from dltool.config.text.dump import plain_config
from dltool.config.text.tree import format_path
from dltool.config.text.yaml_reader import MOST_BYTES
from dltool.errors import ConfigError, Position, Problem, RunError
from dltool.runs.changes import Change, differences
from dltool.runs.files import Run
from dltool.runs.records import read_record

SOURCE_PATH = re.compile(r"data\.(source|validation|test)\.([a-z0-9_]+\.path|arrays\.[xy])")
MOST_SHOWN = 10
"""Most problems shown: an untrusted file may have any number."""


def recorded_config(run: Run, may_differ: Collection[str] = ("training.epochs",)) -> Config:
    """Return the config in resolved.yaml if it is the one that the run was trained with.

    The paths `may_differ` may differ, and the location of the data, whose contents are compared instead. Raises
    RunError: the config is invalid or was edited."""
    content, text = run.read(run.resolved, MOST_BYTES), read_record(run).resolved
    config = valid_config(content, str(run.resolved))
    if text is not None and text.encode("utf-8", "replace") != content:
        original = valid_config(text.encode("utf-8", "replace"), f"{run.record}: resolved")
        problems = [
            Problem(None, f"{run.resolved} was edited after the run was made: {edit}", edit_hint(edit))
            for edit in differences(plain_config(original), plain_config(config))
            if edit.what not in may_differ and not is_moved(edit)
        ]
        if problems:
            raise RunError(islice(problems, MOST_SHOWN))
    return config


def is_moved(edit: Change) -> bool:
    is_text = isinstance(edit.was, str) and isinstance(edit.now, str)
    return is_text and SOURCE_PATH.fullmatch(edit.what) is not None


def edit_hint(edit: Change) -> str:
    if edit.what == "training.epochs":
        return f"put {edit.was} back; to change the number of epochs, use dltool resume --epochs {edit.now}"
    return "put the old value back, or train a new run with the new one"


def valid_config(content: bytes, shown_as: str) -> Config:
    try:
        return read_recorded(content, shown_as)
    except ConfigError as error:
        raise as_run_error(error) from None


def as_run_error(error: ConfigError, where: str = "") -> RunError:
    """Return the first problems of a run's config as a RunError."""
    return RunError(
        Problem(None, f"{where}{place_of(problem)}{problem.message}", problem.hint)
        for problem in islice(error.problems, MOST_SHOWN)
    )


def place_of(problem: Problem) -> str:
    place = problem.place
    if isinstance(place, Position):
        return f"{place.file}:{place.line}:{place.column}: "
    return f"{format_path(place)}: " if place else ""
