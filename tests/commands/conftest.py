"""Small trainings that several tests look at."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.worker_runs import CONFIG, content


@pytest.fixture
def train(tmp_path: Path, dltool) -> Callable[..., tuple[object, Path]]:
    """Train a config text in a folder of its own: `outcome, run = train(text, "--seed", "3")`."""

    def run(text: str, *arguments: str, folder: str = "runs"):
        path = tmp_path / "example.yaml"
        path.write_text(text, encoding="utf-8")
        outcome = dltool("train", path, "--runs", tmp_path / folder, *arguments)
        runs = sorted((tmp_path / folder).glob("*/[0-9]*"), key=lambda found: found.stat().st_mtime_ns)
        return outcome, runs[-1] if runs else tmp_path / folder

    return run


@pytest.fixture(scope="session")
def trained_once() -> dict[object, tuple[Path, Path]]:
    """Of a config and the files beside it: the folder where they were trained, and a copy of its runs."""
    return {}


@pytest.fixture
def finished(train, tmp_path: Path, tmp_path_factory, trained_once, request) -> Callable[..., Path]:
    """A complete run of a config text and the files in the test's folder: trained once, for the others a copy."""

    def finish(text: str, folder: str = "runs") -> Path:
        files = sorted(path for path in tmp_path.iterdir() if path.is_file() and path.name != "example.yaml")
        key = (text, "draws" in request.fixturenames, *((path.name, path.read_bytes()) for path in files))
        runs = tmp_path / folder
        if key not in trained_once:
            outcome, run = train(text, folder=folder)
            assert outcome.code == 0, outcome.stderr
            copy = tmp_path_factory.mktemp("trained") / "runs"
            shutil.copytree(runs, copy, symlinks=True)
            trained_once[key] = (tmp_path, copy)
            return run
        before, copy = trained_once[key]
        shutil.copytree(copy, runs, symlinks=True)
        (tmp_path / "example.yaml").write_text(text, encoding="utf-8")
        (run,) = (path for path in runs.glob("*/[0-9]*") if not path.is_symlink())
        for name in ("run.json", "resolved.yaml", "origins.json", "log.txt"):
            file = run / name
            file.write_text(file.read_text("utf-8").replace(f"{before}/", f"{tmp_path}/"), encoding="utf-8")
        return run

    return finish


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the config of a small run of several workers."""
    found = tmp_path_factory.mktemp("workers")
    (found / "small.yaml").write_text(CONFIG, encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> Any:
    """The last state of a run of two local workers in that folder."""
    command = [sys.executable, "-m", "dltool", "train", "small.yaml", "--workers", "2", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stderr) == (0, "")
    assert '"epochs": 3' in done.stdout
    return content(folder / "runs" / "small" / "0001")
