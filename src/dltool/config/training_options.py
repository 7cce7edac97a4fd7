"""The section `training` of a config: optimizer, loss, epochs or phases, and execution options."""

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
"""Each epoch has a line in metrics.jsonl and an entry in every checkpoint's history."""
Interval = Annotated[
    str,
    Field(
        pattern=r"^[1-9][0-9]{0,8} (steps?|epochs?|minutes?)$",
        json_schema_extra={FORM: "an interval such as 500 steps, 2 epochs or 10 minutes"},
    ),
]


class CheckpointOptions(Section):
    """Which epoch is the best, and how often the training state is saved."""

    monitor: str | None = None
    """The quantity that determines the best epoch. Default: `val_loss`, or `loss` without validation examples."""
    every: Interval | None = None
    """How often the complete training state is saved: `500 steps`, `2 epochs` or `10 minutes`. Default: after each
    epoch, and every ten minutes within one. At most once a second, and always at the end."""


Epochs = Annotated[int, Field(ge=1, le=MOST_EPOCHS)]


class Phase(Section):
    """A phase of the training with its own epochs, optimizer and trainable layers."""

    epochs: Epochs
    """The number of epochs in this phase."""
    optimizer: Optimizer
    """A Keras optimizer. Its state is reset at the start of the phase."""
    trainable: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    """The names of the trainable layers, including those inside a backbone; `*` matches any characters. All others are
    frozen. Default: the `trainable` of each layer."""


class Training(Section):
    """Optimizer, loss, epochs and everything else about the training."""

    optimizer: Optimizer | None
    """A Keras optimizer. Clipping, accumulation, weight decay and averaging are its own arguments. Not with
    `phases`."""
    loss: Loss | None = None
    """A Keras loss. With `model.outputs`, each output has its own."""
    metrics: Annotated[tuple[Metric, ...], Field(strict=False)] = ()
    """Keras metrics, computed for training, validation and test."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """The number of examples per training step."""
    epochs: Epochs | None
    """The number of passes over the training examples. Not with `phases`."""
    phases: Annotated[tuple[Phase, ...], Field(strict=False, min_length=1)] | None = None
    """Consecutive phases, each with its own `optimizer` and `epochs`, which replace those of the training."""
    callbacks: Annotated[tuple[Callback, ...], Field(strict=False)] = ()
    """Keras callbacks, such as EarlyStopping and ReduceLROnPlateau."""
    class_weights: Literal["balanced"] | dict[str, Annotated[float, Field(ge=0), PASS_UNKNOWN]] | None = None
    """The weight of each class by name; `balanced` gives all classes the same total weight."""
    precision: Literal["float32", "float64", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Keras's dtype policy."""
    jit_compile: bool | None = None
    """Whether XLA compiles the training steps, as in Keras's `compile`. The default is inferred and recorded in
    run.json. XLA does not detect an Embedding index that is out of range."""
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] | None = None
    """The number of threads TensorFlow uses; it affects the last bits of results. The default, one per core or a single
    one for small steps, is recorded in run.json."""
    rewrites: bool | None = None
    """Whether training steps may be computed in cheaper ways that change the last bits of results. Default: where
    possible."""
    checkpoint: CheckpointOptions = CheckpointOptions()
    """Which epoch is the best, and how often the training state is saved."""

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
                problems.append(Problem((key,), f"{key} and phases are mutually exclusive", hint, True, related))
            elif self.phases is None and value is None:
                what = f"the name of {KINDS['optimizer']}" if key == "optimizer" else "an integer"
                problems.append(Problem((key,), f"expected {what}, got null"))
        if not problems and self.total_epochs is not UNKNOWN and self.total_epochs > MOST_EPOCHS:
            message = f"expected at most {MOST_EPOCHS:,} epochs in all phases, got {self.total_epochs:,}"
            problems.append(Problem(("phases",), message))
        refuse(*problems)
        return self

    @property
    def parts(self) -> tuple[Phase, ...]:
        """Return the phases; without any, the whole training as one."""
        if self.phases is not None:
            return self.phases
        assert self.optimizer is not None
        assert self.epochs is not None
        return (Phase(epochs=self.epochs, optimizer=self.optimizer),)

    @property
    def total_epochs(self) -> Any:
        """Return the epochs of all phases; UNKNOWN as long as they depend on unread data."""
        epochs: list[Any] = [part.epochs for part in self.parts]
        return UNKNOWN if UNKNOWN in epochs else sum(epochs)

    def place_of(self, part: int) -> ConfigPath:
        """Return the config path of the phase with that number, counted from 0."""
        return ("training",) if self.phases is None else ("training", "phases", part)
