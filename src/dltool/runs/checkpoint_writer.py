"""Checkpoints written in the background, so that training need not wait for the disk."""

import math
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from dltool.runs.checkpoint_file import write_checkpoint

Arrays = Sequence[tuple[str, np.ndarray]]

SECONDS_BETWEEN = 1.0
"""From the beginning of a write to that of the next. Epochs may take milliseconds."""


class CheckpointWriter:
    """One thread that writes what it is given, in order. A newer state takes the place of one still waiting; at the
    end of the `with` block the last one is written at once.

    A failed write is raised by the next :meth:`submit`, or at the end of the `with` block, which waits for the last
    write. So nothing is lost in silence, and no run completes without its last checkpoint.

    `since` is the step of the checkpoint that training goes on from; a newer one was found damaged.
    """

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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self.changed:
            self.is_closing = True
            self.changed.notify()
        self.thread.join()
        # Whatever else ended the block, a stop above all, must not hide that what it saved was lost.
        if self.failure is not None and error is not self.failure:
            raise self.failure from error

    def submit(self, step: int, arrays: Arrays, state: Mapping[str, Any]) -> None:
        """Have the state of global step `step` written. The arrays must not change afterwards.

        Raises:
            MachineError: an earlier write failed.
        """
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
        """The state to write next; waits for one. None at the end."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting is not None or self.is_closing)
            self.changed.wait_for(lambda: self.is_closing, self.began + SECONDS_BETWEEN - time.monotonic())
            self.began = time.monotonic()
            job, self.waiting = self.waiting, None
            return job
