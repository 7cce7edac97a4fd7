"""Problems in the style of a compiler: location, message, the line, a caret and a hint."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.text import Text

from dltool.config.text.tree import format_path, is_argument
from dltool.console.consoles import stderr_console
from dltool.errors import ConfigPath, DltoolError, Position, Problem, UnreadableConfig
from dltool.text import printable as escaped
from dltool.text import shortened

if TYPE_CHECKING:
    from dltool.config.load import Document
    from dltool.config.text.blocks import Uses

WIDEST_LINE = 150
GUTTER = len("  123 | ")
MOST_CARETS = 60
LONGEST = 2_000
"""Most characters of a message: names in it may have any length."""


def printable(text: str) -> str:
    return shortened(escaped(text), LONGEST)


def render_error(error: DltoolError, document: "Document | None") -> Text:
    """Format all problems of `error`; the caller reports what was written."""
    texts = error.texts if isinstance(error, UnreadableConfig) else document.texts if document else {}
    lines = (line for problem in error.problems for line in problem_lines(problem, document, texts))
    return Text("\n").join([*lines, Text()])


def problem_lines(problem: Problem, document: "Document | None", texts: Mapping[str, str]) -> Iterator[Text]:
    position = locate(problem, document)
    place, uses = written_place(problem, document)
    path = format_path(place)
    before = (f"{place_name(position)}: " if position else "") + (f"{printable(path)}: " if path else "")
    header = Text.assemble((before, "bold"), printable(problem.message))
    if not position:
        yield Text.assemble("error: ", header, style="bold red")
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
    """Yield related locations, each with the use of its block unless the problem is in the same use."""
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
    before, mark, shown = around(line, position.column - 1, position.width)
    gutter = position.file.split(" ")[0].removeprefix("--") if is_argument(position) else str(position.line)
    if shows_file:
        yield Text(f"      {place_name(position)}")
    if shown.strip():
        yield Text(f"{gutter:>5} | {shown}", "dim")
        under = f" {printable(words)}" if words else ""
        yield Text.assemble(f"      | {' ' * before}", ("^" * mark, "bold red"), under, style="dim")
    elif words:
        yield Text(f"      | {printable(words)}", "dim")


def around(line: str, start: int, width: int) -> tuple[int, int, str]:
    """Return the part of a line around its `width` characters from `start` that a line of the terminal has room for,
    and how many cells of it are before them, and are theirs."""
    console = stderr_console()
    room = max(20, console.width - GUTTER) if console.is_terminal else WIDEST_LINE
    parts = line[max(0, start - room) : start], line[start:][: min(width, room)], line[start + width :][:room]
    before, mark, after = (printable(each).replace("\t", "    ") for each in parts)
    # It is cut at its beginning.
    head = Text(before[::-1])
    head.truncate(room - max(1, min(cell_len(mark + after), room // 2)), overflow="ellipsis")
    shown = Text(head.plain[::-1] + mark + after)
    shown.truncate(room, overflow="ellipsis")
    return head.cell_len, max(1, min(cell_len(mark), room - head.cell_len, MOST_CARETS)), shown.plain


def problems_as_json(error: DltoolError, document: "Document | None") -> list[dict[str, Any]]:
    """Return the problems for `--json`: file, line, column, path, message, hint."""
    positions = [locate(problem, document) for problem in error.problems]
    return [
        {
            **{name: getattr(position, name, None) for name in ("file", "line", "column")},
            "path": format_path(written_place(problem, document)[0]) or None,
            "message": problem.message,
            "hint": problem.hint or None,
        }
        for problem, position in zip(error.problems, positions, strict=True)
    ]
