"""Killed with SIGKILL at any moment, then resumed: the same bits as a run never interrupted."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.exactness.configs import STEPS, write_config
from tests.exactness.conftest import ROOT, Ended, Server
from tests.exactness.essence import essence

from dltool.runs.checkpoint_file import newest_checkpoint

KILLED = -signal.SIGKILL
Straight = Callable[..., dict[str, Any]]
Hooked = tuple[str, dict[str, Any]]


def test_a_killed_run_goes_on_to_the_same_bits(server: Server, straight: Straight, tmp_path: Path):
    chain(server, tmp_path, "schedule", [("at_step", {"step": 19})], epochs=2)
    assert essence(tmp_path / "schedule" / "0001") == straight("schedule", 2)


def chain(server: Server, folder: Path, kind: str, kills: list[Hooked], **options: Any) -> None:
    """Train, killed as `kills[0]` says, resume, killed as `kills[1]` says, …, and at last to the end."""
    command: tuple[str | Path, ...] = ("train", write_config(folder, kind, **options), "--runs", folder)
    for hook, arguments in kills:
        ended = server.run(*command, hook=hook, **arguments)
        assert ended.code == KILLED, (hook, arguments, ended.output)
        command = ("resume", folder / kind / "0001")
    ended = server.run(*command)
    assert ended.code == 0, ended.output


@pytest.mark.slow
def test_the_run_to_compare_with_uses_everything(straight: Straight):
    plateau, schedule = straight("plateau"), straight("schedule")
    rates = [[line["learning_rate"] for line in run["metrics"]] for run in (plateau, schedule)]
    assert plateau["step"] == 5 * STEPS
    assert plateau["state"]["position"]["stop"]
    assert len(set(rates[0])) > 1
    assert len(set(rates[1])) == len(rates[1]) == 7
    assert plateau["results"]["best"]["epoch"] == 5


@pytest.mark.slow
def test_40_kills_at_random_times_change_nothing(server: Server, straight: Straight, tmp_path: Path):
    expected = {kind: straight(kind) for kind in ("plateau", "schedule")}
    begin, timed = time.monotonic(), tmp_path / "timed"
    child = server.start("train", write_config(tmp_path, "schedule"), "--runs", timed)
    while not (timed / "schedule" / "0001").exists():
        time.sleep(0.01)
    building = time.monotonic() - begin
    assert child.wait().code == 0
    training = time.monotonic() - begin - building

    def one(number: int) -> int:
        """A run with up to three kills."""
        kind, chance, folder = ("plateau", "schedule")[number % 2], random.Random(number), tmp_path / str(number)
        folder.mkdir()
        config, run = write_config(folder, kind, every=f"{1 + number % 7} steps"), folder / kind / "0001"
        kills = 0
        while True:
            child = server.start(*(("resume", run) if run.exists() else ("train", config, "--runs", folder)))
            if kills < 3:
                while not run.exists():
                    time.sleep(0.01)
                # A third of the training at most, so that three kills fit into it.
                time.sleep(chance.uniform(0, (building if kills else 0) + training / 3))
                child.send(signal.SIGKILL)
            ended = child.wait()
            if ended.code == 0:
                break
            assert ended.code == KILLED, ended.output
            kills += 1
        assert essence(run) == expected[kind], f"run {number}, {kills} kills"
        return kills

    with ThreadPoolExecutor(2) as pool:
        runs, kills = 0, 0
        while runs < 15 or kills < 40:
            assert runs < 40
            found = list(pool.map(one, range(runs, runs + 2)))
            runs, kills = runs + len(found), kills + sum(found)
    print(f"{kills} kills in {runs} runs")


@pytest.mark.slow
def test_a_kill_at_each_of_the_first_30_steps_changes_nothing(server: Server, straight: Straight, tmp_path: Path):
    kills: list[Hooked] = [("at_step", {"step": step}) for step in range(1, 31)]
    chain(server, tmp_path, "plateau", kills, every="1 steps")
    assert essence(tmp_path / "plateau" / "0001") == straight("plateau")


@pytest.mark.slow
def test_kills_within_a_checkpoint_write_change_nothing(server: Server, straight: Straight, tmp_path: Path):
    kills: list[Hooked] = [("in_write", {"percent": percent, "count": 2}) for percent in (0, 30, 60, 99)]
    kills += [("in_phase", {"phase": "cleanup", "count": count}) for count in (1, 3)]
    chain(server, tmp_path, "plateau", kills)
    assert essence(tmp_path / "plateau" / "0001") == straight("plateau")


@pytest.mark.slow
def test_kills_in_validation_at_its_end_and_in_the_test_change_nothing(
    server: Server, straight: Straight, tmp_path: Path
):
    phases = ("validation", "best weights", "metrics", "test", "last file", "status")
    chain(
        server,
        tmp_path,
        "schedule",
        [("in_phase", {"phase": phase, "count": 3 if phase == "status" else 1}) for phase in phases],
    )
    assert essence(tmp_path / "schedule" / "0001") == straight("schedule")


@pytest.mark.slow
def test_kills_in_every_phase_and_where_they_meet_change_nothing(server: Server, straight: Straight, tmp_path: Path):
    """A phase has 28 steps: killed at its last, its first and its second step, and in the middle."""
    steps = (10, 28, 29, 30, 41, 56, 57, 70)
    kills: list[Hooked] = [("at_step", {"step": step}) for step in steps]
    chain(server, tmp_path, "phases", kills)
    run = straight("phases")
    assert essence(tmp_path / "phases" / "0001") == run
    assert run["state"]["position"]["phase"] == 2
    assert {name.split("/")[2] for name in run["arrays"] if name.startswith("optimizer/")} == {"rm_sprop"}


@pytest.mark.slow
def test_kills_of_a_training_that_xla_compiles_change_nothing(server: Server, straight: Straight, tmp_path: Path):
    kills: list[Hooked] = [("at_step", {"step": step}) for step in (3, 28, 29, 41, 57, 70)]
    chain(server, tmp_path, "xla", kills)
    run = straight("xla")
    assert essence(tmp_path / "xla" / "0001") == run
    assert run["strategy"]["jit_compile"]


@pytest.mark.slow
def test_kills_with_a_checkpoint_after_each_step_and_each_epoch_change_nothing(
    server: Server, straight: Straight, tmp_path: Path
):
    for every in ("1 steps", "1 epochs"):
        folder = tmp_path / every.replace(" ", "-")
        folder.mkdir()
        kills: list[Hooked] = [("at_step", {"step": step}) for step in (28, 29, 57)]
        chain(server, folder, "phases", kills, every=every)
        assert essence(folder / "phases" / "0001") == straight("phases")


@pytest.mark.slow
def test_a_kill_before_the_best_weights_were_written_changes_nothing(
    server: Server, straight: Straight, tmp_path: Path
):
    run, config = tmp_path / "schedule" / "0001", write_config(tmp_path, "schedule", epochs=4)
    killed = server.run("train", config, "--runs", tmp_path, hook="at_step_with_best_unwritten", step=3 * STEPS + 6)
    assert killed.code == KILLED, killed.output
    checkpoint, _ = newest_checkpoint(run / "checkpoints")
    assert any(name.startswith("best/") for name, _ in checkpoint.arrays)
    assert not (run / "checkpoints" / "best.weights.h5").exists()
    assert server.run("resume", run).code == 0
    assert essence(run) == straight("schedule", 4)


@pytest.mark.slow
def test_a_kill_before_the_first_checkpoint_changes_nothing(server: Server, straight: Straight, tmp_path: Path):
    chain(server, tmp_path, "schedule", [("in_write", {"percent": 50, "count": 1})], epochs=2)
    assert essence(tmp_path / "schedule" / "0001") == straight("schedule", 2)


@pytest.mark.slow
def test_a_real_process_gives_the_bits_of_a_forked_one(server: Server, straight: Straight, tmp_path: Path):
    first = dltool("train", write_config(tmp_path, "plateau"), "--runs", tmp_path)
    assert first.code == 0, first.output
    assert essence(tmp_path / "plateau" / "0001") == straight("plateau")
    ended = server.run("train", tmp_path / "plateau.yaml", "--runs", tmp_path, hook="at_step", step=33)
    assert ended.code == KILLED
    assert dltool("resume", tmp_path / "plateau" / "0002").code == 0
    assert essence(tmp_path / "plateau" / "0002") == straight("plateau")


def dltool(*arguments: str | Path) -> Ended:
    command = [sys.executable, "-m", "dltool", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}, capture_output=True)
    return Ended(done.returncode, (done.stdout + done.stderr).decode(errors="replace"))


@pytest.mark.slow
def test_a_clock_set_back_by_a_day_changes_nothing(server: Server, straight: Straight, tmp_path: Path):
    chain(server, tmp_path, "schedule", [("at_step", {"step": 12})], epochs=2, every="1 minute")
    run = tmp_path / "back" / "0001"
    config = write_config(tmp_path, "schedule", epochs=2)
    options = {"--name": "back", "--runs": str(tmp_path)}
    command = ["train", str(config), *(word for pair in options.items() for word in pair)]
    assert server.run(*command, hook="clock_jumps_at_step", step=5).code == 0
    assert essence(run) == straight("schedule", 2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plateau", "schedule"])
def test_fewer_epochs_than_the_killed_run_had_reached_give_the_bits_of_a_run_of_as_many(
    server: Server, straight: Straight, tmp_path: Path, kind: str
):
    run, config = tmp_path / kind / "0001", write_config(tmp_path, kind, every="30 steps")
    assert server.run("train", config, "--runs", tmp_path, hook="at_step", step=4 * STEPS + 2).code == KILLED
    assert server.run("resume", run, "--epochs", "3", hook="in_phase", phase="test").code == KILLED
    assert server.run("resume", run).code == 0
    assert essence(run) == straight(kind, 3)


@pytest.mark.slow
def test_more_epochs_give_the_bits_of_a_run_that_had_them_from_the_start(
    server: Server, straight: Straight, tmp_path: Path
):
    run = tmp_path / "schedule" / "0001"
    assert server.run("train", write_config(tmp_path, "schedule", epochs=2), "--runs", tmp_path).code == 0
    assert server.run("resume", run, "--epochs", "7", hook="at_step", step=47).code == KILLED
    assert server.run("resume", run).code == 0
    assert essence(run) == straight("schedule")
    ended = server.run("resume", run)
    assert ended.code == 0
    assert essence(run) == straight("schedule")
