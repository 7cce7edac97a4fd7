"""Where the time of a command goes."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Seconds by phase, of wall time."""

    started: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time of the block under `name`."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - begin, 3)

    def total(self) -> dict[str, float]:
        """The phases so far, and all the time since the clock was made."""
        return {**self.seconds, "total": round(time.perf_counter() - self.started, 3)}
