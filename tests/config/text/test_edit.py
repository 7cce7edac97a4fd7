"""Values changed in the text of a config: all else keeps its place."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dltool.config.text.edit import NotEditable, edited, raw_yaml
from dltool.config.text.tree import to_plain
from dltool.config.text.yaml_reader import parse_yaml

TEXT = """\
# Flats
name: flats  # the name
vars: {units: 8}
model:
  layers:
    - Dense: {units: $units, activation: relu}  # hidden
    - Dropout: 0.1

    - Dense:
        units: 3   # three
training:
  # about the optimizer
  optimizer: adam   # default
  epochs: 4

# what is tried
search:
  space:
    a: {integer: [1, 2]}  # x
track: []
"""


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        (("vars", "units"), 16, "{units: 8}", "{units: 16}"),
        (("vars", "rate"), "$(1 / 3)", "{units: 8}", "{units: 8, rate: $(1 / 3)}"),
        (("model", "layers", 1, "Dropout"), 0.25, "Dropout: 0.1", "Dropout: 0.25"),
        (("model", "layers", 1, "Dropout", "seed"), 3, "Dropout: 0.1", "Dropout: {rate: 0.1, seed: 3}"),
        (("model", "layers", 2, "Dense", "units"), 5, "units: 3   # three", "units: 5   # three"),
        (("model", "layers", 2), "Flatten", "Dense:\n        units: 3", "Flatten"),
        (("training", "optimizer"), {"SGD": {"momentum": 0.9}}, "adam   #", "{SGD: {momentum: 0.9}}   #"),
        (("training", "batch_size"), 16, "epochs: 4\n", "epochs: 4\n  batch_size: 16\n"),
        (("training", "checkpoint", "monitor"), "loss", "epochs: 4\n", "epochs: 4\n  checkpoint: {monitor: loss}\n"),
        (("seed",), 3, "track: []\n", "track: []\nseed: 3\n"),
        (("name",), "1e3", "name: flats", 'name: "1e3"'),
    ],
)
def test_one_value_changes_and_nothing_else(path, value, old, new):
    assert edited(TEXT, [(path, value)]) == TEXT.replace(old, new, 1)


def test_a_section_goes_with_the_comment_above_it():
    assert edited(TEXT, [], ["search"]) == TEXT.partition("# what is tried\n")[0] + "track: []\n"


@pytest.mark.parametrize("text", ["{name: a, search: {space: {}}}\n", "name: a\nsearch: [\n"])
def test_what_cannot_be_edited_is_refused(text):
    with pytest.raises(NotEditable):
        edited(text, [], ["search"])


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), max_size=20)
VALUES = st.one_of(
    SCALARS, TEXTS, st.lists(SCALARS | TEXTS, max_size=3), st.dictionaries(st.sampled_from("abc"), SCALARS, max_size=3)
)
PLACES = [("vars", "units"), ("training", "optimizer"), ("new",), ("model", "layers", 2, "Dense")]


@settings(max_examples=25)
@given(st.sampled_from(PLACES), VALUES)
def test_the_text_reads_as_the_value_that_was_written(path, value):
    try:
        text = edited(TEXT, [(path, value)])
    except NotEditable:
        return
    found = to_plain(parse_yaml(text, ""))
    for step in path:
        found = found[step]
    assert found == value
    assert to_plain(parse_yaml(raw_yaml({"a": value}), "")) == {"a": value}
