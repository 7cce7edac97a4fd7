"""The lines around a table of delimited text: what stands before it, the names, units below them, what follows it."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from dltool.data.tables.number_format import NumberFormat

SEPARATOR_LINE = re.compile(r'"?sep=.?"?', re.IGNORECASE)
"""The first line by which Excel is told the delimiter."""
MARKERS = {
    "?",
    "na",
    "n/a",
    "#n/a",
    "n.a.",
    "nan",
    "nat",
    "null",
    "none",
    "nil",
    "-",
    "--",
    "\u2013",
    "\u2014",
    ".",
    "<na>",
}
MARKERS |= {"#null!", "#value!", "#div/0!", "#ref!", "#num!", "#name?"}
MARKERS_AMONG_NUMBERS = MARKERS | {"missing", "unknown", "inf", "-inf", "undefined", "not available"}
TOTAL = re.compile(r"(?:(?:grand|sub)[ -]?)?total:?|sums?:?|summe:?|gesamt:?|average:?|mean:?", re.IGNORECASE)
LONGEST_UNIT = 12
MOST_TITLES = 20

Records = Sequence[tuple[int, Sequence[str]]]
"""The line and the fields of each record."""


def options_of(records: Records, decimal: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return `skip_rows`, `header` and `names` unless they are the default, and what was seen."""
    if not records:
        return {}, ()
    first = start_of(records)
    table = records[first:]
    skipped = [*range(1, table[0][0])] if first else []
    seen = [f"the table begins in line {table[0][0]}"] * bool(first)
    options = names_of([fields for _, fields in table], decimal)
    if options.get("header") is not False and len(table) > 2 and has_units(table, decimal):
        skipped.append(table[1][0])
        seen.append(f"line {table[1][0]} has units")
        table = [table[0], *table[2:]]
    if options.get("header") is not False and len(table) > 2 and names_rows(table[1][1], table[2:]):
        skipped.append(table[1][0])
        options |= {"header": True, "names": distinct_names([table[1][1][0], *table[0][1][1:]])}
        seen.append(f"line {table[1][0]} names the first column")
    if skipped:
        is_beginning = skipped == [*range(1, len(skipped) + 1)]
        options["skip_rows"] = len(skipped) if is_beginning else tuple(skipped)
    return options, tuple(seen)


def usual_width(rows: Sequence[Sequence[str]]) -> int:
    return Counter(map(len, rows)).most_common(1)[0][0] if rows else 0


def start_of(records: Records) -> int:
    """Return the first record that has as many fields as most, or one less, as names may have."""
    width = usual_width([fields for _, fields in records])
    for number, (line, fields) in enumerate(records):
        following = records[number + 1] if number + 1 < len(records) else (0, [])
        has_one_less = len(fields) == width - 1 > 1 and (following[0], len(following[1])) == (line + 1, width)
        is_table = len(fields) == width or (has_one_less and all(is_text(cell, ".") for cell in fields))
        if is_table and not SEPARATOR_LINE.fullmatch(fields[0]) and any(fields):
            return number + titles_of([fields for _, fields in records[number : number + MOST_TITLES + 1]])
    return 0


def titles_of(rows: Sequence[Sequence[str]]) -> int:
    """Return how many of the rows are titles, as spreadsheets have them: with empty cells, above a row of names without
    any. Titles have few cells, or a blank row below them, or the names stand above numbers."""
    names = next((index for index, row in enumerate(rows) if all(map(is_name, row))), 0)
    above, below = rows[:names], rows[names + 1 :]
    if not above or any(map(all, above)):
        return 0
    are_few = all(2 * sum(map(bool, row)) <= len(row) for row in above)
    has_numbers = any(not is_text(cell, ".") for row in below for cell in row)
    return names if are_few or has_numbers or not any(above[-1]) else 0


def is_name(cell: str) -> bool:
    return bool(cell) and is_text(cell, ".") and cell.lower() not in MARKERS_AMONG_NUMBERS


