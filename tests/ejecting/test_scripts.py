"""Ejected scripts: formatted as by hand, free of dltool, and with the losses of the run."""

import ast
import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.ejecting.script_cases import CASES, DIGITS, NAMES, ejected_run, write_data, write_files
from tests.test_configs import CASES as CONFIG_CASES
from tests.test_configs import CONFIGS

from dltool.config.keras.objects import KerasObject
from dltool.ejecting.ejected_run import EjectedRun
from dltool.ejecting.file_code import files_csv
from dltool.ejecting.script import script_of, split_file
from dltool.ejecting.trial import EXACT, REWRITTEN, ROUNDED, limit_of
from dltool.runs.files import Run
from dltool.runs.records import StrategyRecord

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "eject.md"
CANNOT = {
    "adult-private": "training.privacy",
    "mnist-private": "training.privacy",
}
"""The configs that no script can repeat, each with a key that is refused."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, EjectedRun]:
    folder = tmp_path_factory.mktemp("scripts")
    write_data(folder)
    write_files(folder)
    return {name: ejected_run(folder, name) for name in ("digits", "table", "pictures", "series")}


@pytest.fixture(scope="module")
def scripts(runs) -> dict[str, str]:
    return {name: script_of(run, "") for name, run in runs.items()}


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
    assert imported(scripts["pictures"]) == {
        "io",
        "math",
        "os",
        "pathlib",
        "keras",
        "numpy",
        "pandas",
        "PIL",
        "tensorflow",
    }
    assert imported(scripts["table"]) == {"math", "os", "pathlib", "keras", "numpy", "pandas", "tensorflow"}


def test_a_script_has_the_functions_alone_that_its_columns_need(scripts):
    functions = re.findall(r"^def (\w+)", scripts["table"], re.MULTILINE)
    expected = ["read_table", "signed_log", "edges_of", "number", "category", "boolean", "date", "text"]
    assert functions == [*expected, "examples", "build_model"]
    assert re.findall(r"^def (\w+)", scripts["digits"], re.MULTILINE) == ["examples", "build_model"]


def test_names_of_a_run_cannot_end_the_docstring(runs, tmp_path):
    run = replace(runs["digits"], run=Run(tmp_path / '"""\nimport evil' / "0001"))
    tree = ast.parse(script_of(run, ""))
    assert "import evil" in (ast.get_docstring(tree) or "")
    assert "evil" not in imported(ast.unparse(tree))


def test_names_of_files_stand_in_a_table_alone(runs, scripts):
    rows = [*csv.DictReader(io.StringIO(files_csv(runs["pictures"]).decode(), newline=""))]
    assert {f"a/{name}.jpg" for name in NAMES} < {row["file"] for row in rows if row["label"] == "a"}
    assert [row["file"] for row in rows][-1] == "../test/c/29.jpg"
    assert not any(name in scripts["pictures"] for name in ("evil", "a, 'b'", "slash"))


def test_images_are_decoded_by_their_contents_and_not_by_their_names(scripts):
    assert all(line in scripts["pictures"] for line in ("image.draft(", "BRIGHTEST =", "Image.alpha_composite("))


def test_windows_begin_where_rows_of_one_series_follow_each_other(runs):
    run = runs["series"]
    file = np.load(io.BytesIO(split_file(run)))
    table = pd.read_csv(run.config.data.source.options.path, parse_dates=["when"]).iloc[file["order"]]
    for name in ("train", "validation", "test"):
        assert len(file[name]) == len(np.load(run.run.split)[name])
        for start in file[name]:
            rows = table.iloc[start : start + 5 + 3]
            assert rows["site"].nunique() == 1
            assert (rows["when"].diff().dropna() == pd.Timedelta(hours=1)).all()
            assert rows["load"].iloc[[5, 7]].notna().all()


def test_names_of_inputs_are_those_that_keras_takes(scripts):
    assert 'number("d/e", ' in scripts["table"]
    assert 'name=name.replace("/", "_")' in scripts["table"]


def test_the_guide_shows_a_script_as_it_is(scripts):
    shown = re.search(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert shown is not None
    body = '"""\n\nimport math'
    assert shown[1].split(body)[1] == scripts["digits"].split(body)[1]


def test_a_script_must_be_the_closer_the_fewer_reasons_it_has_to_differ(runs):
    digits = runs["digits"]
    cheaper = digits.record.model_copy(update={"strategy": StrategyRecord(jit_compile=False, rewrites=True, why={})})
    dense = KerasObject("layer", "Dense", {"units": 3, "kernel_regularizer": "l2"})
    penalized = digits.config.model_copy(update={"model": digits.config.model.model_copy(update={"layers": (dense,)})})
    found = [
        limit_of(digits),
        limit_of(runs["pictures"]),
        limit_of(runs["table"]),
        limit_of(replace(digits, config=penalized)),
        limit_of(replace(digits, record=cheaper)),
    ]
    assert found == [EXACT, EXACT, ROUNDED, ROUNDED, REWRITTEN]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_script_is_formatted(tmp_path, name):
    write_data(tmp_path)
    write_files(tmp_path)
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
    write_files(tmp_path)
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
        script = (tmp_path / "script" / "train.py").read_text()
        assert "gave the losses of the run" in script.replace("\n", " ")
        refuse_ill_formed({name: script}, tmp_path)


@pytest.mark.slow
def test_a_script_starts_with_the_weights_that_its_run_started_with(tmp_path, monkeypatch, dltool):
    monkeypatch.chdir(tmp_path)
    started = DIGITS.replace("model:\n", "model:\n  start: {run: runs/digits}\n").replace(
        "name: digits", "name: started"
    )
    for name, text in (("digits", DIGITS), ("started", started)):
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
        assert dltool("train", f"{name}.yaml").code == 0
    ejected = dltool("eject", "runs/started", "--out", "script", "--json")
    assert (ejected.code, json.loads(ejected.stdout)["loss_difference"]) == (0, 0), ejected.stderr
    assert losses_of(tmp_path / "runs/started/0001")[0]["loss"] < losses_of(tmp_path / "runs/digits/0001")[0]["loss"]


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


@pytest.mark.slow
def test_data_that_has_moved_is_found_at_its_new_place(tmp_path, monkeypatch, dltool):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)
    (tmp_path / "config.yaml").write_text(CASES["typed"], encoding="utf-8")
    assert dltool("train", "config.yaml").code == 0
    (tmp_path / "table.parquet").rename(tmp_path / "moved.parquet")
    hint = "--set data.source.parquet.path="
    assert hint in dltool("eject", "runs/typed", "--out", "script").stderr
    ejected = dltool("eject", "runs/typed", "--out", "script", *f"{hint}moved.parquet".split())
    assert ejected.code == 0, ejected.stderr
    assert str(tmp_path / "moved.parquet") in (tmp_path / "script/train.py").read_text()
