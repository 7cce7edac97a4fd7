"""Statistics of blocks, against those of all numbers at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dltool.config.columns import NumberColumn
from dltool.data.streamed_statistics import NumberSummary, Ranks
from dltool.model.columns import learn_number


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
        summary = NumberSummary(dtype, scale, missing)
        while not summary.is_done:
            for block in np.array_split(values, 4):
                summary.add(block)
            summary.end_pass()
        state = learn_number(NumberColumn(missing=missing, scale=scale), values)
        center, spread = summary.center_and_spread
        found = {"fill": summary.fill, "center": center, "spread": spread, "missing": summary.missing}
        found |= {"low": summary.present.low, "high": summary.present.high} if present else {}
        assert found.keys() == state.keys()
        np.testing.assert_allclose(list(found.values()), list(state.values()), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_ranks_are_exact(dtype) -> None:
    elements = st.integers(-(2**63), 2**63 - 1) if dtype is np.int64 else None

    @given(arrays(dtype, st.integers(1, 40), elements=elements).filter(lambda values: not np.isnan(values).any()))
    def are_exact(values) -> None:
        ranks, wanted = Ranks(dtype), [0, len(values) // 2, len(values) - 1]
        while not ranks.is_done:
            for block in np.array_split(values, 3):
                ranks.add(block)
            ranks.end_pass(wanted)
        assert ranks.values() == [float(each) for each in np.sort(values)[wanted]]

    are_exact()
