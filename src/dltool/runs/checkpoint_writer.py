"""Background writing of checkpoints, so that training does not wait for the disk."""

import math
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from dltool.runs.checkpoint_file import Arrays, write_checkpoint

SECONDS_BETWEEN = 1.0
"""Least time between the starts of two writes: epochs may take milliseconds."""


class CheckpointWriter:
    """A thread that writes submitted states in order. A newer state replaces a waiting one; the last is written when
    the `with` block ends.

    A failed write is raised by the next :meth:`submit` or at the end of the block, so no run completes without its last
    checkpoint. `since` is the step of the checkpoint that training resumes from; newer ones are damaged."""

    def __init__(self, directory: Path, since: int | None = None) -> None:
        self.directory = directory
        self.before = since
        self.changed = threading.Condition()
        self.waiting: tuple[int, Arrays, Mapping[str, Any]] | None = None
        self.failure: BaseException | None = None
        self.is_closing = False
        self.began = -math.inf
        self.thread = threading.Thread(target=self.work, name="checkpoints")

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        with self.changed:
            self.is_closing = True
            self.changed.notify()
        self.thread.join()
        # Another error, such as a stop, must not hide a failed write.
        if self.failure is not None and error is not self.failure:
            raise self.failure from error

    def submit(self, step: int, arrays: Arrays, state: Mapping[str, Any]) -> None:
        """Queue the state of global step `step`. The arrays must not change afterwards. Raises MachineError: an earlier
        write failed."""
        with self.changed:
            if self.failure is not None:
                raise self.failure
            self.waiting = (step, arrays, state)
            self.changed.notify()

    def work(self) -> None:
        while (job := self.next_job()) is not None:
            try:
                write_checkpoint(self.directory, *job, before=self.before)
                self.before = job[0]
            except BaseException as error:  # noqa: BLE001 (handed to the training, which raises it)
                self.failure = error
                return

    def next_job(self) -> tuple[int, Arrays, Mapping[str, Any]] | None:
        """Wait for the next state to write and return it, None at the end."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting is not None or self.is_closing)
            self.changed.wait_for(lambda: self.is_closing, self.began + SECONDS_BETWEEN - time.monotonic())
            self.began = time.monotonic()
            job, self.waiting = self.waiting, None
            return job
