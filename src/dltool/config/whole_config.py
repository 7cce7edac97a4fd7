"""A config as one file that means the same in any folder: what a search or a learning curve keeps and resumes from."""

from dataclasses import replace
from typing import Any

from dltool.config.load import Document, build_config
from dltool.config.text.dump import plain_config
from dltool.config.text.edit import raw_yaml
from dltool.config.text.resolve import data_paths, replaced, resolve, weight_paths
from dltool.config.text.tree import find, to_plain
from dltool.errors import ConfigError, ConfigPath, Problem


def absolute_paths(document: Document) -> dict[ConfigPath, str]:
    """Return the text of each path of data and weights as an absolute path, by its place in the text.

    Expressions of the environment stay."""
    build_config(document)  # Locates the layers.
    resolved, _, _ = resolve(document.root, document.path.stem, document.folders, None)
    found: dict[ConfigPath, str] = {}
    for place, node in (*data_paths(resolved), *weight_paths(resolved)):
        written, uses = document.written(place)
        if not uses:
            found[tuple(written)] = node.expression or node.value.replace("$", "$$")
    return found


def whole_config(document: Document, *without: str) -> bytes:
    """Return the config as one YAML file that means the same in any folder: with its bases and arguments, with
    absolute paths, without comments and without some sections.

    Raises ConfigError: a path within a block cannot be made absolute."""
    root = document.root
    for place, text in absolute_paths(document).items():
        there = find(root, place)
        if there is not None:
            root = replaced(root, place, replace(there, value=text))
    plain: dict[str, Any] = {"name": document.path.stem, **to_plain(root)}
    for key in ("extends", *without):
        plain.pop(key, None)
    return raw_yaml(plain).encode()


def refuse_another(document: Document, again: Document) -> None:
    """Raise ConfigError unless both documents are the same experiment."""
    if plain_config(build_config(again)) != plain_config(build_config(document)):
        hint = "write the paths of weights in model.blocks as absolute paths"
        raise ConfigError(Problem(("model",), "the config means something else in another folder", hint))
