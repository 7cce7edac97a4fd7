"""What a running command tells the screen. For type checking only: importing it imports TensorFlow."""

from typing import Protocol

from dltool.data.facts import Facts
from dltool.run_files import Run
from dltool.training.fit import Observer


class Progress(Observer, Protocol):
    """A command calls these as it goes; the console, or a test, listens."""

    def stage(self, name: str) -> None:
        """A step begins that may take a while: "reading the data"."""

    def warn(self, message: str) -> None:
        """Something the user should know that stops nothing."""

    def prepared(self, name: str, facts: Facts, parameters: int) -> None:
        """Data and model are ready."""

    def run_created(self, run: Run, *, is_kept: bool) -> None:
        """The run directory exists; its log takes over. `is_kept`: it is still there when the command has ended."""

    def ended_early(self, run: Run, status: str) -> None:
        """The run stops here."""
