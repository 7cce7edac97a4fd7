"""Which classes a file of one's own has, and what they take, read from its syntax tree."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dltool.config.keras.allowed_code import read_allowed_code
from dltool.config.keras.objects import KerasObject, parse_keras_object
from dltool.config.last_layer import last_layer
from dltool.errors import UnreadableConfig
from dltool.keras_names import ALLOWED, allowing, arguments, find, names

HEAD = "import keras\nfrom keras import layers\n"


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str) -> Any:
        (tmp_path / "own.py").write_text(text, encoding="utf-8")
        return read_allowed_code([tmp_path / "own.py"])[0]

    return read


def types(entry: dict[str, Any]) -> dict[str, str]:
    return {item[0]: item[1] for item in entry["arguments"]}


@pytest.mark.parametrize(
    ("imports", "base", "kind"),
    [
        ("import keras", "keras.Layer", "layer"),
        ("import keras", "keras.layers.Dense", "layer"),
        ("import keras as k", "k.layers.Layer", "layer"),
        ("import keras.layers", "keras.layers.Layer", "layer"),
        ("from keras import layers as L", "L.Layer", "layer"),
        ("from keras.layers import Layer as Base", "Base", "layer"),
        ("import tensorflow as tf", "tf.keras.layers.Layer", "layer"),
        ("from tensorflow import keras", "keras.losses.Loss", "loss"),
        ("from keras import Loss", "Loss", "loss"),
        ("from keras.metrics import Metric", "Metric", "metric"),
        ("from keras import metrics", "metrics.AUC", "metric"),
    ],
)
def test_a_class_is_found_by_its_base_however_that_was_imported(imports, base, kind, read):
    code = read(f"{imports}\nclass Mine({base}): pass\n")
    assert [found for found in code.names if code.names[found]] == [kind]


def test_classes_on_classes_of_the_file_are_found_and_others_are_not(read):
    text = (
        "class A(layers.Layer): pass\nclass B(A): pass\nclass _C(B): pass\nclass D: pass\nclass E(keras.Model): pass\n"
    )
    assert list(read(HEAD + text).names["layer"]) == ["A", "B"]


def test_a_base_below_its_class_is_none(read):
    assert list(read(HEAD + "class A(B, layers.Layer): pass\nclass B(A): pass\n").names["layer"]) == ["A", "B"]


def test_arguments_come_from_the_signature_and_its_type_hints(read):
    text = """
import typing
from typing import Literal, Optional, Sequence
class Mine(layers.Layer):
    def __init__(self, units: int, rate: float = 0.5, mode: Literal["a", "b"] = "a", scale: float | None = None,
                 flag: bool = False, sizes: list[int] = (1, 2), pair: tuple[int, int] = (1, 2),
                 names: Sequence[str] = (), title: "str | None" = None, old: Optional[int] = None,
                 table: dict[str, int] | None = None,
                 kernel_initializer="he_normal", activation=None, *, count: int = 3, other: keras.Variable = None,
                 **kwargs):
        super().__init__(**kwargs)
"""
    entry = read(HEAD + text).names["layer"]["Mine"]
    assert types(entry) == {
        "units": "int",
        "rate": "float",
        "mode": '"a"|"b"',
        "scale": "float|null",
        "flag": "bool",
        "sizes": "ints",
        "pair": "ints:2",
        "names": "texts",
        "title": "text|null",
        "old": "int|null",
        "table": "mapping|null",
        "kernel_initializer": "initializer|null",
        "activation": "activation|null",
        "count": "int",
        "other": "any",
    }
    assert entry["base"] == "layer"
    assert [item[0] for item in entry["arguments"] if len(item) == 2] == ["units"]
    assert ["rate", "float", 0.5] in entry["arguments"]


def test_what_goes_on_to_the_base_class_is_taken_too(read):
    text = """
class Wide(layers.Dense):
    def __init__(self, factor: int = 2, **kwargs):
        super().__init__(units=factor, **kwargs)
class Wider(Wide): pass
class Cut(keras.losses.Loss):
    def __init__(self, delta: float, **kwargs):
        super().__init__(**kwargs)
