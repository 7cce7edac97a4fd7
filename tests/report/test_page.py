"""The frame of a page, and figures in it."""

import base64
import hashlib
import re
from dataclasses import replace
from xml.etree import ElementTree

from markupsafe import Markup

from dltool.evaluation.figures.figure import Figure
from dltool.report.page import PageSection, figure, render_page, unbroken
from dltool.report.svg import inline_svg

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


def test_a_figure_loses_what_a_policy_forbids_and_what_leads_out() -> None:
    root = ElementTree.fromstring(inline_svg(DRAWN, "test-curve"))
    tags = [element.tag for element in root.iter()]
    assert tags == ["svg", "title", "desc", "defs", "clipPath", "rect", "g", "use", "use", "text"]
    assert not [name for element in root.iter() for name in element.attrib if name in ("style", "onclick")]
    assert [element.get("href") for element in root.iter("use")] == ["#test-curve-p1", None]
    text = root.find("text")
    assert text is not None
    assert text.attrib == {
        "font-size": "9",
        "font-family": "'DejaVu Sans', sans-serif",
        "text-anchor": "middle",
        "fill": "currentColor",
    }


def test_a_figure_too_wide_for_a_phone_scrolls_instead_of_becoming_illegible() -> None:
    wide = replace(DRAWN, svg=DRAWN.svg.replace("0 0 9 9", "0 0 460 230"))
    assert 'class="drawn wide"' in inline_svg(wide, "key")
    assert "wide" not in inline_svg(replace(DRAWN, svg=DRAWN.svg.replace("0 0 9 9", "0 0 much 9")), "key")


def test_a_command_is_not_broken_at_the_hyphens_of_its_options() -> None:
    assert unbroken("run <a> --epochs 4") == 'run &lt;a&gt; <span class="word">--epochs</span> 4'


def test_names_in_two_figures_differ_and_still_lead_to_each_other() -> None:
    drawn = str(figure(DRAWN, "one")) + str(figure(DRAWN, "two"))
    names = re.findall(r' id="(.*?)"', drawn)
    assert len(names) == len(set(names)) == 8
    assert "url(#one-curve-p1)" in drawn
    assert "url(#two-curve-p1)" in drawn


def test_a_figure_has_its_words_for_those_who_do_not_see_it() -> None:
    drawn = str(figure(DRAWN))
    assert '<title id="curve-title">A &lt;b&gt;</title>' in drawn
    assert '<desc id="curve-words">Words &amp; more</desc>' in drawn
    assert 'role="img" aria-labelledby="curve-title curve-words"' in drawn
