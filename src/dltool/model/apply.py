"""Apply layers one at a time, so that an error is reported at the layer that causes it."""

import inspect
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import tensorflow as tf

from dltool.config.keras.objects import HUB, KerasObject
from dltool.config.wording import counted_name, snake_case
from dltool.errors import ConfigError, ConfigPath, MachineError, Problem
from dltool.model.backbones import WeightsFile, make_backbone
from dltool.model.hub import make_preset
from dltool.model.keras_objects import KERAS_ERRORS, OUT_OF_MEMORY, TooManyParametersError, make, plain_message
from dltool.text import Shape, did_you_mean, near, shape_text


@dataclass(frozen=True)
class Placed:
    """A tensor and the config path of the layer or input that made it; its shape has no batch axis."""

    tensor: Any
    place: ConfigPath

    @property
    def shape(self) -> Shape:
        return tuple(self.tensor.shape[1:])


@dataclass(frozen=True)
class Applied:
    """A layer in use: `path` is its config path, `output_shape` has no batch axis, `weights` is a backbone's file.
    `call` are the arguments of the call, besides its inputs."""

    path: ConfigPath
    name: str
    layer: Any
    output: Any
    output_shape: Shape
    parameters: int
    weights: WeightsFile | None = None
    call: Mapping[str, Any] = field(default_factory=dict)


