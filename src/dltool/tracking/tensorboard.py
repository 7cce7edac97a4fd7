"""Event files for TensorBoard: RUN/tensorboard/train and RUN/tensorboard/validation."""

import shutil
from collections.abc import Sequence
from typing import Any

from dltool.runs.files import Run, Status
from dltool.tracking.times import EpochTimes, finite_values

PREFIX = "val_"
TAG = "epoch_"
"""The names of keras.callbacks.TensorBoard, so that old and new runs share charts."""


class TensorBoardTracker:
    """Writes a scalar for each value of each epoch. Earlier files are replaced, which avoids duplicate epochs."""

    def __init__(self, run: Run) -> None:
        from tensorboard.summary import Writer

        self.times = EpochTimes(run)
        folder = run.directory(run.tensorboard)
        for part in ("train", "validation"):
            shutil.rmtree(folder / part, ignore_errors=True)
        self.writers = {part: Writer(str(run.directory(folder / part))) for part in ("train", "validation")}

    def send(self, lines: Sequence[Any]) -> None:
        for line in lines:
            moment = self.times.after(line)
            for name, value in finite_values(line).items():
                part = "validation" if name.startswith(PREFIX) else "train"
                tag = TAG + name.removeprefix(PREFIX)
                self.writers[part].add_scalar(tag, value, line["epoch"], wall_time=moment)
        for writer in self.writers.values():
            writer.flush()

    def close(self, status: Status) -> None:
        for writer in self.writers.values():
            writer.close()
