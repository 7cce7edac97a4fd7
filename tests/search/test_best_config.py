"""The config that trials read, and the best one: the same experiment in any folder, in the user's own text."""

import os
from pathlib import Path
from typing import Any

import pytest

from dltool.config.load import build_config, read_document, with_option
from dltool.config.text.dump import plain_config
from dltool.config.whole_config import refuse_another, whole_config
from dltool.search.best_config import write_best
from dltool.search.space import read_space, with_values_at

CONFIGS = Path(__file__).parents[2] / "configs"
BASE = """\
data:
  source: {csv: flats.csv}
  target: price
  split: {validation: 0.2, test: 0.2}
training: {optimizer: {Adam: {learning_rate: 1e-3}}, loss: mse, epochs: 3}
"""
FLATS = """\
# Flats of the city
vars: {units: 8, file: flats.csv}  # sizes
data: {source: {csv: $file}, target: price, split: {validation: 0.2}}
model:
  layers:
    - Dense: {units: $units, activation: relu}
    - Dense: 1   # price
training: {optimizer: {Adam: {learning_rate: 1e-3}}, loss: mse, epochs: 3}

# What to try
search:
  space:
    vars.units: {integer: [2, 32]}
    training.optimizer.Adam.learning_rate: {log: [1e-4, 1e-1]}
"""
VALUES: dict[str, Any] = {"vars.units": 16, "training.optimizer.Adam.learning_rate": 0.01}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a config, its data, and a folder below it."""
    (tmp_path / "flats.csv").write_text("rooms,price\n" + "".join(f"{n},{n * 7 % 10}\n" for n in range(40)))
    (tmp_path / "runs/x").mkdir(parents=True)
    return tmp_path


def best_of(folder: Path, text: str, *settings: str, values: dict[str, Any] = VALUES) -> str:
    """Write the best config of a search, check that it is the trial's experiment, and return its text."""
    (folder / "flats.yaml").write_text(text)
    document = read_document(folder / "flats.yaml", settings)
    whole = folder / "runs/x/config.yaml"
    whole.write_bytes(whole_config(document))
    again = read_document(whole)
    refuse_another(document, again)
    trial = with_option(read_space(again).applied(again, values), "name", "flats")
    best = folder / "runs/x/best.yaml"
    write_best(best, document.content, document.path, trial, "The best")
    assert plain_config(build_config(read_document(best))) == plain_config(build_config(trial))
    return best.read_text()


def test_the_best_config_keeps_the_text_and_its_comments(folder):
    found = best_of(folder, FLATS)
    expected = FLATS.partition("\n\n# What to try")[0].replace("units: 8", "units: 16")
    expected = expected.replace("csv: $file", "csv: ../../flats.csv").replace("rate: 1e-3", "rate: 0.01")
    assert found == f"# The best\n{expected}\nname: flats\n"


def test_arguments_and_bases_are_in_it(folder):
    (folder / "base.yaml").write_text(BASE)
    text = "extends: base.yaml  # the data\n" + FLATS.replace(FLATS.splitlines(keepends=True)[2], "")
    found = best_of(folder, text, "training.batch_size=4")
    assert "extends: ../../base.yaml  # the data\n" in found
    assert "batch_size: 4" in found
    assert "csv" not in found.partition("vars:")[2].partition("\n")[2]


def test_an_absolute_path_and_one_from_the_environment_stay(folder, monkeypatch):
    monkeypatch.setenv("FLATS", str(folder))
    assert f"csv: {folder}/flats.csv" in best_of(folder, FLATS.replace("$file", str(folder / "flats.csv")))
    assert "csv: $(env.FLATS)/flats.csv" in best_of(folder, FLATS.replace("$file", "$(env.FLATS)/flats.csv"))


def test_a_text_that_cannot_be_edited_is_written_anew(folder):
    found = best_of(folder, "{" + ", ".join(line for line in (
        "data: {source: {csv: flats.csv}, target: price, split: {validation: 0.2}}",
        "vars: {units: 8}", "model: {layers: [{Dense: $units}, {Dense: 1}]}",
        "training: {optimizer: {Adam: {learning_rate: 1e-3}}, loss: mse, epochs: 3}",
        "search: {space: {vars.units: {integer: [2, 32]}, training.optimizer.Adam.learning_rate: {log: [1e-4, 1]}}}",
    )) + "}\n")  # fmt: skip
    assert "units: 16" in found
    assert os.path.isabs(str(folder))


def test_a_value_of_a_list_in_a_base_is_written_with_the_whole_config(folder):
    layers = "model: {layers: [{Dense: $units}, {Dense: {units: $classes, activation: softmax}}]}\nvars: {units: 8}\n"
    base = BASE.replace("target: price", "target: {price: category}")
    (folder / "base.yaml").write_text(base.replace("loss: mse", "loss: sparse_categorical_crossentropy") + layers)
    space = "{'model.layers[0].Dense': {integer: [2, 32]}, training.optimizer.Adam.learning_rate: {log: [1e-4, 1]}}"
    values = {"model.layers[0].Dense": 16, "training.optimizer.Adam.learning_rate": 0.01}
    found = best_of(folder, f"extends: base.yaml\nsearch: {{space: {space}}}\n", values=values)
    assert "units: $classes" in found
    assert "Dense: 16" in found
    assert "search" not in found.removeprefix("# The best")


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_text_of_every_config_can_be_changed(file, tmp_path):
    document = read_document(file)
    whole = tmp_path / "config.yaml"
    whole.write_bytes(whole_config(document))
    again = read_document(whole)
    refuse_another(document, again)
    trial = with_option(with_values_at(again, {"training.batch_size": 7}), "name", build_config(document).name)
    best = tmp_path / "best.yaml"
    write_best(best, document.content, file, trial, "The best")
    assert plain_config(build_config(read_document(best))) == plain_config(build_config(trial))
    comments = [line.partition("#")[2] for line in file.read_text().splitlines() if "#" in line]
    assert comments == [each for each in comments if each in best.read_text()]
