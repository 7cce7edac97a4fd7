"""The base of every class that describes keys of a config."""

from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, ValidatorFunctionWrapHandler, WrapValidator, field_validator
from pydantic.fields import FieldInfo

from dltool.config.keras.objects import UNKNOWN

FORM = "x-form"
"""The key, in the JSON Schema of a field, for the description of its string's form."""
SINGLE_VALUES = (int, float, str, bool, type(None))


PASS_UNKNOWN = WrapValidator(lambda value, validate: value if value is UNKNOWN else validate(value))
"""Accepts UNKNOWN as a value of a mapping until the data has been read. Fields of a section need no mark."""


class Section(BaseModel):
    """The base of all sections: strict types, no unknown keys, no NaN or infinity, immutable. The string below a field
    describes it. It is read from the source on demand; pydantic would read it at every start."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="wrap")
    @classmethod
    def pass_unknown_value(cls, value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        """Accept UNKNOWN for single values, but not for sections, lists and named things."""
        is_single = is_single_value(cls.model_fields[str(info.field_name)].annotation)
        return value if value is UNKNOWN and is_single else validate(value)

    @property
    def is_known(self) -> bool:
        """Return whether no single value is UNKNOWN, so that the values can be compared."""
        return not any(value is UNKNOWN for value in vars(self).values())


def keys_of(section: type[Section]) -> dict[str, FieldInfo]:
    """Return the fields by their config keys. `from` is a Python keyword and cannot name a field."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def is_single_value(annotation: Any) -> bool:
    """Return whether the type holds only numbers, strings and the like."""
    if annotation in SINGLE_VALUES or get_origin(annotation) is Literal:
        return True
    members = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return is_single_value(members[0])
    return get_origin(annotation) not in (tuple, list, dict) and bool(members) and all(map(is_single_value, members))
