"""The wheel: what it holds, and that dltool works where nothing else of the project is."""

import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
VERSION = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
RECORDS = f"dltool_train-{VERSION}.dist-info"

pytestmark = pytest.mark.slow


def execute(*command: str | Path, **options) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", folder)
    execute(sys.executable, "-m", "pip", "wheel", *options, PROJECT)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel, and the installed packages of this one below it."""
    folder = tmp_path_factory.mktemp("environment")
    execute(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    execute(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    packages = Path(execute(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (packages / "below.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder


def files_in(folder: Path, become: str) -> set[str]:
    files = (file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {f"{become}/{file.relative_to(folder).as_posix()}" for file in files}


def test_the_wheel_holds_the_package_its_data_the_templates_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(f"{RECORDS}/METADATA").decode()
    records = {name for name in names if name.startswith(f"{RECORDS}/")}
    assert names - records == files_in(PROJECT / "src" / "dltool", "dltool") | files_in(
        PROJECT / "configs", "dltool/templates"
    )
    assert {"dltool/py.typed", "dltool/templates/digits.yaml"} <= names
    assert {f"{RECORDS}/entry_points.txt", f"{RECORDS}/licenses/LICENSE"} <= records
    assert "\nName: dltool-train\n" in metadata


def test_dltool_trains_its_own_template_where_only_the_wheel_is_installed(environment: Path, tmp_path: Path) -> None:
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def dltool(*arguments: str) -> str:
        return execute(environment / "bin" / "dltool", *arguments, cwd=tmp_path, env=plain)

    place = execute(
        environment / "bin" / "python", "-c", "import dltool; print(dltool.__file__)", cwd=tmp_path, env=plain
    )
    assert Path(place).is_relative_to(environment)
    assert dltool("--version") == f"dltool {VERSION}\n"
    assert "digits" in dltool("init", "--list")
    (tmp_path / "digits.yaml").write_text(dltool("init", "digits"), encoding="utf-8")
    dltool("train", "digits.yaml", "--smoke")
    dltool("train", "digits.yaml")
    assert (tmp_path / "runs" / "digits" / "0001" / "report.html").is_file()
