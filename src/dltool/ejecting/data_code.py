"""The part of an ejected script that reads its data: inputs, targets, split and weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dltool.config.file_columns import FileColumn
from dltool.config.outputs import OutputSpec
from dltool.config.sources import FOLDER_SOURCES, ArraysSource, BuiltinSource, TokenSource, kind_of
from dltool.config.wording import snake_case
from dltool.data.arrays.npz import npz_headers
from dltool.data.arrays.window_rows import Windowed
from dltool.data.sources.arrays import ENDINGS, wanted_arrays
from dltool.ejecting.column_functions import function
from dltool.ejecting.ejected_run import Block, EjectedRun, identifier, is_reordered
from dltool.ejecting.file_code import file_blocks
from dltool.ejecting.python_text import Code, call, flat, keras_object, laid_out, mapping, sequence, text, value
from dltool.ejecting.table_code import column_blocks, column_file_blocks, files_of_column, read_blocks, target_values
from dltool.errors import ConfigError
from dltool.model.preprocessing import learns


def data_blocks(ejected: EjectedRun) -> list[Block]:
    """Return the code up to `features`, `targets` and the function `examples` of rows."""
    kind, windows = kind_of(ejected.config.data.source), window_flags(ejected)
    if kind == "table":
        split = [function("split")] if ejected.windowed is None else window_blocks(ejected, ejected.windowed)
        blocks = [*read_blocks(ejected), *split, targets_block(ejected, {})]
        if ejected.facts.has_columns:
            blocks += column_blocks(ejected)
        else:
            blocks += [*only_column(ejected), *preprocessed_first(ejected)]
    else:
        before, lines, labels = file_blocks(ejected) if kind in FOLDER_SOURCES else ([], *source_lines(ejected))
        blocks = [*before, [*lines, *targets_block(ejected, labels)], function("split"), *preprocessed_first(ejected)]
    are_so = {
        "several": ejected.are_several,
        "named": bool(ejected.config.model.outputs),
        "weighted": ejected.config.data.weights is not None,
    }
    examples = function("examples", {*windows, *(flag for flag, is_so in are_so.items() if is_so)})
    return [*blocks, *weight_blocks(ejected), *form_blocks(ejected), examples]


def only_column(ejected: EjectedRun) -> list[Block]:
    """Return the code that makes the only column of a table `features`: texts, or files that it names."""
    (name,) = ejected.facts.inputs
    options = (ejected.config.data.inputs or {})[name].options
    if isinstance(options, FileColumn):
        lines = laid_out(files_of_column(name, options), "features = ")
        return [*column_file_blocks(ejected.config.data, [options]), lines]
    return [[f'features = table[{text(name)}].fillna("").to_numpy(object)']]


def window_flags(ejected: EjectedRun) -> set[str]:
    """Return the flags of the function of examples that are windows."""
    windows = ejected.config.data.windows
    if windows is None:
        return set()
    return {"windows", *["steps"] * (len(windows.steps) > 1), *["columns"] * (len(windows.targets) > 1)}


def window_blocks(ejected: EjectedRun, windowed: Windowed) -> list[Block]:
    """Return the numbers of the windows, and the code that reads where they begin."""
    windows = ejected.config.data.windows
    assert windows is not None
    first, last = windows.steps[0], windows.steps[-1]
    horizon: Code = f"np.arange({first}, {last + 1})" if len(windows.steps) > 1 else str(first)
    if len(windows.steps) <= last - first:
        horizon = call("np.array", sequence(map(str, windows.steps)))
    lines = [f"LENGTH = {windows.length}  # rows of a window", "# Rows from the end of a window to its target."]
    return [[*lines, *laid_out(horizon, "HORIZON = ")], function("split_windows", ["sorted"] * is_reordered(windowed))]


def source_lines(ejected: EjectedRun) -> tuple[Block, dict[str, str]]:
    """Return the code that reads arrays into `features`, and that of the labels by target."""
    data = ejected.config.data
    source, options = data.source, data.source.options
    if data.validation is not None or data.test is not None:
        raise ConfigError("data.validation and data.test cannot be ejected unless they are tables")
    if isinstance(options, ArraysSource):
        return array_lines(ejected, options)
    if isinstance(options, BuiltinSource):
        # As dltool does: the scaled data would have seen the test rows.
        scaled = "scaled=False" if source.name == "diabetes" else ""
        images, numbers = 'data.images[..., np.newaxis].astype("uint8")', 'data.data.astype("float32")'
        lines = [f"data = datasets.load_{source.name}({scaled})"]
        return [*lines, f"features = {images if source.name == 'digits' else numbers}"], {"target": "data.target"}
    given = {name: own for name, own in options if name not in ("path", "length") and own is not None}
    loaded = call(f"keras.datasets.{source.name}.load_data", **{name: value(own) for name, own in given.items()})
    lines = [*laid_out(loaded, "loaded = "), "(x_train, y_train), (x_test, y_test) = loaded"]
    if path := getattr(options, "path", None):
        names = ("x_train", "y_train", "x_test", "y_test")
        lines = [f"file = np.load({text(str(Path(path).absolute()))})", *(f'{each} = file["{each}"]' for each in names)]
    features = "np.concatenate([x_train, x_test])"
    if isinstance(options, TokenSource):
        # Zeros in front of short texts, and the last words of long ones.
        lines += laid_out(call("keras.utils.pad_sequences", features, maxlen=str(options.length)), "features = ")
    else:
        lines.append(f"features = {features}" + "[..., np.newaxis]" * source.name.endswith("mnist"))
    flattened = "[:, 0]" if source.name.startswith("cifar") else ""
    return lines, {"target": f"np.concatenate([y_train, y_test]){flattened}"}


def array_lines(ejected: EjectedRun, options: ArraysSource) -> tuple[Block, dict[str, str]]:
    """Return the code that loads the user's arrays, and that of the labels by target."""
    data = ejected.config.data
    if options.path is None:
        shape = np.load(str(options.x), mmap_mode="r").shape
        x, y = (f"np.load({text(str(Path(str(path)).absolute()))})" for path in (options.x, options.y))
        return [f"features = {as_input(ejected, 'input', x, shape)}"], {"target": y}
    path = Path(options.path).absolute()
    headers, wanted = npz_headers(path, str(path), ()), wanted_arrays(options, (), bool(data.targets))
    ends = [
        end
        for endings in ENDINGS.values()
        for end in [each for each in endings if any(f"{name}{each}" in headers for name in wanted.arrays)][:1]
    ]

    def whole(name: str) -> str:
        parts = [f"file[{text(name + end)}]" for end in ends]
        return parts[0] if len(parts) == 1 else f"np.concatenate([{', '.join(parts)}])"

    inputs: dict[str, Code] = {
        name: as_input(ejected, name, whole(array), headers[f"{array}{ends[0]}"].shape)
        for name, array in wanted.inputs.items()
    }
    code = mapping(inputs) if ejected.are_several else next(iter(inputs.values()))
    lines = [f"file = np.load({text(str(path))})", *laid_out(code, "features = ")]
    lines += [f'weights = {whole(data.weights)}.astype("float32")'] if data.weights else []
    return lines, {name: whole(array) for name, array in wanted.targets.items()}


