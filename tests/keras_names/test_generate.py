import json
import re
import subprocess
import sys

import pytest
from scripts.keras_names.argument_types import deduce
from scripts.keras_names.docstrings import argument_summary, argument_texts, summary

from dltool.keras_names import FOLDER

DOCSTRING = """Just your regular layer. It does things.

    More about it.

    Args:
        units: Positive integer, dimensionality of the
            output space.
        rate: Float between 0 and 1. Fraction to drop.

            - a list that belongs to rate
        `mode`: One of `"a"` or [b](https://example.com).

    Returns:
        nothing: at all.
    """


@pytest.mark.slow
def test_the_committed_table_is_what_the_installed_keras_offers():
    # In a process of its own: TensorFlow can be started only once, and other tests choose how.
    code = "import json; from scripts.keras_names.generate import files; print(json.dumps(files()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for name, content in json.loads(done.stdout.splitlines()[-1]).items():
        assert (FOLDER / name).read_text(encoding="utf-8") == content, "run python -m scripts.keras_names.generate"


def test_the_entries_under_args_are_read_whole_and_no_others():
    texts = argument_texts(DOCSTRING)
    assert list(texts) == ["units", "rate", "mode"]
    assert texts["units"] == "Positive integer, dimensionality of the output space."
    assert texts["rate"].endswith("- a list that belongs to rate")


def test_a_summary_is_the_first_sentence():
    assert summary(DOCSTRING) == "Just your regular layer."


def test_an_argument_is_summed_up_without_its_type_and_without_markup():
    texts = argument_texts(DOCSTRING)
    assert argument_summary(texts["units"]) == "Dimensionality of the output space."
    assert argument_summary(texts["mode"]) == 'One of "a" or b.'
    assert argument_summary("Boolean. If `True`, e.g. for images, it swaps. And more.") == (
        "If True, e.g. for images, it swaps."
    )


def test_types_come_from_name_default_and_docstring():
    assert deduce("Any", "kernel_initializer", "", "zeros", False) == "initializer|null"
    assert deduce("Conv2D", "kernel_size", "", None, True) == "int|ints:2"
    assert deduce("Any", "center", "If `True`, shift.", True, False) == "bool"
    assert deduce("Any", "bins", "Integer, how many.", 256, False) == "int"
    assert deduce("Any", "method", 'One of `"a"` or `"b"`. Then `"c"`.', "a", False) == '"a"|"b"'


def test_what_the_docstring_leaves_open_takes_anything():
    assert deduce("Any", "thing", "The thing to use.", None, False) == "any"
    assert deduce("Any", "thing", "", None, True) == "any"


def test_every_word_of_every_type_is_known():
    from dltool.keras_names import KINDS, signatures

    words = {"int", "float", "number", "bool", "text", "null", "list", "mapping", "any", "code", "layers"}
    words |= {"ints", "floats", "texts", "ints:1", "ints:2", "ints:3", *KINDS}
    used = {
        word
        for kind in KINDS
        for entry in signatures()[kind].values()
        for _, types, *_ in entry.get("arguments", ())
        for word in types.split("|")
    }
    assert {word for word in used if not re.fullmatch(r'"[\w.-]+"', word)} <= words
