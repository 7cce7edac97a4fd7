"""Writes the tables of Keras names from the installed Keras: `python -m scripts.keras_names.generate`.

`signatures.json` holds, by kind and name, the arguments with types
and defaults; `docs.json` one sentence for each object and argument. One object is one line, so that a new Keras reads
as a diff.
"""

import ast
import inspect
import itertools
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import keras
from scripts.keras_names.argument_types import deduce
from scripts.keras_names.docstrings import argument_summary, argument_texts, summary
from scripts.keras_names.refusals import REFUSED

from dltool.keras_names import FOLDER

MODULES = {
    "layer": "layers",
    "initializer": "initializers",
    "regularizer": "regularizers",
    "constraint": "constraints",
    "optimizer": "optimizers",
    "schedule": "optimizers.schedules",
    "loss": "losses",
    "metric": "metrics",
    "callback": "callbacks",
    "activation": "activations",
    "backbone": "applications",
}
FUNCTION_KINDS = ("loss", "activation")
NOT_OBJECTS = {"get", "serialize", "deserialize", "legacy", "schedules"}
# `compile()` chooses what these mean by the shapes of targets and predictions, upper case or lower.
CHOSEN_BY_SHAPE = {
    "metric": ("accuracy", "acc", "Accuracy"),
    "loss": ("crossentropy", "ce"),
}
BASES = {"layer": keras.layers.Layer}
POPPED = re.compile(r'kwargs\.pop\(\s*"([a-z]\w*)"')
# Popped by Keras for itself: when it loads a saved layer, or to say that the argument is gone.
NOT_FOR_USERS = {
    "batch_input_shape",
    "dtype",
    "dynamic",
    "has_input_vocabulary",
    "input_dim",
    "input_shape",
    "trainable",
    "vocabulary_size",
}
# Arguments of a backbone that dltool sets itself, or that matter for the ImageNet classifier on top of it alone.
NOT_OF_BACKBONES = {
    *("include_top", "include_preprocessing", "input_tensor", "input_shape"),
    *("classes", "classifier_activation", "dropout", "dropout_rate"),
}
# What every backbone takes, before its own arguments and, as layers do, after them.
WEIGHTS_AND_POOLING = (["weights", "text|null", "imagenet"], ["pooling", '"avg"|"max"|null', None])
LIKE_LAYERS = (["trainable", "bool", True], ["name", "text|null", None])
BACKBONE_DOCS = {
    "weights": "The published ones (imagenet), the path of a file, or null for random ones.",
    "pooling": "What is left of height and width: their average (avg), their maximum (max), or all (null).",
    "trainable": "Whether it learns. Where not, its batch normalization keeps its statistics too.",
    "name": "String name of the layer.",
}
# Every augmentation layer takes it, and those that do not name it themselves ignore it.
WITHOUT_EFFECT = {"factor"}

# Arguments of a layer's call that a config sets like those of its constructor.
OF_CALLS = {"use_causal_mask": "Whether each position attends to itself and to earlier positions only."}

Entry = dict[str, Any]
Table = dict[str, dict[str, Entry]]


def signatures() -> Table:
    """Kind → name → entry. An entry holds one of

    `arguments` (lists of name, type and, unless required, default) with `base` (whose arguments it takes too) and
    `call` (those that its call takes, not its constructor),
    `means` (another name for the same thing; `string` where Keras resolves it itself),
    `function` (a plain function, by its name only), `chosen` (Keras chooses by shape), `refused` (why not).
    """
    table = {kind: dict(entries(kind)) for kind in MODULES}
    for kind in MODULES:
        add_strings(kind, table[kind])
    return {kind: dict(sorted(names.items())) for kind, names in table.items()}


def entries(kind: str) -> Iterator[tuple[str, Entry]]:
    refused = REFUSED[kind]
    for name, value in public(kind):
        if name in refused:
            yield name, {"refused": refused[name]}
        elif kind == "backbone":
            yield name, backbone_entry(value)
        elif inspect.isclass(value):
            means = canonical(kind, value)
            yield name, class_entry(kind, value) if name == means else {"means": means}


def public(kind: str) -> Iterator[tuple[str, Any]]:
    module: Any = keras
    for part in MODULES[kind].split("."):
        module = getattr(module, part)
    for name in sorted(dir(module)):
        value = getattr(module, name)
        if not name.startswith("_") and name not in NOT_OBJECTS and callable(value):
            yield name, value


