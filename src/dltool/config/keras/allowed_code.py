"""Reads a file of the user's own Keras classes and functions, allowed by `--allow-code`, without running it.

They and their arguments are taken from its syntax tree. Only building the model imports it."""

import ast
import hashlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeGuard

from dltool.config.text.yaml_reader import decode, read_bytes
from dltool.errors import ConfigError, Position, Problem, UnreadableConfig
from dltool.keras_names import KINDS, OWN, AllowedCode, find, find_all, signatures
from dltool.keras_names.argument_types import REDUCTION, deduce

MODULES = {"layer": "layers", "loss": "losses", "metric": "metrics"}
BASES = {"layer": "Layer", "loss": "Loss", "metric": "Metric"}
FUNCTION_KINDS = ("loss", "metric")
"""What a function of targets and outputs can be."""
SHARED: dict[str, dict[str, Any]] = {
    "layer": {"arguments": [], "base": "layer"},
    "loss": {"arguments": [["reduction", REDUCTION, "sum_over_batch_size"], ["name", "text|null", None]]},
    "metric": {"arguments": [["name", "text|null", None]]},
}
"""Arguments that classes of each kind take through `**kwargs`; `base` names those of the table."""
PLAIN = {"int": "int", "float": "float", "bool": "bool", "str": "text", "dict": "mapping", "None": "null"}
LISTS = {"int": "ints", "float": "floats", "str": "texts"}
SEQUENCES = {"list", "tuple", "List", "Tuple", "Sequence", "Iterable", "Collection"}
NEEDS_NAME = "end its __init__ with **kwargs, and give them to super().__init__(**kwargs)"


def read_allowed_code(paths: Iterable[Path]) -> list[AllowedCode]:
    """Read the files and the classes that they define. Raises UnreadableConfig: the errors of the first file that has
    any, with positions in it."""
    files: list[AllowedCode] = []
    for path in dict.fromkeys(paths):
        texts: dict[str, str] = {}
        try:
            files.append(read_file(path, texts, files))
        except ConfigError as error:
            raise UnreadableConfig(error.problems, texts) from None
    return files


def read_file(path: Path, texts: dict[str, str], before: list[AllowedCode]) -> AllowedCode:
    shown_as = str(path)
    source = read_bytes(path, shown_as, "a Python file", {".py"})
    texts[shown_as] = decode(source, shown_as)
    try:
        tree = ast.parse(source)
        # Finds errors beyond the grammar, such as a return outside of a function. Nothing is run.
        compile(tree, shown_as, "exec", dont_inherit=True)
    except SyntaxError as error:
        # A null byte or an unknown encoding has no line.
        position = Position(shown_as, error.lineno or 1, max(1, error.offset or 1))
        raise ConfigError(Problem(position, f"is not valid Python: {error.msg}")) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(Problem(Position(shown_as, 1, 1), f"is not valid Python: {error}")) from None
    names: dict[str, dict[str, Any]] = {kind: {} for kind in BASES}
    problems: list[Problem] = []
    classes = UserClasses(tree)
    for node in classes.nodes.values():
        kind = classes.kind_of(node)
        if kind is None or node.name.startswith("_"):
            continue
        entry = classes.entry_of(node, kind)
        position = Position(shown_as, node.lineno, node.col_offset + len("class ") + 1, len(node.name))
        problems += class_problems(node.name, kind, entry, position, before)
        names[kind][node.name] = entry
    for function in filter(compares_two, tree.body):
        position = Position(shown_as, function.lineno, function.col_offset + len("def ") + 1, len(function.name))
        problems += name_problems(function.name, FUNCTION_KINDS, "the function", position, before)
        for kind in FUNCTION_KINDS:
            names[kind][function.name] = {"function": True}
    if not any(names.values()):
        hint = "such as: class Scale(keras.layers.Layer)"
        problems.append(Problem(Position(shown_as, 1, 1), "defines no Keras layer, loss or metric", hint))
    if problems:
        raise ConfigError(problems)
    return AllowedCode(shown_as, source, hashlib.sha256(source).hexdigest(), names)


def compares_two(node: ast.stmt) -> TypeGuard[ast.FunctionDef]:
    """Return whether a statement defines a function of two arguments, which can be a loss or a metric."""
    if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
        return False
    spec = node.args
    return len(spec.posonlyargs) + len(spec.args) - len(spec.defaults) == 2 and None not in spec.kw_defaults


def name_problems(
    name: str, kinds: Collection[str], what: str, position: Position, before: list[AllowedCode]
) -> Iterator[Problem]:
    theirs = [each for each in find_all(name) if each.kind in kinds and name not in OWN.get(each.kind, {})]
    if theirs:
        message = f"Keras has {KINDS[theirs[0].kind]} of the name {name}"
        yield Problem(position, message, f"give {what} another name")
    for other in before:
        if any(name in names for names in other.names.values()):
            yield Problem(position, f"{other.shown_as} defines {name} too", "give one of them another name")


def class_problems(
    name: str, kind: str, entry: dict[str, Any], position: Position, before: list[AllowedCode]
) -> Iterator[Problem]:
    yield from name_problems(name, KINDS, "the class", position, before)
    if kind == "layer" and "base" not in entry and not any(item[0] == "name" for item in entry["arguments"]):
        yield Problem(position, f"{name} takes no name, and every layer of a model has one", NEEDS_NAME)


