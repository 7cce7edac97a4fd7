"""Problems of a table: missing columns, and cells that are invalid for their column's kind."""

from dltool.data.tables.builders import BooleanBuilder, Builder, DateBuilder, NumberBuilder
from dltool.data.tables.cells import NUMBER
from dltool.data.tables.csv_file import CsvFile
from dltool.data.tables.typed_table import ColumnRequest, TableFile
from dltool.errors import ConfigPath, Problem
from dltool.text import counted, did_you_mean, listed, near, plural, quoted

MOST_NAMES = 12
MOST_TEXTS = 3


def absent_problems(file: TableFile, place: ConfigPath, wanted: ColumnRequest) -> list[Problem]:
    """Yield a problem for each missing required column."""
    like = wanted.like
    if like is None:
        due = dict.fromkeys((*wanted.declared, *wanted.needed))
        why = ""
    else:
        due = dict.fromkeys(name for name, column in like.columns.items() if column.kind != "ignore")
        why = f", which {like.path.name} has"
    absent = [name for name in due if name not in file.names and name not in wanted.optional]
    if like is not None and len(absent) > 1 and len(absent) == len(due):
        message = f"{file.path}: none of the columns of {like.path.name} is there"
        hint = "if its first line is a row and no names, write header: false" if isinstance(file, CsvFile) else ""
        return [Problem(place, message, hint or other_names(absent[0], file))]
    return [
        Problem(
            wanted.places.get(name, place) if like is None else place,
            f'{file.path} has no column "{name}"{why}',
            other_names(name, file),
        )
        for name in absent
    ]


def other_names(name: str, file: TableFile) -> str:
    return did_you_mean(near(name, file.names, 3)) or f"it has {listed(file.names, MOST_NAMES)}"


def invalid_problem(file: TableFile, place: ConfigPath, name: str, builder: Builder, wanted: ColumnRequest) -> Problem:
    """Return the problem of a column's invalid cells: the first by its line, the others by number and text."""
    invalid = builder.invalid
    texts = list(invalid.rows)[:MOST_TEXTS]
    lines = file.numbers_of([invalid.rows[text] for text in texts])
    places = [f"{quoted(text)} ({file.row_word} {line:,})" for text, line in zip(texts, lines, strict=True)]
    first = f"{file.path}, {file.row_word} {lines[0]:,}: {name} is {quoted(texts[0])}"
    message = f"{first}, which is {complaint(builder, texts[0])}"
    if invalid.count > 1:
        others = invalid.count - 1
        message += f"; nor {plural(others, 'is', 'are')} {counted(others, 'other cell')} of the column"
    if len(texts) > 1:
        more = ", …" if len(invalid.rows) > len(texts) or invalid.more_texts else ""
        message += f": {', '.join(places)}{more}"
    declared_at = wanted.places.get(name)
    related = () if declared_at is None or name not in wanted.declared else ((declared_at, "declared here"),)
    return Problem(place, message, hint_for(file, name, builder, wanted), related=related)


def complaint(builder: Builder, text: str) -> str:
    if isinstance(builder, NumberBuilder):
        return "too large for float32" if NUMBER.fullmatch(text) and builder.decimal == "." else "no number"
    if isinstance(builder, DateBuilder):
        return "no date" if builder.written is None else f'no date written as "{builder.written}"'
    return "neither true nor false" if isinstance(builder, BooleanBuilder) else "out of place"


def hint_for(file: TableFile, name: str, builder: Builder, wanted: ColumnRequest) -> str:
    hints = []
    invalid = builder.invalid
    is_marker = not invalid.more_texts and len(invalid.rows) <= MOST_TEXTS and builder.present
    if isinstance(file, CsvFile) and is_marker:
        markers = ", ".join(quoted(text) for text in (*file.options.missing, *invalid.rows))
        hints.append(f"if it stands for a missing value, write missing: [{markers}]")
    if wanted.like is not None:
        hints.append(f"{wanted.like.path.name} has {NOUNS[type(builder)]} there")
    elif isinstance(builder, DateBuilder) and builder.written is None:
        hints.append(f'say how its dates are written: {name}: {{date: {{format: "%d.%m.%Y"}}}}')
    elif name not in wanted.declared:
        hints.append(f"if the column holds categories, declare it: {name}: category")
    return "; ".join(hints)


NOUNS: dict[type[Builder], str] = {NumberBuilder: "numbers", DateBuilder: "dates", BooleanBuilder: "true and false"}
