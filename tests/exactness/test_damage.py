"""A damaged newest checkpoint: the older one is used, that is said, and the end is the same."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.exactness.configs import write_config
from tests.exactness.conftest import Server
from tests.exactness.essence import essence

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def killed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run killed in a write, with two whole checkpoints."""
    folder = tmp_path_factory.mktemp("killed")
    command = ("train", write_config(folder, "plateau"), "--runs", folder)

    assert server.run(*command, hook="in_write", percent=10, count=5).code == -signal.SIGKILL
    assert len(checkpoints(folder / "plateau" / "0001")) == 2
    return folder / "plateau" / "0001"


def checkpoints(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("[0-9]*.ckpt"))


def flip(path: Path, at: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * (len(data) - 1))] ^= 1
    path.write_bytes(data)


def flip_middle(path: Path) -> None:
    flip(path, 0.6)


def flip_header(path: Path) -> None:
    flip(path, 0.01)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip_middle, flip_header, truncate, empty])
def test_the_older_checkpoint_is_used(
    server: Server,
    straight: Callable[..., dict[str, Any]],
    killed: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
):
    run = tmp_path / "0001"
    shutil.copytree(killed, run)
    newest = checkpoints(run)[-1]
    damage(newest)
    ended = server.run("resume", run)
    assert ended.code == 0, ended.output
    assert "using an older checkpoint" in ended.output
    assert newest.name in "".join(ended.output.split())
    assert essence(run) == straight("plateau")


def test_without_a_good_checkpoint_nothing_is_done(server: Server, killed: Path, tmp_path: Path):
    run = tmp_path / "0001"
    shutil.copytree(killed, run)
    for checkpoint in checkpoints(run):
        flip_middle(checkpoint)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "lock"}
    ended = server.run("resume", run)
    assert ended.code == 4
    assert "no valid checkpoint" in ended.output
    assert all(path.read_bytes() == data for path, data in before.items() if ".tmp-" not in path.name)
