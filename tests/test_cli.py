"""The command line as a shell sees it."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from tests.small_configs import TINY

from dltool import __version__

DLTOOL = [sys.executable, "-m", "dltool"]
CONFIGS = Path(__file__).parents[1] / "configs"


def slow(*values: object) -> ParameterSet:
    return pytest.param(*values, marks=pytest.mark.slow)


def run(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DLTOOL, *arguments], capture_output=True, text=True, timeout=120, check=False, **options)


@pytest.mark.parametrize(
    "arguments",
    [slow(["--help"]), ["check", str(CONFIGS / "mnist.yaml")], slow(["describe", "Dense"]), slow(["schema"])],
)
def test_light_commands_do_not_import_tensorflow(arguments) -> None:
    outcome = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "dltool", *arguments], capture_output=True, text=True, check=True
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in outcome.stderr.splitlines()}
    assert imported.isdisjoint({"tensorflow", "keras", "sklearn", "pandas", "scipy"})
    assert "dltool" in imported


@pytest.mark.parametrize("command", ["train", "evaluate", "check", "runs", "init", "describe", "schema", "doctor"])
def test_every_command_explains_itself(command, dltool) -> None:
    outcome = dltool(command, "--help")
    assert outcome.code == 0
    assert f"dltool {command}" in outcome.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["trian"],
        ["train"],
        ["check", "--dta"],
        ["train", "a.yaml", "--seed", "x"],
        ["train", "a.yaml", "--no-smoke"],
        ["train", "a.yaml", "--no-quiet"],
        ["resume", "a", "--no-quiet"],
        ["resume", "a", "--no-allow-change"],
        ["reproduce", "a", "--no-quiet"],
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments, dltool) -> None:
    outcome = dltool(*arguments)
    assert outcome.code == 2
    assert outcome.stdout == ""
    assert "Usage:" in outcome.stderr


@pytest.mark.parametrize(
    "command",
    ["--help", slow("train --help"), slow("--version"), slow("init digits"), "schema", slow("describe Dense")],
)
def test_a_pipe_that_nobody_reads_is_no_failure(command) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    outcome = subprocess.run([*DLTOOL, *command.split()], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (outcome.returncode, outcome.stderr) == (0, "")


def test_the_version_is_that_of_the_package(dltool) -> None:
    outcome = dltool("--version")
    assert (outcome.code, outcome.stdout) == (0, f"dltool {__version__}\n")


@pytest.mark.parametrize("shell", ["bash", slow("zsh"), slow("fish")])
def test_a_shell_completes_commands(shell) -> None:
    code = "import sys; sys.argv[0] = 'dltool'; from dltool.__main__ import main; main()"

    def completed(*arguments: str, **variables: str) -> str:
        # The shell is the argument's, not that from which the tests run.
        environment = {**os.environ, **variables, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
        return subprocess.check_output([sys.executable, "-c", code, *arguments], text=True, env=environment)

    assert "_DLTOOL_COMPLETE" in completed("--show-completion", shell)
    typed = {"COMP_WORDS": "dltool runs pru", "COMP_CWORD": "2", "_TYPER_COMPLETE_ARGS": "dltool runs pru"}
    commands = completed(**typed, _TYPER_COMPLETE_FISH_ACTION="get-args", _DLTOOL_COMPLETE=f"complete_{shell}")
    assert "prune" in commands
    assert "remove" not in commands


def test_data_in_place_of_a_config_is_told_how_to_become_one(dltool, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my data.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "images").mkdir()
    for command in ("train", "check"):
        for data, kind in (("my data.csv", "data file"), ("images", "folder")):
            outcome = dltool(command, data)
            assert outcome.code == 2
            assert f"error: {data} is a {kind}, not a config\n" in outcome.stderr
            assert f"use `dltool init {shlex.quote(data)}` to draft a config for it\n" in outcome.stderr
            assert "1 problem; nothing was written" in outcome.stderr
    assert "no such file" in dltool("train", "absent.csv").stderr


@pytest.mark.parametrize("command", ["schema", slow("describe Dense")])
def test_a_reader_that_has_enough_is_no_failure(command) -> None:
    script = f"{sys.executable} -m dltool {command} | true; exit ${{PIPESTATUS[0]}}"
    outcome = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (outcome.returncode, outcome.stderr) == (0, "")


@pytest.mark.parametrize("stdout", [">&-", "> /dev/full"])
def test_results_that_cannot_be_written_are_exit_code_5(stdout) -> None:
    script = f"{sys.executable} -m dltool describe Dense {stdout}"
    outcome = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert outcome.returncode == 5
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize(
    ("stderr", "arguments", "code"),
    [
        slow("2>&-", ["check", "example.yaml"], 0),
        slow("2> /dev/full", ["check", "example.yaml"], 0),
        ("2>&-", ["check", "example.yaml", "--set", "seed=x"], 2),
        ("2> /dev/full", ["check", "example.yaml", "--set", "seed=x"], 2),
        slow("2>&-", ["chekc"], 2),
        slow("2> /dev/full", ["chekc"], 2),
    ],
)
def test_messages_that_cannot_be_written_change_nothing(arguments, code, stderr, tmp_path) -> None:
    (tmp_path / "example.yaml").write_text(TINY, encoding="utf-8")
    script = f"{sys.executable} -m dltool {' '.join(arguments)} {stderr}"
    outcome = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert outcome.returncode == code
    assert ("no errors found" in outcome.stdout) == (code == 0)
    assert "seed" not in outcome.stdout


@pytest.mark.slow
@pytest.mark.parametrize("stderr", ["2>&-", "2> /dev/full"])
def test_a_training_whose_messages_cannot_be_written_is_completed(stderr, tmp_path) -> None:
    (tmp_path / "example.yaml").write_text(TINY, encoding="utf-8")
    script = f"{sys.executable} -m dltool train example.yaml {stderr}"
    outcome = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert outcome.returncode == 0
    assert outcome.stdout.startswith("best epoch")
    assert json.loads((tmp_path / "runs/example/0001/run.json").read_text("utf-8"))["status"] == "completed"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.slow
def test_an_encoding_that_lacks_characters_is_no_trouble(encoding, tmp_path) -> None:
    text = TINY.replace("name: example", "name: example\nx-ü: €").replace(
        "activation: relu", "activation: relu, name: ü€"
    )
    (tmp_path / "größe€.yaml").write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [*DLTOOL, "check", "größe€.yaml"]
    outcome = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, check=False)
    assert (outcome.returncode, outcome.stderr) == (0, b"")
    outcome = subprocess.run([*command, "--json"], capture_output=True, cwd=tmp_path, env=environment, check=False)
    found = json.loads(outcome.stdout)["config"]["model"]["layers"][0]["Dense"]["name"]
    assert found == "ü€"
    outcome = subprocess.run(
        [*command, "--set", "seed=ü€"], capture_output=True, cwd=tmp_path, env=environment, check=False
    )
    assert outcome.returncode == 2
    assert b"Traceback" not in outcome.stderr


@pytest.mark.parametrize(
    "variables",
    [{"LANG": "C", "LC_ALL": "C", "COLUMNS": "40"}, slow({"NO_COLOR": "1"}), slow({"TERM": "dumb"})],
)
def test_unusual_environments_are_no_trouble(variables, tmp_path) -> None:
    (tmp_path / "größe.yaml").write_text(TINY, encoding="utf-8")
    outcome = run("check", "größe.yaml", "--set", "name=ok", cwd=tmp_path, env={**os.environ, **variables})
    assert outcome.returncode == 0, outcome.stderr


def test_hostile_text_is_shown_and_not_obeyed(dltool, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.yaml").write_text(TINY.replace("relu", '"[/foo]\\e[31m\\u202e"'), encoding="utf-8")
    outcome = dltool("check", "example.yaml")
    assert outcome.code == 2
    assert 'unknown activation "[/foo]\\x1b[31m\\x202e"' in outcome.stderr


@pytest.mark.parametrize("terminal", ["xterm-256color", slow("dumb")])
def test_a_terminal_gets_a_live_line_and_a_dumb_one_does_not(terminal, tmp_path) -> None:
    (tmp_path / "example.yaml").write_text(TINY, encoding="utf-8")
    main, other = pty.openpty()
    process = subprocess.Popen(
        [*DLTOOL, "train", "example.yaml"],
        cwd=tmp_path, stdout=other, stderr=other, stdin=other, env={**os.environ, "TERM": terminal},
    )  # fmt: skip
    os.close(other)
    screen = b""
    while chunk := read_some(main):
        screen += chunk
    assert process.wait() == 0
    assert (b"\x1b[J" in screen) == (terminal != "dumb")
    plain = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", screen).decode()
    assert ("epoch 2/2  loss" if terminal == "dumb" else "  2/2  ") in plain
    assert "oneDNN" not in plain


def read_some(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # the other end is closed
        return b""
