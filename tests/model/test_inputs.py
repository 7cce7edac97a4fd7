"""From the columns of a table to the first layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dltool.config.columns import parse_column_type
from dltool.data.arrays.rows import coded
from dltool.data.facts import InputFacts
from dltool.model.build import build_model
from dltool.model.inputs import scope_title

NAMES = ["x😀", "a: b", "a; b", "{c}", "_", "No", "a/b", "a_b", "\x07"]


def test_columns_may_have_any_name(make_config, make_facts) -> None:
    kinds = {name: InputFacts((), "float32", parse_column_type("number")) for name in NAMES}
    texts = {f"{name}?": InputFacts((), "string", parse_column_type({"category": {"embedding": 2}})) for name in NAMES}
    training = {name: np.arange(4, dtype=np.float32) for name in kinds} | {
        name: coded(["a", "b"] * 2) for name in texts
    }
    built = build_model(make_config([{"Dense": {"units": 3}}]), make_facts(inputs=kinds | texts), training)
    rows = {name: values[:] if name in kinds else np.asarray(values[:], str) for name, values in training.items()}
    for name, preparation in built.preprocessors.items():
        prepared = tf.function(preparation)(tf.constant(rows[name]))
        assert len(prepared) == 4
    assert built.full({name: values[:2] for name, values in rows.items()}).shape == (2, 3)


def test_two_columns_have_two_titles() -> None:
    assert len({scope_title(name) for name in NAMES}) == len(NAMES)
    assert scope_title("pm2.5") == "pm2.5"


@pytest.mark.parametrize("layer", ["Add", "Subtract", "Multiply"])
def test_a_date_and_a_layer_that_is_called_like_one_of_its_operations_go_together(
    make_config, make_facts, layer
) -> None:
    facts = make_facts(inputs={"day": InputFacts((), "int64", parse_column_type("date"))})
    layers = [{"Dense": {"units": 3, "name": "a"}}, {"Dense": {"units": 3, "name": "b"}}, {layer: {"from": ["a", "b"]}}]
    training = {"day": np.arange(4) * 86_400}
    built = build_model(make_config(layers), facts, training)
    assert built.full({"day": training["day"]}).shape == (4, 3)


@pytest.mark.parametrize("layer", ["Concatenate", "Subtract"])
def test_a_number_in_pieces_and_a_layer_that_is_called_like_one_of_its_operations_go_together(
    make_config, make_facts, layer
) -> None:
    kind = parse_column_type({"number": {"pieces": 2, "indicator": True}})
    layers = [{"Dense": {"units": 3, "name": "a"}}, {"Dense": {"units": 3, "name": "b"}}, {layer: {"from": ["a", "b"]}}]
    training = {"size": np.arange(4, dtype=np.float32)}
    # As in a new process: Keras counts the names that it gives.
    keras.utils.clear_session()
    built = build_model(make_config(layers), make_facts(inputs={"size": InputFacts((), "float32", kind)}), training)
    assert built.full({"size": training["size"]}).shape[0] == 4
