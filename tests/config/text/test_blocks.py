"""Blocks, repeats and shared layers as one flat list."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dltool.config.load import build_config, read_document, read_recorded
from dltool.config.schema import Config
from dltool.config.text.dump import dump_yaml, plain_config
from dltool.errors import ConfigError

REST = """
data: {source: digits}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, epochs: 1}
"""
Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def loaded(model: str, rest: str = REST, facts: Any = None, settings: tuple[str, ...] = ()) -> Config:
        path = tmp_path / "blocks.yaml"
        path.write_text("model:\n" + "\n".join(f"  {line}" for line in model.splitlines()) + rest, encoding="utf-8")
        return build_config(read_document(path, settings), facts)

    return loaded


def layers_of(config: Config) -> list[Any]:
    layers: list[Any] = plain_config(config)["model"]["layers"]
    return layers


def test_a_block_is_its_layers_with_the_values_of_its_parameters(load: Load) -> None:
    config = load("""
blocks:
  pair:
    parameters: {units: , rate: 0.5}
    layers: [Dense: $units, Dropout: $rate]
layers:
  - pair: 3
  - pair: {units: 4, rate: $(1 / 4)}
  - Flatten
""")
    assert layers_of(config) == [
        {"Dense": {"units": 3}},
        {"Dropout": {"rate": 0.5}},
        {"Dense": {"units": 4}},
        {"Dropout": {"rate": 0.25}},
        "Flatten",
    ]


def test_names_in_a_block_are_those_of_each_use(load: Load) -> None:
    config = load("""
blocks:
  skip:
    layers:
      - Dense: {units: 4, name: wide}
      - Add: {from: [input, wide]}
layers:
  - Dense: {units: 4, name: wide}
  - skip
  - skip: {name: end}
  - Add: {from: [wide, end]}
""")
    assert layers_of(config) == [
        {"Dense": {"units": 4, "name": "wide"}},
        {"Dense": {"units": 4, "name": "skip_wide"}},
        {"Add": {"name": "add_2", "from": ["wide", "skip_wide"]}},
        {"Dense": {"units": 4, "name": "end_wide"}},
        {"Add": {"name": "add_4", "from": ["add_2", "end_wide"]}},
        {"Add": {"from": ["wide", "add_4"]}},
    ]


def test_input_is_what_a_block_was_given_wherever_that_comes_from(load: Load) -> None:
    config = load("""
blocks:
  twice:
    layers: [Dense: {units: 8, name: a}, Dense: {units: 8, from: input, name: b}, Add: {from: [a, b]}]
  outer:
    layers: [twice, Add: {from: [input, input]}]
layers:
  - twice
  - Dense: {units: 8, name: middle}
  - Dense: 8
  - outer: {from: middle}
""")
    a, b, first, _, _, c, d, second, last = layers_of(config)
    assert [a["Dense"]["name"], b["Dense"]["from"], first["Add"]["from"]] == [
        "twice_a",
        "input",
        ["twice_a", "twice_b"],
    ]
    assert [c["Dense"]["from"], d["Dense"]["from"]] == ["middle", "middle"]
    assert second["Add"]["from"] == ["outer_twice_a", "outer_twice_b"]
    assert last == {"Add": {"from": ["middle", "middle"]}}


def test_a_name_in_a_repeat_is_its_latest_layer(load: Load) -> None:
    config = load("""
layers:
  - Dense: {units: 8, name: x}
  - repeat:
      times: 3
      layers:
        - Dense: {units: $(8 * (index + 1)), name: y}
        - Concatenate: {from: [x, y]}
  - Concatenate: {from: [x, y]}
""")
    assert [layer["Dense"]["units"] for layer in layers_of(config) if "Dense" in layer] == [8, 8, 16, 24]
    taken = [layer["Concatenate"]["from"] for layer in layers_of(config) if "Concatenate" in layer]
    assert taken == [["x", "y"], ["x", "y_1"], ["x", "y_2"], ["x", "y_2"]]


def test_how_often_may_follow_from_variables_parameters_and_the_data(load: Load) -> None:
    model = """
blocks:
  stack: {parameters: {times: 1}, layers: [repeat: {times: $times, layers: [Flatten]}]}
