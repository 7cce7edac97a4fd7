"""Import TensorFlow and Keras in a thread, without optional packages, and configure them for speed."""

import gc
import os
import re
import resource
import sys
from collections.abc import Callable
from importlib import import_module
from threading import Thread

from dltool.errors import MachineError
from dltool.text import os_words, size_text

OPTIONAL = frozenset({"matplotlib", "pandas", "scipy", "sklearn"})
"""Packages that Keras and TensorFlow import if installed, and dltool never uses: 1.5 of 3.8 seconds, and 165 of 768 MB
(TensorFlow 2.21, Keras 3.15.1). Optuna 5 imports them for evaluators that dltool does not use, in 1.5 seconds."""
IMPORTERS = (
    *("keras.src.trainers.data_adapters.", "keras.src.visualization.", "keras.src.wrappers."),
    *("optuna.", "tensorflow."),
)


class LightImports:
    """A finder on `sys.meta_path` that hides the optional packages from those importers only."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name not in OPTIONAL:
            return
        # Up to the module whose import statement is running.
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("importlib"):
            frame = frame.f_back
        if str(frame.f_globals.get("__name__", "")).startswith(IMPORTERS):
            raise ModuleNotFoundError(f"{name} is not needed here", name=name)


GROWTH = "TF_FORCE_GPU_ALLOW_GROWTH"
"""Lets TensorFlow take the memory of a GPU as it needs it: else it takes all, and the next process on it fails."""
SELDOM = (50_000, 10, 10)
"""Python collects garbage after 700 new objects. A run makes a million before its first step, few of them garbage;
collections took a tenth of a short run."""


def begin_own_process() -> None:
    """Set up a process of dltool's own: hide optional packages (Keras has no plots then), collect garbage seldom."""
    if not is_own_process():
        sys.meta_path.insert(0, LightImports)
    gc.set_threshold(*SELDOM)
    prefer_onednn()
    os.environ.setdefault(GROWTH, "true")


def is_own_process() -> bool:
    """Return whether only dltool runs in this process, as in a command, and unlike a notebook."""
    return LightImports in sys.meta_path


def prefer_onednn() -> None:
    """Enable oneDNN unless the user has set the option; call this before importing TensorFlow.

    By default TensorFlow uses it only on processors with neural network instructions. On others, such as many of AMD's,
    it makes convolutions train about twice as fast."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


ADDRESS_SPACE = {"dltool": 500_000_000, "TensorFlow": 2_500_000_000}
"""Bytes that are needed to start (on two cores without a GPU). With less, NumPy's library hangs, and TensorFlow's
crashes before it can say so."""


def refuse_small_address_space(program: str = "dltool") -> None:
    """Raise MachineError if `ulimit -v` leaves less address space than the program needs to start."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < ADDRESS_SPACE[program]:
        needed = f"{program} needs at least {size_text(ADDRESS_SPACE[program])}"
        hint = "raise the limit: ulimit -v unlimited"
        raise MachineError(f"the address space is limited to {size_text(limit)}; {needed} to start", hint)


def import_keras() -> None:
    """Import Keras with TensorFlow. Raises MachineError: the address space is too small, or the import fails."""
    refuse_small_address_space("TensorFlow")
    # A later call would freeze what lives now, as well.
    freezes = is_own_process() and "keras" not in sys.modules
    if freezes:
        gc.disable()
    try:
        import_module("keras")
    except MemoryError:
        raise
    except Exception as error:
        text = os_words(error) if isinstance(error, OSError) else str(error)
        lines = [line for line in text.splitlines() if line.strip()] or [type(error).__name__]
        # TensorFlow puts the traceback of the cause, and then advice, into one message.
        causes = [line for line in lines if re.match(r"\w+Error: ", line)] or lines
        hint = "dltool doctor checks the installation"
        raise MachineError(f"TensorFlow cannot be imported: {causes[-1].strip()}", hint) from error
    finally:
        if freezes:
            # Module contents live as long as the process, so garbage collection can skip them.
            gc.freeze()
            gc.enable()


def import_drawing() -> None:
    for module in ("matplotlib.figure", "matplotlib.backends.backend_svg"):
        import_module(module)


class Import(Thread):
    """A slow import in a thread, so that other work can be done meanwhile."""

    def __init__(self, modules: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.modules = modules
        self.failure: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.modules()
        except BaseException as error:  # noqa: BLE001 (raised by `finish`)
            self.failure = error

    def finish(self) -> None:
        """Wait for the end of the import, and raise its failure. A second import would fail otherwise."""
        self.join()
        if self.failure is not None:
            raise self.failure
