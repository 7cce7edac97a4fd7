"""From a config and the facts of its data to the models that are trained and saved."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras

from dltool.config.keras_objects import KerasObject
from dltool.config.schema import Config
from dltool.data.facts import Facts
from dltool.data.rows import Rows
from dltool.errors import ConfigError, ConfigPath, Problem
from dltool.model.apply import Applied, Names, Origin, apply_layers, made_here
from dltool.model.inputs import Learnt, Prepared, layer_title, prepare_inputs, scope_title, structure, wire
from dltool.model.keras_objects import KERAS_ERRORS, plain_message
from dltool.model.parameters import parameter_budget
from dltool.model.preprocessing import learns
from dltool.model.shapes import Shape, shown

LAYERS: ConfigPath = ("model", "layers")
AUGMENTATION: ConfigPath = ("data", "augmentation")
PREPROCESSING: ConfigPath = ("data", "preprocessing")
MIXING = ("MixUp", "CutMix")
MOST_SCALE = 0.1
"""Images of bytes are scaled by less than this to bring them to about 1."""


@dataclass(frozen=True)
class BuiltModel:
    """The models of one experiment; they share their layers.

    `core` turns prepared inputs into outputs and is what training changes. `preparations` turn raw inputs into prepared
    ones, each by the name of its input; what has none needs none. `augmentation` changes prepared inputs, in training
    only. `full` is all but the augmentation in one: raw inputs in, outputs out. Of data with columns, core and full
    take a dict by the columns' names. `layers` are the rows of the plan.
    """

    core: keras.Model
    preparations: Mapping[str, keras.Model]
    augmentation: keras.Model | None
    full: keras.Model
    layers: tuple[Applied, ...]
    learnt: Learnt

    @property
    def output_shape(self) -> Shape:
        """Without the batch axis."""
        return tuple(self.core.output_shape[1:])

    def structured(self, inputs: Mapping[str, Any]) -> Any:
        """Prepared inputs by name as `core` takes them."""
        return dict(inputs) if isinstance(self.core.input, dict) else next(iter(inputs.values()))

    def variables_beside(self) -> dict[str, list[Any]]:
        """The variables of all that is not `core`, by the part that holds them."""
        preparing = [variable for model in self.preparations.values() for variable in model.variables]
        return {"augmentation": self.augmentation.variables if self.augmentation else [], "preprocessing": preparing}


def build_model(
    config: Config,
    facts: Facts,
    training_inputs: Mapping[str, Rows] | None = None,
    learnt: Learnt | None = None,
    is_pretrained: bool = True,
) -> BuiltModel:
    """Build the models of `config`.

    `training_inputs` are the raw inputs of the training part, which preprocessing learns from; `learnt` is what it
    learnt in an earlier run, and wins. Unless the model `is_pretrained`, backbones get random weights: their files are
    not read.

    The seed of the config is set here: initial weights and the seeds of random layers (those without a `seed` of their
    own) follow from it and from the order of the layers. The core comes first, so that augmentation does not change the
    initial weights.

    Raises:
        ConfigError: a layer cannot be made, cannot take its input, or makes the model too large.
        RunError: `learnt` does not belong to this config.
    """
    refuse_misplaced(config, facts)
    given = [entry.arguments.get("name") for entry in config.model.layers]
    names = Names(name for name in given if isinstance(name, str))
    keras.utils.set_random_seed(config.seed)
    with parameter_budget():
        prepared = prepare_inputs(config, facts, names, training_inputs, learnt)
        keras.utils.set_random_seed(config.seed)
        starts = {name: Origin(like(origin, name, facts), origin.place) for name, origin in prepared.outputs.items()}
        with precision(config.training.precision):
            wired = wire(config, facts, starts, prepared.learnt)
            entries = config.model.layers if is_pretrained else tuple(map(untrained, config.model.layers))
            layers = apply_layers(entries, wired.first, LAYERS, names, wired.named)
            core = model(structure(facts, starts), layers[-1].output, "core")
        augmentation = build_augmentation(config.data.augmentation, prepared, names)
    # The layers of core once more, on the prepared inputs: a model in which all layers lie side by side.
    full_output = core.call(structure(facts, prepared.outputs))
    # What else the process has done must not matter.
    global_seed_generator().state.assign([config.seed, 0])
    return BuiltModel(
        core=core,
        preparations={
            name: keras.Model(prepared.raw[name].tensor, origin.tensor, name=f"prepare_{scope_title(name)}")
            for name, origin in prepared.outputs.items()
            if origin.tensor is not prepared.raw[name].tensor
        },
        augmentation=augmentation,
        full=model(structure(facts, prepared.raw), full_output, config.name),
        layers=(*prepared.layers, *wired.layers, *layers),
        learnt=prepared.learnt,
    )


def untrained(entry: KerasObject) -> KerasObject:
    """The entry; a backbone with random weights."""
    if entry.kind != "backbone":
        return entry
    return replace(entry, arguments={**entry.arguments, "weights": None})


def refuse_misplaced(config: Config, facts: Facts) -> None:
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
    for place, entries in ((PREPROCESSING, config.data.preprocessing), (AUGMENTATION, config.data.augmentation)):
        problems += [
            Problem((*place, index, entry.name, "from"), "these layers stand in a line", "remove it", at_key=True)
            for index, entry in enumerate(entries)
            if entry.sources
        ]
        if entries and facts.only_input is None:
            message = "the data has columns, and these layers take one input"
            problems.append(Problem(place, message, "data.inputs says how each column is prepared", at_key=True))
    problems += scaled_twice(config, facts)
    if problems:
        raise ConfigError(problems)


def scaled_twice(config: Config, facts: Facts) -> list[Problem]:
    """Bytes that are made small, and then once more by a backbone: to its weights, such images are all black."""
    layers = config.model.layers
    backbone = next((index for index, entry in enumerate(layers) if entry.kind == "backbone"), None)
    if backbone is None or facts.only_input is None or facts.only_input.dtype != "uint8":
        return []
    before = [((*PREPROCESSING, index), entry) for index, entry in enumerate(config.data.preprocessing)]
    before += [((*LAYERS, index), entry) for index, entry in enumerate(layers[:backbone])]
    message = f"{layers[backbone].name} takes values of 0 to 255, and brings them into its own range itself"
    related = (((*LAYERS, backbone), "the backbone"),)
    return [
        Problem(place, message, "remove it", related=related)
        for place, entry in before
        if entry.name == "Rescaling" and isinstance(scale := entry.arguments.get("scale"), float) and scale < MOST_SCALE
    ]


def build_augmentation(entries: tuple[KerasObject, ...], inputs: Prepared, names: Names) -> keras.Model | None:
    """A model of the augmentation layers. They must keep the shape: validation and prediction go without them."""
    if not entries:
        return None
    prepared = next(iter(inputs.outputs.values()))
    start = Origin(keras.Input(prepared.shape, dtype=prepared.tensor.dtype, name="augmentation_input"), prepared.place)
    applied = apply_layers(entries, start, AUGMENTATION, names)
    if applied[-1].output_shape != prepared.shape:
        changed = next(layer for layer in applied if layer.output_shape != prepared.shape)
        message = f"augmentation must keep the shape {shown(prepared.shape)}, and {changed.name} makes "
        hint = "use it in data.preprocessing, where it applies to every example"
        raise ConfigError(
            Problem(changed.path, message + shown(changed.output_shape), hint, related=made_here(prepared))
        )
    return keras.Model(start.tensor, applied[-1].output, name="augmentation")


def like(origin: Origin, name: str, facts: Facts) -> Any:
    """A new input for what the prepared `origin` will hold."""
    title = layer_title(name) if facts.only_input is None else "prepared"
    return keras.Input(origin.shape, dtype=origin.tensor.dtype, name=title)


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
