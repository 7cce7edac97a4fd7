"""What the targets of the Makefile install and run, and in which order."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
FILES = ("Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock")

# `make test` tells the makes that it runs about itself.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL"}}

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that decide what is installed, in a folder that has no `.venv` yet."""
    for name in FILES:
        shutil.copy(PROJECT / name, tmp_path)
        os.utime(tmp_path / name, (1_000, 1_000))
    return tmp_path


def commands(folder: Path, target: str) -> str:
    """What `make TARGET` would run."""
    command = ["make", "--dry-run", target, f"PYTHON={sys.executable}"]
    return subprocess.check_output(command, cwd=folder, text=True, env=ENVIRONMENT)


def stamp(folder: Path, *names: str) -> None:
    (folder / ".venv").mkdir(exist_ok=True)
    for name in names:
        (folder / ".venv" / name).touch()
        os.utime(folder / ".venv" / name, (2_000, 2_000))


def test_a_demo_installs_what_users_need_and_a_test_what_developers_need(clone: Path) -> None:
    assert "--require-hashes -r requirements.lock\n" in commands(clone, "demo")
    assert "requirements-dev.lock" not in commands(clone, "demo")
    for target in ("setup", "test", "check", "docs"):
        assert "--require-hashes -r requirements-dev.lock\n" in commands(clone, target)


@pytest.mark.parametrize("version", ["3.10.1", "3.14.0"])
def test_a_python_that_tensorflow_does_not_support_is_refused_at_once(clone: Path, version: str) -> None:
    python = clone / "python"
    minor = version.split(".")[1]
    code = f"import sys; sys.version_info = (3, {minor}, 0); exec(sys.argv[1])"
    python.write_text(
        f'#!/bin/sh\nif [ "$1" = -c ]; then exec "{sys.executable}" -c "{code}" "$2"; fi\necho "Python {version}"\n',
        encoding="utf-8",
    )
    python.chmod(0o755)
    command = ["make", "demo", f"PYTHON={python}"]
    done = subprocess.run(command, cwd=clone, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"dltool needs Python 3.11, 3.12 or 3.13, as TensorFlow does; {python} is Python {version}." in done.stderr
    assert not (clone / ".venv").exists()


def test_nothing_is_installed_twice(clone: Path) -> None:
    stamp(clone, ".installed")
    assert "pip" not in commands(clone, "demo")
    assert "requirements-dev.lock" in commands(clone, "test")
    stamp(clone, ".installed", ".installed-dev")
    for target in ("demo", "setup", "test", "check"):
        assert "install" not in commands(clone, target).replace(".installed", "")


@pytest.mark.parametrize("changed", ["requirements.lock", "pyproject.toml"])
def test_a_changed_lock_is_installed(clone: Path, changed: str) -> None:
    stamp(clone, ".installed", ".installed-dev")
    os.utime(clone / changed, (3_000, 3_000))
    assert "-r requirements.lock" in commands(clone, "demo")


def test_a_stamp_is_written_last_so_that_an_interrupted_installation_is_taken_up_again(clone: Path) -> None:
    lines = commands(clone, "setup").splitlines()
    assert [line for line in lines if "touch" in line] == lines[-1:]
    assert "touch .venv/.installed .venv/.installed-dev" in lines[-1]


def test_what_an_interrupted_installation_had_not_unpacked_is_installed_again(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    for name in ("python", "dltool"):
        (clone / ".venv" / "bin" / name).write_text("#!/bin/sh\n", encoding="utf-8")
        (clone / ".venv" / "bin" / name).chmod(0o755)
    packages = clone / ".venv" / "lib" / "python3.12" / "site-packages"
    for name in ("whole", "half"):
        (packages / f"{name}-1.0.dist-info").mkdir(parents=True)
        (packages / f"{name}-1.0.dist-info" / "METADATA").touch()
    (packages / "whole-1.0.dist-info" / "INSTALLER").write_text("pip\n", encoding="utf-8")
    command = ["make", "demo", f"PYTHON={sys.executable}"]
    said = subprocess.check_output(command, cwd=clone, text=True, env=ENVIRONMENT)
    assert os.listdir(packages) == ["whole-1.0.dist-info"]
    steps = [line.split()[1] for line in said.splitlines() if line.startswith("== ")]
    assert steps == ["1/3", "2/3", "3/3", "Installed:", "Training:"]
    assert (clone / ".venv" / ".installed").exists()


def test_continuous_integration_ends_with_the_tests_and_these_with_the_summary_of_pytest(clone: Path) -> None:
    assert (PROJECT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] == "exec make test"
    stamp(clone, ".installed", ".installed-dev")
    (command,) = commands(clone, "test").splitlines()
    assert command.startswith(".venv/bin/python -m pytest")
    assert "--durations 20" in command
