"""The JSON Schema in yaml-language-server. It runs where `npm install --no-save yaml-language-server` has been run."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.bad_configs import KEYS_AND_TYPES, RANGE
from tests.editor.language_server import CURSOR, LanguageServer
from tests.schema_configs import PARTS, UNKNOWABLE, VALID

from dltool import keras_names
from dltool.config.json_schema import json_schema
from dltool.config.keras.allowed_code import read_allowed_code
from dltool.config.text.yaml_reader import parse_yaml
from dltool.config.wording import WORDS
from dltool.errors import ConfigError

PROJECT = Path(__file__).parents[2]
INSTALLED = PROJECT / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"
SERVER = str(INSTALLED) if INSTALLED.exists() else shutil.which("yaml-language-server")
MODELINE = "# yaml-language-server: $schema=dltool.schema.json\n"
SECONDS = 1.0
"""Longer than this, an answer comes too late for somebody who types."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed"),
    pytest.mark.skipif(SERVER is None, reason="npm install --no-save yaml-language-server has not been run"),
]


def started(folder: Path, schema: Any) -> LanguageServer:
    (folder / "dltool.schema.json").write_text(json.dumps(schema), encoding="utf-8")
    return LanguageServer(["node", str(SERVER)], folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageServer]:
    with started(tmp_path_factory.mktemp("editor"), json_schema()) as server:
        # The schema is read with the first document.
        server.completions(MODELINE + CURSOR)
        yield server


def offered(server: LanguageServer, text: str) -> dict[str, set[str]]:
    """Return what each label of the completions inserts."""
    found: dict[str, set[str]] = {}
    for item in server.completions(MODELINE + text):
        found.setdefault(item["label"], set()).add(item["insertText"])
    return found


def messages(server: LanguageServer, text: str) -> list[tuple[int, str]]:
    """Return the line of each diagnostic, counted from 1 without the first comment, and its message."""
    found = server.diagnostics(MODELINE + text)
    return sorted((diagnostic["range"]["start"]["line"], diagnostic["message"]) for diagnostic in found)


