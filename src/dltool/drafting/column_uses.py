"""How a draft uses the columns of a table that are not the target: types, options, and what gives the target away."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dltool.data.arrays.rows import Coded
from dltool.data.dates import SECONDS_A_DAY, day
from dltool.data.sources.tables import in_memory
from dltool.data.split.by_column import Values, is_missing, numbered
from dltool.data.tables.cells import NO_DATE, number_text
from dltool.data.tables.typed_table import Column, Table
from dltool.drafting.draft import FEWEST, in_comments, scalar
from dltool.drafting.folder import are_unspaced
from dltool.text import counted, listed

IDENTIFIER = re.compile(r"(?:.*[_ .-])?(?:id|uuid|guid|key|index|idx|nr|rowid)|.*[a-z]I[Dd]|Unnamed: 0", re.ASCII)
REPEATED = re.compile(r"(?i:(?:.*[_ .-])?(?:id|uuid|guid))|.*[a-z]I[Dd]", re.ASCII)
"""Names of columns whose values identify what several rows belong to."""
MOST_LISTED = 100
"""Columns in a config that people still read."""
MOST_COMPARED = 100_000
SKEWED = 3.0
"""How much farther than the 5th percentile the 95th is from the median, where numbers are skewed."""
FAR = 2.0
"""The least standard deviation, in interquartile ranges, that outliers make; a normal distribution has 0.74."""
FEW_VALUES = 6
"""Of so few distinct numbers none is far out."""
MUCH_MISSING, MOSTLY_MISSING = 0.05, 0.99
MANY_VALUES = 30
FEW_ROWS_A_VALUE = 5
FIRST_STAND_IN = 99
TOTAL = re.compile(r"(?i)(?:.*[_ ])?(?:total|sum|subtotal|gross)(?:[_ ].*)?")
MOST_SUMMED = 50
LEAST_PART = 1e-3
"""The least part of a sum, as a share of its standard deviation."""
TELLING = 0.999
"""The least correlation at which another number is taken to be the target itself."""
PART_OF_TOTAL, EXPLAINED = 0.1, 0.95
"""How much the coefficient of a part of a total differs from 1 at most, and the least share of the total's variance
that all parts explain."""


@dataclass(frozen=True)
class Use:
    """How a column is used: its type as YAML, and what was seen of it."""

    kind: str
    comment: str


def present(column: Column, order: np.ndarray | None = None) -> np.ndarray:
    """Return the numbers that are not missing, of all rows or of those in `order`."""
    values = np.asarray(column.values[:] if order is None else column.values[order])
    return np.asarray(values[~np.isnan(values)], np.float64)


def use_of(column: Column, rows: int, declared: tuple[Any, str] | None, pieces: int | None) -> Use:
    """Return how to use a column. `declared` is how it must be declared, and why; `pieces` are those of numbers."""
    kind, seen = type_of(column, rows, declared, pieces)
    missing = f"; missing in {counted(column.missing, 'row')}" if column.missing and kind != "ignore" else ""
    return Use(kind, seen + missing)


def as_written(declared: tuple[Any, str] | None, kind: str) -> Mapping[str, Any]:
    """Return the options with which a column of a kind is declared, such as the format of its dates."""
    options: Mapping[str, Any] = declared[0].get(kind, {}) if declared and isinstance(declared[0], Mapping) else {}
    return options


def type_of(column: Column, rows: int, declared: tuple[Any, str] | None, pieces: int | None) -> tuple[str, str]:
    """Return the type as YAML, and what was seen of the column."""
    written, why = declared or (None, column.why)
    is_empty = 0 < MOSTLY_MISSING * rows <= column.missing
    if column.kind == "ignore" or is_empty:
        return "ignore", why if column.kind == "ignore" else f"missing in {column.missing:,} of {rows:,} rows"
    if column.kind == "number":
        return number_type(column, rows, as_written(declared, "number"), why if declared else "", pieces)
    if isinstance(written, Mapping) and column.kind != "date":
        ((kind, options),) = written.items()
        return with_options(kind, options), why
    if column.kind == "category" and isinstance(column.values, Coded):
        names = [str(value) for value in column.values.values if value]
        seen = f"{counted(len(names), 'value')}: {in_comments(names, 3)}" + (f"; {why}" if written else "")
        if len(names) > max(MANY_VALUES, rows / 2):
            return "ignore", f"an identifier: {seen}"
        options = {} if len(names) <= MANY_VALUES else {"min_count": 5, "embedding": 8}
        return with_options("category", options), seen
    if column.kind == "text":
        texts = column.values.values[:MOST_LISTED] if isinstance(column.values, Coded) else ()
        of_characters = {"split": "character", "ngrams": 2} if are_unspaced(texts) else {}
        return with_options("text", {"max_tokens": 1000, **of_characters}), why
    if column.kind == "date":
        times = np.asarray(column.values[:])
        times = times[times != NO_DATE]
        has_hours, are_months = bool((times % SECONDS_A_DAY).any()), bool((day(times) == 1).all())
        smaller = ("weekday", "hour") if has_hours else () if are_months else ("day", "weekday")
        parts = ("year", "month", *smaller)
        seen = f"{column.low} to {column.high}" + (f", {why}" if written else "")
        if (column.high or "").startswith("9999"):
            seen += f'; if {column.high} stands for a missing date, add missing: ["{column.high}"] to the source'
        return with_options("date", {**as_written(declared, "date"), "parts": parts}), seen
    return column.kind, why


def number_type(
    column: Column, rows: int, declared: Mapping[str, Any], why: str, pieces: int | None
) -> tuple[str, str]:
    """Return the type of a column of numbers; `declared` says how these are written, `why` shows it."""
    values = present(column)[:MOST_COMPARED]
    is_whole = bool((values == np.round(values)).all())
    if is_whole and IDENTIFIER.fullmatch(column.name) and len(np.unique(values)) == len(values) and rows > 1:
        return "ignore", "an identifier: a different number in every row"
    seen = f"{column.low} to {column.high}" + (f", {column.distinct} distinct" if column.distinct else "")
    seen += (f", {why}" if why else "") + stand_in(values)
    options: dict[str, Any] = {}
    scale = scale_for(values)
    if scale != "standard":
        options["scale"] = scale
        seen += ", most of them small" if scale == "log" else ", some far from the others"
    if pieces is not None and len(np.unique(values)) > FEW_VALUES:
        options["pieces"] = pieces
    if column.missing > MUCH_MISSING * rows:
        options["indicator"] = True
    return with_options("number", {**declared, **options}), seen


def scale_for(values: np.ndarray) -> str:
    """Return the scale for numbers by their quantiles, which no outlier changes: `log` if many are small and some
    large, `robust` if some lie far out."""
    low, quarter, middle, upper, high = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
    if len(np.unique(values)) <= FEW_VALUES:
        return "standard"
    if values.min() >= 0 and (high - middle > SKEWED * (middle - low) or (upper == quarter and values.max() > 0)):
        return "log"
    return "robust" if upper > quarter and values.std() > FAR * (upper - quarter) else "standard"


def stand_in(values: np.ndarray) -> str:
    """Return a remark on a number that may stand for a missing value in some rows: one such as -999, far from all
    others, or the only negative one."""
    for odd in (values.min(), values.max()):
        others = values[values != odd]
        count = len(values) - len(others)
        is_far = len(others) and np.abs(others - odd).min() > np.ptp(others)
        is_nines = {*number_text(abs(odd))} == {"9"} and abs(odd) >= FIRST_STAND_IN
        is_alone = odd < 0 <= min(others, default=-1) and count > 1 and len(np.unique(others)) > FEW_VALUES
        if (is_far and is_nines) or is_alone:
            text, rows = number_text(odd), counted(count, "row")
            return f'; {text} in {rows}: if it stands for a missing value, add missing: ["{text}"] to the source'
    return ""


def with_options(kind: str, options: Mapping[str, Any]) -> str:
    """Return a type with its options as YAML."""
    inner = ", ".join(f"{key}: {value_of(value)}" for key, value in options.items())
    return f"{{{kind}: {{{inner}}}}}" if options else kind


def value_of(value: Any) -> str:
    """Return the value of an option as YAML."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(value_of, value))}]"
    return scalar(value) if isinstance(value, str) else json.dumps(value)


