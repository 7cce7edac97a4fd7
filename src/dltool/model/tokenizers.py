"""Tokenizers of KerasHub: texts to the tokens of a preset's vocabulary, which a run keeps."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from dltool.config.presets import NOT_OF_THE_NETWORK, TOKENIZER_FILE, VOCABULARIES, is_plain
from dltool.errors import ConfigError, ConfigPath, MachineError, Problem
from dltool.installation import install_extra
from dltool.model.keras_objects import KERAS_ERRORS, plain_message
from dltool.text import joined

NOT_OF_THE_TOKENIZER = (*NOT_OF_THE_NETWORK, "config_file", "sequence_length")
FILES = ("vocabulary", "merges", "proto")
"""Arguments that are files of their own."""


def import_hub(place: ConfigPath) -> Any:
    """Return the module of KerasHub. Raises MachineError: it is not installed."""
    try:
        import keras_hub
    except ImportError:
        message = "networks and tokenizers of KerasHub need a package that is not installed"
        raise MachineError(Problem(place, message, install_extra("hub"))) from None
    return keras_hub


def make_tokenizer(files: Mapping[str, bytes], place: ConfigPath, name: str | None = None) -> Any:
    """Return the layer that the files of a preset describe, see :func:`dltool.config.presets.read_tokenizer`.

    Raises ConfigError: they are damaged, or KerasHub has no classifier of texts with this tokenizer; MachineError: it
    is not installed."""
    classifiers = import_hub(place).models.TextClassifierPreprocessor.__subclasses__()
    known = {each.tokenizer_cls.__name__: each.tokenizer_cls for each in classifiers}
    try:
        described = json.loads(files[TOKENIZER_FILE])
        title = described["registered_name"].removeprefix("keras_hub>")
        found = {key: None if key in FILES else value for key, value in described["config"].items()}
        given = {key: value for key, value in found.items() if key not in NOT_OF_THE_TOKENIZER}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        title, given = "", {}
    if title not in known or not is_plain(given):
        message = f"{TOKENIZER_FILE} describes no tokenizer that KerasHub classifies texts with"
        raise ConfigError(Problem(place, message, f"known are {joined(sorted(known), 'and')}"))
    with tempfile.TemporaryDirectory() as folder:
        for file in set(VOCABULARIES) & files.keys():
            (Path(folder) / file).write_bytes(files[file])
        try:
            layer = known[title](**given, name=name, dtype="int32")
            layer.load_assets(folder)
        except (OSError, *KERAS_ERRORS) as error:
            reason = "a file is missing" if isinstance(error, OSError) else plain_message(error)
            message = f"the vocabulary of {title} is damaged: {reason}"
            raise ConfigError(Problem(place, message, "expected what save_to_preset has written")) from error
    # What the run keeps.
    layer.preset_files = dict(files)
    return in_graph(layer)


def in_graph(layer: Any) -> Any:
    """Return the layer, which from now on computes in a graph. Eagerly, those of KerasHub give and take lists of
    different lengths, which Keras takes apart."""
    as_built = layer.call

    def trace(inputs: Any) -> Any:
        if hasattr(layer, "proto"):
            # SentencePiece's eager model does not outlive a new seed: the graph makes one of its own.
            layer._sentence_piece = None
        return as_built(inputs)

    compiled = tf.function(trace, reduce_retracing=True)

    def call(inputs: Any, training: bool | None = None) -> Any:
        return compiled(inputs)

    layer.call = call
    return layer


def tokens_of(layer: Any, texts: Any, length: int) -> Any:
    """Return the tokens of `texts`, (batch,), as int32 (batch, length): a start, those of the text, an end, padding."""
    ends = {"start_value": layer.start_token_id, "end_value": layer.end_token_id, "pad_value": layer.pad_token_id}
    layers = import_hub(()).layers
    return in_graph(layers.StartEndPacker(length, **ends, dtype="int32", name=f"{layer.name}_ends"))(layer(texts))
