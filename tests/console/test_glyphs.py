import math

import pytest

from dltool.console.glyphs import ASCII, UNICODE, glyphs_for


def test_a_bar_is_full_when_all_is_done() -> None:
    assert UNICODE.bar(0, 4) == "╌╌╌╌"
    assert UNICODE.bar(0.5, 4) == "━━╌╌"
    assert UNICODE.bar(1, 4) == "━━━━"
    assert ASCII.bar(0.5, 4) == "##.."


def test_a_spark_line_goes_from_the_lowest_value_to_the_highest() -> None:
    assert UNICODE.spark([1, 2, 3, 4, 5, 6, 7, 8], 20) == "▁▂▃▄▅▆▇█"
    assert UNICODE.spark([3, 3, 3], 20) == "▁▁▁"
    assert UNICODE.spark([], 20) == ""
    assert UNICODE.spark([1, 2], 20, beside=[1, 8]) == "▁▂"


def test_what_is_not_finite_is_a_gap_in_the_spark_line() -> None:
    assert UNICODE.spark([1, math.nan, 2, math.inf], 20) == "▁ █ "
    assert UNICODE.spark([-1e308, 1e308], 20) == "▁█"


@pytest.mark.parametrize("count", [1, 19, 20, 21, 1000, 12_345])
def test_a_spark_line_is_never_wider_than_asked_and_has_the_last_value(count) -> None:
    line = UNICODE.spark([0.0] * (count - 1) + [1.0], 20)
    assert len(line) <= 20
    assert line[-1] == ("█" if count > 1 else "▁")


@pytest.mark.parametrize(
    ("encoding", "glyphs"), [("utf-8", UNICODE), ("cp1252", ASCII), ("cp437", ASCII), (None, ASCII)]
)
def test_an_encoding_that_lacks_the_characters_gets_plain_ones(encoding, glyphs) -> None:
    assert glyphs_for(encoding) == glyphs
