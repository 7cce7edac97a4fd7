"""Each kind of data, model and training, killed three times, resumed and compared with a run never interrupted."""

import signal
from pathlib import Path
from typing import Any

import pytest
from tests.exactness.cases import CASES, write_case
from tests.exactness.conftest import Server
from tests.exactness.essence import essence

KILLS: list[tuple[str, dict[str, Any]]] = [
    # Inside the first epoch, in a checkpoint of the second, and at its end, where the backbone's next phase begins.
    ("at_step", {"step": 3}),
    ("in_write", {"percent": 60, "count": 3}),
    ("in_phase", {"phase": "metrics"}),
]


def killed_and_straight(server: Server, folder: Path, kind: str, kills: list[tuple[str, dict[str, Any]]]) -> Any:
    """The essence of both runs."""
    config, case = write_case(folder, kind), CASES[kind]
    options, settings = case.options_in(folder), case.settings
    ended = server.run("train", config, "--runs", folder / "straight", *options, settings=settings)
    assert ended.code == 0, ended.output
    run = folder / "killed" / kind / "0001"
    command: tuple[str | Path, ...] = ("train", config, "--runs", folder / "killed")
    for hook, arguments in kills:
        ended = server.run(*command, *options, hook=hook, settings=settings, **arguments)
        assert ended.code == -signal.SIGKILL, (hook, arguments, ended.output)
        command = ("resume", run)
    ended = server.run(*command, *options, settings=settings)
    assert ended.code == 0, ended.output
    return essence(run), essence(folder / "straight" / kind / "0001")


@pytest.mark.slow
@pytest.mark.parametrize("kind", CASES)
def test_three_kills_change_nothing(server: Server, tmp_path: Path, kind: str):
    killed, straight = killed_and_straight(server, tmp_path, kind, KILLS)
    assert killed == straight
