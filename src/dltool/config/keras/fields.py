"""The types of fields that hold Keras objects."""

from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from dltool.config.keras.objects import UNKNOWN, KerasObject, parse_entry, parse_keras_object
from dltool.config.pydantic_errors import refuse
from dltool.keras_names import KINDS

ENTRY = "entry"
"""An entry of `model.layers`: a layer or a backbone."""


def as_keras(kind: str) -> PlainValidator:
    """Return the validator of a field that names a Keras object of `kind`. Parsed objects pass."""

    def parse(value: Any) -> Any:
        if isinstance(value, KerasObject):
            return value
        if value is UNKNOWN:
            what = KINDS["layer" if kind == ENTRY else kind]
            raise PydanticCustomError("unknown_whole", "unknown", {"expected": f"the name of {what}"})
        keras_object, problems = parse_entry(value) if kind == ENTRY else parse_keras_object(kind, value)
        refuse(*problems)
        return keras_object

    return PlainValidator(parse, json_schema_input_type=Any)


def schema_of(kind: str) -> WithJsonSchema:
    return WithJsonSchema({"$ref": f"#/$defs/{kind}"})


Layer = Annotated[KerasObject, as_keras("layer"), schema_of("layer")]
Entry = Annotated[KerasObject, as_keras(ENTRY), schema_of(ENTRY)]
Optimizer = Annotated[KerasObject, as_keras("optimizer"), schema_of("optimizer")]
Loss = Annotated[KerasObject, as_keras("loss"), schema_of("loss")]
Metric = Annotated[KerasObject, as_keras("metric"), schema_of("metric")]
Callback = Annotated[KerasObject, as_keras("callback"), schema_of("callback")]
