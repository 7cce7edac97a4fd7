"""Requests of model servers' protocols: tensors of the model's own inputs, as its outputs are answered."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from dltool.data.arrays.rows import Rows, coded
from dltool.data.tables.cells import NO_DATE
from dltool.serving.limits import Refused
from dltool.serving.row_schema import parsed
from dltool.serving.served import Query, Served
from dltool.text import quoted

if TYPE_CHECKING:
    from dltool.evaluation.model_interface import InputSchema

DATATYPES: Mapping[str, str] = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
STRING = "BYTES"
NAMES = {dtype: name for name, dtype in DATATYPES.items()} | {"string": STRING}


def request_of(adapter: TypeAdapter[Any], body: bytes) -> Any:
    """Return the value of a JSON body. Raises Refused: every problem in one text, as the protocols have it."""
    try:
        return parsed(adapter, body)
    except Refused as refused:
        problems = refused.problems or ()
        texts = [f"{each['field']}: {each['message']}" if each["field"] else each["message"] for each in problems]
        raise Refused(400, "; ".join(dict.fromkeys(texts)) or refused.reason) from None


def query_of(model: Served, tensors: Mapping[str, np.ndarray]) -> Query:
    """Return the question of these inputs. Raises Refused: they are not what the model takes."""
    wanted = {each.name: each for each in model.predictor.inputs}
    if unknown := [name for name in tensors if name not in wanted]:
        raise Refused(400, f"the model has no input {unknown[0]}; it has {', '.join(wanted)}")
    if missing := [name for name in wanted if name not in tensors]:
        raise Refused(400, f"the inputs {', '.join(missing)} are missing")
    given = {name: fitted(schema, tensors[name]) for name, schema in wanted.items()}
    lengths = {len(rows) for rows in given.values()}
    if len(lengths) > 1 or 0 in lengths:
        raise Refused(400, f"the inputs have {', '.join(map(str, sorted(lengths)))} rows; each row needs all inputs")
    return Query(lengths.pop(), inputs=given, in_words=False)


def fitted(schema: "InputSchema", found: np.ndarray) -> Rows:
    """Return values as the rows of an input. Raises Refused: they have another shape, lose by its dtype, are no
    categories of a column that takes no others, or are missing where they must not."""
    name, shape, dtype = schema.name, schema.shape, schema.dtype
    if found.shape[1:] == (1,) and shape == ():
        found = found[:, 0]
    if found.shape[1:] != shape:
        raise Refused(400, f"{name} has the shape {list(found.shape)}; the model takes {[-1, *shape]}")
    is_text = found.dtype == object
    if is_text != (dtype == "string"):
        raise Refused(
            400,
            f"{name} has the datatype {STRING if is_text else NAMES[str(found.dtype)]}; the model takes {NAMES[dtype]}",
        )
    if is_text:
        rows = coded(found)
        unseen = [text for text in rows.values if schema.are_all and text not in (schema.categories or ())]
        if unseen and (unseen[0] or not schema.may_be_missing):
            raise Refused(400, f"{name}: training has not seen {quoted(unseen[0])}")
        return rows
    with np.errstate(all="ignore"):
        converted = found.astype(dtype)
    if dtype not in ("float32", "float64") and not np.array_equal(converted, found):
        raise Refused(400, f"{name}: the model takes {dtype}, and some values are none")
    if np.isinf(converted).any():
        raise Refused(400, f"{name}: some values are infinite, or too large for {dtype}")
    is_missing = converted == NO_DATE if schema.type == "date" else np.isnan(converted)
    if is_missing.any() and not schema.may_be_missing:
        raise Refused(400, f"{name}: the model takes no missing values")
    return converted