def as_input(ejected: EjectedRun, name: str, array: str, shape: tuple[int, ...]) -> str:
    """Return the array in the shape and dtype of an input."""
    found = ejected.facts.inputs[name]
    axis = "[..., np.newaxis]" if (*shape[1:], 1) == found.shape else ""
    return f"{array}{axis}" + ("" if found.dtype == "string" else f".astype({text(found.dtype)})")


def preprocessed_first(ejected: EjectedRun) -> list[Block]:
    """Return the code that preprocesses all examples at once, and targets that are the inputs themselves."""
    lines: list[str] = []
    if ejected.is_preprocessed_first:
        lines = ["# Preprocessing, fitted to the training rows alone."]
        is_text = any(found.dtype == "string" for found in ejected.facts.inputs.values())
        lines += ["features = tf.constant(features.astype(object))"] if is_text else []
        entries = ejected.config.data.preprocessing
        for number, entry in enumerate(entries):
            is_one = [each.name for each in entries].count(entry.name) == 1
            name = snake_case(entry.name) if is_one else f"{snake_case(entry.name)}_{number}"
            lines += laid_out(keras_object(entry), f"{name} = ")
            lines += [f"{name}.adapt(tf.gather(features, train))"] if learns(entry) else []
            lines.append(f"features = {name}(features)")
        lines.append("features = np.asarray(features)")
    if not ejected.facts.targets:
        lines.append('targets = features.astype("float32")  # the model reconstructs its input')
    return [lines] if lines else []


