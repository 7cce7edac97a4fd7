"""Events of a running command for the console. For type checking only: importing it imports TensorFlow."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from dltool.config.schema import Config
from dltool.data.facts import Facts
from dltool.runs.files import Run
from dltool.training.fit import Observer
from dltool.training.state import EpochRecord


class Progress(Observer, Protocol):
    """The listener that commands report to: the console, or a test."""

    def stage(self, name: str) -> None:
        """Begin a step that may take a while: "reading the data"."""

    def warn(self, message: str) -> None:
        """Report a warning."""

    def say(self, text: str) -> None:
        """Report a line that stays on the screen."""

    def prepared(self, config: Config, facts: Facts, parameters: int, settings: Sequence[str] = ()) -> None:
        """Report that data and model are ready. `settings` describe overridden and inferred config values."""

    def run_created(self, run: Run, *, is_kept: bool) -> None:
        """Report the new run directory, whose log takes over. `is_kept`: it remains when the command has ended."""

    def run_resumed(self, history: Sequence[EpochRecord], best_epoch: int | None) -> None:
        """Report that a run resumes after the epochs of `history`, of which `best_epoch` is the best, if any."""

    def part_begins(self, words: str, number: int, count: int) -> None:
        """Report that a part of the run begins: "fold 3", the `number` of `count`. Further events are its own."""

    def part_ends(self, test: Mapping[str, float], seconds: float) -> None:
        """Report that the part is complete, with its test metrics and the time that it took."""

    def ended_early(self, status: str) -> None:
        """Report that the run stops before its end."""
