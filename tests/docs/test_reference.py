"""The reference pages are what the code says, and the tables they are made from are complete."""

import re
from pathlib import Path

import pytest
from scripts import reference

from dltool.errors import EXIT_CODES, DltoolError, Interrupted
from dltool.machine import OTHER_VARIABLES, VARIABLES

READS = re.compile(
    r"""os\.environ(?:\.get\(|\.setdefault\(|\[)["'](\w+)["']|["'](\w+)["'] in os\.environ""",
)


@pytest.mark.parametrize("name", reference.PAGES)
def test_a_reference_page_is_what_the_code_says(name) -> None:
    path = reference.DOCS / name
    written = path.read_text("utf-8") if path.exists() else ""
    assert written == reference.page(name), f"docs/{name} is outdated: run {reference.COMMAND}"


def test_the_check_names_outdated_pages_and_the_command(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(reference, "DOCS", tmp_path)
    monkeypatch.setattr(reference, "PAGES", {"reference/exit-codes.md": reference.exit_codes_page})
    assert reference.main(["--check"]) == 1
    assert f"run {reference.COMMAND}" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0


def test_every_exit_code_has_a_meaning() -> None:
    raised = {each.exit_code for each in DltoolError.__subclasses__() if each is not Interrupted}
    assert raised < set(EXIT_CODES)


def test_every_environment_variable_that_is_read_is_documented() -> None:
    texts = [path.read_text("utf-8") for path in Path(reference.SOURCE).rglob("*.py")]
    read = {name or other for text in texts for name, other in READS.findall(text)}
    assert len(read) > 5
    assert read <= {*VARIABLES, *OTHER_VARIABLES}
