"""When the state of a training is written."""

import time
from dataclasses import dataclass, field

DEFAULT_MINUTES = 10


@dataclass
class Cadence:
    """Every so many steps, epochs or seconds; what is None does not count.

    Steps are those of the whole training. The clock never changes what is computed, only when it is saved.
    """

    steps: int | None = None
    epochs: int | None = None
    seconds: float | None = None
    last: float = field(default_factory=time.monotonic)

    def end_of_call(self, done: int, steps: int) -> int:
        """How many of the next `steps` steps one call may run, `done` being behind: it ends where a save is due."""
        return steps if self.steps is None else min(steps, self.steps - done % self.steps)

    def is_due_within(self, done: int) -> bool:
        """Whether to save within an epoch, `done` steps being behind."""
        by_steps = self.steps is not None and done % self.steps == 0
        by_time = self.seconds is not None and time.monotonic() - self.last >= self.seconds
        return by_steps or by_time

    def is_due_after(self, epoch: int, done: int) -> bool:
        """Whether to save after the epoch that counts as `epoch` from 1."""
        return self.is_due_within(done) or (self.epochs is not None and epoch % self.epochs == 0)

    def saved(self) -> None:
        self.last = time.monotonic()


def make_cadence(every: str | None) -> Cadence:
    """From `500 steps`, `2 epochs` or `10 minutes`; unless given, each epoch and every ten minutes within one."""
    if every is None:
        return Cadence(epochs=1, seconds=DEFAULT_MINUTES * 60)
    count, unit = every.split()
    match unit.removesuffix("s"):
        case "step":
            return Cadence(steps=int(count))
        case "epoch":
            return Cadence(epochs=int(count))
        case _:
            return Cadence(seconds=int(count) * 60)
