"""Workers that launchers start, and workers in two network namespaces: the bits are those of `--workers 2`."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import ROOT, blocks
from tests.worker_runs import CONFIG, SCRIPT, content

pytestmark = pytest.mark.slow

HERE, THERE = "dltool-here", "dltool-there"
ADDRESSES = "10.213.7.1:2222,10.213.7.2:2222"


def ended(processes: Sequence["subprocess.Popen[str]"], seconds: float = 200) -> list[tuple[int, str]]:
    try:
        outputs = [process.communicate(timeout=seconds)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, output) for process, output in zip(processes, outputs, strict=True)]


def started(command: Sequence[Any], folder: Path, own: Mapping[str, str] = {}) -> "subprocess.Popen[str]":
    output: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([str(each) for each in command], cwd=folder, env={**os.environ, **own}, **output)


def slurm_tasks(arguments: Sequence[str], folder: Path) -> list[tuple[int, str]]:
    """Run dltool as the two tasks of a Slurm step on this machine."""
    step = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_TASKS_PER_NODE": "2"}
    step |= {"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_ID": "0"}
    command = [sys.executable, "-m", "dltool", *arguments, "--cluster", "slurm"]
    return ended([started(command, folder, {**step, "SLURM_PROCID": str(rank)}) for rank in range(2)])


def test_slurm(folder: Path, undisturbed: Any):
    found = slurm_tasks(["train", "small.yaml", "--name", "slurm"], folder)
    assert [code for code, _ in found] == [0, 0], found
    assert content(folder / "runs" / "slurm" / "0001") == undisturbed


def test_doctor_times_sums_on_the_chief(folder: Path):
    (code, text), other = slurm_tasks(["doctor", "--json"], folder)
    assert (code, other) == (0, (0, ""))
    checks = {check["name"]: check["detail"] for check in json.loads(text)["checks"]}
    assert checks["workers"].startswith("all 2 have come")
    assert float(checks["sum of 1 number"].removesuffix(" ms")) > 0
    assert "; each worker sends 4.0 MB, which is " in checks["sum of 1,000,000 numbers"]


def test_ray(folder: Path, undisturbed: Any, tmp_path: Path):
    pytest.importorskip("ray")
    (launcher,) = [block.text for block in blocks(ROOT / "docs/guides/launching.md") if block.title == "launch.py"]
    (folder / "launch.py").write_text(launcher, encoding="utf-8")
    # Ray writes into the home folder.
    own = {"HOME": str(tmp_path), "RAY_TRAIN_V2_ENABLED": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    own |= {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300"}
    arguments = ["train", "small.yaml", "--name", "ray"]
    ((code, output),) = ended([started([sys.executable, "launch.py", *arguments], folder, own)], 500)
    assert code == 0, output[-3000:]
    assert content(folder / "runs" / "ray" / "0001") == undisturbed


def test_a_search_has_its_trials_on_all_workers(folder: Path):
    text = CONFIG.replace("epochs: 3", "epochs: 1")
    text += (
        "search:\n  trials: 4\n  seeds: 1\n  space:\n    training.optimizer.Adam.learning_rate: {log: [1e-4, 1e-2]}\n"
    )
    (folder / "search.yaml").write_text(text, encoding="utf-8")
    found = slurm_tasks(["search", "search.yaml", "--quiet"], folder)
    assert [code for code, _ in found] == [0, 0], found
    (search,) = (folder / "runs" / "small").glob("search-*")
    assert json.loads((search / "search.json").read_text("utf-8"))["result"] is not None
    assert sorted(path.name for path in (search / "trials").iterdir()) == ["0000", "0001", "0002", "0003"]


@pytest.fixture
def namespaces() -> Iterator[None]:
    """Two network namespaces, joined by a cable."""
    if shutil.which("ip") is None or os.geteuid():
        pytest.skip("needs ip, and the right to make network namespaces")
    if subprocess.run(["ip", "netns", "add", HERE], capture_output=True).returncode:
        pytest.skip("network namespaces cannot be made here")
    try:
        ip(f"netns add {THERE}")
        ip(f"link add dl0 netns {HERE} type veth peer name dl0 netns {THERE}")
        for number, name in enumerate((HERE, THERE), 1):
            ip(f"-n {name} address add 10.213.7.{number}/24 dev dl0")
            for device in ("lo", "dl0"):
                ip(f"-n {name} link set {device} up")
        yield
    finally:
        for name in (HERE, THERE):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


def apart(program: Sequence[Any], arguments: Sequence[Any], folder: Path) -> "list[subprocess.Popen[str]]":
    """Start a worker in each namespace."""
    inside = [("ip", "netns", "exec", name, sys.executable) for name in (HERE, THERE)]
    place = ("--cluster", ADDRESSES, "--worker")
    return [started([*each, *program, *arguments, *place, n], folder) for n, each in enumerate(inside)]


def sent_by_chief() -> int:
    counter = ("ip", "netns", "exec", HERE, "cat", "/sys/class/net/dl0/statistics/tx_bytes")
    return int(subprocess.run(counter, capture_output=True, check=True).stdout)


def test_a_step_sends_the_bytes_of_a_ring(folder: Path, namespaces: None):
    layers = "[Flatten, {Dense: {units: 2000, activation: relu}}, {Dense: {units: $classes, activation: softmax}}]"
    data = "data: {source: digits, split: {validation: 0.15, test: 0.2}}"
    training = (
        "training: {optimizer: sgd, loss: sparse_categorical_crossentropy, batch_size: 48, epochs: 4, threads: 1}"
    )
    text = f"name: ring\n{data}\nmodel: {{layers: {layers}}}\n{training}\n"
    (folder / "ring.yaml").write_text(text, encoding="utf-8")
    before = sent_by_chief()
    found = ended(apart(["-m", "dltool"], ["train", "ring.yaml"], folder))
    assert [code for code, _ in found] == [0, 0], found
    assert "each computes 24 examples of a batch, and a step sums 600 KB" in found[0][1]
    # Of each number in float32, the gradients and the loss, a ring of N workers sends 2 (N - 1) / N; 1168 rows are
    # 25 steps. Headers, and what the workers agree on, come on top.
    numbers = 64 * 2000 + 2000 + 2000 * 10 + 10 + 1
    expected = 2 * 4 * numbers * (2 - 1) / 2
    assert 1 <= (sent_by_chief() - before) / (4 * 25) / expected < 1.1


def test_workers_whose_network_is_cut_end_and_resume_to_the_bit(folder: Path, undisturbed: Any, namespaces: None):
    train = ["train", "small.yaml", "--run-or-resume", "cut", "--set", "training.checkpoint.every=7 steps"]
    # The pace lets the network be cut within the training.
    processes = apart([SCRIPT, "slow", 12], train, folder)
    checkpoints = folder / "runs" / "cut" / "0001" / "checkpoints"
    end = time.monotonic() + 120
    while time.monotonic() < end and len(list(checkpoints.glob("*"))) < 2:
        time.sleep(0.05)
    ip(f"-n {HERE} link set dl0 down")
    cut = time.monotonic()
    found = ended(processes)
    assert [code for code, _ in found] == [8, 8], found
    assert time.monotonic() - cut < 90
    ip(f"-n {HERE} link set dl0 up")
    again = ended(apart(["-m", "dltool"], train, folder))
    assert [code for code, _ in again] == [0, 0], again
    assert content(folder / "runs" / "cut" / "0001") == undisturbed
