"""`--workers N`: which processes are started, and which exit code they have together."""

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import typer

from dltool.console import local_workers
from dltool.console.cluster_place import place_of_run
from dltool.console.local_workers import free_ports, gpus, own_arguments, run_workers
from dltool.errors import ConfigError, MachineError, RunError
from dltool.runs.directory import create

WORKER = """
import json, os, sys
task = json.loads(os.environ["TF_CONFIG"])
cores = len(os.sched_getaffinity(0))
rank = task["task"]["index"]
place = os.environ["PLACE"] + f"/{rank}.json"
json.dump([sys.argv[1:], task["cluster"], cores, os.environ.get("CUDA_VISIBLE_DEVICES")], open(place, "w"))
print("said by", rank)
code = int(os.environ["CODES"].split(",")[rank])
os.kill(os.getpid(), -code) if code < 0 else sys.exit(code)
"""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of what the started processes report, instead of training."""
    package = tmp_path / "dltool"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(WORKER, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PLACE", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["dltool", "train", "x.yaml", "--workers", "2", "--seed=3"])
    monkeypatch.setattr(local_workers, "SECONDS_TO_END", 0.2)
    return tmp_path


def test_workers_get_equal_parts_of_the_cores_and_their_place(started: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CODES", "0,0")
    assert run_workers("2") == 0
    found = [json.loads((started / f"{rank}.json").read_text()) for rank in range(2)]
    assert [each[0] for each in found] == [["train", "x.yaml", "--seed=3"]] * 2
    assert found[0][1] == found[1][1]
    assert len(set(found[0][1]["worker"])) == 2
    assert [each[2] for each in found] == [max(1, len(os.sched_getaffinity(0)) // 2)] * 2


@pytest.mark.parametrize(
    ("codes", "code"), [("8,3", 3), ("8,8", 8), ("0,8", 8), ("143,143", 143), ("-9,8", 8), ("8,-11", 8), ("-9,-9", 8)]
)
def test_the_exit_code_is_that_of_the_cause(codes: str, code: int, started: Path, monkeypatch, capfd):
    monkeypatch.setenv("CODES", codes)
    assert run_workers("2") == code
    shown = capfd.readouterr().err
    assert ("worker 1, exit code 3:" in shown) == (code == 3)
    assert ("worker 0 of 2 was ended by SIGKILL" in shown) == codes.startswith("-9")
    assert ("worker 1 of 2 was ended by SIGSEGV" in shown) == codes.endswith("-11")
    assert ("start all workers again" in shown) == ("-" in codes)


def test_an_error_of_all_workers_is_shown_once(started: Path, monkeypatch, capfd):
    monkeypatch.setenv("CODES", "2,2")
    assert run_workers("2") == 2
    assert capfd.readouterr().err == ""


def test_each_gpu_has_a_worker(started: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CODES", "0,0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, 5")
    assert gpus() == ["4", "5"]
    assert run_workers("gpus") == 0
    assert [json.loads((started / f"{rank}.json").read_text())[3] for rank in range(2)] == ["4", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert run_workers("gpus") is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(MachineError, match="this machine shows no GPU"):
        run_workers("gpus")


@pytest.mark.parametrize("workers", ["0", "-1", "two", "1.5", "", "100000"])
def test_other_numbers_are_refused(workers: str):
    with pytest.raises(ConfigError, match="expected a number of processes or gpus"):
        run_workers(workers)


def test_one_worker_is_this_process():
    assert run_workers("1") is None


def test_workers_do_not_start_workers():
    assert own_arguments(["train", "--workers", "2", "x", "--workers=3", "--seed", "1"]) == [
        "train",
        "x",
        "--seed",
        "1",
    ]


def test_ports_are_free_and_differ():
    assert len(set(free_ports(5))) == 5


@pytest.mark.parametrize(
    ("pinned", "workers"), [({}, []), ({"workers": 3}, ["3"]), ({"workers": 2, "gpus": ["a"]}, ["gpus"])]
)
def test_a_run_is_reproduced_by_as_many_workers(pinned: dict[str, Any], workers: list[str], tmp_path, monkeypatch):
    begun: list[str] = []

    def run_workers(number: str) -> int:
        begun.append(number)
        return 0

    monkeypatch.setattr(local_workers, "run_workers", run_workers)
    with create(tmp_path, "x", {"pinned": pinned}, {}) as run:
        pass
    with pytest.raises(typer.Exit) if workers else nullcontext():
        assert place_of_run(run.path, None, None) is None
    assert begun == workers
    found = place_of_run(run.path, "a:1,b:2", 1)
    assert found is not None
    assert found.rank == 1


@pytest.mark.parametrize(("count", "error"), [(9_999, ConfigError), (0, RunError), ("2", RunError)])
def test_the_number_of_workers_in_a_record_is_not_trusted(count: Any, error: type[Exception], tmp_path):
    with create(tmp_path, "x", {"pinned": {"workers": count}}, {}) as run:
        pass
    with pytest.raises(error, match="workers"):
        place_of_run(run.path, None, None)
