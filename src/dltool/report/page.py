"""The frame of a page: one HTML file that loads nothing, enforced by a content security policy."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dltool import text
from dltool.evaluation.figures.figure import Figure
from dltool.runs.records import one_line

TEMPLATES = Path(__file__).parent / "templates"
WIDE = 400
"""Width in points beyond which a figure is illegible at the width of a phone."""


@dataclass(frozen=True)
class PageSection:
    """A section of a page; `name` is its anchor, `content` safe HTML."""

    name: str
    title: str
    content: Markup


def render(template: str, **values: Any) -> Markup:
    """Render a template as safe HTML: all but Markup is escaped, control characters are made visible. Templates have
    the filters `number`, `data_number`, `duration`, `one_line`, `unbroken`, `keys` and `largest`, and the function
    `figure`."""
    return Markup(environment().get_template(template).render(**values))


def render_page(title: str, header: Markup, sections: Sequence[PageSection]) -> str:
    """Return a whole page without empty sections.

    Its policy allows only this style sheet and embedded images. Source: W3C, Content Security Policy Level 3,
    https://www.w3.org/TR/CSP3/."""
    style = Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    shown = [section for section in sections if section.content.strip()]
    return str(render("page.html", title=title, header=header, sections=shown, style=style, policy=policy))


@cache
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=visible,
    )
    made.filters |= {"number": text.number, "data_number": text.data_number, "duration": text.duration}
    made.filters |= {"one_line": one_line, "unbroken": unbroken, "keys": keys}
    made.filters["largest"] = lambda rows: {name: text.largest_of(row.get(name) for row in rows) for name in keys(rows)}
    made.globals["figure"] = figure
    return made


def keys(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of all columns of a table, in order."""
    return list(dict.fromkeys(chain.from_iterable(rows)))


def visible(value: Any) -> Any:
    """Return the value with escapes for control characters of strings."""
    return text.printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def unbroken(command: str) -> Markup:
    """Return the command without line breaks after the hyphens of options."""
    return Markup(" ").join(
        Markup('<span class="word">{}</span>').format(visible(word)) if word.startswith("--") else visible(word)
        for word in command.split(" ")
    )


def figure(drawn: Figure) -> Markup:
    """Render a figure with title and description. A figure too wide for a phone scrolls."""
    size = re.search(r'viewBox="0 0 ([\d.]+) ', drawn.svg[:1000])
    return render("figure.html", drawn=drawn, is_wide=size is not None and float(size[1]) > WIDE)
