"""All errors and their exit codes.

    DltoolError                exit code
    ├── ConfigError            2   the config or the command line
    │   └── UnreadableConfig       a config that cannot be parsed
    ├── DataError              3   the data
    ├── RunError               4   a run directory or something in it
    ├── MachineError           5   disk, memory, network, a missing extra
    │   └── WorkerLost         8   another worker of the cluster
    ├── TrainingDiverged       6   NaN or Inf in the loss
    ├── ExpectationMissed      7   an `expect:` of the config was not met
    └── Interrupted            130 or 143

Code below the command line raises these and never prints. A :class:`Problem` has a config path; only the command line
turns a path into file, line and column."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

from dltool.environment import concealed

ConfigPath = tuple[str | int, ...]

EXIT_CODES: Mapping[int, str] = {
    0: "Done.",
    1: "A bug in dltool: the only case with a traceback.",
    2: "An error in the config or the command line. Nothing was written.",
    3: "An error in the data.",
    4: "A run directory is missing, damaged, in use, or of a newer format.",
    5: "The machine: disk, memory, network, a missing package, other versions than those of a run to resume.",
    6: "The loss or a weight is NaN or infinite. The last finite state is saved.",
    7: "An expectation was missed, or a reproduced run, an export or an ejected script differs. The run is complete.",
    8: "Another worker of the cluster was lost. The last saved state is kept, and all workers can resume.",
    130: "Interrupted by Ctrl-C (SIGINT). A run that has begun is saved and can be resumed.",
    143: "Terminated (SIGTERM). A run that has begun is saved and can be resumed.",
}
"""Descriptions of the exit codes; the classes below have those of failures."""


class TextPath(tuple[str | int, ...]):
    """A path in the text as written, if layers have blocks and repeats. Other paths are in the resolved config."""

    __slots__ = ()


@dataclass(frozen=True)
class Position:
    """A range in one line of a text: a config file, or the argument of `--set`.

    `line` and `column` count from 1; `width` is the number of characters to underline."""

    file: str
    line: int
    column: int
    width: int = 1


@dataclass(frozen=True)
class Problem:
    """One error.

    `place` is a config path, a position in a text that could not be parsed, or None. `at_key` points at the key of the
    path's last step, not its value. `related` are further locations, each with a short text ("first defined here")."""

    place: ConfigPath | Position | None
    message: str
    hint: str = ""
    at_key: bool = False
    related: tuple[tuple[ConfigPath | Position, str], ...] = ()


class DltoolError(Exception):
    """A failure that the user can correct, with one or more problems.

    `kept` is the run directory with the results so far, or empty; `can_resume` says whether it can be resumed."""

    exit_code: ClassVar[int] = 1
    kept = ""
    can_resume = False

    def __init__(self, problems: str | Problem | Iterable[Problem], hint: str = "") -> None:
        if isinstance(problems, str):
            problems = Problem(None, problems, hint)
        problems = (problems,) if isinstance(problems, Problem) else problems
        self.problems = tuple(
            replace(problem, message=concealed(problem.message), hint=concealed(problem.hint)) for problem in problems
        )
        super().__init__("\n".join(problem.message for problem in self.problems))

    @classmethod
    @contextmanager
    def collected(cls, problems: list[Problem]) -> Iterator[None]:
        """Add the problems of such an error in the body to `problems`, and go on after it."""
        try:
            yield
        except cls as error:
            problems += error.problems

    @classmethod
    def refuse(cls, problems: Iterable[Problem]) -> None:
        """Raise this error if there are any problems."""
        found = tuple(problems)
        if found:
            raise cls(found)


class ConfigError(DltoolError):
    exit_code = 2


class UnreadableConfig(ConfigError):
    """A config without a tree; `texts` are those of its positions."""

    def __init__(self, problems: Iterable[Problem], texts: Mapping[str, str]) -> None:
        super().__init__(problems)
        self.texts = texts


class DataError(DltoolError):
    exit_code = 3


class RunError(DltoolError):
    exit_code = 4


class MachineError(DltoolError):
    exit_code = 5


class WorkerLost(MachineError):
    """Another worker of the cluster ended or is silent."""

    exit_code = 8


class DiskError(MachineError):
    """The disk is full, or refuses for another reason: whatever comes next would fail too."""


class TrainingDiverged(DltoolError):
    exit_code = 6


class ExpectationMissed(DltoolError):
    exit_code = 7


class Interrupted(DltoolError):
    """Stopped by a signal; the exit code is 128 plus the signal's number."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number  # type: ignore[misc]
