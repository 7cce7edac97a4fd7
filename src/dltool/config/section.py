"""The base of every class that describes keys of a config."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidatorFunctionWrapHandler, field_validator

from dltool.config.keras_objects import UNKNOWN


class Section(BaseModel):
    """Strict types, no unknown keys, no NaN or infinity, and nothing can be changed afterwards."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @field_validator("*", mode="wrap")
    @classmethod
    def pass_unknown(cls, value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        """What the data has yet to tell is checked when it has told."""
        return value if value is UNKNOWN else validate(value)
