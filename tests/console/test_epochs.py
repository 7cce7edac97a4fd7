from dataclasses import replace

import pytest
from rich.cells import cell_len
from tests.console.terminals import epoch

from dltool.console.epochs import EpochTable, RunningEpoch, labelled
from dltool.console.glyphs import UNICODE


def test_a_line_of_its_own_names_every_number() -> None:
    assert labelled(epoch(3), True, 10) == (
        "epoch  3/10  loss 0.5000  accuracy 0.5000  val_loss 0.5100  val_accuracy 0.4900  4.0 s  best so far"
    )


def test_rows_stand_under_their_header() -> None:
    table = EpochTable("val_accuracy")
    header, first = table.lines(epoch(1), True, 10, 100)
    (second,) = table.lines(epoch(2), False, 10, 100)
    assert header == " epoch    loss  accuracy  val_loss  val_accuracy  learning rate    time"
    assert first == "  1/10  0.5000    0.5000    0.5100        0.4900          0.001   4.0 s  best"
    assert second == "  2/10  0.5000    0.5000    0.5100        0.4900          0.001   4.0 s"


@pytest.mark.parametrize(
    ("room", "columns"),
    [
        (70, "epoch loss accuracy val_loss val_accuracy time"),
        (55, "epoch loss val_loss val_accuracy time"),
        (38, "epoch val_loss val_accuracy"),
        (30, "epoch val_accuracy"),
        (10, "epoch"),
    ],
)
def test_columns_are_left_out_where_there_is_no_room_the_monitored_one_last(room, columns) -> None:
    header, _ = EpochTable("val_accuracy").lines(epoch(1), True, 10, room)
    assert " ".join(header.split()) == columns


@pytest.mark.parametrize("room", range(1, 201, 7))
def test_no_row_is_wider_than_the_terminal(room) -> None:
    wide = replace(epoch(1), logs={f"output_{n}_a_rather_long_name_of_a_metric": -1.5e-9 for n in range(9)})
    if room > 10:
        assert all(cell_len(line) <= room for line in EpochTable("val_loss").lines(wide, True, 99, room))


def test_the_header_comes_again_when_a_value_needs_more_room_or_the_window_changes() -> None:
    table = EpochTable("loss")
    assert len(table.lines(epoch(1), False, 9, 100)) == 2
    assert len(table.lines(epoch(2), False, 9, 100)) == 1
    assert len(table.lines(epoch(3, 12345678.0), False, 9, 100)) == 2
    assert len(table.lines(epoch(4), False, 9, 100)) == 1
    assert len(table.lines(epoch(5), False, 9, 40)) == 2


def test_a_metric_that_is_the_loss_has_one_column_whose_decimals_stay() -> None:
    table = EpochTable("val_loss")

    def shown(loss: float, metric: float) -> list[str]:
        logs = {"loss": loss, "mse": metric, "val_loss": loss / 2, "val_mse": metric / 2}
        return [" ".join(line.split()) for line in table.lines(replace(epoch(1), logs=logs), False, 9, 100)]

    assert shown(1200.0, 1200.0) == ["epoch loss val_loss learning rate time", "1/9 1,200 600 0.001 4.0 s"]
    assert shown(44.123, 44.123) == ["1/9 44 22 0.001 4.0 s"]
    assert shown(44.0, 30.0)[0] == "epoch loss mse val_loss val_mse learning rate time"
    line = replace(epoch(1), logs={"loss": 1.5, "mse": 1.5})
    assert labelled(line, False, 9, "val_mse") == "epoch 1/9  mse 1.5000  4.0 s"


def test_hostile_names_of_metrics_are_escaped() -> None:
    header, _ = EpochTable("loss").lines(replace(epoch(1), logs={"\x1b[31m": 1.0}), False, 9, 100)
    assert "\x1b" not in header


def running(**changes) -> RunningEpoch:
    return replace(RunningEpoch(3, 10, 100, 6400, began=100.0), **changes)


def test_the_rate_leaves_out_what_came_before_the_first_report() -> None:
    row = running()
    row.reached(10, {}, 130.0)
    assert row.steps_per_second() is None
    row.reached(30, {}, 132.0)
    assert row.steps_per_second() == 10
    assert row.line(99, UNICODE, 132.0) == (
        "epoch  3/10  ━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌   30 %  7.0 s left  640 examples/s  30/100 steps"
    )


def test_the_time_that_is_left_passes_while_a_call_runs() -> None:
    row = running(first=(10, 130.0), last=(30, 132.0), step=30)
    assert "4.0 s left" in row.line(99, UNICODE, 135.0)
    assert "0.0 s left" in row.line(99, UNICODE, 999.0)


def test_with_an_epoch_behind_it_is_known_how_long_the_training_takes_at_most() -> None:
    row = running(first=(10, 130.0), last=(30, 132.0), step=30, last_seconds=10.0)
    assert "training at most 1 min 17 s" in row.line(150, UNICODE, 132.0)


def test_in_validation_the_row_says_so() -> None:
    assert running(is_validating=True).line(80, UNICODE, 103.0) == "epoch  3/10  validating, 3.0 s"
    assert running(is_validating=True).doing() == "epoch 3/10, validating"
    assert running(step=7).doing() == "epoch 3/10, step 7 of 100"
