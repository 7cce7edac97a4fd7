"""SIGINT and SIGTERM: finish the step, save, and stop; where there is nothing to save, stop at once."""

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

from dltool.errors import Interrupted


class StopRequests:
    """The signals received so far. While `is_patient`, they wait to be asked for; otherwise they raise Interrupted."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.is_patient = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and signal.SIGINT in self.received:
            os._exit(128 + number)
        self.received.append(number)
        if not self.is_patient:
            raise Interrupted("stopped", number)

    def asked(self) -> int | None:
        """The number of the first signal, or None."""
        return self.received[0] if self.received else None

    @contextlib.contextmanager
    def patient(self) -> Iterator[None]:
        """Within the block, signals wait; the block asks for them, and what is left is raised at its end."""
        self.is_patient = True
        try:
            yield
        finally:
            self.is_patient = False
        if self.received:
            raise Interrupted("stopped", self.received[0])


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequests]:
    """Within the block SIGINT and SIGTERM become requests. A second SIGINT ends the process at once."""
    requests = StopRequests()
    before = {number: signal.signal(number, requests.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
