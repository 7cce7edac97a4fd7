"""Runs of several workers on this machine, disturbed at chosen moments: for tests.

    python -m tests.worker_runs FOLDER COUNT

kills the worker, the chief and both at COUNT random moments each, resumes, and compares with a run that was not
disturbed: it prints how many are identical."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dltool.console.local_workers import free_ports
from dltool.runs.checkpoint_file import newest_checkpoint

SCRIPT = Path(__file__).parent / "worker_process.py"
CONFIG = """
name: small
seed: 7
data:
  source: digits
  split: {validation: 0.15, test: 0.2}
  preprocessing:
    - Rescaling: {scale: $(1 / 16)}
model:
  layers:
    - Conv2D: {filters: 4, kernel_size: 3, use_bias: false}
    - BatchNormalization
    - ReLU
    - Dropout: 0.25
    - Flatten
    - Dense: {units: $classes, activation: softmax, kernel_regularizer: {L2: 1e-4}}
training:
  optimizer: {Adam: {learning_rate: 2e-3, use_ema: true, ema_momentum: 0.9, global_clipnorm: 1.0}}
  loss: sparse_categorical_crossentropy
  class_weights: balanced
  metrics: [accuracy]
  batch_size: 48
  epochs: 3
  threads: 1
  checkpoint: {every: 7 steps}
  callbacks:
    - ReduceLROnPlateau: {monitor: val_loss, patience: 1}
"""
STEPS = 75


@dataclass(frozen=True)
class Ended:
    code: int
    output: str


def workers(
    arguments: list[Any], events: Mapping[int, tuple[str, int]] = {}, size: int = 2, **own: list[str]
) -> list[Ended]:
    """Run `dltool` with the arguments as so many workers; return how they ended. `events` are by rank, see
    `worker_process.py`; `own` are further arguments of a worker, by `worker1`."""
    addresses = ",".join(f"127.0.0.1:{port}" for port in free_ports(size))
    processes = []
    for rank in range(size):
        event, step = events.get(rank, ("nothing", 0))
        further = own.get(f"worker{rank}", [])
        command = [sys.executable, SCRIPT, event, step, *arguments, *further, "--cluster", addresses, "--worker", rank]
        processes.append(
            subprocess.Popen(
                [str(each) for each in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
    frozen = [rank for rank, (event, _) in events.items() if event == "SIGSTOP"]
    end = time.monotonic() + 200
    try:
        while time.monotonic() < end and any(p.poll() is None for r, p in enumerate(processes) if r not in frozen):
            time.sleep(0.05)
    finally:
        for process in processes:
            process.kill()
    outputs = [process.communicate()[0] for process in processes]
    return [Ended(int(process.returncode), output) for process, output in zip(processes, outputs, strict=True)]


def content(run: Path) -> tuple[dict[str, Any], list[Any]]:
    """Return the last state of a run: its arrays, as bytes, and its epochs."""
    checkpoint, skipped = newest_checkpoint(run / "checkpoints")
    assert not skipped
    epochs = [{**line, "seconds": 0} for line in checkpoint.state["position"]["history"]]
    return {name: array.tobytes() for name, array in checkpoint.arrays}, epochs


def main(folder: Path, count: int) -> None:
    os.chdir(folder)
    Path("small.yaml").write_text(CONFIG, encoding="utf-8")
    workers(["train", "small.yaml", "--runs", "runs"])
    expected = content(Path("runs/small/0001"))
    draws = random.Random(0)
    found: list[bool] = []
    for number in range(count):
        for ranks in ((1,), (0,), (0, 1)):
            name = f"killed-{number}-{len(found)}"
            events = {rank: ("SIGKILL", draws.randrange(STEPS)) for rank in ranks}
            workers(["train", "small.yaml", "--runs", "runs", "--run-or-resume", name], events)
            ended = workers(["train", "small.yaml", "--runs", "runs", "--run-or-resume", name])
            found.append(
                [each.code for each in ended] == [0, 0] and content(Path("runs") / name / "latest") == expected
            )
            print(json.dumps(events), found[-1], flush=True)
    print(f"{sum(found)} of {len(found)} identical")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
