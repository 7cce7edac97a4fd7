"""From a config and the facts of its data to the models that are trained and saved."""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from dltool.config.checks import MIXING, one_hot_classes
from dltool.config.keras.objects import KerasObject, keras_objects_in
from dltool.config.outputs import OutputSpec, heads_of, layer_index, target_problems, unknown_layer
from dltool.config.schema import Config
from dltool.data.arrays.rows import Rows
from dltool.data.facts import Facts
from dltool.errors import ConfigError, ConfigPath, Problem
from dltool.keras_names import arguments
from dltool.model.apply import Applied, Names, Placed, apply_layer, apply_layers, made_here, made_layer
from dltool.model.calls import calls
from dltool.model.inputs import Fitted, Preprocessed, layer_title, preprocess_inputs, scope_title, structure, wire
from dltool.model.keras_objects import KERAS_ERRORS, plain_message
from dltool.model.parameters import parameter_budget
from dltool.model.preprocessing import learns
from dltool.text import Shape, shape_text

LAYERS: ConfigPath = ("model", "layers")
AUGMENTATION: ConfigPath = ("data", "augmentation")
PREPROCESSING: ConfigPath = ("data", "preprocessing")
ARRAYS: ConfigPath = ("data", "source", "arrays", "x")
IMAGE_AXES = 3
MOST_SCALE = 0.1
"""Images of bytes are scaled by less than this to bring them to about 1."""


