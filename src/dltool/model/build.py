"""Build the models that are trained and saved, from a config and the facts of its data."""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras

from dltool.config.checks import compared_by, one_hot_classes, target_of
from dltool.config.keras.objects import KerasObject
from dltool.config.last_layer import LAYERS
from dltool.config.metric_forms import Compared
from dltool.config.outputs import OutputSpec, heads_of
from dltool.config.schema import Config
from dltool.data.arrays.rows import Rows
from dltool.data.facts import Facts
from dltool.errors import ConfigError, Problem
from dltool.keras_names import arguments
from dltool.model.apply import Applied, Names, Placed, apply_layers
from dltool.model.augmentation import build_augmentation, mixed_shape, refuse_value_ranges
from dltool.model.inputs import Fitted, Preprocessed, layer_title, preprocess_inputs, scope_title, structure, wire
from dltool.model.keras_objects import KERAS_ERRORS, parameter_budget, plain_message
from dltool.model.placement import output_layers, refuse_idle_inputs, refuse_misplaced
from dltool.model.start import StartedWeights, add_weights
from dltool.model.target_units import in_target_units
from dltool.text import Shape


@dataclass(frozen=True)
class BuiltModel:
    """The models of one experiment; they share their layers.

    `core` maps preprocessed inputs to outputs and is what training changes. `preprocessors` preprocess raw inputs, by
    input name; inputs without preprocessing are absent. `augmentation` changes preprocessed inputs, in training only.
    `full` maps raw inputs to outputs, without augmentation. With several inputs, core and full take a dict by name; if
    the config names outputs, they return a dict. `layers` are the rows of the plan; `outputs` are the output layers, by
    the name of their `heads`. `compared` is what each loss compares, absent if unknown; `one_hot` is the number of
    classes by output, if its loss takes one-hot targets. `started` are the weights of `model.start`. An augmentation
    that mixes labels maps [inputs, targets] to [inputs, targets]. If the core takes raw inputs, preprocessors for other
    uses are `beside` it. `noise_key` is the secret state of private training, which model files must not hold."""

    core: keras.Model
    preprocessors: Mapping[str, keras.Model]
    augmentation: keras.Model | None
    full: keras.Model
    layers: tuple[Applied, ...]
    heads: tuple[OutputSpec, ...]
    outputs: Mapping[str, Applied]
    fitted: Fitted
    one_hot: Mapping[str, int]
    compared: Mapping[str, Compared]
    started: StartedWeights | None = None
    noise_key: Any = None
    beside: Mapping[str, keras.Model] = field(default_factory=dict)

    @property
    def input_shape(self) -> Shape:
        """Return the shape of the only preprocessed input, without the batch axis."""
        return tuple(self.core.inputs[0].shape[1:])

    def structured(self, inputs: Mapping[str, Any]) -> Any:
        """Return preprocessed inputs in the structure that `core` takes."""
        return dict(inputs) if isinstance(self.core.input, dict) else next(iter(inputs.values()))

    def structured_outputs(self, values: Mapping[str, Any]) -> Any:
        """Return values by output name in the structure of `core`'s outputs."""
        return dict(values) if isinstance(self.core.output, dict) else next(iter(values.values()))

    def lacks_axis(self, output: str, axes: int) -> bool:
        """Return whether targets with so many axes lack the last one of an output of one number a step or pixel."""
        compared = self.compared.get(output)
        is_binary = compared is not None and compared.form == "binary"
        return is_binary and 1 < axes == len(self.outputs[output].output_shape)

    def variables_beside(self) -> dict[str, list[Any]]:
        """Return the variables outside `core`, by the model that holds them."""
        preparing = [variable for model in self.preprocessors.values() for variable in model.variables]
        augmenting = self.augmentation.variables if self.augmentation else []
        secret = [] if self.noise_key is None else [self.noise_key]
        return {"augmentation": augmenting, "preprocessing": preparing, "privacy": secret}


def build_model(
    config: Config,
    facts: Facts,
    training_inputs: Mapping[str, Rows] | None = None,
    fitted: Fitted | None = None,
    is_pretrained: bool = True,
    start: Path | None = None,
) -> BuiltModel:
    """Build the models of `config`.

    `training_inputs` are the raw inputs of the training split, on which preprocessing is fitted. `fitted`, the fitted
    state of an earlier run, takes precedence. Backbones get random weights unless the model `is_pretrained`; their
    files are not read, nor is that of `model.start`. `start` is a run's copy of the weights to use in place of it.

    Sets the config's seed, which with the order of layers determines initial weights and random layers without a
    `seed`. The core comes first, so augmentation does not change the initial weights.

    Raises ConfigError: a layer cannot be made, cannot take its input, or makes the model too large.
    Raises RunError: `fitted` does not belong to this config."""
    refuse_misplaced(config, facts)
    given = (entry.arguments.get("name") for entry in config.model.layers)
    heads, names = heads_of(config), Names(name for name in given if isinstance(name, str))
    ends = output_layers(config, facts, heads)
    targets = {head.name: target_of(head, facts.targets) for head in heads}
    pairs = {head.name: compared_by(config, head, targets[head.name]) for head in heads}
    compared = {name: pair for name, pair in pairs.items() if pair is not None}
    one_hot = {name: count for name, pair in compared.items() if (count := one_hot_classes(targets[name], pair))}
    keras.utils.set_random_seed(config.seed)
    with parameter_budget():
        prepared = preprocess_inputs(config, facts, names, training_inputs, fitted)
        keras.utils.set_random_seed(config.seed)
        core, before, layers, outputs = build_core(config, facts, prepared, names, ends, is_pretrained)
        target = mixed_shape(facts, heads[0], one_hot)
        refuse_value_ranges(config.data.augmentation, prepared, training_inputs)
        augmentation = build_augmentation(config.data.augmentation, prepared, names, target)
    # The layers of core on one level with those of preprocessing.
    raw, whole = structure(facts, prepared.raw), core.call(structure(facts, prepared.outputs))
    names.name_operations(raw, whole)
    full = model(raw, whole, config.name)
    # Earlier work of the process must not matter.
    global_seed_generator().state.assign([config.seed, 0])
    started = add_weights(config, core, is_pretrained, start)
    preprocessors, plan = preprocessors_of(prepared), (*prepared.layers, *before, *layers)
    further = prepared.fitted, one_hot, compared, started, noise_key(config)
    return BuiltModel(core, preprocessors, augmentation, full, plan, heads, outputs, *further)