def telling(table: Table, uses: dict[str, Use], target: str) -> dict[str, Use]:
    """Return the columns that give the target away, unless there are no others: they would not be known in time."""
    goal = in_memory(table.columns[target].values)
    found = {}
    for name, use in uses.items():
        column = table.columns[name]
        if use.kind == "ignore" or column.kind in ("text", "date", "image", "audio"):
            continue
        why = tells(in_memory(column.values), goal, is_number=table.columns[target].kind == "number")
        if why:
            found[name] = Use("ignore", f"gives the target away: {why}")
    one_of = one_hot_with(table, [name for name, use in uses.items() if use.kind != "ignore"], target)
    group = listed([f'"{name}"' for name in (*one_of, target)], 5)
    found |= {name: Use("ignore", f"gives the target away: exactly one of {group} is 1") for name in one_of}
    rest = [name for name, use in uses.items() if use.kind != "ignore" and name not in found]
    totals = totals_of(table, rest, target)
    found |= {name: Use("ignore", "gives the target away: it is a total that holds the target") for name in totals}
    summed = parts_of_sum(table, rest, target)
    if len(summed) < len(rest):
        found |= {name: Use("ignore", f"gives the target away: {why}") for name, why in summed.items()}
    return found if rest else {}


def totals_of(table: Table, names: Sequence[str], target: str) -> list[str]:
    """Return the columns that are called a total, and to which the target and others nearly add up."""
    names, known = numbers_known(table, names, target)
    found = []
    for number, name in enumerate(names if known.shape[1] else ()):
        others = np.delete(known, number, axis=0).T
        factors = np.linalg.lstsq(others, known[number], rcond=None)[0]
        rest = known[number] - others @ factors
        is_sum = abs(factors[-1] - 1) < PART_OF_TOTAL and rest.var() < (1 - EXPLAINED) * known[number].var()
        found += [name] if is_sum and TOTAL.fullmatch(name) else []
    return found


