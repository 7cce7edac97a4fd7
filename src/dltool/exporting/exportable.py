"""The model to export: raw inputs in, named outputs out, with some inputs preprocessed before it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from dltool.config.columns import CategoryColumn, ColumnType
from dltool.config.outputs import heads_of
from dltool.config.schema import Config
from dltool.data.facts import Facts
from dltool.experiment.opening import best_model, recorded_kind
from dltool.exporting.safe_names import safe_names
from dltool.model.build import BuiltModel
from dltool.model.column_states import ColumnState
from dltool.runs.files import Run


@dataclass(frozen=True)
class ExportInput:
    """One input of an exported model: `name` in the file, `column` in the data. `values` say how it is preprocessed
    before the model, for :mod:`dltool.exporting.preprocess`, if it is; `is_lookup`: a category."""

    name: str
    column: str
    tensor: Any
    values: Mapping[str, Any] | None = None
    is_lookup: bool = False


@dataclass(frozen=True)
class Exportable:
    """`model` takes a dict of the `inputs` by their names and returns a dict of outputs by theirs, which `outputs` has
    by the names of the run."""

    model: keras.Model
    inputs: tuple[ExportInput, ...]
    outputs: Mapping[str, str]

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs for tensors. No state changes: some random layers draw seeds that they do not use."""
        with keras.StatelessScope():
            return self.model(dict(inputs), training=False)  # type: ignore[no-any-return]


def parts_of(run: Run, config: Config, facts: Facts) -> list[BuiltModel]:
    """Return the best model of a run, or those of the folds whose mean it is, in float32 if it computes with 16 bits.

    Raises as :func:`dltool.experiment.opening.best_model`."""
    if config.data.final == "ensemble":
        # Their number is checked where the whole model is loaded.
        return [built for part in run.parts if part.is_complete() for built in parts_of(part, *recorded_kind(part))]
    if config.training.precision.startswith("mixed_"):
        training = config.training.model_copy(update={"precision": "float32"})
        config = config.model_copy(update={"training": training})
    return [best_model(run, config, facts)]


def exportable(config: Config, facts: Facts, parts: Sequence[BuiltModel], outside: Collection[str]) -> Exportable:
    """Return the model of `parts`, whose inputs `outside` are preprocessed before it. Categories among them may be
    looked up by a node of the file."""
    names = safe_names([name for name in facts.inputs if name not in outside])
    shared = {
        name: keras.Input(facts.inputs[name].shape, dtype=facts.inputs[name].dtype, name=safe)
        for name, safe in names.items()
    }
    inputs = [ExportInput(names[name], name, tensor) for name, tensor in shared.items()]
    every = []
    for number, built in enumerate(parts, 1):
        ends = [f"{name}_{number}" if len(parts) > 1 else name for name in outside]
        own = safe_names(ends, [each.name for each in inputs])
        given: dict[str, Any] = {}
        for name, end in zip(outside, ends, strict=True):
            wanted = built.core.input[name] if isinstance(built.core.input, dict) else built.core.inputs[0]
            given[name] = keras.Input(wanted.shape[1:], dtype=wanted.dtype, name=own[end])
            column = facts.inputs[name].column
            values = preprocessing_of(column, built, name)
            is_lookup = column is not None and isinstance(column.options, CategoryColumn)
            inputs.append(ExportInput(own[end], name, given[name], values, is_lookup))
        for name, tensor in shared.items():
            before = built.preprocessors.get(name)
            given[name] = tensor if before is None else inside(before, number)(tensor)
        core = inside(built.core, number)
        named = {name: given[name] for name in facts.inputs}
        found = core(named if isinstance(core.input, dict) else next(iter(named.values())))
        every.append(found if isinstance(found, dict) else {heads_of(config)[0].name: found})
    outputs = safe_names(list(every[0]), [*(each.name for each in inputs), *facts.inputs])
    found = {safe: mean([each[name] for each in every]) for name, safe in outputs.items()}
    return Exportable(keras.Model({each.name: each.tensor for each in inputs}, found), tuple(inputs), outputs)


def inside(model: keras.Model, number: int) -> keras.Model:
    """Return the model with a name of its own, as those of several parts stand in one model."""
    return keras.Model(model.input, model.output, name=f"{model.name}_{number}")


def mean(outputs: list[Any]) -> Any:
    return outputs[0] if len(outputs) == 1 else keras.layers.Average(dtype=outputs[0].dtype)(outputs)


def preprocessing_of(column: ColumnType | None, built: BuiltModel, name: str) -> dict[str, Any]:
    """Return as JSON how a raw input is preprocessed, for :mod:`dltool.exporting.preprocess`."""
    state: ColumnState = built.fitted.columns.get(name, {})
    if column is None or column.name == "text":
        return {"kind": "text", **text_state(built, name)}
    options = column.options
    if isinstance(options, CategoryColumn):
        first, vocabulary = 0 if options.unknown == "error" else 1, list(state["vocabulary"])
        indices = {word: index for index, word in enumerate(vocabulary, first)}
        # Where unknown values are an error, they get an index that no embedding has.
        unknown = 0 if first else len(vocabulary)
        fill = {"": indices[state["fill"]]} if state.get("fill") else {}
        return {"kind": "category", "indices": {**indices, **fill}, "unknown": unknown}
    fitted = {name: each for name, each in state.items() if name in ("fill", "center", "spread")}
    return {"kind": column.name, **options.model_dump(mode="json"), **fitted}


def text_state(built: BuiltModel, name: str) -> dict[str, Any]:
    """Return the settings of the layer TextVectorization of an input, with its vocabulary. Raises ConfigError: it does
    something that no program of an export does."""
    (layer,) = (each for each in built.preprocessors[name].layers if isinstance(each, keras.layers.TextVectorization))
    found = layer.get_config()
    weights = getattr(layer._lookup_layer, "idf_weights_const", None)
    size = found["max_tokens"] if found.get("pad_to_max_tokens") else None
    return {
        "standardize": found["standardize"],
        "split": found["split"],
        "ngrams": list(found["ngrams"]) if isinstance(found["ngrams"], list | tuple) else found["ngrams"],
        "output_mode": found["output_mode"],
        "length": found["output_sequence_length"],
        "size": size,
        "vocabulary": [str(word) for word in layer.get_vocabulary()],
        "weights": None if weights is None else [float(weight) for weight in keras.ops.convert_to_numpy(weights)],
    }