def canonical(kind: str, value: Any) -> str:
    """The name of a class or function among its public names: its own, or else the first."""
    public_names = [name for name, other in public(kind) if other is value]
    return value.__name__ if value.__name__ in public_names or not public_names else public_names[0]


def class_entry(kind: str, owner: type) -> Entry:
    texts = all_texts(owner)
    arguments = [argument(owner.__name__, parameter, texts) for parameter in parameters(owner)]
    if kind in BASES:
        inherited = passed_on(owner)
        arguments += [argument(owner.__name__, parameter, texts) for parameter in inherited]
    own = {name for name, *_ in arguments}
    arguments += [[name, "any", None] for name in popped(owner) if name not in own]
    entry: Entry = {"arguments": arguments}
    if owner is not BASES.get(kind) and kind in BASES and takes_more(owner):
        entry["base"] = kind
    if call := of_call(owner):
        entry["arguments"] += [[name, "bool", False] for name in call]
        entry["call"] = call
    return entry


def of_call(owner: type) -> list[str]:
    function = getattr(owner, "call", None)
    return [] if function is None else [name for name in OF_CALLS if name in inspect.signature(function).parameters]


def backbone_entry(function: Callable[..., Any]) -> Entry:
    """`smallest` is the least height and width of its input, which Keras tells when it is given less."""
    texts = argument_texts(inspect.getdoc(function) or "")
    own = [
        argument(function.__name__, parameter, texts)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name not in NOT_OF_BACKBONES | BACKBONE_DOCS.keys()
    ]
    try:
        function(include_top=False, weights=None, input_shape=(1, 1, 3))
    except ValueError as error:
        told = re.search(r"at least (\d+)x\d+", str(error))
    assert told is not None
    return {"arguments": [*WEIGHTS_AND_POOLING, *own, *LIKE_LAYERS], "smallest": int(told[1])}


def parameters(owner: type) -> Iterator[inspect.Parameter]:
    if owner.__init__ is object.__init__:  # type: ignore[misc]
        return
    for parameter in list(inspect.signature(owner.__init__).parameters.values())[1:]:  # type: ignore[misc]
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            yield parameter


def passed_on(owner: type) -> list[inspect.Parameter]:
    """Optional parameters of base classes that reach them through the constructor's `**kwargs`.

    `data_format` of `RandomContrast` is one. Those that the constructor itself gives to its base are not: `Conv2D` sets
    `rank`. The end of the line, such as `Layer`, is left out.
    """
    parents = [parent for parent in inspect.getmro(owner) if "__init__" in vars(parent)]
    found: dict[str, inspect.Parameter] = {}
    shared = {parameter.name for base in BASES.values() for parameter in parameters(base)}
    taken = {parameter.name for parameter in parameters(owner)} | shared | WITHOUT_EFFECT
    for child, parent in itertools.pairwise(parents):
        call = call_of_base(child)
        if parent in BASES.values() or call is None or not any(keyword.arg is None for keyword in call.keywords):
            break
        given = {keyword.arg for keyword in call.keywords}
        for parameter in list(parameters(parent))[len(call.args) :]:
            if parameter.name not in given | taken and parameter.default is not parameter.empty:
                found[parameter.name] = parameter
        taken |= {parameter.name for parameter in parameters(parent)}
    return list(found.values())


