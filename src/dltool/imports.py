"""The import of TensorFlow and Keras: in a thread of its own, without the optional packages that come along, and set up
to compute fast."""

import contextlib
import gc
import os
import sys
from collections.abc import Callable, Iterator
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
    """Return the name of the module whose import statement is running."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("importlib"):
        frame = frame.f_back
    name: str = frame.f_globals.get("__name__", "")
    return name


SELDOM = (50_000, 10, 10)
"""Python looks for garbage after 700 new objects. A training makes a million before its first step, and few of them are
garbage: to look through them took a tenth of a short training."""


def begin_own_process() -> None:
    """For a process that is dltool's own: leave the optional packages out, so that Keras has no plots, and look for
    garbage seldom."""
    if not is_own_process():
        sys.meta_path.insert(0, LightImports)
    gc.set_threshold(*SELDOM)
    prefer_onednn()


def is_own_process() -> bool:
    """Return whether nothing but dltool runs in this process, as in a command, and unlike a notebook."""
    return LightImports in sys.meta_path


def prefer_onednn() -> None:
    """Have TensorFlow compute with oneDNN, unless the user has said otherwise; to be called before its import.

    Of itself TensorFlow does so only on processors with instructions for neural networks. On others, such as many of
    AMD's, convolutions train about twice as fast with it as well.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def import_keras() -> None:
    """Import Keras, and TensorFlow with it."""
    if not is_own_process():
        import_module("keras")
        return
    gc.disable()
    try:
        import_module("keras")
    finally:
        # What modules hold lives as long as the process: nobody need look through it again.
        gc.freeze()
        gc.enable()


def import_drawing() -> None:
    """Import what figures are drawn with."""
    for module in ("matplotlib.figure", "matplotlib.backends.backend_svg"):
        import_module(module)


class Import:
    """An import that takes seconds, in a thread, so that something else can be done meanwhile."""

    def __init__(self, modules: Callable[[], None]) -> None:
        self.thread = Thread(target=self.attempt, args=(modules,), daemon=True)
        self.thread.start()

    def attempt(self, modules: Callable[[], None]) -> None:
        # Whatever it is, it fails again, and is reported, where the modules are used.
        with contextlib.suppress(Exception):
            modules()

    def wait(self) -> None:
        self.thread.join()

    @contextlib.contextmanager
    def quiet_failures(self) -> Iterator[None]:
        """Delay a failure of the block until the import ends: TensorFlow's output would stand beside the message."""
        try:
            yield
        except DltoolError:
            self.wait()
            raise
