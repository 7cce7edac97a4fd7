"""Each kind of data, model and training, killed three times, resumed and compared with a run never interrupted."""

import signal
from pathlib import Path
from typing import Any

import pytest
from tests.exactness.cases import CASES, write_case
from tests.exactness.conftest import Server
from tests.exactness.essence import essence

from dltool.runs.checkpoint_file import newest_checkpoint

KILLS: list[tuple[dict[str, Any], int]] = [
    # Inside the first epoch; in the first checkpoint of the second, where the backbone's next phase begins; at its end.
    ({"then": "at_step", "step": 3}, 2),
    ({"then": "in_write", "percent": 60, "count": 3}, 6),
    ({"then": "in_phase", "phase": "metrics"}, 12),
]
"""Each with the step that it leaves to go on from."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", CASES)
def test_three_kills_change_nothing(server: Server, tmp_path: Path, kind: str):
    config, case = write_case(tmp_path, kind), CASES[kind]
    options, settings = case.options_in(tmp_path), case.settings
    straight, killed = (tmp_path / folder / kind / "0001" for folder in ("straight", "killed"))
    ended = server.run("train", config, "--runs", tmp_path / "straight", *options, settings=settings)
    assert ended.code == 0, ended.output
    command: tuple[str | Path, ...] = ("train", config, "--runs", tmp_path / "killed")
    for kill, step in KILLS:
        ended = server.run(*command, *options, settings=settings, hook="written_at_once", **kill)
        assert ended.code == -signal.SIGKILL, (kill, ended.output)
        assert newest_checkpoint(killed / "checkpoints")[0].step == step
        command = ("resume", killed)
    ended = server.run(*command, *options, settings=settings)
    assert ended.code == 0, ended.output
    assert essence(killed) == essence(straight)
