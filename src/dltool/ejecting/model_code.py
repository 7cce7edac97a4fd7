"""The part of an ejected script that builds its model: the function `build_model`."""

from functools import partial
from typing import Any

import keras

from dltool.config.keras.objects import PUBLISHED, KerasObject
from dltool.config.last_layer import LAYERS
from dltool.config.text.blocks import INPUT
from dltool.ejecting import python_text
from dltool.ejecting.column_functions import function
from dltool.ejecting.ejected_run import Block, EjectedRun, identifier
from dltool.ejecting.python_text import INNER_WIDTH, Code, applied, call, keras_object, mapping, sequence, text, value
from dltool.keras_names import arguments
from dltool.model.apply import Applied, taken_by
from dltool.model.columns import categories
from dltool.model.keras_objects import keras_class
from dltool.model.preprocessing import learns

laid_out = partial(python_text.laid_out, width=INNER_WIDTH)
RESERVED = "x layers keras np pd tf os features targets inputs start network train images pixels preprocessed backbone"
SEED = "keras.utils.set_random_seed(SEED)  # decides the initial weights"


def model_blocks(ejected: EjectedRun) -> list[Block]:
    """Return the function `build_model`, and the model made by it."""
    lines = [] if ejected.start is None else function("start")
    return [ModelFunction(ejected).lines(), ["model = build_model()", *lines]]