LAYERS = "model:\n  layers:\n    "
COMPLETIONS = {
    "sections": ("█", {"name", "data", "model", "training", "extends", "vars"}, {"source"}),
    "data": ("data:\n  █", {"source", "inputs", "target", "split", "preprocessing"}, {"epochs"}),
    "training": ("training:\n  █", {"optimizer", "loss", "metrics", "epochs", "callbacks"}, {"source"}),
    "other keys": ("training:\n  epochs: 3\n  ba█", {"batch_size"}, {"epochs"}),
    "keys in braces": ("data: {source: digits, sp█}", {"split"}, {"source"}),
    "layers": (LAYERS + "- █", {"Flatten", "Dense", "repeat", "backbone"}, {"adam"}),
    "layers after a letter": (LAYERS + "- f█", {"Flatten", "Dense"}, set()),
    "layers in brackets": ("model:\n  layers: [F█]", {"Flatten", "Dense"}, set()),
    "layers of a repeat": (LAYERS + "- repeat:\n        layers:\n          - █", {"Dense", "Flatten"}, set()),
    "layers of a block": ("model:\n  blocks:\n    a:\n      layers:\n        - █", {"Dense", "repeat"}, set()),
    "layers of the preprocessing": ("data:\n  preprocessing:\n    - █", {"Normalization"}, {"repeat", "backbone"}),
    "layer in a layer": (LAYERS + "- Bidirectional:\n        layer:\n          █", {"LSTM", "GRU"}, {"repeat"}),
    "backbones": (LAYERS + "- backbone: █", {"ResNet50", "MobileNet"}, {"Dense"}),
    "arguments": (LAYERS + "- Dense:\n        █", {"units", "activation", "name", "from"}, {"filters"}),
    "arguments in braces": (LAYERS + "- Dense: {units: 3, act█}", {"activation"}, {"units"}),
    "activations": (LAYERS + "- Dense:\n        activation: █", {"relu", "softmax", "LeakyReLU"}, {"CutMix", "Dense"}),
    "activation alone": (LAYERS + "- Activation: █", {"relu", "softmax"}, {"CutMix"}),
    "padding": (LAYERS + "- Conv2D:\n        padding: █", {"valid", "same"}, {"causal"}),
    "true and false": (LAYERS + "- Dense:\n        use_bias: █", {"true", "false"}, {"null"}),
    "initializers": (LAYERS + "- Dense:\n        kernel_initializer: █", {"he_normal", "Orthogonal"}, {"relu"}),
    "regularizers": (LAYERS + "- Dense:\n        kernel_regularizer: █", {"L2", "l1_l2", "null"}, set()),
    "optimizers": ("training:\n  optimizer: █", {"adam", "AdamW", "sgd"}, {"mse", "true"}),
    "optimizers as keys": ("training:\n  optimizer:\n    █", {"Adam", "SGD"}, {"mse"}),
    "arguments of an optimizer": ("training:\n  optimizer:\n    Adam:\n      █", {"learning_rate", "beta_1"}, {"rho"}),
    "schedules": ("training:\n  optimizer:\n    Adam:\n      learning_rate:\n        █", {"CosineDecay"}, {"adam"}),
    "losses": ("training:\n  loss: █", {"mse", "sparse_categorical_crossentropy", "Huber"}, {"adam"}),
    "metrics": ("training:\n  metrics:\n    - █", {"accuracy", "AUC", "F1Score"}, {"adam"}),
    "callbacks": ("training:\n  callbacks:\n    - █", {"EarlyStopping", "TerminateOnNaN"}, {"ModelCheckpoint"}),
    "precisions": ("training:\n  precision: █", {"float32", "mixed_bfloat16"}, set()),
    "data sources": ("data:\n  source: █", {"digits", "mnist", "iris"}, {"csv"}),
    "data sources as keys": ("data:\n  source:\n    █", {"csv", "parquet", "images", "arrays"}, set()),
    "options of a data source": ("data:\n  source:\n    csv:\n      █", {"path", "delimiter", "missing"}, {"size"}),
    "column types": ("data:\n  inputs:\n    age: █", {"number", "category", "ignore"}, {"image", "digits"}),
    "options of a column type": (
        "data:\n  inputs:\n    age:\n      number:\n        █",
        {"missing", "scale"},
        {"size"},
    ),
    "values of an option": ("data:\n  inputs:\n    age:\n      number:\n        scale: █", {"standard", "log"}, set()),
    "target types": ("data:\n  target:\n    income: █", {"category", "number", "multi_label"}, {"image"}),
    "outputs": ("model:\n  outputs:\n    a:\n      █", {"loss", "metrics", "from", "target"}, {"layers"}),
    "trackers": ("track:\n  - █", {"tensorboard", "mlflow"}, set()),
}


@pytest.mark.parametrize("name", COMPLETIONS)
def test_what_may_stand_there_is_offered(server: LanguageServer, name: str) -> None:
    text, expected, others = COMPLETIONS[name]
    begin = time.monotonic()
    labels = offered(server, text).keys()
    assert time.monotonic() - begin < SECONDS
    assert expected <= labels
    assert not others & labels


def test_a_completion_inserts_what_is_written_most(server: LanguageServer) -> None:
    layers = offered(server, LAYERS + "- █")
    assert layers["Flatten"] == {"Flatten", "Flatten:\n    "}
    assert layers["Dense"] == {"Dense: "}
    assert offered(server, LAYERS + "- Dense:\n        █")["use_bias"] == {"use_bias: ${1:true}"}
    keys = offered(server, "data:\n  █")
    assert keys["source"] == {"source: "}
    assert keys["split"] == {"split:\n  "}
    assert keys["preprocessing"] == {"preprocessing:\n  - "}


