"""Presets of KerasHub that tests write: small networks with random weights."""

import io
from pathlib import Path
from typing import Any

import pytest

WORDS = ["the", "a", "film", "good", "bad", "##s"]


def write_preset(folder: Path) -> Path:
    """Write a small ResNet, behind its own range of values. Skips the test without KerasHub."""
    keras_hub = pytest.importorskip("keras_hub", reason="the extra hub is not installed")
    import keras

    keras.utils.set_random_seed(1)
    small = {"input_conv_filters": [64], "input_conv_kernel_sizes": [3], "stackwise_num_filters": [64]}
    more = {"stackwise_num_blocks": [1], "stackwise_num_strides": [1], "block_type": "basic_block"}
    keras_hub.models.ResNetBackbone(**small, **more).save_to_preset(str(folder))
    converter = keras_hub.layers.ImageConverter(scale=[1 / 255] * 3, offset=[-0.5, 0, 0.5])
    converter.save_to_preset(str(folder))
    return folder


def write_text_preset(folder: Path, family: str = "Bert") -> Path:
    """Write a small network for texts of at most 16 tokens with its tokenizer: WordPiece (Bert), byte pairs (Roberta)
    or SentencePiece (Albert). Skips the test without KerasHub."""
    models = pytest.importorskip("keras_hub", reason="the extra hub is not installed").models
    import keras

    keras.utils.set_random_seed(1)
    if family == "Bert":
        tokenizer = models.BertTokenizer(["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", *WORDS], lowercase=True)
    elif family == "Roberta":
        merges = ["g o", "go o", "goo d", "b a", "ba d", "Ġ good", "Ġ bad"]
        pairs = [merge.replace(" ", "") for merge in merges]
        tokens = ["<s>", "<pad>", "</s>", "<unk>", *"abcdefghijklmnopqrstuvwxyzĠ", *pairs, "<mask>"]
        tokenizer = models.RobertaTokenizer({token: index for index, token in enumerate(tokens)}, merges)
    else:
        tokenizer = models.AlbertTokenizer(sentence_pieces())
    sizes: dict[str, Any] = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 8}
    sizes |= {"embedding_dim": 8} if family == "Albert" else {}
    network = getattr(models, f"{family}Backbone")
    network(tokenizer.vocabulary_size(), max_sequence_length=16, **sizes).save_to_preset(str(folder))
    tokenizer.save_to_preset(str(folder))
    return folder


def sentence_pieces() -> bytes:
    """Return a SentencePiece model of a few words, with the special tokens of ALBERT."""
    from sentencepiece import SentencePieceTrainer

    special: dict[str, Any] = {
        "pad_id": 0,
        "unk_id": 1,
        "bos_id": 2,
        "eos_id": 3,
        "pad_piece": "<pad>",
        "unk_piece": "<unk>",
    }
    special |= {"bos_piece": "[CLS]", "eos_piece": "[SEP]", "user_defined_symbols": "[MASK]"}
    texts, found = ["the good film", "a bad film", "films the a good bad"] * 5, io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=found, vocab_size=20, minloglevel=2, **special
    )
    return found.getvalue()
