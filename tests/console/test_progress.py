"""The progress of a training, on terminals of all widths and where there is none."""

import io
import re

import pytest
from tests.console.terminals import Clock, Terminal, epoch, progress_on
from tests.small_configs import TINY

from dltool.config.load import build_config, read_document
from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.console.capture import Capture
from dltool.console.progress import MOST_FAST_ROWS, TrainingProgress
from dltool.data.facts import Facts, InputFacts
from dltool.runs.files import Run


@pytest.fixture(autouse=True)
def a_terminal(monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def config(tmp_path) -> Config:
    (tmp_path / "example.yaml").write_text(TINY, encoding="utf-8")
    return build_config(read_document(tmp_path / "example.yaml"))


FACTS = Facts(
    inputs={"image": InputFacts((28, 28, 1), "uint8")},
    targets={"target": TargetFacts("category", class_names=tuple("0123456789"))},
    examples=54_000,
    validation_examples=6_000,
    test_examples=10_000,
)


def begin(progress: TrainingProgress, config: Config) -> None:
    progress.prepared(config, FACTS, 225_034, ["overridden by --set training.epochs=3"])
    progress.capture.write("run runs/example/0001")


def run_epochs(progress: TrainingProgress, clock: Clock, values: list[float], epochs: int) -> None:
    for number, value in enumerate(values, 1):
        progress.epoch_begins(number, epochs, 422)
        clock.now += 1
        progress.steps_done(40, {"loss": value, "accuracy": 1 - value})
        clock.now += 2
        progress.steps_done(422, {"loss": value, "accuracy": 1 - value})
        progress.validation_begins()
        clock.now += 1
        progress.epoch_ends(epoch(number, value), is_best=value == min(values[:number]))


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_what_a_terminal_shows_while_an_epoch_runs(columns, config, golden, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    terminal, clock = Terminal(columns), Clock()
    progress = progress_on(terminal, clock)
    progress.stage("reading the data")
    clock.now += 1.5
    progress.tick()
    screens = [terminal.shown()]
    begin(progress, config)
    run_epochs(progress, clock, [0.5, 0.25, 0.3], 12)
    progress.epoch_begins(4, 12, 422)
    clock.now += 1
    progress.steps_done(42, {"loss": 0.21, "accuracy": 0.93})
    clock.now += 1
    progress.steps_done(211, {"loss": 0.2, "accuracy": 0.94})
    progress.tick()
    screens.append(terminal.shown())
    progress.warn("something that need not stop a training, but which its user should certainly know about")
    progress.validation_begins()
    progress.tick()
    screens.append(terminal.shown())
    progress.epoch_ends(epoch(4, 0.2), is_best=True)
    progress.stage("testing")
    screens.append(terminal.shown())
    with progress:
        pass
    screens.append(terminal.shown())
    assert all(len(line) <= columns for screen in screens for line in screen.splitlines())
    golden(f"console/training-{columns}", f"{'-' * columns}\n".join(screens))


def test_a_training_that_goes_on_knows_the_epochs_before(config) -> None:
    terminal, clock = Terminal(80), Clock()
    progress = progress_on(terminal, clock)
    begin(progress, config)
    progress.run_resumed([epoch(1, 0.5), epoch(2, 0.1), epoch(3, 0.3)], 2)
    progress.epoch_begins(4, 4, 422)
    progress.epoch_ends(epoch(4, 0.2), is_best=False)
    progress.stage("testing")
    shown = terminal.shown()
    assert "resumes after epoch 3; val_loss best 0.1100" in shown
    assert "█▁▅▃  now 0.2100  best 0.1100 in epoch 2" in shown


@pytest.mark.parametrize("encoding", ["cp437", "cp1252", "ascii"])
def test_an_old_encoding_gets_bars_and_sparks_of_ascii(encoding, config) -> None:
    terminal, clock = Terminal(encoding=encoding), Clock()
    progress = progress_on(terminal, clock)
    run_epochs(progress, clock, [0.5, 0.25, 0.3], 12)
    progress.epoch_begins(4, 12, 422)
    progress.tick()
    assert terminal.shown().isascii()
    assert "....." in terminal.shown()
    assert "#_" in terminal.shown()


def test_where_there_is_no_terminal_every_line_is_plain_and_names_its_numbers(config, golden) -> None:
    terminal, clock, log = Terminal(200, is_terminal=False), Clock(), io.StringIO()
    progress = progress_on(terminal, clock, log)
    progress.stage("reading the data")
    begin(progress, config)
    run_epochs(progress, clock, [0.5, 0.25, 0.3], 3)
    progress.warn("hm")
    progress.stage("testing")
    with progress:
        pass
    assert not re.search(r"[\x1b\r]", terminal.getvalue())
    golden("console/training-piped", terminal.getvalue())
    assert [line for line in terminal.getvalue().splitlines() if line not in log.getvalue()] == []


def test_a_log_has_a_sign_of_life_every_minute_whatever_goes_on() -> None:
    terminal, clock = Terminal(is_terminal=False), Clock()
    progress = progress_on(terminal, clock)

    def wait() -> str:
        begin = len(terminal.getvalue())
        for _ in range(60):
            clock.now += 1
            progress.tick()
        return terminal.getvalue()[begin:]

    assert wait() == "starting (55.0 s so far)\n"
    progress.stage("reading the data")
    assert wait() == "reading the data (50.0 s so far)\n"
    progress.epoch_begins(2, 5, 100)
    progress.steps_done(40, {"loss": 1.0})
    assert wait() == "epoch 2/5, step 40 of 100 (45.0 s so far)\n"
    progress.validation_begins()
    assert wait() == "epoch 2/5, validating (1 min 40 s so far)\n"
    progress.stage("testing")
    assert wait() == "testing (35.0 s so far)\n"


def test_a_log_that_says_enough_has_no_signs_of_life() -> None:
    terminal, clock = Terminal(is_terminal=False), Clock()
    progress = progress_on(terminal, clock)
    for number in range(1, 9):
        run_epochs(progress, clock, [0.5] * number, 8)
        progress.tick()
    assert "so far)" not in terminal.getvalue()


def test_the_thread_draws_without_being_asked() -> None:
    terminal = Terminal()
    with TrainingProgress(Capture(terminal, io.StringIO())) as progress:
        progress.stage("reading the data")
        drawn = len(terminal.getvalue())
        while len(terminal.getvalue()) == drawn and progress.thread.is_alive():
            progress.ended.wait(0.01)
        assert len(terminal.getvalue()) > drawn
    assert not progress.thread.is_alive()
    assert terminal.shown() == "\n"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_many_fast_epochs_do_not_flood_the_screen_and_the_log_has_all(is_terminal) -> None:
    terminal, clock, log = Terminal(is_terminal=is_terminal), Clock(), io.StringIO()
    progress = progress_on(terminal, clock, log)
    for number in range(1, 10_001):
        progress.epoch_begins(number, 20_000, 10)
        clock.now += 0.01
        progress.epoch_ends(epoch(number, seconds=0.01), is_best=number == 1)
    with progress:
        pass
    rows = re.findall(r"^(?:epoch)? *(\d+)/20000", terminal.getvalue(), re.MULTILINE)
    # Each of the first ones, about one a second, and the last one.
    assert MOST_FAST_ROWS + 90 <= len(rows) <= MOST_FAST_ROWS + 101
    assert rows[-1] == "10000"
    assert "log.txt has all" in terminal.getvalue()
    assert log.getvalue().count("\n") == 10_000


def test_quiet_shows_warnings_alone() -> None:
    terminal, log = Terminal(), io.StringIO()
    with TrainingProgress(Capture(terminal, log), quiet=True) as progress:
        progress.stage("reading the data")
        run_epochs(progress, Clock(), [0.5, 0.4], 2)
        progress.warn("hm")
    assert terminal.getvalue() == "warning: hm\n"
    assert "epoch 2/2" in log.getvalue()


def test_text_of_data_cannot_steer_the_terminal(config, tmp_path) -> None:
    terminal = Terminal()
    progress = progress_on(terminal, Clock())
    progress.warn("\x1b[2J[/foo]\r")
    assert terminal.shown() == "warning: \\x1b[2J[/foo]\\x0d\n"


def test_a_long_path_is_not_broken(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    terminal, path = Terminal(40), "runs/" + "a-long-name/" * 4 + "0001"
    progress_on(terminal, Clock()).say(f"run {path}")
    assert path in terminal.getvalue()
    assert Run(tmp_path / path).number == "0001"
