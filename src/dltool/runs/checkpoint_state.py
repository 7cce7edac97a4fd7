"""Validation of a checkpoint's JSON state: the checksum proves integrity, not origin."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from dltool.errors import RunError
from dltool.runs.checkpoint_file import Checkpoint, checkpoint_path
from dltool.runs.records import Count, Strict, Whole


class StatePart(Strict):
    model_config = ConfigDict(extra="forbid")


class EpochState(StatePart):
    epoch: Count
    logs: dict[str, Whole | float]
    learning_rate: Whole | float
    seconds: Whole | float


class PositionState(StatePart):
    epoch: Count
    phase: Count
    step: Count
    steps: Count
    stop: bool
    history: list[EpochState]

    @model_validator(mode="after")
    def refuse_contradictions(self) -> Self:
        # Training stops only at the end of an epoch.
        if self.epoch != len(self.history) or (self.stop and not self.epoch):
            raise ValueError("contradicts itself")
        return self


class BestState(StatePart):
    monitor: str
    direction: Literal["min", "max"]
    epoch: Count | None
    value: Whole | float | None

    @model_validator(mode="after")
    def refuse_weights_without_epoch(self, info: ValidationInfo) -> Self:
        if (self.epoch is None) == any(name.startswith("best/") for name in info.context or ()):
            raise ValueError("there are best weights where there is a best epoch")
        return self


class CallbackState(StatePart):
    """The state of a callback. Its arrays are among those of the checkpoint."""

    kind: str = Field(alias="class")
    plain: dict[str, str | bool | Whole | float | None]
    arrays: dict[str, Count]

    @field_validator("plain")
    @classmethod
    def refuse_no_monitor(cls, plain: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(plain.get("monitor_op"), bool):
            raise ValueError("monitor_op is missing")
        return plain


class CheckpointState(Strict):
    """The JSON state. Validate it with the names of the checkpoint's arrays as context."""

    position: PositionState
    best: BestState
    variables: list[Any]
    callbacks: list[CallbackState]

    @field_validator("callbacks")
    @classmethod
    def refuse_missing_arrays(cls, callbacks: list[CallbackState], info: ValidationInfo) -> list[CallbackState]:
        for number, callback in enumerate(callbacks):
            for name, count in callback.arrays.items():
                # A missing array ends the loop early, however large the count.
                if not all(f"callbacks/{number}/{name}/{index}" in (info.context or ()) for index in range(count)):
                    raise ValueError("an array is missing")
        return callbacks


def check_saved_state(checkpoint: Checkpoint, directory: Path) -> None:
    """Raise RunError unless the state has the form that :mod:`dltool.training` writes."""
    try:
        CheckpointState.model_validate(dict(checkpoint.state), context={name for name, _ in checkpoint.arrays})
    except ValidationError as error:
        wrong = {details["loc"][0] for details in error.errors(include_url=False, include_input=False)}
        parts = " and ".join(name for name in CheckpointState.model_fields if name in wrong)
        raise RunError(f"{checkpoint_path(directory, checkpoint.step)} is damaged: invalid {parts}") from None
