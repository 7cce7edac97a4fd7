"""The Open Inference Protocol, version 2 (KServe, Triton, Seldon): tensors of the model's own inputs and outputs.

Source: github.com/kserve/open-inference-protocol, and the extension "binary tensor data" of Triton's HTTP protocol, in
which the JSON is followed by the bytes of tensors, little-endian; a string is its length in 4 bytes and its UTF-8."""

import json
import math
import re
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field, TypeAdapter

from dltool.serving.limits import Refused
from dltool.serving.served import Answer, Query, Served
from dltool.serving.tensors import DATATYPES, NAMES, STRING, query_of, request_of

LENGTH = "inference-header-content-length"
"""The header with the bytes of JSON before the bytes of tensors."""
Size = Annotated[int, Field(ge=1, le=2**40)]
MOST_TENSORS = 10_000
"""Tensors of a request: of a million that are none, naming the problems alone takes minutes."""


class TensorParameters(BaseModel):
    binary_data_size: Size | None = None
    binary_data: bool | None = None


class RequestTensor(BaseModel):
    name: str
    shape: Annotated[list[Size], Field(min_length=1, max_length=16)]
    datatype: str
    data: Any = None
    parameters: TensorParameters = TensorParameters()


class RequestOutput(BaseModel):
    name: str
    parameters: TensorParameters = TensorParameters()


class RequestParameters(BaseModel):
    binary_data_output: bool = False


class InferenceRequest(BaseModel):
    id: str | None = None
    inputs: Annotated[list[RequestTensor], Field(min_length=1, max_length=MOST_TENSORS)]
    outputs: Annotated[list[RequestOutput], Field(max_length=MOST_TENSORS)] = []
    parameters: RequestParameters = RequestParameters()


REQUEST = TypeAdapter(InferenceRequest)


def metadata(model: Served) -> dict[str, Any]:
    """Return the names, datatypes and shapes of the model's inputs and outputs; -1 is any length."""
    inputs = [tensor(each.name, each.dtype, each.shape) for each in model.predictor.inputs]
    # Of a reconstruction, the answer is its error.
    shapes = {each.name: () if each.kind == "input" else each.shape for each in model.predictor.outputs}
    outputs = [tensor(name, "float32", shape) for name, shape in shapes.items()]
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": f"dltool_{model.predictor.engine}",
        "inputs": inputs,
        "outputs": outputs,
    }


def tensor(name: str, dtype: str, shape: Sequence[int | None]) -> dict[str, Any]:
    return {"name": name, "datatype": NAMES[dtype], "shape": [-1, *(-1 if size is None else size for size in shape)]}


def question(model: Served, body: bytes, length: str | None) -> tuple[InferenceRequest, Query]:
    """Return a request and its question. `length` is the value of the header `LENGTH`. Raises Refused."""
    end = len(body) if length is None else int(length) if re.fullmatch("[0-9]{1,18}", length) else -1
    if not 0 <= end <= len(body):
        raise Refused(400, f"{LENGTH} is {str(length)[:20]}, and the body has {len(body)} bytes")
    request: InferenceRequest = request_of(REQUEST, body[:end])
    given = {}
    for each in request.inputs:
        if each.name in given:
            raise Refused(400, f"the input {each.name} is there twice")
        raw, end = taken(body, end, each)
        given[each.name] = values(each, raw)
    if end != len(body):
        raise Refused(400, f"{len(body) - end} bytes of the body belong to no tensor")
    return request, query_of(model, given)


def taken(body: bytes, start: int, each: RequestTensor) -> tuple[bytes | None, int]:
    """Return the bytes of a tensor, if it is sent as bytes, and where they end."""
    size = each.parameters.binary_data_size
    if size is None:
        return None, start
    if start + size > len(body):
        raise Refused(400, f"{each.name}: the body ends before its {size} bytes")
    return body[start : start + size], start + size