def footers_of(records: Records, width: int) -> tuple[int, ...]:
    """Return the lines of the last records that are no rows: notes without a delimiter, blank cells, totals."""
    lines: list[int] = []
    for line, fields in reversed(records):
        is_note = len(fields) == 1 < width and is_text(fields[0], ".")
        if not (is_note or not any(fields) or TOTAL.fullmatch(next(filter(None, fields)))):
            break
        lines.insert(0, line)
    are_rows = all(len(fields) == width for line, fields in records if line not in lines)
    return tuple(lines) if are_rows and len(lines) <= MOST_TITLES else ()


def has_units(table: Records, decimal: str) -> bool:
    """Return whether the row below the names has a short text in every column of numbers, and such a text nowhere
    else."""
    (_, names), (_, units), *others = table
    width = len(units)
    rows = [fields for _, fields in others if len(fields) == width]
    columns = [[row[index] for row in rows if row[index]] for index in range(width)]
    numeric = [index for index in range(width) if are_numbers(columns[index], decimal)]
    # The index of a data frame has no name, and no unit.
    numeric = [index for index in numeric if units[index] or (index < len(names) and names[index])]
    texts = [units[index] for index in numeric]
    return (
        bool(texts)
        and all(
            0 < len(text) <= LONGEST_UNIT and text.lower() not in MARKERS_AMONG_NUMBERS and is_text(text, decimal)
            for text in texts
        )
        and not any(units[index] in columns[index] for index in numeric)
    )


def names_rows(fields: Sequence[str], others: Records) -> bool:
    """Return whether a row below the names, as pandas writes it, names the first column and has nothing else."""
    are_full = all(any(following[1:]) and fields[0] != following[0] for _, following in others)
    return len(fields) > 1 and is_name(fields[0]) and not any(fields[1:]) and are_full


def is_text(cell: str, decimal: str) -> bool:
    return bool(np.isnan(NumberFormat(decimal).number(cell)))


def are_numbers(cells: Sequence[str], decimal: str) -> bool:
    return bool(cells) and 2 * sum(not is_text(cell, decimal) for cell in cells) > len(cells)


def names_of(rows: Sequence[Sequence[str]], decimal: str) -> dict[str, Any]:
    """Return `header` and `names` unless they are the default. The first row has names if it has strings above numbers,
    or else if none of its strings is a value of its column."""
    if len(rows) < 2:
        return {}
    first, *others = rows
    if len(first) == usual_width(others) - 1:
        # Either each row ends with a delimiter, or begins with a name that R gave it.
        is_ended = not any(row[-1] for row in others if len(row) > len(first))
        return {"header": True, "names": distinct_names([*first, ""] if is_ended else ["row", *first])}
    columns = [[row[index] for row in others if index < len(row) and row[index]] for index in range(len(first))]
    numeric = [index for index, cells in enumerate(columns) if are_numbers(cells, decimal)]
    above = [index for index in numeric if is_text(first[index], decimal)]
    texts = [index for index in range(len(first)) if index not in numeric and columns[index]]
    named = [name for name in first if name]
    are_new = len({*named}) == len(named) and not any(first[index] in columns[index] for index in texts)
    # If no column holds numbers: a text that stands above texts that come again and again, and is none of them.
    repeating = [index for index in texts if 2 * len({*columns[index]}) <= len(columns[index])]
    has_names = 2 * len(above) > len(numeric) or (are_new and bool(repeating or not numeric))
    if not has_names:
        return {"header": False}
    names = distinct_names(first)
    if [*names] != [*first]:
        return {"header": True, "names": names}
    return {"header": True} if any(not is_text(name, decimal) for name in first) else {}


def distinct_names(first: Sequence[str]) -> tuple[str, ...]:
    """Return the names, with one for each column that has none or that of another. A first column without a name is the
    index of a data frame."""
    names: dict[str, None] = {}
    for number, name in enumerate(first, 1):
        fresh = name or ("index" if number == 1 else f"column_{number}")
        while fresh in names:
            fresh = f"{fresh}_{number}"
        names[fresh] = None
    return tuple(names)
