"""Numbers about predicted classes, probabilities and amounts."""

import numpy as np
import pytest
from sklearn import metrics

from dltool.evaluation.measures import (
    CURVE_POINTS,
    areas,
    calibration,
    class_table,
    confusion,
    number_row,
    precision_recall,
    roc,
)


def scored(examples: int = 2000, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """(examples, classes): which class each is of, and probabilities with ties that say something of it."""
    random = np.random.default_rng(0)
    are_of_class = random.integers(0, classes, examples)[:, None] == np.arange(classes)
    shares = np.exp(random.normal(size=(examples, classes)) + are_of_class)
    return are_of_class, np.round(shares / shares.sum(axis=1, keepdims=True), 2)


def column(table: list[dict[str, object]], name: str) -> np.ndarray:
    return np.array([row[name] for row in table])


def test_areas_by_ranks_are_those_under_the_curves() -> None:
    are_of_class, shares = scored()
    expected = [metrics.roc_auc_score(are_of_class[:, index], shares[:, index]) for index in range(3)]
    np.testing.assert_allclose(areas(are_of_class, shares), expected)


def test_a_class_that_all_or_none_are_of_has_no_area() -> None:
    found = areas(np.array([[True, False, True], [True, False, False]]), np.random.default_rng(0).random((2, 3)))
    assert np.isnan(found).tolist() == [True, True, False]


def test_curves_tables_and_r2_are_scikit_learns() -> None:
    are_of_class, shares = scored(150)
    member, share = are_of_class[:, 0], shares[:, 0]
    false, true, _ = metrics.roc_curve(member, share, drop_intermediate=False)
    found = roc("a", member, share)
    np.testing.assert_allclose([found.x, found.y], [false, true])
    assert found.area == pytest.approx(metrics.roc_auc_score(member, share))
    precision, recall, _ = metrics.precision_recall_curve(member, share)
    found = precision_recall("a", member, share)
    np.testing.assert_allclose(found.x, recall[::-1][-len(found.x) :])
    np.testing.assert_allclose(found.y, precision[::-1][-len(found.y) :])
    assert found.area == pytest.approx(metrics.average_precision_score(member, share))
    targets, predicted = are_of_class.argmax(axis=1), shares.argmax(axis=1)
    expected = metrics.precision_recall_fscore_support(targets, predicted)
    table = class_table(targets, predicted, ["a", "b", "c"])
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose(column(table, name), values)
    labels, marked = are_of_class.astype(int), (shares > 0.4).astype(int)
    several = metrics.precision_recall_fscore_support(labels, marked)
    np.testing.assert_allclose(column(class_table(labels, marked, ["a", "b", "c"]), "f1"), several[2])
    np.testing.assert_array_equal(confusion(targets, predicted, 3), metrics.confusion_matrix(targets, predicted))
    assert number_row("x", share, shares[:, 1])["r2"] == pytest.approx(metrics.r2_score(share, shares[:, 1]))


@pytest.mark.parametrize("curve", [roc, precision_recall])
def test_a_curve_has_few_points_and_keeps_its_ends(curve) -> None:
    random = np.random.default_rng(1)
    are_of_class = random.random(20_000) < 0.3
    found = curve("a", are_of_class, random.random(20_000) + are_of_class)
    assert len(found.x) <= CURVE_POINTS
    assert (found.x[0], found.x[-1]) == (0, 1)
    assert found.area > 0.8


def test_a_model_that_is_as_sure_as_it_is_right_has_no_calibration_error() -> None:
    random = np.random.default_rng(2)
    confidence = random.random(50_000)
    assert calibration(confidence, random.random(50_000) < confidence).error < 0.02
    always = calibration(np.full(100, 1.0), np.arange(100) < 60)
    assert always.error == pytest.approx(0.4)
    assert always.examples.tolist() == [100]


def test_the_table_and_the_matrix_count_every_class_also_one_without_examples() -> None:
    targets, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    table = class_table(targets, predicted, ["a", "b", "c"])
    assert table[0] == {"class": "a", "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}
    assert table[2]["support"] == 0
    assert confusion(targets, predicted, 3).tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]


def test_numbers_that_never_vary_have_no_r2() -> None:
    assert number_row("x", np.ones(3), np.zeros(3))["r2"] is None
    row = number_row("x", np.array([0.0, 2.0]), np.array([1.0, 2.0]))
    assert (row["mean_absolute_error"], row["mean_error"], row["r2"]) == (0.5, 0.5, 0.5)
