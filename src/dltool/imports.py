"""Import TensorFlow and Keras in a thread, without optional packages, and configure them for speed."""

import contextlib
import gc
import os
import sys
from collections.abc import Callable
from importlib import import_module
from threading import Thread

OPTIONAL = frozenset({"matplotlib", "pandas", "scipy", "sklearn"})
"""Packages that Keras and TensorFlow import if installed, and dltool never uses: 1.5 of 3.8 seconds, and 165 of 768 MB
(TensorFlow 2.21, Keras 3.15.1)."""
IMPORTERS = ("keras.src.trainers.data_adapters.", "keras.src.visualization.", "keras.src.wrappers.", "tensorflow.")


class LightImports:
    """A finder on `sys.meta_path` that hides the optional packages from those importers only."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name in OPTIONAL and importer().startswith(IMPORTERS):
            raise ModuleNotFoundError(f"{name} is not needed here", name=name)


def importer() -> str:
    """Return the name of the module whose import statement is running."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("importlib"):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", ""))


SELDOM = (50_000, 10, 10)
"""Python collects garbage after 700 new objects. A run makes a million before its first step, few of them garbage;
collections took a tenth of a short run."""


def begin_own_process() -> None:
    """Set up a process of dltool's own: hide optional packages (Keras has no plots then), collect garbage seldom."""
    if not is_own_process():
        sys.meta_path.insert(0, LightImports)
    gc.set_threshold(*SELDOM)
    prefer_onednn()


def is_own_process() -> bool:
    """Return whether only dltool runs in this process, as in a command, and unlike a notebook."""
    return LightImports in sys.meta_path


def prefer_onednn() -> None:
    """Enable oneDNN unless the user has set the option; call this before importing TensorFlow.

    By default TensorFlow uses it only on processors with neural network instructions. On others, such as many of AMD's,
    it makes convolutions train about twice as fast."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def import_keras() -> None:
    if not is_own_process():
        import_module("keras")
        return
    gc.disable()
    try:
        import_module("keras")
    finally:
        # Module contents live as long as the process, so garbage collection can skip them.
        gc.freeze()
        gc.enable()


def import_drawing() -> None:
    for module in ("matplotlib.figure", "matplotlib.backends.backend_svg"):
        import_module(module)


class Import:
    """A slow import in a thread, so that other work can be done meanwhile."""

    def __init__(self, modules: Callable[[], None]) -> None:
        self.thread = Thread(target=self.attempt, args=(modules,), daemon=True)
        self.thread.start()

    def attempt(self, modules: Callable[[], None]) -> None:
        # Any error occurs again, and is reported, when the modules are used.
        with contextlib.suppress(Exception):
            modules()

    def wait(self) -> None:
        self.thread.join()
