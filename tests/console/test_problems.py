"""Problems on a terminal: the carets stand below what they mean, however long the line is."""

import sys
from pathlib import Path

import pytest
from rich.cells import cell_len
from tests.console.terminals import Terminal

from dltool.config.load import read_document
from dltool.console.results import show_error
from dltool.errors import ConfigError, Position, Problem

LINE = "layers: [" + ", ".join(f"Dense: {number}" for number in range(40)) + "]"


def shown(line: str, part: str, monkeypatch: pytest.MonkeyPatch, folder: Path, columns: int = 60) -> list[str]:
    """Return what a terminal shows of a problem at `part` of `line`: the line, and its carets."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    Path("a.yaml").write_text(line, encoding="utf-8")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal(columns))
    place = Position("a.yaml", 1, 1 + line.index(part), len(part))
    show_error(ConfigError(Problem(place, "is wrong")), read_document(Path("a.yaml")), False)
    return terminal.shown().splitlines()[1:3]


@pytest.mark.parametrize(
    "part", ["layers", "Dense: 1,", "Dense: 20", "Dense: 39", "]", ", ".join(["Dense: 7", "Dense: 8"])]
)
def test_a_long_line_is_cut_around_its_carets(part, monkeypatch, tmp_path) -> None:
    line, carets = shown(LINE, part, monkeypatch, tmp_path)
    assert len(line) <= 60
    start = carets.index("^")
    assert line[start : start + len(part)] == part
    assert carets.count("^") == len(part)
    assert line.startswith("    1 | …") == (part not in ("layers", "Dense: 1,"))
    assert line.endswith("…") == (part not in ("Dense: 39", "]"))


def test_a_part_wider_than_the_terminal_is_cut(monkeypatch, tmp_path) -> None:
    line, carets = shown(LINE, LINE[9:-1], monkeypatch, tmp_path)
    assert carets.index("^") == line.index("Dense: 0")
    assert len(carets) == len(line) == 60


def test_wide_characters_and_tabs_move_no_caret(monkeypatch, tmp_path) -> None:
    line, carets = shown('a: [漢字, "b\tc", wrong]', "wrong", monkeypatch, tmp_path)
    before = line[: line.index("wrong")]
    assert cell_len(before) == carets.index("^")