layers:
  - stack: $depth
  - repeat: {times: $classes, layers: [stack]}
"""
    rest = "\nvars: {depth: 2}" + REST
    assert len(layers_of(load(model, rest))) == 3
    facts = {"classes": 4, "examples": 9, "validation_examples": 0, "target_shape": ()}
    assert len(layers_of(load(model, rest, facts))) == 6


def test_the_list_of_layers_may_be_a_variable(load: Load) -> None:
    rest = "\nvars: {mine: [repeat: {times: 2, layers: [Flatten]}, Dense: $n], n: 3}" + REST
    assert layers_of(load("layers: $mine", rest)) == ["Flatten", "Flatten", {"Dense": {"units": 3}}]


def test_set_changes_a_block_before_it_is_used(load: Load) -> None:
    model = """
blocks:
  dense: {parameters: {units: 4}, layers: [Dense: $units]}
layers: [dense, dense: {units: 5}]
"""
    config = load(model, settings=("model.blocks.dense.parameters.units=7", "model.layers[1].dense.units=9"))
    assert layers_of(config) == [{"Dense": {"units": 7}}, {"Dense": {"units": 9}}]


def test_a_layer_used_again_keeps_its_name_and_takes_no_arguments(load: Load) -> None:
    config = load("""
layers:
  - Dense: {units: 8, name: a}
  - Dense: {units: 8, name: shared}
  - shared: {from: a, name: b}
  - shared
  - Add: {from: [shared, b]}
""")
    _, _, third, fourth, _ = config.model.layers
    assert third.is_shared
    assert fourth.is_shared
    assert layers_of(config)[2:4] == [{"shared": {"name": "b", "from": "a"}}, "shared"]


@pytest.mark.parametrize("times", ["1000", "$n"])
def test_what_would_expand_without_end_is_refused(load: Load, times: str) -> None:
    inner = f"[repeat: {{times: {times}, layers: [repeat: {{times: {times}, layers: [Flatten]}}]}}]"
    with pytest.raises(ConfigError, match=r"more than 10,000"):
        load(f"layers: {inner}", "\nvars: {n: 999}" + REST)


NAMES = st.sampled_from("abc")


@st.composite
def entries(draw: st.DrawFn, depth: int = 2) -> str:
    """A list of layers in flow style."""
    items = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["layer", "named", "from", "block", "repeat"] if depth else ["layer", "named"]))
        inside = draw(entries(depth - 1)) if kind == "repeat" else ""
        items.append(
            {
                "layer": "Flatten",
                "named": "{Dense: {units: $(index + 1), name: n$(index)}}" if inside else "{Dense: 3}",
                "from": "{Dense: {units: 2, from: input}}",
                "block": f"{{{draw(NAMES)}: {draw(st.integers(1, 3))}}}",
                "repeat": f"{{repeat: {{times: {draw(st.integers(1, 3))}, layers: {inside}}}}}",
            }[kind]
        )
    return f"[{', '.join(items)}]"


@given(entries(), entries(0), entries(0), entries(0))
def test_the_flat_list_loads_as_the_same_config(tmp_path_factory: Any, layers: str, a: str, b: str, c: str) -> None:
    blocks = {
        "a": f"[{{Dense: {{units: $n, name: x}}}}, {{Add: {{from: [x, input]}}}}, {a[1:]}",
        "b": f"[{{a: $n}}, {{repeat: {{times: $n, layers: {b}}}}}, {{Dense: {{units: 1, from: input}}}}]",
        "c": f"[{{Dense: {{units: $n, from: input}}}}, {c[1:]}",
    }
    path = tmp_path_factory.mktemp("flat") / "flat.yaml"
    text = "".join(f"    {name}: {{parameters: {{n: }}, layers: {body}}}\n" for name, body in blocks.items())
    path.write_text(f"model:\n  blocks:\n{text}  layers: {layers}\n{REST}", encoding="utf-8")
    document = read_document(path)
    config = build_config(document)
    assert read_recorded(dump_yaml(config).encode(), "resolved.yaml") == config
    assert len(document.layers) == len(config.model.layers)
    for index, written in enumerate(document.layers):
        assert document.position(("model", "layers", index)).line >= 1
        assert written.place[0] == "model"


OUTPUTS = """
data: {source: {arrays: {path: a.npz, y: {digit: digit, even: even}}}}
training: {optimizer: adam, epochs: 1}
"""


def test_an_output_may_be_what_a_block_makes_or_the_last_round_of_a_repeat(load: Load) -> None:
    config = load(
        """
