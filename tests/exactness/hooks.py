"""What a forked child changes in itself before it runs: it kills itself, or its disk fails, at a chosen point."""

import importlib
import math
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.exactness.disk import Disk, PowerLosses, failing, write_image

from dltool.console.progress import TrainingProgress
from dltool.evaluation import measure as evaluation
from dltool.experiment import finishing, new_training, opening
from dltool.imports import Import
from dltool.model import build as model_build
from dltool.runs import checkpoint_file
from dltool.runs.files import MetricsLog, Run
from dltool.training import fit, recovery

WRITER: Any = checkpoint_file
OBSERVER: Any = TrainingProgress


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def at_step(step: int, number: int = signal.SIGKILL) -> None:
    """The signal, once, when so many steps of the whole training have been run."""
    act_at_step(step, lambda: send(number))


def at_step_with_best_unwritten(step: int) -> None:
    """SIGKILL; no best weights have been written by then, as in short epochs."""
    recovery.SECONDS_BETWEEN_BEST = math.inf
    at_step(step)


def clock_jumps_at_step(step: int) -> None:
    """A day back."""

    def jump() -> None:
        now = time.time
        time.time = lambda: now() - 86_400

    act_at_step(step, jump)


def twice_at_step(step: int, number: int) -> None:
    def act() -> None:
        send(number)
        send(number)

    act_at_step(step, act)


def failing_operation(root: str, operation: int, code: int) -> None:
    """See :func:`tests.exactness.disk.failing`."""
    Disk(Path(root), failing(operation, code)).install()


def counted_operations(root: str, out: str) -> Callable[[], None]:
    """Writes the list of all operations."""
    disk = Disk(Path(root), lambda number, operation: None)
    disk.install()

    def write() -> None:
        Path(out).write_text("\n".join(disk.operations))

    return write


def snapshots(root: str, out: str) -> None:
    """Copies what a kill before each operation would leave."""

    def before(number: int, operation: str) -> None:
        # Nothing of what this does is counted, for it is elsewhere; other threads wait for their turn.
        shutil.copytree(root, Path(out) / f"{number:03d}", symlinks=True, dirs_exist_ok=True)

    Disk(Path(root), before).install()


def power_losses(root: str, out: str) -> Callable[[], None]:
    """Writes what a power loss before each operation would leave, each with the step that was promised by then."""
    found = PowerLosses(Path(root))
    original = WRITER.write_checkpoint

    def promising(directory: Path, step: int, *arguments: Any, **options: Any) -> Path:
        path = original(directory, step, *arguments, **options)
        with disk.turn:
            found.promise(step)
        return path

    WRITER.write_checkpoint = promising
    disk = found.disk()
    disk.install()

    def write() -> None:
        disk.remove()
        found.look()
        for number, (image, step) in enumerate(found.images):
            write_image(image, Path(out) / f"{number:03d} {step}")

    return write


def no_room_for(module: str, name: str, size: int) -> None:
    """A function's files cannot grow beyond so many bytes, whoever writes them: HDF5 in C, too."""
    owner = importlib.import_module(module)
    original = getattr(owner, name)

    def limited(*arguments: Any) -> Any:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            return original(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    setattr(owner, name, limited)


def act_at_step(step: int, act: Callable[[], None]) -> None:
    """Once, when so many steps of the whole training have been run."""
    epoch_begins, steps_done = OBSERVER.epoch_begins, OBSERVER.steps_done
    before, done = [0], [False]

    def begins(self: Any, epoch: int, epochs: int, steps: int) -> None:
        before[0] = (epoch - 1) * steps
        epoch_begins(self, epoch, epochs, steps)

    def reached(self: Any, in_epoch: int, logs: dict[str, float]) -> None:
        steps_done(self, in_epoch, logs)
        if before[0] + in_epoch >= step and not done[0]:
            done[0] = True
            act()

    OBSERVER.epoch_begins, OBSERVER.steps_done = begins, reached


def in_part(part: int, step: int, number: int = signal.SIGKILL) -> None:
    """The signal when so many steps of the fold or seed of that number have been run; 0 kills at its beginning."""
    part_begins, steps_done = OBSERVER.part_begins, OBSERVER.steps_done
    current, done = [0], [0]

    def begins(self: Any, words: str, index: int, count: int) -> None:
        part_begins(self, words, index, count)
        current[0], done[0] = index, 0
        if index == part and not step:
            send(number)

    def reached(self: Any, in_epoch: int, logs: dict[str, float]) -> None:
        steps_done(self, in_epoch, logs)
        done[0] += 1
        if current[0] == part and done[0] == step:
            send(number)

    OBSERVER.part_begins, OBSERVER.steps_done = begins, reached


PHASES: dict[str, tuple[Any, str]] = {
    "validation": (fit.Fitting, "leave_if_asked"),
    "best weights": (recovery.Recovery, "remember"),
    "last file": (finishing, "concluded"),
    "cleanup": (checkpoint_file, "_remove_all_but_newest_two"),
    "metrics": (MetricsLog, "append"),
    "test": (finishing, "tested_model"),
    "status": (Run, "write_json"),
    "import": (Import, "join"),
    "data": (new_training, "load_data"),
    "data again": (opening, "load_data"),
    "build": (model_build, "build_model"),
    "evaluation": (evaluation, "measure"),
}


def in_phase(phase: str, count: int = 1, number: int = signal.SIGKILL) -> None:
    """The signal when the function of a phase is called for the `count`-th time."""
    owner, name = PHASES[phase]
    before_call(owner, name, count, lambda: send(number))


def before_call(owner: Any, name: str, count: int, act: Callable[[], None]) -> None:
    original = getattr(owner, name)
    calls = [0]

    def counted(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == count:
            act()
        return original(*arguments, **options)

    setattr(owner, name, counted)


def written_at_once(then: str, **options: Any) -> None:
    """Another hook, in a training that waits for each checkpoint: what a kill leaves is no matter of timing."""

    def submit(self: Any, step: int, arrays: Any, state: Any) -> None:
        WRITER.write_checkpoint(self.directory, step, arrays, state, before=self.before)
        self.before = step

    WRITER.CheckpointWriter.submit = submit
    globals()[then](**options)


def in_write(percent: int, count: int) -> None:
    """SIGKILL when so much of the `count`-th checkpoint is written; what is written so far reaches the disk."""
    original = checkpoint_file.write_checkpoint
    calls = [0]

    def counted(directory: Any, step: int, arrays: Any, state: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == count:
            checkpoint_file.open = Dying.opener(sum(array.nbytes for _, array in arrays) * percent // 100)  # type: ignore[attr-defined]
        return original(directory, step, arrays, state, **options)

    WRITER.write_checkpoint = counted


class Dying:
    """A file whose writer is killed after so many bytes."""

    def __init__(self, file: Any, left: int) -> None:
        self.file, self.left = file, left

    @classmethod
    def opener(cls, left: int) -> Callable[[Any, str], "Dying"]:
        return lambda path, mode: cls(open(path, mode, buffering=0), left)

    def __enter__(self) -> "Dying":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if len(view) > self.left:
            self.file.write(view[: self.left])
            send(signal.SIGKILL)
        self.left -= len(view)
        written: int = self.file.write(view)
        return written
