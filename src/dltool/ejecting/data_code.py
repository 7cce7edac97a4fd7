"""The part of an ejected script that reads its data: inputs, targets, split and weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dltool.config.columns import CategoryTarget, NumberTarget, Target
from dltool.config.outputs import OutputSpec
from dltool.config.sources import ArraysSource, BuiltinSource, Source, TokenSource
from dltool.config.sources import CaliforniaHousingSource, Cifar100Source
from dltool.data.arrays.npz import npz_headers
from dltool.data.sources.arrays import ENDINGS, wanted_arrays
from dltool.ejecting.ejected_run import Block, EjectedRun, identifier
from dltool.ejecting.python_text import Code, call, laid_out, mapping, sequence, text, value
from dltool.ejecting.table_code import column_blocks, read_blocks, target_values
from dltool.errors import ConfigError
from dltool.model.preprocessing import learns
from dltool.ejecting.python_text import keras_object

SPLIT = [
    "# The row numbers of each split, as they were drawn.",
    'split = np.load(HERE / "split.npz")',
    'train, validation, test = split["train"], split["validation"], split["test"]',
]


def data_blocks(ejected: EjectedRun) -> list[Block]:
    """Return the code up to `features`, `targets` and the function `examples` of rows."""
    facts = ejected.facts
    if facts.has_columns:
        blocks = [*read_blocks(ejected), SPLIT, *target_blocks(ejected), *column_blocks(ejected)]
    else:
        blocks = [*source_blocks(ejected), SPLIT, *preprocessed_first(ejected), *target_blocks(ejected)]
    return [*blocks, *weight_blocks(ejected), *form_blocks(ejected), examples_block(ejected)]


def source_blocks(ejected: EjectedRun) -> list[Block]:
    """Return the code that reads arrays into `features`, and labels into `labels`."""
    source = ejected.config.data.source
    options = source.options
    if isinstance(options, ArraysSource):
        return array_blocks(ejected, options)
    if ejected.config.data.validation is not None or ejected.config.data.test is not None:
        message = "data.validation and data.test cannot be ejected with a published dataset"
        raise ConfigError(message)
    if isinstance(options, BuiltinSource):
        scaled = "scaled=False" if source.name == "diabetes" else ""
        images = source.name == "digits"
        return [
            [
                f"data = datasets.load_{source.name}({scaled})",
                'features = data.images[..., np.newaxis].astype("uint8")'
                if images
                else 'features = data.data.astype("float32")',
                "labels = data.target",
            ]
        ]
    return [published_block(source)]


def published_block(source: Source) -> Block:
    """Return the code that loads a set of keras.datasets, its training rows first."""
    options, arguments = source.options, []
    if isinstance(options, Cifar100Source):
        arguments = [f"label_mode={text(options.label_mode)}"]
    elif isinstance(options, TokenSource) and options.num_words is not None:
        arguments = [f"num_words={options.num_words}"]
    elif isinstance(options, CaliforniaHousingSource):
        arguments = [f"version={text(options.version)}"]
    path = getattr(options, "path", None)
    if path is None:
        lines = [
            f"loaded = keras.datasets.{source.name}.load_data({', '.join(arguments)})",
            "(x_train, y_train), (x_test, y_test) = loaded",
        ]
    else:
        lines = [f"file = np.load({text(str(Path(path).absolute()))})"]
        lines += ['x_train, y_train = file["x_train"], file["y_train"]', 'x_test, y_test = file["x_test"], file["y_test"]']
    is_token = isinstance(options, TokenSource)
    if is_token:
        lines += [
            "# The last words of long texts; zeros in front of short ones.",
            *laid_out(
                call("keras.utils.pad_sequences", "np.concatenate([x_train, x_test])", maxlen=str(options.length)),
                "features = ",
            ),
        ]
    else:
        grey = "[..., np.newaxis]" if source.name in ("mnist", "fashion_mnist") else ""
        lines.append(f"features = np.concatenate([x_train, x_test]){grey}")
    flat = "[:, 0]" if source.name.startswith("cifar") else ""
    return [*lines, f"labels = np.concatenate([y_train, y_test]){flat}"]


def array_blocks(ejected: EjectedRun, options: ArraysSource) -> list[Block]:
    """Return the code that loads the user's arrays."""
    data = ejected.config.data
    if data.validation is not None or data.test is not None:
        raise ConfigError("data.validation and data.test of arrays cannot be ejected", "put them into one .npz")
    if options.path is None:
        x, y = (text(str(Path(str(path)).absolute())) for path in (options.x, options.y))
        shape = (np.load(str(options.x), mmap_mode="r")).shape
        return [[f"features = {as_input(ejected, 'input', f'np.load({x})', shape)}", f"labels = np.load({y})"]]
    path = Path(options.path).absolute()
    headers = npz_headers(path, str(path), ("data", "source"))
    wanted = wanted_arrays(options, (), bool(data.targets))
    ends = [next((e for e in each if any(f"{n}{e}" in headers for n in wanted.arrays)), None) for each in ENDINGS.values()]
    used = [end for end in ends if end is not None]

    def joined(name: str) -> str:
        parts = [f"file[{text(name + end)}]" for end in used]
        return parts[0] if len(parts) == 1 else f"np.concatenate([{', '.join(parts)}])"

    lines = [f"file = np.load({text(str(path))})"]
    inputs = {
        name: as_input(ejected, name, joined(array), headers[f"{array}{used[0]}"].shape)
        for name, array in wanted.inputs.items()
    }
    if ejected.are_several:
        lines += laid_out(mapping(inputs), "features = ")
    else:
        lines.append(f"features = {next(iter(inputs.values()))}")
    labels = {name: joined(array) for name, array in wanted.targets.items()}
    if len(labels) > 1:
        lines += laid_out(mapping(labels), "labels = ")
    elif labels:
        lines.append(f"labels = {next(iter(labels.values()))}")
    return [lines, *([[f"weights = {joined(data.weights)}.astype(\"float32\")"]] if data.weights else [])]


