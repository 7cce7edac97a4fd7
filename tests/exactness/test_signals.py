"""SIGINT and SIGTERM in every phase: the state is saved, the exit code says which, and the run goes on as if nothing
had been."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.exactness.configs import write_config
from tests.exactness.conftest import ROOT, Server
from tests.exactness.essence import essence

pytestmark = pytest.mark.slow
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
PATIENCE = 6
"""Seconds. A compiled call and a save take tenths of one; a call that has to be traced first, some more."""


@pytest.mark.parametrize("number", list(CODES))
@pytest.mark.parametrize("phase", ["data", "import", "build"])
def test_before_the_run_exists_nothing_is_left(server: Server, tmp_path: Path, phase: str, number: signal.Signals):
    config = write_config(tmp_path, "schedule")
    ended = server.run("train", config, "--runs", tmp_path / "runs", hook="in_phase", phase=phase, number=number)
    assert ended.code == CODES[number], ended.output
    assert "Traceback" not in ended.output
    assert not (tmp_path / "runs").exists()


def test_stopped_in_every_phase_and_resumed_the_bits_are_the_same(
    server: Server, straight: Callable[..., dict[str, Any]], tmp_path: Path
):
    run = tmp_path / "schedule" / "0001"
    command: tuple[str | Path, ...] = ("train", write_config(tmp_path, "schedule"), "--runs", tmp_path)
    stops: list[tuple[str, dict[str, Any], signal.Signals]] = [
        ("at_step", {"step": 1}, signal.SIGINT),
        ("in_phase", {"phase": "data again"}, signal.SIGTERM),
        ("in_phase", {"phase": "build"}, signal.SIGINT),
        ("at_step", {"step": 11}, signal.SIGTERM),
        ("at_step", {"step": 14}, signal.SIGINT),
        ("in_phase", {"phase": "validation", "count": 1}, signal.SIGTERM),
        ("in_phase", {"phase": "best weights", "count": 1}, signal.SIGINT),
        ("in_phase", {"phase": "cleanup", "count": 2}, signal.SIGINT),
        ("at_step", {"step": 98}, signal.SIGTERM),
        ("in_phase", {"phase": "test"}, signal.SIGTERM),
        ("in_phase", {"phase": "evaluation"}, signal.SIGINT),
        ("in_phase", {"phase": "last file"}, signal.SIGTERM),
    ]
    for hook, options, number in stops:
        ended = server.run(*command, hook=hook, number=number, **options)
        assert ended.code == CODES[number], (hook, options, ended.output)
        assert "Traceback" not in ended.output
        if options.get("phase") not in ("data again", "build"):
            assert status(run) == "interrupted"
            assert f"dltool resume {run}" in " ".join(ended.output.split()), ended.output
        command = ("resume", run)
    assert server.run(*command).code == 0
    assert essence(run) == straight("schedule")


def status(run: Path) -> str:
    return str(json.loads((run / "run.json").read_bytes())["status"])


def test_a_second_sigint_ends_the_process_at_once(
    server: Server, straight: Callable[..., dict[str, Any]], tmp_path: Path
):
    run, config = tmp_path / "schedule" / "0001", write_config(tmp_path, "schedule", epochs=2)
    ended = server.run("train", config, "--runs", tmp_path, hook="twice_at_step", step=12, number=signal.SIGINT)
    assert ended.code == 130
    # There was no time to write it down.
    assert status(run) == "running"
    assert server.run("resume", run).code == 0
    assert essence(run) == straight("schedule", 2)


def test_a_second_sigterm_changes_nothing(server: Server, tmp_path: Path):
    run, config = tmp_path / "schedule" / "0001", write_config(tmp_path, "schedule", epochs=2)
    ended = server.run("train", config, "--runs", tmp_path, hook="twice_at_step", step=12, number=signal.SIGTERM)
    assert ended.code == 143
    assert status(run) == "interrupted"


def test_a_signal_at_any_time_is_obeyed_soon(server: Server, straight: Callable[..., dict[str, Any]], tmp_path: Path):
    config, chance, took, number_of_run = write_config(tmp_path, "schedule"), random.Random(0), [], 2
    begin = time.monotonic()
    assert server.run("train", config, "--runs", tmp_path).code == 0
    longest = time.monotonic() - begin
    for _ in range(14):
        run = tmp_path / "schedule" / f"{number_of_run:04d}"
        command = ("resume", run) if run.exists() else ("train", config, "--runs", tmp_path)
        child, number = server.start(*command), chance.choice(list(CODES))
        # Before dltool has set its handlers Python's own are in force.
        time.sleep(chance.uniform(0.2, longest))
        begin = time.monotonic()
        child.send(number)
        ended = child.wait()
        took.append(round(time.monotonic() - begin, 2))
        assert "Traceback" not in ended.output, ended.output
        if ended.code == 0:
            assert essence(run) == straight("schedule")
            number_of_run += 1
        else:
            assert ended.code == CODES[number], ended.output
    print("seconds from the signal to the end:", took)
    assert max(took) < PATIENCE
    if run.exists():
        assert server.run("resume", run).code == 0
        assert essence(run) == straight("schedule")


def test_a_real_process_obeys_while_it_imports(tmp_path: Path):
    config, took = write_config(tmp_path, "schedule"), []
    for number, delay in zip([*CODES, *CODES, *CODES], (0.8, 1.3, 1.8, 2.3, 3.0, 4.0), strict=True):
        process = subprocess.Popen(
            [sys.executable, "-m", "dltool", "train", str(config), "--runs", str(tmp_path / "runs")],
            cwd=ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        time.sleep(delay)
        begin = time.monotonic()
        process.send_signal(number)
        try:
            output, _ = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        took.append(round(time.monotonic() - begin, 2))
        assert process.returncode == CODES[number], output
        assert "Traceback" not in output
    print("seconds from the signal to the end:", took)
    assert max(took) < PATIENCE
