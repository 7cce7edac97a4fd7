"""One reading for several runs: when it is used again, and that it changes nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dltool.config.load import build_config, read_document, read_recorded
from dltool.config.schema import Config, Data
from dltool.config.text.dump import dump_yaml
from dltool.data import shared
from dltool.data.dataset import load_data, load_sources
from dltool.data.examples import SourceExamples
from dltool.data.shared import SharedSource

CONFIG = """\
name: flats
data:
  source: {csv: flats.csv}
  target: price
  split: {validation: 0.2, test: 0.2}
model: {layers: [Dense: 1]}
training: {optimizer: adam, loss: mse, epochs: 1}
"""
WINDOWS = ("data.target=null", "data.windows={length: 2, target: price}")


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Config]:
    rows = [f"{place},{place % 4},{'abc'[place % 3]},{place * 7 % 10}" for place in range(40)]
    (tmp_path / "flats.csv").write_text("row,rooms,town,price\n" + "\n".join(rows) + "\n")
    (tmp_path / "flats.yaml").write_text(CONFIG)
    return lambda *settings: build_config(read_document(tmp_path / "flats.yaml", settings))


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []

    def counted(data: Data) -> SourceExamples:
        found.append(data.source.name)
        return load_sources(data)

    monkeypatch.setattr(shared, "load_sources", counted)
    return found


@pytest.mark.parametrize(
    "setting",
    ["seed=5", "data.split.seed=5", "data.split.test=0.4", "data.split.use=0.5", "data.preprocessing=[Flatten]"],
)
def test_another_division_of_the_same_rows_needs_no_second_reading(config, readings, setting):
    read = SharedSource()
    for each in (config(), config(setting)):
        once, alone = load_data(each.data, each.seed, read=read), load_data(each.data, each.seed)
        assert once.fingerprint == alone.fingerprint
        assert all(
            np.array_equal(a, b) for a, b in zip(vars(once.split).values(), vars(alone.split).values(), strict=True)
        )
    assert readings == ["csv"]


@pytest.mark.parametrize("setting", ["data.split.group=town", "data.inputs={town: ignore}", "data.weights=rooms"])
def test_other_columns_are_read(config, readings, setting):
    read = SharedSource()
    for each in (config(), config(setting), config()):
        assert load_data(each.data, 0, read=read).fingerprint == load_data(each.data, 0).fingerprint
    assert len(readings) == 3


def test_windows_are_read_again_for_another_division(config, readings):
    read = SharedSource()
    for setting in ("data.split.test=0.2", "data.split.test=0.4", "data.split.test=0.4"):
        load_data(config(*WINDOWS, setting).data, 0, read=read)
    assert len(readings) == 2


def test_the_config_of_a_run_has_the_reading_of_the_config_that_began_it(config, readings):
    read = SharedSource()
    written = config()
    dataset = load_data(written.data, 0, read=read)
    resolved = read_recorded(dump_yaml(dataset.in_force(written)).encode(), "resolved.yaml")
    assert resolved.data != written.data
    assert load_data(resolved.data, 0, read=read).fingerprint == dataset.fingerprint
    assert readings == ["csv"]
