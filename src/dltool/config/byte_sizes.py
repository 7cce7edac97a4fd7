"""Amounts of bytes: `4 GB`, `500 MB`, or `off` for none."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from dltool.config.wording import named
from dltool.errors import Problem

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
AMOUNT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,3})?) ?([KMGT]?B)")
LEAST = 1_000
"""Fewer bytes are a unit forgotten."""


def byte_size(value: Any) -> int:
    """Bytes; 0 for `off`.

    Raises:
        PydanticCustomError: of type "problems".
    """
    if value == "off":
        return 0
    size = None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        size = value
    elif isinstance(value, str) and (match := AMOUNT.fullmatch(value.upper())):
        size = int(float(match[1]) * UNITS[match[2]])
    if size is None:
        problem = Problem((), f"expected an amount such as 4 GB, or off, not {named(value)}")
    elif 0 < size < LEAST:
        problem = Problem(
            (), f"{size} bytes have no room for anything", f"write {value} GB, or off" if value == size else ""
        )
    else:
        return size
    raise PydanticCustomError("problems", "not an amount", {"problems": [problem]})


SCHEMA = {
    "type": ["string", "integer"],
    "minimum": 0,
    "pattern": r"^[0-9]{1,12}(\.[0-9]{1,3})? ?[KMGTkmgt]?[Bb]$|^off$",
    # `dltool.config.section.FORM`; nothing heavy is imported here, since run directories are measured with it.
    "x-form": "an amount such as 4 GB, or off",
}
ByteSize = Annotated[int, BeforeValidator(byte_size), Field(ge=0), WithJsonSchema(SCHEMA)]
"""Bytes as a whole number, written with a unit."""


def size_text(size: int) -> str:
    """`512 B`, `4.1 MB`, `12 GB`: an amount as people write it."""
    unit, factor = max((item for item in UNITS.items() if item[1] <= max(size, 1)), key=lambda item: item[1])
    amount = size / factor
    return f"{amount:.1f} {unit}" if amount < 10 and factor > 1 else f"{amount:.0f} {unit}"
