"""The section `training` of a config: optimizer, loss, epochs or phases, and how steps are computed."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from dltool.config.keras.fields import Callback, Loss, Metric, Optimizer
from dltool.config.keras.objects import UNKNOWN
from dltool.config.pydantic_errors import refuse
from dltool.config.section import FORM, PASS_UNKNOWN, Section
from dltool.errors import ConfigPath, Problem
from dltool.keras_names import KINDS
from dltool.machine import MOST_THREADS

MOST_EPOCHS = 100_000
"""Each has a line in metrics.jsonl, and is in every checkpoint's history."""
Interval = Annotated[
    str,
    Field(
        pattern=r"^[1-9][0-9]{0,8} (steps?|epochs?|minutes?)$",
        json_schema_extra={FORM: "an interval such as 500 steps, 2 epochs or 10 minutes"},
    ),
]


class CheckpointOptions(Section):
    """What is kept of a training."""

    monitor: str | None = None
    """What decides which epoch is the best: `val_loss` unless given, or `loss` where nothing is validated."""
    every: Interval | None = None
    """How often the complete state is written: `500 steps`, `2 epochs` or `10 minutes`. Unless given, after each
    epoch, and every ten minutes within one. It is written once a second at most, and at the end."""


Epochs = Annotated[int, Field(ge=1, le=MOST_EPOCHS)]


class Phase(Section):
    """A part of the training."""

    epochs: Epochs
    """How often to go through the training examples in this phase."""
    optimizer: Optimizer
    """A Keras optimizer, which starts anew with the phase."""
    trainable: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    """The names of the layers that learn, also of those inside a backbone; `*` stands for any characters. All others
    are frozen. Unless given, the `trainable` of each layer decides."""


class Training(Section):
    """How the model learns."""

    optimizer: Optimizer | None
    """A Keras optimizer. Clipping, accumulation, weight decay and averaging are its own arguments. Not with
    `phases`."""
    loss: Loss | None = None
    """A Keras loss. With `model.outputs`, each of them has its own."""
    metrics: Annotated[tuple[Metric, ...], Field(strict=False)] = ()
    """Keras metrics, measured in training, validation and test."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """The number of examples in a step."""
    epochs: Epochs | None
    """How often to go through the training examples. Not with `phases`."""
    phases: Annotated[tuple[Phase, ...], Field(strict=False, min_length=1)] | None = None
    """Instead of `optimizer` and `epochs`: parts of the training, one after the other, each with its own."""
    callbacks: Annotated[tuple[Callback, ...], Field(strict=False)] = ()
    """Keras callbacks, such as EarlyStopping and ReduceLROnPlateau."""
    class_weights: Literal["balanced"] | dict[str, Annotated[float, Field(ge=0), PASS_UNKNOWN]] | None = None
    """The weight of each class by its name; `balanced` makes all classes count the same."""
    precision: Literal["float32", "float64", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Keras's dtype policy."""
    jit_compile: bool | None = None
    """Whether XLA compiles the training steps, as in Keras's `compile`. Unless given, a rule decides, see run.json. XLA
    does not notice an index that is too large for an Embedding."""
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] | None = None
    """How many threads TensorFlow uses; their number changes last bits. Unless given, one for each core, or a single
    one where a step computes too little to be shared, see run.json."""
    rewrites: bool | None = None
    """Whether steps may be computed in cheaper ways that differ in their last bits. Unless false, where they can."""
    checkpoint: CheckpointOptions = CheckpointOptions()
    """What is kept."""

    @model_validator(mode="before")
    @classmethod
    def need_not_repeat_phases(cls, value: Any) -> Any:
        has_phases = isinstance(value, Mapping) and value.get("phases") is not None
        return {"optimizer": None, "epochs": None, **value} if has_phases else value

    @model_validator(mode="after")
    def has_phases_or_is_one(self) -> Self:
        problems = []
        for key, value in (("optimizer", self.optimizer), ("epochs", self.epochs)):
            if self.phases is not None and value is not None:
                hint, related = f"each phase has its own {key}; remove this", ((("phases",), "phases are given here"),)
                problems.append(
                    Problem((key,), f"{key} and phases exclude each other", hint, at_key=True, related=related)
                )
            elif self.phases is None and value is None:
                what = f"the name of {KINDS['optimizer']}" if key == "optimizer" else "a whole number"
                problems.append(Problem((key,), f"expected {what}, not null"))
        if not problems and self.total_epochs is not UNKNOWN and self.total_epochs > MOST_EPOCHS:
            message = f"together the phases have {self.total_epochs:,} epochs, and {MOST_EPOCHS:,} are allowed"
            problems.append(Problem(("phases",), message))
        refuse(*problems)
        return self

    @property
    def parts(self) -> tuple[Phase, ...]:
        """The phases; without any, the whole training as one."""
        if self.phases is not None:
            return self.phases
        assert self.optimizer is not None
        assert self.epochs is not None
        return (Phase(epochs=self.epochs, optimizer=self.optimizer),)

    @property
    def total_epochs(self) -> Any:
        """Those of all phases; UNKNOWN where the data has yet to tell."""
        epochs: list[Any] = [part.epochs for part in self.parts]
        return UNKNOWN if UNKNOWN in epochs else sum(epochs)

    def place_of(self, part: int) -> ConfigPath:
        """Where the config has the keys of the phase with that number, counted from 0."""
        return ("training",) if self.phases is None else ("training", "phases", part)
