"""Hunts for inputs that a check does not survive: numbered cases, each repeatable from its number alone."""

import faulthandler
import itertools
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

SECONDS = 5.0
"""Most processor time of one case."""
HARD_SECONDS = 120.0
"""Wall time after which this process ends with a traceback: code outside Python that never returns."""
MEMORY = 4 << 30
"""Most bytes by which a case may enlarge the address space of this process."""
FIRST = int(os.environ.get("DLTOOL_FIRST_CASE", "0"))
"""The number of the first case; others are new cases."""


class TooSlow(BaseException):
    """A case has used its processor time. Not an Exception, so that nobody takes it for damage."""


class Wrong(Exception):
    """A case ended as none may: a message without a place, a control character, …"""


def cases(count: int) -> range:
    """The numbers of `count` cases, or of those of the environment variable `DLTOOL_CASES`."""
    return range(FIRST, FIRST + int(os.environ.get("DLTOOL_CASES", count)))


def source_of(number: int) -> random.Random:
    """The random numbers of one case."""
    return random.Random(number)


def hunt(count: int, attempt: Callable[[random.Random], Any], describe: Callable[[], str], keep: Path) -> None:
    """Attempt `count` cases. The failures are printed, the first of each kind with its input, and fail the test.

    `describe` returns the input of the last attempt. Its number stands in the file `keep` while it runs."""
    found: dict[str, list[int]] = {}
    texts: dict[str, str] = {}
    try:
        for number in cases(count):
            keep.write_text(f"{number}\n", "utf-8")
            trouble = trouble_of(attempt, number)
            if trouble:
                kind = trouble.splitlines()[-1][:120]
                found.setdefault(kind, []).append(number)
                texts.setdefault(kind, f"{trouble}\n--- case {number}: DLTOOL_FIRST_CASE={number} ---\n{describe()}")
    finally:
        # Also where somebody interrupts it.
        for text in texts.values():
            sys.stderr.write(f"\n{text}\n")
    assert not found, {kind: numbers[:10] for kind, numbers in found.items()}


def trouble_of(attempt: Callable[[random.Random], Any], number: int) -> str:
    """What is wrong with one case; empty if nothing is."""
    begun = time.process_time()
    try:
        with limits():
            attempt(source_of(number))
    except Wrong as error:
        return f"{error}"
    except TooSlow:
        return traceback.format_exc() + f"more than {SECONDS:g} s"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return traceback.format_exc() + f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
    seconds = time.process_time() - begun
    return f"took {seconds:.1f} s" if seconds > SECONDS else ""


@contextmanager
def limits() -> Iterator[None]:
    """Limit processor time and memory; end the process if it hangs where Python cannot interrupt it."""

    def stop(_: int, __: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    faulthandler.dump_traceback_later(HARD_SECONDS, exit=True, file=sys.__stderr__ or 2)
    old = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (address_space() + MEMORY, old[1]))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, old)


def address_space() -> int:
    """The bytes of address space of this process (proc(5), statm)."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    return pages * resource.getpagesize()


def refuse_control(text: str) -> None:
    """Raise Wrong for characters that would control a terminal."""
    for character in itertools.filterfalse(str.isprintable, text.replace("\n", "").replace("\t", "")):
        if ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 or character in "\u202e\u2066\u2028":
            raise Wrong(f"{text[:2000]}\na control character {character!r} is shown")
