"""SIGINT and SIGTERM: finish the step, save, and stop; where there is nothing to save, stop at once."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from dltool.errors import Interrupted

RETRY = 0.01
"""Seconds until a signal that came at a bad moment is looked at again."""
MOST_RETRIES = 100
"""Then the process ends without a word: it waits for another thread's import, and has nothing to save."""


class StopNow(BaseException):
    """What a signal raises on its way to becoming Interrupted: Keras catches every Exception that passes through it.

    `kept` and `can_resume` are as in :class:`~dltool.errors.DltoolError`.
    """

    def __init__(self, number: int) -> None:
        super().__init__("stopped")
        self.number = number
        self.kept = ""
        self.can_resume = False


class StopRequests:
    """The signals received so far. While `is_patient`, they wait to be asked for; otherwise they raise StopNow.

    A second SIGINT `ends_process`, or else no longer waits.
    """

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
        """Raises StopNow unless somebody will ask. The alarm's number stands for the last signal's."""
        if self.is_patient or not self.received:
            return
        asked_by = self.received[-1] if number == signal.SIGALRM else number
        if not is_in_import_machinery(frame):
            self.raised = asked_by
            raise StopNow(asked_by)
        if self.retries >= MOST_RETRIES and self.ends_process:
            os._exit(128 + asked_by)
        self.retries += 1
        signal.setitimer(signal.ITIMER_REAL, RETRY)

    def asked(self) -> int | None:
        """The number of the first signal, or None."""
        return self.received[0] if self.received else None

    @contextlib.contextmanager
    def patient(self) -> Iterator[None]:
        """Within the block, signals wait; the block asks for them, and what is left is raised at its end."""
        self.raise_received()
        self.is_patient = True
        try:
            yield
        finally:
            self.is_patient = False
        self.raise_received()

    @contextlib.contextmanager
    def unmasked(self) -> Iterator[None]:
        """Raises StopNow where TensorFlow has made an error of its own of one that was raised in the block."""
        try:
            yield
        except Exception as error:
            if self.raised is None:
                raise
            raise StopNow(self.raised) from error

    def raise_received(self) -> None:
        """Raises StopNow if there was a signal: a library may have caught the first one."""
        if self.received:
            raise StopNow(self.received[0])


def is_in_import_machinery(frame: FrameType | None) -> bool:
    """Whether an exception raised now could leave Python's import lock held: then another thread's import never ends,
    nor does a further one of this thread."""
    return frame is not None and frame.f_code.co_filename.startswith("<frozen importlib")


@contextlib.contextmanager
def stop_requests(ends_process: bool = True) -> Iterator[StopRequests]:
    """Within the block SIGINT and SIGTERM become requests. At a second SIGINT the process ends, or else the block.

    Raises:
        Interrupted: a signal ended the block.
    """
    requests = StopRequests(ends_process)
    handlers = {signal.SIGINT: requests.handle, signal.SIGTERM: requests.handle, signal.SIGALRM: requests.stop}
    # Only the main thread may handle signals; in any other, they are somebody else's.
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
