"""SIGINT and SIGTERM: finish the step, save, and stop; without anything to save, stop at once."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from dltool.errors import Interrupted

RETRY = 0.01  # seconds until a signal that came during an import is handled again
MOST_RETRIES = 100
"""After these the process ends silently: it waits for another thread's import, and has nothing to save."""


class StopNow(BaseException):
    """Raised by a signal before it becomes Interrupted. It is no Exception, as Keras catches those.

    `kept` and `can_resume` are as in :class:`~dltool.errors.DltoolError`."""

    def __init__(self, number: int) -> None:
        super().__init__("stopped")
        self.number = number
        self.kept = ""
        self.can_resume = False


class StopRequests:
    """The signals received so far. While `is_patient`, they wait to be polled; otherwise they raise StopNow.

    A second SIGINT ends the process if `ends_process`, and otherwise raises at once."""

    def __init__(self, ends_process: bool = True) -> None:
        self.ends_process = ends_process
        self.received: list[int] = []
        self.raised: int | None = None
        self.is_patient = False
        self.retries = 0

    def handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and signal.SIGINT in self.received:
            if self.ends_process:
                os._exit(128 + number)
            raise StopNow(number)
        self.received.append(number)
        self.stop(number, frame)

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Raise StopNow unless signals are polled. SIGALRM stands for the last signal."""
        if self.is_patient or not self.received:
            return
        asked_by = self.received[-1] if number == signal.SIGALRM else number
        # An exception in Python's import machinery could leave its lock held, which blocks further imports.
        if frame is None or not frame.f_code.co_filename.startswith("<frozen importlib"):
            self.raised = asked_by
            raise StopNow(asked_by)
        if self.retries >= MOST_RETRIES and self.ends_process:
            os._exit(128 + asked_by)
        self.retries += 1
        signal.setitimer(signal.ITIMER_REAL, RETRY)

    def asked(self) -> int | None:
        """Return the first signal's number, or None."""
        return self.received[0] if self.received else None

    @contextlib.contextmanager
    def patient(self) -> Iterator[None]:
        """Let signals wait during the block, which polls them; raise a pending one at its end."""
        self.raise_received()
        self.is_patient = True
        try:
            yield
        finally:
            self.is_patient = False
        self.raise_received()

    @contextlib.contextmanager
    def unmasked(self) -> Iterator[None]:
        """Raise StopNow if TensorFlow replaced the one raised in the block by an error of its own."""
        try:
            yield
        except Exception as error:
            if self.raised is None:
                raise
            raise StopNow(self.raised) from error

    def raise_received(self) -> None:
        """Raise StopNow if there was a signal: a library may have caught the first one."""
        if self.received:
            raise StopNow(self.received[0])


@contextlib.contextmanager
def stop_requests(ends_process: bool = True) -> Iterator[StopRequests]:
    """Turn SIGINT and SIGTERM into requests; a second SIGINT ends the process or the block. Raises Interrupted."""
    requests = StopRequests(ends_process)
    handlers = {signal.SIGINT: requests.handle, signal.SIGTERM: requests.handle, signal.SIGALRM: requests.stop}
    # Only the main thread may set signal handlers.
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handler) for number, handler in handlers.items() if is_main}
    try:
        with requests.unmasked():
            yield requests
    except StopNow as stop:
        interrupted = Interrupted("stopped", stop.number)
        interrupted.kept, interrupted.can_resume = stop.kept, stop.can_resume
        raise interrupted from None
    finally:
        if before:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
