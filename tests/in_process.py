"""The command line in this process, for fixtures of a module or a session."""

import sys
from pathlib import Path
from typing import Any

import pytest

from dltool import cli


def without_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    from dltool.commands import evaluate
    from dltool.experiment import finishing, new_training, resuming
    from dltool.experiment.assessing import assessed

    def undrawn(config: Any, dataset: Any, built: Any, examples: Any, warn: Any, *parts: Any) -> Any:
        return assessed(config, dataset, built, examples, None, *parts)

    for module in (finishing, evaluate):
        monkeypatch.setattr(module, "assessed", undrawn)
    for module in (new_training, resuming):
        monkeypatch.setattr(module, "report_of_training", lambda *_: None)


def command(*arguments: str | Path, draws: bool = False) -> int:
    """Return the exit code. It `draws` figures, baselines and reports only if asked, as they take a second."""
    with pytest.MonkeyPatch.context() as patch:
        if not draws:
            without_drawing(patch)
        patch.setattr(sys, "argv", ["dltool", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    return int(stopped.value.code or 0)