def as_input(ejected: EjectedRun, name: str, array: str, shape: tuple[int, ...]) -> str:
    """Return the array in the shape and dtype of an input."""
    found = ejected.facts.inputs[name]
    axis = "[..., np.newaxis]" if (*shape[1:], 1) == found.shape else ""
    kind = "" if found.dtype == "string" else f".astype({text(found.dtype)})"
    return f"{array}{axis}{kind}"


def preprocessed_first(ejected: EjectedRun) -> list[Block]:
    """Return the code that preprocesses all examples at once."""
    if not ejected.is_preprocessed_first:
        return []
    lines = ["# Preprocessing, fitted to the training rows alone."]
    if ejected.facts.inputs and next(iter(ejected.facts.inputs.values())).dtype == "string":
        lines.append("features = tf.constant(features.astype(object))")
    taken: set[str] = set()
    for entry in ejected.config.data.preprocessing:
        name = identifier(entry.name, taken)
        taken.add(name)
        lines += laid_out(keras_object(entry), f"{name} = ")
        lines += [f"{name}.adapt(tf.gather(features, train))"] if learns(entry) else []
        lines.append(f"features = {name}(features)")
    return [[*lines, "features = np.asarray(features)"]]


def target_blocks(ejected: EjectedRun) -> list[Block]:
    """Return the code that encodes labels as `targets`, a dict if there are several."""
    facts, data = ejected.facts, ejected.config.data
    if not facts.targets:
        return [["targets = features.astype(\"float32\")  # the model reconstructs its input"]]
    blocks: list[Block] = []
    codes: dict[str, Code] = {}
    for name, target in data.targets.items():
        found = facts.targets[name]
        classes = "CLASSES" if len(facts.targets) == 1 else f"{identifier(name).upper()}_CLASSES"
        names = list(found.class_names)
        is_plain = names == [str(number) for number in range(len(names))]
        is_published = not facts.has_columns and not isinstance(data.source.options, ArraysSource)
        is_plain = is_plain or (is_published and not is_swapped(target, found.class_names))
        if facts.has_columns:
            codes[name] = target_values(ejected, name, target, classes)
        else:
            labels = "labels" if len(facts.targets) == 1 else f"labels[{text(name)}]"
            codes[name] = label_values(found, labels, classes, is_plain)
        if found.class_names and found.kind != "index" and classes in flat_text(codes[name]):
            blocks.append(laid_out(sequence(map(text, names)), f"{classes} = "))
    if len(codes) == 1:
        blocks.append(laid_out(next(iter(codes.values())), "targets = "))
    else:
        blocks.append(laid_out(mapping(codes), "targets = "))
    return [[line for block in blocks for line in block]]


def flat_text(code: Code) -> str:
    return "\n".join(laid_out(code))


def is_swapped(target: Target, names: tuple[str, ...]) -> bool:
    """Return whether the positive class is not the second one of the labels as read."""
    options = None if target.type is None else target.type.options
    return isinstance(options, CategoryTarget) and options.positive is not None


def label_values(found: Any, labels: str, classes: str, is_plain: bool) -> Code:
    """Return the targets of arrays."""
    if found.kind == "number":
        return f'{labels}.astype("float32")'
    shape = "" if not found.shape else f".reshape(-1, {', '.join(map(str, found.shape))})"
    if found.kind == "index" or is_plain:
        return f'{labels}{shape}.astype("int32")'
    if found.shape:
        values = f"np.unique({labels}, return_inverse=True)[1]"
        return f'{values}{shape}.astype("int32")'
    inner = f"[{classes}.index(str(label)) for label in {labels}]"
    return call("np.array", inner, dtype='"int32"')