def one_hot_with(table: Table, names: Sequence[str], target: str) -> list[str]:
    """Return the columns of 0 and 1 that make a one-hot encoding with the target: in each row exactly one is 1."""
    goal = zeros_and_ones(table.columns[target].values)
    if goal is None:
        return []
    encoded = {name: zeros_and_ones(table.columns[name].values) for name in names}
    apart = {name: values for name, values in encoded.items() if values is not None and not (values & goal).any()}
    is_whole = bool(apart) and bool((np.sum([goal, *apart.values()], axis=0) == 1).all())
    return [*apart] if is_whole else []


def zeros_and_ones(values: Any) -> np.ndarray | None:
    """Return (rows,) of bool for the first rows of a column of 0 and 1; None if it holds anything else."""
    codes, distinct = numbered(in_memory(values))
    found = [str(value).removesuffix(".0") for value in distinct]
    return (codes == 1)[:MOST_COMPARED] if found == ["0", "1"] else None


def numbers_known(table: Table, names: Sequence[str], target: str) -> tuple[list[str], np.ndarray]:
    """Return the columns of numbers, and (columns, rows) of their values in the rows that miss none, each less its
    mean; the target comes last. There are no rows if these are too few, or the target is no number."""
    names = [name for name in names if table.columns[name].kind == "number"][:MOST_SUMMED]
    if table.columns[target].kind != "number":
        return names, np.empty((0, 0))
    columns = [np.asarray(table.columns[name].values[:MOST_COMPARED], np.float64) for name in (*names, target)]
    known = np.array(columns)[:, ~np.isnan(columns).any(axis=0)]
    if known.shape[1] < FEW_ROWS_A_VALUE * len(columns):
        return names, np.empty((len(columns), 0))
    return names, known - known.mean(axis=1, keepdims=True)


