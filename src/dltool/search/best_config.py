"""The best config of a search, in the user's own text."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from dltool.config.load import Document, build_config, read_document, read_with_bases
from dltool.config.text.dump import plain_config
from dltool.config.text.edit import NotEditable, edited
from dltool.config.text.resolve import replaced
from dltool.config.text.tree import find, to_plain
from dltool.config.text.yaml_reader import decode, parse_yaml
from dltool.config.whole_config import absolute_paths, whole_config
from dltool.errors import ConfigError, ConfigPath


def write_best(best: Path, original: bytes, source: Path, trial: Document, title: str) -> None:
    """Write the config of `trial` to `best`, in the text of `original`, which was read at `source`.

    If that text cannot be changed so, the whole config is written instead, with its bases and without comments."""
    expected = build_config(trial)
    try:
        differing = changes(original, source, trial, best.parent)
        text = edited(decode(original, str(source)), differing, ["search"]).rstrip() + "\n"
        best.write_text(f"# {title}\n{text}", encoding="utf-8")
        if plain_config(build_config(read_document(best))) == plain_config(expected):
            return
    except (NotEditable, ConfigError):
        pass
    best.write_bytes(f"# {title}\n".encode() + whole_config(trial, "search"))


def changes(original: bytes, source: Path, trial: Document, folder: Path) -> Iterator[tuple[ConfigPath, Any]]:
    """Yield what differs between a config and a trial, by place: values, arguments, and paths seen from `folder`."""
    before = read_with_bases(source, str(source), original, {}, {})
    own, after = parse_yaml(decode(original, str(source)), str(source)), trial.root
    for place, path in absolute_paths(trial).items():
        there, written = find(after, place), find(before, place)
        is_absolute = written is not None and isinstance(written.value, str) and os.path.isabs(written.value)
        if written is not None and find(own, place) is None:
            # From a base, in whose folder it stands.
            after = replaced(after, place, written)
        elif there is not None and os.path.isabs(path) and not is_absolute:
            after = replaced(after, place, replace(there, value=os.path.relpath(path, folder)))
    old, new = to_plain(before), to_plain(after)
    if bases := old.pop("extends", None):
        moved = [
            os.path.relpath(source.parent / base, folder) for base in ([bases] if isinstance(bases, str) else bases)
        ]
        yield ("extends",), moved[0] if isinstance(bases, str) else moved
    for each in (old, new):
        each.pop("search", None)
    yield from differences_of(old, new)


def differences_of(old: Any, new: Any, path: ConfigPath = ()) -> Iterator[tuple[ConfigPath, Any]]:
    """Yield the smallest parts of `new` that differ from `old`, by place."""
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() <= new.keys():
        for key, value in new.items():
            if key in old:
                yield from differences_of(old[key], value, (*path, key))
            else:
                yield (*path, key), value
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from differences_of(before, after, (*path, index))
    elif old != new or type(old) is not type(new):
        yield path, new
