"""Problems in the style of a compiler: location, message, the line, a caret and a hint."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from dltool.config.text.tree import format_path, is_argument
from dltool.errors import ConfigPath, DltoolError, Position, Problem, UnreadableConfig
from dltool.text import printable as escaped
from dltool.text import shortened

if TYPE_CHECKING:
    from dltool.config.load import Document
    from dltool.config.text.blocks import Uses

WIDEST_LINE = 150
MOST_CARETS = 60
LONGEST = 2_000
"""Most characters of a message: names in it may have any length."""


def printable(text: str) -> str:
    return shortened(escaped(text), LONGEST)


def render_error(error: DltoolError, document: "Document | None") -> Text:
    """Format all problems of `error`; the caller reports what was written."""
    texts = texts_of(error, document)
    text = Text()
    for problem in error.problems:
        for line in problem_lines(problem, document, texts):
            text.append_text(line).append("\n")
    return text


def texts_of(error: DltoolError, document: "Document | None") -> Mapping[str, str]:
    if isinstance(error, UnreadableConfig):
        return error.texts
    return document.texts if document else {}


def problem_lines(problem: Problem, document: "Document | None", texts: Mapping[str, str]) -> Iterator[Text]:
    position = locate(problem, document)
    place, uses = written_place(problem, document)
    path = format_path(place)
    header = Text()
    if position:
        header.append(f"{place_name(position)}: ", "bold")
    header.append(f"{printable(path)}: " if path else "", "bold")
    header.append(printable(problem.message))
    if not position:
        yield Text("error: ", "bold red") + header
        if problem.hint:
            yield Text(f"  {printable(problem.hint)}")
        return
    yield header
    yield from excerpt(position, problem.hint, texts)
    for other, words in (*related_places(problem, document, uses), *uses):
        found = document.position(other) if document else other
        if isinstance(found, Position):
            yield from excerpt(found, words, texts, shows_file=found.file != position.file)


def locate(problem: Problem, document: "Document | None") -> Position | None:
    if isinstance(problem.place, Position):
        return problem.place
    if problem.place is None or document is None:
        return None
    return document.position(problem.place, problem.at_key)


def written_place(problem: Problem, document: "Document | None") -> tuple[ConfigPath, "Uses"]:
    """Return the config path in the text, and the uses of blocks that led there."""
    if not isinstance(problem.place, tuple):
        return (), ()
    return document.written(problem.place) if document else (problem.place, ())


def related_places(
    problem: Problem, document: "Document | None", uses: "Uses"
) -> Iterator[tuple[ConfigPath | Position, str]]:
    """Yield related locations, each with the use of the block that contains it unless the problem is in the
    same use."""
    for place, words in problem.related:
        yield place, words
        inside = document.written(place)[1] if document and isinstance(place, tuple) else ()
        if inside and inside[0] not in uses:
            yield inside[0][0], "in this use"


def place_name(position: Position) -> str:
    if is_argument(position):
        return printable(position.file)
    return f"{printable(position.file)}:{position.line}:{position.column}"


def excerpt(position: Position, words: str, texts: Mapping[str, str], shows_file: bool = False) -> Iterator[Text]:
    """Yield the line with its number, and below it carets and `words`."""
    lines = texts.get(position.file, "").splitlines()
    line = lines[position.line - 1] if position.line <= len(lines) else ""
    start = max(0, position.column - 1 - WIDEST_LINE // 2)
    before = printable(line[start : position.column - 1])
    shown = printable(line[start : start + WIDEST_LINE])
    width = max(1, min(position.width, len(shown) - len(before), MOST_CARETS))
    gutter = position.file.split(" ")[0].removeprefix("--") if is_argument(position) else str(position.line)
    if shows_file:
        yield Text(f"      {place_name(position)}")
    if shown.strip():
        yield Text(f"{gutter:>5} | ", "dim") + Text(shown)
        indent = "".join("\t" if character == "\t" else " " for character in before)
        yield (
            Text("      | ", "dim")
            + Text(indent)
            + Text("^" * width, "bold red")
            + Text(f" {printable(words)}" if words else "")
        )
    elif words:
        yield Text("      | ", "dim") + Text(printable(words))


def problems_as_json(error: DltoolError, document: "Document | None") -> list[dict[str, Any]]:
    """Return the problems for `--json`: file, line, column, path, message, hint."""
    found = []
    for problem in error.problems:
        position = locate(problem, document)
        found.append(
            {
                "file": position.file if position else None,
                "line": position.line if position else None,
                "column": position.column if position else None,
                "path": format_path(written_place(problem, document)[0]) or None,
                "message": problem.message,
                "hint": problem.hint or None,
            }
        )
    return found
