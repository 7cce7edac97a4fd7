"""The base of every class that describes keys of a config."""

from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, ValidatorFunctionWrapHandler, WrapValidator, field_validator
from pydantic.fields import FieldInfo

from dltool.config.keras.objects import UNKNOWN

FORM = "x-form"
"""The key, in the JSON Schema of a field, of what its string looks like, in words."""
SINGLE_VALUES = (int, float, str, bool, type(None))


def pass_unknown(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """What the data has yet to tell is checked when it has told."""
    return value if value is UNKNOWN else validate(value)


PASS_UNKNOWN = WrapValidator(pass_unknown)
"""For the values of a mapping. The fields of a section need no mark."""


class Section(BaseModel):
    """Strict types, no unknown keys, no NaN or infinity, and nothing can be changed afterwards.

    The text below a field describes it. It is read from the source where it is shown: pydantic would read it at every
    start.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="wrap")
    @classmethod
    def pass_unknown_value(cls, value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        """A single value may wait for the data. A section, a list or a thing with a name may not."""
        is_single = is_single_value(cls.model_fields[str(info.field_name)].annotation)
        return pass_unknown(value, validate) if is_single else validate(value)


def keys_of(section: type[Section]) -> dict[str, FieldInfo]:
    """The fields by the keys that a config has for them. `from` is a word of Python's, and cannot name a field."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def is_single_value(annotation: Any) -> bool:
    """Whether the type holds nothing but numbers, texts and the like."""
    if annotation in SINGLE_VALUES or get_origin(annotation) is Literal:
        return True
    members = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return is_single_value(members[0])
    return get_origin(annotation) not in (tuple, list, dict) and bool(members) and all(map(is_single_value, members))
