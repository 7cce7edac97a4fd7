"""The command line in this process, for fixtures of a module or a session."""

import sys
from pathlib import Path

import pytest

from dltool import cli


def command(*arguments: str | Path) -> int:
    """Return the exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["dltool", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    return int(stopped.value.code or 0)
