"""What a run costs: processor time, memory, examples, operations, energy, and the user's own factors."""

import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.in_process import command

from dltool.config.schema import CostFactors
from dltool.cost import meter
from dltool.runs.costs import Cost

CONFIG = """\
name: spent
data: {source: {csv: rows.csv}, target: kind, split: {validation: 0.2, test: 0.2}}
model: {layers: [Dense: 8, Dense: {units: $classes, activation: softmax}]}
training: {optimizer: Adam, loss: sparse_categorical_crossentropy, batch_size: 16, epochs: 3}
expect: {cpu_seconds: "< 60", joules: ">= 0", price: "< 1"}
cost: {price: 3.6 per hour, power: 10 W, carbon: 400}
"""
ROWS, TRAINING = 100, 60
FORWARD = 2 * (2 * 8) + 8 + 2 * (8 * 2) + 2 + 5 * 2
"""Two Dense layers: multiply-adds, biases, and a softmax of two."""


def write(folder: Path, config: str = CONFIG) -> None:
    random = np.random.default_rng(0)
    rows = "".join(f"{a:.3f},{b:.3f},{'yes' if a > b else 'no'}\n" for a, b in random.normal(size=(ROWS, 2)))
    (folder / "rows.csv").write_text("a,b,kind\n" + rows)
    (folder / "spent.yaml").write_text(config)


def processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def cost(run: Path, file: str = "results.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / file).read_text("utf-8"))["cost"]
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, float]]:
    """A run, and the processor seconds of this process meanwhile."""
    folder = tmp_path_factory.mktemp("spent")
    write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # Whatever the machine has.
        patch.setattr(meter, "POWERCAP", folder)
        patch.setattr(meter, "NVIDIA", folder / "none")
        before = processor_seconds()
        assert command("train", "spent.yaml", "--quiet") == 0
        yield folder / "runs/spent/0001", processor_seconds() - before


def test_the_cost_of_a_run_is_in_its_results(trained) -> None:
    run, seconds = trained
    found = cost(run)
    # All but the start of the command.
    assert 0.7 * seconds < found["cpu_seconds"] < seconds
    assert found["examples"] == 3 * TRAINING
    assert found["flops"] == 3 * FORWARD * 3 * TRAINING
    assert found["examples_per_second"] == pytest.approx(3 * TRAINING / found["train_seconds"])
    assert 100e6 < found["peak_memory"] <= 1.01 * 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_price_power_and_carbon_are_those_of_the_user(trained) -> None:
    found = cost(trained[0])
    assert found["price"] == pytest.approx(found["seconds"] * 3.6 / 3600)
    assert found["joules"] == pytest.approx(found["cpu_seconds"] * 10 / len(os.sched_getaffinity(0)))
    assert found["counters"].startswith("assumed: 10 W")
    assert found["carbon"] == pytest.approx(found["joules"] / 3.6e6 * 400)


def test_a_cost_can_be_expected(trained) -> None:
    found = json.loads((trained[0] / "results.json").read_text("utf-8"))["expectations"]
    assert found["cpu_seconds"]["met"]
    assert found["joules"] == {"bound": ">= 0", "value": cost(trained[0])["joules"], "met": True}
    assert found["price"]["met"]


def test_runs_show_and_sort_by_the_cost(trained, dltool, monkeypatch) -> None:
    monkeypatch.chdir(trained[0].parents[2])
    (found,) = json.loads(dltool("runs", "--sort", "cpu_seconds:desc", "--filter", "price>0", "--json").stdout)["runs"]
    assert found["cost"]["cpu_seconds"] == cost(trained[0])["cpu_seconds"]
    assert "cpu" in dltool("runs").stdout.splitlines()[0].split()


@pytest.mark.slow
def test_a_report_shows_the_cost(trained, dltool, tmp_path) -> None:
    run = Path(shutil.copytree(trained[0], tmp_path / "runs/spent/0001"))
    assert dltool("report", run).code == 0
    page = (run / "report.html").read_text("utf-8")
    assert "processor time" in page
    assert "(assumed: 10 W" in page
    assert json.loads((run / "report.json").read_text("utf-8"))["cost"]["joules"] == cost(run)["joules"]


def test_a_resumed_run_costs_what_all_its_processes_have_spent(trained, dltool, tmp_path, monkeypatch) -> None:
    run = Path(shutil.copytree(trained[0], tmp_path / "runs/spent/0001"))
    before = processor_seconds()
    assert dltool("resume", run, "--epochs", "5").code in (0, 7)
    spent, found = processor_seconds() - before, cost(run)
    assert found["examples"] == 5 * TRAINING
    assert 0.7 * spent < found["cpu_seconds"] - cost(trained[0])["cpu_seconds"] < spent


@pytest.mark.slow
def test_a_run_with_folds_costs_the_sum_of_them(dltool, tmp_path, monkeypatch) -> None:
    write(tmp_path, CONFIG.replace("split: {validation: 0.2, test: 0.2}", "split: {folds: 2, validation: 0.2}"))
    monkeypatch.chdir(tmp_path)
    before = processor_seconds()
    assert dltool("train", "spent.yaml", "--set", "training.epochs=1").code in (0, 7)
    spent, run = processor_seconds() - before, tmp_path / "runs/spent/0001"
    whole, own = cost(run), cost(run, "run.json")
    folds = [cost(run / "folds" / str(number)) for number in (1, 2)]
    for name in ("cpu_seconds", "seconds", "examples", "flops"):
        assert whole[name] == pytest.approx(own[name] + sum(fold[name] for fold in folds)), name
        assert min(own[name], *(fold[name] for fold in folds)) > 0, name
    assert 0.7 * spent < whole["cpu_seconds"] < spent


