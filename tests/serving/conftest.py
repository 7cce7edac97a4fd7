"""Small runs that are served, trained once, and a client that asks them in this process."""

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from tests.in_process import command

from dltool.serving.app import Service, application
from dltool.serving.limits import Guard, Limits

TABLE = """\
name: flowers
seed: 1
data:
  source: {csv: flowers.csv}
  target: kind
  inputs:
    place: {category: {unknown: error, missing: error, strip: "."}}
    colour: category
    seen: {date: {missing: error}}
    wild: boolean
    size: {number: {missing: error}}
    age: number
  split: {validation: 0.2, test: 0.2}
model: {layers: [{Dense: {units: $classes, activation: softmax}}]}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 1}
"""
PICTURES = """\
name: pictures
seed: 1
data: {source: digits, split: {use: 0.1, validation: 0.2, test: 0.2}}
model: {layers: [Flatten, {Dense: {units: $classes, activation: softmax}}]}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 1}
"""
ROW = {"place": "north", "colour": "red", "seen": "2026-01-31", "wild": True, "size": 1.5, "age": 3}


def flowers(folder: Path, rows: int = 80) -> Path:
    random = np.random.default_rng(0)
    lines = ["place,colour,seen,wild,size,age,kind"]
    for row in range(rows):
        colour = ("red", "blue", "")[row % 3]
        size = random.normal(row % 2, 0.5)
        day = f"2025-{1 + row % 12:02}-{1 + row % 28:02}"
        place, wild = ("north", "south")[row % 2], "yes" if row % 5 else "no"
        lines.append(f"{place},{colour},{day},{wild},{size:.3f},{row % 9},{'ab'[row % 2]}")
    file = folder / "flowers.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def trained(folder: Path, config: str, name: str) -> Path:
    """Return the run of a config, trained in `folder`."""
    file = folder / f"{name}.yaml"
    file.write_text(config)
    # The ranges, outside of which an answer has a warning, are found with the figures.
    assert command("train", file, "--runs", folder / "runs", "--quiet", draws=True) == 0
    return folder / "runs" / name / "0001"


@pytest.fixture(scope="session")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    flowers(folder)
    return trained(folder, TABLE, "flowers")


@pytest.fixture(scope="session")
def picture_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("served"), PICTURES, "pictures")


@dataclass(frozen=True)
class Client:
    """A client of an application in this process."""

    service: Service
    app: Guard

    def __call__(self, method: str, path: str, **given: Any) -> httpx.Response:
        return asyncio.run(self.send([(method, path, given)]))[0]

    def together(self, requests: list[tuple[str, str, dict[str, Any]]]) -> list[httpx.Response]:
        """Return the answers to requests that are sent at the same time."""
        return asyncio.run(self.send(requests))

    def rows(self, *rows: Any, path: str = "/predict") -> httpx.Response:
        return self("POST", path, json={"rows": list(rows)})

    async def send(self, requests: list[tuple[str, str, dict[str, Any]]]) -> list[httpx.Response]:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            self.service.is_ready = True
            return await asyncio.gather(*(client.request(method, path, **given) for method, path, given in requests))


def client_of(*runs: Path, limits: Limits | None = None, key: str | None = None, engine: Any = "auto") -> Client:
    service = Service(runs, limits or Limits(), engine, follows=False, note=print)
    return Client(service, application(service, key))


@pytest.fixture(scope="session")
def table(table_run: Path) -> Client:
    return client_of(table_run)


@pytest.fixture(scope="session")
def pictures(picture_run: Path) -> Client:
    return client_of(picture_run)


def png(shape: tuple[int, ...], value: int = 7) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full(shape, value, np.uint8)).save(file, "PNG")
    return file.getvalue()


Problems = Callable[[httpx.Response], set[tuple[int | None, str | None]]]


@pytest.fixture
def problems() -> Problems:
    """Return the rows and fields of the problems in an answer."""
    return lambda answer: {(each["row"], each["field"]) for each in answer.json()["problems"]}