def call_of_base(owner: type) -> ast.Call | None:
    """`super().__init__(…)` in the constructor of a class."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(owner.__init__)))  # type: ignore[misc]
    for node in ast.walk(tree):
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "__init__"
        if is_call and isinstance(node, ast.Call):
            return node
    return None


def takes_more(owner: type) -> bool:
    found = inspect.signature(owner.__init__).parameters.values()  # type: ignore[misc]
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in found)


def popped(owner: type) -> list[str]:
    """Arguments that a constructor takes out of its `**kwargs`: old names that Keras still understands."""
    if "__init__" not in vars(owner):
        return []
    source = inspect.getsource(owner.__init__)  # type: ignore[misc]
    return sorted(set(POPPED.findall(source)) - NOT_FOR_USERS)


def argument(owner: str, parameter: inspect.Parameter, texts: dict[str, str]) -> list[Any]:
    required = parameter.default is parameter.empty
    default = None if required else parameter.default
    types = deduce(owner, parameter.name, texts.get(parameter.name, ""), default, required)
    return [parameter.name, types] if required else [parameter.name, types, plain(default)]


def plain(default: Any) -> Any:
    if isinstance(default, tuple):
        return [plain(item) for item in default]
    return default if isinstance(default, str | int | float | bool) else None


def all_texts(owner: type) -> dict[str, str]:
    """Argument docs of a class; what it does not document may stand in a base class."""
    texts: dict[str, str] = {}
    for parent in reversed(inspect.getmro(owner)):
        texts |= argument_texts(inspect.cleandoc(parent.__doc__ or ""))
    return texts


def add_strings(kind: str, names: dict[str, Entry]) -> None:
    """Keras's own string identifiers: `adam`, `mse`, `he_normal`, …"""
    module = sys.modules.get(f"keras.src.{MODULES[kind]}")
    for name, value in getattr(module, "ALL_OBJECTS_DICT", {}).items():
        means = canonical(kind, value)
        if not inspect.isclass(value):
            names[name] = function_entry(kind, value) if name == means else {"means": means, "string": True}
        elif name != means and "arguments" in names.get(means, {}) and resolves(module, name):
            names[name] = {"means": means, "string": True}
    for name in CHOSEN_BY_SHAPE.get(kind, ()):
        names[name] = {"chosen": True} | ({} if "means" in names.get(name, {}) else names.get(name, {}))


def resolves(module: Any, name: str) -> bool:
    """Whether Keras makes an object of a string alone. It cannot where arguments are required."""
    try:
        module.get(name)
    except (KeyError, TypeError, ValueError):
        return False
    return True


def function_entry(kind: str, function: Callable[..., Any]) -> Entry:
    parameters = inspect.signature(function).parameters.values()
    required = [parameter for parameter in parameters if parameter.default is parameter.empty]
    usable = len(required) == (1 if kind == "activation" else 2)
    return {"function": True} if usable else {"refused": "needs arguments that a name alone cannot give"}


def docs() -> dict[str, dict[str, Entry]]:
    """Kind → name → `doc` and `arguments` (name → sentence), for what is not another name of something."""
    found: dict[str, dict[str, Entry]] = {}
    for kind in MODULES:
        found[kind] = {}
        for name, value in public(kind):
            if kind == "backbone":
                texts = argument_texts(inspect.getdoc(value) or "")
                taken = [key for key, *_ in backbone_entry(value)["arguments"] if key not in BACKBONE_DOCS]
            elif inspect.isclass(value) and canonical(kind, value) == name:
                texts = all_texts(value) | OF_CALLS
                taken = [*(parameter.name for parameter in parameters(value)), *of_call(value)]
            elif kind in FUNCTION_KINDS and canonical(kind, value) == name:
                texts, taken = {}, []
            else:
                continue
            sentences = {key: argument_summary(texts[key]) for key in taken if texts.get(key)}
            found[kind][name] = {"doc": summary(inspect.getdoc(value) or ""), "arguments": sentences}
    return found


def bases() -> dict[str, Entry]:
    return {kind: {"arguments": class_entry(kind, owner)["arguments"]} for kind, owner in BASES.items()}


def base_docs() -> dict[str, Entry]:
    layers = {
        kind: {"arguments": {key: argument_summary(text) for key, text in all_texts(owner).items()}}
        for kind, owner in BASES.items()
    }
    return {**layers, "backbone": {"arguments": BACKBONE_DOCS}}


def files() -> dict[str, str]:
    """File name → text."""
    head = {"keras": keras.__version__}
    return {
        "signatures.json": one_line_each({**head, "base": bases(), **signatures()}),
        "docs.json": one_line_each({**head, "base": base_docs(), **docs()}),
    }


def one_line_each(table: dict[str, Any]) -> str:
    """JSON with one line for each name of each kind."""
    compact: Callable[[Any], str] = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))  # noqa: E731
    parts = []
    for kind, names in table.items():
        if isinstance(names, str):
            parts.append(f'"{kind}":{compact(names)}')
            continue
        lines = ",\n".join(f"{compact(name)}:{compact(entry)}" for name, entry in names.items())
        parts.append(f'"{kind}":{{\n{lines}\n}}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    for file_name, content in files().items():
        (FOLDER / file_name).write_text(content, encoding="utf-8")
