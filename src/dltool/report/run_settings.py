"""The settings of a run in its report: every config value in force, and the machine."""

from collections.abc import Mapping
from itertools import islice

from dltool.config.schema import Config
from dltool.config.text.dump import leaves, plain_config
from dltool.config.text.tree import format_path
from dltool.runs.records import RunContents, numbers, one_line
from dltool.text import value_text

MOST_SETTINGS = 2000


def settings(config: Config, origins: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return every config value in force, and its origin if the run has it, by path."""
    values = {format_path(path): value for path, value in islice(leaves(plain_config(config), ()), MOST_SETTINGS)}
    return {place: {"value": value_text(value), "origin": origins.get(place, "")} for place, value in values.items()}


def environment(record: RunContents) -> dict[str, str]:
    run, machine, git = record.run, record.run.machine, record.run.git or {}
    memory, commit = numbers(machine).get("memory"), one_line(git.get("commit"))
    dirty = ", with uncommitted changes" if git.get("dirty") is True else ""
    found = {
        "seed": one_line(run.seed),
        "git commit": f"{commit}{dirty}" if commit else "",
        "processor": one_line(machine.get("cpu")),
        "cores": one_line(machine.get("cores")),
        "memory": f"{memory / 2**30:.1f} GiB" if memory else "",
        "system": one_line(machine.get("platform")),
        "Python": one_line(machine.get("python")),
        "versions": one_line(machine.get("versions")),
        "environment variables": one_line(machine.get("environment")),
        "pinned": one_line(run.pinned),
        "own code": one_line([each.file for each in run.code]),
    }
    return {name: value for name, value in found.items() if value}
