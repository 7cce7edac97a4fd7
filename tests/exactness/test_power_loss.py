"""After a power loss at any operation there is a whole checkpoint, and none that was promised is lost. So it is with a
new run: whole once it was announced, and never half."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.exactness import disk
from tests.exactness.disk import PowerLosses, write_image

from dltool import durable_files
from dltool.durable_files import atomic_write
from dltool.errors import RunError
from dltool.runs import directory
from dltool.runs.checkpoint_file import newest_checkpoint, write_checkpoint
from dltool.runs.directory import create


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


RUN = "runs/mnist/0001"
FILES = {"config.yaml": b"name: mnist\n", "preprocessing/mean.npy": b"0"}


def lost_runs(folder: Path) -> list[str]:
    """What is wrong after a power loss before any operation of the creation of a run, and after it was announced."""
    root = folder / "disk"
    root.mkdir()
    found = PowerLosses(root)
    with found.disk().installed(), create(root / "runs", "mnist", {}, FILES):
        found.promise(1)
    wrong = []
    for image, promised in found.images:
        there = image.get(f"{RUN}/run.json")
        if promised > 0 and there is None:
            wrong.append("the run is lost")
        # Where the names have reached the disk before the contents, it was not announced yet.
        elif promised > 0 and (not there or json.loads(there)["status"] != "running"):
            wrong.append("run.json is torn")
        elif promised > 0:
            wrong += [f"{name} is torn" for name, data in FILES.items() if image.get(f"{RUN}/{name}") != data]
    return wrong


def test_no_announced_run_is_lost(tmp_path: Path):
    assert not lost_runs(tmp_path)


@pytest.mark.parametrize("dropped", [r"disk", r"runs", r"mnist", r"\.new-.*", r"preprocessing"])
def test_a_dropped_fsync_of_any_folder_of_a_new_run_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dropped: str
):
    real = durable_files.sync
    for module in (directory, durable_files):
        monkeypatch.setattr(module, "sync", lambda path: None if re.fullmatch(dropped, path.name) else real(path))
    assert lost_runs(tmp_path)


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
