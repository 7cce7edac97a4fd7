"""The frame of a page, and figures in it."""

import base64
import hashlib
import re
from dataclasses import replace

from markupsafe import Markup

from dltool.evaluation.figures.figure import Figure
from dltool.report.page import PageSection, figure, render_page, unbroken

SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="10pt" viewBox="0 0 9 9">
 <metadata><a>1</a></metadata>
 <defs><style type="text/css">*{stroke-linejoin: round}</style><clipPath id="p1"><rect/></clipPath></defs>
 <script>alert(1)</script>
 <g id="g" onclick="alert(1)" clip-path="url(#p1)"><use xlink:href="#p1"/><use xlink:href="https://example.org/a"/></g>
 <text style="font: 9px 'DejaVu Sans', sans-serif; text-anchor: middle; fill: #767676">a</text>
</svg>"""
DRAWN = Figure("curve", "A <b>", "Words & more", SVG)


def test_the_policy_allows_the_style_of_the_page_and_nothing_else() -> None:
    page = render_page("A run", Markup("<h1>A run</h1>"), [PageSection("one", "One", Markup("<p>text</p>"))])
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="(.*?)"', page)
    assert policy.replace("&#39;", "'").split("; ") == [
        *(
            "default-src 'none'",
            f"style-src 'sha256-{digest}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    ]


def test_a_section_without_content_is_left_out_with_its_link() -> None:
    page = render_page(
        "A run", Markup(), [PageSection("one", "One", Markup(" \n")), PageSection("two", "Two", Markup("x"))]
    )
    assert re.findall(r'href="#(\w+)"', page) == ["main", "two"]


def test_a_title_is_escaped() -> None:
    assert "<title>&lt;/title&gt;\\x1b</title>" in render_page("</title>\x1b", Markup(), [])


def test_a_figure_is_an_image_inside_the_page_in_which_nothing_of_it_runs_or_loads() -> None:
    drawn = str(figure(DRAWN))
    (source,) = re.findall(r'<img class="drawn" src="data:image/svg\+xml;base64,([^"]+)"', drawn)
    assert base64.b64decode(source).decode() == SVG
    assert "alert" not in drawn


def test_a_figure_too_wide_for_a_phone_scrolls_instead_of_becoming_illegible() -> None:
    assert 'class="drawn wide"' in figure(replace(DRAWN, svg=DRAWN.svg.replace("0 0 9 9", "0 0 460 230")))
    assert "wide" not in figure(replace(DRAWN, svg=DRAWN.svg.replace("0 0 9 9", "0 0 much 9")))


def test_a_command_is_not_broken_at_the_hyphens_of_its_options() -> None:
    assert unbroken("run <a> --epochs 4") == 'run &lt;a&gt; <span class="word">--epochs</span> 4'


def test_a_figure_has_its_words_for_those_who_do_not_see_it() -> None:
    drawn = str(figure(DRAWN))
    assert 'alt="A &lt;b&gt;"' in drawn
    assert '<p class="words">Words &amp; more</p>' in drawn
