"""The typed, frozen config: what every key may hold.

These classes are the single description of dltool's own keys. Loading validates against them, `dltool schema` prints
them for editors, and the rest of the program reads nothing else. Keras objects (layers, optimizers, …) are described
not here but in the table of :mod:`dltool.keras_names`; a field made by :func:`as_keras` says of which kind it is.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from dltool.config.keras_objects import UNKNOWN, KerasObject, parse_keras_object
from dltool.config.section import Section
from dltool.config.sources import Source, parse_source
from dltool.errors import Problem

DATA_FACTS = (
    "classes",
    "examples",
    "validation_examples",
    "test_examples",
    "input_shape",
    "target_shape",
)
"""What a config may name of its data; `epochs` and `steps_per_epoch` follow from these and the config."""


def as_keras(kind: str) -> PlainValidator:
    """The validator of a field that names a Keras object of `kind`. An object that is one already passes."""

    def parse(value: Any) -> Any:
        if isinstance(value, KerasObject) or value is UNKNOWN:
            return value
        keras_object, problems = parse_keras_object(kind, value)
        if problems:
            raise PydanticCustomError("problems", "not a valid Keras object", {"problems": problems})
        return keras_object

    return PlainValidator(parse, json_schema_input_type=Any)


def schema_of(kind: str) -> WithJsonSchema:
    return WithJsonSchema({"$ref": f"#/$defs/{kind}"})


Layer = Annotated[KerasObject, as_keras("layer"), schema_of("layer")]
Optimizer = Annotated[KerasObject, as_keras("optimizer"), schema_of("optimizer")]
Loss = Annotated[KerasObject, as_keras("loss"), schema_of("loss")]
Metric = Annotated[KerasObject, as_keras("metric"), schema_of("metric")]
Callback = Annotated[KerasObject, as_keras("callback"), schema_of("callback")]


Fraction = Annotated[float, Field(ge=0, lt=1)]


class Split(Section):
    """How examples are divided. The fractions are of the source's training examples.

    `stratify` keeps the share of each class the same in every part (default: yes for classes). `seed` is the config's
    unless given, so that one can change the weights and keep the split.
    """

    validation: Fraction = 0.0
    test: Fraction | None = None
    stratify: bool | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None

    @model_validator(mode="after")
    def leaves_training(self) -> Self:
        # One of them may be absent, or wait for the data.
        fractions = [value for value in (self.validation, self.test) if isinstance(value, float)]
        if sum(fractions) >= 1:
            message = f"validation and test together take {sum(fractions):g} of the examples: none is left for training"
            problem = Problem(("test",), message, related=((("validation",), f"validation: {self.validation:g}"),))
            raise PydanticCustomError("problems", "split sum", {"problems": [problem]})
        return self


class Data(Section):
    """`validation` and `test` are sources of their own, instead of a fraction of `source`."""

    source: Annotated[Source, PlainValidator(parse_source)]
    validation: Annotated[Source, PlainValidator(parse_source)] | None = None
    test: Annotated[Source, PlainValidator(parse_source)] | None = None
    target: Literal["category", "number"] | None = None
    split: Split = Split()
    preprocessing: Annotated[tuple[Layer, ...], Field(strict=False)] = ()
    augmentation: Annotated[tuple[Layer, ...], Field(strict=False)] = ()


class Model(Section):
    layers: Annotated[tuple[Layer, ...], Field(strict=False, min_length=1)]


Interval = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8} (steps?|epochs?|minutes?)$")]


class Checkpoint(Section):
    """`monitor` decides which epoch is the best: `val_loss` unless given, or `loss` where nothing is validated.

    `every` says how often the complete state is written: `500 steps`, `2 epochs` or `10 minutes`. Unless given, after
    each epoch, and every ten minutes within one.
    """

    monitor: str | None = None
    every: Interval | None = None


class Training(Section):
    optimizer: Optimizer
    loss: Loss
    metrics: Annotated[tuple[Metric, ...], Field(strict=False)] = ()
    batch_size: Annotated[int, Field(ge=1)] = 32
    epochs: Annotated[int, Field(ge=1)]
    callbacks: Annotated[tuple[Callback, ...], Field(strict=False)] = ()
    class_weights: Literal["balanced"] | dict[str, Annotated[float, Field(ge=0)]] | None = None
    precision: Literal["float32", "float64", "mixed_float16", "mixed_bfloat16"] = "float32"
    checkpoint: Checkpoint = Checkpoint()


RunName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Expectation = Annotated[str, Field(pattern=r"^\s*(>=|<=|>|<|==)\s*[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?\s*$")]


class Config(Section):
    """One experiment, with every value in force."""

    name: RunName
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    data: Data
    model: Model
    training: Training
    expect: dict[str, Expectation] = Field(default_factory=dict)
