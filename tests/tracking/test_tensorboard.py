from pathlib import Path

import pytest

from dltool.runs.directory import create
from dltool.runs.files import Run
from dltool.tracking.tensorboard import TensorBoardTracker

event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

LINES = [
    {"epoch": 1, "loss": 0.5, "val_loss": 0.6, "learning_rate": 0.01, "seconds": 2.0},
    {"epoch": 2, "loss": 0.25, "val_loss": None, "learning_rate": 0.005, "seconds": 1.0},
    {"epoch": 3, "loss": 0.125, "val_loss": 0.3, "learning_rate": 0.005, "seconds": 1.0},
]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    with create(tmp_path, "mnist", {"started": "1970-01-01T00:16:40+0000"}, {}) as created:
        return created


def scalars(run: Run, part: str) -> dict[str, list[tuple[int, float, float]]]:
    """By tag: step, value and moment, as TensorBoard itself reads them."""
    read = event_accumulator.EventAccumulator(str(run.tensorboard / part), size_guidance={"tensors": 0})
    read.Reload()
    found = {}
    for tag in read.Tags()["tensors"]:
        events = read.Tensors(tag)
        found[tag] = [(event.step, event.tensor_proto.float_val[0], event.wall_time) for event in events]
    return found


def test_tensorboard_reads_training_and_validation_by_epoch(run):
    tracker = TensorBoardTracker(run)
    tracker.send(LINES[:2])
    tracker.send(LINES[2:])
    tracker.close("completed")
    train = scalars(run, "train")
    assert set(train) == {"epoch_loss", "epoch_learning_rate", "epoch_seconds"}
    assert train["epoch_loss"] == [(1, 0.5, 1002.0), (2, 0.25, 1003.0), (3, 0.125, 1004.0)]
    # What was not a number is left out.
    assert [step for step, _, _ in scalars(run, "validation")["epoch_loss"]] == [1, 3]


def test_after_a_resumption_each_epoch_is_there_once(run):
    killed = TensorBoardTracker(run)
    killed.send(LINES)
    resumed = TensorBoardTracker(run)
    resumed.send(LINES[:1])
    resumed.send(LINES[1:])
    resumed.close("completed")
    assert [step for step, _, _ in scalars(run, "train")["epoch_loss"]] == [1, 2, 3]
