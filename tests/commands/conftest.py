"""Small trainings that several tests look at."""

from collections.abc import Callable
from pathlib import Path

import pytest


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