class ModelFunction:
    """The function `build_model` while it is written.

    `variables` are the names of tensors by the names that `from` knows, `previous` is that of the last one."""

    def __init__(self, ejected: EjectedRun) -> None:
        self.ejected, self.config, self.built = ejected, ejected.config, ejected.built
        self.variables: dict[str, str] = {}
        self.layer_variables: dict[str, str] = {}
        self.previous = "inputs"
        entries, training = self.config.model.layers, self.config.training
        self.referenced = {name for entry in entries for name in entry.sources}
        self.referenced |= {str(head.layer) for head in self.built.heads if head.layer is not None}
        self.shared = {entry.name for entry in entries if entry.is_shared}
        self.keeps_names = training.phases is not None or bool(training.no_weight_decay)
        is_plain = training.precision == "float32"
        self.policy = [] if is_plain else [f"keras.config.set_dtype_policy({text(training.precision)})"]

    def lines(self) -> Block:
        body = [*self.inputs(), *self.preprocessing()]
        if self.config.data.augmentation:
            body += self.augmented()
        else:
            body += [*self.policy, SEED, *self.encoding(), *self.layers()]
            body += laid_out(call("keras.Model", "inputs", self.outputs()), "return ")
        return ["def build_model():", *(f"    {line}" if line else "" for line in body)]

    # --- from raw inputs to the first layer ---

    def inputs(self) -> Block:
        """Return the inputs in the form of `features`."""
        if self.ejected.are_several:
            # Keras allows no "/" in the name of an input.
            name = 'name.replace("/", "_")' if any("/" in each for each in self.ejected.facts.inputs) else "name"
            made = call("keras.Input", self.shape_of("values"), dtype="values.dtype.name", name=name)
            line = laid_out(made, "name: ", indent=8)
            return ["inputs = {", *(each[4:] for each in line), "    for name, values in features.items()", "}"]
        self.variables = dict.fromkeys((INPUT, *self.ejected.facts.inputs), "inputs")
        only = self.ejected.facts.only_input
        if only is None or self.ejected.is_preprocessed_first:
            return [f"inputs = keras.Input({self.shape_of('features')}, dtype=features.dtype.name)"]
        return laid_out(call("keras.Input", value(only.shape), dtype=text(only.dtype)), "inputs = ")

    def shape_of(self, values: str) -> str:
        """Return the shape of an example whose values are in an array; windows have rows of it."""
        return f"(LENGTH, *{values}.shape[1:])" if self.ejected.windowed else f"{values}.shape[1:]"

    def preprocessing(self) -> Block:
        """Return the layers of `data.preprocessing`, and the cast of bytes, which would overflow in other layers."""
        lines: list[str] = []
        only = self.ejected.facts.only_input
        if only is None or self.ejected.is_preprocessed_first:
            return lines
        for entry in self.config.data.preprocessing:
            code = keras_object(entry)
            if learns(entry):
                name = identifier(entry.name)
                lines += [*laid_out(code, f"{name} = "), f"{name}.adapt(features[train])"]
                code = name
            lines += laid_out(code, "x = ", f"({self.previous})")
            self.previous = "x"
        if not lines and only.dtype == "uint8":
            lines, self.previous = ["x = layers.Rescaling(1.0)(inputs)  # bytes become numbers"], "x"
        self.variables = dict.fromkeys(self.variables, self.previous)
        return lines

    def encoding(self) -> Block:
        """Return the encoding of several inputs, and the concatenation of those that no layer takes by name."""
        lines: list[str] = []
        if not self.ejected.are_several:
            return self.kept_start()
        for name, found in self.ejected.facts.inputs.items():
            tensor = self.variables[name] = f"inputs[{text(name)}]"
            code: Code = "layers.Rescaling(1.0)" if found.dtype == "uint8" else ""
            if name in self.ejected.embedded:
                assert found.column is not None
                size: Any = categories(found.column.options, self.built.fitted.columns[name])  # type: ignore[arg-type]
                code = call("layers.Embedding", repr(size), repr(self.ejected.embedded[name]))
            if code:
                self.variables[name] = self.variable(name)
                lines += laid_out(code, f"{self.variables[name]} = ", f"({tensor})")
        joined = self.ejected.joined
        self.previous = self.variables[joined[0] if joined else next(iter(self.ejected.facts.inputs))]
        if len(joined) > 1:
            lines += laid_out(call("layers.Concatenate()", sequence(self.variables[name] for name in joined)), "x = ")
            self.previous = "x"
        if joined:
            self.variables.setdefault(INPUT, self.previous)
        return [*lines, *self.kept_start()]

    def kept_start(self) -> Block:
        """Return the line that keeps the input of the first layer, if others take it by name after it."""
        names = [name for name in self.referenced if self.variables.get(name) == "x"]
        if not names:
            return []
        self.variables |= dict.fromkeys(names, "start")
        self.previous = "start"
        return ["start = x"]

    # --- the layers of the model ---

    def variable(self, name: str) -> str:
        return identifier(name, (*RESERVED.split(), *self.variables.values(), *self.layer_variables.values()))

    def layers(self) -> Block:
        """Return the lines of each layer, with those that bring outputs into the units of their targets."""
        lines: list[str] = []
        for row in (row for row in self.built.layers if row.path[:2] == LAYERS):
            index = int(row.path[2])
            is_first = row is next(each for each in self.built.layers if each.path == row.path)
            lines += self.layer(self.config.model.layers[index], row) if is_first else self.in_units(row)
        return lines

    def layer(self, entry: KerasObject, row: Applied) -> Block:
        """Return the lines that make a layer and apply it. A layer that others refer to has a variable of its name."""
        sources = [self.variables[name] for name in entry.sources] or [self.previous]
        name = str(entry.arguments.get("name", ""))
        lines: Block = []
        if entry.is_shared:
            layer: Code = self.layer_variables[entry.name]
        elif entry.kind == "backbone":
            lines, layer = self.backbone(entry, row)
        else:
            layer = keras_object(entry, self.exact_end(entry, row), () if self.keeps_names else ("name",))
            if name in self.shared:
                self.layer_variables[name] = own = self.variable(f"{name}_layer")
                lines, layer = laid_out(layer, f"{own} = "), own
        self.previous = self.variable(name) if name in self.referenced else "x"
        # Merging layers take one list.
        takes_each = len(taken_by(row.layer)) > 1 or len(sources) == 1
        named = {argument: value(each) for argument, each in entry.call_arguments.items()}
        lines += applied(layer, f"{self.previous} = ", *(sources if takes_each else [sequence(sources)]), **named)
        if name in self.referenced:
            self.variables[name] = self.previous
        return lines

    def exact_end(self, entry: KerasObject, row: Applied) -> dict[str, Any]:
        """Return the dtype of a layer that gives an output: with mixed precision, float32."""
        is_end = any(head.layer == entry.arguments.get("name") for head in self.built.heads)
        is_end = is_end or (not self.config.model.outputs and row.path[2] == len(self.config.model.layers) - 1)
        is_mixed = self.config.training.precision.startswith("mixed_") and "dtype" in arguments("layer", entry.name)
        return {"dtype": entry.arguments.get("dtype", "float32")} if is_end and is_mixed else {}

    def in_units(self, row: Applied) -> Block:
        """Return the line of a layer that undoes the scale of the targets."""
        is_scale = isinstance(row.layer, keras.layers.Rescaling)
        items = [value(row.layer.scale), value(row.layer.offset)] if is_scale else ['"exponential"']
        code = call(f"layers.{'Rescaling' if is_scale else 'Activation'}", *items)
        comment = ["# The scale of the targets, fitted to the training rows."]
        return [*comment, *laid_out(code, f"{self.previous} = ", f"({self.previous})")]

    def backbone(self, entry: KerasObject, row: Applied) -> tuple[Block, Code]:
        """Return the construction of a keras.applications network behind its own preprocessing, and its variable."""
        given = {"weights": PUBLISHED, "trainable": True, **entry.arguments}
        is_trainable, name = given.pop("trainable"), given.pop("name", None)
        module, shape = keras_class(entry, row.path).__module__.rsplit(".", 1)[-1], row.layer.input_shape[1:]
        more: dict[str, Code] = {
            "include_top": "False",
            "input_tensor": f"keras.applications.{module}.preprocess_input(pixels)",
            "input_shape": value(shape),
        }
        network = call(f"keras.applications.{entry.name}", **more, **{key: value(each) for key, each in given.items()})
        own: dict[str, Code] = {"name": text(str(name))} if name is not None and self.keeps_names else {}
        lines = [
            *laid_out(call("keras.Input", value(shape)), "pixels = "),
            *laid_out(network, "network = "),
            *laid_out(call("keras.Model", "pixels", "network.output", **own), "backbone = "),
        ]
        return [*lines, *([] if is_trainable else ["backbone.trainable = False"])], "backbone"

    def outputs(self) -> Code:
        if not self.config.model.outputs:
            return self.previous
        return mapping({head.name: self.variables[str(head.layer)] for head in self.built.heads})

    def augmented(self) -> Block:
        """Return the rest of a model with augmentation. The network is made first, as an inner model: augmentation
        does not change its weights."""
        before, first = self.previous, self.built.core.inputs[0]
        self.variables, self.previous = dict.fromkeys(self.variables, "images"), "images"
        shape = call("keras.Input", value(tuple(first.shape[1:])), dtype=text(first.dtype))
        lines = ["preprocessed = x", ""] if before == "x" else [""]
        before = "preprocessed" if before == "x" else before
        lines += ["# The network, whose weights do not depend on the augmentation.", *self.policy, SEED]
        lines += [*laid_out(shape, "images = "), *self.layers()]
        lines += [*laid_out(call("keras.Model", "images", self.outputs()), "network = "), ""]
        lines += ["# In training only.", *(['keras.config.set_dtype_policy("float32")'] if self.policy else [])]
        for entry in self.config.data.augmentation:
            lines += laid_out(keras_object(entry), "x = ", f"({before})")
            before = "x"
        return [*lines, *self.policy, f"return keras.Model(inputs, network({before}))"]
