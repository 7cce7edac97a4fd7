"""From a file name to a typed config, in two steps.

:func:`read_document` reads the text, what it extends and the `--set` arguments into one tree of values with positions.
:func:`build_config` replaces names and expressions and validates. It is called twice in a training: before the data is
read, when facts such as `$classes` may still be unknown, and after.
"""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dltool.config.expressions import Substitution
from dltool.config.keras_objects import UNKNOWN
from dltool.config.merge import apply_setting, merge
from dltool.config.schema import DATA_FACTS, Config, Training
from dltool.config.tree import Entry, Node, children, find, format_path, position_of, scalars
from dltool.config.validate import validate
from dltool.config.yaml_reader import decode, parse_yaml, read_text
from dltool.errors import ConfigError, ConfigPath, Position, Problem

SOURCE_PLACES = (("data", "source"), ("data", "validation"), ("data", "test"))
PATH_OPTIONS = ("path", "x", "y")
NOT_EXPERIMENT = ("vars", "extends")


@dataclass(frozen=True)
class Document:
    """One config as written: its merged tree, and the texts its positions point into."""

    path: Path
    shown_as: str
    root: Node
    texts: Mapping[str, str]

    def position(self, place: ConfigPath | Position, at_key: bool = False) -> Position:
        return place if isinstance(place, Position) else position_of(self.root, place, at_key)


def read_document(path: Path, settings: Iterable[str] = ()) -> Document:
    """The config at `path` with everything it extends and the `--set` arguments applied.

    Raises:
        UnreadableConfig: the mistakes that keep the tree from being built, with their positions.
    """
    texts: dict[str, str] = {}
    try:
        root = read_with_bases(path, str(path), texts, ())
    except ConfigError as error:
        raise UnreadableConfig(error.problems, texts) from None
    return with_settings(Document(path, str(path), root, texts), settings)


def with_settings(document: Document, settings: Iterable[str]) -> Document:
    """The document with `--set` arguments applied, the last one winning.

    Raises:
        UnreadableConfig: an argument cannot be read or applied.
    """
    root, texts = document.root, dict(document.texts)
    for argument in settings:
        shown_as = f"--set {argument}"
        texts[shown_as] = argument
        try:
            root = with_absolute_paths(apply_setting(root, argument), Path.cwd(), only=shown_as)
        except ConfigError as error:
            raise UnreadableConfig(error.problems, texts) from None
    return replace(document, root=root, texts=texts)


class UnreadableConfig(ConfigError):
    """A config with no tree; `texts` lets the positions be shown all the same."""

    def __init__(self, problems: Iterable[Problem], texts: Mapping[str, str]) -> None:
        super().__init__(problems)
        self.texts = texts


def read_recorded(content: bytes, shown_as: str) -> Config:
    """The config of a run's resolved.yaml, which is not trusted: it holds values, and nothing that has to be looked up.

    Raises:
        ConfigError: it extends a file, has variables or `$` expressions, or is not valid. Problems have positions.
    """
    root = parse_yaml(decode(content, shown_as), shown_as)
    if not isinstance(root.value, Mapping):
        raise ConfigError(Problem(root.position, "the file holds no keys and values"))
    problems = [
        Problem((key,), "a run's config is complete and refers to nothing else", at_key=True)
        for key in NOT_EXPERIMENT
        if key in root.value
    ]
    config = None
    plain = without_doubled_dollars(root, (), problems)
    if not problems:
        config, problems = validate(plain)
    if config is None or problems:
        raise ConfigError(positioned(root, problem) for problem in problems)
    return config


def without_doubled_dollars(node: Node, path: ConfigPath, problems: list[Problem]) -> Node:
    """The tree with `$$` as `$`; any other dollar sign is a problem."""
    if isinstance(node.value, Mapping):
        return replace(
            node,
            value={
                key.replace("$$", "$"): Entry(entry.key, without_doubled_dollars(entry.node, (*path, key), problems))
                for key, entry in node.value.items()
            },
        )
    if isinstance(node.value, tuple):
        items = enumerate(node.value)
        return replace(node, value=tuple(without_doubled_dollars(item, (*path, i), problems) for i, item in items))
    if not isinstance(node.value, str):
        return node
    if "$" in node.value.replace("$$", ""):
        problems.append(Problem(path, "a run's config holds values only, no names and expressions with $"))
    return replace(node, value=node.value.replace("$$", "$"))


def positioned(root: Node, problem: Problem) -> Problem:
    """The problem with its position for a place, and its path in the message."""
    if not isinstance(problem.place, tuple):
        return problem
    position = position_of(root, problem.place, problem.at_key)
    message = f"{format_path(problem.place)}: {problem.message}" if problem.place else problem.message
    return replace(problem, place=position, message=message, related=())


def read_with_bases(path: Path, shown_as: str, texts: dict[str, str], above: tuple[Path, ...]) -> Node:
    text = texts[shown_as] = read_text(path, shown_as)
    root = parse_yaml(text, shown_as)
    if not isinstance(root.value, Mapping):
        what = "a list" if isinstance(root.value, tuple) else "a single value"
        raise ConfigError(Problem(root.position, f"the file holds {what}, not keys and values", "begin with `name: …`"))
    root = with_absolute_paths(root, path.parent.absolute())
    merged: Node | None = None
    for name in base_names(root):
        base = path.parent / name.value
        if base.resolve() in (*above, path.resolve()):
            chain = " → ".join(file.name for file in (*above, path.resolve(), base.resolve()))
            raise ConfigError(Problem(name.position, f"extends itself: {chain}"))
        if not base.is_file():
            raise ConfigError(Problem(name.position, f"no such file: {base}"))
        below = read_with_bases(base, os.path.normpath(base), texts, (*above, path.resolve()))
        merged = below if merged is None else merge(merged, below)
    return root if merged is None else merge(merged, root)


