"""What a running command tells the screen. For type checking only: importing it imports TensorFlow."""

from collections.abc import Sequence
from typing import Protocol

from dltool.config.schema import Config
from dltool.data.facts import Facts
from dltool.runs.files import Run
from dltool.training.fit import Observer
from dltool.training.state import EpochRecord


class Progress(Observer, Protocol):
    """A command calls these as it goes; the console, or a test, listens."""

    def stage(self, name: str) -> None:
        """A step begins that may take a while: "reading the data"."""

    def warn(self, message: str) -> None:
        """Something the user should know that stops nothing."""

    def prepared(self, config: Config, facts: Facts, parameters: int, settings: Sequence[str] = ()) -> None:
        """Data and model are ready. `settings` say in words what is not as the config's file alone has it, and what was
        chosen where it says nothing."""

    def run_created(self, run: Run, *, is_kept: bool) -> None:
        """The run directory exists; its log takes over. `is_kept`: it is still there when the command has ended."""

    def goes_on(self, history: Sequence[EpochRecord], best_epoch: int | None) -> None:
        """A stopped training goes on after the epochs of `history`, of which `best_epoch` is the best, if one is."""

    def ended_early(self, run: Run, status: str) -> None:
        """The run stops here."""
