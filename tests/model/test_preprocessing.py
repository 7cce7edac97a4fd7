import json

import numpy as np
import pytest

from dltool.errors import ConfigError, RunError
from dltool.model.build import build_model
from dltool.model.inputs import Fitted
from dltool.model.preprocessing import load_preprocessing, save_preprocessing

NUMBERS = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
WORDS = np.array([["red"], ["green"], ["blue\n"], ["red"], ["\u2028é"]] * 3, dtype=object)
TEXTS = np.array(["a cat and a dog", "the dog", "a bird sings", "a cat"], dtype=object)
COUNTS = np.random.default_rng(0).integers(0, 6, (30, 4)).astype(np.int32)

LAYERS = {
    "Normalization": (["Normalization"], NUMBERS),
    "Normalization of all": ([{"Normalization": {"axis": None}}], NUMBERS),
    "Discretization": ([{"Discretization": {"num_bins": 5}}], NUMBERS),
    "Discretization one-hot": ([{"Discretization": {"num_bins": 5, "output_mode": "one_hot"}}], NUMBERS),
    "Rescaling first": ([{"Rescaling": 0.1}, "Normalization"], NUMBERS),
    "StringLookup": (["StringLookup"], WORDS),
    "StringLookup one-hot": ([{"StringLookup": {"output_mode": "one_hot", "num_oov_indices": 2}}], WORDS),
    "StringLookup with mask": ([{"StringLookup": {"mask_token": ""}}], WORDS),
    "StringLookup tf-idf": ([{"StringLookup": {"output_mode": "tf_idf"}}], WORDS),
    "IntegerLookup": (["IntegerLookup"], COUNTS),
    "IntegerLookup many-hot": ([{"IntegerLookup": {"output_mode": "multi_hot", "max_tokens": 4}}], COUNTS),
    "TextVectorization": ([{"TextVectorization": {"output_sequence_length": 6}}], TEXTS),
    "TextVectorization tf-idf": ([{"TextVectorization": {"output_mode": "tf_idf"}}], TEXTS),
    "TextVectorization padded": (
        [{"TextVectorization": {"output_mode": "tf_idf", "max_tokens": 30, "pad_to_max_tokens": True}}],
        TEXTS,
    ),
    "two that learn": (["IntegerLookup", {"Rescaling": 0.5}, "Normalization"], COUNTS),
}


def built_with(make_config, make_facts, preprocessing, inputs, state=None, learn=True):
    dtype = "string" if inputs.dtype == object else str(inputs.dtype)
    facts = make_facts(inputs.shape[1:], dtype)
    config = make_config([{"Activation": "linear"}], preprocessing)
    return build_model(config, facts, {"input": inputs} if learn else None, None if state is None else Fitted(state))


def prepared(built, inputs):
    from dltool.training.batches import tensor

    return np.asarray(built.preprocessors["input"](tensor(inputs)))


@pytest.mark.parametrize("name", LAYERS)
def test_saved_preprocessing_gives_identical_output(make_config, make_facts, tmp_path, name):
    preprocessing, inputs = LAYERS[name]
    first = built_with(make_config, make_facts, preprocessing, inputs)
    save_preprocessing(first.fitted.layers, {}, tmp_path)
    state = load_preprocessing(tmp_path)
    again = built_with(make_config, make_facts, preprocessing, inputs, state, learn=False)
    expected = prepared(first, inputs)
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(prepared(again, inputs), expected)
    save_preprocessing(again.fitted.layers, {}, tmp_path / "again")
    for file in tmp_path.glob("*-*/*.txt"):
        assert (tmp_path / "again" / file.relative_to(tmp_path)).read_bytes() == file.read_bytes()


def test_what_the_config_gives_is_not_learnt(make_config, make_facts):
    given = [{"Normalization": {"mean": 1.0, "variance": 4.0}}]
    built = built_with(make_config, make_facts, given, NUMBERS)
    assert built.fitted.layers == {}
    np.testing.assert_allclose(prepared(built, NUMBERS), (NUMBERS - 1) / 2, rtol=1e-6)


def test_a_vocabulary_is_one_json_value_a_line(make_config, make_facts, tmp_path):
    built = built_with(make_config, make_facts, ["StringLookup"], WORDS)
    save_preprocessing(built.fitted.layers, {}, tmp_path)
    text = (tmp_path / "0-StringLookup" / "vocabulary.txt").read_text(encoding="utf-8")
    words = [json.loads(line) for line in text.split("\n") if line]
    assert words == built.fitted.layers["0-StringLookup"].vocabulary
    assert {"red", "blue\n", "\u2028é"} < set(words)


def test_without_data_the_shapes_are_known_where_they_do_not_depend_on_it(make_config, make_facts):
    built = built_with(make_config, make_facts, ["Normalization"], NUMBERS, learn=False)
    assert built.layers[0].output_shape == (4,)
    assert built.fitted.layers == {}


def test_state_of_other_layers_is_refused(make_config, make_facts):
    built = built_with(make_config, make_facts, ["Normalization"], NUMBERS)
    with pytest.raises(RunError, match="no state for 0-Discretization"):
        built_with(make_config, make_facts, [{"Discretization": {"num_bins": 3}}], NUMBERS, built.fitted.layers)


def test_what_cannot_be_learnt_from_is_a_plain_error(make_config, make_facts):
    with pytest.raises(ConfigError) as refused:
        built_with(make_config, make_facts, ["Normalization"], WORDS)
    (problem,) = refused.value.problems
    assert problem.place == ("data", "preprocessing", 0)
    assert problem.message.startswith("Normalization cannot learn from the training examples: ")


@pytest.mark.parametrize("damage", ["cut", "pickle", "link", "foreign"])
def test_damaged_state_is_refused_and_nothing_is_run(make_config, make_facts, tmp_path, damage):
    built = built_with(make_config, make_facts, ["Normalization"], NUMBERS)
    save_preprocessing(built.fitted.layers, {}, tmp_path)
    arrays = tmp_path / "0-Normalization" / "arrays.npz"
    if damage == "cut":
        arrays.write_bytes(arrays.read_bytes()[:100])
    elif damage == "pickle":
        np.savez(arrays, mean=np.array([print], dtype=object))
    elif damage == "link":
        arrays.rename(tmp_path.parent / "moved.npz")
        arrays.symlink_to(tmp_path.parent / "moved.npz")
    else:
        (tmp_path / "run.py").write_text("")
    with pytest.raises(RunError):
        load_preprocessing(tmp_path)
