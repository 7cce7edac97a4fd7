"""The stages of a command: read the data, import TensorFlow, build the model."""

import contextlib
import time
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

from dltool.cost.meter import Meter
from dltool.errors import DltoolError
from dltool.experiment.signals import StopRequests
from dltool.imports import Import, import_keras

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress


class Stages:
    """The stages of a command: reported to its listener, and their wall `seconds` by name. `meter` measures their
    cost; for `is_whole` see there."""

    def __init__(self, progress: "Progress", stops: StopRequests | None = None, is_whole: bool = False) -> None:
        self.progress, self.stops = progress, stops or StopRequests()
        self.meter = Meter(is_whole)
        self.started = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def timed(self, name: str, stage: str = "") -> Iterator[None]:
        """Report the `stage`, if given, and count the time of the block under `name`."""
        if stage:
            self.progress.stage(stage)
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - begin, 3)

    def total(self) -> dict[str, float]:
        """Return the stages so far and the total time."""
        return {**self.seconds, "total": round(time.perf_counter() - self.started, 3)}

    @contextlib.contextmanager
    def reading(self, *, trains: bool = False) -> Iterator[None]:
        """Time the block, which reads the data, then import TensorFlow. Training imports it in parallel. Other commands
        wait, to report data errors sooner."""
        tensorflow = Import(import_keras) if trains else None
        try:
            with self.timed("data", "reading the data"):
                yield
        except DltoolError:
            # TensorFlow's output must not mix with the message.
            if tensorflow:
                tensorflow.join()
            raise
        with self.timed("import", "importing TensorFlow"):
            if tensorflow:
                tensorflow.finish()
                import_module("dltool.training.fit")
            else:
                import_keras()

    def building(self) -> contextlib.AbstractContextManager[None]:
        """Time the block, which builds the model and compiles its steps."""
        return self.timed("build", "building the model")
