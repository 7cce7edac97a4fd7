"""Folds and seeds that workers of a cluster train: each has the bits that one process gives it."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.worker_runs import workers

from dltool.config.cluster import Cluster
from dltool.errors import Interrupted, MachineError, WorkerLost
from dltool.experiment.following import followed
from dltool.experiment.joining import LOST, stopped_when_lost
from dltool.experiment.signals import StopNow, StopRequests
from dltool.experiment.silent import Silent
from dltool.experiment.stages import Stages
from dltool.folds.part_runs import TrainedParts
from dltool.meeting import Meeting
from dltool.runs.directory import create, open_run
from dltool.runs.files import Run

CONFIG = """
name: folds
seed: 7
data:
  source: iris
  split: {folds: 3, validation: 0.15}
model:
  layers:
    - Dense: {units: 8, activation: relu}
    - Dropout: 0.25
    - Dense: {units: $classes, activation: softmax}
training:
  {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], batch_size: 16, epochs: 3, threads: 1}
"""


class Rows(Silent):
    """Keeps the names of the parts that were reported."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def part_begins(self, words: str, number: int, count: int) -> None:
        self.begun.append(words)


def meeting_of_rank(rank: int, size: int = 3) -> Meeting:
    meeting = Meeting(Cluster(tuple(f"a:{port}" for port in range(1, size + 1)), rank), {})
    meeting.is_over = True
    return meeting


@pytest.fixture
def run(tmp_path: Path) -> Run:
    parts = {f"folds/{number}": {"words": f"fold {number}", "config": ""} for number in range(1, 6)}
    with create(tmp_path, "x", {}, {"parts.json": json.dumps(parts).encode()}) as run:
        for number in range(1, 6):
            (run.path / "folds" / str(number)).mkdir(parents=True)
            (run.path / "folds" / str(number) / "results.json").write_text("{}")
    return run


@pytest.mark.parametrize(("rank", "own"), [(0, [3]), (1, [1, 4]), (2, [2, 5])])
def test_each_worker_has_parts_of_its_own(run: Run, rank: int, own: list[int]):
    rows, parts = Rows(), TrainedParts(meeting=meeting_of_rank(rank))
    assert [part.words for part in parts.announced(run, Stages(rows), are_own=True)] == [f"fold {n}" for n in own]
    others = [part.words for part in parts.announced(run, Stages(rows), are_own=False)]
    assert rows.begun == [f"fold {n}" for n in own] + others
    assert len(rows.begun) == 5


def test_a_process_alone_has_all_parts(run: Run):
    assert len([*TrainedParts().announced(run, Stages(Rows()), are_own=True)]) == 5


def test_a_worker_that_does_not_see_the_run_says_so(tmp_path: Path):
    meeting: Any = meeting_of_rank(1)
    meeting.of_chief = lambda told: (str(tmp_path / "elsewhere"), b"")
    with pytest.raises(MachineError, match="worker 1 of 3 does not see"):
        TrainedParts(meeting=meeting).follow(None, Stages(Rows()))  # type: ignore[arg-type]


def losing(reason: str, stops: StopRequests, error: BaseException, *signals: int) -> None:
    """Lose a worker while this one trains, which then ends with the error."""
    meeting = meeting_of_rank(0)
    meeting.is_over = False
    try:
        with stopped_when_lost(meeting, stops):
            meeting.lose(reason)
            stops.received += signals
            raise error
    finally:
        meeting.is_over = True


@pytest.mark.parametrize("error", [StopNow(LOST), Interrupted("stopped in epoch 2", LOST), WorkerLost("x")])
def test_a_lost_worker_stops_the_trainings_of_the_others(error: BaseException):
    stops = StopRequests()
    with pytest.raises(WorkerLost, match="worker 2 of 3 was lost"):
        losing("worker 2 of 3 was lost", stops, error)
    assert stops.asked() == LOST


def test_a_signal_to_all_workers_stays_a_signal():
    with pytest.raises(StopNow):
        losing("worker 2 of 3 ended: stopped", StopRequests(), StopNow(15), 15)


def test_a_worker_that_is_stopped_names_no_run_to_resume():
    class Stopped:
        def follow(self, *_: object) -> None:
            stop = StopNow(15)
            stop.kept, stop.can_resume = "runs/x/0001/folds/1", True
            raise stop

    with pytest.raises(StopNow) as caught:
        followed(None, Stopped(), Stages(Silent()), meeting_of_rank(1))  # type: ignore[arg-type]
    assert (caught.value.kept, caught.value.can_resume) == ("the run of worker 0", False)


def test_workers_create_parts_at_the_same_time(run: Run):
    def creating(name: str) -> Any:
        return create(run.path, "x", {}, {"parts.json": b"{}"}, run.path / "seeds" / name)

    (run.path / "seeds" / ".new-2" / ".new-other").mkdir(parents=True)
    with creating("1"):
        assert (run.path / "seeds" / ".new-2" / ".new-other").is_dir()
    with creating("2"):
        assert sorted(os.listdir(run.path / "seeds")) == ["1", "2"]


def results_of(run: Run) -> Iterator[Any]:
    """Yield what must be the same in runs of any number of workers."""
    for each in (run, *run.parts):
        found = each.read_json(each.results)
        yield {name: value for name, value in found.items() if name not in ("seconds", "cost")}
        yield [{**line, "seconds": 0} for line in each.read_metrics()]
        yield each.best_weights.read_bytes()


def trained(arguments: Sequence[str], size: int, **events: Any) -> list[int]:
    ended = workers([*arguments], size=size, **events)
    assert all("Traceback" not in each.output for each in ended), ended
    return [each.code for each in ended]


@pytest.mark.slow
def test_a_killed_worker_ends_all_and_finished_folds_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folds.yaml").write_text(CONFIG, encoding="utf-8")
    assert trained(["train", "folds.yaml"], 1) == [0]
    expected = [*results_of(open_run(Path("runs/folds/0001")))]
    # Its second fold.
    killed = workers(["train", "folds.yaml", "--name", "killed"], {1: ("SIGKILL", 30)})
    assert [each.code for each in killed] == [8, -9]
    assert "worker 1 of 2 was lost" in killed[0].output
    assert "next  dltool resume runs/killed/0001" in killed[0].output
    run = open_run(Path("runs/killed/0001"))
    first, third = run.parts[0], run.parts[-1]
    assert first.is_complete()
    assert not third.is_complete()
    before = first.results.stat().st_mtime_ns
    assert trained(["resume", "runs/killed/0001"], 2) == [0, 0]
    assert first.results.stat().st_mtime_ns == before
    assert [*results_of(run)] == expected