def base_names(root: Node) -> list[Node]:
    if "extends" not in root.value:
        return []
    extends = root.value["extends"].node
    names = list(extends.value) if isinstance(extends.value, tuple) else [extends]
    for name in names:
        if not isinstance(name.value, str):
            raise ConfigError(Problem(name.position, "extends takes a file name or a list of them"))
    return names


def with_absolute_paths(root: Node, folder: Path, only: str = "") -> Node:
    """Relative data paths made absolute: relative to the file they stand in, or for `--set` to the working directory.

    `only` restricts this to what was written in the text of that name.
    """
    for place in SOURCE_PLACES:
        source = find(root, place)
        for name, options in children(source) if source is not None else ():
            # `mnist: a.npz` is short for `mnist: {path: a.npz}`.
            below = [(option, child) for option, child in children(options) if option in PATH_OPTIONS]
            found: list[tuple[ConfigPath, Node]] = [((name, option), child) for option, child in below]
            for steps, child in found or [((name,), options)]:
                if isinstance(child.value, str) and (not only or child.position.file == only):
                    absolute = replace(child, value=absolute_path(child.value, folder))
                    root = replaced(root, (*place, *steps), absolute)
    return root


def absolute_path(text: str, folder: Path) -> str:
    # What begins with an expression is resolved later and is then relative to nothing: `$(env.DATA)/adult.csv`.
    return text if text.startswith("$") else os.path.normpath(folder / Path(text).expanduser())


def replaced(node: Node, path: ConfigPath, new: Node) -> Node:
    if not path:
        return new
    entry = node.value[path[0]]
    return replace(node, value={**node.value, path[0]: Entry(entry.key, replaced(entry.node, path[1:], new))})


def build_config(document: Document, facts: Mapping[str, Any] | None = None) -> Config:
    """The validated config. `facts` are what `$classes`, `$examples`, … stand for.

    None means that the data has not been read: what depends on it is then the UNKNOWN sentinel, and not checked.

    Raises:
        ConfigError: with every mistake found.
    """
    resolved, problems = resolve(document, facts)
    config, found = validate(resolved)
    problems += found
    if config is None or problems:
        raise ConfigError(sorted(problems, key=lambda problem: order(document, problem)))
    return config


def order(document: Document, problem: Problem) -> tuple[str, int, int]:
    position = document.position(problem.place or (), problem.at_key)
    return position.file, position.line, position.column


def resolve(document: Document, facts: Mapping[str, Any] | None) -> tuple[Node, list[Problem]]:
    """The tree without `vars`, `extends` and `x-` keys, every name and expression replaced."""
    root = document.root
    variables, problems = user_variables(root)
    substitution = Substitution(names_of_facts(root, variables, facts), variables, os.environ, problems)
    for name in variables:
        substitution.check_variable(name)
    entries = {
        key: entry for key, entry in root.value.items() if key not in NOT_EXPERIMENT and not key.startswith("x-")
    }
    entries.setdefault("name", Entry(root.position, Node(document.path.stem, root.position)))
    resolved = substitution.resolve(Node(entries, root.position), ())
    return resolved, problems + dependent_data(resolved)


def names_of_facts(root: Node, variables: Mapping[str, Node], facts: Mapping[str, Any] | None) -> dict[str, Any]:
    """The facts together with the two names that the config itself decides: `epochs` and `steps_per_epoch`."""
    names = dict.fromkeys(DATA_FACTS, UNKNOWN) if facts is None else dict(facts)
    probe = Substitution(names, variables, os.environ)

    def setting(key: str, default: Any) -> Any:
        node = find(root, ("training", key))
        value = probe.resolve(node, ()).value if node else default
        is_count = isinstance(value, int) and value > 0 and not isinstance(value, bool)
        return value if is_count else UNKNOWN

    epochs, batch_size = setting("epochs", UNKNOWN), setting("batch_size", Training.model_fields["batch_size"].default)
    examples = names["examples"]
    steps: Any = UNKNOWN
    if isinstance(batch_size, int) and isinstance(examples, int):
        steps = math.ceil(examples / batch_size)
    return {**names, "epochs": epochs, "steps_per_epoch": steps}


def user_variables(root: Node) -> tuple[dict[str, Node], list[Problem]]:
    if "vars" not in root.value:
        return {}, []
    node = root.value["vars"].node
    if not isinstance(node.value, Mapping):
        return {}, [Problem(("vars",), "expected names and their values")]
    problems = [
        Problem(("vars", name), "not a name: letters, digits and _ only", at_key=True)
        if not name.isidentifier()
        else Problem(("vars", name), f"${name} is a name of dltool's own", "choose another name", at_key=True)
        for name in node.value
        if not name.isidentifier() or name in {*DATA_FACTS, "epochs", "steps_per_epoch", "env"}
    ]
    return {name: entry.node for name, entry in node.value.items()}, problems


def dependent_data(resolved: Node) -> list[Problem]:
    """What cannot be known in time: the data's own description in terms of the data."""
    data = find(resolved, ("data",))
    return [
        Problem(("data", *path), "cannot depend on the data that it describes")
        for path, node in (scalars(data) if data else ())
        if node.value is UNKNOWN and node.written and path and path[0] not in ("preprocessing", "augmentation")
    ]
