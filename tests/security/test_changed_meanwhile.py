"""A run that another program removes, or partly replaces by links, while it is trained."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.security.conftest import CONFIG, snapshot

from dltool.experiment.finishing import RecordingObserver


def swapped(name: str) -> Callable[[Path, Path], None]:
    """Put a link to a copy outside in place of an entry of the run, or of the run itself."""

    def swap(run: Path, outside: Path) -> None:
        entry, copy = run / name, outside / "copy"
        # A write that has begun ends in the old folder, wherever that is.
        if entry.exists():
            os.rename(entry, run.parent / "moved")
            (shutil.copytree if (run.parent / "moved").is_dir() else shutil.copy)(run.parent / "moved", copy)
        else:
            copy.mkdir()
        entry.symlink_to(copy)

    return swap


def removed(name: str) -> Callable[[Path, Path], None]:
    return lambda run, _: shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()


def evaluation_swapped(run: Path, outside: Path) -> None:
    """A folder that the run has not created yet, with a link in it too."""
    (outside / "test").mkdir()
    (run / "evaluation").mkdir()
    (run / "evaluation/test").symlink_to(outside / "test")


ATTACKS = {
    "the run removed": (removed("."), r"metrics\.jsonl was removed|checkpoints is missing"),
    "checkpoints swapped": (swapped("checkpoints"), "checkpoints is or stands behind a link"),
}
MORE = {
    "checkpoints removed": (removed("checkpoints"), "checkpoints is missing"),
    "metrics removed": (removed("metrics.jsonl"), r"metrics\.jsonl was removed or replaced"),
    "metrics swapped": (swapped("metrics.jsonl"), r"metrics\.jsonl was removed or replaced"),
    "record removed": (removed("run.json"), r"run\.json (in .* was removed|is missing)"),
    "split removed": (removed("split.npz"), r"split\.npz in .* was removed"),
    "config swapped": (swapped("resolved.yaml"), r"resolved\.yaml in .* replaced"),
    "evaluation swapped": (swapped("evaluation"), "evaluation is or stands behind a link"),
    "evaluation of the test swapped": (evaluation_swapped, "test is not a folder"),
    "the run swapped": (swapped("."), "is or stands behind a link|was removed or replaced"),
}


@pytest.fixture
def attacked(tmp_path: Path, dltool, monkeypatch) -> Callable[[Callable[[Path, Path], None]], str]:
    """Train four epochs, with the attack after the first; return the message."""
    run, outside = tmp_path / "runs/example/0001", tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "example.yaml").write_text(
        CONFIG.replace("{arrays: own.npz}", "iris").replace("epochs: 2", "epochs: 4")
    )

    def check(attack: Callable[[Path, Path], None]) -> str:
        epoch_ends, after = RecordingObserver.epoch_ends, []

        def attacking(self, record, is_best) -> None:
            epoch_ends(self, record, is_best)
            if record.epoch == 1:
                attack(run, outside)
                after.append(snapshot(outside))

        monkeypatch.setattr(RecordingObserver, "epoch_ends", attacking)
        outcome = dltool("train", tmp_path / "example.yaml", "--runs", tmp_path / "runs", "--quiet")
        assert outcome.code == 4, outcome.stderr
        assert "Traceback" not in outcome.stderr
        assert outcome.stderr.count("error:") == 1
        assert [snapshot(outside)] == after
        return " ".join(outcome.stderr.split())

    return check


@pytest.mark.parametrize("name", [*ATTACKS, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)])
def test_training_ends_with_one_message_and_touches_nothing_outside(name, attacked, tmp_path) -> None:
    attack, message = (ATTACKS | MORE)[name]
    found = attacked(attack)
    assert re.search(message, found), found
    if name == "the run removed":
        assert os.listdir(tmp_path / "runs/example") == ["latest"]
        assert "kept in" not in found
