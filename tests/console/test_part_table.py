"""The folds of a run on a terminal: a table of those that are complete, and a live row with the time left."""

import pytest
from tests.console.terminals import Clock, Terminal, progress_on
from tests.console.test_progress import FACTS, begin, run_epochs
from tests.small_configs import TINY

from dltool.config.load import build_config, read_document


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
        progress.part_begins(f"fold {fold}", fold, 5)
        progress.stage("building the model")
        progress.prepared(config, FACTS, 225_034)
        run_epochs(progress, clock, [0.5, 0.25], 2)
        progress.tick()
        screens.append(terminal.shown())
        progress.part_ends({"loss": 0.1 / fold, "accuracy": accuracy})
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
    progress.part_ends({"loss": 0.25, "accuracy": 0.9})
    lines = terminal.shown().splitlines()
    assert lines[-1] == "fold 1 (1/2)  loss 0.2500  accuracy 0.9000  8.0 s"
    assert not any(line.startswith("epoch") for line in lines)
