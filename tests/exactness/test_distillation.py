"""A run that another run teaches is killed and resumed: the bits are those of a run never interrupted."""

import signal
from pathlib import Path

import pytest
from tests.commands.test_teacher import AUGMENTED, TAUGHT
from tests.exactness.conftest import Server
from tests.exactness.essence import essence
from tests.small_configs import EVERYTHING_RANDOM, TINY


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [(TINY, TAUGHT), (EVERYTHING_RANDOM, AUGMENTED)])
def test_killed_within_an_epoch_a_taught_run_goes_on_to_the_same_bits(
    server: Server, tmp_path: Path, first: str, second: str
) -> None:
    teacher, config = tmp_path / "teacher.yaml", tmp_path / "student.yaml"
    teacher.write_text(first, "utf-8")
    config.write_text(second.replace("epochs: 2", "epochs: 2\n  checkpoint: {every: 2 steps}"), "utf-8")
    straight, killed = tmp_path / "straight" / "student" / "0001", tmp_path / "killed" / "student" / "0001"
    for text, runs in ((teacher, "runs"), (config, "straight")):
        ended = server.run("train", text, "--runs", tmp_path / runs)
        assert ended.code == 0, ended.output
    ended = server.run("train", config, "--runs", tmp_path / "killed", hook="at_step", step=5)
    assert ended.code == -signal.SIGKILL, ended.output
    ended = server.run("resume", killed)
    assert ended.code == 0, ended.output
    assert essence(killed) == essence(straight)
