import errno
import os
import socket
import stat
from pathlib import Path
from threading import Thread

import pytest

from dltool.durable_files import (
    TEMPORARY_PREFIX,
    atomic_path,
    atomic_write,
    only_writer,
    open_file,
    read_file,
    remove_temporaries,
    replace_folder,
)
from dltool.errors import MachineError, RunError


def failing(number: int):
    def fail(*_arguments, **_options):
        raise OSError(number, os.strerror(number))

    return fail


def test_a_write_replaces_the_file_and_leaves_nothing_else(tmp_path):
    atomic_write(tmp_path / "a", b"old")
    atomic_write(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_the_contents_are_on_the_disk_before_the_name_and_the_name_when_it_returns(tmp_path, monkeypatch):
    fsync, replace, done = os.fsync, os.replace, []

    def record_fsync(descriptor: int) -> None:
        done.append(
            "sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else f"sync {os.fstat(descriptor).st_size}"
        )
        fsync(descriptor)

    def record_replace(source: Path, target: Path) -> None:
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    atomic_write(tmp_path / "a", b"12345")
    assert done == ["sync 5", "rename", "sync folder"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_disk_keeps_the_old_file_and_is_named_in_words(tmp_path, monkeypatch, call):
    atomic_write(tmp_path / "a", b"old")
    monkeypatch.setattr(os, call, failing(errno.ENOSPC))
    with pytest.raises(MachineError, match=r"^no space left on device: cannot write .*/a$"):
        atomic_write(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_body_that_fails_keeps_the_old_file(tmp_path):
    atomic_write(tmp_path / "a.keras", b"old")

    def write_half() -> None:
        with atomic_path(tmp_path / "a.keras") as temporary:
            assert temporary.suffix == ".keras"
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert (tmp_path / "a.keras").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.keras"]


def test_a_write_replaces_a_link_instead_of_following_it(tmp_path):
    (tmp_path / "canary").write_bytes(b"untouched")
    (tmp_path / "a").symlink_to("canary")
    atomic_write(tmp_path / "a", b"new")
    assert (tmp_path / "canary").read_bytes() == b"untouched"
    assert not (tmp_path / "a").is_symlink()


def test_a_folder_that_becomes_a_link_during_a_write_is_not_followed(tmp_path):
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    with atomic_path(tmp_path / "run/checkpoints/a", tmp_path / "run") as temporary:
        temporary.write_bytes(b"new")
        (tmp_path / "run/checkpoints").rename(tmp_path / "run/moved")
        (tmp_path / "run/checkpoints").symlink_to(tmp_path / "outside")
    assert os.listdir(tmp_path / "outside") == []
    assert (tmp_path / "run/moved/a").read_bytes() == b"new"
    with pytest.raises(RunError, match="checkpoints is or stands behind a link"):
        atomic_write(tmp_path / "run/checkpoints/a", b"new", tmp_path / "run")


def test_a_folder_that_is_gone_is_not_created_again(tmp_path):
    with pytest.raises(RunError, match="checkpoints is missing"):
        atomic_write(tmp_path / "run/checkpoints/a", b"new", tmp_path / "run")
    assert os.listdir(tmp_path) == []


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path):
    (tmp_path / f"{TEMPORARY_PREFIX}0000-a").touch()
    (tmp_path / "a").touch()
    remove_temporaries(tmp_path)
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_below_the_root_is_read(tmp_path):
    (tmp_path / "a" / "a").mkdir(parents=True)
    (tmp_path / "a" / "a" / "a").write_bytes(b"12345")
    assert read_file(tmp_path, "a/a/a", 5) == b"12345"


def test_a_file_over_the_limit_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    with pytest.raises(RunError, match="larger than the 4 bytes"):
        read_file(tmp_path, "a", 4)


def make_link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    "make", [make_link, os.mkfifo, make_socket, Path.mkdir], ids=["link", "FIFO", "socket", "folder"]
)
def test_only_a_regular_file_is_opened(tmp_path, monkeypatch, make):
    # A socket's path may have some 100 characters only.
    monkeypatch.chdir(tmp_path)
    make(Path("a"))
    with pytest.raises(RunError, match=r"^a"):
        open_file(Path(), "a")


def test_a_folder_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoints").symlink_to(tmp_path / "outside")
    with pytest.raises(RunError, match="link"):
        open_file(tmp_path / "run", "checkpoints/secret")


@pytest.mark.parametrize("relative", ["../secret", "a/../../secret", "/etc/passwd", ""])
def test_a_path_out_of_the_root_is_refused(tmp_path, relative):
    with pytest.raises(RunError, match="not a path inside it"):
        open_file(tmp_path, relative)


def test_what_a_killed_writer_of_a_folder_left_is_removed_by_the_next(tmp_path):
    for name in (".tmp-0123abcd-onnx", ".tmp-0123abcd-litert", "onnx"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_bytes(b"old")
    replace_folder(tmp_path / "onnx", {"a/b": b"new"}, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tmp-0123abcd-litert", "onnx"]
    assert [path.name for path in (tmp_path / "onnx").rglob("*")] == ["a", "b"]


def test_a_folder_is_replaced_when_no_other_writer_is_at_work_beside_it(tmp_path):
    with only_writer(tmp_path) as is_only:
        waiting = Thread(target=replace_folder, args=(tmp_path / "onnx", {"a": b"new"}, tmp_path))
        waiting.start()
        waiting.join(0.1)
        assert is_only
        assert not list(tmp_path.iterdir())
    waiting.join(10)
    assert (tmp_path / "onnx" / "a").read_bytes() == b"new"
