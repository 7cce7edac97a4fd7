"""Provenance of a run: its settings, machine and commands."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from dltool.config.schema import Config
from dltool.config.text.dump import leaves, plain_config
from dltool.config.text.tree import format_path
from dltool.keras_names import code_options
from dltool.runs.records import RunContents, numbers, words
from dltool.text import value_text

MOST_SETTINGS = 2000


@dataclass(frozen=True)
class Setting:
    """A value of the config in force, and its origin if the run has it."""

    place: str
    value: str
    origin: str


def settings(config: Config, origins: Mapping[str, str]) -> list[Setting]:
    """Return every config value in force with its origin."""
    values = [(format_path(path), value) for path, value in islice(leaves(plain_config(config), ()), MOST_SETTINGS)]
    return [Setting(place, value_text(value), origins.get(place, "")) for place, value in values]


def environment(record: RunContents) -> dict[str, str]:
    run, machine, git = record.run, record.run.machine, record.run.git or {}
    memory, commit = numbers(machine).get("memory"), words(git.get("commit"))
    dirty = ", with uncommitted changes" if git.get("dirty") is True else ""
    found = {
        "seed": words(run.seed),
        "git commit": f"{commit}{dirty}" if commit else "",
        "processor": words(machine.get("cpu")),
        "cores": words(machine.get("cores")),
        "memory": f"{memory / 2**30:.1f} GiB" if memory else "",
        "system": words(machine.get("platform")),
        "Python": words(machine.get("python")),
        "versions": words(machine.get("versions")),
        "environment variables": words(machine.get("environment")),
        "pinned": words(run.pinned),
        "own code": words([each.file for each in run.code]),
    }
    return {name: value for name, value in found.items() if value}


def run_word(record: RunContents) -> str:
    return shlex.quote(record.path) + code_options()


def commands(record: RunContents) -> dict[str, str]:
    """Return commands for the run by their purpose."""
    run = run_word(record)
    return {
        "train again and compare bit by bit": f"dltool reproduce {run}",
        "evaluate again": f"dltool evaluate {run}",
        "predict new data": f"dltool predict {run} FILE",
        "train for more epochs": f"dltool resume {run} --epochs {2 * max(1, len(record.lines))}",
        "write this report again": f"dltool report {run}",
    }
