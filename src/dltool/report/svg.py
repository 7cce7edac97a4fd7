"""Drawn figures made fit for a page: names of their own, attributes instead of styles, words instead of the picture."""

import io
import re
from xml.etree import ElementTree

from dltool.evaluation.figures.drawing import INK, STRONG_INK
from dltool.evaluation.figures.figure import Figure
from dltool.text import printable

LINK = "{http://www.w3.org/1999/xlink}href"
REFERENCE = re.compile(r"url\(#([^)]+)\)")
FONT = re.compile(
    r"(?:(?P<style>italic|oblique)\s+)?(?:(?P<weight>bold|[1-9]00)\s+)?(?P<size>[\d.]+)(?:px)?\s+(?P<family>.+)"
)
DRAWN = (
    "svg",
    "g",
    "defs",
    "use",
    "clipPath",
    "path",
    "rect",
    "circle",
    "line",
    "polyline",
    "polygon",
    "text",
    "tspan",
)
"""What a page takes of a figure, which may be one that a run of unknown origin has kept."""
DEEPEST = 50
WIDE = 400
"""Points beyond which the words in a figure are too small when it is as narrow as a phone."""
PAINTS = {INK: "currentColor", STRONG_INK: "var(--ink)"}


def inline_svg(figure: Figure, key: str) -> str:
    """The <svg> element of a figure for an HTML page; `key` is unique on the page.

    A content security policy refuses style attributes, so that they become presentation attributes; two figures may
    not have elements of the same id; axes and words get the colour of the text around them.
    """
    root = ElementTree.fromstring(figure.svg)
    clean(root, key)
    for name in {"height", "version"} & root.attrib.keys():
        # `width` and `viewBox` say enough.
        del root.attrib[name]
    root.attrib |= {
        "class": "drawn wide" if is_wide(root) else "drawn",
        "role": "img",
        "aria-labelledby": f"{key}-title {key}-words",
        "stroke-linejoin": "round",
        "stroke-linecap": "butt",
    }
    words = [ElementTree.Element("title", id=f"{key}-title"), ElementTree.Element("desc", id=f"{key}-words")]
    words[0].text, words[1].text = printable(figure.title), printable(figure.description)
    for old in [child for child in root if child.tag in ("title", "desc")]:
        root.remove(old)
    root[:0] = words
    return ElementTree.tostring(root, encoding="unicode")


def is_wide(root: ElementTree.Element) -> bool:
    sizes = root.get("viewBox", "").split()
    try:
        return len(sizes) == 4 and float(sizes[2]) > WIDE
    except ValueError:
        return False


def is_drawing(text: str) -> bool:
    """Whether a text of unknown origin is an <svg> element that :func:`inline_svg` can take."""
    depth, last = 0, ""
    try:
        for event, element in ElementTree.iterparse(io.StringIO(text), events=("start", "end")):
            depth, last = depth + (1 if event == "start" else -1), element.tag
            if depth > DEEPEST:
                return False
    except ElementTree.ParseError:
        return False
    return last.rpartition("}")[2] == "svg"


def clean(element: ElementTree.Element, key: str) -> None:
    element.tag = element.tag.partition("}")[2] or element.tag
    element.attrib = dict(own_names(presentation(element.attrib), key))
    for child in list(element):
        name = child.tag.partition("}")[2] or child.tag
        if name not in DRAWN:
            element.remove(child)
        else:
            clean(child, key)
            # Whitespace between elements is half of what matplotlib writes.
            child.tail = None if not (child.tail or "").strip() else child.tail
    if not (element.text or "").strip():
        element.text = None


def presentation(attributes: dict[str, str]) -> dict[str, str]:
    """The attributes with what `style` says as attributes of their own."""
    found = {name: value for name, value in attributes.items() if name != "style" and not name.startswith("on")}
    for declaration in attributes.get("style", "").split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font" and (match := FONT.fullmatch(value)):
            found |= {f"font-{part}": said for part, said in match.groupdict().items() if said}
        elif name and value:
            found[name] = value
    return {name: PAINTS.get(value, value) for name, value in found.items()}


def own_names(attributes: dict[str, str], key: str) -> list[tuple[str, str]]:
    found = []
    for name, value in attributes.items():
        if name in (LINK, "href"):
            # Only what is in the figure itself.
            found += [("href", f"#{key}-{value[1:]}")] if value.startswith("#") else []
        elif name == "id":
            found.append((name, f"{key}-{value}"))
        elif not name.startswith("{"):
            found.append((name, REFERENCE.sub(rf"url(#{key}-\1)", value)))
    return found
