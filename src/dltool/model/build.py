"""From a config and the facts of its data to the models that are trained and saved."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from dltool.config.keras_objects import KerasObject
from dltool.config.schema import Config
from dltool.data.facts import Facts
from dltool.errors import ConfigError, ConfigPath, Problem
from dltool.model.apply import Applied, Names, Origin, Shape, apply_layer, apply_layers, made_here, shown
from dltool.model.keras_objects import KERAS_ERRORS, plain_message
from dltool.model.parameters import parameter_budget
from dltool.model.preprocessing import PreprocessingState, build_preprocessing, layer_state, learns

LAYERS: ConfigPath = ("model", "layers")
AUGMENTATION: ConfigPath = ("data", "augmentation")
MIXING = ("MixUp", "CutMix")


@dataclass(frozen=True)
class BuiltModel:
    """The models of one experiment; they share their layers.

    `core` turns prepared inputs into outputs and is what training changes. `preprocessing` turns raw inputs into
    prepared ones (None: they are the same). `augmentation` changes prepared inputs, in training only.
    `full` is preprocessing and core in one: raw inputs in, outputs out. `layers` are the rows of the plan.
    `learnt` is the state of the preprocessing layers that have any.
    """

    core: keras.Model
    preprocessing: keras.Model | None
    augmentation: keras.Model | None
    full: keras.Model
    layers: tuple[Applied, ...]
    learnt: PreprocessingState

    @property
    def output_shape(self) -> Shape:
        """Without the batch axis."""
        return tuple(self.core.output_shape[1:])


def build_model(
    config: Config,
    facts: Facts,
    training_inputs: Mapping[str, np.ndarray] | None = None,
    preprocessing_state: PreprocessingState | None = None,
) -> BuiltModel:
    """Build the models of `config`.

    `training_inputs` are the raw inputs of the training part, which preprocessing layers with state learn from;
    `preprocessing_state` is what they learnt in an earlier run, and wins.

    The seed of the config is set here: initial weights and the seeds of random layers (those without a `seed` of their
    own) follow from it and from the order of the layers. The core comes first, so that augmentation does not change the
    initial weights.

    Raises:
        ConfigError: a layer cannot be made, cannot take its input, or makes the model too large.
        RunError: `preprocessing_state` does not belong to this config.
    """
    refuse_misplaced(config)
    names = Names()
    raw = keras.Input(facts.input_shape, dtype=facts.input_dtype, name="input")
    inputs = next(iter(training_inputs.values())) if training_inputs else None
    keras.utils.set_random_seed(config.seed)
    with parameter_budget():
        prepared = prepare(config, Origin(raw, ("data", "source")), names, inputs, preprocessing_state)
        keras.utils.set_random_seed(config.seed)
        start = Origin(like(prepared.tensor, "prepared"), prepared.place)
        with precision(config.training.precision):
            layers = apply_layers(config.model.layers, start, LAYERS, names)
            core = model(start.tensor, layers[-1].output, "core")
        augmentation = build_augmentation(config.data.augmentation, prepared, names)
    full_output = prepared.tensor
    for applied in layers:
        full_output = applied.layer(full_output)
    # What else the process has done must not matter.
    global_seed_generator().state.assign([config.seed, 0])
    entries = enumerate(config.data.preprocessing)
    learners = {f"{index}-{entry.name}": prepared.layers[index].layer for index, entry in entries if learns(entry)}
    is_fitted = preprocessing_state is not None or inputs is not None
    return BuiltModel(
        core=core,
        preprocessing=keras.Model(raw, prepared.tensor, name="preprocessing") if prepared.layers else None,
        augmentation=augmentation,
        full=model(raw, full_output, config.name),
        layers=(*prepared.layers[: len(config.data.preprocessing)], *layers),
        learnt={key: layer_state(layer) for key, layer in learners.items()} if is_fitted else {},
    )


def refuse_misplaced(config: Config) -> None:
    """Raises ConfigError for layers that would do nothing, or something else, where they stand."""
    problems = [
        Problem((*place, index, entry.name), f"{entry.name} learns from the data", "it belongs at data.preprocessing")
        for place, entries in ((LAYERS, config.model.layers), (AUGMENTATION, config.data.augmentation))
        for index, entry in enumerate(entries)
        if learns(entry)
    ]
    problems += [
        Problem((*AUGMENTATION, index), f"{entry.name} mixes the labels too, which dltool does not do yet")
        for index, entry in enumerate(config.data.augmentation)
        if entry.name in MIXING
    ]
    if problems:
        raise ConfigError(problems)


@dataclass(frozen=True)
class Prepared(Origin):
    """The output of the preprocessing, and the layers that made it."""

    layers: tuple[Applied, ...] = ()


def prepare(
    config: Config,
    source: Origin,
    names: Names,
    inputs: np.ndarray | None,
    state: PreprocessingState | None,
) -> Prepared:
    applied = build_preprocessing(config.data.preprocessing, source, names, inputs, state)
    if applied:
        source = Origin(applied[-1].output, applied[-1].path)
    if source.tensor.dtype == "uint8":
        # Keras feeds numbers to a model as float32; bytes would overflow in its layers.
        applied.append(apply_layer(keras.layers.Rescaling(1.0, name="cast"), source, source.place))
        source = Origin(applied[-1].output, source.place)
    return Prepared(source.tensor, source.place, tuple(applied))


def build_augmentation(entries: tuple[KerasObject, ...], prepared: Origin, names: Names) -> keras.Model | None:
    """A model of the augmentation layers. They must keep the shape: validation and prediction go without them."""
    if not entries:
        return None
    start = Origin(like(prepared.tensor, "augmentation_input"), prepared.place)
    applied = apply_layers(entries, start, AUGMENTATION, names)
    if applied[-1].output_shape != prepared.shape:
        changed = next(layer for layer in applied if layer.output_shape != prepared.shape)
        message = f"augmentation must keep the shape {shown(prepared.shape)}, and {changed.name} makes "
        hint = "use it in data.preprocessing, where it applies to every example"
        raise ConfigError(
            Problem(changed.path, message + shown(changed.output_shape), hint, related=made_here(prepared))
        )
    return keras.Model(start.tensor, applied[-1].output, name="augmentation")


def like(tensor: Any, name: str) -> Any:
    """A new input for what `tensor` will hold."""
    return keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name)


def model(inputs: Any, outputs: Any, name: str) -> keras.Model:
    try:
        return keras.Model(inputs, outputs, name=name)
    except KERAS_ERRORS as error:
        raise ConfigError(Problem(("model", "layers"), plain_message(error))) from error


@contextlib.contextmanager
def precision(policy: str) -> Iterator[None]:
    """Within the block, layers without a `dtype` of their own compute by this Keras dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def global_seed_generator() -> Any:
    """The state behind keras.random functions called without a seed. Keras has no public name for it."""
    from keras.src.random.seed_generator import global_seed_generator as generator

    return generator()
