"""Turn raw inputs into the first layer's input: preprocess, encode, concatenate all columns."""

import re
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from dltool.config.columns import ColumnType
from dltool.config.schema import Config
from dltool.config.text.blocks import INPUT
from dltool.data.arrays.rows import Rows
from dltool.data.facts import Facts
from dltool.errors import ConfigError, ConfigPath, Problem, RunError
from dltool.model.apply import Applied, Names, Placed, apply_layer
from dltool.model.column_states import ColumnState
from dltool.model.columns import encode, is_vector, learn, prepare
from dltool.model.keras_objects import KERAS_ERRORS, TooManyParametersError, plain_message
from dltool.model.preprocessing import PreprocessingState, build_preprocessing, layer_state, learns
from dltool.text import shape_text

SOURCE: ConfigPath = ("data", "source")
INPUTS: ConfigPath = ("data", "inputs")


@dataclass(frozen=True)
class Fitted:
    """The fitted state of preprocessing: the layers of `data.preprocessing`, and columns by name."""

    layers: PreprocessingState = field(default_factory=dict)
    columns: Mapping[str, ColumnState] = field(default_factory=dict)


@dataclass(frozen=True)
class Preprocessed:
    """Raw and preprocessed inputs by name, with the rows of the plan and the fitted state."""

    raw: Mapping[str, Placed]
    outputs: Mapping[str, Placed]
    layers: tuple[Applied, ...]
    fitted: Fitted


def layer_title(name: str) -> str:
    """Return a column's name in a form that Keras allows as the name of an input."""
    return scope_title(name) if "/" in name or not name else name


def scope_title(name: str) -> str:
    """Return a column's name in a form that TensorFlow allows in layer names, unique to the column."""
    if re.fullmatch(r"[A-Za-z0-9.][A-Za-z0-9_.-]*", name):
        return name
    return f"column_{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}_{zlib.crc32(name.encode()):08x}"


def structure(facts: Facts, tensors: Mapping[str, Placed]) -> Any:
    """Return the only tensor, or a dict for data with several inputs."""
    if facts.only_input is not None:
        return next(iter(tensors.values())).tensor
    return {name: origin.tensor for name, origin in tensors.items()}


def preprocess_inputs(
    config: Config, facts: Facts, names: Names, training: Mapping[str, Rows] | None, fitted: Fitted | None
) -> Preprocessed:
    """Preprocess the inputs, a single one by `data.preprocessing`. Raises as :func:`dltool.model.build.build_model`."""
    if facts.only_input is None:
        return preprocess_several(facts, names, training, fitted)
    ((name, found),) = facts.inputs.items()
    entries = config.data.preprocessing
    raw = source = Placed(keras.Input(found.shape, dtype=found.dtype, name=layer_title(name)), SOURCE)
    rows = None if training is None else training[name]
    state = None if fitted is None else fitted.layers
    applied = build_preprocessing(entries, source, names, rows, state)
    if applied:
        source = Placed(applied[-1].output, applied[-1].path)
    source = without_bytes(source, "cast")
    names.name_operations(raw.tensor, source.tensor)
    stateful = {f"{i}-{entry.name}": applied[i].layer for i, entry in enumerate(entries) if learns(entry)}
    is_fitted = state is not None or rows is not None
    layers = {key: layer_state(layer) for key, layer in stateful.items()} if is_fitted else {}
    return Preprocessed({name: raw}, {name: source}, tuple(applied), Fitted(layers))


def without_bytes(source: Placed, name: str) -> Placed:
    """Cast bytes to float32, as which Keras feeds numbers to a model: bytes would overflow in its layers."""
    if source.tensor.dtype != "uint8":
        return source
    cast = apply_layer(keras.layers.Rescaling(1.0, name=name), [source], source.place)
    return Placed(cast.output, source.place)