class Names:
    """Default layer names, as Keras gives in a fresh process. `taken` holds the names that the config gives."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.counts: dict[str, int] = {}
        self.taken = frozenset(taken)
        self.operations: dict[int, Any] = {}

    def next(self, class_name: str) -> str:
        name = counted_name(snake_case(class_name), self.counts)
        return self.next(class_name) if name in self.taken else name

    def name_operations(self, inputs: Any, outputs: Any, prefix: str = "") -> None:
        """Name the keras.ops functions between tensors, which a model saves, unless they are named. Keras numbers them
        through the process, and names the sum of two tensors like the layer Add, although names must be unique."""
        for operation in operations_before(outputs):
            if not isinstance(operation, keras.Layer) and id(operation) not in self.operations:
                # Keras refuses two of one name before it tells their order.
                operation.name = f"operation_{id(operation)}"
        for operation in keras.Function(inputs, outputs).operations:
            if not isinstance(operation, keras.Layer) and id(operation) not in self.operations:
                self.operations[id(operation)] = operation
                operation.name = prefix + self.next(type(operation).__name__)


def operations_before(outputs: Any) -> list[Any]:
    """Return the layers and keras.ops functions that made these tensors, a shared one as often as it is used."""
    found: dict[tuple[int, int], Any] = {}
    tensors = keras.tree.flatten(outputs)
    while tensors:
        operation, use, _ = tensors.pop()._keras_history
        if (id(operation), use) not in found:
            found[id(operation), use] = operation
            tensors += operation._inbound_nodes[use].input_tensors
    return [*found.values()]


@dataclass
class Graph:
    """The tensors that a layer may take: the previous output, and by name inputs and named layers.

    `layers` holds the use of each named layer, for sharing; `unused` the layers whose output is not yet taken."""

    named: dict[str, Placed] = field(default_factory=dict)
    layers: dict[str, Applied] = field(default_factory=dict)
    unused: dict[ConfigPath, str] = field(default_factory=dict)

    def sources(self, entry: KerasObject, before: Placed | None, place: ConfigPath) -> list[Placed]:
        """Return the inputs of `entry`. Raises ConfigError: a name is unknown."""
        if not entry.sources:
            assert before is not None
            self.unused.pop(before.place, None)
            return [before]
        problems = []
        for index, name in enumerate(entry.sources):
            if name not in self.named:
                here = (*place, *entry.steps, "from")
                usual = f"known: {', '.join(self.named) or 'no names yet'}"
                hint = did_you_mean(near(name, self.named, cutoff=0.5)) or usual
                where = (*here, index) if entry.lists_sources else here
                problems.append(Problem(where, f'no input or earlier layer is called "{name}"', hint))
        ConfigError.refuse(problems)
        found = [self.named[name] for name in entry.sources]
        for origin in found:
            self.unused.pop(origin.place, None)
        return found

    def add(self, entry: KerasObject, applied: Applied, origin: Placed) -> None:
        """Add a layer that was applied. Raises ConfigError: its name is taken."""
        self.unused[origin.place] = entry.name
        name = entry.arguments.get("name")
        if not isinstance(name, str):
            return
        if name in self.named:
            place, related = (*origin.place, *entry.steps, "name"), ((self.named[name].place, "by this"),)
            raise ConfigError(Problem(place, f'the name "{name}" is taken', "choose another name", related=related))
        self.named[name], self.layers[name] = origin, applied


def apply_layers(
    entries: Sequence[KerasObject],
    source: Placed,
    place: ConfigPath,
    names: Names,
    inputs: Mapping[str, Placed] | None = None,
    ends: Collection[int] = (),
) -> list[Applied]:
    """Apply each layer of `entries` to the previous output, or to the inputs that its `from` names.

    `place` is the config path of the list; `inputs` may be named by `from`. Outputs at `ends` (default: the last one)
    may stay unused. Raises ConfigError at the first layer that cannot take its input, or whose output is unused."""
    applied: list[Applied] = []
    graph = Graph(dict(inputs or {}))
    for index, entry in enumerate(entries):
        layer_place = (*place, index)
        taken = graph.sources(entry, source, layer_place)
        if entry.is_shared:
            # Its parameters are counted at its first use.
            first = graph.layers[entry.name]
            row = replace(apply_layer(first.layer, taken, layer_place, **first.call), name=first.name, parameters=0)
        elif entry.kind == "backbone":
            row = apply_backbone(entry, taken, layer_place, names)
        else:
            layer = make(entry, layer_place, name=names.next(entry.name))
            row = apply_layer(layer, taken, layer_place, **entry.call_arguments)
        applied.append(row)
        source = Placed(row.output, layer_place)
        graph.add(entry, row, source)
    for index in ends or (len(entries) - 1,):
        graph.unused.pop((*place, index), None)
    hint = "name it, and take it by from: NAME; or remove it"
    ConfigError.refuse(
        Problem(unused, f"nothing takes the output of this {name}", hint) for unused, name in graph.unused.items()
    )
    return applied


def apply_backbone(entry: KerasObject, sources: Sequence[Placed], place: ConfigPath, names: Names) -> Applied:
    source = sources[0]
    if len(sources) > 1:
        raise ConfigError(Problem((*place, *entry.steps, "from"), f"{entry.name} takes one input"))
    make_network = make_preset if entry.name == HUB else make_backbone
    network, weights = make_network(entry, source.shape, place, names.next(entry.name), made_here(source))
    return replace(apply_layer(network, sources, place), name=entry.name, weights=weights)


def apply_layer(layer: Any, sources: Sequence[Placed], place: ConfigPath, **call: Any) -> Applied:
    """Apply a layer to the outputs `sources`; `call` are arguments of its call. Raises ConfigError, MachineError."""
    name, source = type(layer).__name__, sources[0]
    tensors = [origin.tensor for origin in sources]
    try:
        # Attention takes a query and a value; Add and the like take a list.
        arguments = tensors if len(taken_by(layer)) > 1 or len(tensors) == 1 else [tensors]
        output = layer(*arguments, **call, **mask_that_leaves_a_step(layer, tensors[0]))
        real = real_shape(layer, arguments, call)
    except TooManyParametersError as error:
        raise ConfigError(Problem(place, f"{name} makes the model too large: {error}")) from error
    except OUT_OF_MEMORY as error:
        raise MachineError(Problem(place, f"out of memory while building {name}")) from error
    except KERAS_ERRORS as error:
        raise ConfigError(shape_problem(layer, sources, place, plain_message(error))) from error
    if not isinstance(output, keras.KerasTensor):
        raise ConfigError(Problem(place, f"{name} gives several outputs; one is needed here"))
    if any(output is tensor for tensor in tensors):
        # keras.layers.Equalization declares its input as its output, from which Keras cannot build a model.
        raise ConfigError(Problem(place, f"{name} alone gives a model nothing new", f"write Pipeline: [{name}]"))
    shape = tuple(output.shape[1:])
    if real is not None and not agree(real, shape):
        message = f"{name} declares an output of {shape_text(shape)} and gives {shape_text(real)}"
        raise ConfigError(Problem(place, message, GATED if is_gated(layer) else "", related=made_here(source)))
    if any(size is not None and size <= 0 for size in shape):
        arrived, left = shape_text(source.shape), shape_text(shape)
        message = f"{name} leaves nothing of the input of shape {arrived}: its output is {left}"
        raise ConfigError(Problem(place, message, SMALL, related=made_here(source)))
    return Applied(place, name, layer, output, shape, layer.count_params() if layer.built else 0, call=call)


def real_shape(layer: Any, arguments: Sequence[Any], call: Mapping[str, Any]) -> Shape | None:
    """Return the shape that the layer's computation gives, without the batch axis, which may differ from the declared
    one: the loss would then be broadcast. None for backbones, and for TextVectorization, see
    :func:`dltool.model.preprocessing.with_true_shape`."""
    if isinstance(layer, keras.Model | keras.layers.TextVectorization):
        return None
    specs = keras.tree.map_structure(lambda tensor: tf.TensorSpec((2, *tensor.shape[1:]), tensor.dtype), arguments)
    traced = tf.function(lambda *values: layer(*values, **call), autograph=False).get_concrete_function(*specs)
    output = traced.structured_outputs
    return tuple(output.shape[1:]) if tf.is_tensor(output) and output.shape.rank else None


def agree(real: Shape, declared: Shape) -> bool:
    """Return whether two shapes are the same as far as their sizes are known."""
    return len(real) == len(declared) and all(a == b or None in (a, b) for a, b in zip(real, declared, strict=True))


def is_gated(layer: Any) -> bool:
    return getattr(layer, "activation", None) is keras.activations.glu


def mask_that_leaves_a_step(layer: Any, tensor: Any) -> dict[str, Any]:
    """Return the argument `mask` for a layer that averages the steps which the mask of `tensor` leaves.

    Where it leaves none, as in a text without words, Keras would divide by 0: all steps are averaged instead. The mask
    is part of the graph, so the model stays Keras's own."""
    mask = getattr(tensor, "_keras_mask", None)
    if not isinstance(layer, keras.layers.GlobalAveragePooling1D) or mask is None:
        return {}
    is_empty = keras.ops.logical_not(keras.ops.any(mask, axis=1, keepdims=True))
    return {"mask": keras.ops.logical_or(mask, is_empty)}


