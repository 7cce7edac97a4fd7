"""What the README shows is what happens. All its blocks, and those of the documentation, are run by tests/docs."""

import re
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, Block, blocks
from tests.docs.shell import segments, shape_of

README = ROOT / "README.md"


def shown(after: str, language: str) -> Block:
    """Return the first fenced block of a language after some words."""
    position = README.read_text("utf-8").index(after)
    return next(block for block in blocks(README) if block.language == language and block.start > position)


@pytest.mark.slow
def test_the_training_prints_what_the_readme_shows(draws, dltool, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    outcome = dltool("train", "configs/digits.yaml")
    assert outcome.code == 0
    first, last = segments(shown("## A run", "text").text)
    # The table of a terminal is in the tests of the console, and in those of tests/docs.
    lines = [shape_of(line) for line in [*first, *last] if not re.match(r" *(epoch|\d+/\d+) ", line)]
    printed = iter([shape_of(line) for line in (outcome.stderr + outcome.stdout).splitlines()])
    # In this order, with others in between.
    assert [line for line in lines if line not in printed] == []
    assert "runs/digits/0001" in outcome.stdout


def test_the_errors_are_reported_as_the_readme_shows(dltool, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    text = (ROOT / "configs/digits.yaml").read_text("utf-8")
    broken = text.replace("{units: 64,", "{unitz: 64,").replace("epochs: 25", "epochs: ten")
    (tmp_path / "configs/digits.yaml").write_text(broken, encoding="utf-8")
    outcome = dltool("check", "configs/digits.yaml")
    assert outcome.stderr == shown("An error in a config", "text").text


def test_the_config_in_the_readme_is_the_file() -> None:
    assert shown("## The config", "yaml").text == (ROOT / "configs/digits.yaml").read_text("utf-8")


def test_every_ready_config_says_what_to_expect_in_what_time_and_by_which_command() -> None:
    for path in (ROOT / "configs").rglob("*.yaml"):
        header = "\n".join(line for line in path.read_text("utf-8").splitlines() if line.startswith("#"))
        assert re.search(r"accuracy|error about|AUC|%", header), path
        assert re.search(r"(s|seconds|minutes) on two cores", header), path
        assert f"#   dltool train {path.relative_to(ROOT)}" in header, path


def test_the_two_lines_without_make_are_those_of_the_makefile() -> None:
    recipe = (ROOT / "Makefile").read_text("utf-8").replace("$(1)", "requirements.lock")
    installed = re.findall(r"pip install (.*?)(?: &&|\n)", shown("Without make", "console").text)
    assert len(installed) == 2
    assert all(f" {arguments}\n" in recipe for arguments in installed)


def test_the_readme_is_one_screen_and_its_links_lead_somewhere() -> None:
    text = README.read_text("utf-8")
    assert len(text.splitlines()) <= 250
    assert "`make test`" in text
    assert [link for link in re.findall(r"\]\(([^)#]+)", text) if not (ROOT / link).exists()] == []
