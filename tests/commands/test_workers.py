"""`dltool train` and `resume` as several workers: what is disturbed ends with one message, and resumes to the bit."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.worker_runs import CONFIG, content, workers

from dltool.runs.directory import open_run

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_a_run_disturbed_in_every_way_ends_with_the_bits_of_one_that_was_not(undisturbed: Any):
    train = ["train", "small.yaml", "--name", "disturbed"]
    run = Path("runs/disturbed/0001")
    killed = workers(train, {1: ("SIGKILL", 12)})
    assert [each.code for each in killed] == [8, -9], [each.output for each in killed]
    assert "worker 1 of 2" in killed[0].output
    assert "was lost; this was in epoch 1 of 3, after step 13 of 25" in killed[0].output
    assert f"next  dltool resume {run}" in killed[0].output
    orphaned = workers(["resume", run], {0: ("SIGKILL", 30)})
    assert [each.code for each in orphaned] == [-9, 8], [each.output for each in orphaned]
    assert "worker 0 of 2" in orphaned[1].output
    stopped = workers(["resume", run], {1: ("SIGTERM", 40)})
    assert [each.code for each in stopped] == [143, 143], [each.output for each in stopped]
    assert all("stopped in epoch 2 of 3, after step" in each.output for each in stopped)
    assert "completed work is kept in the run of worker 0" in stopped[1].output
    both = workers(["resume", run], {0: ("SIGKILL", 55), 1: ("SIGKILL", 58)})
    assert both[0].code == -9
    ended = workers(["train", "small.yaml", "--run-or-resume", "disturbed"])
    assert [each.code for each in ended] == [0, 0], [each.output for each in ended]
    assert content(run) == undisturbed
    again = workers(["train", "small.yaml", "--run-or-resume", "disturbed"])
    assert [each.code for each in again] == [0, 0], [each.output for each in again]
    assert "is complete: nothing to do" in again[0].output


def test_a_run_of_two_workers_is_reproduced_by_two(undisturbed: Any):
    command = [sys.executable, "-m", "dltool", "reproduce", "runs/small/0001"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "identical  3 epochs, all weights and metrics" in done.stdout
    ended = workers(["reproduce", "runs/small/0001"], size=3)
    assert [each.code for each in ended] == [2, 8, 8], [each.output for each in ended]
    assert "was trained by 2 workers, and this cluster has 3" in ended[0].output
    assert "dltool starts as many on this machine" in ended[0].output


def test_an_error_on_one_worker_ends_all_and_is_told(undisturbed: Any):
    chief, worker = workers(["train", "small.yaml", "--name", "failed"], {1: ("error", 20)})
    assert (chief.code, worker.code) == (8, 5)
    assert "out of memory at batch size 48" in worker.output
    assert "ended: out of memory at batch size 48; this was in epoch 1 of 3" in chief.output
    assert "Traceback" not in chief.output + worker.output
    wrong = workers(["resume", "runs/failed/0001"], size=1)
    assert wrong[0].code == 5
    assert "workers was 2 and is 1" in wrong[0].output
    alone = workers(["resume", "runs/failed/0001", "--allow-change"], size=1)
    assert alone[0].code == 0
    assert "workers was 2 and is 1" in alone[0].output


def test_a_frozen_worker_is_lost():
    chief, _ = workers(["train", "small.yaml", "--name", "frozen"], {0: ("impatient", 0), 1: ("SIGSTOP", 20)})
    assert chief.code == 8
    assert "has been silent for " in chief.output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--seed", "8"], 2, "has seed 8, and the chief 7"),
        (["--set", "training.threads=2"], 2, "has training.threads 2, and the chief 1"),
        (["--set", "data.source.csv=other.csv"], 3, "has other data"),
    ],
    ids=["config", "threads", "data"],
)
def test_a_worker_that_differs_is_named_before_training(folder: Path, arguments: list[str], code: int, words: str):
    rows = [f"{number % 7},{number % 5},{number % 2}" for number in range(60)]
    for name, changed in (("own", "1"), ("other", "2")):
        (folder / f"{name}.csv").write_text("\n".join(["a,b,y", *rows, f"1,{changed},1"]), encoding="utf-8")
    text = CONFIG.replace("source: digits", "source: {csv: own.csv}\n  target: y\n  inputs: {a: number, b: number}")
    start, end = text.index("  preprocessing"), text.index("training:")
    layers = "model:\n  layers:\n    - Dense: {units: $classes, activation: softmax}\n"
    (folder / "table.yaml").write_text(text[:start] + layers + text[end:], encoding="utf-8")
    ended = workers(["train", "table.yaml"], worker1=arguments)
    for each in ended:
        assert each.code == code, each.output
        assert "worker 1 of 2" in each.output
        assert words in each.output


def test_a_batch_that_cannot_be_shared_is_refused_at_its_line():
    (ended,) = [workers(["train", "small.yaml", "--set", "training.batch_size=47"])]
    assert [each.code for each in ended] == [2, 2], [each.output for each in ended]
    assert "47 examples cannot be shared by 2 workers" in ended[0].output
    assert "batch_size: 46 or 48" in ended[0].output


SHARDS = """
name: shards
seed: 3
data:
  source: {parquet: table}
  target: kind
  shuffle: {window: 4}
  split: {validation: 0.1, test: 0.1}
model: {layers: [{Dense: {units: 8, activation: relu}}, {Dense: {units: $classes, activation: softmax}}]}
training:
  {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 2, batch_size: 32, threads: 1}
"""


def test_workers_divide_the_rows_of_shards(folder: Path):
    (folder / "table").mkdir()
    random = np.random.default_rng(0)
    for number in range(3):
        values = random.normal(size=(500, 2))
        columns = {"one": values[:, 0], "two": values[:, 1], "kind": np.where(values.sum(axis=1) > 0, "a", "b")}
        parquet.write_table(pa.table(columns), folder / "table" / f"{number}.parquet", row_group_size=100)
    (folder / "shards.yaml").write_text(SHARDS, encoding="utf-8")
    for options in ([], ["--workers", "2"]):
        command = [sys.executable, "-m", "dltool", "train", "shards.yaml", "--quiet", *options]
        subprocess.run(command, cwd=folder, check=True, timeout=200, stdout=subprocess.DEVNULL)
    alone, together = (open_run(folder / "runs/shards" / number).read_metrics()[-1] for number in ("0001", "0002"))
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert together[name] == pytest.approx(alone[name], abs=1e-6)