def taken_by(layer: Any) -> list[str]:
    """Return the layer's inputs by argument name; merging layers take one list."""
    parameters = inspect.signature(layer.call).parameters.values()
    return [item.name for item in parameters if item.default is item.empty and item.kind is item.POSITIONAL_OR_KEYWORD]


GATED = "glu halves its input: Multiply two layers instead, one of them with activation: sigmoid"
SMALL = "remove a pooling layer or a stride before it, or use padding: same"

AXES: Mapping[int, str] = {
    1: "one axis (features)",
    2: "two axes (steps, features)",
    3: "three axes (height, width, channels)",
    4: "four axes (depth, height, width, channels)",
}


def shape_problem(layer: Any, sources: Sequence[Placed], place: ConfigPath, reason: str) -> Problem:
    """Describe the shape that reached the layer, why the layer cannot take it, and a fix."""
    name, source = type(layer).__name__, sources[0]
    arrived, wanted, hint = shape_text(source.shape), taken_by(layer), ""
    if "states" in wanted:
        message = f"{name} is a cell: it makes one step, of an input and a state"
        return Problem(place, message, f"write RNN: {{cell: {{{name}: …}}}}")
    if len(sources) < len(wanted):
        message = f"{name} takes {len(wanted)} inputs ({', '.join(wanted)}), and {len(sources)} arrives"
        hint = f"from: [{', '.join(wanted)}], with the names"
    elif len(sources) > 1:
        return joining_problem(layer, sources, place, reason)
    elif re.search(r"(should|must) be called on a list of", reason):
        message, hint = f"{name} takes several inputs, and one arrives", "from: [a, b]"
    elif (axes := axes_wanted(reason)) is not None:
        message = f"{name} takes an input with {AXES.get(axes, f'{axes} axes')}, and {arrived} arrives"
        hint = rank_hint(source.shape, axes)
    elif features := re.search(r"expected axis -1 of input shape to have value (\d+)", reason):
        message = f"{name} was made for inputs with {features[1]} features, and {arrived} arrives"
    elif re.search(r"[Nn]egative dimension|dimension size|would be <= 0|output size|Computed output", reason):
        message, hint = f"{name} does not fit an input of shape {arrived}: nothing would be left", SMALL
    else:
        if reason == "tuple index out of range":
            reason = "its arguments are for an input with more axes"
        message = f"{name} cannot take an input of shape {arrived}: {reason}"
    return Problem(place, message, hint, related=made_here(source))


