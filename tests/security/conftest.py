"""A small trained run that somebody else has changed, and a folder beside it that nothing may touch."""

import json
import resource
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.in_process import command
from tests.small_configs import TINY

from dltool.config.load import read_recorded
from dltool.config.text.dump import dump_yaml
from dltool.runs.checkpoint_file import newest_checkpoint, write_checkpoint
from dltool.runs.files import digest

CONFIG = TINY.replace("source: iris", "source: {arrays: own.npz}").replace(
    "  batch_size", "  callbacks: [{EarlyStopping: {patience: 5, restore_best_weights: true}}]\n  batch_size"
)
MEMORY = 3 * 2**30
SECONDS = 60


@dataclass(frozen=True)
class Attack:
    """A run directory to be changed, and what is outside it."""

    run: Path
    outside: Path

    @property
    def newest(self) -> Path:
        return max((self.run / "checkpoints").glob("*.ckpt"))

    def record(self, **changes: object) -> None:
        file = self.run / "run.json"
        file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **changes}), "utf-8")

    def config(self, change: Callable[[str], str]) -> None:
        """Change resolved.yaml, and the record with it, as an attacker would."""
        file = self.run / "resolved.yaml"
        before = file.read_text("utf-8")
        after = change(before)
        assert after != before
        file.write_text(after, "utf-8")
        self.record(resolved=after)

    def fitted(self, name: str, content: bytes) -> None:
        """Change a file of the preprocessing, and the record with it."""
        file = self.run / "preprocessing" / name
        file.write_bytes(content)
        known = json.loads((self.run / "run.json").read_text("utf-8"))["preprocessing"]
        self.record(preprocessing={**known, name: digest(content)})

    def state(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the state in every checkpoint, checksums included."""
        folder = self.run / "checkpoints"
        checkpoint, _ = newest_checkpoint(folder)
        state = json.loads(json.dumps(checkpoint.state))
        change(state)
        for file in folder.glob("*.ckpt"):
            file.unlink()
        write_checkpoint(folder, checkpoint.step, checkpoint.arrays, state)


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A run that was stopped just before its test; never to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    random = np.random.default_rng(0)
    np.savez(folder / "own.npz", x=random.random((150, 4), "float32"), y=random.integers(0, 3, 150))
    (folder / "example.yaml").write_text(CONFIG, encoding="utf-8")
    assert command("train", folder / "example.yaml", "--runs", folder / "runs", "--quiet") == 0
    run = folder / "runs/example/0001"
    (run / "results.json").unlink()
    record = json.loads((run / "run.json").read_text("utf-8"))
    (run / "run.json").write_text(json.dumps({**record, "status": "interrupted"}), "utf-8")
    shutil.rmtree(run / "evaluation/test")
    (run / "evaluation/test").mkdir()
    return run


@pytest.fixture
def attack(trained: Path, tmp_path: Path) -> Attack:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary.txt").write_text("untouched\n")
    (outside / "folder").mkdir()
    run = tmp_path / "runs/example/0001"
    shutil.copytree(trained, run)
    return Attack(run, outside)


@pytest.fixture
def refused(attack: Attack, trained: Path, dltool) -> Callable[..., str]:
    """Run a command, which must give up with a plain message, soon, in little memory, nothing outside touched."""

    def check(command: str, *, code: int = 4) -> str:
        before = snapshot(attack.outside)
        with limits():
            outcome = dltool(command, attack.run, *new_files(command, trained))
        assert outcome.code == code, outcome.stderr
        assert "Traceback" not in outcome.stderr
        assert outcome.stdout == ""
        assert len(outcome.stderr) < 5000
        assert snapshot(attack.outside) == before
        assert not list(attack.outside.parent.glob("*.log"))
        return outcome.stderr

    return check


def new_files(command: str, trained: Path) -> list[Path]:
    """What `predict` is to predict for."""
    return [trained.parents[2] / "own.npz"] if command == "predict" else []


def snapshot(folder: Path) -> list[tuple[str, object, int]]:
    return sorted(
        (
            str(path.relative_to(folder)),
            path.read_bytes() if path.is_file() else None,
            path.stat().st_mtime_ns if path.is_file() else 0,
        )
        for path in folder.rglob("*")
        if not path.is_fifo()
    )


class limits:  # noqa: N801 (used as a function)
    """At most `SECONDS`, and `MEMORY` more than now."""

    def __enter__(self) -> None:
        def too_late(*_: object) -> None:
            raise TimeoutError(f"more than {SECONDS} seconds")

        self.before = resource.getrlimit(resource.RLIMIT_AS)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, self.before[1]))
        self.handler = signal.signal(signal.SIGALRM, too_late)
        signal.alarm(SECONDS)

    def __exit__(self, *_: object) -> None:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, self.handler)
        resource.setrlimit(resource.RLIMIT_AS, self.before)


def with_epochs(text: str, epochs: int) -> str:
    config = read_recorded(text.encode(), "resolved.yaml")
    training = config.training.model_copy(update={"epochs": epochs})
    return dump_yaml(config.model_copy(update={"training": training}))
