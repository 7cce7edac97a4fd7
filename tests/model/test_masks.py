"""Masks that hide every step of an example, and masks that hide later steps."""

from typing import Any

import keras
import numpy as np
import pytest

from dltool.config.keras.objects import parse_keras_object
from dltool.model.build import build_model
from dltool.model.saving import save_model

WORDS = np.array([[3, 1, 0, 0], [0, 0, 0, 0], [2, 0, 4, 0]], np.int32)
POOLED = [
    {"Embedding": {"input_dim": 5, "output_dim": 6, "mask_zero": True}},
    {"Dropout": 0.5},
    "GlobalAveragePooling1D",
    {"Dense": {"units": 3, "activation": "softmax"}},
]
CAUSAL: dict[str, Any] = {
    "MultiHeadAttention": {"num_heads": 2, "key_dim": 4, "from": ["e", "e"]},
    "GroupQueryAttention": {"head_dim": 4, "num_query_heads": 2, "num_key_value_heads": 1, "from": ["e", "e"]},
    "Attention": {"from": ["e", "e"]},
    "AdditiveAttention": {"from": ["e", "e"]},
}


def causal_layers(layer: str, **more):
    embedding = {"Embedding": {"input_dim": 6, "output_dim": 6, "name": "e"}}
    return [embedding, {layer: {**CAUSAL[layer], **more}}, {"Dense": {"units": 3, "activation": "softmax"}}]


def test_the_mean_over_unmasked_steps_of_an_example_without_any_is_that_of_all_steps(make_config, make_facts) -> None:
    core = build_model(make_config(POOLED), make_facts((4,), "int32")).core
    embedding, dense = core.layers[1].get_weights()[0], core.layers[-1]
    kept = [np.where(row == 0, 0.0, 1.0) if row.any() else np.ones(4) for row in WORDS]
    means = np.stack([(keep @ embedding[row]) / keep.sum() for keep, row in zip(kept, WORDS, strict=True)])
    kernel, bias = dense.get_weights()
    logits = np.exp(means @ kernel + bias)
    np.testing.assert_allclose(core(WORDS), logits / logits.sum(axis=1, keepdims=True), rtol=1e-5)


def test_the_saved_model_has_the_same_mean(make_config, make_facts, tmp_path) -> None:
    built = build_model(make_config(POOLED), make_facts((4,), "int32"))
    save_model(built.full, tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(WORDS), built.core(WORDS))


def test_the_operations_of_a_model_have_the_same_names_in_every_build(make_config, make_facts) -> None:
    layers = [POOLED[0], {"Dropout": {"rate": 0.5, "name": "any"}}, *POOLED[2:]]
    builds = [build_model(make_config(layers), make_facts((4,), "int32")).core for _ in range(2)]
    names = [[operation.name for operation in core.operations] for core in builds]
    assert names[0] == names[1]
    assert len(set(names[0])) == len(names[0])


@pytest.mark.parametrize("name", CAUSAL)
def test_with_use_causal_mask_no_position_depends_on_later_ones(name, make_config, make_facts, tmp_path) -> None:
    facts = make_facts((4,), "int32", target_shape=(4,))
    built = build_model(make_config(causal_layers(name, use_causal_mask=True)), facts)
    words, others = WORDS + 1, WORDS + 1
    others[:, 2:] = 1
    save_model(built.full, tmp_path / "model.keras")
    for model in (built.core, keras.models.load_model(tmp_path / "model.keras")):
        np.testing.assert_array_equal(model(words)[:, :2], model(others)[:, :2])
        assert not np.allclose(model(words)[:, 2:], model(others)[:, 2:])
    free = build_model(make_config(causal_layers(name)), facts).core
    assert not np.allclose(free(words)[:, :2], free(others)[:, :2])


def test_a_causal_layer_that_is_used_again_is_causal_again(make_config, make_facts) -> None:
    layers = causal_layers("MultiHeadAttention", use_causal_mask=True, name="a")
    layers.insert(2, {"a": {"from": ["a", "a"]}})
    core = build_model(make_config(layers), make_facts((4,), "int32", target_shape=(4,))).core
    words, others = WORDS + 1, WORDS + 1
    others[:, 3] = 1
    np.testing.assert_array_equal(core(words)[:, :3], core(others)[:, :3])


def test_an_inner_layer_cannot_be_causal_because_the_outer_one_calls_it() -> None:
    inner = {"Attention": {"use_causal_mask": True}}
    for outer in ({"TimeDistributed": {"layer": inner}}, {"Pipeline": [inner]}):
        _, (problem,) = parse_keras_object("layer", outer)
        assert problem.message == "the outer layer calls Attention without use_causal_mask"
        assert isinstance(problem.place, tuple)
        assert problem.place[-2:] == ("Attention", "use_causal_mask")
