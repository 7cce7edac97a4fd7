"""Ejected scripts: formatted as by hand, free of dltool, and with the losses of the run."""

import ast
import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ejecting.script_cases import CASES, DIGITS, ejected_run, write_data
from tests.test_configs import CASES as CONFIG_CASES
from tests.test_configs import CONFIGS

from dltool.ejecting.script import script_of

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "eject.md"
CANNOT = {
    "adult-private": "training.privacy",
    "mnist-private": "training.privacy",
    "pollution": "data.windows",
    "reviews": "data.source.text",
    "reviews-lstm": "data.source.text",
    "reviews-transformer": "data.source.text",
    "spoken-digits": "data.source.audio",
    "spoken-digits-speakers": "data.source.audio",
    "transfer": "data.source.images",
    "lite0": "data.source.images",
}
"""The configs that no script can repeat, each with a key that is refused."""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("scripts")
    write_data(folder)
    return {name: script_of(ejected_run(folder, name), "") for name in ("digits", "table")}


def ruff(folder: Path, *arguments: str) -> str:
    command = [str(Path(sys.executable).with_name("ruff")), *arguments, "--isolated", "--no-cache", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def refuse_ill_formed(scripts: dict[str, str], folder: Path) -> None:
    for name, script in scripts.items():
        (folder / f"{name}.py").write_text(script, encoding="utf-8")
    assert "would reformat" not in ruff(folder, "format", "--check")
    assert "All checks passed" in ruff(folder, "check")


def imported(script: str) -> set[str]:
    nodes = [node for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [getattr(node, "module", None) or each.name for node in nodes for each in node.names]
    return {name.split(".")[0] for name in names}


def test_a_script_is_formatted_and_imports_no_dltool(scripts, tmp_path):
    refuse_ill_formed(scripts, tmp_path)
    assert imported(scripts["digits"]) == {"math", "os", "pathlib", "keras", "numpy", "sklearn", "tensorflow"}
    assert imported(scripts["table"]) == {"math", "os", "pathlib", "keras", "numpy", "pandas", "tensorflow"}


def test_a_script_has_the_functions_alone_that_its_columns_need(scripts):
    functions = re.findall(r"^def (\w+)", scripts["table"], re.MULTILINE)
    expected = ["read_table", "signed_log", "edges_of", "number", "category", "boolean", "date", "text"]
    assert functions == [*expected, "examples", "build_model"]
    assert re.findall(r"^def (\w+)", scripts["digits"], re.MULTILINE) == ["examples", "build_model"]


def test_names_of_a_run_cannot_end_the_docstring(tmp_path):
    run = ejected_run(tmp_path, "digits")
    object.__setattr__(run.run, "path", tmp_path / '"""\nimport evil' / "0001")
    tree = ast.parse(script_of(run, ""))
    assert "import evil" in (ast.get_docstring(tree) or "")
    assert "evil" not in imported(ast.unparse(tree))


def test_names_of_inputs_are_those_that_keras_takes(scripts):
    assert 'number("d/e", ' in scripts["table"]
    assert 'name=name.replace("/", "_")' in scripts["table"]


def test_the_guide_shows_a_script_as_it_is(scripts):
    shown = re.search(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert shown is not None
    body = '"""\n\nimport math'
    assert shown[1].split(body)[1] == scripts["digits"].split(body)[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_script_is_formatted(tmp_path, name):
    write_data(tmp_path)
    refuse_ill_formed({name: script_of(ejected_run(tmp_path, name), "")}, tmp_path)


def losses_of(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def history_of(folder: Path) -> list[dict[str, float]]:
    subprocess.run([sys.executable, "train.py"], cwd=folder, env={"PATH": "/usr/bin:/bin"}, check=True)
    with (folder / "history.csv").open(newline="") as file:
        return [{name: float(each) for name, each in row.items()} for row in csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_script_gives_the_losses_of_its_run(tmp_path, monkeypatch, dltool, name):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)
    (tmp_path / "config.yaml").write_text(CASES[name], encoding="utf-8")
    trained = dltool("train", "config.yaml", "--json")
    assert trained.code == 0, trained.stderr
    ejected = dltool("eject", f"runs/{name}/0001", "--out", "script", "--no-check")
    assert ejected.code == 0, ejected.stderr
    history, lines = history_of(tmp_path / "script"), losses_of(tmp_path / f"runs/{name}/0001")
    limit = {"digits": 0, "table": 1e-6, "denoising": 1e-2}.get(name, 1e-5)
    assert len(history) == len(lines) == 2
    for epoch, line in zip(history, lines, strict=True):
        for key in ("loss", "val_loss"):
            assert epoch[key] == pytest.approx(line[key], rel=limit, abs=0), key


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIG_CASES)
def test_every_config_is_ejected_or_refused_by_name(tmp_path, monkeypatch, dltool, name):
    settings = [f"--set={each}" for each in CONFIG_CASES[name][0](tmp_path)]
    text = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")
    key = "training.phases[0].epochs" if "phases:" in text else "training.epochs"
    settings += [f"--set={key}=2", "--set=expect={}", f"--runs={tmp_path / 'runs'}", "--quiet"]
    trained = dltool("train", CONFIGS / f"{name}.yaml", *settings)
    assert trained.code == 0, trained.stderr
    ejected = dltool("eject", tmp_path / "runs" / name, "--out", tmp_path / "script")
    if name in CANNOT:
        assert (ejected.code, f"{CANNOT[name]} cannot be ejected" in ejected.stderr) == (2, True), ejected.stderr
        assert not (tmp_path / "script").exists()
    else:
        assert ejected.code == 0, ejected.stderr
        assert "gave the losses of the run" in (tmp_path / "script" / "train.py").read_text().replace("\n", " ")


@pytest.mark.slow
def test_a_script_that_disagrees_is_not_written(tmp_path, monkeypatch, dltool):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(DIGITS, encoding="utf-8")
    assert dltool("train", "config.yaml").code == 0
    metrics = tmp_path / "runs/digits/0001/metrics.jsonl"
    lines = losses_of(metrics.parent)
    metrics.write_text("".join(json.dumps({**line, "loss": line["loss"] * 1.001}) + "\n" for line in lines))
    ejected = dltool("eject", "runs/digits", "--out", "script")
    assert (ejected.code, (tmp_path / "script").exists()) == (7, False)
    assert "the losses of the script differ from those of the run by up to 0.001" in ejected.stderr


OWN = """\
import keras


class Doubled(keras.layers.Layer):
    def __init__(self, by=2.0, **kwargs):
        super().__init__(**kwargs)
        self.by = by

    def call(self, inputs):
        return inputs * self.by

    def get_config(self):
        return {**super().get_config(), "by": self.by}
"""


@pytest.mark.slow
def test_own_code_goes_with_the_script(tmp_path, monkeypatch, dltool):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    (tmp_path / "config.yaml").write_text(DIGITS.replace("    - Flatten\n", "    - Doubled: 3.0\n    - Flatten\n"))
    assert dltool("train", "config.yaml", "--allow-code", "own.py").code == 0
    assert "--allow-code" in dltool("eject", "runs/digits", "--out", "script").stderr
    ejected = dltool("eject", "runs/digits", "--out", "script", "--allow-code", "own.py")
    assert ejected.code == 0, ejected.stderr
    assert (tmp_path / "script/own.py").read_text() == OWN
    assert "from own import Doubled" in (tmp_path / "script/train.py").read_text()