class UserClasses:
    """The classes in a syntax tree, which may derive from a Keras layer, loss or metric."""

    def __init__(self, tree: ast.Module) -> None:
        self.paths = imported_paths(tree)
        self.nodes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}

    def kind_of(self, node: ast.ClassDef) -> str | None:
        for base in node.bases:
            own = self.own(base, node)
            kind = self.keras_class(base)[0] if own is None else self.kind_of(own)
            if kind is not None:
                return kind
        return None

    def own(self, base: ast.expr, node: ast.ClassDef) -> ast.ClassDef | None:
        """Return the class of this file, defined above `node`, that `base` names."""
        found = self.nodes.get(base.id) if isinstance(base, ast.Name) else None
        return found if found is not None and found.lineno < node.lineno else None

    def keras_class(self, base: ast.expr) -> tuple[str | None, str]:
        """Return the kind and name of the Keras class that `base` names; no kind if it is none."""
        parts = ast.unparse(base).split(".")
        path = [*self.paths.get(parts[0], parts[0]).split("."), *parts[1:]]
        match path[1:] if path[0] == "tensorflow" else path:
            case ["keras", name]:
                return next((kind for kind, base_name in BASES.items() if name == base_name), None), name
            case ["keras", module, name]:
                kind = next((kind for kind in BASES if MODULES[kind] == module), None)
                return kind if kind and (name == BASES[kind] or find(kind, name)) else None, name
        return None, ""

    def entry_of(self, node: ast.ClassDef, kind: str) -> dict[str, Any]:
        """Return the arguments of the constructor, which may be inherited, and of those that its `**kwargs` reach."""
        made = next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"), None)
        if made is None:
            return self.inherited(node, kind)
        arguments = list(arguments_of(made))
        if made.args.kwarg is None:
            return {"arguments": arguments}
        inherited = self.inherited(node, kind)
        own = {item[0] for item in arguments}
        # The constructor may pass arguments to its base itself, so here they are optional.
        more = [item if len(item) > 2 else [*item, None] for item in inherited["arguments"] if item[0] not in own]
        return {**inherited, "arguments": [*arguments, *more]}

    def inherited(self, node: ast.ClassDef, kind: str) -> dict[str, Any]:
        for base in node.bases:
            own = self.own(base, node)
            if own is not None:
                return self.entry_of(own, kind)
            keras_kind, name = self.keras_class(base)
            if keras_kind == kind and name != BASES[kind]:
                known = find(kind, name)
                entry: dict[str, Any] = signatures()[kind][known.means] if known else {}
                return {"arguments": [], **{key: entry[key] for key in ("arguments", "base") if key in entry}}
        return SHARED[kind]


def imported_paths(tree: ast.Module) -> dict[str, str]:
    """Return the full paths of the names that a module imports: `L` → "keras.layers"."""
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            for item in node.names:
                found[item.asname or item.name.split(".")[0]] = item.name if item.asname else item.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            found |= {item.asname or item.name: f"{node.module}.{item.name}" for item in node.names}
    return found


def arguments_of(made: ast.FunctionDef) -> Iterator[list[Any]]:
    """Yield name, types and default (unless required) of each argument of a constructor but `self`."""
    spec = made.args
    positional = [*spec.posonlyargs, *spec.args][1:]
    defaults = [None] * (len(positional) - len(spec.defaults)) + [*spec.defaults, *spec.kw_defaults]
    for argument, default in zip([*positional, *spec.kwonlyargs], defaults, strict=True):
        value = None if default is None else plain_default(default)
        types = hinted(argument.annotation) or deduce(argument.arg, value, default is None)
        yield [argument.arg, types] if default is None else [argument.arg, types, value]


def plain_default(default: ast.expr) -> Any:
    try:
        return ast.literal_eval(default)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def hinted(annotation: ast.expr | None) -> str:
    """Return the types that a type hint allows, see :mod:`dltool.keras_names.argument_types`; empty if unclear."""
    words = dict.fromkeys(hinted_words(annotation) if annotation is not None else ())
    return "" if "" in words else "|".join(words)


def hinted_words(annotation: ast.expr) -> Iterator[str]:
    """Yield the type of each member of the hint; an empty string if unclear."""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        yield from hinted_words(annotation.left)
        yield from hinted_words(annotation.right)
    elif isinstance(annotation, ast.Constant) and annotation.value is None:
        yield "null"
    elif isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            yield from hinted_words(ast.parse(annotation.value, mode="eval").body)
        except SyntaxError:
            yield ""
    elif isinstance(annotation, ast.Subscript):
        yield from subscript_words(last_name(annotation.value), annotation.slice)
    else:
        name = last_name(annotation)
        yield "list" if name in SEQUENCES else PLAIN.get(name, "")


def subscript_words(name: str, inside: ast.expr) -> Iterator[str]:
    items = list(inside.elts) if isinstance(inside, ast.Tuple) else [inside]
    if name == "Literal":
        values = [item.value if isinstance(item, ast.Constant) else None for item in items]
        yield from (f'"{value}"' if isinstance(value, str) else "" for value in values)
    elif name in ("Optional", "Union"):
        for item in items:
            yield from hinted_words(item)
        yield from ["null"] if name == "Optional" else []
    elif name in ("dict", "Dict", "Mapping"):
        yield "mapping"
    elif name in SEQUENCES:
        open_ended = [item for item in items if not (isinstance(item, ast.Constant) and item.value is ...)]
        of = {last_name(item) for item in open_ended}
        word = LISTS.get(of.pop(), "list") if len(of) == 1 else "list"
        is_fixed = name in ("tuple", "Tuple") and len(open_ended) == len(items)
        yield f"{word}:{len(items)}" if is_fixed and word != "list" else word
    else:
        yield ""


def last_name(node: ast.expr) -> str:
    """Return `Sequence` for `typing.Sequence`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