class Exact(keras.metrics.Metric): pass
"""
    found = read(HEAD + text).names
    assert list(types(found["layer"]["Wide"]))[:4] == ["factor", "units", "activation", "use_bias"]
    # The constructor gives it by itself.
    assert ["units", "int", None] in found["layer"]["Wide"]["arguments"]
    assert found["layer"]["Wider"] == found["layer"]["Wide"]
    assert list(types(found["loss"]["Cut"])) == ["delta", "reduction", "name"]
    assert list(types(found["metric"]["Exact"])) == ["name"]


def test_the_classes_are_named_as_keras_s_own_and_only_while_they_are_allowed(read):
    text = (
        "class Mine(layers.Layer):\n    def __init__(self, rate: float = 1.0, **kwargs): super().__init__(**kwargs)\n"
    )
    code = read(HEAD + text)
    with allowing([code]):
        known = find("layer", "Mine")
        assert known is not None
        assert known.code is code
        assert "Mine" in names("layer")
        assert next(iter(arguments("layer", "Mine"))) == "rate"
        # A rate of Keras's is below 1; of this one, nobody knows.
        found, problems = parse_keras_object("layer", {"Mine": 2})
        assert (found, problems) == (KerasObject("layer", "Mine", {"rate": 2.0}), [])
        _, problems = parse_keras_object("layer", {"Mine": {"rate": "fast"}})
        assert problems[0].message == 'expected a number, got the string "fast"'
        _, problems = parse_keras_object("layer", {"Mine": {"rat": 1}})
        assert problems[0].hint == 'did you mean "rate"?'
    assert find("layer", "Mine") is None
    assert ALLOWED == []


def test_what_a_class_of_one_s_own_gives_as_the_last_layer_is_unknown(read):
    with allowing([read(HEAD + "class Mine(layers.Dense):\n    pass\n")]):
        last = last_layer([KerasObject("layer", "Mine", {"units": 3, "activation": "softmax"})], 0)
    assert last is not None
    assert (last.units, last.activation) == (None, None)


BAD = {
    "syntax": HEAD + "class Mine(layers.Layer:\n    pass\n",
    "return-outside": HEAD + "class Mine(layers.Layer): pass\nreturn 1\n",
    "no-class": "import keras\nprint('hello')\n",
    "name-of-keras": HEAD + "class Dense(layers.Layer): pass\n",
    "no-name": HEAD + "class Mine(layers.Layer):\n    def __init__(self, units: int):\n        super().__init__()\n",
    "empty": "",
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_used_is_refused_at_its_line(name, tmp_path, monkeypatch, dltool, golden):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(BAD[name], encoding="utf-8")
    Path("example.yaml").write_text("name: example\n", encoding="utf-8")
    outcome = dltool("check", "example.yaml", "--allow-code", "own.py")
    assert (outcome.code, outcome.stdout) == (2, "")
    golden(f"bad-inputs/allowed-code/{name}", outcome.stderr)


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "own.py").write_text("", encoding="utf-8")
    for path, message, hint in (
        (tmp_path / "ovn.py", "no such file", f"did you mean {tmp_path / 'own.py'}?"),
        (tmp_path, "is a directory, not a Python file", f"did you mean {tmp_path / 'own.py'}?"),
        (Path("/dev/zero"), "is not a regular file", ""),
    ):
        with pytest.raises(UnreadableConfig) as refused:
            read_allowed_code([path])
        (problem,) = refused.value.problems
        assert (problem.message, problem.hint) == (message, hint)


def test_two_files_cannot_have_the_same_class(tmp_path):
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(HEAD + "class Mine(layers.Layer): pass\n", encoding="utf-8")
    with pytest.raises(UnreadableConfig) as refused:
        read_allowed_code([tmp_path / "a.py", tmp_path / "b.py"])
    assert refused.value.problems[0].message == f"{tmp_path / 'a.py'} defines Mine too"


def test_reading_runs_nothing_and_imports_nothing_heavy(tmp_path):
    (tmp_path / "own.py").write_text(HEAD + "class Mine(layers.Layer): pass\nraise SystemExit(3)\n", encoding="utf-8")
    code = (
        "import sys, pathlib\nfrom dltool.config.keras.allowed_code import read_allowed_code\n"
        f"read_allowed_code([pathlib.Path({str(tmp_path / 'own.py')!r})])\n"
        "assert not {'keras', 'tensorflow', 'numpy', 'own'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_file_may_be_named_twice(tmp_path):
    (tmp_path / "a.py").write_text(HEAD + "class Mine(layers.Layer): pass\n", encoding="utf-8")
    assert len(read_allowed_code([tmp_path / "a.py", tmp_path / "a.py"])) == 1
