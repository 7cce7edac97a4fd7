"""What the tests share: the command line in this process, and golden files."""

import functools
import gc
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer.main
from hypothesis import HealthCheck, settings
from tests.in_process import without_drawing

from dltool import cli
from dltool.environment import EXPRESSIONS
from dltool.imports import SELDOM, prefer_onednn
from dltool.runs.files import digest

if TYPE_CHECKING:
    import keras

# As in every process of dltool. TensorFlow reads the first when it is imported.
prefer_onednn()
gc.set_threshold(*SELDOM)
# This process is not dltool's own: it trains many models, all with the same number of threads.
vars(cli)["begin_own_process"] = prefer_onednn
# It makes the command line anew for each command, which takes as long as most of them.
vars(typer.main)["get_command"] = functools.cache(typer.main.get_command)

GOLDEN = Path(__file__).parent / "golden"

# Machines that run tests have other work too: how long an example takes says nothing. The tests that run on every
# change try the same few examples each time; `make test-all` tries more, and new ones.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", PATIENT, derandomize=True, max_examples=50)
settings.register_profile("exploring", PATIENT)
settings.load_profile("repeatable")


def pytest_collection_finish() -> None:
    """Search for garbage among what tests make, not among what is imported, as in a process of dltool's own."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def pinned_threads() -> None:
    """Pin TensorFlow's threads before any test runs an operation; a training in this process pins the same number."""
    if "tensorflow" in sys.modules:
        from dltool.training.numerics import pin

        pin(0)


@pytest.fixture(scope="session", autouse=True)
def own_weights() -> None:
    """Let a process of its own check only weights that this process has not written: it takes 0.2 seconds to start."""
    if "tensorflow" in sys.modules:
        from dltool.model import saving

        save, check, known = saving.save_weights, saving.refuse_damaged, set[str]()

        def saved(core: "keras.Model", path: Path) -> None:
            save(core, path)
            known.add(digest(path.read_bytes()))

        def checked(path: Path, *, is_signed: bool = True) -> None:
            if digest(path.read_bytes()) not in known:
                check(path, is_signed=is_signed)

        vars(saving).update(save_weights=saved, refuse_damaged=checked)


@pytest.fixture(autouse=True)
def forgotten_environment() -> None:
    """Let no test conceal what another one has read from the environment: a process has one command."""
    EXPRESSIONS.clear()


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code and what it printed."""

    code: int
    stdout: str
    stderr: str


@pytest.fixture
def draws() -> None:
    """Tests that ask for it get figures, baselines and reports, which take a second."""


@pytest.fixture
def dltool(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> Callable[..., Outcome]:
    """Run the command line in this process: `dltool("check", "a.yaml")`."""
    if "draws" not in request.fixturenames:
        without_drawing(monkeypatch)

    def run(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["dltool", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "80")
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        printed = capfd.readouterr()
        return Outcome(int(stopped.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare a text with a golden file; `UPDATE_GOLDEN=1 pytest …` writes the file instead."""

    def compare(name: str, text: str) -> None:
        file = GOLDEN / f"{name}.txt"
        if os.environ.get("UPDATE_GOLDEN"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert text == file.read_text(encoding="utf-8")

    return compare
