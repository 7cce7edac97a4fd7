"""What a network has to be better than."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from dltool.config.schema import Config, Windows
from dltool.data.arrays.window_rows import repeated_values
from dltool.data.dataset import load_data
from dltool.evaluation.baselines import LinearTables, baselines_of, repeating
from dltool.evaluation.linear_models import COMPONENTS, DECAY, Standardized, softmax, softmax_regression
from dltool.evaluation.measure import measure
from dltool.model.build import build_model


def found_for(source: str, loss: Any, units: int | str) -> Any:
    training = {"optimizer": "adam", "loss": loss, "epochs": 1}
    data = {"source": source, "split": {"test": 0.3}, "preprocessing": ["Normalization"]}
    layers = ["Flatten", {"Dense": {"units": units, "activation": "softmax" if units != 1 else None}}]
    config = Config.model_validate({"name": "x", "data": data, "model": {"layers": layers}, "training": training})
    dataset = load_data(config.data, config.seed)
    examples = dataset.examples("test")
    built = build_model(config, dataset.facts, dataset.examples("train").inputs)
    tables = LinearTables(built, config, dataset, examples.inputs)
    measured = measure(built, config, examples, tables.measured_on)
    return dataset, baselines_of(config, dataset, examples, measured, tables)


def test_of_classes_they_are_the_majority_and_logistic_regression() -> None:
    dataset, (model, majority, regression) = found_for("wine", "sparse_categorical_crossentropy", 3)
    assert [each.metric for each in (model, majority, regression)] == ["accuracy"] * 3
    learnt = np.bincount(dataset.targets["target"][dataset.split.train]).argmax()
    assert majority.value == np.mean(dataset.targets["target"][dataset.split.test] == learnt)
    assert regression.value > 0.9


def test_softmax_regression_is_scikit_learns() -> None:
    dataset = load_wine()
    data = dataset.data.astype(np.float32)
    features = Standardized(data).table
    weights = softmax_regression(features, dataset.target, 3)
    chances = softmax(features @ weights)
    theirs = LogisticRegression(C=1 / (DECAY * len(features)), fit_intercept=False, max_iter=10_000)
    expected = theirs.fit(features, dataset.target).predict_proba(features)
    np.testing.assert_allclose(chances, expected, atol=0.02)
    assert np.array_equal(chances.argmax(axis=1), dataset.target)


def test_of_many_features_the_first_principal_components_are_taken() -> None:
    dataset = load_digits()
    data = dataset.data.astype(np.float32)
    scale = Standardized(data.copy())
    features, measured = scale.table, np.concatenate([scale.apply(data[:5]), scale.apply(data[5:10])])
    theirs = PCA(COMPONENTS, whiten=True).fit_transform(StandardScaler().fit_transform(dataset.data))
    np.testing.assert_allclose(np.abs(features[:, :10]), np.abs(theirs[:, :10]), rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(measured, features[:10, :-1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("loss", "metric", "name", "best", "error"),
    [
        ("mae", "mean_absolute_error", "median", np.median, lambda errors: np.abs(errors).mean()),
        ("mse", "mean_squared_error", "mean", np.mean, lambda errors: (errors**2).mean()),
        ("huber", "mean_absolute_error", "median", np.median, lambda errors: np.abs(errors).mean()),
        ("poisson", "mean_squared_error", "mean", np.mean, lambda errors: (errors**2).mean()),
        (
            {"Quantile": 0.9},
            "pinball_loss",
            "0.9 quantile",
            lambda values: np.quantile(values, 0.9),
            lambda errors: np.where(errors > 0, 0.9 * errors, -0.1 * errors).mean(),
        ),
    ],
)
def test_of_numbers_they_are_the_best_constant_by_the_metric_and_linear_regression(
    loss, metric, name, best, error
) -> None:
    dataset, (model, constant, regression) = found_for("diabetes", loss, 1)
    true = dataset.targets["target"]
    errors = true[dataset.split.test].astype(float) - best(true[dataset.split.train].astype(float))
    assert constant.value == pytest.approx(error(errors), rel=1e-5)
    assert (constant.name, model.metric, constant.metric, regression.metric) == (name, metric, metric, metric)
    assert regression.value < constant.value


def test_words_have_no_linear_model_and_it_is_said_why(monkeypatch) -> None:
    from dltool.evaluation import baselines

    def no_table(*_: object) -> None:
        raise ValueError("the inputs are words or categories")

    monkeypatch.setattr(baselines, "Features", no_table)
    *_, regression = found_for("wine", "sparse_categorical_crossentropy", 3)[1]
    assert regression.value is None
    assert regression.note == "the inputs are words or categories"


def repeated(series: np.ndarray, true: np.ndarray, length: int, horizon: int = 1, season: int | None = None):
    windows = Windows(length=length, horizon=horizon, target="level")
    values = repeated_values(windows, season, {"level": series})
    absolute: Any = SimpleNamespace(score=lambda true, predicted: np.mean(np.abs(true - predicted)))
    return {name: repeating(absolute, name, "mean_absolute_error", each, true) for name, each in values.items()}


def test_the_number_of_a_series_is_compared_with_the_last_one_that_is_known() -> None:
    series = np.array([[1, 2], [3, np.nan], [np.nan, np.nan], [7, 9]], np.float32)
    (found,) = repeated(series, np.array([2.5, 3, 100, 8], np.float32), 2).values()
    assert found.value == pytest.approx((0.5 + 0 + 1) / 3)
    assert found.note == "measured on 3 examples: the target is missing in the windows of the others"
    (found,) = repeated(series[2:3], np.zeros(1), 2).values()
    assert found.value is None


@pytest.mark.parametrize("horizon", [1, 3, 7, 9])
def test_the_number_of_a_series_is_compared_with_the_one_a_season_before(horizon) -> None:
    level = np.random.default_rng(0).normal(size=60)
    series = np.lib.stride_tricks.sliding_window_view(level, 14)[: 60 - 13 - horizon]
    true = level[13 + horizon :]
    found = repeated(series, true, 14, horizon, 7)["last season"]
    back = 7 if horizon <= 7 else 14
    assert found.value == pytest.approx(np.mean(np.abs(true - level[13 + horizon - back : 60 - back])))
    assert ("last season" in repeated(series[:, -4:], true, 4, horizon, 7)) == (horizon == 7)