def preprocess_several(
    facts: Facts, names: Names, training: Mapping[str, Rows] | None, fitted: Fitted | None
) -> Preprocessed:
    """Preprocess each column by its type; arrays stay unchanged."""
    states: dict[str, ColumnState] = {}
    raw: dict[str, Placed] = {}
    outputs: dict[str, Placed] = {}
    for name, found in facts.inputs.items():
        place: ConfigPath = (*SOURCE, "arrays", "x", name) if found.column is None else (*INPUTS, name)
        raw[name] = Placed(keras.Input(found.shape, dtype=found.dtype, name=layer_title(name)), place)
        if found.column is None:
            outputs[name] = without_bytes(raw[name], f"cast_{scope_title(name)}")
            continue
        if fitted is None:
            assert training is not None
            states[name] = learn(found.column, training[name], place)
        elif name in fitted.columns:
            states[name] = fitted.columns[name]
        else:
            raise RunError(f"the saved preprocessing knows no column {name[:100]}")
        outputs[name] = Placed(preprocessed_column(found.column, states[name], raw[name].tensor, name, names), place)
    return Preprocessed(raw, outputs, (), Fitted(columns=states))


def preprocessed_column(column: ColumnType, state: ColumnState, raw: Any, name: str, names: Names) -> Any:
    try:
        prepared = prepare(column, state, raw, scope_title(name))
    except KERAS_ERRORS as error:
        raise unfit(name, error) from error
    names.name_operations(raw, prepared, f"{scope_title(name)}_")
    return prepared


def wire(
    config: Config, facts: Facts, starts: Mapping[str, Placed], fitted: Fitted
) -> tuple[Mapping[str, Placed], Placed, tuple[Applied, ...]]:
    """Encode the preprocessed inputs `starts`, and concatenate those that no layer takes by name.

    Return the inputs that `from` may name, the input of the first layer, and the rows of the plan.

    Raises ConfigError: a column that is not a vector would be concatenated, or an embedding is too large."""
    if facts.only_input is not None:
        ((name, first),) = starts.items()
        return {name: first, INPUT: first}, first, ()
    encoded = dict(starts)
    for name, origin in starts.items():
        if column := facts.inputs[name].column:
            encoded[name] = Placed(encoded_column(column, fitted.columns[name], origin, name), origin.place)
    layers = config.model.layers
    refuse_ignored(config)
    taken = {name for entry in layers for name in entry.sources}
    joined = {name: origin for name, origin in encoded.items() if name not in taken}
    takes_joined = not layers[0].sources or (INPUT in taken and INPUT not in encoded)
    if not joined or not takes_joined:
        # The first layer names its inputs itself.
        return encoded, next(iter(encoded.values())), ()
    if len(joined) == 1:
        (first,) = joined.values()
        return {INPUT: first, **encoded}, first, ()
    problems = []
    ((usual, _),) = Counter(origin.shape[:-1] for origin in joined.values()).most_common(1)
    for name, origin in joined.items():
        # Columns of windows that are known in advance, or are static, have another length.
        if not is_vector(facts.inputs[name]) or (facts.inputs[name].column and origin.shape[:-1] != usual):
            message = f"{name} is {shape_text(origin.shape)} and cannot stand in one vector with other inputs"
            problems.append(Problem(origin.place, message, f"let a layer take it: from: {name}"))
    ConfigError.refuse(problems)
    applied = apply_layer(keras.layers.Concatenate(name="inputs"), list(joined.values()), INPUTS)
    first = Placed(applied.output, SOURCE)
    return {INPUT: first, **encoded}, first, (applied,)


def encoded_column(column: ColumnType, state: ColumnState, origin: Placed, name: str) -> Any:
    try:
        return encode(column, state, origin.tensor, scope_title(name))
    except TooManyParametersError as error:
        place = (*origin.place, column.name, "embedding")
        raise ConfigError(Problem(place, f"the embedding makes the model too large: {error}")) from error
    except KERAS_ERRORS as error:
        raise unfit(name, error) from error


def unfit(name: str, error: Exception) -> RunError:
    """Return the error of a column's state: one that was just fitted cannot fail; only a saved one can."""
    return RunError(f"the saved preprocessing does not fit the column {name[:100]}: {plain_message(error)}")


def refuse_ignored(config: Config) -> None:
    own = {entry.arguments.get("name") for entry in config.model.layers}
    ignored = {name for name, kind in (config.data.inputs or {}).items() if kind.name == "ignore"} - own
    ConfigError.refuse(
        Problem(
            ("model", "layers", index, entry.name, "from"),
            f'the column "{name}" is ignored',
            f"declare it under data.inputs: {name}: number",
        )
        for index, entry in enumerate(config.model.layers)
        for name in entry.sources
        if name in ignored
    )
