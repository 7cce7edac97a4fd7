import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.data.hostile_archives import write_zip
from tests.data.pictures import encoded, pixels

from dltool.data.arrays.rows import take
from dltool.data.files.file_tree import open_members
from dltool.data.media.cache import HEADER_BYTES, find, new_entry, path_of
from dltool.data.media.image_decode import ImageForm
from dltool.data.media.images import DecodedImages
from dltool.data.media.rows import CacheRows, DecodedRows
from dltool.errors import DataError, MachineError

PLACE = ("data", "source", "images", "path")


def cached(array: np.ndarray) -> CacheRows:
    with new_entry("a", array.shape, 2**40) as entry:
        with entry.path.open("r+b") as file:
            file.seek(HEADER_BYTES)
            file.write(array.tobytes())
            file.write(b"".join(zlib.crc32(row.tobytes()).to_bytes(4, "little") for row in array))
        return CacheRows(entry, path_of("a"))


def decoded(path: Path, array: np.ndarray) -> DecodedRows:
    images = {f"{row}.png": encoded(image) for row, image in enumerate(array)}
    members = open_members(str(write_zip(path, images, zipfile.ZIP_STORED)), PLACE)
    return DecodedImages(members, ImageForm(None, 3, "stretch"), array.shape[1:3])


ARRAY = np.stack([pixels(4, 5, seed=seed) for seed in range(23)])
INDICES = st.lists(st.integers(-23, 22), max_size=40).map(lambda rows: np.array(rows, dtype=np.int64))
MASKS = st.lists(st.booleans(), min_size=23, max_size=23).map(np.array)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(rows=INDICES | MASKS | st.slices(23))
def test_rows_are_those_of_the_array(cache, tmp_path, rows):
    for found in (cached(ARRAY), decoded(tmp_path / "a.zip", ARRAY)):
        assert found.shape == ARRAY.shape
        assert found.dtype == ARRAY.dtype
        np.testing.assert_array_equal(found[rows], ARRAY[rows])


def test_an_archive_is_read_from_its_start_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("dltool.data.media.rows.usable_cores", lambda: 1)
    found, starts = decoded(tmp_path / "a.zip", ARRAY), []
    read = found.files.reader.read

    def noted(member):
        starts.append(member.start)
        return read(member)

    monkeypatch.setattr(found.files.reader, "read", noted)
    rows = np.random.default_rng(0).permutation(23)
    np.testing.assert_array_equal(found[rows], ARRAY[rows])
    assert len(starts) == 23
    assert starts == sorted(starts)


def test_a_part_is_those_rows(cache, tmp_path):
    for found in (cached(ARRAY), decoded(tmp_path / "a.zip", ARRAY)):
        part = take(take(found, np.arange(5, 20)), np.arange(1, 10))
        assert len(part) == 9
        np.testing.assert_array_equal(part[:], ARRAY[6:15])
        np.testing.assert_array_equal(part[np.array([-1, 0])], ARRAY[[14, 6]])


def test_what_was_read_is_a_copy(cache):
    rows = cached(ARRAY)
    rows[:][:] = 0
    np.testing.assert_array_equal(rows[:], ARRAY)


def test_rows_stay_readable_when_the_cache_is_emptied(cache):
    rows = cached(ARRAY)
    (cache / "a.pixels").unlink(missing_ok=True)
    np.testing.assert_array_equal(rows[:], ARRAY)


def test_a_picture_that_is_damaged_when_it_is_read_is_named(tmp_path):
    rows = decoded(tmp_path / "a.zip", ARRAY)
    content = (tmp_path / "a.zip").read_bytes()
    at = content.index(b"IDAT", content.index(b"7.png"))
    (tmp_path / "a.zip").write_bytes(content[:at] + b"idat" + content[at + 4 :])
    np.testing.assert_array_equal(rows[:7], ARRAY[:7])
    with pytest.raises(DataError) as error:
        rows[:]
    assert error.value.problems[0].message.startswith(f"1 image in {tmp_path / 'a.zip'} cannot be used: 7.png (damaged")


def test_a_row_that_there_is_not_is_an_index_error(cache, tmp_path):
    for found in (cached(ARRAY), decoded(tmp_path / "a.zip", ARRAY)):
        for row in (23, -24):
            with pytest.raises(IndexError):
                found[np.array([row])]


def test_a_file_that_is_cut_short_while_it_is_used_is_an_error(cache):
    with new_entry("a", ARRAY.shape, 2**40) as entry:
        rows = CacheRows(entry, entry.path)
        os.truncate(entry.path, HEADER_BYTES + 10)
        with pytest.raises(MachineError, match="has been cut short"):
            rows[:]


def changed(path: Path, position: int) -> None:
    """Change one bit in place."""
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1]))


ROW = ARRAY[0].nbytes


@pytest.mark.parametrize("position", [HEADER_BYTES, HEADER_BYTES + 5 * ROW + 7, HEADER_BYTES + 23 * ROW - 1, -1])
def test_a_changed_bit_of_the_pixels_is_found_and_the_file_removed(cache, position):
    rows = cached(ARRAY)
    size = path_of("a").stat().st_size
    assert size == HEADER_BYTES + ARRAY.nbytes + 4 * len(ARRAY)
    np.testing.assert_array_equal(rows[:], ARRAY)
    changed(path_of("a"), position % size)
    # Both what is open already, and what is opened now.
    row = min((position % size - HEADER_BYTES) // ROW, len(ARRAY) - 1)
    entry = find("a")
    assert entry is not None
    for known in (rows, CacheRows(entry, path_of("a"))):
        others = np.delete(np.arange(23), row)
        np.testing.assert_array_equal(known[others], ARRAY[others])
        with pytest.raises(MachineError, match=f"damaged: the checksum of image {row} is wrong"):
            known[np.array([row])]
    assert find("a") is None


def test_checksums_are_compared_once(cache, monkeypatch):
    rows = cached(ARRAY)
    rows[3:5]
    monkeypatch.setattr(zlib, "crc32", lambda data: pytest.fail("compared again"))
    rows[np.array([4, 3, 4])]


def resident_bytes() -> int:
    """What this process has in memory, mapped files included."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_an_epoch_over_a_large_file_keeps_memory_flat(cache):
    shape = (100_000, 32, 32, 3)
    with new_entry("a", shape, 2**40) as entry:
        with entry.path.open("r+b") as file:
            file.seek(HEADER_BYTES)
            for _ in range(100):
                file.write(bytes(1000 * 3072))
            file.write(zlib.crc32(bytes(3072)).to_bytes(4, "little") * 100_000)
        rows = CacheRows(entry, entry.path)
    before = most = resident_bytes()
    order = np.random.default_rng(0).permutation(len(rows))
    for first in range(0, len(rows), 128):
        rows[order[first : first + 128]]
        most = max(most, resident_bytes())
    assert most - before < 8 * 2**20