HOVERS = {
    "section": ("trai█ning:\n  epochs: 1\n", "How the model learns."),
    "key": ("training:\n  bat█ch_size: 1\n", "The number of examples in a step."),
    "key in braces": ("training: {epo█chs: 1}\n", "How often to go through the training examples."),
    "layer": (LAYERS + "- Den█se: 10\n", "Just your regular densely-connected NN layer."),
    "layer with arguments": (LAYERS + "- Den█se: {units: 10}\n", "Just your regular densely-connected NN layer."),
    "layer alone": (LAYERS + "- Fla█tten\n", "Flattens the input."),
    "repeat": (LAYERS + "- rep█eat: {times: 3, layers: [Flatten]}\n", "The layers, several times"),
    "argument": (LAYERS + "- Dense: {uni█ts: 10}\n", "Dimensionality of the output space."),
    "activation": (LAYERS + "- Dense: {units: 10, activation: re█lu}\n", "rectified linear unit"),
    "optimizer": ("training:\n  optimizer: ad█am\n", "Optimizer that implements the Adam algorithm."),
    "metric": ("training:\n  metrics: [AU█C]\n", "Approximates the AUC"),
    "data source": ("data:\n  source: {cs█v: a.csv}\n", "A text file with a row a line."),
    "option": ("data:\n  source: {csv: {path: a.csv, delim█iter: x}}\n", "The string between two fields."),
    "column type": ("data:\n  inputs: {age: num█ber}\n", "Numbers."),
}


@pytest.mark.parametrize("name", HOVERS)
def test_what_is_pointed_at_is_described(server: LanguageServer, name: str) -> None:
    text, expected = HOVERS[name]
    assert expected in server.hover(MODELINE + text)


LAYER = "for example Dense: 10; for classes of your own: dltool schema --allow-code FILE.py"
LIST = "extends: []\nmodel:\n  layers:\n    - "
DIAGNOSTICS = {
    "text for an integer": (LIST + "Dense: {units: ten}", [(4, f"expected {WORDS['int']}, or $(…)")]),
    "text for an integer, short": (LIST + "Dense: ten", [(4, f"expected {WORDS['int']}, or $(…)")]),
    "text for a boolean": (LIST + "Dense: {units: 3, use_bias: yes}", [(4, f"expected {WORDS['bool']}, or $(…)")]),
    "zero units": (LIST + "Dense: 0", [(4, "Value is below the minimum of 1.")]),
    "typo in a layer": (LIST + "Dens: 10", [(4, f"unknown layer, {LAYER}")]),
    "typo in a layer that stands alone": (
        LIST + "Flaten",
        [(4, f"expected a layer and the arguments that it needs, {LAYER}")],
    ),
    "layer without its arguments": (
        LIST + "Dense",
        [(4, f"expected a layer and the arguments that it needs, {LAYER}")],
    ),
    "layer with too few arguments": (LIST + "Conv2D: 32", [(4, "Conv2D needs filters and kernel_size")]),
    "typo in an argument": (
        LIST + "Dense: {unitz: 3}",
        [(4, 'Missing property "units".'), (4, "Property unitz is not allowed.")],
    ),
    "typo in a choice": (
        LIST + "Conv2D: {filters: 3, kernel_size: 3, padding: sme}",
        [(4, "expected valid or same, or $(…)")],
    ),
    "typo in an activation": (
        LIST + "Dense: {units: 3, activation: rellu}",
        [(4, "expected an activation and the arguments that it needs, for example relu")],
    ),
    "argument beside a layer": (
        LIST + "Dense: 10\n      activation: relu",
        [(4, "expected one layer, got several keys: its arguments stand below its name")],
    ),
    "repeat without times": (LIST + "repeat: {layers: [Flatten]}", [(4, 'Missing property "times".')]),
    "typo in a key": ("extends: []\ntraining: {epohcs: 3}", [(2, "Property epohcs is not allowed.")]),
    "text for a list": (
        "extends: []\ntraining: {metrics: accuracy}",
        [(2, "expected a list of metrics, or $(…)")],
    ),
    "typo in an optimizer": (
        "extends: []\ntraining: {optimizer: adm}",
        [(2, "expected an optimizer and the arguments that it needs, for example Adam: {learning_rate: 1e-3}")],
    ),
    "text for a learning rate": (
        "extends: []\ntraining: {optimizer: {Adam: {learning_rate: fast}}}",
        [(2, f"expected {WORDS['float']} or a learning-rate schedule, or $(…)")],
    ),
    "no interval": (
        "extends: []\ntraining: {checkpoint: {every: 3 hours}}",
        [(2, "expected an interval such as 500 steps, 2 epochs or 10 minutes or null, or $(…)")],
    ),
    "no bound": ("extends: []\nexpect: {accuracy: high}", [(2, 'expected a bound such as ">= 0.97", or $(…)')]),
    "typo in a data source": (
        "extends: []\ndata: {source: minst}",
        [(2, "expected a data source and the arguments that it needs, for example csv: FILE")],
    ),
    "typo in a column type": (
        "extends: []\ndata: {inputs: {age: {nubmer: mean}}}",
        [(2, "unknown column type, for example number")],
    ),
    "missing keys": (
        "data: {source: {csv: {delimiter: x}}}\nmodel: {layers: [Flatten]}\ntraining: {optimizer: adam}",
        [
            (1, 'Missing property "path".'),
            (3, 'Missing property "epochs".'),
            (3, 'Missing property "loss".'),
        ],
    ),
    "missing sections": (
        "name: a",
        [(1, f'Missing property "{key}".') for key in ("data", "model", "training")],
    ),
}


