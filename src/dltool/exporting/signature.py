"""What the file of an export takes and gives, as JSON, and five examples of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dltool.config.outputs import heads_of
from dltool.data.arrays.rows import Rows
from dltool.data.dataset import Dataset
from dltool.evaluation.model_interface import InputSchema, OutputSchema
from dltool.evaluation.predictions import records
from dltool.evaluation.predictor import Predictor
from dltool.evaluation.tasks import evaluators
from dltool.exporting.exportable import Exportable
from dltool.exporting.made_rows import MISSING

MOST_VALUES = 100_000
"""Values of the example."""
MOST_READ = 2**26
"""Values of an array that its range is found from."""
EXAMPLES = 5
RULES = {
    "category": {"strip", "case", "replace"},
    "number": {"thousands", "decimal", "strip"},
    "date": {"format"},
}
"""Options of columns by which dltool reads a file: a caller applies them before."""


def training_ranges(predictor: Predictor, dataset: Dataset | None) -> dict[str, list[float]]:
    """Return the least and the largest finite value of each array of numbers, in training rows that are spread evenly,
    all of them if they are at most MOST_READ values."""
    found: dict[str, list[float]] = {}
    for name, facts in predictor.facts.inputs.items():
        if dataset is not None and facts.column is None and facts.dtype != "string":
            rows = dataset.examples("train").inputs[name]
            most = max(1, MOST_READ // max(1, int(np.prod(facts.shape))))
            values = np.asarray(rows[np.arange(0, len(rows), -(-len(rows) // most))])
            finite = values[np.isfinite(values)]
            found |= {name: [finite.min().item(), finite.max().item()]} if finite.size else {}
    return found


def signature_of(
    predictor: Predictor,
    given: Exportable,
    names: Mapping[str, str],
    looks_up: bool,
    batch: int | None,
    ranges: Mapping[str, list[float]],
) -> dict[str, Any]:
    """Return the signature. `names` are those of the inputs in the file, by their names in `given`."""
    schemas = {each.name: each for each in predictor.inputs}
    inputs: dict[str, Any] = {}
    for each in given.inputs:
        is_outside = each.values is not None and not (looks_up and each.is_lookup)
        shape = [None if size is None else int(size) for size in each.tensor.shape[1:]]
        found = described(schemas[each.column], predictor)
        if each.column in ranges:
            found["training_range"] = ranges[each.column]
        if is_outside:
            found |= {"dtype": str(each.tensor.dtype), "shape": shape, "preprocessing": each.name}
        inputs[names[each.name]] = {"name": names[each.name], **found}
    heads = {head.name: head for head in heads_of(predictor.config)}
    outputs = [
        {"name": (safe := given.outputs[each.name]), "output": each.name, "dtype": str(given.model.output[safe].dtype)}
        | meaning(each, heads[each.name])
        for each in predictor.outputs
    ]
    return {"batch": batch, "inputs": list(inputs.values()), "outputs": outputs}


def described(schema: InputSchema, predictor: Predictor) -> dict[str, Any]:
    """Return a raw input: its column and type, what stands for a missing value, and the values of training."""
    found: dict[str, Any] = {
        "column": schema.name,
        "type": schema.type,
        "dtype": schema.dtype,
        "shape": list(schema.shape),
        "missing": MISSING[schema.dtype] if schema.may_be_missing else None,
    }
    if schema.categories is not None:
        found |= {"categories": list(schema.categories), "takes_others": not schema.are_all}
    if schema.low is not None:
        found["training_range"] = [schema.low, schema.high]
    if schema.type == "date":
        found["unit"] = "seconds since 1970-01-01T00:00"
    column = predictor.types.get(schema.name)
    if column is not None:
        options = column.options
        rules = {name: value for name in RULES.get(column.name, ()) if (value := getattr(options, name))}
        rules.pop("case", None) if rules.get("case") == "keep" else None
        found |= {"reading": rules} if rules else {}
    return found


def meaning(schema: OutputSchema, head: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": schema.kind, "shape": list(schema.shape)}
    if schema.classes:
        is_logit = head.loss.arguments.get("from_logits") is True
        found |= {"classes": list(schema.classes), "values": "logits" if is_logit else "probabilities"}
    if schema.thresholds is not None:
        found["thresholds"] = list(schema.thresholds)
    return found


def example_of(
    predictor: Predictor, inputs: Mapping[str, Rows], outputs: Mapping[str, np.ndarray], names: Mapping[str, str]
) -> dict[str, Any]:
    """Return a few rows: raw values by column, the outputs of the model, and the columns of `dltool predict`."""
    values = sum(int(np.prod(rows.shape[1:])) for rows in inputs.values())
    count = max(1, min(EXAMPLES, MOST_VALUES // max(1, values), len(next(iter(inputs.values())))))
    columns = {name: plain(np.asarray(rows[np.arange(count)])) for name, rows in inputs.items()}
    found = {name: values[:count] for name, values in outputs.items()}
    example: dict[str, Any] = {"columns": columns, "outputs": {names[n]: plain(each) for n, each in found.items()}}
    every = evaluators(predictor.config, predictor.facts)
    if not any(each.unclear or each.head.target is None for each in every):
        example["predictions"] = records(predictor.columns(found))
    return example


def plain(values: np.ndarray) -> Any:
    """Return values for JSON. Missing numbers are null, and "nan" inside of lists."""
    if values.dtype.kind != "f" or not np.isnan(values).any():
        return values.tolist()
    found = values.astype(object)
    found[np.isnan(values)] = None if values.ndim == 1 else "nan"
    return found.tolist()
