"""A drawn figure: its SVG, and in words what it shows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """`name` is that of its file without ".svg", such as "confusion_matrix"; `svg` is a whole <svg> element.

    `description` says in a sentence or two, with the numbers that matter, what the figure shows: it stands in for the
    picture where that cannot be seen.
    """

    name: str
    title: str
    description: str
    svg: str


def file_word(name: str) -> str:
    """A name as part of the name of a file, the same for the same name."""
    return "".join(each if each.isascii() and (each.isalnum() or each in "-_") else "_" for each in name)[:60] or "_"
