"""What messages say to install, wherever dltool was installed from."""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from dltool import installation
from dltool.installation import DISTRIBUTION, SET_UP, install_extra, pip_command, pip_install, requirements

PROJECT = Path(__file__).parents[1]
METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_distribution_has_the_name_of_the_project_file() -> None:
    assert METADATA["name"] == DISTRIBUTION
    assert metadata.version(DISTRIBUTION) == METADATA["version"]


def test_requirements_are_those_of_the_project_file() -> None:
    assert set(requirements()) == set(map(Requirement, METADATA["dependencies"]))


@pytest.mark.parametrize("extra", ["tensorboard", "mlflow", "torch"])
def test_an_extra_is_installed_by_its_packages_and_never_by_the_name_of_another_project(extra, monkeypatch) -> None:
    monkeypatch.setattr(installation, "pip_command", lambda: "pip")
    packages = [f'"{package}"' for package in METADATA["optional-dependencies"][extra]]
    assert install_extra(extra) == f"run: pip install {' '.join(packages)}"


def test_without_an_installation_or_such_an_extra_the_clone_is_to_be_set_up(monkeypatch) -> None:
    assert install_extra("later") == SET_UP
    monkeypatch.setattr(installation, "DISTRIBUTION", "dltool-is-not-installed")
    assert install_extra("mlflow") == SET_UP


def test_pip_is_named_so_that_it_installs_into_this_environment(tmp_path, monkeypatch) -> None:
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "pip").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(folder))
    assert pip_install("a[b]>=1", "c") == 'run: pip install "a[b]>=1" c'
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pip_command() == f"{folder / 'python'} -m pip"
    monkeypatch.chdir(tmp_path)
    assert pip_command() == ".venv/bin/python -m pip"


def test_nothing_tells_a_user_to_install_what_another_project_publishes() -> None:
    texts = [*(PROJECT / "src").rglob("*.py"), *(PROJECT / "docs").rglob("*.md"), *PROJECT.glob("*.md")]
    wrong = re.compile(r"""pip install [^\n`]*["' ]dltool\b(?!-train)""")
    assert [text for text in texts if wrong.search(text.read_text(encoding="utf-8"))] == []