def noise_key(config: Config) -> Any:
    """Return the variable that holds the secret key of private training, or None."""
    return keras.Variable([0, 0, 0], trainable=False, dtype="int64") if config.training.privacy else None


def build_core(
    config: Config, facts: Facts, prepared: Preprocessed, names: Names, ends: Mapping[str, int], is_pretrained: bool
) -> tuple[keras.Model, Sequence[Applied], Sequence[Applied], Mapping[str, Applied]]:
    """Build the model from preprocessed inputs to outputs; return also the layers before its own, its own, and those
    that give the outputs."""
    starts = {name: Placed(like(origin, name, facts), origin.place) for name, origin in prepared.outputs.items()}
    with precision(config.training.precision):
        named, first, before = wire(config, facts, starts, prepared.fitted)
        entries = config.model.layers if is_pretrained else tuple(map(untrained, config.model.layers))
        if config.training.precision.startswith("mixed_"):
            entries = with_exact_ends(entries, ends.values())
        layers = apply_layers(entries, first, LAYERS, names, named, ends.values())
        last = {name: layers[index] for name, index in ends.items()}
        for head in heads_of(config):
            target = target_of(head, facts.targets)
            if target is not None and target.scale is not None:
                layers += in_target_units(last[head.name], target.scale, names)
                last[head.name] = layers[-1]
        outputs = {name: applied.output for name, applied in last.items()}
        inputs, ends_of_core = structure(facts, starts), outputs if config.model.outputs else layers[-1].output
        names.name_operations(inputs, ends_of_core)
        core = model(inputs, ends_of_core, "core")
    refuse_idle_inputs(facts, starts, core)
    return core, before, layers, last


def preprocessors_of(prepared: Preprocessed) -> dict[str, keras.Model]:
    return {
        name: keras.Model(prepared.raw[name].tensor, origin.tensor, name=f"prepare_{scope_title(name)}")
        for name, origin in prepared.outputs.items()
        if origin.tensor is not prepared.raw[name].tensor
    }


def untrained(entry: KerasObject) -> KerasObject:
    """Return the entry; a backbone gets random weights."""
    return replace(entry, arguments={**entry.arguments, "weights": None}) if entry.kind == "backbone" else entry


def with_exact_ends(entries: tuple[KerasObject, ...], ends: Collection[int]) -> tuple[KerasObject, ...]:
    """Return the entries; with mixed precision, those at `ends` output float32 unless they have a `dtype`. Keras's
    guide to mixed precision requires it: a 16-bit softmax is too coarse, and some metrics refuse it."""
    found = list(entries)
    for index in ends:
        entry = entries[index]
        if entry.kind == "layer" and not entry.is_shared and "dtype" in arguments("layer", entry.name):
            found[index] = replace(entry, arguments={"dtype": "float32", **entry.arguments})
    return tuple(found)


def like(origin: Placed, name: str, facts: Facts) -> Any:
    """Return a new input with the shape and dtype of the preprocessed `origin`."""
    title = layer_title(name) if facts.only_input is None else "preprocessed"
    return keras.Input(origin.shape, dtype=origin.tensor.dtype, name=title)


def model(inputs: Any, outputs: Any, name: str) -> keras.Model:
    try:
        return keras.Model(inputs, outputs, name=name)
    except KERAS_ERRORS as error:
        raise ConfigError(Problem(LAYERS, plain_message(error))) from error


@contextlib.contextmanager
def precision(policy: str) -> Iterator[None]:
    """Use this Keras dtype policy within the block, for layers without a `dtype`."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def restart_random_numbers(seed: int) -> None:
    """Start all random numbers as a model that was just built does, whatever else has been built since."""
    keras.utils.set_random_seed(seed)
    global_seed_generator().state.assign([seed, 0])


def global_seed_generator() -> Any:
    """Return the state behind keras.random functions called without a seed. Keras has no public name for it."""
    from keras.src.random.seed_generator import global_seed_generator as generator

    return generator()
