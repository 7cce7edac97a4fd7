import importlib.util
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.small_configs import TINY

import dltool.tracking
from dltool.errors import MachineError
from dltool.runs.directory import create
from dltool.runs.files import MetricsLog, Run
from dltool.tracking import Tracking, refuse_missing_extras


@pytest.fixture
def run(tmp_path: Path) -> Run:
    with create(tmp_path, "mnist", {}, {}) as created, MetricsLog(created) as log:
        log.append({"epoch": 1, "loss": 0.5})
    return created


class Recorder:
    """Keeps what it is sent; `failures` are raised first, one each time it is sent something."""

    def __init__(self, failures: list[Exception]) -> None:
        self.failures = failures
        self.epochs: list[int] = []
        self.status = ""

    def send(self, lines: list[dict[str, Any]]) -> None:
        if lines and self.failures:
            raise self.failures.pop(0)
        self.epochs += [line["epoch"] for line in lines]

    def close(self, status: str) -> None:
        self.status = status


def recorders(monkeypatch: pytest.MonkeyPatch, *failures: Exception) -> list[Recorder]:
    """The trackers that get made, as they are made."""
    made: list[Recorder] = []
    left = list(failures)

    def make(_name: str, _run: Run) -> Recorder:
        made.append(Recorder(left))
        return made[-1]

    monkeypatch.setattr(dltool.tracking, "make_tracker", make)
    return made


def test_a_tracker_gets_every_epoch_once_also_those_before_a_resumption(run, monkeypatch):
    made = recorders(monkeypatch)
    warnings: list[str] = []
    tracking = Tracking(["mlflow"], run, warnings.append)
    for epoch in (2, 3):
        tracking.add({"epoch": epoch})
    tracking.close("completed")
    (tracker,) = made
    assert tracker.epochs == [1, 2, 3]
    assert tracker.status == "completed"
    assert warnings == []


def test_a_failure_is_one_warning_and_everything_is_sent_again(run, monkeypatch):
    made = recorders(monkeypatch, OSError("server gone\nand more"), ValueError("gone"))
    warnings: list[str] = []
    tracking = Tracking(["mlflow"], run, warnings.append)
    while not made or made[0].failures:
        tracking.add({"epoch": 2})
    epochs = [line["epoch"] for line in tracking.couriers[0].lines]
    tracking.close("interrupted")
    assert made[-1].epochs == epochs
    assert made[-1].status == "interrupted"
    # The second failure may come before the first one could be shown.
    assert warnings in (["tracking by mlflow has failed: server gone"], ["tracking by mlflow has failed: gone"])


def test_a_tracker_that_hangs_does_not_keep_the_training_from_ending(run, monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(dltool.tracking, "make_tracker", lambda *_arguments: never.wait())
    monkeypatch.setattr(dltool.tracking, "SECONDS_TO_FINISH", 0.05)
    warnings: list[str] = []
    Tracking(["mlflow"], run, warnings.append).close("completed")
    assert warnings == ["mlflow does not answer: its tracking of this run is not complete"]
    never.set()


def test_a_missing_extra_is_named_with_what_to_install(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "alembic" else found(name))
    with pytest.raises(MachineError, match="track: mlflow needs a package that is not installed") as caught:
        refuse_missing_extras(["mlflow"])
    assert caught.value.problems[0].hint.endswith('pip install "alembic>=1.16" "mlflow-skinny>=3.4" "sqlalchemy>=2.0"')
    refuse_missing_extras([])


def test_a_missing_extra_ends_a_training_before_anything_is_written(dltool, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    (tmp_path / "example.yaml").write_text(TINY + "track: [tensorboard]\n", encoding="utf-8")
    outcome = dltool("train", tmp_path / "example.yaml", "--runs", tmp_path / "runs")
    assert outcome.code == 5
    assert "tensorboard needs a package that is not installed" in outcome.stderr
    assert os.listdir(tmp_path) == ["example.yaml"]


def test_another_tracker_is_a_mistake_in_the_config(dltool, tmp_path):
    (tmp_path / "example.yaml").write_text(TINY + "track: [tensorbord]\n", encoding="utf-8")
    outcome = dltool("check", tmp_path / "example.yaml")
    assert outcome.code == 2
    assert 'did you mean "tensorboard"?' in outcome.stderr


@pytest.mark.slow
def test_tracking_changes_no_bit_of_a_training_and_neither_does_its_failure(dltool, tmp_path, monkeypatch):
    weights = []
    for track, fails in (("[]", False), ("[tensorboard]", False), ("[mlflow]", True)):
        if fails:
            recorders(monkeypatch, *[OSError("gone")] * 100)
            # MLflow itself is not needed for it.
            monkeypatch.setattr("dltool.tracking.NEEDED", {"mlflow": ()})
        (tmp_path / "example.yaml").write_text(f"{TINY}track: {track}\n", encoding="utf-8")
        outcome = dltool("train", tmp_path / "example.yaml", "--runs", tmp_path / "runs")
        assert outcome.code == 0
        assert ("warning: tracking by mlflow has failed: gone" in outcome.stderr) == fails
        run = max((tmp_path / "runs").glob("*/[0-9]*"))
        weights.append((run / "checkpoints" / "best.weights.h5").read_bytes())
    assert weights[0] == weights[1] == weights[2]


@pytest.mark.slow
def test_a_smoke_test_and_a_reproduction_are_not_tracked(dltool, tmp_path, monkeypatch):
    made = recorders(monkeypatch)
    (tmp_path / "example.yaml").write_text(f"{TINY}track: [tensorboard]\n", encoding="utf-8")
    assert dltool("train", tmp_path / "example.yaml", "--smoke").code == 0
    assert made == []
    assert dltool("train", tmp_path / "example.yaml", "--runs", tmp_path / "runs").code == 0
    assert len(made) == 1
    assert dltool("reproduce", next((tmp_path / "runs").glob("*/0001"))).code == 0
    assert len(made) == 1