def values(each: RequestTensor, raw: bytes | None) -> np.ndarray:
    """Return the values of a tensor in its shape. Raises Refused: they do not fit its datatype and shape."""
    if each.datatype not in (*DATATYPES, STRING):
        raise Refused(400, f"{each.name}: {each.datatype} is no datatype; there are {', '.join([*DATATYPES, STRING])}")
    count = math.prod(each.shape)
    if raw is not None:
        found = strings_of(each.name, raw) if each.datatype == STRING else numbers_of(each, raw)
    else:
        found = listed_values(each, count)
    if found.size != count:
        raise Refused(400, f"{each.name}: {found.size} values do not have the shape {each.shape}")
    return found.reshape(each.shape)


def numbers_of(each: RequestTensor, raw: bytes) -> np.ndarray:
    dtype = np.dtype(DATATYPES[each.datatype]).newbyteorder("<")
    if len(raw) % dtype.itemsize:
        raise Refused(400, f"{each.name}: {len(raw)} bytes are not a multiple of {each.datatype}")
    return np.frombuffer(raw, dtype).astype(dtype.newbyteorder("="))


def strings_of(name: str, raw: bytes) -> np.ndarray:
    found, start = [], 0
    while start < len(raw):
        end = start + 4 + int.from_bytes(raw[start : start + 4], "little")
        if end > len(raw):
            raise Refused(400, f"{name}: a string is longer than the bytes of the tensor")
        try:
            found.append(raw[start + 4 : end].decode())
        except UnicodeDecodeError:
            raise Refused(400, f"{name}: string {len(found)} is not UTF-8") from None
        start = end
    return np.array(found, dtype=object)


def listed_values(each: RequestTensor, count: int) -> np.ndarray:
    """Return values from JSON, flat or nested; null is a missing number, NaN."""
    flat = list(flattened(each.name, each.data, count))
    if each.datatype == STRING:
        if not all(isinstance(value, str) for value in flat):
            raise Refused(400, f"{each.name}: BYTES are strings")
        return np.array(flat, dtype=object)
    is_float = each.datatype.startswith("FP")
    kinds = (bool,) if each.datatype == "BOOL" else (int, float) if is_float else (int,)
    fits = all(type(value) in kinds or (value is None and is_float) for value in flat)
    try:
        with np.errstate(over="ignore"):
            found = np.array([math.nan if value is None else value for value in flat], dtype=DATATYPES[each.datatype])
    except (OverflowError, TypeError, ValueError):
        fits = False
    if not fits:
        raise Refused(400, f"{each.name}: the data are no numbers of type {each.datatype}")
    return found


def flattened(name: str, data: Any, most: int) -> list[Any]:
    """Return the values in nested lists, in order. Raises Refused: there are more than `most`, or they are nested
    deeper than tensors are."""
    level = data if isinstance(data, list) else [] if data is None else [data]
    for _ in range(16):
        if not any(isinstance(each, list) for each in level):
            return level
        if not all(isinstance(each, list) for each in level) or len(level) > most:
            break
        level = [value for each in level for value in each]
    raise Refused(400, f"{name}: the data are no tensor of {most} values")


def response(model: Served, request: InferenceRequest, answer: Answer) -> tuple[bytes, int | None]:
    """Return the body of a response and, if bytes follow its JSON, the length of that. Raises Refused: an output that
    is asked for is none."""
    wanted = request.outputs or [RequestOutput(name=name) for name in answer.outputs]
    if unknown := [each.name for each in wanted if each.name not in answer.outputs]:
        raise Refused(400, f"the model has no output {unknown[0]}; it has {', '.join(answer.outputs)}")
    outputs, raw = [], b""
    for each in wanted:
        found = np.ascontiguousarray(answer.outputs[each.name], dtype="<f4")
        is_binary = each.parameters.binary_data
        described: dict[str, Any] = {"name": each.name, "datatype": "FP32", "shape": list(found.shape)}
        if request.parameters.binary_data_output if is_binary is None else is_binary:
            described["parameters"] = {"binary_data_size": found.nbytes}
            raw += found.tobytes()
        else:
            described["data"] = [value if math.isfinite(value) else None for value in found.ravel().tolist()]
        outputs.append(described)
    named = {"model_name": model.name, "model_version": model.version, "outputs": outputs}
    head = json.dumps(named | ({} if request.id is None else {"id": request.id})).encode()
    return head + raw, len(head) if raw else None
