"""The folds of a run on a terminal: a table of those that are complete, and a live row with the time left."""

import pytest
from tests.console.terminals import Clock, Terminal, progress_on
from tests.console.test_progress import FACTS, begin, run_epochs
from tests.small_configs import TINY

from dltool.config.load import build_config, read_document
from dltool.console.part_table import PartTable


@pytest.mark.parametrize("columns", [40, 100])
def test_folds_are_rows_and_the_one_in_progress_is_live(columns, tmp_path, golden, monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    (tmp_path / "example.yaml").write_text(TINY, encoding="utf-8")
    config = build_config(read_document(tmp_path / "example.yaml"))
    terminal, clock = Terminal(columns), Clock()
    progress = progress_on(terminal, clock)
    begin(progress, config)
    run_epochs(progress, clock, [0.5, 0.25], 2)
    progress.stage("testing")
    screens = []
    for fold, accuracy in ((1, 0.98214), (2, 1.0)):
        began = clock.now
        progress.part_begins(f"fold {fold}", fold, 5)
        progress.stage("building the model")
        progress.prepared(config, FACTS, 225_034)
        run_epochs(progress, clock, [0.5, 0.25], 2)
        progress.tick()
        screens.append(terminal.shown())
        progress.part_ends({"loss": 0.1 / fold, "accuracy": accuracy}, clock.now - began)
    progress.part_begins("fold 3", 3, 5)
    progress.warn("1 value is new")
    clock.now += 2
    progress.tick()
    screens.append(terminal.shown())
    with progress:
        pass
    screens.append(terminal.shown())
    assert all(len(line) <= columns for screen in screens for line in screen.splitlines())
    golden(f"console/folds-{columns}", f"{'-' * columns}\n".join(screens))


def test_without_a_terminal_each_fold_is_a_line(tmp_path) -> None:
    (tmp_path / "example.yaml").write_text(TINY, encoding="utf-8")
    config = build_config(read_document(tmp_path / "example.yaml"))
    terminal, clock = Terminal(80, is_terminal=False), Clock()
    progress = progress_on(terminal, clock)
    begin(progress, config)
    progress.part_begins("fold 1", 1, 2)
    run_epochs(progress, clock, [0.5, 0.25], 2)
    progress.part_ends({"loss": 0.25, "accuracy": 0.9}, 8.0)
    lines = terminal.shown().splitlines()
    assert lines[-1] == "fold 1 (1/2)  loss 0.2500  accuracy 0.9000  8.0 s"
    assert not any(line.startswith("epoch") for line in lines)


def test_a_warning_of_every_fold_is_on_the_screen_once_and_in_the_log_for_each(tmp_path) -> None:
    terminal, clock = Terminal(120, is_terminal=False), Clock()
    progress = progress_on(terminal, clock)
    repeated = "{} of 64 training examples repeat an earlier one"
    tested = "{0} of 40 test examples are also training examples: row {0} is row 5"
    progress.warn(repeated.format("1,024"))
    for fold in (1, 2):
        progress.part_begins(f"fold {fold}", fold, 2)
        progress.warn(repeated.format(fold))
        progress.warn(tested.format(fold))
        progress.part_ends({"loss": 0.25}, 1.0)
    shown = [line for line in terminal.shown().splitlines() if "warning" in line]
    assert shown == [f"warning: {repeated.format('1,024')}", f"warning: fold 1: {tested.format(1)}"]
    progress.capture.file.seek(0)
    assert progress.capture.file.read().count("warning: fold 2: ") == 2


def test_the_time_left_is_that_of_the_parts_of_this_worker() -> None:
    table = PartTable("fold 2", 2, 6, 0.0)
    table.ends({"loss": 0.25}, 10.0, None)
    table.begins("fold 4", 4, 20.0)
    # The rest of fold 4, and fold 6.
    assert table.left(25.0) == "about 15.0 s left for all 6"
