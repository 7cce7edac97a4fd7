"""The loss Quantile, which Keras does not have."""

import numpy as np
import pytest
from sklearn.metrics import mean_pinball_loss

from dltool.config.keras.ranges import out_of_range
from dltool.data.split.at_random import Split
from dltool.evaluation.measure import measure
from dltool.evaluation.predictor import Inference
from dltool.keras_names import AllowedCode, allowing, argument_summary, arguments, summary


@pytest.fixture(scope="module")
def noisy(make_dataset):
    """1,200 numbers with noise that grows with the input; 200 for validation."""
    random = np.random.default_rng(0)
    inputs = random.uniform(0, 1, (1200, 1)).astype(np.float32)
    targets = (2 * inputs[:, 0] + inputs[:, 0] * random.normal(size=1200)).astype(np.float32)
    rows = np.arange(1200)
    return make_dataset(inputs, targets, Split(rows[:1000], rows[1000:], rows[:0]), classes=0)


@pytest.mark.parametrize("quantile", [0.1, 0.9])
def test_a_quantile_is_above_its_share_of_the_targets(make_config, noisy, train, quantile):
    config = make_config(
        model={"layers": [{"Dense": 1}]},
        training={"loss": {"Quantile": quantile}, "metrics": [], "epochs": 20, "optimizer": {"Adam": 0.02}},
    )
    built = train(config, noisy).built
    predicted = Inference(built, config)(noisy.inputs)["output"][:, 0]
    assert np.mean(noisy.targets["target"] <= predicted) == pytest.approx(quantile, abs=0.03)
    expected = mean_pinball_loss(noisy.targets["target"], predicted, alpha=quantile)
    found = measure(built, config, noisy.all)
    assert found.metrics["loss"] == pytest.approx(expected, rel=1e-5)
    assert found.values["loss"].mean() == pytest.approx(expected, rel=1e-5)


def test_a_quantile_is_described_and_lies_between_0_and_1():
    assert "pinball" in summary("loss", "Quantile")
    assert "share of targets" in argument_summary("loss", "Quantile", "quantile")
    assert arguments("loss", "Quantile")["quantile"].required
    assert out_of_range("Quantile", "quantile", 1) == "must be below 1, got 1"
    assert out_of_range("Quantile", "quantile", 0) == "must be above 0, got 0"


def test_a_class_of_the_users_of_that_name_is_theirs(make_config):
    entry = {"Quantile": {"arguments": [["q", "float", 0.5]]}}
    with allowing([AllowedCode("mine.py", b"", "0" * 64, {"loss": entry})]):
        assert list(arguments("loss", "Quantile")) == ["q"]
        assert make_config(training={"loss": {"Quantile": {"q": 0.3}}}).training.loss.arguments == {"q": 0.3}
