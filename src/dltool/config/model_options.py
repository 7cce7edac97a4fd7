"""The section `model` of a config: layers, blocks and outputs."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from dltool.config.keras.fields import Entry, Loss, Metric, schema_of
from dltool.config.keras.objects import shared_layers
from dltool.config.pydantic_errors import refuse
from dltool.config.section import Section
from dltool.errors import Problem


def with_shared_layers(value: Any) -> Any:
    """Return the list with the layers that are used again, by their names, parsed."""
    if not isinstance(value, list | tuple):
        return value
    layers, problems = shared_layers(value)
    refuse(*problems)
    return layers


class BlockOptions(Section):
    """Layers that are used in several places of the model, as `- NAME` or `- NAME: {PARAMETER: VALUE}`."""

    parameters: dict[str, Any] = Field(default_factory=dict)
    """What differs between its uses, with the values unless given; `null` where one must be given. `$NAME` in its
    layers."""
    layers: Annotated[tuple[Annotated[Any, schema_of("entry")], ...], Field(strict=False, min_length=1)]
    """As in `model.layers`. `from: input` is what the block was given; names are its own."""


class OutputOptions(Section):
    """One of several outputs of the model, and what it is trained for."""

    layer: str | None = Field(default=None, alias="from")
    """The layer whose output it is, by its `name`; the one of the output's name unless given."""
    target: str | None = None
    """What it is compared with: the target of the output's name, or the only one, unless given. `input` is the input
    itself, as the preprocessing leaves it."""
    loss: Loss
    """A Keras loss."""
    metrics: Annotated[tuple[Metric, ...], Field(strict=False)] = ()
    """Keras metrics of this output."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """By what its loss is multiplied in the sum that is minimized."""


class Model(Section):
    """The model."""

    blocks: dict[str, BlockOptions] = Field(default_factory=dict)
    """Lists of layers by name, to be used in `layers` like a layer."""
    layers: Annotated[tuple[Entry, ...], Field(strict=False, min_length=1), BeforeValidator(with_shared_layers)]
    """Keras layers, each of which takes the output of the one before or what its `from` names; blocks;
    `repeat: {times: 3, layers: [...]}`; and `backbone: {NAME: {weights: imagenet}}`, a whole network of
    keras.applications without its classifier, which takes images of 0 to 255."""
    outputs: dict[str, OutputOptions] = Field(default_factory=dict)
    """Where there are several: each by a name of its own, with its loss and metrics. Unless given, the output of the
    last layer."""

    @model_validator(mode="after")
    def outputs_can_be_named(self) -> Self:
        problems = [
            Problem(
                ("outputs", name),
                'the name of an output cannot be empty, contain "/" or begin with "val_"',
                "choose another name",
                at_key=True,
            )
            for name in self.outputs
            if not name or "/" in name or name.startswith("val_")
        ]
        refuse(*problems)
        return self
