import errno
import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from ml_dtypes import bfloat16

from dltool.errors import MachineError, RunError
from dltool.runs.checkpoint_file import (
    DTYPES,
    HEADER_LIMIT,
    MAGIC,
    checkpoint_path,
    newest_checkpoint,
    read_checkpoint,
    write_checkpoint,
)

SMALL = [("dense/kernel", np.arange(6, dtype="float32").reshape(2, 3)), ("seed", np.array([1, 2], "uint32"))]
STATE = {"epoch": 3, "best": math.inf, "history": [{"loss": 0.5}], "stopped": False}


def stored_arrays():
    plain = arrays_of.arrays(
        st.sampled_from([name for name in DTYPES if name != "bfloat16"]), arrays_of.array_shapes(min_dims=0, min_side=0)
    )
    bits = arrays_of.arrays("uint16", arrays_of.array_shapes(min_dims=0, min_side=0))
    return plain | bits.map(lambda array: array.view(bfloat16))


def json_values():
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    return st.recursive(leaves, lambda deeper: st.lists(deeper) | st.dictionaries(st.text(), deeper), max_leaves=8)


def write_raw(path: Path, header: object, data: bytes = b"", header_size: int | None = None) -> None:
    """A checkpoint with a right checksum and any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    body = MAGIC + (len(text) if header_size is None else header_size).to_bytes(8, "little") + text + data
    path.write_bytes(body + hashlib.sha256(body).digest())


# --- what is written is read ---


def test_a_header_that_would_not_be_read_again_is_not_written(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, 1, SMALL, STATE)
    monkeypatch.setattr("dltool.runs.checkpoint_file.HEADER_LIMIT", 2000)
    with pytest.raises(MachineError, match=r"a header of 4[0-9,]+ bytes exceeds the limit of 2,000"):
        write_checkpoint(tmp_path, 2, SMALL, {"history": [0.5] * 800})
    assert newest_checkpoint(tmp_path)[0].step == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.text(), stored_arrays()), max_size=4),
    st.dictionaries(st.text(), json_values(), max_size=4),
    st.integers(0, 10**12),
)
def test_what_is_written_is_read_bit_for_bit(tmp_path_factory, arrays, state, step):
    path = write_checkpoint(tmp_path_factory.mktemp("checkpoints"), step, arrays, state)
    found = read_checkpoint(path)
    assert (found.step, found.state) == (step, state)
    assert [name for name, _ in found.arrays] == [name for name, _ in arrays]
    for (_, theirs), (_, ours) in zip(found.arrays, arrays, strict=True):
        assert (theirs.dtype, theirs.shape) == (ours.dtype, ours.shape)
        assert theirs.tobytes() == ours.tobytes()


def test_infinities_and_nan_in_the_state_survive(tmp_path):
    path = write_checkpoint(tmp_path, 1, [], {"best": math.inf, "last": math.nan})
    state = read_checkpoint(path).state
    assert state["best"] == math.inf
    assert math.isnan(state["last"])


@pytest.mark.parametrize("array", [np.arange(12.0).reshape(3, 4).T, np.arange(6.0)[::-2], np.arange(3, dtype=">i4")])
def test_the_layout_in_memory_does_not_matter(tmp_path, array):
    ((_, found),) = read_checkpoint(write_checkpoint(tmp_path, 1, [("a", array)], {})).arrays
    assert np.array_equal(found, array)
    assert found.dtype == array.dtype.newbyteorder("=")


def test_an_array_larger_than_one_chunk_is_read(tmp_path):
    large = np.arange(700_001, dtype="float32")
    ((_, found),) = read_checkpoint(write_checkpoint(tmp_path, 1, [("a", large)], {})).arrays
    assert np.array_equal(found, large)


@pytest.mark.parametrize("array", [np.array([{}], object), np.array(["a"]), np.array([1], "datetime64[s]")])
def test_other_dtypes_are_refused(tmp_path, array):
    with pytest.raises(ValueError, match="a checkpoint cannot hold"):
        write_checkpoint(tmp_path, 1, [("a", array)], {})
    assert os.listdir(tmp_path) == []


# --- what is damaged is refused ---


def test_a_flipped_bit_anywhere_is_found(tmp_path):
    path = write_checkpoint(tmp_path, 1, SMALL, STATE)
    whole = path.read_bytes()
    for position in range(len(whole)):
        for bit in range(8):
            path.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << bit]) + whole[position + 1 :])
            with pytest.raises(RunError):
                read_checkpoint(path)


def test_a_truncation_anywhere_is_found(tmp_path):
    path = write_checkpoint(tmp_path, 1, SMALL, STATE)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(RunError):
            read_checkpoint(path)


def test_an_appended_byte_is_found(tmp_path):
    path = write_checkpoint(tmp_path, 1, SMALL, STATE)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(RunError, match=r"damaged: expected .* bytes, found"):
        read_checkpoint(path)


HEADER = {"format": 1, "step": 1, "state": {}, "arrays": []}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"", "header cannot be read"),
        (b"\xff", "header cannot be read"),
        (b"[" * 100_000, "header cannot be read"),
        ([], "header cannot be read"),
        ({**HEADER, "format": 2}, "too new: checkpoint format 2; this dltool reads format 1"),
        ({**HEADER, "step": "1"}, "header cannot be read"),
        ({**HEADER, "state": []}, "header cannot be read"),
        ({**HEADER, "arrays": 7}, "header cannot be read"),
        (
            {**HEADER, "arrays": [{"name": "a", "shape": [10**12], "dtype": "float32"}]},
            "damaged: expected .* bytes, found",
        ),
        ({**HEADER, "arrays": [{"name": "a", "shape": [2**62, 2**62], "dtype": "int8"}]}, "header cannot be read"),
        ({**HEADER, "arrays": [{"name": "a", "shape": [-1], "dtype": "int8"}]}, "header cannot be read"),
        ({**HEADER, "arrays": [{"name": "a", "shape": [True], "dtype": "int8"}]}, "header cannot be read"),
        ({**HEADER, "arrays": [{"name": "a", "shape": [0] * 33, "dtype": "int8"}]}, "header cannot be read"),
        ({**HEADER, "arrays": [{"name": "a", "shape": [2**47, 2**47, 0], "dtype": "int8"}]}, "damaged"),
        ({**HEADER, "arrays": [{"name": "a", "shape": [], "dtype": "object"}]}, "header cannot be read"),
        ({**HEADER, "arrays": [{"name": "a", "shape": [], "dtype": ["int8"]}]}, "header cannot be read"),
        ({**HEADER, "arrays": [{"name": 1, "shape": [], "dtype": "int8"}]}, "header cannot be read"),
    ],
)
def test_a_hostile_header_with_a_right_checksum_is_refused(tmp_path, header, message):
    write_raw(tmp_path / "a.ckpt", header)
    with pytest.raises(RunError, match=message):
        read_checkpoint(tmp_path / "a.ckpt")


def test_a_declared_giant_header_is_refused(tmp_path):
    for size in (HEADER_LIMIT + 1, 2**63, 1000):
        write_raw(tmp_path / "a.ckpt", HEADER, header_size=size)
        with pytest.raises(RunError, match="it claims a header of"):
            read_checkpoint(tmp_path / "a.ckpt")


def test_a_link_is_not_followed(tmp_path):
    path = write_checkpoint(tmp_path, 1, SMALL, STATE)
    checkpoint_path(tmp_path, 2).symlink_to(path)
    with pytest.raises(RunError, match="link"):
        read_checkpoint(checkpoint_path(tmp_path, 2))


# --- the newest two ---


def steps_in(directory: Path) -> list[int]:
    return sorted(int(name.removesuffix(".ckpt")) for name in os.listdir(directory))


def test_the_newest_two_are_kept(tmp_path):
    for step in (1, 5, 9, 10, 11):
        write_checkpoint(tmp_path, step, SMALL, {"step": step})
    assert steps_in(tmp_path) == [10, 11]
    assert newest_checkpoint(tmp_path)[0].state == {"step": 11}


def test_a_damaged_newest_falls_back_to_the_one_before_and_says_so(tmp_path):
    write_checkpoint(tmp_path, 100, SMALL, {})
    newest = write_checkpoint(tmp_path, 200, SMALL, {})
    newest.write_bytes(newest.read_bytes()[:-1])
    checkpoint, skipped = newest_checkpoint(tmp_path)
    assert checkpoint.step == 100
    assert len(skipped) == 1
    assert "0000000200.ckpt is damaged" in skipped[0]


def test_after_a_fall_back_the_damaged_one_makes_room(tmp_path):
    """Otherwise it would count as one of the newest two, in place of one that can be read."""
    write_checkpoint(tmp_path, 100, SMALL, {})
    checkpoint_path(tmp_path, 200).write_bytes(b"damaged")
    write_checkpoint(tmp_path, 150, SMALL, {})
    assert steps_in(tmp_path) == [100, 150]


def test_where_none_can_be_used_each_is_named(tmp_path):
    with pytest.raises(RunError, match="there is no checkpoint in"):
        newest_checkpoint(tmp_path / "missing")
    for step in (1, 2):
        checkpoint_path(tmp_path, step).write_bytes(b"")
    with pytest.raises(RunError, match=r"0000000002.ckpt is not a checkpoint.*0000000001.ckpt is not"):
        newest_checkpoint(tmp_path)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_keeps_both_earlier_checkpoints(tmp_path, monkeypatch, call):
    for step in (1, 2):
        write_checkpoint(tmp_path, step, SMALL, {"step": step})

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(MachineError, match="no space left on device"):
        write_checkpoint(tmp_path, 3, SMALL, {})
    assert steps_in(tmp_path) == [1, 2]
    assert newest_checkpoint(tmp_path)[0].state == {"step": 2}
