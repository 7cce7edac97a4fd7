"""Several processes that serve at one socket; those that die are replaced."""

import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Semaphore
from socket import socket

from dltool.serving.counters import FOLDER, forget
from dltool.serving.server import Note, Setup

RESTART_AFTER = 1.0
"""Seconds between the death of a worker and its successor."""

Work = Callable[[Setup, socket, Semaphore], None]
"""What a worker does until it gets SIGTERM; it releases the semaphore when it can answer."""


class Workers:
    """The processes that do `work`."""

    def __init__(self, setup: Setup, door: socket, work: Work) -> None:
        self.setup, self.door, self.work = setup, door, work
        self.context = multiprocessing.get_context("spawn")
        self.is_ready = self.context.Semaphore(0)
        self.running: list[SpawnProcess] = []
        self.are_ending = False

    def serve(self, count: int, note: Note, ready: Callable[[], None]) -> int:
        """Serve in so many processes until this one gets SIGTERM or SIGINT. Return the exit code: that of a process
        that could not begin, if none could before."""
        with ExitStack() as stack:
            os.environ[FOLDER] = stack.enter_context(tempfile.TemporaryDirectory(prefix="dltool-"))
            for number in (signal.SIGTERM, signal.SIGINT):
                stack.callback(signal.signal, number, signal.signal(number, self.end))
            for _ in range(count):
                self.begin()
            while not self.is_ready.acquire(timeout=0.1):
                for worker in self.gone():
                    was_told = self.are_ending
                    self.end()
                    for other in self.running:
                        other.join()
                    return 0 if was_told else worker.exitcode or 1
            ready()
            self.watch(note)
        return 0

    def watch(self, note: Note) -> None:
        """Replace processes that die, until all have ended because they were told to."""
        while self.running:
            wait([worker.sentinel for worker in self.running], timeout=0.5)
            for worker in self.gone():
                if not self.are_ending:
                    note(f"process {worker.pid} ended with {worker.exitcode}; another one begins")
                    time.sleep(RESTART_AFTER)
                    self.begin()

    def begin(self) -> None:
        worker = self.context.Process(target=self.work, args=(self.setup, self.door, self.is_ready))
        worker.start()
        self.running.append(worker)
        if self.are_ending:
            # The signal came while this one began.
            worker.terminate()

    def end(self, *_: object) -> None:
        self.are_ending = True
        for worker in self.running:
            worker.terminate()

    def gone(self) -> list[SpawnProcess]:
        """Return the processes that have ended, and forget them."""
        ended = [worker for worker in self.running if worker.exitcode is not None]
        for worker in ended:
            forget(worker.pid)
        self.running = [worker for worker in self.running if worker.exitcode is None]
        return ended
