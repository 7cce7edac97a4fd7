"""Commands that install missing packages, whatever dltool was installed from. Imports nothing slow."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement

DISTRIBUTION = "dltool-train"
"""The name to install by. `dltool` is another project on the public package index and must never be installed."""
SET_UP = "run `make setup` in the clone of dltool"
UPDATE = "update dltool: `git pull` and `make setup` in its clone, or install a newer wheel"


def requirements(extra: str = "") -> "list[Requirement]":
    """Return the requirements of dltool, or the additional ones of its `extra`, by its installed metadata. Raises
    PackageNotFoundError: dltool runs from its source without being installed."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    every = [Requirement(text) for text in requires(DISTRIBUTION) or []]
    always = [each for each in every if each.marker is None or each.marker.evaluate({"extra": ""})]
    more = [each for each in every if each not in always and each.marker and each.marker.evaluate({"extra": extra})]
    return more if extra else always


def install_extra(extra: str) -> str:
    """Return the command that installs the requirements of an extra of dltool."""
    from importlib.metadata import PackageNotFoundError

    try:
        packages = [f"{each.name}{each.specifier}" for each in requirements(extra)]
    except PackageNotFoundError:
        packages = []
    # Package names instead of the distribution or a folder: they can be installed anywhere.
    return pip_install(*packages) if packages else SET_UP


def pip_install(*arguments: str) -> str:
    """Return the command that installs packages into the environment of this process."""
    quoted = (each if shlex.quote(each) == each else f'"{each}"' for each in arguments)
    return f"run: {pip_command()} install {' '.join(quoted)}"


def pip_command() -> str:
    """Return `pip` if the shell finds this environment's own, else the command that runs it by the path of Python."""
    python = Path(sys.executable)
    shell_pip = shutil.which("pip")
    if shell_pip is not None and Path(shell_pip).parent == python.parent:
        return "pip"
    shown = python.relative_to(os.getcwd()) if python.is_relative_to(os.getcwd()) else python
    return f"{shlex.quote(str(shown))} -m pip"