@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_what_is_wrong_is_said_in_plain_words(server: LanguageServer, name: str) -> None:
    text, expected = DIAGNOSTICS[name]
    assert messages(server, text) == expected


CONFIGS = {path.stem: path.read_text("utf-8") for path in sorted((PROJECT / "configs").rglob("*.yaml"))}


@pytest.mark.parametrize("name", [*CONFIGS, *VALID, *PARTS])
def test_a_valid_config_has_no_diagnostics(server: LanguageServer, name: str) -> None:
    assert messages(server, {**CONFIGS, **VALID, **PARTS}[name]) == []


def is_yaml(text: str) -> bool:
    try:
        parse_yaml(text, "example.yaml")
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize("name", [name for name, text in {**KEYS_AND_TYPES, **RANGE}.items() if is_yaml(text)])
def test_an_error_has_diagnostics_where_a_schema_can_know(server: LanguageServer, name: str) -> None:
    found = messages(server, {**KEYS_AND_TYPES, **RANGE}[name])
    assert bool(found) == (name not in UNKNOWABLE)


OWN = """\
import keras


class Scale(keras.layers.Layer):
    def __init__(self, factor: float = 1.0, **kwargs):
        super().__init__(**kwargs)
"""


def test_layers_of_ones_own_are_known_where_the_schema_has_them(server: LanguageServer, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    with keras_names.allowing(read_allowed_code([tmp_path / "own.py"])):
        schema = json_schema()
    config = LIST + "Scale: {factor: 2.5, name: scale}\n    - Scale\n"
    with started(tmp_path, schema) as own:
        assert "Scale" in offered(own, LAYERS + "- S█")
        assert "factor" in offered(own, LAYERS + "- Scale:\n        █")
        assert messages(own, config) == []
        assert messages(own, LIST + "Scale: {factor: big}") == [(4, f"expected {WORDS['float']}, or $(…)")]
    assert messages(server, config) == [
        (4, f"unknown layer, {LAYER}"),
        (5, f"expected a layer and the arguments that it needs, {LAYER}"),
    ]
