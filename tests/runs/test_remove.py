"""Removing runs: whole or not at all, and never anything else."""

import os
import shutil
from pathlib import Path

import pytest

from dltool.errors import RunError
from dltool.runs.directory import create, open_run
from dltool.runs.files import Run
from dltool.runs.removal import remove
from dltool.runs.summaries import summaries


def created(runs: Path, name: str = "mnist") -> Run:
    with create(runs, name, {}, {"preprocessing/mean.npy": b"0"}) as run:
        return run


def test_a_removed_run_is_gone_and_latest_points_to_the_newest_that_is_left(tmp_path):
    first, second, third = (created(tmp_path) for _ in range(3))
    remove(third.path)
    remove(first.path)
    assert not third.path.exists()
    assert open_run(tmp_path / "mnist" / "latest") == second


def test_the_number_of_a_removed_run_is_not_used_again(tmp_path):
    first, second = created(tmp_path), created(tmp_path)
    remove(second.path)
    assert created(tmp_path).number == "0003"
    remove(tmp_path / "mnist" / "0003")
    remove(first.path)
    assert not os.path.lexists(tmp_path / "mnist" / "latest")
    assert summaries(tmp_path) == []
    assert created(tmp_path).number == "0004"
    assert os.readlink(tmp_path / "mnist" / "latest") == "0004"


def test_a_run_that_is_in_use_stays(tmp_path):
    with create(tmp_path, "mnist", {}, {}) as run:
        with pytest.raises(RunError, match="is in use by process"):
            remove(run.path)
        assert run.record.exists()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("mnist/0009", "does not exist"),
        ("mnist", "is not a run: it has no run.json"),
        ("mnist/latest", "is a link; name the run itself: .*/mnist/0001"),
        ("link", "is a link"),
        ("file", "is a file, not a run directory"),
        ("elsewhere", "is not inside a runs folder"),
        ("mnist/0002", "its run.json is not a file"),
    ],
)
def test_anything_but_a_run_is_refused_and_stays(tmp_path, path, message):
    run = created(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(run.path)
    shutil.copytree(run.path, tmp_path / "elsewhere")
    (tmp_path / "mnist/0002").mkdir()
    (tmp_path / "mnist/0002/run.json").symlink_to(run.record)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunError, match=message):
        remove(tmp_path / path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_run_can_be_removed_and_its_links_are_not_followed(tmp_path):
    run = created(tmp_path)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    run.record.write_text("{")
    (run.path / "checkpoints").symlink_to(tmp_path / "precious")
    remove(run.path)
    assert not run.path.exists()
    assert (tmp_path / "precious" / "file").exists()


def test_a_kill_in_the_middle_leaves_nothing_that_looks_like_a_run(tmp_path, monkeypatch):
    first, second = created(tmp_path), created(tmp_path)

    def killed(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove(second.path)
    assert [summary.path for summary in summaries(tmp_path)] == [first.path]
    assert created(tmp_path).number == "0003"
    for left in (tmp_path / "mnist").glob(".new-*"):
        os.utime(left, (0, 0))
    remove(first.path)
    assert sorted(os.listdir(tmp_path / "mnist")) == ["0003", "latest"]


def test_a_full_disk_does_not_keep_a_run_from_being_removed(tmp_path, monkeypatch):
    run = created(tmp_path)

    def full(*_arguments):
        raise OSError(28, "full")

    monkeypatch.setattr(os, "pwrite", full)
    remove(run.path)
    assert not run.path.exists()
