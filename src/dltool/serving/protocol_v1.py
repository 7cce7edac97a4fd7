"""TensorFlow Serving's REST interface: `instances` by row, or `inputs` by column, of the model's own inputs.

Source: tensorflow.org/tfx/serving/api_rest."""

import math
from collections.abc import Mapping
from types import NoneType
from typing import Any

import numpy as np
from pydantic import BaseModel, TypeAdapter

from dltool.serving.limits import Refused
from dltool.serving.served import Answer, Query, Served, nested
from dltool.serving.tensors import query_of, request_of


class PredictRequest(BaseModel):
    instances: list[Any] | None = None
    inputs: Any = None
    signature_name: str | None = None


REQUEST = TypeAdapter(PredictRequest)


def question(model: Served, body: bytes) -> tuple[bool, Query]:
    """Return whether the answer is by row, and the question of a request. Raises Refused."""
    request: PredictRequest = request_of(REQUEST, body)
    names = [each.name for each in model.predictor.inputs]
    if (request.instances is None) == (request.inputs is None):
        raise Refused(400, "the request has either instances, by row, or inputs, by column")
    if request.signature_name not in (None, "serving_default"):
        raise Refused(404, f"there is no signature {request.signature_name}; there is serving_default")
    if request.instances is not None:
        columns = columns_of(request.instances, names)
    elif isinstance(request.inputs, Mapping):
        columns = dict(request.inputs)
    else:
        columns = dict.fromkeys(names[:1], request.inputs)
    tensors = {name: array_of(name, values) for name, values in columns.items()}
    return request.instances is not None, query_of(model, tensors)


def columns_of(instances: list[Any], names: list[str]) -> dict[str, list[Any]]:
    """Return the values of the rows by input; a row of a model with one input need not name it."""
    if not instances:
        raise Refused(400, "there are no instances")
    if len(names) == 1 and not any(isinstance(row, Mapping) for row in instances):
        return {names[0]: instances}
    for number, row in enumerate(instances):
        if not isinstance(row, Mapping) or set(row) != set(names):
            raise Refused(400, f"instance {number} is no mapping of {', '.join(names)}")
    return {name: [row[name] for row in instances] for name in names}


def array_of(name: str, values: Any) -> np.ndarray:
    """Return nested lists as an array of numbers, null as NaN, or of str objects. Raises Refused: they are neither."""
    found, kinds = nested(values)
    if list in kinds:
        raise Refused(400, f"{name}: the rows have different shapes")
    if kinds == {str} and found.ndim:
        return found
    flat = [math.nan if value is None else value for value in found.ravel().tolist()]
    numbers = np.array(flat if kinds <= {bool, int, float, NoneType} else None)
    if found.ndim == 0 or numbers.dtype == object:
        raise Refused(400, f"{name}: a list of numbers or strings is expected")
    return numbers.reshape(found.shape)


def response(by_row: bool, answer: Answer) -> dict[str, Any]:
    """Return `predictions` by row or `outputs` by column; the name of a model's only output is left out."""
    values = {name: plain(each) for name, each in answer.outputs.items()}
    if not by_row:
        return {"outputs": next(iter(values.values())) if len(values) == 1 else values}
    if len(values) == 1:
        return {"predictions": next(iter(values.values()))}
    return {"predictions": [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]}


def plain(values: np.ndarray) -> list[Any]:
    """Return nested lists for JSON, which has neither NaN nor infinity."""
    found = values.astype(object)
    found[~np.isfinite(values)] = None
    return list(found.tolist())
