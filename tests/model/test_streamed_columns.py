"""Columns fitted block by block, against columns fitted at once."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dltool.config.columns import BooleanColumn, NumberColumn
from dltool.model.columns import learn_number
from dltool.model.streamed_columns import CountFit, NumberFit, Ranks


def fitted(fit: Any, values: np.ndarray) -> dict[str, Any]:
    while not fit.is_done:
        for block in np.array_split(values, 4):
            fit.add(block)
        fit.end_pass()
    return dict(fit.state)


@pytest.mark.parametrize(
    ("scale", "missing"),
    [(scale, "median") for scale in ("standard", "min_max", "robust", "log", "none")]
    + [("standard", "mean"), ("log", 2.5), ("min_max", -90.0)],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_column_in_blocks_has_the_state_of_the_column_at_once(scale, missing, dtype) -> None:
    generator = np.random.default_rng(0)
    for present, absent in [(1, 0), (2, 1), (3, 3), (10, 0), (11, 2), (1000, 7), (1001, 400), (0, 4)]:
        values = np.concatenate([generator.normal(5, 30, present), np.full(absent, np.nan)]).astype(dtype)
        generator.shuffle(values)
        options = NumberColumn(missing=missing, scale=scale)
        found, expected = fitted(NumberFit(options, values), values), learn_number(options, values)
        assert found.keys() == expected.keys()
        np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-12, atol=1e-12)


def test_the_most_frequent_value_is_the_smallest_of_several() -> None:
    values = np.array([1, 0, np.nan, 1, 0, np.nan, np.nan], np.float32)
    assert fitted(CountFit(BooleanColumn(), values), values) == {"fill": 0.0, "missing": 3}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_ranks_are_exact(dtype) -> None:
    elements = st.integers(-(2**63), 2**63 - 1) if dtype is np.int64 else None

    @given(arrays(dtype, st.integers(1, 40), elements=elements).filter(lambda values: not np.isnan(values).any()))
    def are_exact(values) -> None:
        ranks, wanted = Ranks(dtype), {0, len(values) // 2, len(values) - 1}
        while ranks.shift:
            for block in np.array_split(values, 3):
                ranks.add(block)
            ranks.end_pass(wanted)
        assert [ranks[rank] for rank in wanted] == [float(np.sort(values)[rank]) for rank in wanted]

    are_exact()
