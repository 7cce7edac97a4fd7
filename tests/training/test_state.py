import numpy as np
import pytest

from dltool.errors import RunError
from dltool.training.state import TrainingState, uncounted


@pytest.fixture(scope="module")
def whole(make_config, dataset, train):
    return train(make_config(), dataset)


def test_a_state_of_another_model_is_refused_and_nothing_changes(make_config, dataset, train, whole):
    saved = whole.recorder.states[-1]
    wider = [{"Dense": {"units": 9, "activation": "relu"}}, {"Dense": {"units": 3, "activation": "softmax"}}]
    with pytest.raises(RunError, match=r"does not fit: it has .*\[4, 8\].*, and the model has .*\[4, 9\]"):
        train(make_config(model={"layers": wider}), dataset, start=saved)


def test_a_state_with_other_callbacks_is_refused(make_config, dataset, train, whole):
    saved = whole.recorder.states[0]
    with pytest.raises(RunError, match="other callbacks"):
        train(make_config(training={"callbacks": [{"EarlyStopping": {"monitor": "loss"}}]}), dataset, start=saved)


def test_a_state_that_contradicts_itself_is_refused(make_config, dataset, train, whole):
    saved = whole.recorder.states[0]
    arrays = [(name, array.astype(np.float64)) for name, array in saved.arrays]
    with pytest.raises(RunError, match="contradicts itself"):
        train(make_config(), dataset, start=TrainingState(arrays, saved.state))


def test_a_finished_state_trains_no_further(make_config, dataset, train, whole):
    again = train(make_config(), dataset, start=whole.recorder.states[-1])
    assert again.recorder.records == []
    assert again.result == whole.result
    for left, right in zip(again.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(left, right)


def test_counters_are_cut_from_paths():
    assert uncounted("dense_3/kernel") == "dense/kernel"
    assert uncounted("adam/conv2d_1_kernel_momentum") == "adam/conv2d_kernel_momentum"