def parts_of_sum(table: Table, names: Sequence[str], target: str) -> dict[str, str]:
    """Return the columns that add up to the target, or the total of which it is a part, each with the reason."""
    names, known = numbers_known(table, names, target)
    if not known.shape[1] or len(names) < 2:
        return {}
    values, goal = known[:-1], known[-1]
    factors = np.linalg.lstsq(values.T, goal, rcond=None)[0]
    parts = np.flatnonzero(np.abs(factors) * values.std(axis=1) > LEAST_PART * goal.std())
    signs = np.round(factors[parts])
    is_sum = (goal - signs @ values[parts]).std() < LEAST_PART * goal.std() and (np.abs(signs) == 1).all()
    if not is_sum or len(parts) < 2:
        return {}
    shown = " ".join(f"{'+' if sign > 0 else '-'} {names[part]}" for part, sign in zip(parts, signs, strict=True))
    return {
        names[part]: f"{target} = {shown.removeprefix('+ ')}"
        for part, sign in zip(parts, signs, strict=True)
        if sign > 0
    }


def tells(values: Values, goal: Values, *, is_number: bool) -> str:
    rows = np.flatnonzero(~is_missing(goal))[:MOST_COMPARED]
    codes, _ = numbered(values)
    aims, classes = numbered(goal)
    pairs = np.unique(codes[rows] * len(classes) + aims[rows])
    used, aimed = np.unique(codes[rows]), np.unique(aims[rows])
    if len(pairs) == len(used) and len(rows) >= FEW_ROWS_A_VALUE * len(used) and len(aimed) > 1:
        return "each of its values goes with one of the target"
    if is_number and isinstance(values, np.ndarray) and isinstance(goal, np.ndarray):
        both = rows[~np.isnan(values[rows])]
        if len(both) > 10 and np.std(values[both]) > 0 and np.std(goal[both]) > 0:
            correlation = float(np.corrcoef(values[both].astype(float), goal[both].astype(float))[0, 1])
            return f"the correlation is {correlation:.4f}" if abs(correlation) >= TELLING else ""
    return ""


def repeated_ids(table: Table, uses: Mapping[str, Use]) -> dict[str, Use]:
    """Return the identifiers, such as of patients, that have few rows a value, those with the fewest values first; none
    if they are the only inputs. Their rows belong to one split."""
    counts: dict[str, int] = {}
    for name in filter(REPEATED.fullmatch, uses):
        column = table.columns[name]
        count = len(np.unique(column.values[:])) if column.kind == "number" else column.distinct or 0
        if FEWEST <= count < table.rows < FEW_ROWS_A_VALUE * count and not column.missing:
            counts[name] = count
    if all(use.kind == "ignore" for name, use in uses.items() if name not in counts):
        return {}
    why = f"an identifier: {{:,}} values in {table.rows:,} rows"
    return {name: Use("ignore", why.format(counts[name])) for name in sorted(counts, key=lambda name: counts[name])}


def input_lines(uses: dict[str, Use], table: Table) -> Iterator[tuple[str, str]]:
    """Yield the lines of `inputs`: all columns; of a wide table those whose type is not the inferred one."""
    is_wide = len(uses) > MOST_LISTED
    listed = {name: use for name, use in uses.items() if not is_wide or use.kind != table.columns[name].kind}
    if listed:
        yield "inputs:", ""
    for name, use in listed.items():
        yield f"  {scalar(name, is_key=True)}: {use.kind}", use.comment
    if is_wide:
        yield "", f"{len(uses) - len(listed):,} columns are what they seem: dltool check --data shows them"
