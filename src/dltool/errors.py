"""Everything that can go wrong, and where.

    DltoolError                exit code
    ├── ConfigError            2   the config or the command line
    │   └── UnreadableConfig       what cannot even be parsed
    ├── DataError              3   the data
    ├── RunError               4   a run directory or something in it
    ├── MachineError           5   disk, memory, network, a missing extra
    ├── TrainingDiverged       6   NaN or Inf in the loss
    ├── ExpectationMissed      7   an `expect:` of the config was not met
    └── Interrupted            130 or 143

Code below the command line raises these and never prints. A :class:`Problem` names a place in the config by its path;
only the command line turns a path into file, line and column.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

ConfigPath = tuple[str | int, ...]

EXIT_CODES: Mapping[int, str] = {
    0: "Done.",
    1: "A bug in dltool: the only case with a traceback.",
    2: "An error in the config or the command line. Nothing was written.",
    3: "An error in the data.",
    4: "A run directory is missing, damaged, in use, or of a newer format.",
    5: "The machine: disk, memory, network, a missing package, other versions than those of a run to resume.",
    6: "The loss or a weight became NaN or infinite. The last finite state is saved.",
    7: "An expectation was missed, or a reproduced run differs. The run is complete.",
    130: "Interrupted by Ctrl-C (SIGINT). A run that has begun is saved and can be resumed.",
    143: "Terminated (SIGTERM). A run that has begun is saved and can be resumed.",
}
"""What the exit codes of the command mean; the classes below have those of failures."""


class TextPath(tuple[str | int, ...]):
    """A path in the text unchanged there, where the model's layers have blocks and repeats.

    Any other path is one in the config in force, where those are written out.
    """

    __slots__ = ()


@dataclass(frozen=True)
class Position:
    """A stretch of one line of a text: a config file, or the argument of `--set`.

    `line` and `column` count from 1; `width` is the number of characters to underline.
    """

    file: str
    line: int
    column: int
    width: int = 1


@dataclass(frozen=True)
class Problem:
    """One mistake.

    `place` is a path in the config, a position in a text that could not be parsed, or None where there is no place.
    `at_key` points at the key of the path's last step instead of its value. `hint` is the suggestion, and `related`
    lists further places with a few words each ("first defined here").
    """

    place: ConfigPath | Position | None
    message: str
    hint: str = ""
    at_key: bool = False
    related: tuple[tuple[ConfigPath | Position, str], ...] = ()


class DltoolError(Exception):
    """A failure that the user can do something about. Carries one problem or several.

    `kept` is the run directory that holds what had been done by then; empty where nothing was written. `can_resume`
    says whether `dltool resume` resumes it.
    """

    exit_code: ClassVar[int] = 1
    kept = ""
    can_resume = False

    def __init__(self, problems: str | Problem | Iterable[Problem], hint: str = "") -> None:
        if isinstance(problems, str):
            problems = Problem(None, problems, hint)
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(problem.message for problem in self.problems))


class ConfigError(DltoolError):
    exit_code = 2


class UnreadableConfig(ConfigError):
    """A config with no tree; `texts` lets the positions be shown all the same."""

    def __init__(self, problems: Iterable[Problem], texts: Mapping[str, str]) -> None:
        super().__init__(problems)
        self.texts = texts


class DataError(DltoolError):
    exit_code = 3


class RunError(DltoolError):
    exit_code = 4


class MachineError(DltoolError):
    exit_code = 5


class TrainingDiverged(DltoolError):
    exit_code = 6


class ExpectationMissed(DltoolError):
    exit_code = 7


class Interrupted(DltoolError):
    """Stopped by a signal: the exit code is 128 plus the signal's number."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number  # type: ignore[misc]
