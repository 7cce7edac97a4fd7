"""The comparison of what a page shows with what is printed."""

from tests.docs.shell import missing, refreshed, shape_of

PRINTED = "run runs/a/0001\n epoch  loss\n  1/2  0.50  best\n  2/2  0.40\ntook 3.1 s\nnext dltool runs\n"


def test_numbers_marks_and_spaces_are_not_compared() -> None:
    assert shape_of("  1/25  1.7401  8.159e-04  best") == shape_of(" 2/5   0.3  0.1")
    assert shape_of("now ▁▃▅ -0.5") == shape_of("now █ 0.25")
    assert shape_of("1 error") != shape_of("1 warning")


def test_what_is_printed_is_found_in_its_place() -> None:
    assert missing(PRINTED, PRINTED) == []
    assert missing("run runs/a/0002\n…\nnext dltool runs\n", PRINTED) == []
    assert missing("run runs/a/0002\n…\ntook 9 s\n…\n", PRINTED) == []
    assert missing("…\nnext dltool runs\n", PRINTED) == []


def test_what_is_not_printed_is_reported() -> None:
    assert missing("…\nlast dltool runs\n", PRINTED) == ["last dltool runs"]
    assert missing("took 3.1 s\n…\n", PRINTED) == ["took 3.1 s"], "not at the beginning"
    assert missing("…\ntook 3.1 s\n", PRINTED) == ["took 3.1 s"], "not at the end"
    assert missing("run runs/a/0001\n", PRINTED) == ["run runs/a/0001"], "more is printed"
    assert missing("…\ntook 3.1 s\n…\n epoch  loss\n…\n", PRINTED) == [" epoch  loss"], "not in this order"


def test_an_output_is_refreshed_with_the_same_lines_left_out() -> None:
    assert refreshed("old\n", PRINTED) == PRINTED
    assert refreshed("run runs/b\n…\ntook 9 s\n…\nnext x\n", PRINTED) == (
        "run runs/a/0001\n…\ntook 3.1 s\n…\nnext dltool runs\n"
    )
