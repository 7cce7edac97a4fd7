"""Texts for networks of KerasHub, from presets that the tests write."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError
from tests.presets import write_text_preset

from dltool.config.columns import TextColumn
from dltool.config.presets import is_for_texts, preset_problems, read_preset, read_tokenizer
from dltool.config.schema import Config
from dltool.errors import ConfigError

TEXTS = ["good film", "the bad films! zzz ok a good film the bad film the bad film", "", "bad"]
LENGTH = 12
HEAD = ["GlobalAveragePooling1D", {"Dense": {"units": 3, "activation": "softmax"}}]
BERT = {"registered_name": "keras_hub>BertBackbone", "config": {"vocabulary_size": 11, "num_layers": 1}}


def write_bert(folder: Path, tokenizer: bool = True) -> Path:
    """Write the files of a preset that are read without KerasHub."""
    (folder / "assets/tokenizer").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(BERT), "utf-8")
    (folder / "model.weights.h5").write_bytes(b"")
    if tokenizer:
        (folder / "tokenizer.json").write_text("{}", "utf-8")
        (folder / "assets/tokenizer/vocabulary.txt").write_text("[UNK]\n", "utf-8")
    return folder


def config_of(layers, preprocessing=()) -> Config:
    needed = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "epochs": 1}
    data = {"source": "digits", "preprocessing": preprocessing}
    return Config.model_validate({"name": "small", "data": data, "model": {"layers": layers}, "training": needed})


def test_a_network_for_texts_needs_the_tokens_of_its_own_preset(tmp_path) -> None:
    bert, other = write_bert(tmp_path / "bert"), write_bert(tmp_path / "other", tokenizer=False)
    assert is_for_texts(read_preset(bert, ()))
    network = {"backbone": {"KerasHub": str(bert)}}

    def problems(preset) -> list[str]:
        tokenizer = [{"KerasHubTokenizer": {"preset": str(preset), "sequence_length": 8}}] if preset else []
        return [problem.message for problem in preset_problems(config_of([network, *HEAD], tokenizer))]

    assert problems(bert) == []
    assert problems(None) == ["BertBackbone takes the tokens that its own preset makes of texts"]
    assert problems(other) == [problems(None)[0], f"{other} has no tokenizer.json"]


def test_networks_are_read_before_workers_are_connected_and_padding_is_found_after(tmp_path, monkeypatch) -> None:
    from dltool.model import hub

    config = config_of(
        [{"backbone": {"KerasHub": str(write_bert(tmp_path / "bert"))}}, *HEAD],
        [{"KerasHubTokenizer": {"preset": str(tmp_path / "bert"), "sequence_length": 8}}],
    )
    # A tokenizer runs TensorFlow's operations, after which workers cannot be connected.
    monkeypatch.setattr(hub, "make_tokenizer", None)
    read = hub.with_networks(config, is_connected=False)
    assert read.model.layers[0].arguments["network"] == {"class": "BertBackbone", "config": BERT["config"]}
    monkeypatch.setattr(hub, "make_tokenizer", lambda files, place: SimpleNamespace(pad_token_id=len(files)))
    padded = hub.with_networks(read)
    assert padded.model.layers[0].arguments["network"]["pad"] == 2
    monkeypatch.setattr(hub, "make_tokenizer", None)
    assert hub.with_networks(padded) == padded


def test_a_preset_in_a_column_decides_all_but_the_length_of_its_tokens() -> None:
    def problems(**options) -> list[str]:
        try:
            TextColumn(preset="bert_tiny", **options)
        except ValidationError as error:
            return [problem.message for each in error.errors() for problem in each["ctx"]["problems"]]
        return []

    assert problems(length=8) == []
    assert problems() == problems(length=2) == ["tokens of a preset need a length of at least 3"]
    assert problems(length=8, ngrams=2) == ["the preset decides ngrams"]


@pytest.fixture(scope="module", params=["Bert", "Roberta", "Albert"])
def preset(request, tmp_path_factory) -> Path:
    return write_text_preset(tmp_path_factory.mktemp(request.param), request.param)


def built_from(folder, make_config, make_facts, length=LENGTH, layers=(), **arguments):
    from dltool.model.build import build_model
    from dltool.model.hub import with_networks

    layers = [*layers, {"backbone": {"KerasHub": {"preset": str(folder), **arguments}}}]
    layers += HEAD[1:] if arguments.get("output") else HEAD
    tokenizer = [{"KerasHubTokenizer": {"preset": str(folder), "sequence_length": length}}]
    config = with_networks(make_config(layers, tokenizer))
    return build_model(config, make_facts((), "string"), {"input": np.array(TEXTS)})


@pytest.mark.slow
def test_texts_give_what_keras_hub_gives_for_them(preset, make_config, make_facts, tmp_path) -> None:
    import keras
    import keras_hub

    built = built_from(preset, make_config, make_facts)
    texts = keras.ops.convert_to_tensor(np.array(TEXTS, object), dtype="string")
    preprocessor = keras_hub.models.TextClassifierPreprocessor.from_preset(str(preset), sequence_length=LENGTH)
    expected, tokens = preprocessor(TEXTS), built.preprocessors["input"](texts)
    np.testing.assert_array_equal(tokens, expected["token_ids"])
    theirs = keras_hub.models.Backbone.from_preset(str(preset))
    outputs = theirs(expected)
    sequence = np.array(outputs["sequence_output"] if isinstance(outputs, dict) else outputs)
    mask = np.array(expected["padding_mask"], np.float32)[..., None]
    network = built.core.layers[1]
    np.testing.assert_allclose(network(tokens), sequence * mask, atol=1e-6)

    means = (sequence * mask).sum(1) / mask.sum(1)
    kernel, bias = built.core.layers[-1].get_weights()
    np.testing.assert_allclose(built.core(tokens), keras.activations.softmax(means @ kernel + bias), atol=1e-6)
    pooled = built_from(preset, make_config, make_facts, output="pooled_output").core.layers[1](tokens)
    theirs_pooled = outputs["pooled_output"] if isinstance(outputs, dict) else sequence[:, 0]
    np.testing.assert_allclose(pooled, theirs_pooled, atol=1e-6)

    built.full.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(texts, verbose=0), built.full.predict(texts, verbose=0))


@pytest.mark.slow
def test_other_inputs_than_tokens_are_refused_in_words(make_config, make_facts, tmp_path, monkeypatch) -> None:
    from dltool.model.build import build_model
    from dltool.model.tokenizers import make_tokenizer

    bert = write_text_preset(tmp_path / "bert")

    def refused(**arguments) -> str:
        with pytest.raises(ConfigError) as error:
            built_from(bert, make_config, make_facts, **arguments)
        return error.value.problems[0].message

    assert refused(length=32) == "BertBackbone takes at most 16 tokens, and (32,) arrives"
    assert refused(length=2) == "expected at least 3 tokens: the start, one of the text, and the end"
    embedding = {"Embedding": {"input_dim": 11, "output_dim": 4}}
    assert refused(layers=[embedding]) == "BertBackbone takes tokens, and (12, 4) arrives"
    tokenizer = [{"KerasHubTokenizer": {"preset": str(bert), "sequence_length": 8}}]
    with pytest.raises(ConfigError, match="KerasHubTokenizer takes one text of each example"):
        build_model(make_config(HEAD[1:], tokenizer), make_facts((8,)), {"input": np.zeros((4, 8))})

    files = read_tokenizer(bert, ())
    described = json.loads(files["tokenizer.json"])
    for changed, words in (
        ({"tokenizer.json": b"[]"}, "tokenizer.json describes no tokenizer"),
        (
            {"tokenizer.json": json.dumps({**described, "registered_name": "keras_hub>GPT2Tokenizer"}).encode()},
            "describes no tokenizer",
        ),
        ({"vocabulary.txt": b"film\n"}, "the vocabulary of BertTokenizer is damaged: Cannot find"),
        ({"vocabulary.txt": b"\xff"}, "the vocabulary of BertTokenizer is damaged"),
    ):
        with pytest.raises(ConfigError, match=words):
            make_tokenizer({**files, **changed}, ())


@pytest.mark.slow
def test_each_token_is_explained_by_what_the_network_embeds_it_as(preset, make_config, make_facts) -> None:
    import keras
    from tests.explain.test_explanations import scores_of

    from dltool.report.examples import padding_of, tokens, vocabulary_of

    built = built_from(preset, make_config, make_facts)
    prepared = np.array(built.preprocessors["input"](keras.ops.convert_to_tensor(np.array(TEXTS, object), "string")))
    padding, known = padding_of(built, "input"), vocabulary_of(built, "input")
    assert known is not None
    assert known[padding] in ("[PAD]", "<pad>")
    assert len(list(tokens(prepared[3], known, padding))) == (prepared[3] != padding).sum() < LENGTH

    layers = [built.core.layers[1], keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(2, "softmax")]
    scores = scores_of(layers, (LENGTH,), ("a", "b"), "int32")
    given, expected = {"input": prepared}, np.asarray(scores.core(prepared, training=False))
    entrances, labels = scores.entrances(given), scores.labels(given)
    assert [each.shape for each in entrances.values()] == [(len(TEXTS), LENGTH, 8)]
    np.testing.assert_allclose(scores.sureness(given, entrances, labels), expected.max(1), atol=1e-6)
    ((name, gradients),) = scores.gradients(given, entrances, labels).items()
    assert scores.input_of == {name: "input"}
    assert (np.abs(gradients).max(axis=2) > 0).tolist() == (prepared != padding).tolist()
