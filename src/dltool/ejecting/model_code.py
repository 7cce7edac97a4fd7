"""The part of an ejected script that builds its model: `build_model`."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from dltool.config.keras.objects import PUBLISHED, KerasObject
from dltool.config.last_layer import LAYERS
from dltool.config.text.blocks import INPUT
from dltool.ejecting.ejected_run import Block, EjectedRun, identifier
from dltool.ejecting.python_text import Code, call, flat, keras_object, laid_out, mapping, sequence, text, value
from dltool.keras_names import arguments
from dltool.model.apply import Applied, mask_that_leaves_a_step, taken_by
from dltool.model.keras_objects import keras_class
from dltool.model.preprocessing import learns

SEEDED = "keras.utils.set_random_seed(SEED)  # decides the initial weights"
RESERVED = ("x", "layers", "keras", "np", "pd", "tf", "os", "datasets", "features", "targets", "split", "inputs", "model")


def model_blocks(ejected: EjectedRun) -> list[Block]:
    """Return the function `build_model`, and the model made by it."""
    function = ModelFunction(ejected)
    return [function.lines(), ["model = build_model()"]]


class ModelFunction:
    """The function `build_model` while it is written: `variables` are the names of tensors, by the names in `from`."""

    def __init__(self, ejected: EjectedRun) -> None:
        self.ejected, self.config, self.built = ejected, ejected.config, ejected.built
        self.variables: dict[str, str] = {}
        self.layer_variables: dict[str, str] = {}
        entries = self.config.model.layers
        ends = [head.layer for head in self.built.heads if head.layer is not None]
        self.referenced = {name for entry in entries for name in entry.sources} | set(ends)
        self.shared = {entry.name for entry in entries if entry.is_shared}
        self.keeps_names = self.config.training.phases is not None or bool(self.config.training.no_weight_decay)
        self.policy = self.config.training.precision

    def lines(self) -> Block:
        augmentation = self.config.data.augmentation
        body = [*self.inputs(), *self.preprocessing()]
        if augmentation:
            body += ["", *self.core(), "", *self.augmented()]
        else:
            body += [*self.policy_lines(), SEEDED, *self.start(), *self.layers(), *self.end()]
        return ["def build_model():", *(f"    {line}" if line else "" for line in body)]

    def policy_lines(self) -> Block:
        return [] if self.policy == "float32" else [f"keras.config.set_dtype_policy({text(self.policy)})"]

    # --- from raw inputs to the first layer ---

    def inputs(self) -> Block:
        """Return the inputs in the form that `features` has."""
        if self.ejected.are_several:
            return [
                "inputs = {",
                "    name: keras.Input(values.shape[1:], dtype=values.dtype.name, name=name)",
                "    for name, values in features.items()",
                "}",
            ]
        only = self.ejected.facts.only_input
        self.variables |= {INPUT: "inputs"} | ({} if only is None else dict.fromkeys(self.ejected.facts.inputs, "inputs"))
        if only is None or self.ejected.is_preprocessed_first:
            return ["inputs = keras.Input(features.shape[1:], dtype=features.dtype.name)"]
        return laid_out(call("keras.Input", value(only.shape), dtype=text(only.dtype)), "inputs = ")

    def preprocessing(self) -> Block:
        """Return the layers of `data.preprocessing`, and casts of bytes, for which layers are not made."""
        lines: list[str] = []
        only = self.ejected.facts.only_input
        if only is not None and not self.ejected.is_preprocessed_first:
            before = "inputs"
            for entry in self.config.data.preprocessing:
                code = keras_object(entry)
                if learns(entry):
                    name = identifier(entry.name)
                    lines += laid_out(code, f"{name} = ")
                    lines.append(f"{name}.adapt(features[train])")
                    code = name
                lines += laid_out(code, "x = ", f"({before})")
                before = "x"
            if not self.config.data.preprocessing and only.dtype == "uint8":
                lines.append(f"x = layers.Rescaling(1.0)({before})  # bytes become numbers")
                before = "x"
            if before == "x":
                self.variables = dict.fromkeys(self.variables, "x")
        elif any(found.dtype == "uint8" for found in self.ejected.facts.inputs.values()):
            lines = ["# Bytes become numbers.", "x = {", "    name: layers.Rescaling(1.0)(each) if each.dtype == \"uint8\" else each"]
            lines += ["    for name, each in inputs.items()", "}"]
        return lines

    def start(self) -> Block:
        """Return the encoding of columns in the model, and the concatenation of those that no layer takes by name."""
        if not self.ejected.are_several:
            self.settle_input(next(iter(self.variables.values()), "inputs"))
            return []
        lines: list[str] = []
        has_bytes = any(found.dtype == "uint8" for found in self.ejected.facts.inputs.values())
        start = "x" if has_bytes else "inputs"
        for name in self.ejected.facts.inputs:
            self.variables[name] = f"{start}[{text(name)}]"
        for name, size in self.ejected.embedded.items():
            variable = self.variable(name)
            count = self.built.core.input[name].shape
            del count
            embedding = call("layers.Embedding", repr(self.categories(name)), repr(size))
            lines += laid_out(embedding, f"{variable} = ", f"({self.variables[name]})")
            self.variables[name] = variable
        joined = self.ejected.joined
        if len(joined) > 1:
            lines += laid_out(sequence(self.variables[name] for name in joined), "x = layers.Concatenate()(", ")")
            self.variables.setdefault(INPUT, "x")
            self.previous = "x"
        else:
            self.previous = self.variables[joined[0] if joined else next(iter(self.ejected.facts.inputs))]
            if joined:
                self.variables.setdefault(INPUT, self.previous)
        if INPUT in self.referenced and self.variables.get(INPUT) == "x":
            lines.append("start = x")
            self.variables[INPUT] = self.previous = "start"
        return lines

    def settle_input(self, variable: str) -> None:
        self.previous = variable

    def categories(self, name: str) -> int:
        found = next(row for row in self.built.core.layers if row.name.endswith("_embedding") and row.name[:-10] in (name,))
        return int(found.input_dim)

    # --- the layers of the model ---

    def variable(self, name: str) -> str:
        return identifier(name, (*RESERVED, *self.variables.values(), *self.layer_variables.values()))

    def layers(self) -> Block:
        """Return a line for each layer of the model, and those that bring outputs into the units of targets."""
        rows = [row for row in self.built.layers if row.path[:2] == LAYERS]
        # Layers in the units of the targets have the path of the layer before.
        by_index: dict[int, list[Applied]] = {}
        for row in rows:
            by_index.setdefault(int(row.path[2]), []).append(row)
        lines: list[str] = []
        lines += self.saved_input()
        for index, entry in enumerate(self.config.model.layers):
            lines += self.layer(entry, by_index[index][0], index)
            for further in by_index[index][1:]:
                lines += self.in_units(further)
        return lines

    def saved_input(self) -> Block:
        """Return the line that keeps the input of the layers, if one of them takes it later by name."""
        names = [name for name in self.referenced if self.variables.get(name) == "x"]
        if not names:
            return []
        for name in names:
            self.variables[name] = "start"
        self.previous = "start"
        return ["start = x"]

    def layer(self, entry: KerasObject, row: Applied, index: int) -> Block:
        sources = [self.variables[name] for name in entry.sources] or [self.previous]
        name = entry.arguments.get("name")
        name = name if isinstance(name, str) else None
        variable = self.variable(name) if name in self.referenced and name is not None else "x"
        lines: list[str] = []
        if entry.is_shared:
            layer: Code = self.layer_variables[entry.name]
        elif entry.kind == "backbone":
            lines, layer = self.backbone(entry, row)
        else:
            layer = self.made(entry, index)
            if name in self.shared and name is not None:
                own = f"{identifier(name)}_layer"
                lines = laid_out(layer, f"{own} = ")
                self.layer_variables[name] = layer = own
        lines += laid_out(layer, f"{variable} = ", f"({self.inputs_of(row, sources, entry)})")
        self.previous = variable
        if name is not None and name in self.referenced:
            self.variables[name] = variable
        return lines

    def made(self, entry: KerasObject, index: int) -> Code:
        """Return the construction of a layer; the last ones give float32 whatever the policy is."""
        without = () if self.keeps_names else ("name",)
        more: dict[str, Any] = {}
        is_end = any(row.path == (*LAYERS, index) for row in self.built.outputs.values())
        if self.policy.startswith("mixed_") and is_end and "dtype" in arguments("layer", entry.name):
            more = {"dtype": entry.arguments.get("dtype", "float32")}
        return keras_object(entry, more, without)

    def inputs_of(self, row: Applied, sources: Sequence[str], entry: KerasObject) -> str:
        """Return the arguments of the call of a layer."""
        takes_each = len(taken_by(row.layer)) > 1 or len(sources) == 1
        items = list(sources) if takes_each else [f"[{', '.join(sources)}]"]
        items += [f"{name}={flat(value(each))}" for name, each in entry.call_arguments.items()]
        return ", ".join(items)

    def in_units(self, row: Applied) -> Block:
        """Return the line of a layer that undoes the scale of the targets."""
        layer = row.layer
        if isinstance(layer, keras.layers.Rescaling):
            code = f"layers.Rescaling({layer.scale!r}, {layer.offset!r})"
        else:
            code = 'layers.Activation("exponential")'
        line = f"{self.previous} = {code}({self.previous})  # in the units of the targets"
        return [line]

    def backbone(self, entry: KerasObject, row: Applied) -> tuple[Block, Code]:
        """Return the construction of a keras.applications network with its own preprocessing, and its variable."""
        given = {"weights": PUBLISHED, "trainable": True, **entry.arguments}
        module = keras_class(entry, row.path).__module__.rsplit(".", 1)[-1]
        shape = row.layer.input_shape[1:]
        weights, trainable = given.pop("weights"), given.pop("trainable")
        name = given.pop("name", None)
        network = call(
            f"keras.applications.{entry.name}",
            include_top="False",
            weights=value(weights),
            input_tensor=f"keras.applications.{module}.preprocess_input(images)",
            input_shape=value(shape),
            **{key: value(each) for key, each in given.items()},
        )
        own = {} if name is None or not self.keeps_names else {"name": text(str(name))}
        lines = [
            *laid_out(call("keras.Input", value(shape)), "images = "),
            *laid_out(network, "network = "),
            *laid_out(call("keras.Model", "images", "network.output", **own), "backbone = "),
        ]
        return [*lines, *([] if trainable else ["backbone.trainable = False"])], "backbone"

    # --- the end ---

    def outputs(self) -> Code:
        if not self.config.model.outputs:
            return self.previous
        return mapping({head.name: self.variables[str(head.layer)] for head in self.built.heads})

    def end(self) -> Block:
        return laid_out(call("keras.Model", "inputs", self.outputs()), "return ")

    # --- with augmentation ---

    def core(self) -> Block:
        """Return the model behind augmentation, which is made first: augmentation does not change its weights."""
        shape = self.built.core.inputs[0]
        before = next(iter(self.variables.values()))
        self.before = before
        self.variables = dict.fromkeys(self.variables, "features_in")
        self.previous = "features_in"
        lines = laid_out(
            call("keras.Input", value(tuple(shape.shape[1:])), dtype=text(shape.dtype)), "features_in = "
        )
        layers = self.layers()
        return [
            "# The network itself. Its weights do not depend on the augmentation.",
            *self.policy_lines(),
            SEEDED,
            *lines,
            *layers,
            *laid_out(call("keras.Model", "features_in", self.outputs()), "network = "),
        ]

    def augmented(self) -> Block:
        """Return the whole model: augmentation acts in training only."""
        restored = [] if self.policy == "float32" else ['keras.config.set_dtype_policy("float32")']
        entries = self.config.data.augmentation
        lines = ["# Augmentation, in training only.", *restored]
        variable = self.before
        for entry in entries:
            lines += laid_out(keras_object(entry), "x = ", f"({variable})")
            variable = "x"
        lines += self.policy_lines()
        return [*lines, f"return keras.Model(inputs, network({variable}))"]


def has_mask_repair(row: Applied, tensor: Any) -> bool:
    """Return whether the layer has a mask that leaves a step of every example."""
    return bool(mask_that_leaves_a_step(row.layer, tensor))


def unused(_: Mapping[str, Any]) -> None: ...
