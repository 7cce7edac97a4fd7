"""Load a typed config from a file name, in two steps.

:func:`read_document` reads the file, its bases and the `--set` arguments into one tree of values with positions.
:func:`build_config` replaces names and expressions and validates. A run calls it before the data is read, when facts
such as `$classes` may be unknown, and again with the facts of the data."""

import os
import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dltool.config.last_layer import LAYERS
from dltool.config.layer_checks import independent
from dltool.config.schema import Config
from dltool.config.text.blocks import Uses, WrittenLayer
from dltool.config.text.expressions import BadExpression, NotSet, Substitution
from dltool.config.text.merge import apply_setting, merge
from dltool.config.text.resolve import NOT_EXPERIMENT, private_places, public_texts, resolve, with_absolute_paths
from dltool.config.text.tree import MappingEntry, Node, find, format_path, position_of, scalars, with_children
from dltool.config.text.yaml_reader import YAML, decode, near_files, parse_yaml, read_bytes
from dltool.config.validate import validate
from dltool.config.wording import named
from dltool.errors import ConfigError, ConfigPath, Position, Problem, TextPath, UnreadableConfig

DATA = (
    *(".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq", ".feather", ".arrow", ".orc", ".sqlite", ".arff"),
    *(".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
    *(".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".tgz", ".tbz2", ".txz"),
)
"""Suffixes of tables and archives. A config may have any other."""


@dataclass(frozen=True)
class Document:
    """One config as written: its merged tree, and the texts its positions point into. `folders` holds the base folder
    of relative paths in each text; `content` is the file, byte for byte. `layers` holds the location of each layer of
    the model; :func:`build_config` fills it. `table` is the Parquet file that a run keeps as its source, if any."""

    path: Path
    shown_as: str
    root: Node
    texts: Mapping[str, str]
    folders: Mapping[str, Path]
    content: bytes
    layers: list[WrittenLayer] = field(default_factory=list)
    table: bytes | None = None

    def position(self, place: ConfigPath | Position, at_key: bool = False) -> Position:
        """Return the position of a config path in the expanded config, without blocks and repeats."""
        return place if isinstance(place, Position) else position_of(self.root, self.written(place)[0], at_key)

    def written(self, place: ConfigPath) -> tuple[TextPath, Uses]:
        """Return the location in the text of a path in the expanded config, and the uses of blocks that led there."""
        index = place[2] if len(place) > 2 and place[:2] == LAYERS else None
        if isinstance(place, TextPath) or not isinstance(index, int) or index >= len(self.layers):
            return TextPath(place), ()
        return TextPath((*self.layers[index].place, *place[3:])), self.layers[index].uses


def read_document(path: Path, settings: Iterable[str] = (), **options: str | int | None) -> Document:
    """Read the config at `path`, merge its bases, apply the `--set` arguments and the `options` that are not None.

    Raises UnreadableConfig: the errors that prevent a tree, with their positions."""
    texts: dict[str, str] = {}
    folders: dict[str, Path] = {}
    try:
        refuse_data(path)
        content = read_bytes(path, str(path))
        root = read_with_bases(path, str(path), content, texts, folders)
    except ConfigError as error:
        raise UnreadableConfig(error.problems, texts) from None
    document = with_settings(Document(path, str(path), root, texts, folders, content), settings)
    for option, value in options.items():
        document = document if value is None else with_option(document, option, value)
    return document


def refuse_data(path: Path) -> None:
    """Raise ConfigError if `path` is data for which `dltool init` drafts a config."""
    is_folder = os.path.isdir(path) and path.suffix not in YAML and os.access(path, os.R_OK)
    if is_folder and near_files(path / "x", YAML):
        return
    if is_folder or (os.path.isfile(path) and path.name.lower().endswith(DATA)):
        what = "is a folder, not a config" if is_folder else "is a data file, not a config"
        hint = f"use `dltool init {shlex.quote(str(path))}` to draft a config for it"
        raise ConfigError(Problem(None, f"{path} {what}", hint))


def with_settings(document: Document, settings: Iterable[str]) -> Document:
    """Apply `--set` arguments, the last one winning. Raises UnreadableConfig: an argument cannot be read or applied."""
    root, texts, folders = document.root, dict(document.texts), dict(document.folders)
    for argument in settings:
        shown_as = f"--set {argument}"
        texts[shown_as], folders[shown_as] = argument, Path.cwd()
        try:
            root = apply_setting(root, argument)
        except ConfigError as error:
            raise UnreadableConfig(error.problems, texts) from None
    return replace(document, root=root, texts=texts, folders=folders)


def with_option(document: Document, option: str, value: str | int) -> Document:
    """Apply the literal value of `--name` or `--seed`: no YAML, no expressions."""
    shown_as = f"--{option} {value}"
    position = Position(shown_as, 1, 1, len(str(value)))
    literal = value.replace("$", "$$") if isinstance(value, str) else value
    entry = MappingEntry(position, Node(literal, position, str(value)))
    root = replace(document.root, value={**document.root.value, option: entry})
    return replace(document, root=root, texts={**document.texts, shown_as: str(value)})


def with_table(document: Document, table: bytes, path: Path, shown_as: str) -> Document:
    """Return the document with a Parquet file as its source, which the run keeps; `shown_as` is its origin. `path` is a
    copy to read."""
    position = Position(shown_as, 1, 1)

    def mapping(key: str, node: Node, base: Node | None = None) -> Node:
        entries = base.value if base is not None and isinstance(base.value, Mapping) else {}
        return Node({**entries, key: MappingEntry(position, node)}, position if base is None else base.position)

    file = Node(str(path).replace("$", "$$"), position, str(path))
    source = mapping("parquet", mapping("path", file))
    root = mapping("data", mapping("source", source, find(document.root, ("data",))), document.root)
    folders = {**document.folders, shown_as: path.parent}
    return replace(document, root=root, texts={**document.texts, shown_as: ""}, folders=folders, table=table)


def read_recorded(content: bytes, shown_as: str, settings: Iterable[str] = ()) -> Config:
    """Read the config of a run's resolved.yaml, which is not trusted and must hold plain values only, or expressions of
    the environment alone. `settings` are `--set` arguments.

    Paths and arguments of callbacks keep the expression of a variable that is not set.
    Raises ConfigError: it extends a file, has variables or other `$` expressions, a variable that is not set is needed,
    or it is invalid. Problems have positions."""
    root = parse_yaml(decode(content, shown_as), shown_as)
    if not isinstance(root.value, Mapping):
        raise ConfigError(Problem(root.position, f"expected a mapping, got {named(root.value)}"))
    message = "a run's config must be complete, without references"
    problems = [Problem((key,), message, at_key=True) for key in NOT_EXPERIMENT if key in root.value]
    for argument in settings:
        root = apply_setting(root, argument)
    config = None
    plain = recorded_values(root, (), private_places(root), problems)
    if not problems:
        plain = with_absolute_paths(plain, {f"--set {argument}": Path.cwd() for argument in settings})
        config, problems = validate(plain)
        problems = problems or list(public_texts(plain))
    if config is None or problems:
        raise ConfigError(positioned(root, problem) for problem in problems)
    return with_expressions(config, plain)


def recorded_values(node: Node, path: ConfigPath, private: Collection[ConfigPath], problems: list[Problem]) -> Node:
    """Return the tree with `$$` as `$` and expressions of the environment replaced; any other `$` is a problem."""
    node = with_children(node, lambda step, child: recorded_values(child, (*path, step), private, problems))
    if isinstance(node.value, Mapping):
        return replace(node, value={key.replace("$$", "$"): entry for key, entry in node.value.items()})
    if not isinstance(node.value, str) or "$" not in node.value:
        return node
    try:
        found = Substitution({}, {}, home="a run's config refers to the environment only").substitute(node)
    except NotSet as error:
        problems += [] if path in private else [Problem(path, *error.args)]
        return replace(node, expression=node.value)
    except BadExpression as error:
        if "env." in node.value:
            problems.append(Problem(path, *error.args))
            return node
        found = node
    if "$" in node.value.replace("$$", "") and not found.expression:
        problems.append(Problem(path, "a run's config holds plain values only, without $ names and expressions"))
    return found


def with_expressions(config: Config, tree: Node) -> Config:
    """Return the config with the expressions of the values that depend on the environment, by path."""
    config._expressions.update({path: (node.value, node.expression) for path, node in scalars(tree) if node.expression})
    return config


def positioned(root: Node, problem: Problem) -> Problem:
    """Return the problem with its position, and its config path in the message."""
    if not isinstance(problem.place, tuple):
        return problem
    position = position_of(root, problem.place, problem.at_key)
    message = f"{format_path(problem.place)}: {problem.message}" if problem.place else problem.message
    return replace(problem, place=position, message=message, related=())


def read_with_bases(
    path: Path, shown_as: str, content: bytes, texts: dict[str, str], folders: dict[str, Path], *above: Path
) -> Node:
    """Read a file and those that it extends; their texts and folders are added by the names that positions carry."""
    text = texts[shown_as] = decode(content, shown_as)
    folders[shown_as] = path.parent.absolute()
    root = parse_yaml(text, shown_as)
    if not isinstance(root.value, Mapping):
        message = f"expected a mapping, got {named(root.value)}"
        raise ConfigError(Problem(root.position, message, "begin with `name: …`"))
    merged: Node | None = None
    extends = root.value["extends"].node if "extends" in root.value else replace(root, value=())
    names = extends.value if isinstance(extends.value, tuple) else (extends,)
    if wrong := next((name for name in names if not isinstance(name.value, str)), None):
        message = f"expected a file name or a list of them, got {named(wrong.value)}"
        raise ConfigError(Problem(wrong.position, message))
    for name in names:
        base = path.parent / name.value
        if base.resolve() in (*above, path.resolve()):
            chain = " → ".join(file.name for file in (*above, path.resolve(), base.resolve()))
            raise ConfigError(Problem(name.position, f"extends itself: {chain}"))
        if not os.path.isfile(base):
            raise ConfigError(Problem(name.position, f"no such file: {base}"))
        shown = os.path.normpath(base)
        below = read_with_bases(base, shown, read_bytes(base, shown), texts, folders, *above, path.resolve())
        merged = below if merged is None else merge(merged, below)
    return root if merged is None else merge(merged, root)


def build_config(document: Document, facts: Mapping[str, Any] | None = None) -> Config:
    """Return the validated config. `facts` are the values of `$classes`, `$examples`, … Without facts, values that
    depend on the data are UNKNOWN and not checked. Raises ConfigError: every error found."""
    resolved, document.layers[:], problems = resolve(document.root, document.path.stem, document.folders, facts)
    config, found = validate(resolved)
    found = found or list(public_texts(resolved))
    # What could not be resolved has left UNKNOWN behind, which is an error in some places, but not another one.
    known = {problem.place for problem in problems}
    problems += [
        with_definition(problem, resolved)
        for problem in found
        if not isinstance(problem.place, tuple) or document.written(problem.place)[0] not in known
    ]
    if config is None or problems:
        raise ConfigError(in_order(document, problems))
    return in_force(with_expressions(config, resolved), facts)


def in_order(document: Document, problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems in the order of the text, each once, however often its block is used."""
    found: dict[tuple[Position, str], Problem] = {}
    for problem in problems:
        found.setdefault((document.position(problem.place or (), problem.at_key), problem.message), problem)
    return [found[at, words] for at, words in sorted(found, key=lambda key: (key[0].file, key[0].line, key[0].column))]


def with_definition(problem: Problem, resolved: Node) -> Problem:
    """Return the problem with the definition of the variable that its value comes from."""
    node = find(resolved, problem.place) if isinstance(problem.place, tuple) else None
    if node is None or node.defined is None:
        return problem
    return replace(problem, related=(*problem.related, (node.defined, "the value comes from here")))


def in_force(config: Config, facts: Mapping[str, Any] | None) -> Config:
    """Return the config with inferred defaults; those that depend on the data only if `facts` are known."""
    split, checkpoint = config.data.split, config.training.checkpoint
    if split.seed is None:
        split = split.model_copy(update={"seed": config.seed})
    if facts is not None and split.stratify is None:
        targets = (name.removeprefix("classes") for name in facts if name.startswith("classes"))
        is_divided = config.data.is_streamed or config.data.windows is not None
        has_classes = not is_divided and any(facts.get(f"target_shape{each}") == [] for each in targets)
        split = split.model_copy(update={"stratify": split.may_be_stratified and has_classes})
    # Of a fold and of private training without validation, the last epoch is the best.
    is_chosen = split.folds is None and config.training.privacy is None
    may_infer = is_chosen or (facts is not None and facts["validation_examples"] > 0)
    if facts is not None and checkpoint.monitor is None and may_infer:
        monitor = "val_loss" if facts["validation_examples"] else "loss"
        checkpoint = checkpoint.model_copy(update={"monitor": monitor})
    layers = {name: tuple(map(independent, getattr(config.data, name))) for name in ("preprocessing", "augmentation")}
    data = config.data.model_copy(update={"split": split, **layers})
    model = config.model.model_copy(update={"blocks": {}, "layers": tuple(map(independent, config.model.layers))})
    training = config.training.model_copy(update={"checkpoint": checkpoint})
    return config.model_copy(update={"data": data, "model": model, "training": training, "search": None})
