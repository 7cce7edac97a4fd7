import numpy as np
import pytest
from scipy import stats

from dltool.evaluation.resampled_t import is_significant, within_t


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 24, 49])
def test_the_distribution_is_that_of_scipy(freedom):
    for bound in (0.1, 1.0, 2.5, 7.0):
        assert within_t(bound, freedom) == pytest.approx(1 - 2 * stats.t.sf(bound, freedom), abs=1e-12)


def test_the_test_is_less_sure_than_the_plain_t_test():
    differences = [0.02, 0.05, 0.03, 0.01, 0.04]
    assert stats.ttest_1samp(differences, 0).pvalue < 0.05
    # 0.03 / (0.0158 sqrt(1/5 + 1/4)) = 2.83 > 2.78, and with more test examples 2.4.
    assert is_significant(differences, 1 / 4)
    assert not is_significant(differences, 2 / 5)


@pytest.mark.parametrize(("differences", "expected"), [([0.0] * 5, False), ([0.1] * 5, True), ([0.1, np.nan], False)])
def test_equal_differences_and_no_numbers_give_an_answer(differences, expected):
    assert is_significant(differences, 0.25) is expected
