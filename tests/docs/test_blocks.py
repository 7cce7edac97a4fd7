"""Every YAML block and every command that README and documentation show is right."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from tests.docs.pages import PAGES, ROOT, Block, blocks, commands

from dltool import cli

KEYS = {"name", "seed", "vars", "data", "model", "training", "search", "explain", "track", "expect", "cost", "extends"}
MODEL = {"layers": ["Flatten", {"Dense": {"units": "$classes", "activation": "softmax"}}]}
TRAINING = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "epochs": 1}

BLOCKS = [block for page in PAGES for block in blocks(page)]
YAML = [block for block in BLOCKS if block.language in {"yaml", "yml"}]
CONSOLE = [block for block in BLOCKS if block.language == "console"]


def name_of(block: Block) -> str:
    return block.name


def is_config(value: Any) -> bool:
    """Whether a YAML value is a config or a part of one."""
    return (
        isinstance(value, dict) and bool(value) and all(str(key) in KEYS or str(key).startswith("x-") for key in value)
    )


def completed(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config with everything that a part of one leaves out, as far as that can be guessed."""
    if config.get("extends"):
        return {}
    model = {**config.get("model", {})}
    model.setdefault("layers", MODEL["layers"])
    training = {**config.get("training", {})}
    own = {"optimizer", "epochs"} if "phases" in training else set()
    own |= {"loss"} if "outputs" in model else set()
    missing = {key: value for key, value in TRAINING.items() if key not in training and key not in own}
    data = {"source": "digits", **config.get("data", {})}
    parts = {"data": (config.get("data"), data), "model": (config.get("model"), model)}
    return {key: new for key, (old, new) in parts.items() if old != new} | (
        {"training": {**training, **missing}} if missing else {}
    )


@pytest.mark.parametrize("block", YAML, ids=name_of)
def test_a_yaml_block_is_right(block: Block, dltool, monkeypatch, tmp_path: Path) -> None:
    if reason := block.marks.get("not checked"):
        pytest.skip(reason)
    value = yaml.safe_load(block.text)
    if not is_config(value):
        assert block.title, "a block that is no config has a title"
        return
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for other in blocks(block.page):
        if other.language in {"yaml", "yml"} and other.title and other.start < block.start:
            write(tmp_path / other.title, other.text)
    for weights in re.findall(r"[\w/.-]+\.weights\.h5", block.page.read_text("utf-8")):
        write(tmp_path / weights, "")
    config = tmp_path / (block.title or "example.yaml")
    write(config, block.text)
    # What is added stands in the base: the block stays as it is, with its own lines.
    if base := completed(value):
        write(tmp_path / "base-of-example.yaml", yaml.safe_dump(base, sort_keys=False))
        write(config, "extends: base-of-example.yaml\n" + block.text.replace("extends: []\n", ""))
    outcome = dltool("check", config)
    assert outcome.code == 0, outcome.stderr


def write(file: Path, text: str) -> None:
    if ROOT / "configs" in file.resolve().parents:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


@pytest.mark.parametrize("block", CONSOLE, ids=name_of)
def test_the_commands_of_a_block_exist_with_their_options(block: Block) -> None:
    for command in commands(block):
        for part in re.split(r"\s*(?:&&|\|\||;|\|)\s*", command):
            words = shlex.split(part.split(" > ")[0], comments=True)
            if words and words[0] in {"dltool", ".venv/bin/dltool"}:
                parse(typer.main.get_command(cli.app), words[1:])


def parse(command: Any, words: list[str]) -> None:
    """Parse the words of a command line without running anything; an unknown option or command raises."""
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    if "--help" not in words:
        command.make_context(command.name, words).close()


def test_every_title_names_one_file_of_a_page() -> None:
    for page in PAGES:
        titles = [block.title for block in blocks(page) if block.title]
        assert len(titles) == len(set(titles)), page


def test_every_page_has_its_place_in_the_navigation() -> None:
    listed = re.findall(r"[\w/-]+\.md$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    pages = {str(page.relative_to(ROOT / "docs")) for page in PAGES if page.name != "README.md"}
    assert (sorted(listed), len(listed)) == (sorted(pages), len(set(listed)))
