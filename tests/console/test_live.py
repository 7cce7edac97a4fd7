import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from tests.console.terminals import Terminal

from dltool.console.live import LiveLines, can_be_live, cropped, fitted


def test_lines_are_replaced_by_the_next_ones_and_nothing_of_them_stays() -> None:
    terminal = Terminal()
    live = LiveLines(terminal)
    live.draw(["one", "a longer second line"])
    live.draw(["three", "four"])
    assert terminal.shown() == "three\nfour\n"
    live.draw(["five"])
    assert terminal.shown() == "five\n"
    live.clear()
    assert terminal.shown() == "\n"


def test_a_text_that_stays_is_above_the_lines() -> None:
    terminal = Terminal()
    live = LiveLines(terminal)
    live.above("first")
    live.draw(["row", "course"])
    live.above("second")
    assert terminal.shown() == "first\nsecond\nrow\ncourse\n"


def test_the_cursor_waits_where_the_lines_begin() -> None:
    terminal = Terminal()
    live = LiveLines(terminal)
    live.above("first")
    live.draw(["row", "course"])
    assert (terminal.screen.cursor.y, terminal.screen.cursor.x) == (1, 0)


def test_lines_at_the_bottom_of_the_screen_scroll_it_once() -> None:
    terminal = Terminal()
    live = LiveLines(terminal)
    for number in range(60):
        live.above(str(number))
        live.draw(["row", "course"])
    assert terminal.shown().splitlines() == [*map(str, range(22, 60)), "row", "course"]


def test_what_has_no_room_is_left_out_by_rank() -> None:
    parts = [(0, "epoch 1/9"), (2, "bar"), (1, "4 s left")]
    assert fitted(parts, 30) == "epoch 1/9  bar  4 s left"
    assert fitted(parts, 20) == "epoch 1/9  4 s left"
    assert fitted(parts, 9) == "epoch 1/9"
    assert fitted(parts, 5) == "epo.."


@given(st.lists(st.tuples(st.integers(0, 5), st.text("aé字 ", max_size=9)), min_size=1), st.integers(1, 60))
def test_what_is_fitted_fits(parts, room) -> None:
    assert cell_len(fitted(parts, room)) <= room


def test_wide_characters_are_cropped_by_the_columns_that_they_take() -> None:
    assert cropped("字字字字", 7) == "字字 .."


@pytest.mark.parametrize(("name", "is_live"), [("xterm", True), ("dumb", False), ("unknown", False), (None, False)])
def test_a_terminal_that_cannot_move_its_cursor_is_not_live(name, is_live, monkeypatch) -> None:
    monkeypatch.delenv("TERM", raising=False)
    if name:
        monkeypatch.setenv("TERM", name)
    assert can_be_live(Terminal()) == is_live
    assert not can_be_live(Terminal(is_terminal=False))