def weight_blocks(ejected: EjectedRun) -> list[Block]:
    """Return the code of the weights of examples: `weights` of the data, and `training_weights` with the classes'."""
    config = ejected.config
    blocks: list[Block] = []
    if config.data.weights is not None and ejected.facts.has_columns:
        column = f"table[{text(config.data.weights)}]"
        blocks.append([f'weights = {column}.astype("float64").to_numpy("float32")'])
    heads = [head for head in ejected.built.heads if head.class_weights is not None]
    if not heads:
        return blocks
    own = "weights * " if config.data.weights is not None else ""
    if len(ejected.built.heads) == 1:
        return [*blocks, [*class_weight_lines(ejected, heads[0], "targets"), f"training_weights = {own}class_weights[targets]"]]
    lines = []
    codes: dict[str, Code] = {head.name: "weights" if own else "np.ones(len(train_targets))" for head in ejected.built.heads}
    rows = f"len({target_of_head(ejected, ejected.built.heads[0])})"
    codes = {name: "weights" if own else f'np.ones({rows}, dtype="float32")' for name in codes}
    for head in heads:
        own_targets = target_of_head(ejected, head)
        name = f"{identifier(head.name)}_weights"
        lines += [line.replace("class_weights", name) for line in class_weight_lines(ejected, head, own_targets)]
        codes[head.name] = f"{own}{name}[{own_targets}]"
    return [*blocks, [*lines, *laid_out(mapping(codes), "training_weights = ")]]


def target_of_head(ejected: EjectedRun, head: OutputSpec) -> str:
    return "targets" if len(ejected.facts.targets) == 1 else f"targets[{text(str(head.target))}]"


def class_weight_lines(ejected: EjectedRun, head: OutputSpec, targets: str) -> Block:
    found = ejected.facts.targets[head.target]
    count = len(found.class_names)
    if found.shape:
        raise ConfigError("class weights of several targets for each example cannot be ejected")
    if isinstance(head.class_weights, Mapping):
        weights = [float(head.class_weights[name]) for name in found.class_names]
        return laid_out(call("np.array", value(weights), dtype='"float32"'), "class_weights = ")
    return [
        "# All classes have the same total weight in the loss.",
        f"counts = np.bincount({targets}[train], minlength={count})",
        f"class_weights = len(train) / ({count} * np.maximum(counts, 1)) * (counts > 0)",
        'class_weights = class_weights.astype("float32")',
    ]


def form_blocks(ejected: EjectedRun) -> list[Block]:
    """Return the code that brings the targets into the form of the losses: one-hot vectors, and one number for one
    output."""
    forms: dict[str, str] = {}
    for head in ejected.built.heads:
        if head.target is None:
            continue
        found, output = ejected.facts.targets[head.target], ejected.built.outputs[head.name]
        own = target_of_head(ejected, head)
        rank = len(found.shape) + 1
        if head.name in ejected.built.one_hot:
            classes = ejected.built.one_hot[head.name]
            forms[head.name] = f'keras.utils.to_categorical({own}, {classes}).astype("float32")'
        elif output.output_shape == (*found.shape, 1) or ejected.built.lacks_axis(head.name, rank):
            forms[head.name] = f"{own}[..., np.newaxis]"
        else:
            forms[head.name] = own
    names = [head.name for head in ejected.built.heads]
    if not ejected.config.model.outputs:
        return [[f"targets = {forms[name]}"] for name in names if forms.get(name, "targets") != "targets"]
    if any(head.target is None for head in ejected.built.heads):
        forms = {name: forms.get(name, "targets") for name in names}
    codes: dict[str, Code] = dict(forms)
    lines = laid_out(mapping(codes), "targets = ")
    is_same = all(own == f"targets[{text(name)}]" for name, own in forms.items())
    return [] if is_same and list(forms) == list(ejected.facts.targets) else [lines]


def examples_block(ejected: EjectedRun) -> Block:
    """Return the function that gives the examples of some rows."""
    are_named = bool(ejected.config.model.outputs)
    parts = ["inputs[rows]", "targets[rows]"]
    x = "{name: values[rows] for name, values in features.items()}" if ejected.are_several else "features[rows]"
    y = "{name: values[rows] for name, values in targets.items()}" if are_named else "targets[rows]"
    w = ""
    if ejected.config.data.weights is not None:
        w = "{name: weights[rows] for name in targets}" if are_named else "weights[rows]"
    words = "inputs, targets and weights" if w else "inputs and targets"
    lines = ["def examples(rows):", f'    """Return the {words} of these rows."""']
    parts = [x, y, *([w] if w else [])]
    if len(", ".join(parts)) + 11 <= 88:
        return [*lines, f"    return {', '.join(parts)}"]
    names = ["x", "y", "w"][: len(parts)]
    lines += [f"    {name} = {part}" for name, part in zip(names, parts, strict=True)]
    return [*lines, f"    return {', '.join(names)}"]
