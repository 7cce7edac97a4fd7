"""Translate TensorFlow's errors into dltool's."""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

from dltool.config.schema import Config
from dltool.errors import ConfigError, DataError, DiskError, DltoolError, MachineError, Problem
from dltool.model.keras_objects import KERAS_ERRORS, OUT_OF_MEMORY, plain_message


@contextlib.contextmanager
def plain_failures(config: Config) -> Iterator[None]:
    """Raise MachineError if memory runs out in the block, ConfigError or DataError if TensorFlow refuses a value."""
    try:
        yield
    except OUT_OF_MEMORY as error:
        size = config.training.batch_size
        hint = f"batch_size: {size // 2}" if size > 1 else "a smaller model"
        problem = Problem(("training", "batch_size"), f"out of memory at batch size {size}", hint)
        raise MachineError(problem) from error
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
        raise invalid_value(config, str(error.message)) from error


def invalid_value(config: Config, message: str) -> DltoolError:
    label = re.search(r"label value of (-?\d+) which is outside the valid range of \[0, (\d+)\)", message)
    if label:
        problem = f"class index {label[1]} among the targets, and the model has {label[2]} outputs"
        return ConfigError(Problem(("model", "layers", len(config.model.layers) - 1), problem, "units: $classes"))
    token = re.search(r"indices\[[\d,]*\] = (-?\d+) is not in \[0, (\d+)\)", message)
    embeddings = [index for index, layer in enumerate(config.model.layers) if layer.name == "Embedding"]
    if token and embeddings:
        problem = f"the inputs hold {token[1]}, and the embedding has rows 0 to {int(token[2]) - 1}"
        return ConfigError(Problem(("model", "layers", embeddings[0]), problem, "a larger input_dim"))
    return DataError(f"TensorFlow cannot take the data: {plain_message(ValueError(message))}")


@contextlib.contextmanager
def callback_failures() -> Iterator[None]:
    """Report an error that a Keras callback raises within the block as an error in the config."""
    try:
        yield
    except OUT_OF_MEMORY:
        raise
    except OSError as error:
        raise DiskError(Problem(("training", "callbacks"), f"a callback failed: {plain_message(error)}")) from error
    except KERAS_ERRORS as error:
        raise ConfigError(Problem(("training", "callbacks"), f"a callback failed: {plain_message(error)}")) from error