def targets_block(ejected: EjectedRun, labels: Mapping[str, str]) -> Block:
    """Return the code that encodes labels as `targets`, a dict if there are several."""
    facts, data = ejected.facts, ejected.config.data
    lines: Block = []
    codes: dict[str, Code] = {}
    for name, target in data.targets.items():
        names = facts.targets[name].class_names
        classes = "CLASSES" if len(facts.targets) == 1 else f"{identifier(name).upper()}_CLASSES"
        options = target.type and target.type.options
        is_own = isinstance(data.source.options, ArraysSource)
        is_index = names == tuple(map(str, range(len(names)))) if is_own else not getattr(options, "positive", None)
        if getattr(data.source.options, "masks", None) is not None:
            codes[name] = labels[name]
        elif kind_of(data.source) != "arrays":
            codes[name] = target_values(ejected, name, target, labels.get(name), classes)
        else:
            codes[name] = label_values(facts.targets[name], labels[name], classes, is_index)
        if classes in flat(codes[name]):
            lines += laid_out(sequence(map(text, names)), f"{classes} = ")
    if not codes:
        return []
    return [*lines, *laid_out(mapping(codes) if len(codes) > 1 else next(iter(codes.values())), "targets = ")]


def label_values(found: Any, labels: str, classes: str, is_index: bool) -> Code:
    """Return the targets of arrays: numbers, or class indices."""
    if found.kind == "number":
        return f'{labels}.astype("float32")'
    if found.shape:
        own = labels if found.kind == "index" or is_index else f"np.unique({labels}, return_inverse=True)[1]"
        shaped = call("np.reshape", own, f"(-1, {', '.join(map(str, found.shape))})")
        return call("np.asarray", shaped, dtype='"int32"')
    if found.kind == "index" or is_index:
        return f'{labels}.astype("int32")'
    return call("np.array", f"[{classes}.index(str(label)) for label in {labels}]", dtype='"int32"')


def weight_blocks(ejected: EjectedRun) -> list[Block]:
    """Return the code of the weights of examples: `weights` of the data, `training_weights` with those of classes."""
    data, head = ejected.config.data, ejected.built.heads[0]
    blocks: list[Block] = []
    if data.weights is not None and ejected.facts.has_columns:
        blocks = [[f'weights = table[{text(data.weights)}].astype("float64").to_numpy("float32")']]
    if head.class_weights is None:
        return blocks
    names = ejected.facts.targets[head.target].class_names
    if isinstance(head.class_weights, Mapping):
        weights = [float(head.class_weights[name]) for name in names]
        lines = laid_out(call("np.array", value(weights), dtype='"float32"'), "class_weights = ")
    else:
        lines = function("balanced")
    own = " * weights" if data.weights is not None else ""
    return [*blocks, [*lines, f"training_weights = class_weights[targets]{own}"]]


def form_blocks(ejected: EjectedRun) -> list[Block]:
    """Return the code that brings the targets into the form of the losses and outputs."""
    if not ejected.config.model.outputs:
        code = form_of(ejected, ejected.built.heads[0], "targets")
        return [] if code == "targets" else [[f"targets = {code}"]]
    are_several = len(ejected.facts.targets) > 1
    codes: dict[str, Code] = {
        head.name: form_of(ejected, head, f"targets[{text(str(head.target))}]" if are_several else "targets")
        for head in ejected.built.heads
    }
    return [laid_out(mapping(codes), "targets = ")]


def form_of(ejected: EjectedRun, head: OutputSpec, targets: str) -> str:
    """Return the targets of an output: one-hot vectors, with an axis for one number of each, or as they are."""
    if head.target is None:
        return targets
    shape, built = ejected.facts.targets[head.target].shape, ejected.built
    if head.name in built.one_hot:
        return f'keras.utils.to_categorical({targets}, {built.one_hot[head.name]}).astype("float32")'
    has_axis = built.outputs[head.name].output_shape == (*shape, 1) or built.lacks_axis(head.name, len(shape) + 1)
    return f"{targets}[..., np.newaxis]" if has_axis else targets
