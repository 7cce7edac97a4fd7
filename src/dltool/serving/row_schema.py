"""The rows that a model takes, as a pydantic type made from its run: what is wrong is named by row and field."""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NotRequired

import numpy as np
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictStr,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict  # pydantic needs it before Python 3.12

from dltool.config.columns import UNIX, CategoryColumn, ColumnType, DateColumn
from dltool.config.schema import Data
from dltool.config.window_options import columns_in
from dltool.data.tables.builders import tidied
from dltool.data.tables.cells import NO_DATE
from dltool.data.tables.date_format import date_of
from dltool.serving.limits import Refused
from dltool.text import counted, did_you_mean, listed, near

if TYPE_CHECKING:
    from dltool.evaluation.model_interface import InputSchema

MOST_SHOWN = 50
"""Problems of one request, and names in a message."""
MOST_NAMED = 100_000
"""Problems of one request, of which the first are named: of a million, that takes seconds."""
MOST_KNOWN = 1_000
"""Categories in the schema."""
LONGEST = 80
"""Characters of a value in a message."""
FILES = ("image", "audio")
UNKNOWN_FIELD = "extra_forbidden"
ROW = "Row"
"""The name of a row's definition in the schema of a request."""


def request_type(
    inputs: "tuple[InputSchema, ...]", types: Mapping[str, ColumnType], data: Data, most: int
) -> TypeAdapter[Any]:
    """Return the type of a request with at most so many `rows`: mappings for a table, strings for texts, else nested
    lists, or mappings of them by input. `types` are those of the columns of a table."""
    row: Any = Any
    if types:
        fields = {each.name: field_of(each, types[each.name]) for each in inputs}
        if (windows := data.windows) is not None:
            # What separates and orders the rows of windows need not be an input.
            fields |= {name: ANY_CELL for name in (*windows.keys, *columns_in(windows.order)) if name not in fields}
        row = mapping_of(ROW, fields)
    elif data.source.name == "text":
        row = Annotated[StrictStr, AfterValidator(refuse_blank)]
    elif len(inputs) > 1:
        row = mapping_of(ROW, {each.name: Any for each in inputs})
    rows = Annotated[list[row], Field(min_length=1, max_length=most)]
    return TypeAdapter(mapping_of("Request", {"rows": rows}))


def refuse_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "Input should be a text that is not blank")
    return text


def mapping_of(name: str, fields: Mapping[str, Any]) -> Any:
    """Return the type of mappings with these fields, and no others."""
    made: Any = TypedDict  # called: its fields are known when the run is
    kind = made(name, dict(fields))
    kind.__pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)
    return kind


def field_of(schema: "InputSchema", column: ColumnType) -> Any:
    """Return the type of a column's values. A value that may be missing may be null, or left out."""
    options = column.options
    if isinstance(options, DateColumn):
        form: dict[str, Any] = (
            {"type": "integer"} if options.format in UNIX else {"type": "string", "x-date": options.format or "ISO"}
        )
        kind: Any = Annotated[Any, AfterValidator(DateCheck(options.format)), WithJsonSchema(form)]
    elif isinstance(options, CategoryColumn):
        form = {"type": ["string", "number"], "x-known": list(schema.categories or ())[:MOST_KNOWN]}
        kind = Annotated[Any, AfterValidator(CategoryCheck(options, schema)), WithJsonSchema(form)]
    elif column.name == "number":
        limits: list[Any] = [] if schema.low is None else [schema.low, schema.high]
        most = float(np.finfo(schema.dtype).max)
        kind = Annotated[StrictFloat, Field(ge=-most, le=most, json_schema_extra={"x-range": limits})]
    else:
        kind = StrictBool if column.name == "boolean" else StrictStr
    return NotRequired[kind | None] if schema.may_be_missing else kind


class DateCheck:
    """Checks that a value is a date in a format of strptime, or in one of `UNIX`; ISO 8601 by default."""

    def __init__(self, written: str | None) -> None:
        self.written = written

    def __call__(self, value: Any) -> Any:
        is_cell = isinstance(value, int if self.written in UNIX else str) and not isinstance(value, bool)
        if not (is_cell and date_of(str(value).strip(), self.written) != NO_DATE):
            wanted = "ISO 8601, such as 2026-01-31" if self.written is None else f"the format {self.written}"
            raise PydanticCustomError("date", "Input should be a date in {wanted}", {"wanted": wanted})
        return value


class CategoryCheck:
    """Checks that a value is a string or number, and one that training has seen if the model takes no others."""

    def __init__(self, options: CategoryColumn | None = None, schema: "InputSchema | None" = None) -> None:
        self.options, self.known = options, None
        if options is not None and schema is not None and schema.are_all:
            self.known = frozenset(schema.categories or ())

    def __call__(self, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number and not isinstance(value, str):
            raise PydanticCustomError("category", "Input should be a string or a number")
        if self.known is not None and self.options is not None:
            text = tidied(str(value), self.options)
            if text not in self.known:
                hint = did_you_mean(near(text, self.known)) or f"it has seen {listed(sorted(self.known), 10)}"
                raise PydanticCustomError("category", "Training has not seen this category; {hint}", {"hint": hint})
        return value


ANY_CELL = Annotated[Any, AfterValidator(CategoryCheck()), WithJsonSchema({"type": ["string", "number"]})] | None


def parsed(rows: TypeAdapter[Any], body: bytes) -> Any:
    """Return the value of a JSON body. Raises Refused: every problem, by row and field."""
    try:
        return rows.validate_json(body)
    except ValidationError as error:
        if (count := error.error_count()) > MOST_NAMED:
            raise Refused(422, f"the request is not what the model takes: {count:,} problems") from None
        found = error.errors(include_url=False, include_context=False)
    if found[0]["type"] == "json_invalid":
        raise Refused(400, f"the body is no JSON: {found[0]['msg'].partition(': ')[2]}")
    known = fields_of(rows)
    problems = [problem_of(each, known) for each in found[:MOST_SHOWN]]
    more = f": {counted(len(found), 'problem')}, of which {MOST_SHOWN} are shown" if len(found) > MOST_SHOWN else ""
    raise Refused(422, f"the request is not what the model takes{more}", problems)


def fields_of(rows: TypeAdapter[Any]) -> list[str]:
    """Return the names of the fields of a row; none if a row has no fields."""
    return list(rows.json_schema().get("$defs", {}).get(ROW, {}).get("properties", {}))


def problem_of(error: Any, known: list[str]) -> dict[str, Any]:
    """Return a problem by row, counted from 0 as in the request, and field."""
    places = list(error["loc"])
    first = next((index for index, place in enumerate(places) if isinstance(place, int)), None)
    row = None if first is None else places[first]
    field = next((place for place in places[(first or -1) + 1 :] if isinstance(place, str) and place != "rows"), None)
    message = error["msg"]
    if error["type"] == UNKNOWN_FIELD:
        hint = did_you_mean(near(str(field), known)) or f"the model takes {listed(known, MOST_SHOWN)}"
        message = f"Unknown field; {hint}"
    given = error["input"]
    # A list or an object may be as large as the request.
    text = counted(len(given), "value") if isinstance(given, list | dict) else json.dumps(given, ensure_ascii=False)
    text = " ".join((given if isinstance(given, str) else text).split())
    shown = {} if error["type"] == "missing" else {"given": text[:LONGEST]}
    return {"row": row, "field": field, "message": message, **shown}
