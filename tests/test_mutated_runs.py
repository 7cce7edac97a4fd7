"""Whatever is done to a file of a run, its readers use it or name it: no crash, no hang, no control characters."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from tests import damaged_files as damaged
from tests.damaged_files import Damage
from tests.fuzzing import Wrong, hunt, refuse_control
from tests.test_bad_runs import CONFIG, write_data

from dltool.commands.compare import compare
from dltool.commands.evaluate import EvaluationChoice, evaluate
from dltool.commands.predict import predict
from dltool.commands.report import report
from dltool.console.problems import render_error
from dltool.errors import DltoolError
from dltool.model import weights_file
from dltool.model.column_states import load_columns
from dltool.model.preprocessing import load_preprocessing
from dltool.runs.checkpoint_file import newest_checkpoint
from dltool.runs.files import Run, digest
from dltool.runs.summaries import summaries

MANY = 3_000
USED = 50
"""In one case of so many the run is evaluated, reported and used to predict, which takes seconds."""
NPZ = damaged.some_of(damaged.inside_zip(damaged.some_of(damaged.npy)), damaged.zip_fields)
JSON = damaged.some_of(damaged.json_tree, damaged.json_tree)
FILES: dict[str, Damage] = {
    "run.json": JSON,
    "results.json": JSON,
    "metrics.jsonl": damaged.some_of(damaged.json_lines),
    "origins.json": JSON,
    "resolved.yaml": damaged.raw,
    "config.yaml": damaged.raw,
    "evaluation/test/metrics.json": JSON,
    "evaluation/test/examples.npz": NPZ,
    "checkpoints/best.weights.h5": damaged.raw,
    "checkpoints/*.ckpt": damaged.some_of(damaged.checkpoint, damaged.checkpoint),
    "preprocessing/*/*": NPZ,
    "split.npz": NPZ,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The folder of two completed runs."""
    folder = tmp_path_factory.mktemp("mutated")
    write_data(folder)
    (folder / "example.yaml").write_text(CONFIG, encoding="utf-8")
    for seed in ("0", "1"):
        command = [sys.executable, "-m", "dltool", "train", "example.yaml", "--quiet", "--seed", seed]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    return folder


@dataclass
class Attempt:
    """Damages one file of the second run and lets the readers of runs read it."""

    folder: Path
    name: str = ""
    content: bytes = b""

    @property
    def run(self) -> Run:
        return Run(self.folder / "runs/example/0002")

    def __call__(self, source: random.Random) -> None:
        pattern = source.choice(list(FILES))
        file = source.choice(sorted(self.run.path.glob(pattern)))
        self.name = str(file.relative_to(self.run.path))
        before, record = file.read_bytes(), self.run.record.read_bytes()
        self.content = FILES[pattern](source, before)
        file.write_bytes(self.content)
        if source.random() < 0.5:
            mend_record(self.run, self.name, self.content)
        try:
            for read in self.readers(pattern, source.random() < 1 / USED):
                self.attempt(read)
        finally:
            file.write_bytes(before)
            self.run.record.write_bytes(record)

    def attempt(self, read: Callable[[], Any]) -> None:
        try:
            read()
        except DltoolError as error:
            text = render_error(error, None).plain
            refuse_control(text)
            if len(text) > 20_000:
                raise Wrong(f"{text[:2000]}\na message of {len(text):,} characters") from None
            if Path(self.name).name not in text and str(self.run.path) not in text:
                raise Wrong(f"{text[:2000]}\nno file: {text[:80]}") from None

    def readers(self, pattern: str, is_used: bool) -> list[Callable[[], Any]]:
        path, other = self.run.path, self.run.path.with_name("0001")
        page = self.folder / "page.html"
        readers: list[Callable[[], Any]] = []
        match pattern.partition("/")[0]:
            case "checkpoints":
                readers = [lambda: newest_checkpoint(self.run.checkpoints)]
            case "preprocessing":
                readers = [
                    lambda: load_preprocessing(self.run.preprocessing),
                    lambda: load_columns(self.run.preprocessing),
                ]
            case _:
                readers = [lambda: summaries(self.folder / "runs"), lambda: compare([path, other], page)]
        if pattern.endswith(".h5"):
            readers = [self.load_weights]
        if is_used and not pattern.endswith(".h5"):
            progress = MagicMock()
            readers += [
                lambda: evaluate(path, choice=EvaluationChoice(draws=False), progress=progress),
                lambda: predict(path, [str(self.folder / "own.npz")], None, progress),
                lambda: report(path, page, progress),
            ]
        return readers

    @cached_property
    def model(self) -> Any:
        from dltool.experiment.opening import best_model, recorded_kind

        clean = Run(self.run.path.with_name("0001"))
        return best_model(clean, *recorded_kind(clean)).core

    def load_weights(self) -> None:
        """Load what a process of its own has read to its end, as `load_weights` does."""
        from dltool.model.saving import load_weights

        model = self.model
        if read_in_fork(self.run.best_weights) == 0:
            load_weights(model, self.run.best_weights, is_own=True)

    def describe(self) -> str:
        return f"{self.name}\n{self.content[:1500]!r}"


def read_in_fork(path: Path) -> int:
    """The exit code of the check of weights, or the signal that ended it; a new interpreter would take a second."""
    child = os.fork()
    if not child:
        code = 1
        with suppress(BaseException):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            weights_file.main(path)
            code = 0
        os._exit(code)
    return os.waitpid(child, 0)[1]


def mend_record(run: Run, name: str, content: bytes) -> None:
    """Record the damaged file in run.json as if it had always been so."""
    with suppress(ValueError):
        record = json.loads(run.record.read_bytes())
        if name == "resolved.yaml":
            record["resolved"] = content.decode()
        elif name.startswith("preprocessing/"):
            record["preprocessing"][name.removeprefix("preprocessing/")] = digest(content)
        else:
            return
        run.record.write_text(json.dumps(record), "utf-8")


def hunt_runs(count: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_file, "SECONDS", 1)
    attempt = Attempt(folder)
    assert attempt.model is not None
    hunt(count, attempt, attempt.describe, folder / "case.txt")


@pytest.mark.slow
def test_a_damaged_file_of_a_run_is_read_or_named(folder, monkeypatch) -> None:
    hunt_runs(MANY, folder, monkeypatch)
