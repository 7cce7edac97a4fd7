"""The section `model` of a config: layers, blocks and outputs."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from dltool.config.keras.fields import Entry, Loss, Metric, schema_of
from dltool.config.keras.objects import shared_layers
from dltool.config.pydantic_errors import refuse
from dltool.config.section import Section
from dltool.errors import Problem


def with_shared_layers(value: Any) -> Any:
    """Parse the layers of the list that are reused by name."""
    if not isinstance(value, list | tuple):
        return value
    layers, problems = shared_layers(value)
    refuse(*problems)
    return layers


class BlockOptions(Section):
    """Layers used in several places of the model, as `- NAME` or `- NAME: {PARAMETER: VALUE}`."""

    parameters: dict[str, Any] = Field(default_factory=dict)
    """The block's parameters with their defaults; `null` marks a required one. Its layers refer to them as `$NAME`."""
    layers: Annotated[tuple[Annotated[Any, schema_of("entry")], ...], Field(strict=False, min_length=1)]
    """As in `model.layers`. `from: input` is the input of the block; layer names are local to it."""


class OutputOptions(Section):
    """One of several outputs of the model, with its target, loss and metrics."""

    layer: str | None = Field(default=None, alias="from")
    """The `name` of the layer that gives this output. Default: the name of the output."""
    target: str | None = None
    """The target of this output. Default: the target of the same name, or the only target. `input` is the preprocessed
    input itself."""
    loss: Loss
    """A Keras loss."""
    metrics: Annotated[tuple[Metric, ...], Field(strict=False)] = ()
    """Keras metrics of this output."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """The weight of its loss in the total loss."""


class Model(Section):
    """The model."""

    blocks: dict[str, BlockOptions] = Field(default_factory=dict)
    """Reusable lists of layers by name. `layers` uses them like a layer."""
    layers: Annotated[tuple[Entry, ...], Field(strict=False, min_length=1), BeforeValidator(with_shared_layers)]
    """Keras layers. Each takes the output of the previous one, or of those that its `from` names. Also blocks; `repeat:
    {times: 3, layers: [...]}`; and `backbone: {NAME: {weights: imagenet}}`, a keras.applications network without its
    classifier, for images of 0 to 255."""
    outputs: dict[str, OutputOptions] = Field(default_factory=dict)
    """Several outputs by name, each with its loss and metrics. Default: the output of the last layer."""

    @model_validator(mode="after")
    def outputs_can_be_named(self) -> Self:
        invalid = [name for name in self.outputs if not name or "/" in name or name.startswith("val_")]
        message = 'the name of an output cannot be empty, contain "/" or begin with "val_"'
        refuse(*(Problem(("outputs", name), message, "choose another name", at_key=True) for name in invalid))
        return self
