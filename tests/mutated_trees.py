"""Mutates configs as their trees: keys, types, values, nesting, duplicates, anchors, expressions, names of Keras."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from dltool.keras_names import KINDS, arguments, find, names

Tree = Any
"""A `Map`, a list, or the text of a scalar as YAML writes it."""
PLAIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.$+-/()* ")


@dataclass
class Map:
    """A mapping that may repeat keys: pairs of a key as written and a value."""

    pairs: list[tuple[str, Tree]]


def parsed(text: str) -> Tree:
    return tree_of(yaml.compose(text, Loader=yaml.SafeLoader))


def tree_of(node: Any) -> Tree:
    if isinstance(node, yaml.MappingNode):
        return Map([(scalar(key), tree_of(value)) for key, value in node.value])
    if isinstance(node, yaml.SequenceNode):
        return [tree_of(item) for item in node.value]
    return scalar(node)


def scalar(node: Any) -> str:
    """A scalar that is written as it was, in quotes if flow style needs them."""
    if node.style or not node.value or not set(node.value) <= PLAIN or node.value != node.value.strip():
        return json.dumps(node.value, ensure_ascii=False)
    return str(node.value)


def written(tree: Tree, depth: int = 0, block: int = 2) -> str:
    """The tree as YAML: its first `block` levels in block style, the others in flow style."""
    if isinstance(tree, str):
        return tree
    if depth >= block or not (tree.pairs if isinstance(tree, Map) else tree):
        if isinstance(tree, Map):
            return "{" + ", ".join(f"{key}: {written(value, 99)}" for key, value in tree.pairs) + "}"
        return "[" + ", ".join(written(item, 99) for item in tree) + "]"
    indent = "\n" + "  " * depth
    if isinstance(tree, Map):
        return "".join(f"{indent}{key}: {written(value, depth + 1, block)}" for key, value in tree.pairs)
    return "".join(f"{indent}- {written(item, 99)}" for item in tree)


Place = tuple[list[Any], int]
"""A list (of pairs or of items) and a position in it."""


def places(tree: Tree, depth: int = 0) -> Iterator[tuple[int, list[Any], int]]:
    """Everything below the top, with its depth."""
    below = tree.pairs if isinstance(tree, Map) else tree if isinstance(tree, list) else []
    for index, item in enumerate(below):
        yield depth, below, index
        yield from places(item[1] if isinstance(tree, Map) else item, depth + 1)


NUMBERS = [
    *("0", "-1", "1", "2", "3", "0.5", "-0.5", "1.5", "1e-3", "1e3", "1e400", "-1e400", "1e308", "5e-324", ".nan"),
    *(".inf", "-.inf", "010", "0x10", "0o17", "1_000", "1:30", "3.10", "+1", "1.", ".5", "-0", "-0.0", "1e", "1e+"),
    *("2147483647", "2147483648", "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551616"),
    *("1" + "0" * 30, "1" + "0" * 400, "9" * 5000, "0." + "1" * 400, "1000000", "100000000", "16777217"),
]
WORDS = [
    *("null", "true", "false", "yes", "no", "on", "off", "~", "''", '""', "' '", "auto", "none", "None", "balanced"),
    *("[]", "{}", "[[]]", "[{}]", "[null]", "{a: }", '{"": 1}', "[1, 2, 3]", "[a, b]", "{a: 1}", "{1: 2}", "{[a]: b}"),
    *("adam", "relu", "softmax", "sigmoid", "linear", "mse", "accuracy", "iris", "mnist", "category", "number", "text"),
    *("{Dense: 3}", "[Dense, Dense]", "{adam: {}}", "{Adam: {learning_rate: 1}}", "[iris]", "{iris: }", "a.csv"),
    *("{csv: a.csv}", "{csv: {path: a.csv}}", "{arrays: a.npz}", "{images: a}", "{images: {path: a, pattern: '{'}}"),
    *("{audio: {path: a, seconds: 1e9}}", "{text: a}", "{parquet: a}", "{json_lines: a}", "os.system", "2020-01-01"),
    *('"\\e[31m"', '"\\u202e"', '"\\r"', '"\\0"', '"\\u2028"', '"\\x85"', '"é"', '"日本"', '"\\ud800"', '"\U0001f600"'),
    *("'[/foo]'", "'[bold]'", "'a{b}c'", "'a\nb'", "'%s'", "../../etc/passwd", "/dev/zero", "~root", "'a/b'", "'\\'"),
    *(">= 0.5", "'>= x'", "4 GB", "-1 GB", "1e9 TB", "time", "!!int 3", "!mine x", "!!python/object:os.system x"),
    *("&a 1", "*a", "&a [*a]", "&b {c: 1}", "*b", "{<<: *b}", "{<<: {a: 1}}", "? a", "- a", "|", ">", "# a", "a: b"),
    *("@a", "`a`", "%a", "*", "&", "!", "{", "}", "[", "]", ",", ":", "''''"),
]
FACTS = ["classes", "input_shape", "epochs", "steps_per_epoch", "examples", "target_shape", "seed", "env.HOME", "x"]
FACTS += ["vars.a", "vars.units", "classes.label", "training.epochs", "batch_size", "name", "", "1", "é", "__class__"]
KEYS = [
    *(
        "name",
        "seed",
        "data",
        "model",
        "training",
        "expect",
        "tracking",
        "vars",
        "extends",
        "source",
        "inputs",
        "target",
    ),
    *(
        "outputs",
        "split",
        "windows",
        "preprocessing",
        "augmentation",
        "cache",
        "layers",
        "blocks",
        "repeat",
        "backbone",
    ),
    *("from", "units", "activation", "optimizer", "loss", "metrics", "callbacks", "phases", "epochs", "batch_size"),
    *("path", "pattern", "size", "channels", "x-a", "x", "a.b", "a[0]", '""', '"é"', '"\\e[2J"', '"\\u202ex"', "$x"),
    *("1", "null", "true", "1.5", "[a]", "{a: b}", "<<", '"<<"', "class_weights", "mixed_precision", "precision"),
]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "<", "==", "and", "or", "if", ",", ".", "@", "<<", "|"]
FUNCTIONS = ["min", "max", "round", "abs", "int", "float", "log", "sqrt", "ceil", "floor", "exp", "len", "open", "eval"]


def expression(source: random.Random, depth: int = 0) -> str:
    """The inside of `$(…)`, seldom a valid one."""
    pick = source.random()
    if depth > 4 or pick < 0.35:
        return source.choice([*FACTS, *NUMBERS[:20], "9**9**9", "'a'", "[1, 2]", "x.y", "1/0", "f'{1}'", "lambda: 1"])
    if pick < 0.7:
        operator = source.choice(OPERATORS if pick < 0.4 else OPERATORS[:7])
        return f"{expression(source, depth + 1)} {operator} {expression(source, depth + 1)}"
    if pick < 0.85:
        return f"({expression(source, depth + 1)})"
    arguments = ", ".join(expression(source, depth + 1) for _ in range(source.randint(0, 3)))
    return f"{source.choice(FUNCTIONS)}({arguments})"


def reference(source: random.Random) -> str:
    pick = source.random()
    if pick < 0.4:
        return f"${source.choice(FACTS)}"
    if pick < 0.9:
        text = f"$({expression(source)})"
        return text if set(text) <= PLAIN else json.dumps(text)
    deep = source.choice([50, 200, 5000])
    return source.choice(
        ["$$", "$", "$(", "$()", "'${x}'", "$(" + "(" * deep + ")" * deep + ")", "$(" + "-" * deep + "1)"]
    )


def name_of(source: random.Random) -> str:
    """A name of Keras, right or a little wrong."""
    name = source.choice(names(source.choice(list(KINDS))))
    return name if source.random() < 0.8 else misspelled(source, name)


def misspelled(source: random.Random, word: str) -> str:
    at = source.randint(0, max(0, len(word) - 1))
    return source.choice(
        [
            word[:at] + word[at + 1 :] or "''",
            word[:at] + source.choice("aeXZ_") + word[at:],
            word[:at] + word[at:][:2][::-1] + word[at + 2 :],
            word.upper(),
            word.lower(),
            word + "s",
        ]
    )


def long_name(source: random.Random) -> str:
    letters = source.choice(["a", "ab_", "é", "x.", "日", "Dense", "$", "0"])
    length = source.choice([300, 2_000, 20_000, 100_000])
    return json.dumps((letters * length)[:length], ensure_ascii=False)


def value(source: random.Random) -> Tree:
    """Anything: a scalar, a reference, an object of Keras with arguments."""
    pick = source.random()
    if pick < 0.3:
        return source.choice(NUMBERS)
    if pick < 0.6:
        return source.choice(WORDS)
    if pick < 0.75:
        return reference(source)
    if pick < 0.76:
        return long_name(source)
    if pick < 0.77:
        deep = source.choice([20, 59, 61, 500, 3000])
        return "[" * deep + "]" * deep
    return keras_object(source)


def keras_object(source: random.Random) -> Tree:
    name = name_of(source)
    if source.random() < 0.3:
        return name
    known = [each for kind in KINDS if find(kind, name) for each in arguments(kind, name)] or ["units"]
    given = [(source.choice(known), value(source)) for _ in range(source.randint(0, 3))]
    return Map([(name, Map(given) if source.random() < 0.8 else value(source))])


def mutate(source: random.Random, text: str) -> str:
    """A config with one to four changes of its tree."""
    top = parsed(text)
    for _ in range(source.choice([1, 1, 2, 3, 4])):
        found = list(places(top))
        if not found:
            break
        # Half of the time something near the top: there are few sections, and many arguments.
        most = source.choice([0, 1, 2, 99, 99, 99])
        _, below, index = source.choice([place for place in found if place[0] <= most])
        source.choice(CHANGES)(source, below, index, [place[1:] for place in found])
    return written(top, block=source.choice([0, 1, 2, 3])) + source.choice(["\n", "", "\n# end\n"])


def of(item: Any) -> Tree:
    return item[1] if isinstance(item, tuple) else item


def with_value(item: Any, new: Tree) -> Any:
    return (item[0], new) if isinstance(item, tuple) else new


def replace(source: random.Random, below: list[Any], index: int, _: list[Place]) -> None:
    below[index] = with_value(below[index], value(source))


def number(source: random.Random, below: list[Any], index: int, _: list[Place]) -> None:
    """Replace a number by one of another size or form."""
    old = of(below[index])
    try:
        found = float(old)
    except (TypeError, ValueError):
        return replace(source, below, index, _)
    factor = source.choice([0, -1, 0.1, 10, 1e3, 1e6, 1e9, 1e12, 1e300, 1 / 3])
    new = found * factor
    below[index] = with_value(below[index], source.choice([str(new), str(int(new)) if abs(new) < 1e18 else str(new)]))
    return None


def refer(source: random.Random, below: list[Any], index: int, places: list[Place]) -> None:
    """Replace some scalars by names, known and unknown."""
    scalars = [place for place in places if isinstance(of(place[0][place[1]]), str)]
    for other, at in source.sample(scalars, min(len(scalars), source.choice([1, 1, 2, 10]))):
        other[at] = with_value(
            other[at], source.choice(["$x", "$classes", "$(1 / classes)", "$epochs", "$steps_per_epoch"])
        )


def delete(_: random.Random, below: list[Any], index: int, __: list[Place]) -> None:
    del below[index]


def double(source: random.Random, below: list[Any], index: int, _: list[Place]) -> None:
    for __ in range(source.choice([1, 1, 1, 2, 30])):
        below.insert(source.choice([index, len(below)]), below[index])


def swap(source: random.Random, below: list[Any], index: int, _: list[Place]) -> None:
    other = source.randrange(len(below))
    below[index], below[other] = below[other], below[index]


def rename(source: random.Random, below: list[Any], index: int, _: list[Place]) -> None:
    if not isinstance(below[index], tuple):
        below[index] = misspelled(source, below[index]) if isinstance(below[index], str) else below[index]
        return
    key, held = below[index]
    pick = source.random()
    new = misspelled(source, key) if pick < 0.5 else source.choice(KEYS) if pick < 0.95 else long_name(source)
    below[index] = (new, held)


def add(source: random.Random, below: list[Any], index: int, places: list[Place]) -> None:
    if isinstance(below[index], tuple):
        key = source.choice(KEYS) if source.random() < 0.8 else json.dumps(name_of(source))
        below.insert(index, (key, value(source)))
    else:
        below.insert(index, keras_object(source))


def move(source: random.Random, below: list[Any], index: int, places: list[Place]) -> None:
    """Put the value in the place of another one, which may be inside it: that is then a copy of its text."""
    held = written(of(below[index]), 99)
    other, at = source.choice(places)
    if at < len(other):
        other[at] = with_value(other[at], held)
    if source.random() < 0.7 and index < len(below):
        del below[index]


def wrap(source: random.Random, below: list[Any], index: int, _: list[Place]) -> None:
    held = of(below[index])
    key = source.choice([*KEYS, name_of(source)])
    below[index] = with_value(below[index], source.choice([[held], Map([(key, held)]), [held, held], json.dumps("a")]))


def unwrap(source: random.Random, below: list[Any], index: int, _: list[Place]) -> None:
    held = of(below[index])
    children = [of(each) for each in held.pairs] if isinstance(held, Map) else held if isinstance(held, list) else []
    if children:
        below[index] = with_value(below[index], source.choice(children))


def anchor(source: random.Random, below: list[Any], index: int, places: list[Place]) -> None:
    """Give the value an anchor, and put aliases elsewhere."""
    name = source.choice(["a", "b", "é", "a-b"])
    below[index] = with_value(below[index], f"&{name} {written(of(below[index]), 99)}")
    for _ in range(source.choice([1, 1, 2, 5])):
        other, at = source.choice(places)
        if at < len(other):
            alias = source.choice([f"*{name}", f"[*{name}, *{name}]", f"{{<<: *{name}}}"])
            other[at] = with_value(other[at], alias)


def layers(source: random.Random, _: list[Any], __: int, places: list[Place]) -> None:
    """Change the list of layers, or the longest list there is."""
    lists = [other for other, _ in places if other and not isinstance(other[0], tuple)]
    if not lists:
        return
    longest = max(lists, key=len)
    at = source.randrange(len(longest))
    match source.randrange(4):
        case 0:
            source.shuffle(longest)
        case 1:
            longest.insert(at, keras_object(source))
        case 2:
            longest[at] = keras_object(source)
        case _:
            longest[at:at] = longest[at : at + source.randint(1, 4)] * source.choice([1, 2, 50])


Change = Callable[[random.Random, list[Any], int, list[Place]], None]
CHANGES: list[Change] = [
    *(replace, replace, replace, number, number, delete, double, swap, rename, rename, add, add, move, wrap, unwrap),
    *(anchor, layers, layers, refer),
]