def write_counters(folder: Path, **joules: float) -> None:
    """Counters in `folder` that begin again after 1,000 joules, by name of their kind: package_0, psys_1."""
    for name, value in joules.items():
        kind, _, number = name.partition("_")
        counter = folder / f"intel-rapl:{number}"
        counter.mkdir(exist_ok=True)
        (counter / "name").write_text("psys\n" if kind == "psys" else f"{kind}-{number}\n")
        (counter / "energy_uj").write_text(f"{round(value * 1e6)}\n")
        (counter / "max_energy_range_uj").write_text("1000000000\n")


@pytest.fixture
def counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(meter, "POWERCAP", tmp_path)
    monkeypatch.setattr(meter, "NVIDIA", tmp_path / "none")
    return tmp_path


def test_joules_are_those_of_all_processors_although_their_counters_begin_again(counters) -> None:
    write_counters(counters, package_0=990, package_1=10, psys_2=5, core_3=0)
    measured = meter.Meter()
    write_counters(counters, package_0=20, package_1=17, psys_2=500, core_3=500)
    assert measured.read().joules == pytest.approx(30 + 7)
    write_counters(counters, package_0=21, package_1=16)
    # The second one has passed its end.
    assert measured.read().joules == pytest.approx(37 + 1 + 999)
    with measured.paused():
        write_counters(counters, package_0=500, package_1=500)
    assert measured.read().joules == pytest.approx(37 + 1000)
    assert measured.read().counters == "intel-rapl:0, intel-rapl:1"


def test_without_a_counter_there_is_neither_a_joule_nor_carbon(counters) -> None:
    found = meter.Meter().read().rated(CostFactors(carbon=400.0), 2)
    assert found.joules is None
    assert found.carbon is None
    assert "this machine has no energy counter" in found.words["energy"]
    assert not any(text.endswith((" J", " g")) for text in found.words.values())
    assert not {"joules", "carbon"} & found.amounts.keys()


def test_a_counter_for_root_alone_is_no_counter(counters) -> None:
    write_counters(counters, package_0=1)
    (counters / "intel-rapl:0" / "energy_uj").unlink()
    found = meter.Meter().read()
    assert found.joules is None
    assert "root" in found.why


def test_a_measured_energy_is_not_replaced_by_an_assumed_one(counters) -> None:
    write_counters(counters, package_0=0)
    measured = meter.Meter()
    write_counters(counters, package_0=3.6)
    found = measured.read().rated(CostFactors(power="1000 W", carbon=500.0), 2)
    assert found.joules == pytest.approx(3.6)
    assert found.carbon == pytest.approx(0.0005)


def test_an_unknown_part_makes_the_sum_unknown() -> None:
    found = Cost(joules=None, why="no counter", flops=None) + Cost(joules=5.0, flops=7.0, peak_memory=3.0)
    assert (found.joules, found.flops, found.peak_memory, found.why) == (None, None, 3.0, "no counter")


def fake_nvml(joules: list[float]) -> SimpleNamespace:
    """Two GPUs, the second with twice the energy of the first, which is the last of `joules`."""

    def set_to(argument: Any, value: int) -> int:
        argument._obj.value = value
        return 0

    return SimpleNamespace(
        nvmlInit_v2=lambda: 0,
        nvmlDeviceGetCount_v2=lambda count: set_to(count, 2),
        nvmlDeviceGetHandleByIndex_v2=lambda index, device: set_to(device, index + 1),
        nvmlDeviceGetTotalEnergyConsumption=lambda device, energy: set_to(
            energy, round(1000 * joules[-1] * device.value)
        ),
    )


def test_gpus_count_their_energy_in_millijoules(counters, monkeypatch) -> None:
    joules = [1.0]
    monkeypatch.setattr(meter, "NVIDIA", counters)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: fake_nvml(joules))
    measured = meter.Meter()
    joules.append(3.0)
    found = measured.read()
    assert found.joules == pytest.approx(2 + 4)
    assert found.counters == "GPU 0, GPU 1"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["cost={price: 0.25 an hour}"], '"0.25 an hour" is not a price'),
        (["cost={power: 65}"], "^^ for example 65 W"),
        (["cost={price: 0.25}"], "for example 0.25 per hour"),
        (["cost={}"], 'no metric is called "price"'),
    ],
)
def test_wrong_factors_are_refused(settings, message, dltool, tmp_path, monkeypatch) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    outcome = dltool("check", "spent.yaml", *(word for setting in settings for word in ("--set", setting)))
    assert outcome.code == 2
    assert message in " ".join(outcome.stderr.split())


@pytest.mark.slow
def test_a_killed_process_counts_but_for_its_last_seconds(tmp_path, dltool) -> None:
    write(tmp_path, CONFIG.replace("epochs: 3", "epochs: 100000"))
    started = subprocess.Popen(
        [sys.executable, "-m", "dltool", "train", "spent.yaml", "--quiet"], cwd=tmp_path, stdin=subprocess.DEVNULL
    )
    run = tmp_path / "runs/spent/0001"
    while started.poll() is None:
        time.sleep(0.1)
        with contextlib.suppress(OSError, ValueError, KeyError):
            if cost(run, "run.json")["train_seconds"] > 6:
                break
    os.kill(started.pid, signal.SIGKILL)
    _, _, used = os.wait4(started.pid, 0)
    # Five seconds, each of all cores at most.
    first, lost = cost(run, "run.json"), 6 * len(os.sched_getaffinity(0)) + 1
    total = used.ru_utime + used.ru_stime
    assert total - lost < first["cpu_seconds"] <= total
