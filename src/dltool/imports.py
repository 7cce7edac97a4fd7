"""The import of TensorFlow and Keras: in a thread of its own, and without the optional packages that come along."""

import contextlib
import sys
from collections.abc import Iterator
from importlib import import_module
from threading import Thread

from dltool.errors import DltoolError

OPTIONAL = frozenset({"matplotlib", "pandas", "scipy", "sklearn"})
"""Keras and TensorFlow import them where they are installed, for what dltool never calls: 1.5 of 3.8 seconds, and 165
of 768 MB (TensorFlow 2.21, Keras 3.15.1)."""
IMPORTERS = ("keras.src.trainers.data_adapters.", "keras.src.visualization.", "keras.src.wrappers.", "tensorflow.")


class LightImports:
    """On `sys.meta_path`: to those importers the optional packages are not installed. To all others they are."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name in OPTIONAL and importer().startswith(IMPORTERS):
            raise ModuleNotFoundError(f"{name} is not needed here", name=name)


def importer() -> str:
    """The name of the module whose import statement is being carried out."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("importlib"):
        frame = frame.f_back
    name: str = frame.f_globals.get("__name__", "")
    return name


def import_lightly() -> None:
    """From now on leave the optional packages out. For a process that is dltool's own: Keras then has no plots."""
    if LightImports not in sys.meta_path:
        sys.meta_path.insert(0, LightImports)


class Import:
    """An import that takes seconds, in a thread, so that the data can load meanwhile."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.thread = Thread(target=self.attempt, daemon=True)
        self.thread.start()

    def attempt(self) -> None:
        # Whatever it is, it fails again, and is reported, where the module is used.
        with contextlib.suppress(Exception):
            import_module(self.module)

    def wait(self) -> None:
        self.thread.join()

    @contextlib.contextmanager
    def quiet_failures(self) -> Iterator[None]:
        """A failure of the block waits for the import: what TensorFlow then says would stand beside the message."""
        try:
            yield
        except DltoolError:
            self.wait()
            raise
