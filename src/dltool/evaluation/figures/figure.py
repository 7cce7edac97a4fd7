"""A drawn figure: its SVG, and a description for those who do not see it."""

import io
from base64 import b64encode
from dataclasses import dataclass
from xml.etree import ElementTree

DEEPEST = 50
"""Levels of elements in a figure of unknown origin."""


@dataclass(frozen=True)
class Figure:
    """`name` is that of its file without ".svg", such as "confusion_matrix"; `svg` is a whole <svg> element.

    `description` gives in a sentence or two, with the numbers that matter, what the figure shows.
    """

    name: str
    title: str
    description: str
    svg: str

    @property
    def data_uri(self) -> str:
        """The figure for an <img>: browsers run and load nothing of an SVG there, and its ids cannot clash."""
        return f"data:image/svg+xml;base64,{b64encode(self.svg.encode()).decode()}"


def file_word(name: str) -> str:
    """Return a name as part of the name of a file, the same for the same name."""
    return "".join(each if each.isascii() and (each.isalnum() or each in "-_") else "_" for each in name)[:60] or "_"


def is_drawing(text: str) -> bool:
    """Return whether a text of unknown origin is an <svg> element that a browser can show."""
    depth, last = 0, ""
    try:
        for event, element in ElementTree.iterparse(io.StringIO(text), events=("start", "end")):
            depth, last = depth + (1 if event == "start" else -1), element.tag
            if depth > DEEPEST:
                return False
    except ElementTree.ParseError:
        return False
    return last.rpartition("}")[2] == "svg"
