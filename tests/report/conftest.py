"""A small run on a table whose names would be dangerous on a page, trained once."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.in_process import command

CLASSES = ("<script>alert(1)</script>", "[/foo]", "\x1b[31mred", "=cmd()")
COLUMN = '"><img src=x onerror=alert(1)>'
CONFIG = """\
name: hostile
seed: 3
data:
  source: {csv: table.csv}
  target: kind
  split: {validation: 0.2, test: 0.2}
model:
  layers:
    - Dense: {units: 16, activation: relu, name: first}
    - Dense: {units: 16, activation: relu}
    - Add: {from: [first, second]}
    - Dense: {units: $classes, activation: softmax}
training:
  optimizer: {Adam: {learning_rate: 0.02}}
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  epochs: 3
"""


@pytest.fixture(autouse=True)
def drawn(draws: None) -> None:
    """Here everything is drawn."""


class Page(HTMLParser):
    """What stands in a page: (tag, attributes) of each element, and its texts by tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@dataclass(frozen=True)
class Reported:
    """A run directory with its report."""

    run: Path

    @cached_property
    def html(self) -> str:
        return (self.run / "report.html").read_text("utf-8")

    @cached_property
    def page(self) -> Page:
        return Page(self.html)

    @cached_property
    def numbers(self) -> dict[str, Any]:
        return json.loads((self.run / "report.json").read_text("utf-8"))

    def json(self, name: str) -> dict[str, Any]:
        return json.loads((self.run / name).read_text("utf-8"))


def write_table(file: Path) -> None:
    random = np.random.default_rng(0)
    lines = [f'size,"{COLUMN.replace(chr(34), chr(34) * 2)}",tell,kind']
    for row in range(240):
        kind = row % 4
        lines.append(f"{random.normal(kind, 1):.3f},{'abc'[row % 3]},{kind * 10 + random.random():.3f},{CLASSES[kind]}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def reported(tmp_path_factory) -> Reported:
    folder = tmp_path_factory.mktemp("reported")
    write_table(folder / "table.csv")
    (folder / "hostile.yaml").write_text(CONFIG.replace("relu}\n    - Add", "relu, name: second}\n    - Add"), "utf-8")
    return Reported(trained(folder / "hostile.yaml", folder / "runs"))


def trained(config: Path, runs: Path) -> Path:
    """Train in this process; the run directory."""
    assert command("train", config, "--runs", runs, "--quiet", draws=True) == 0
    (run,) = runs.glob("*/0001")
    return run


@pytest.fixture
def again(reported: Reported, dltool) -> Callable[..., tuple[Any, Reported]]:
    """`dltool report` on a run: the outcome of the command, and the report."""

    def call(run: Path, *arguments: str | Path) -> tuple[Any, Reported]:
        return dltool("report", run, *arguments), Reported(run)

    return call