@dataclass(frozen=True)
class BuiltModel:
    """The models of one experiment; they share their layers.

    `core` turns preprocessed inputs into outputs and is what training changes. `preparations` turn raw inputs into
    preprocessed ones, by the name of the input; an input without one needs none. `augmentation` changes preprocessed
    inputs, in training only. `full` is all but the augmentation in one: raw inputs in, outputs out. Of data with columns
    or several arrays, core and full take a dict by their names; where the config names outputs, they give a dict by these. `layers` are
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
    fitted: Fitted
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
    fitted: Fitted | None = None,
    is_pretrained: bool = True,
) -> BuiltModel:
    """Build the models of `config`.

    `training_inputs` are the raw inputs of the training split, which preprocessing learns from; `fitted` is what it
    fitted in an earlier run, and wins. Unless the model `is_pretrained`, backbones get random weights: their files are
    not read.

    The seed of the config is set here: initial weights and the seeds of random layers (those without a `seed` of their
    own) follow from it and from the order of the layers. The core comes first, so that augmentation does not change the
    initial weights.

    Raises:
        ConfigError: a layer cannot be made, cannot take its input, or makes the model too large.
        RunError: `fitted` does not belong to this config.
    """
    refuse_misplaced(config, facts)
    heads = heads_of(config)
    ends = output_layers(config, facts, heads)
    one_hot = {
        head.name: classes
        for head in heads
        if head.target is not None and (classes := one_hot_classes(head, facts.targets[head.target]))
    }
    given = [entry.arguments.get("name") for entry in config.model.layers]
    names = Names(name for name in given if isinstance(name, str))
    keras.utils.set_random_seed(config.seed)
    with parameter_budget():
        prepared = preprocess_inputs(config, facts, names, training_inputs, fitted)
        keras.utils.set_random_seed(config.seed)
        starts = {name: Placed(like(origin, name, facts), origin.place) for name, origin in prepared.outputs.items()}
        with precision(config.training.precision):
            wired = wire(config, facts, starts, prepared.fitted)
            entries = config.model.layers if is_pretrained else tuple(map(untrained, config.model.layers))
            if config.training.precision.startswith("mixed_"):
                entries = with_exact_ends(entries, ends.values())
            layers = apply_layers(entries, wired.first, LAYERS, names, wired.named, ends.values())
            outputs = {name: layers[index] for name, index in ends.items()}
            tensors = {name: end.output for name, end in outputs.items()}
            core = model(structure(facts, starts), tensors if config.model.outputs else layers[-1].output, "core")
        refuse_idle_inputs(facts, starts, core)
        augmentation = build_augmentation(
            config.data.augmentation, prepared, names, mixed_shape(facts, heads[0], one_hot)
        )
    # The layers of core once more, on the preprocessed inputs: a model in which all layers lie side by side.
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
        heads=heads,
        outputs=outputs,
        fitted=prepared.fitted,
        one_hot=one_hot,
    )


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


def output_layers(config: Config, facts: Facts, heads: tuple[OutputSpec, ...]) -> dict[str, int]:
    """Which of `model.layers` give the outputs, by the name of the output.

    Raises:
        ConfigError: there is no such layer, or nothing that an output can be compared with.
    """
    found = {head.name: layer_index(config, head) for head in heads}
    problems = [unknown_layer(config, head) for head in heads if found[head.name] is None]
    problems += target_problems(config, heads)
    for head in heads:
        if head.target is None and (facts.only_input is None or facts.only_input.dtype == "string"):
            what = "has columns" if facts.has_columns else "is text" if facts.only_input else "has several inputs"
            place = (*head.place, "target") if config.model.outputs else ("data", "target")
            problems.append(Problem(place, f"the data {what}, which cannot be restored", "choose another target"))
    if problems:
        raise ConfigError(problems)
    return {name: index for name, index in found.items() if index is not None}


def refuse_idle_inputs(facts: Facts, starts: Mapping[str, Placed], core: keras.Model) -> None:
    """Raises ConfigError: an array that the config names as an input reaches no output. Columns are chosen freely."""
    taken = {id(tensor) for call in calls(core) for tensor in call.inputs}
    idle = [name for name, start in starts.items() if id(start.tensor) not in taken]
    if idle and facts.only_input is None and not facts.has_columns:
        raise ConfigError(
            Problem((*ARRAYS, name), f'no layer takes the input "{name}"', f"take it by from: {name}, or remove it")
            for name in idle
        )


def refuse_misplaced(config: Config, facts: Facts) -> None:
    """Raises ConfigError for layers that would do nothing, or something else, where they stand."""
    problems = [
        Problem((*place, index, entry.name), f"{entry.name} learns from the data", "it belongs at data.preprocessing")
        for place, entries in ((LAYERS, config.model.layers), (AUGMENTATION, config.data.augmentation))
        for index, entry in enumerate(entries)
        if learns(entry)
    ]
    for place, value in (
        (LAYERS, config.model.layers),
        (PREPROCESSING, config.data.preprocessing),
        (AUGMENTATION, config.data.augmentation),
    ):
        problems += [
            Problem(
                found, f"{entry.name} mixes examples and their labels", "it belongs at data.augmentation, by itself"
            )
            for found, entry in keras_objects_in(value, place)
            if entry.name in MIXING and (len(found) > len(AUGMENTATION) + 2 or place != AUGMENTATION)
        ]
    for place, entries in ((PREPROCESSING, config.data.preprocessing), (AUGMENTATION, config.data.augmentation)):
        problems += [
            Problem((*place, index, entry.name, "from"), "these layers stand in a line", "remove it", at_key=True)
            for index, entry in enumerate(entries)
            if entry.sources
        ]
        if entries and facts.only_input is None:
            what = "columns" if facts.has_columns else "several inputs"
            message = f"the data has {what}, and these layers take one input"
            hint = (
                "data.inputs says how each column is prepared" if facts.has_columns else "begin model.layers with them"
            )
            problems.append(Problem(place, message, hint, at_key=True))
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


def mixed_shape(facts: Facts, head: OutputSpec, one_hot: Mapping[str, int]) -> Shape:
    """The shape of a target of the only output as the loss takes it; of no matter where there are several outputs."""
    own = facts.targets[head.target].shape if head.target is not None else ()
    return (*own, one_hot[head.name]) if head.name in one_hot else own


def build_augmentation(
    entries: tuple[KerasObject, ...], inputs: Preprocessed, names: Names, target: Shape
) -> keras.Model | None:
    """A model of the augmentation layers. They must keep the shape: validation and prediction go without them.

    Where one of them mixes labels, it takes and gives inputs and targets; `target` is the shape of one, for the loss.
    """
    if not entries:
        return None
    prepared = next(iter(inputs.outputs.values()))
    start = Placed(keras.Input(prepared.shape, dtype=prepared.tensor.dtype, name="augmentation_input"), prepared.place)
    if any(entry.name in MIXING for entry in entries):
        applied, labels = apply_mixing(entries, start, keras.Input(target, name="labels"), names)
    else:
        applied, labels = apply_layers(entries, start, AUGMENTATION, names), None
    if applied[-1].output_shape != prepared.shape:
        changed = next(layer for layer in applied if layer.output_shape != prepared.shape)
        message = f"augmentation must keep the shape {shape_text(prepared.shape)}, and {changed.name} makes "
        hint = "use it in data.preprocessing, where it applies to every example"
        raise ConfigError(
            Problem(changed.path, message + shape_text(changed.output_shape), hint, related=made_here(prepared))
        )
    if labels is None:
        return keras.Model(start.tensor, applied[-1].output, name="augmentation")
    before, after = labels
    return keras.Model([start.tensor, before], [applied[-1].output, after], name="augmentation")


def apply_mixing(
    entries: Sequence[KerasObject], source: Placed, before: Any, names: Names
) -> tuple[list[Applied], tuple[Any, Any]]:
    """Augmentation layers of which some mix the labels `before` too; gives those with the labels after it."""
    applied, labels = [], before
    for index, entry in enumerate(entries):
        place = (*AUGMENTATION, index)
        layer = made_layer(entry, place, names)
        if entry.name in MIXING:
            if len(source.shape) != IMAGE_AXES or len(before.shape) != 1 + 1:
                arrives = f"{shape_text(source.shape)} arrives with targets {shape_text(tuple(before.shape[1:]))}"
                message = f"{entry.name} mixes images (height, width, channels) of one class each, and {arrives}"
                raise ConfigError(Problem(place, message, related=made_here(source)))
            mixed = layer({"images": source.tensor, "labels": labels})
            labels = mixed["labels"]
            applied.append(Applied(place, entry.name, layer, mixed["images"], source.shape, 0))
        else:
            applied.append(apply_layer(layer, [source], place))
        source = Placed(applied[-1].output, place)
    return applied, (before, labels)


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
