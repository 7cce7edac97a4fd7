"""What the README shows is what happens."""

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from dltool import cli
from dltool.runs.directory import FILES, FOLDERS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def block(after: str, language: str) -> str:
    """The first fenced block of a language after some words."""
    match = re.search(rf"```{language}\n(.*?)```", README[README.index(after) :], re.DOTALL)
    assert match
    return match[1]


def shape_of(line: str) -> str:
    """A line of output without what differs from run to run and machine to machine."""
    line = re.sub(r"  best so far$", "", line.rstrip())
    return re.sub(r"\s+", " ", re.sub(r"\d[\d,.]*", "0", line)).replace("0 min 0 s", "0 s")


def test_the_training_prints_what_the_readme_shows(draws, dltool, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    outcome = dltool("train", "configs/digits.yaml")
    assert outcome.code == 0
    header, rest = block("## What appears", "text").split(" epoch ", 1)
    epochs, results = block("Elsewhere, as in a pipe", "text"), rest[rest.index("best epoch") :]
    shown = [shape_of(line) for line in (header + epochs + results).splitlines()]
    printed = iter([shape_of(line) for line in (outcome.stderr + outcome.stdout).splitlines()])
    # In this order, with others in between. The table of a terminal is in the tests of the console.
    assert [line for line in shown if line not in printed] == []
    assert "runs/digits/0001" in outcome.stdout


def test_the_mistake_is_reported_as_the_readme_shows(dltool, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    text = (ROOT / "configs/digits.yaml").read_text("utf-8")
    broken = text.replace("{units: 64,", "{unitz: 64,").replace("epochs: 25", "epochs: ten")
    (tmp_path / "configs/digits.yaml").write_text(broken, encoding="utf-8")
    outcome = dltool("check", "configs/digits.yaml")
    assert outcome.stderr == block("A mistake in a config", "text")


def test_the_config_in_the_readme_is_the_file() -> None:
    assert block("## The config", "yaml") == (ROOT / "configs/digits.yaml").read_text("utf-8")


JOBS = ("clerk", "farmer", "nurse")
ADULT = [
    f"{17 + i * 7 % 60},{gain},{'?' if i % 10 == 3 else JOBS[i % 3]},{i},{'>50K' if i % 3 else '<=50K'}"
    for i, gain in enumerate(0 if i % 5 else i * 97 for i in range(200))
]
REST = """\
model: {layers: [Dense: {units: $classes, activation: softmax}]}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, epochs: 1}
"""


def test_the_columns_are_shown_as_the_readme_shows(dltool, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.yaml").write_text(block("## Your data", "yaml") + REST, encoding="utf-8")
    table = "\n".join(["age,capital_gain,occupation,id,income", *ADULT, ""])
    (tmp_path / "adult.csv").write_text(table, encoding="utf-8")
    outcome = dltool("check", "example.yaml", "--data")
    assert outcome.code == 0, outcome.stderr
    printed = [line.rstrip() for line in outcome.stdout.splitlines()]
    shown = block("## Your data", "text").splitlines()
    assert shown == printed[: len(shown)]


def test_the_plan_is_shown_as_the_readme_shows(dltool, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    *printed, _, _ = dltool("check", "configs/digits.yaml", "--build").stdout.splitlines()
    *shown, time = block("## The commands", "text").splitlines()
    assert shown == [line.rstrip() for line in printed[:-1]]
    # The time is the machine's.
    assert time.split(":")[0] == printed[-1].split(":")[0]


def test_the_notebook_in_the_readme_runs(monkeypatch, tmp_path) -> None:
    from sklearn.datasets import load_digits

    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    text = block("## In a notebook", "python").replace('": 5}', '": 1}')
    names: dict[str, Any] = {"pictures": load_digits().images[:3].astype("uint8")}
    exec(text, names)
    assert names["run"].results.columns.tolist()[:2] == ["validation", "test"]
    assert len(names["found"]) == 3


def test_the_layer_in_the_readme_is_allowed_and_used(dltool, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scale.py").write_text(block("## Your own layers", "python"), encoding="utf-8")
    layers = "layers: [Scale: {factor: 0.5}, Dense: {units: $classes, activation: softmax}]"
    config = "data: {source: iris}\n" + REST.replace("layers: [Dense: {units: $classes, activation: softmax}]", layers)
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    outcome = dltool("check", "config.yaml", "--build", "--allow-code", "scale.py")
    assert outcome.code == 0, outcome.stderr


def test_the_windows_in_the_readme_are_read(dltool, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    rest = "model: {layers: [Flatten, Dense: 1]}\ntraining: {optimizer: adam, loss: mse, epochs: 1}\n"
    (tmp_path / "example.yaml").write_text(block("Windows are runs", "yaml") + rest, encoding="utf-8")
    lines = [f"{station},{hour * 5 % 17 / 2}" for hour in range(400) for station in "ab"]
    (tmp_path / "hours.csv").write_text("\n".join(["station,level", *lines, ""]), encoding="utf-8")
    outcome = dltool("check", "example.yaml", "--data")
    assert outcome.code == 0, outcome.stderr
    assert "1 column (1 number), numbers to predict" in outcome.stdout


def test_the_outputs_in_the_readme_are_built(dltool, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.yaml").write_text(block("## Several inputs and outputs", "yaml"), encoding="utf-8")
    halves = np.zeros((40, 8, 4), np.uint8)
    np.savez("halves.npz", left=halves, right=halves, digit=np.arange(40) % 10, even=np.arange(40) % 2 == 0)
    outcome = dltool("check", "example.yaml", "--data", "--build")
    assert outcome.code == 0, outcome.stderr
    assert "2 inputs (2 uint8), digit: 10 classes, is_even: 2 classes" in outcome.stdout


def test_every_command_in_the_table_exists(dltool) -> None:
    commands = re.findall(r"^\| `dltool (\w+)", README, re.MULTILINE)
    assert len(commands) == len(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]
    for command in commands:
        assert dltool(command, "--help").code == 0


def test_the_options_in_the_readme_exist(dltool) -> None:
    for command, rest in re.findall(r"^\| `dltool (\w+).*?\|(.*)\|$", README, re.MULTILINE):
        explained = dltool(command, "--help").stdout
        for option in re.findall(r"`(--\w+)", rest):
            assert option in explained, (command, option)


def test_the_options_json_and_quiet_are_named_with_the_commands_that_take_them(dltool) -> None:
    *_, sentence = README[: README.index("Exit codes:")].strip().split("\n\n")
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    for part, option in zip(sentence.split(";"), ("--json", "--quiet"), strict=True):
        takes = {name for name, command in commands.items() if any(option in each.opts for each in command.params)}
        assert takes == set(re.findall(r"`(\w+)`", part))


def test_the_run_directory_in_the_readme_names_every_file() -> None:
    named = set(re.findall(r"^  ([\w.]+)", block("## The run directory", "text"), re.MULTILINE))
    assert named == {*FILES, *FOLDERS}


def test_every_ready_config_says_what_to_expect_in_what_time_and_by_which_command() -> None:
    for path in (ROOT / "configs").rglob("*.yaml"):
        header = "\n".join(line for line in path.read_text("utf-8").splitlines() if line.startswith("#"))
        assert re.search(r"accuracy|error about|AUC|%", header), path
        assert re.search(r"(s|seconds|minutes) on two cores", header), path
        assert f"#   dltool train {path.relative_to(ROOT)}" in header, path


def test_the_tree_names_every_file_of_the_program() -> None:
    listed = re.findall(r"^([\w./-]+)(?: {2,}|$)", block("## The files", "text"), re.MULTILINE)
    named = set(listed)
    assert len(listed) == len(named), "each of them once"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    files = [
        file
        for file in tracked.stdout.splitlines()
        if not file.startswith("tests/") and not file.endswith("__init__.py")
    ]
    missing = [file for file in files if file not in named and f"{Path(file).parent}/" not in named]
    assert missing == []
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_two_lines_without_make_are_those_of_the_makefile() -> None:
    recipe = (ROOT / "Makefile").read_text("utf-8").replace("$(1)", "requirements.lock")
    installed = re.findall(r"pip install (.*?)(?: &&|\n)", block("Without make", "console"))
    assert len(installed) == 2
    assert all(f" {arguments}\n" in recipe for arguments in installed)
