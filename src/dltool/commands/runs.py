"""`dltool runs`: runs with their results, selected by `--filter 'accuracy>0.9'`, sorted by `--sort accuracy:desc`."""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from dltool.config.expectations import COMPARE, COSTS
from dltool.errors import ConfigError, RunError
from dltool.runs.configs import MOST_COMPARED, differences_in_short
from dltool.runs.directory import refuse_no_runs_folder
from dltool.runs.groups import group_row, list_groups
from dltool.runs.summaries import RunSummary, summaries
from dltool.text import did_you_mean, near

CONDITION = re.compile(r"\s*([^<>=!]+?)\s*(>=|<=|!=|==|=|>|<)\s*(.+?)\s*")
ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {**COMPARE, "=": operator.eq, "!=": operator.ne}
EQUALITIES = {"=": fnmatchcase, "==": fnmatchcase, "!=": lambda text, pattern: not fnmatchcase(text, pattern)}
"""Comparisons of strings; `*` and `?` are wildcards."""
COLUMNS: Mapping[str, Callable[[RunSummary], str | float | None]] = {
    "name": lambda run: run.name,
    "number": lambda run: int(run.number),
    "status": lambda run: run.status,
    "started": lambda run: run.started,
    "epochs": lambda run: run.epochs,
    "best": lambda run: run.value,
    "took": lambda run: run.seconds,
    "kind": lambda run: run.kind,
}
"""Keys of runs besides costs, test metrics and, as `val_…`, validation metrics of the best epoch."""
TEXTS = ("name", "status", "started", "kind")


def list_runs(
    folder: Path | None, conditions: Iterable[str], sort: str | None, unfolds: bool = False
) -> tuple[list[RunSummary], Mapping[Path, str], Path]:
    """Return the runs, searches and learning curves that meet all conditions, the config values that distinguish each
    run, and their folder. If it `unfolds`, the runs of folds and seeds are among them.

    Raises ConfigError: the folder does not exist, or a condition or an order is invalid."""
    runs = folder or Path("runs")
    refuse_no_runs_folder(runs)
    if folder is not None and not runs.is_dir():
        beside = [item.name for item in runs.absolute().parent.glob("*") if item.is_dir()]
        hint = did_you_mean(str(runs.with_name(name)) for name in near(runs.name, beside))
        raise ConfigError(f"there is no folder {runs}", hint or "dltool runs lists those in runs")
    # Those of a name follow its runs.
    every = sorted(
        [*summaries(runs, unfolds), *group_summaries(runs)], key=lambda run: run.path.relative_to(runs).parts[0]
    )
    found = selected(every, conditions, sort)
    compared = [run.path for run in found if run.status != "broken" and run.kind == "run"]
    return found, differences_in_short(compared if len(compared) <= MOST_COMPARED else []), runs


def group_summaries(runs: Path) -> Iterator[RunSummary]:
    """Yield every search and learning curve below `runs`, broken ones included."""
    for kind, path in list_groups(runs):
        try:
            if kind == "search":
                from dltool.search.search_folder import search_summary as summary
            else:
                from dltool.curve.curve_folder import curve_summary as summary
            yield summary(path)
        except RunError as error:
            yield group_row(kind, path, "broken", reason=str(error))


def selected(runs: Sequence[RunSummary], conditions: Iterable[str], sort: str | None) -> list[RunSummary]:
    """Return the runs that meet all `conditions`, in order or sorted by "KEY" or "KEY:desc".

    A run without a value does not meet a condition on it, and is sorted last. Raises ConfigError: one is invalid."""
    tests = [parsed(condition, runs) for condition in conditions]
    found = [run for run in runs if all(holds(run) for holds in tests)]
    if sort is None:
        return found
    key, _, direction = sort.partition(":")
    if direction not in ("", "asc", "desc"):
        raise ConfigError(f'--sort {sort}: unknown order "{direction}"', f"write {key} or {key}:desc")
    refuse_unknown_key(key, runs, f"--sort {sort}")
    with_value = [run for run in found if value_of(run, key) is not None]
    without = [run for run in found if value_of(run, key) is None]
    return sorted(with_value, key=lambda run: value_of(run, key), reverse=direction == "desc") + without


def parsed(condition: str, runs: Sequence[RunSummary]) -> Callable[[RunSummary], bool]:
    """Parse a condition into a predicate of a run."""
    match = CONDITION.fullmatch(condition)
    if match is None:
        raise ConfigError(f"--filter {condition}: expected a key, a comparison and a value", "for example accuracy>0.9")
    key, comparison, text = match.groups()
    refuse_unknown_key(key, runs, f"--filter {condition}")
    orders = {**ORDERS, **EQUALITIES} if key in TEXTS else ORDERS
    try:
        bound = text if key in TEXTS else float(text)
    except ValueError:
        raise ConfigError(f'--filter {condition}: expected a number, got "{text}"') from None
    return lambda run: (value := value_of(run, key)) is not None and orders[comparison](value, bound)


def value_of(run: RunSummary, key: str) -> Any:
    if key in COLUMNS:
        return COLUMNS[key](run)
    validation = run.validation.get(key.removeprefix("val_")) if key.startswith("val_") else None
    return run.test.get(key, run.cost.get(key, validation))


def refuse_unknown_key(key: str, runs: Sequence[RunSummary], where: str) -> None:
    metrics = {name for run in runs for name in (*run.test, *(f"val_{name}" for name in run.validation))}
    known = [*COLUMNS, *COSTS, *sorted(metrics)]
    # Without runs, the metrics are unknown.
    if key not in known and runs:
        hint = did_you_mean(near(key, known)) or f"known are {', '.join(known[:20])}"
        raise ConfigError(f'{where}: no run has "{key}"', hint)