blocks:
  head:
    layers: [Dense: {units: 4, name: digit}, Dense: 10]
layers:
  - Dense: {units: 8, name: trunk}
  - head: {name: digit}
  - repeat:
      times: 2
      layers: [Dense: {units: 1, from: trunk, name: last}]
outputs:
  digit: {loss: mse}
  even: {loss: mse, from: last}
""",
        OUTPUTS,
    )
    assert [layer["Dense"].get("name") for layer in layers_of(config)] == [
        "trunk",
        "digit_digit",
        "dense_2",
        "last",
        "last_1",
    ]
    assert {name: output.layer for name, output in config.model.outputs.items()} == {
        "digit": "dense_2",
        "even": "last_1",
    }
    assert read_recorded(dump_yaml(config).encode(), "resolved.yaml") == config


def test_the_name_of_a_block_in_use_is_text_and_its_own(load: Load) -> None:
    with pytest.raises(ConfigError) as refused:
        load("""
blocks: {pair: {layers: [Dense: 4]}}
layers:
  - repeat: {times: 2, layers: [pair: {name: mine}]}
  - pair: {name: 3}
  - Dense: {units: 4, name: mine}
  - pair: {name: mine}
  - pair: {name: other}
  - pair: {name: other}
""")
    assert [(problem.place, problem.message) for problem in refused.value.problems] == [
        (("model", "layers", 1, "pair", "name"), "expected a name, got the number 3"),
        (("model", "layers", 2, "Dense", "name"), 'the name "mine" is taken'),
        (("model", "layers", 3, "pair", "name"), 'the name "mine" is taken'),
        (("model", "layers", 5, "pair", "name"), 'the name "other" is taken'),
    ]


def test_a_value_cannot_stand_for_a_block(load: Load) -> None:
    with pytest.raises(ConfigError) as refused:
        load("""
blocks:
  one: {layers: [Dense: 4]}
  two: {parameters: {what: one}, layers: [$what]}
layers: [two, Flatten]
""")
    (problem,) = refused.value.problems
    assert (problem.message, problem.hint) == ("a variable cannot name the block one", "write its name here")


SIAMESE = """
blocks:
  tower:
    parameters: {units: 8}
    layers:
      - Dense: {units: $units, name: first}
      - Dense: {units: $units, from: first}
      - Add: {from: [first, input]}
layers:
  - Dense: {units: 8, name: a}
  - Dense: {units: 8, name: b, from: input}
  - tower: {units: 8, from: a, name: left}
  - left: {from: b, name: right}
  - right
  - Add: {from: [left, right]}
  - Dense: 3
"""


def test_a_block_used_again_by_its_name_shares_all_of_its_layers(load: Load) -> None:
    config = load(SIAMESE)
    layers = config.model.layers
    assert read_recorded(dump_yaml(config).encode(), "resolved.yaml") == config
    left, right, third = layers[2:5], layers[5:8], layers[8:11]
    assert [layer.is_shared for layer in layers] == [False] * 5 + [True] * 6 + [False] * 2
    names = [layer.arguments["name"] for layer in left]
    assert [layer.name for layer in right] == names == [layer.name for layer in third]
    assert (left[0].sources, right[0].sources) == (("a",), ("b",))
    # The input of the block, inside it: the output of the use before, in the third.
    first_of = [use[0].arguments["name"] for use in (left, right, third)]
    last_of = right[2].arguments["name"]
    assert [use[2].sources for use in (left, right, third)] == [
        (first_of[0], "a"),
        (first_of[1], "b"),
        (first_of[2], last_of),
    ]
    assert layers[11].sources == (names[2], last_of)


def test_a_block_used_again_takes_no_other_parameters(load: Load) -> None:
    for options, message in (("{units: 9}", "unknown parameter of left"), ("9", "left takes no value")):
        with pytest.raises(ConfigError, match=message):
            load(SIAMESE.replace("- right\n", f"- left: {options}\n"))
