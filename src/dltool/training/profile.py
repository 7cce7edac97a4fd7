"""Profile a run: seconds by activity, and a trace of some steps for TensorBoard."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tensorflow as tf

FIRST_CALL, LAST_CALL = 1, 20
"""The compiled calls that are traced, counted from 0: not the first, and few enough for a file that opens."""


@dataclass
class Profile:
    """Counts seconds always, at almost no cost; traces into `folder` if `is_wanted`."""

    is_wanted: bool = False
    folder: Path | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    processor: float = 0.0
    calls: int = 0
    is_tracing: bool = False

    @contextlib.contextmanager
    def activity(self, name: str) -> Iterator[None]:
        """Count the wall time of the block under `name`. Blocks must not be nested."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        """Measure, and trace if wanted, one compiled call of training steps."""
        if self.folder is not None and self.calls == FIRST_CALL:
            tf.profiler.experimental.start(str(self.folder))
            self.is_tracing = True
        began = sum(os.times()[:2])
        with self.activity("compute"):
            yield
        self.processor += sum(os.times()[:2]) - began
        self.calls += 1
        if self.calls > LAST_CALL:
            self.end()

    def end(self) -> None:
        """Write the trace if one is in progress."""
        if self.is_tracing:
            self.is_tracing = False
            tf.profiler.experimental.stop()
