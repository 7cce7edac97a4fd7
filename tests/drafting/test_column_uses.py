import numpy as np
import pytest

from dltool.drafting.column_uses import stand_in

AGES = [*range(20, 60)]


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [
        ([*AGES, -999], "-999 in 1 row"),
        ([*AGES, 9_999_999, 9_999_999], "9999999 in 2 rows"),
        ([*AGES, -1, -1, -1], "-1 in 3 rows"),
        ([*AGES, -200, -200], "-200 in 2 rows"),
        ([*AGES, -200], None),
        ([*AGES, 90], None),
        ([*AGES, -1, -1, -2], None),
        ([-1, 0, 1] * 20, None),
        ([0, 1] * 20, None),
        ([5], None),
    ],
)
def test_a_number_that_may_stand_for_a_missing_value_is_said(numbers, shown):
    remark = stand_in(np.array(numbers, float))
    assert remark == "" if shown is None else remark.startswith(f"; {shown}: if it stands for a missing value")
