"""Drawing a model: the text of its graph, and what happens without Graphviz."""

import os
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.bad_configs import GOOD, IMAGES

from dltool.config.load import read_document
from dltool.data.checked import checked_config
from dltool.model.build import build_model
from dltool.model.graph import Box, boxes_of, dot_text, quoted

GRAPH = """\
name: graph
data: {source: digits, preprocessing: [{Rescaling: {scale: 0.1}}]}
model:
  layers:
    - Conv2D: {filters: 4, kernel_size: 3, padding: same, name: wide}
    - Conv2D: {filters: 4, kernel_size: 1}
    - Add: {from: [wide, wide]}
    - Add: {from: [wide, last]}
    - Flatten
    - Dense: {units: 10, activation: softmax}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, epochs: 1}
"""
needs_graphviz = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images.yaml").write_text(IMAGES, encoding="utf-8")
    return tmp_path


def boxes_in(text: str, folder: Path) -> list[Box]:
    (folder / "graph.yaml").write_text(text, encoding="utf-8")
    config, facts = checked_config(read_document(folder / "graph.yaml"))
    assert facts is not None
    return boxes_of(build_model(config, facts), facts)


def test_a_graph_is_drawn_from_its_input_to_its_output_with_every_branch(folder):
    text = GRAPH.replace("kernel_size: 1}", "kernel_size: 1, name: last}").replace(
        "    - Add: {from: [wide, wide]}\n", ""
    )
    boxes = boxes_in(text, folder)
    assert [box.title for box in boxes] == [
        *("input", "Rescaling", "Conv2D wide", "Conv2D last", "Add", "Flatten", "Dense")
    ]
    assert [box.sources for box in boxes] == [(), (0,), (1,), (2,), (2, 3), (4,), (5,)]
    drawn = dot_text(boxes, "graph").splitlines()
    assert drawn[2] == '  n0 [label="input\\n(8, 8, 1) uint8"];'
    assert drawn[4] == '  n2 [label="Conv2D wide\\n(8, 8, 4)"];'


def test_the_columns_of_a_table_are_boxes_that_the_joined_vector_takes(folder):
    (folder / "table.csv").write_text("age,job,label\n" + "".join(f"{i % 7}.5,j{i % 3},c{i % 2}\n" for i in range(60)))
    text = GOOD.replace("source: iris", "source: {csv: table.csv}\n  target: label").replace("units: 3", "units: 2")
    (folder / "graph.yaml").write_text(text, encoding="utf-8")
    from dltool.data.checked import checked_with
    from dltool.data.dataset import load_data

    document = read_document(folder / "graph.yaml")
    config, _ = checked_config(document)
    dataset = load_data(config.data, config.seed)
    config = dataset.in_force(checked_with(document, dataset.facts))
    boxes = boxes_of(build_model(config, dataset.facts, dataset.examples("train").inputs), dataset.facts)
    assert [box.title for box in boxes] == ["age", "job", "Concatenate inputs", "Dense", "Dense"]
    assert [box.sources for box in boxes] == [(), (), (0, 1), (2,), (3,)]


def test_nothing_in_a_name_is_read_as_graphviz_or_as_xml():
    assert quoted('a"b', "c\\N") == '"a\\"b\\nc\\\\N"'
    assert quoted("<b>&lt;\x1b[31m\u202e") == '"<b>&amp;lt;[31m"'
    text = dot_text([Box('"]; evil [label="', (3,)), Box("Dense", (1,), (0,))], 'a" {')
    assert text.splitlines()[0] == 'digraph "a\\" {" {'
    assert text.splitlines()[2] == '  n0 [label="\\"]; evil [label=\\"\\n(3,)"];'
    assert "  n0 -> n1;" in text


def test_without_graphviz_svg_says_what_to_install(dltool, golden, folder, monkeypatch):
    monkeypatch.setenv("PATH", str(folder))
    outcome = dltool("check", "images.yaml", "--svg", "model.svg")
    assert (outcome.code, outcome.stdout) == (5, "")
    golden("check/no-graphviz", outcome.stderr)
    assert os.listdir(folder) == ["images.yaml"]


@pytest.mark.parametrize(
    ("name", "file"), [("ending", "images.yaml"), ("folder", "there.svg"), ("no-folder", "nowhere/model.svg")]
)
def test_a_drawing_that_cannot_be_written_is_refused_before_the_model_is_built(name, file, dltool, golden, folder):
    (folder / "there.svg").mkdir()
    outcome = dltool("check", "images.yaml", "--svg", file)
    assert (outcome.code, outcome.stdout) == (2, "")
    golden(f"check/svg-{name}", outcome.stderr)


def program(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program called dot."""
    (folder / "bin").mkdir()
    (folder / "bin" / "dot").write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    (folder / "bin" / "dot").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")


def test_what_dot_makes_of_the_graph_is_the_drawing(dltool, folder, monkeypatch):
    program(folder, "cat", monkeypatch)
    outcome = dltool("check", "images.yaml", "--svg", "model.svg")
    assert outcome.code == 0
    assert "model.svg" in outcome.stdout
    assert (folder / "model.svg").read_text(encoding="utf-8").startswith('digraph "images" {')


def test_what_dot_complains_of_is_said_and_no_drawing_is_left(dltool, folder, monkeypatch):
    program(folder, "echo cannot lay this out >&2; exit 3", monkeypatch)
    outcome = dltool("check", "images.yaml", "--svg", "model.svg")
    assert outcome.code == 5
    assert "dot failed: cannot lay this out" in outcome.stderr
    assert not (folder / "model.svg").exists()


@needs_graphviz
def test_graphviz_draws_names_literally():
    text = dot_text([Box("<script>alert(1)</script>", (3,)), Box("&lt;\\N", (1,), (0,))], "a & b")
    drawn = subprocess.run(["dot", "-Tsvg"], input=text, capture_output=True, text=True, check=True).stdout
    root = ElementTree.fromstring(drawn)
    found = {element.tag.split("}")[1]: None for element in root.iter()}
    assert "script" not in found
    texts = [element.text for element in root.iter() if element.tag.endswith("}text")]
    assert texts == ["<script>alert(1)</script>", "(3,)", "&lt;\\N", "(1,)"]
