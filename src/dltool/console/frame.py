"""The frame of every command: failures become messages and exit codes; allowed code, output, progress, results."""

import contextlib
import errno
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from dltool.errors import DltoolError, ExpectationMissed, MachineError
from dltool.imports import refuse_small_address_space
from dltool.text import os_words

if TYPE_CHECKING:
    from dltool.config.load import Document


@dataclass
class Frame:
    """The context of a command. Once the `document` is read, failures have positions in it."""

    as_json: bool
    document: "Document | None" = None

    def read(self, config: Path, settings: Sequence[str] | None, **options: str | int | None) -> "Document":
        """Read a config, with the `options` that are given."""
        from dltool.config.load import read_document

        self.document = read_document(config, settings or (), **options)
        return self.document

    def carry_out(self, work: Callable[..., Any], *, is_silent: bool = False, is_quiet: bool = False) -> NoReturn:
        """Run `work` with progress unless it `is_silent`; show its outcome, and exit with its code."""
        from dltool.console.capture import captured_chatter
        from dltool.console.progress import TrainingProgress
        from dltool.console.results import show

        with captured_chatter() as capture, TrainingProgress(capture, quiet=is_silent) as progress:
            outcome = work(progress=progress)
        show(outcome, as_json=self.as_json, is_quiet=is_quiet)
        has_missed = getattr(outcome, "missed", ()) or getattr(outcome, "difference", "")
        raise typer.Exit(ExpectationMissed.exit_code if has_missed else 0)


@contextlib.contextmanager
def frame(as_json: bool = False, allow_code: Sequence[Path] | None = None) -> Iterator[Frame]:
    """Turn failures of the block into messages and exit codes. Configs may name classes in the files of `allow_code`.
    Anything but a DltoolError is a bug: a traceback."""
    frame = Frame(as_json)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(allowed(allow_code or ()))
            refuse_small_address_space()
            with exhausted_machine():
                yield frame
        except DltoolError as error:
            # While the files are allowed, so that the next step can name them.
            show_failure(error, frame)
            raise typer.Exit(error.exit_code) from None
        except MemoryError:
            sys.stderr.write("error: out of memory\n  use a smaller batch size or less data\n")
            raise typer.Exit(5) from None


def show_failure(error: DltoolError, frame: Frame) -> None:
    try:
        from dltool.console.results import show_error

        show_error(error, frame.document, frame.as_json)
    except MemoryError:
        sys.stderr.write(f"error: {error}\n")


@contextlib.contextmanager
def exhausted_machine() -> Iterator[None]:
    """Raise MachineError where a limit of the system ends the block: of open files, of memory, of libraries in it."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise
        limit = "memory: ulimit -v unlimited" if error.errno == errno.ENOMEM else "open files: ulimit -n 1024"
        raise MachineError(os_words(error), f"raise the limit of {limit}") from error
    except ImportError as error:
        # From the loader of libraries, with the file's name.
        if ".so" not in str(error):
            raise
        hint = "free some memory, or raise its limit: ulimit -v unlimited; dltool doctor checks the installation"
        raise MachineError(f"a library cannot be loaded: {str(error).splitlines()[-1]}", hint) from error


@contextlib.contextmanager
def allowed(files: str | Path | Sequence[str | Path]) -> Iterator[None]:
    """Let configs name the classes in these files, or in this one, during the block."""
    files = [files] if isinstance(files, str | Path) else files
    if not files:
        yield
        return
    from dltool.config.keras.allowed_code import read_allowed_code
    from dltool.keras_names import allowing

    with allowing(read_allowed_code([Path(file) for file in files])):
        yield