MOST_ROUNDED = 0.25
"""The most that sizes differ, relative to the larger one, if the difference is from rounding."""


def joining_problem(layer: Any, sources: Sequence[Placed], place: ConfigPath, reason: str) -> Problem:
    name, arrived, hint = type(layer).__name__, " and ".join(shape_text(origin.shape) for origin in sources), ""
    message = f"{name} cannot take inputs of shapes {arrived}: {reason}"
    if "expects 1 input(s)" in reason:
        message = f"{name} takes one input, and {arrived} arrive"
        hint = "join them before it, for example by Concatenate: {from: [a, b]}"
    elif "incompatible shapes" in reason:
        message = f"{name} takes inputs of one shape, and {arrived} arrive"
    elif "except for the concatenation axis" in reason:
        message = f"{name} takes inputs that differ in axis {layer.axis} alone, and {arrived} arrive"
    sizes = [sizes for sizes in zip(*(origin.shape[:-1] for origin in sources), strict=False) if None not in sizes]
    if sizes and 0 < max(1 - min(each) / max(each) for each in sizes) <= MOST_ROUNDED:
        hint = hint or "pooling rounds odd sizes down: resize to a multiple of the strides, or crop or pad one input"
    return Problem(place, message, hint, related=tuple(made_here(origin)[0] for origin in sources))


def axes_wanted(reason: str) -> int | None:
    """Return the number of axes the layer expects, without the batch axis, if Keras's message is about that."""
    if found := re.search(r"expected (?:min_|max_)?ndim=(\d+), found|with at least (\d+) dimensions", reason):
        return int(found[1] or found[2]) - 1
    # The kernel of a convolution has the axes of its input, and one for the filters.
    if found := re.search(r"received kernel of shape \(([^)]*)\)", reason):
        return found[1].count(",")
    return None


def rank_hint(shape: Shape, axes: int) -> str:
    """Suggest how to turn an input of `shape` into one with that many axes."""
    if axes < len(shape):
        return "add Flatten before it" if axes == 1 else f"Reshape to {axes} axes before it"
    if axes == len(shape) + 1:
        target = ", ".join(str(-1 if size is None else size) for size in (*shape, 1))
        return f"add `Reshape: {{target_shape: [{target}]}}` before it"
    if len(shape) == 1:
        return "move it before Flatten, or Reshape before it"
    return f"Reshape to {axes} axes before it"


def made_here(source: Placed) -> tuple[tuple[ConfigPath, str], ...]:
    return ((source.place, f"made here: {shape_text(source.shape)}"),)
