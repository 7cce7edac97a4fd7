"""Nothing that is given to the writer is lost in silence."""

import errno
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dltool.errors import Interrupted, MachineError
from dltool.runs import checkpoint_file
from dltool.runs.checkpoint_file import (
    CheckpointWriter,
    checkpoint_path,
    has_checkpoints,
    newest_checkpoint,
    write_checkpoint,
)

ARRAYS = [("a", np.arange(10))]


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_the_last_state_is_on_the_disk_when_the_block_ends(tmp_path: Path):
    with CheckpointWriter(tmp_path) as writer:
        for step in range(20):
            writer.submit(step, ARRAYS, {"step": step})
    assert newest_checkpoint(tmp_path)[0].state == {"step": 19}


def test_states_that_come_fast_are_written_a_second_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    began: list[tuple[int, float]] = []

    def write(directory: Path, step: int, *_: object, **__: object) -> None:
        began.append((step, time.monotonic()))

    monkeypatch.setattr(checkpoint_file, "write_checkpoint", write)
    monkeypatch.setattr(checkpoint_file, "SECONDS_BETWEEN", 0.2)
    with CheckpointWriter(tmp_path) as writer:
        for step in range(50):
            writer.submit(step, ARRAYS, {})
            time.sleep(0.01)
    steps, times = zip(*began, strict=True)
    # The first at once; the last at the end, and without waiting.
    assert steps[0] == 0
    assert steps[-1] == 49
    assert len(steps) < 10
    assert min(np.diff(times)[:-1]) >= 0.2


def test_the_end_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checkpoint_file, "SECONDS_BETWEEN", 3600.0)
    with CheckpointWriter(tmp_path) as writer:
        writer.submit(1, ARRAYS, {})
        while newest_step(tmp_path) != 1:
            time.sleep(0.01)
        writer.submit(2, ARRAYS, {})
    assert newest_step(tmp_path) == 2


def newest_step(directory: Path) -> int:
    return newest_checkpoint(directory)[0].step if has_checkpoints(directory) else -1


def test_a_checkpoint_is_on_the_disk_after_waiting_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write = checkpoint_file.write_checkpoint

    def slow(*arguments: Any, **options: Any) -> Path:
        time.sleep(0.05)
        return write(*arguments, **options)

    monkeypatch.setattr(checkpoint_file, "write_checkpoint", slow)
    with CheckpointWriter(tmp_path) as writer:
        writer.submit(1, ARRAYS, {})
        writer.wait()
        assert newest_step(tmp_path) == 1
    monkeypatch.setattr(os, "fsync", full_disk)
    with suppress(MachineError), CheckpointWriter(tmp_path) as writer:
        writer.submit(2, ARRAYS, {})
        with pytest.raises(MachineError, match="no space left"):
            writer.wait()
    with CheckpointWriter(tmp_path, since=1) as writer:
        writer.wait()


def test_a_failed_write_fails_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(MachineError, match="no space left"), CheckpointWriter(tmp_path) as writer:
        writer.submit(1, ARRAYS, {})


def test_a_stop_does_not_hide_that_its_state_was_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "fsync", full_disk)

    def stopped() -> None:
        with CheckpointWriter(tmp_path) as writer:
            writer.submit(1, ARRAYS, {})
            raise Interrupted("stopped", 2)

    with pytest.raises(MachineError, match="no space left"):
        stopped()


def test_a_bug_in_the_writer_is_not_hidden_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checkpoint_file, "write_checkpoint", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError), CheckpointWriter(tmp_path) as writer:
        writer.submit(1, ARRAYS, {})


def test_a_damaged_checkpoint_does_not_push_out_the_good_one_before_it(tmp_path: Path):
    write_checkpoint(tmp_path, 100, ARRAYS, {})
    checkpoint_path(tmp_path, 200).write_bytes(b"damaged")
    with CheckpointWriter(tmp_path, since=100) as writer:
        writer.submit(250, ARRAYS, {})
    assert sorted(os.listdir(tmp_path)) == ["0000000100.ckpt", "0000000250.ckpt"]
