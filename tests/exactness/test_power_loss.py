"""After a power loss at any operation there is a whole checkpoint, and none that was promised is lost."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.exactness import disk
from tests.exactness.disk import PowerLosses, write_image

from dltool import durable_files
from dltool.checkpoint_file import newest_checkpoint, write_checkpoint
from dltool.durable_files import atomic_write
from dltool.errors import RunError


def losses(folder: Path) -> list[str]:
    """What is wrong after a power loss before any operation of a writer's life."""
    root = folder / "disk"
    (root / "checkpoints").mkdir(parents=True)
    found = PowerLosses(root)
    arrays = [("a", np.arange(5000, dtype=np.float32))]
    with found.disk().installed():
        for step in range(4):
            write_checkpoint(root / "checkpoints", step, arrays, {"step": step})
            found.promise(step)
            atomic_write(root / "run.json", b"%04d" % step)
    return [wrong for number, (image, step) in enumerate(found.images) for wrong in look(folder, number, image, step)]


def look(folder: Path, number: int, image: dict[str, bytes | None], promised: int) -> list[str]:
    path = folder / f"image-{number}"
    write_image(image, path)
    wrong = []
    try:
        found, skipped = newest_checkpoint(path / "checkpoints")
        if found.step < promised:
            wrong.append(f"checkpoint {promised} is lost, {found.step} is there")
        wrong += skipped
    except RunError as error:
        if promised >= 0:
            wrong.append(str(error))
    if len(image.get("run.json") or b"0000") != 4 or image.get("run.json") == b"":
        wrong.append("run.json is torn")
    return wrong


def test_no_promised_checkpoint_is_lost(tmp_path: Path):
    assert not losses(tmp_path)


def seeded(monkeypatch: pytest.MonkeyPatch, bug: Callable[[], None]) -> None:
    monkeypatch.setattr(durable_files, "sync", durable_files.sync)
    bug()


@pytest.mark.parametrize("bug", [disk.without_file_sync, disk.without_folder_sync])
def test_a_dropped_fsync_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bug: Callable[[], None]):
    seeded(monkeypatch, bug)
    assert losses(tmp_path)


def test_a_dropped_rename_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(disk.REAL, "replace", in_place)
    assert losses(tmp_path)


def in_place(source: Path, target: Path) -> None:
    """Writes the file at its own place, as if there were no rename."""
    data = Path(source).read_bytes()
    with open(target, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.unlink(source)
