"""Whatever is done to a config, checking it succeeds or names a position."""

import copy
import io
import json
import random
import re
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests import mutated_trees
from tests.bad_configs import GOOD, IMAGES
from tests.bad_data import PICTURES, SERIES, SOUNDS, TABLE, TEXTS
from tests.fuzzing import Wrong, hunt, refuse_control
from tests.many_examples import many_examples
from tests.mutated_trees import mutate, value, written

from dltool.commands.check import check
from dltool.config.load import read_document
from dltool.console.problems import problems_as_json, render_error
from dltool.console.results import show
from dltool.errors import ConfigError

CONFIGS = Path(__file__).parents[1] / "configs"
FEW, MANY = 100, 50_000
"""Mutated configs on every change, and in the slow tests."""
EVERY_KEY = """\
data:
  source: {csv: {path: people.csv, delimiter: ",", missing: ["?"], quote: null, encoding: utf-8, decimal: "."}}
  test: {csv: {path: other.csv, header: false}}
  inputs:
    age: {number: {missing: median, scale: standard, indicator: true}}
    job: {category: {min_count: 5, unknown: error, replace: {m: male}}}
    born: {date: {parts: [year, month], format: "%d.%m.%Y"}}
    notes: {text: {max_tokens: 100, length: 20}}
    photo: {image: {size: [4, 5], channels: 1}}
    voice: {audio: {seconds: 1.5, rate: 8000}}
    member: boolean
    id: ignore
  target: {label: {category: {strip: "."}}}
  split: {validation: 0.2, group: job, seed: 3}
  cache: 4 GB
model:
  layers:
    - Embedding: {input_dim: 100, output_dim: 8, from: notes}
    - GlobalAveragePooling1D: {name: words}
    - Flatten: {from: photo, name: pixels}
    - Concatenate: {from: [words, pixels, age]}
    - Dense: {units: $classes, activation: softmax}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 1}
"""
CONFIG_TEXTS = [GOOD, IMAGES, TABLE, SERIES, PICTURES, SOUNDS, TEXTS, EVERY_KEY]
CONFIG_TEXTS += [path.read_text("utf-8") for path in sorted(CONFIGS.rglob("*.yaml"))]
MARKS = """{ } [ ] : , - & * ! | > ' " # % @ ` $ $( ) ${ <<: null true no .nan .inf -1 0 1e400 010 1:30 ~""".split()  # noqa: SIM905
PIECES = st.one_of(
    st.sampled_from([*MARKS, "\t", "\n", "\n---\n", "- Dense: 3", "extends: example.yaml"]),
    st.sampled_from(["Dense", "os.system", "$classes", "$(1/0)", "adam", "accuracy", "units"]),
    st.text(max_size=6),
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A good config with a few edits: pieces removed, inserted or replaced, lines moved or repeated."""
    text = draw(st.sampled_from(CONFIG_TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        match draw(st.sampled_from(["replace", "word", "line"])):
            case "replace":
                text = text[:start] + draw(PIECES) + text[end:]
            case "word":
                words = list(re.finditer(r"[\w.]+", text))
                if words:
                    word = draw(st.sampled_from(words))
                    text = text[: word.start()] + draw(PIECES) + text[word.end() :]
            case "line":
                lines = text.splitlines(keepends=True) or [""]
                line = lines.pop(draw(st.integers(0, len(lines) - 1)))
                lines.insert(draw(st.integers(0, len(lines))), line * draw(st.integers(0, 2)))
                text = "".join(lines)
    return text


VALUES: list[Any] = [
    *(
        None,
        [],
        {},
        "",
        0,
        -1,
        1.5,
        True,
        10**30,
        1e300,
        float("inf"),
        float("nan"),
        "a" * 300,
        "é\u202e",
        "\0",
        "~x/a",
    ),
    *("x", "$x", "$$", "$", "${x}", "$(1/0)", "$(classes * 2)", "$(1 / classes)", "$env.HOME", "balanced", ">= 0.5"),
    *("adam", "relu", ["iris"], [[]], [{}], [None], [1, 2, 3], {"a": 1}, {"": 1}, {"x-a": 1}, {"0": 1.0}, {"Dense": 3}),
    *({"Dense": [3]}, {"Dense": None}, {"adam": {}}, {"relu": 3}, [["Dense"]], ["$classes"], {"mnist": {"path": 3}}),
    *({"mnist": ["a"]}, {"arrays": {"x": "a"}}, {"arrays": ["a.npz"]}, {"arrays": None}, {"arrays": "a.npz"}),
    {"Bidirectional": {"layer": "$classes"}},
    {"TimeDistributed": {"Dense": 3}},
    {"EarlyStopping": {"monitor": [1]}},
    {"Adam": {"learning_rate": {"CosineDecay": "$steps_per_epoch"}}},
    {"Normalization": {"mean": [[1]]}},
    {"StringLookup": {"vocabulary": [1, "a"]}},
    *({"csv": "a.csv"}, {"csv": 3}, {"csv": {"path": "a", "names": ["a", 1]}}, {"images": {"pattern": "{"}}),
    *({"number": 3}, {"category": {}}, {"date": {"parts": [[]]}}, {"image": {"size": [1, "a"]}}, {"multi_label": ""}),
    *({"length": 1, "target": "a"}, {"label": {"category": None}}, {"a": {"b": {"c": {}}}}, ["a", 1], "4 GB", "time"),
]
NAMES = ["$classes", "$input_shape", "$epochs", "$steps_per_epoch", "$examples", "$target_shape", ["iris"]]
KEYS = ["name", "x-y", "Dense", "units", "path", "source", "extends", "vars", "model", "a.b", "a[0]", "", "é", "$x"]


def nodes(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything below the top."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for step, below in list(items):
        yield (*path, step)
        yield from nodes(below, (*path, step))


@st.composite
def restructured(draw: st.DrawFn) -> str:
    """A good config with a few nodes replaced, removed, renamed, doubled or moved."""
    tree = yaml.safe_load(draw(st.sampled_from(CONFIG_TEXTS)))
    for _ in range(draw(st.integers(1, 3))):
        paths = list(nodes(tree))
        if not paths:
            break
        # Half of the time something near the top: there are few sections, and many arguments.
        depth = draw(st.sampled_from([1, 2, 3, 99, 99, 99]))
        *above, step = draw(st.sampled_from([path for path in paths if len(path) <= depth]))
        parent = reduce(lambda node, each: node[each], above, tree)
        value = copy.deepcopy(draw(st.one_of(st.sampled_from(VALUES), st.sampled_from(NAMES))))
        match draw(st.sampled_from(["replace", "replace", "delete", "rename", "add", "double", "move"])):
            case "replace":
                parent[step] = value
            case "delete":
                del parent[step]
            case "rename" if isinstance(parent, dict):
                parent[draw(st.sampled_from(KEYS))] = parent.pop(step)
            case "add" if isinstance(parent, dict):
                parent[draw(st.sampled_from(KEYS))] = value
            case "double" if isinstance(parent, list):
                parent.insert(step, copy.deepcopy(parent[step]))
            case "move":
                moved = parent.pop(step)
                others = list(nodes(tree))
                if others:
                    *up, last = draw(st.sampled_from(others))
                    reduce(lambda node, each: node[each], up, tree)[last] = moved
    return yaml.safe_dump(tree, allow_unicode=True, sort_keys=False, default_flow_style=draw(st.booleans()))


@many_examples(400)
@given(st.one_of(mutated(), restructured(), restructured()))
def test_a_mutated_config_is_good_or_its_mistakes_have_positions(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "example.yaml"
        path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
        document = None
        try:
            document = read_document(path)
            check(document, read_data=False, build=False)
        except ConfigError as error:
            for line in render_error(error, document).plain.splitlines():
                assert line.startswith((" ", "\t")) or re.match(r".*example\.yaml:\d+:\d+: ", line), line


PIECES_OF_TEXT = [*MARKS, "\t", "\n", "\n---\n", "\r", "\x07", "\x1b[31m", "\u202e", "\u2028", "é", "\x85", "'", '"']


def edited(source: random.Random, text: str) -> str:
    """A few pieces of the text removed, inserted or replaced."""
    for _ in range(source.randint(1, 3)):
        start = source.randint(0, len(text))
        piece = source.choice([*PIECES_OF_TEXT, text[start : start + source.randint(0, 40)]])
        text = text[:start] + piece + text[start + source.choice([0, 0, 1, 5, 30]) :]
    return text


@dataclass
class Attempt:
    """Checks one mutated config, in process, as `dltool check` does."""

    folder: Path
    text: str = ""
    settings: tuple[str, ...] = ()

    def __call__(self, source: random.Random) -> None:
        text = source.choice(CONFIG_TEXTS)
        self.text = mutate(source, text) if source.random() < 0.85 else edited(source, text)
        self.settings = (setting(source),) if source.random() < 0.1 else ()
        path = self.folder / "example.yaml"
        path.write_bytes(self.text.encode("utf-8", errors="surrogatepass"))
        document = None
        try:
            document = read_document(path, self.settings)
            outcome = check(document, read_data=False, build=False, lists_origins=source.random() < 0.1)
            json.dumps(outcome.record())
            with redirect_stdout(io.StringIO()) as shown, redirect_stderr(shown):
                show(outcome, as_json=False)
            refuse_control(shown.getvalue())
        except ConfigError as error:
            text = render_error(error, document).plain
            refuse_control(text)
            json.dumps(problems_as_json(error, document))
            for line in text.splitlines():
                if not (line.startswith((" ", "\t")) or re.match(r".*example\.yaml:\d+:\d+: |--set ", line)):
                    raise Wrong(f"{line[:300]}\nno place: {line[:60]}") from None

    def describe(self) -> str:
        return f"{' '.join(self.settings)[:1000]}\n{self.text[:5000]}"


def setting(source: random.Random) -> str:
    key = ".".join(source.choice([*mutated_trees.KEYS, "layers[0]", "0"]) for _ in range(source.randint(1, 4)))
    return source.choice([f"{key}={written(value(source), 99)}", key, f"{key}=", "=1", f"{key}={value}=1"])


def hunt_configs(count: int, folder: Path) -> None:
    attempt = Attempt(folder)
    hunt(count, attempt, attempt.describe, folder / "case.txt")


def test_a_config_mutated_as_a_tree_is_good_or_its_mistakes_have_positions(tmp_path: Path) -> None:
    hunt_configs(FEW, tmp_path)


@pytest.mark.slow
def test_so_it_is_with_fifty_thousand_of_them(tmp_path: Path) -> None:
    hunt_configs(MANY, tmp_path)
