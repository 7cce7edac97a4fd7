"""The page of a small run: everything is there, nothing is loaded, and nothing from the data is markup."""

import re
from collections import Counter

from tests.report.conftest import CLASSES, COLUMN


def test_the_sections_are_in_the_order_in_which_a_person_asks(reported) -> None:
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", reported.html)
    assert titles == [
        *("Is it any good?", "What to look at", "Learning", "Results", "Membership inference"),
        *("Examples, as the model sees them", "Layers", "Data", "Config", "How it was made"),
    ]


def test_names_from_the_data_are_text_and_no_markup(reported) -> None:
    assert not reported.page.of("script", "iframe", "object", "embed", "form", "base")
    assert [image for image in reported.page.of("img") if not (image["src"] or "").startswith("data:image/")] == []
    shown = " ".join(reported.page.texts)
    for name in (CLASSES[0], CLASSES[1], CLASSES[3], COLUMN, "\\x1b[31mred"):
        assert name in shown
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", reported.html)


def test_no_element_acts_or_is_styled_by_itself(reported) -> None:
    for tag, attributes in reported.page.elements:
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag


def test_nothing_is_loaded_from_anywhere(reported) -> None:
    addresses = [
        value or ""
        for _, attributes in reported.page.elements
        for name, value in attributes.items()
        if name.split(":")[-1] in ("src", "href", "srcset", "data", "action", "poster")
    ]
    assert addresses
    assert [address for address in addresses if not address.startswith(("#", "data:"))] == []
    assert "://" not in re.sub(r"<pre.*?</pre>", "", reported.html, flags=re.DOTALL)
    assert len(reported.html.encode()) < 2_000_000


def test_links_and_descriptions_lead_somewhere_and_every_name_is_used_once(reported) -> None:
    names = Counter(attributes["id"] for _, attributes in reported.page.elements if "id" in attributes)
    assert [name for name, count in names.items() if count > 1] == []
    for _, attributes in reported.page.elements:
        wanted = (attributes.get("aria-labelledby") or "").split()
        wanted += [(attributes.get("href") or "")[1:]] if (attributes.get("href") or "").startswith("#") else []
        assert [name for name in wanted if name not in names] == []


def test_every_picture_has_words(reported) -> None:
    pictures = [svg for svg in reported.page.of("svg") if svg.get("aria-hidden") != "true"]
    assert reported.page.of("img")
    assert [svg for svg in pictures if svg.get("role") != "img"] == []
    assert [svg for svg in pictures if not (svg.get("aria-label") or svg.get("aria-labelledby"))] == []
    assert [image for image in reported.page.of("img") if not image.get("alt")] == []


def test_the_graph_of_the_layers_shows_what_takes_what(reported) -> None:
    layers = {layer["title"]: layer for layer in reported.numbers["layers"]}
    joined = layers["Add"]
    assert joined["takes"] == f"{layers['Dense first']['number']}, {layers['Dense second']['number']}"
    assert layers["Dense first"]["output"] == "16"
    assert re.search(r"hostile\.yaml:\d+:\d+", layers["Dense first"]["origin"])


def test_columns_that_nobody_said_how_to_join_are_joined_by_default(reported) -> None:
    (joined,) = (layer for layer in reported.numbers["layers"] if layer["title"].startswith("Concatenate"))
    assert joined["origin"] == "default"


def test_a_mistake_says_which_row_it_is(reported) -> None:
    for mistake in reported.numbers["outputs"][0]["mistakes"]:
        assert mistake["place"] == f"row {mistake['row']:,}"
        assert mistake["place"] in reported.html


def test_the_config_says_where_each_value_was_decided(reported) -> None:
    config = reported.numbers["config"]
    assert config["training.epochs"]["value"] == "3"
    assert re.fullmatch(r".*hostile\.yaml:17:11", config["training.epochs"]["origin"])
    assert config["training.batch_size"]["origin"] == "default"
    assert config["model.layers[3].Dense.units"]["origin"].endswith("($classes)")


def test_examples_are_shown_with_what_the_model_gets(reported) -> None:
    assert "columns → preprocessed" in reported.html
    assert "→" in reported.html
