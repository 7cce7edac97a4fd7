"""From a config and the facts of its data to the models that are trained and saved."""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from dltool.config.checks import one_hot_classes
from dltool.config.keras.objects import KerasObject
from dltool.config.outputs import OutputSpec, heads_of
from dltool.config.schema import Config
from dltool.data.arrays.rows import Rows
from dltool.data.facts import Facts
from dltool.errors import ConfigError, Problem
from dltool.keras_names import arguments
from dltool.model.apply import Applied, Names, Placed, apply_layers
from dltool.model.augmentation import build_augmentation, mixed_shape
from dltool.model.inputs import Learnt, Prepared, layer_title, prepare_inputs, scope_title, structure, wire
from dltool.model.keras_objects import KERAS_ERRORS, plain_message
from dltool.model.parameters import parameter_budget
from dltool.model.placement import LAYERS, output_layers, refuse_idle_inputs, refuse_misplaced
from dltool.text import Shape


@dataclass(frozen=True)
class BuiltModel:
    """The models of one experiment; they share their layers.

    `core` turns prepared inputs into outputs and is what training changes. `preparations` turn raw inputs into prepared
    ones, each by the name of its input; what has none needs none. `augmentation` changes prepared inputs, in training
    only. `full` is all but the augmentation in one: raw inputs in, outputs out. Of data with columns or several arrays,
    core and full take a dict by their names; where the config names outputs, they give a dict by these. `layers` are
    the rows of the plan, and `outputs` those of them that are the outputs, by the name of their `heads`. `one_hot` is
    how many numbers each class index becomes for the loss, by output, where it does. An augmentation that mixes labels
    takes and gives [inputs, targets].
    """

    core: keras.Model
    preparations: Mapping[str, keras.Model]
    augmentation: keras.Model | None
    full: keras.Model
    layers: tuple[Applied, ...]
    heads: tuple[OutputSpec, ...]
    outputs: Mapping[str, Applied]
    learnt: Learnt
    one_hot: Mapping[str, int]

    @property
    def input_shape(self) -> Shape:
        """Of the only input as it is prepared, without the batch axis."""
        return tuple(self.core.inputs[0].shape[1:])

    def structured(self, inputs: Mapping[str, Any]) -> Any:
        """Prepared inputs by name as `core` takes them."""
        return dict(inputs) if isinstance(self.core.input, dict) else next(iter(inputs.values()))

    def structured_outputs(self, values: Mapping[str, Any]) -> Any:
        """Something for each output, by name, as `core` gives its outputs."""
        return dict(values) if isinstance(self.core.output, dict) else next(iter(values.values()))

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
    heads, names = heads_of(config), names_given(config)
    ends, one_hot = output_layers(config, facts, heads), one_hot_of(heads, facts)
    keras.utils.set_random_seed(config.seed)
    with parameter_budget():
        prepared = prepare_inputs(config, facts, names, training_inputs, learnt)
        keras.utils.set_random_seed(config.seed)
        core, before, layers = build_core(config, facts, prepared, names, ends, is_pretrained)
        mixed = mixed_shape(facts, heads[0], one_hot)
        augmentation = build_augmentation(config.data.augmentation, prepared, names, mixed)
    full = build_full(config, facts, core, prepared)
    # What else the process has done must not matter.
    global_seed_generator().state.assign([config.seed, 0])
    return BuiltModel(
        core=core,
        preparations=preparations_of(prepared),
        augmentation=augmentation,
        full=full,
        layers=(*prepared.layers, *before, *layers),
        heads=heads,
        outputs={name: layers[index] for name, index in ends.items()},
        learnt=prepared.learnt,
        one_hot=one_hot,
    )


def names_given(config: Config) -> Names:
    given = [entry.arguments.get("name") for entry in config.model.layers]
    return Names(name for name in given if isinstance(name, str))


def one_hot_of(heads: Iterable[OutputSpec], facts: Facts) -> dict[str, int]:
    return {
        head.name: classes
        for head in heads
        if head.target is not None and (classes := one_hot_classes(head, facts.targets[head.target]))
    }


def build_core(
    config: Config, facts: Facts, prepared: Prepared, names: Names, ends: Mapping[str, int], is_pretrained: bool
) -> tuple[keras.Model, Sequence[Applied], Sequence[Applied]]:
    """The model from prepared inputs to outputs, the layers that bring its inputs together, and those of the config."""
    starts = {name: Placed(like(origin, name, facts), origin.place) for name, origin in prepared.outputs.items()}
    with precision(config.training.precision):
        wired = wire(config, facts, starts, prepared.learnt)
        entries = config.model.layers if is_pretrained else tuple(map(untrained, config.model.layers))
        if config.training.precision.startswith("mixed_"):
            entries = with_exact_ends(entries, ends.values())
        layers = apply_layers(entries, wired.first, LAYERS, names, wired.named, ends.values())
        outputs = {name: layers[index].output for name, index in ends.items()}
        core = model(structure(facts, starts), outputs if config.model.outputs else layers[-1].output, "core")
    refuse_idle_inputs(facts, starts, core)
    return core, wired.layers, layers


def build_full(config: Config, facts: Facts, core: keras.Model, prepared: Prepared) -> keras.Model:
    """The layers of core once more, on the prepared inputs: a model in which all layers lie side by side."""
    return model(structure(facts, prepared.raw), core.call(structure(facts, prepared.outputs)), config.name)


def preparations_of(prepared: Prepared) -> dict[str, keras.Model]:
    """A model for each input that is prepared at all."""
    return {
        name: keras.Model(prepared.raw[name].tensor, origin.tensor, name=f"prepare_{scope_title(name)}")
        for name, origin in prepared.outputs.items()
        if origin.tensor is not prepared.raw[name].tensor
    }


def untrained(entry: KerasObject) -> KerasObject:
    """The entry; a backbone with random weights."""
    if entry.kind != "backbone":
        return entry
    return replace(entry, arguments={**entry.arguments, "weights": None})


def with_exact_ends(entries: tuple[KerasObject, ...], ends: Collection[int]) -> tuple[KerasObject, ...]:
    """The entries; with mixed precision, those at `ends` give float32 unless they have a `dtype` of their own.

    Keras's guide to mixed precision asks for it: a softmax of 16 bits is too coarse, and some metrics refuse it.
    """
    takes_dtype = {
        index
        for index in ends
        if entries[index].kind == "layer"
        and not entries[index].is_shared
        and "dtype" in arguments("layer", entries[index].name)
    }
    return tuple(
        replace(entry, arguments={"dtype": "float32", **entry.arguments}) if index in takes_dtype else entry
        for index, entry in enumerate(entries)
    )


def like(origin: Placed, name: str, facts: Facts) -> Any:
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
