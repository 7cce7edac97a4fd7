"""The fenced blocks of README and the documentation, and what is to be done with each.

Conventions, all invisible to a reader:

- ```console holds commands. A ```text block after it, below the same heading, is what they print on a terminal of 120
  columns.
- A block with `title="FILE"` is that file; it is written before the commands that follow.
- `<!-- same as: FILE -->` before a block: it shows a file that a command has made, or that the project has.
- `<!-- exit: N -->` before a console block: its last command ends with N.
- `<!-- run: COMMAND -->`: run, but not shown.
- `<!-- not checked: REASON -->` or `<!-- not run: REASON -->` before a block: it is left alone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>```+)(?P<info>.*)\n(?P<text>(?:.*\n)*?)(?P=indent)(?P=ticks) *$", re.MULTILINE
)
MARK = re.compile(r"^ *<!-- (?P<key>run|exit|same as|not checked|not run): (?P<value>.*?) -->$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its title, its text without indentation, and the marks before it."""

    page: Path
    line: int
    language: str
    title: str | None
    text: str
    start: int  # where the text begins and ends in the page
    end: int
    indent: str
    marks: dict[str, str] = field(default_factory=dict)
    heading: str = ""  # the last one before it

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page; a hidden command is a block of the language "hidden"."""
    text = page.read_text("utf-8")
    fences = [fenced(page, text, match) for match in FENCE.finditer(text)]
    inside = [(block.start, block.end) for block in fences]
    hidden = [
        Block(page, line_at(text, mark.start()), "hidden", None, mark["value"] + "\n", mark.start(), mark.end(), "")
        for mark in MARK.finditer(text)
        if mark["key"] == "run" and not any(start <= mark.start() < end for start, end in inside)
    ]
    return sorted([*fences, *hidden], key=lambda block: block.start)


def fenced(page: Path, text: str, match: re.Match[str]) -> Block:
    language, _, rest = match["info"].strip().partition(" ")
    title = re.search(r'title="(.+?)"', rest)
    before = text[: match.start()].rstrip().splitlines()
    marks: dict[str, str] = {}
    while before and (mark := MARK.fullmatch(before.pop())):
        marks[mark["key"]] = mark["value"]
    inside = "".join(line.removeprefix(match["indent"]) for line in match["text"].splitlines(keepends=True))
    line = line_at(text, match.start())
    places = match.start("text"), match.end("text")
    headings = re.findall(r"^#+ .*", text[: match.start()], re.MULTILINE)
    heading = headings[-1] if headings else ""
    return Block(page, line, language, title and title[1], inside, *places, match["indent"], marks, heading)


def line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def commands(block: Block) -> Iterator[str]:
    """Yield the commands of a console block: lines, joined where one ends with a backslash."""
    joined = re.sub(r"\\\n\s*", "", block.text)
    for line in joined.splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip()
