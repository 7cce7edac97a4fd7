import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dltool.data.media.cache import HEADER_BYTES as HEADER
from dltool.data.media.cache import CacheEntry, cache_folder, entry_bytes, find, new_entry, prune

SHAPE = (3, 2, 2, 1)
BUDGET = 10**6


def write(key: str, shape: tuple[int, int, int, int] = SHAPE, budget: int = BUDGET) -> None:
    with new_entry(key, shape, budget):
        pass


def names(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir())


def test_the_folder_is_the_users_cache(monkeypatch):
    for name in ("DLTOOL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_folder() == Path("/home/somebody/.cache/dltool/images")
    monkeypatch.setenv("XDG_CACHE_HOME", "/scratch")
    assert cache_folder() == Path("/scratch/dltool/images")
    monkeypatch.setenv("DLTOOL_CACHE", "/big/disk")
    assert cache_folder() == Path("/big/disk/images")


def test_what_was_written_is_found(cache):
    assert find("a") is None
    write("a")
    assert find("a") == CacheEntry(cache / "a.pixels", SHAPE)
    assert (cache / "a.pixels").stat().st_size == entry_bytes(SHAPE)
    assert find("b") is None


def test_a_writer_that_fails_leaves_nothing(cache):
    with pytest.raises(KeyboardInterrupt), new_entry("a", SHAPE, BUDGET):
        raise KeyboardInterrupt
    assert names(cache) == []


def test_a_file_that_is_not_finished_is_not_found(cache):
    with new_entry("a", SHAPE, BUDGET) as entry:
        assert find("a") is None
        # Not even if it had the right name, as the header is missing.
        os.link(entry.path, cache / "a.pixels")
        assert find("a") is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 300), change=st.integers(1, 255))
def test_a_changed_header_is_not_believed(cache, position, change):
    write("a")
    content = bytearray((cache / "a.pixels").read_bytes())
    header = content[:HEADER].rstrip(b"\0")
    content[position % len(header)] ^= change
    (cache / "a.pixels").write_bytes(content)
    assert find("a") is None


@pytest.mark.parametrize("size", [0, 100, HEADER, entry_bytes(SHAPE) - 1, entry_bytes(SHAPE) + 1])
def test_a_file_of_another_length_is_not_believed(cache, size):
    write("a")
    os.truncate(cache / "a.pixels", size)
    assert find("a") is None


def test_a_file_under_another_name_is_not_believed(cache):
    write("a")
    os.rename(cache / "a.pixels", cache / "b.pixels")
    assert find("b") is None


def test_two_writers_at_once_do_no_harm(cache):
    with new_entry("a", SHAPE, BUDGET), new_entry("a", SHAPE, BUDGET):
        pass
    assert find("a") is not None
    assert names(cache) == ["a.pixels"]


def test_the_least_recently_used_files_give_way(cache):
    for age, key in enumerate("abc"):
        write(key)
        os.utime(cache / f"{key}.pixels", (age, age))
    assert find("a") is not None
    write("d", budget=3 * entry_bytes(SHAPE))
    assert names(cache) == ["a.pixels", "c.pixels", "d.pixels"]


def test_what_killed_writers_left_is_removed_and_what_others_write_is_not(cache):
    write("a")
    (cache / ".tmp-00000000-b.pixels").write_bytes(b"left over")
    (cache / "notes.txt").write_text("not ours")
    with (cache / ".tmp-11111111-c.pixels").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        prune(cache, BUDGET)
    assert names(cache) == [".tmp-11111111-c.pixels", "a.pixels", "notes.txt"]


def test_a_cache_that_cannot_be_written_is_an_os_error(cache):
    cache.parent.write_text("a file where the folder is due")
    with pytest.raises(OSError, match=r"."), new_entry("a", SHAPE, BUDGET):
        pass


def test_a_full_disk_is_found_out_before_anything_is_decoded(cache, monkeypatch):
    def full(descriptor: int, offset: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space"), new_entry("a", SHAPE, BUDGET):
        pytest.fail("the disk is full")
    assert names(cache) == []
