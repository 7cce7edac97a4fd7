import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from dltool.runs.directory import create
from dltool.runs.files import Run


def created(runs: Path, name: str = "mnist", status="completed", accuracy: float | None = None) -> Run:
    with create(runs, name, {}, {"checkpoints/0000000010.ckpt": b"x" * 1000}) as run:
        run.best_weights.write_bytes(b"y")
    if accuracy is not None:
        run.write_json(run.results, {"test": {"accuracy": accuracy}, "epochs": 1})
    run.update(status)
    return run


def left(runs: Path) -> list[str]:
    return sorted(str(path.relative_to(runs)) for path in runs.glob("*/[0-9]*"))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for accuracy in (0.7, 0.9, 0.8):
        created(tmp_path, accuracy=accuracy)
    created(tmp_path, status="failed")
    created(tmp_path, "iris", accuracy=0.95)
    return tmp_path


def test_runs_are_removed_and_the_freed_space_is_said(dltool, runs):
    outcome = dltool("runs", "remove", runs / "mnist/0001", runs / "iris/0001", "--yes", "--json")
    found = json.loads(outcome.stdout)
    assert [Path(each["run"]).parent.name for each in found["removed"]] == ["mnist", "iris"]
    assert found["bytes"] > 2000
    assert left(runs) == ["mnist/0002", "mnist/0003", "mnist/0004"]


def test_where_one_cannot_be_removed_none_is(dltool, runs):
    outcome = dltool("runs", "remove", runs / "mnist/0001", runs / "mnist/0009", "--yes")
    assert (outcome.code, outcome.stdout) == (4, "")
    assert "0009 does not exist" in outcome.stderr
    assert len(left(runs)) == 5


def test_without_a_terminal_a_removal_needs_yes(dltool, runs):
    outcome = dltool("runs", "remove", runs / "mnist/0001")
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "requires confirmation\n  --yes skips it" in outcome.stderr
    assert len(left(runs)) == 5


@pytest.mark.parametrize(("answer", "remaining"), [("y\n", 4), ("n\n", 5), ("\n", 5)])
def test_on_a_terminal_it_asks_first(runs, answer, remaining):
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    command = [sys.executable, "-m", "dltool", "runs", "remove", str(runs / "mnist/0001")]
    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, timeout=60, check=True)
    assert "remove 1 run (" in done.stderr + done.stdout
    assert len(left(runs)) == remaining


@pytest.mark.parametrize(
    ("arguments", "remaining"),
    [
        (["--keep", "2"], ["iris/0001", "mnist/0003", "mnist/0004"]),
        (["--keep", "1", "--sort", "accuracy:desc"], ["iris/0001", "mnist/0002"]),
        (["--filter", "status=failed"], ["iris/0001", "mnist/0001", "mnist/0002", "mnist/0003"]),
        (["--filter", "name=mnist", "--keep", "0"], ["iris/0001"]),
        (
            ["--filter", "accuracy<0.85", "--keep", "1"],
            ["iris/0001", "mnist/0002", "mnist/0003", "mnist/0004"],
        ),
    ],
)
def test_of_each_name_the_first_runs_are_kept(dltool, runs, arguments, remaining):
    planned = dltool("runs", "prune", "--runs", runs, *arguments, "--dry-run")
    assert planned.code == 0
    assert "nothing was removed" in planned.stdout
    assert len(left(runs)) == 5
    assert dltool("runs", "prune", "--runs", runs, *arguments, "--yes").code == 0
    assert left(runs) == remaining


def test_a_running_run_is_never_pruned(dltool, runs):
    with create(runs, "mnist", {}, {}):
        assert dltool("runs", "prune", "--runs", runs, "--keep", "0", "--yes").code == 0
        assert left(runs) == ["mnist/0005"]


def test_prune_wants_to_know_what_is_to_stay(dltool, runs):
    outcome = dltool("runs", "prune", "--runs", runs, "--yes")
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "no runs are selected for removal" in outcome.stderr
    assert len(left(runs)) == 5


def test_checkpoints_of_completed_runs_go_and_the_best_weights_stay(dltool, runs):
    outcome = dltool("runs", "prune", "--runs", runs, "--checkpoints", "--keep", "1", "--yes")
    assert outcome.code == 0
    checkpoints = sorted(str(path.relative_to(runs).parent.parent) for path in runs.rglob("*.ckpt"))
    assert checkpoints == ["iris/0001", "mnist/0003", "mnist/0004"]
    assert len(list(runs.rglob("best.weights.h5"))) == 5
    assert outcome.stdout.endswith("2 runs: 2.0 KB freed\n")
