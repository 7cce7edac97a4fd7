import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dltool.data.arrays.npz_header import header_of_npy, header_of_npz


@given(hnp.arrays(st.sampled_from(["u1", "<i4", ">f8", "<U3", "?"]), hnp.array_shapes(min_dims=0, max_dims=4)))
def test_the_header_is_what_numpy_wrote(array):
    file = io.BytesIO()
    np.save(file, array)
    file.seek(0)
    header = header_of_npy(file, len(file.getvalue()))
    assert (header.shape, np.dtype(header.descr), header.data_bytes) == (array.shape, array.dtype, array.nbytes)


@given(st.binary(max_size=200))
def test_other_bytes_are_no_header(content):
    for start in (b"", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x01\x00\x14\x00"):
        with pytest.raises(ValueError, match=r"header|\.npy|shape"):
            header_of_npy(io.BytesIO(start + content), 200)


@pytest.mark.parametrize("shape", ["(True, 4)", "(4.0,)", "('4',)", "(-4,)", "4"])
def test_sizes_are_integers(shape):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".encode()
    with pytest.raises(ValueError, match=r"shape|header"):
        header_of_npy(io.BytesIO(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(16)), 200)


def test_an_unreadable_npz_has_no_headers(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and then nothing")
    assert header_of_npz(tmp_path / "broken.npz") == {}
    assert header_of_npz(tmp_path / "absent.npz") == {}
