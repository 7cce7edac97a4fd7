"""A figure: its SVG and a text alternative."""

import io
from base64 import b64encode
from dataclasses import dataclass
from xml.etree import ElementTree

DEEPEST = 50
"""Levels of elements in an untrusted figure."""


@dataclass(frozen=True)
class Figure:
    """`name` is the file name without ".svg"; `svg` is a whole <svg> element.

    `description` is the text alternative: a sentence or two with the numbers that matter."""

    name: str
    title: str
    description: str
    svg: str

    @property
    def data_uri(self) -> str:
        """Return the figure for an <img>, in which browsers run and load nothing and ids cannot clash."""
        return f"data:image/svg+xml;base64,{b64encode(self.svg.encode()).decode()}"


def file_word(name: str) -> str:
    """Return a name in a form that is safe in file names."""
    return "".join(each if each.isascii() and (each.isalnum() or each in "-_") else "_" for each in name)[:60] or "_"


def is_drawing(text: str) -> bool:
    """Return whether an untrusted text is an <svg> element that a browser can show."""
    depth, last = 0, ""
    try:
        for event, element in ElementTree.iterparse(io.StringIO(text), events=("start", "end")):
            depth, last = depth + (1 if event == "start" else -1), element.tag
            if depth > DEEPEST:
                return False
    except ElementTree.ParseError:
        return False
    return last.rpartition("}")[2] == "svg"
