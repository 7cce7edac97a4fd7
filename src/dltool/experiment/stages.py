"""The stages of a command: read the data, import TensorFlow, build the model."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

from dltool.experiment.signals import StopRequests
from dltool.imports import Import, import_keras

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress


@dataclass
class Clock:
    """Wall seconds of a command by phase."""

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
        """Return the phases so far and the total time."""
        return {**self.seconds, "total": round(time.perf_counter() - self.started, 3)}


class Stages:
    """The stages of a command: reported to its listener and timed."""

    def __init__(self, progress: "Progress", stops: StopRequests | None = None) -> None:
        self.progress, self.clock = progress, Clock()
        self.stops = stops or StopRequests()

    @contextlib.contextmanager
    def reading(self, *, trains: bool = False) -> Iterator[None]:
        """Time the block, which reads the data, then import TensorFlow.

        Training imports it in parallel. Other commands wait, to report data errors sooner."""
        tensorflow = Import(import_keras) if trains else None
        self.progress.stage("reading the data")
        with self.clock.phase("data"), tensorflow.quiet_failures() if tensorflow else contextlib.nullcontext():
            yield
        self.progress.stage("importing TensorFlow")
        with self.clock.phase("import"):
            if tensorflow:
                tensorflow.wait()
                import_module("dltool.training.fit")
            else:
                import_keras()

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """Time the block, which builds the model and compiles its steps."""
        self.progress.stage("building the model")
        with self.clock.phase("build"):
            yield
