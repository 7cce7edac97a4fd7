"""Results by group: numbers checked against pandas, scikit-learn and SciPy."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import confusion_matrix, mean_pinball_loss, roc_auc_score

from dltool.config.keras.objects import KerasObject
from dltool.config.outputs import OutputSpec
from dltool.config.schema import Data
from dltool.config.tasks import TargetFacts
from dltool.data.arrays.rows import coded
from dltool.data.examples import Examples
from dltool.evaluation.significance import below_zero_p, difference_p, holm
from dltool.evaluation.slice_groups import groups_of
from dltool.evaluation.slices import Scored, compared
from dltool.evaluation.slices import scored as slice_scores
from dltool.evaluation.tasks.classes import ClassEvaluator, LabelEvaluator
from dltool.evaluation.tasks.numbers import NumberEvaluator

MISSING = "(missing)"


def people(rows: int = 4000, seed: int = 0) -> pd.DataFrame:
    """A table in the shape of the census data: the married earn more, and in one occupation nothing can be known."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"age": random.integers(17, 90, rows), "married": random.random(rows) < 0.45})
    frame["occupation"] = random.choice(["Sales", "Craft", "Army", ""], rows, p=[0.5, 0.3, 0.15, 0.05])
    chance = np.where(frame.married, 0.45, 0.06)
    frame["true"] = (random.random(rows) < chance).astype(int)
    shown = np.clip(0.7 * frame.true + 0.3 * chance + random.normal(0, 0.15, rows), 0.01, 0.99)
    # Predictions in one occupation are those of another person.
    frame["share"] = np.where(frame.occupation == "Army", random.permutation(shown), shown)
    frame["predicted"] = (frame.share > 0.5).astype(int)
    return frame


def scored(frame: pd.DataFrame) -> Scored:
    true, predicted = frame.true.to_numpy(), frame.predicted.to_numpy()
    right, confidence = true == predicted, np.where(predicted == 1, frame.share, 1 - frame.share)
    sums = {"score": right, "confidence": confidence, "selected": predicted == 1, "positive": true == 1}
    sums |= {"negative": true == 0, "hits": (predicted == 1) & (true == 1), "false": (predicted == 1) & (true == 0)}
    return Scored("output", "accuracy", true, sums, ("<=50K", ">50K"), frame.share.to_numpy())


def examples(frame: pd.DataFrame) -> Examples:
    inputs = {"age": frame.age.to_numpy(np.float32), "occupation": coded(frame.occupation.tolist())}
    return Examples(inputs, columns={"married": coded(frame.married.map({True: "yes", False: "no"}).tolist())})


def config_with(given: Data) -> Any:
    return SimpleNamespace(seed=0, data=given)


def data(slices: object = None) -> Data:
    return Data.model_validate({"source": {"csv": "a.csv"}, "target": "income", "slices": slices})


def result(frame: pd.DataFrame, slices: object = None):
    config = config_with(data(slices))
    groups = [each for each in groups_of(config.data, examples(frame)) if each[1].sum() >= 50]
    return compared(scored(frame), groups, config, None, 0)


@pytest.mark.proof
def test_the_numbers_of_each_group_are_those_of_pandas() -> None:
    frame = people()
    found = result(frame, ["occupation", "married", {"age": [30, 50]}])
    inside = {f"occupation: {each}": frame.occupation == each for each in ("Sales", "Craft", "Army")}
    inside |= {f"occupation: {MISSING}": frame.occupation == "", "married: yes": frame.married}
    inside |= {"married: no": ~frame.married, "age: below 30": frame.age < 30, "age: 50 and above": frame.age >= 50}
    inside["age: 30 to below 50"] = (frame.age >= 30) & (frame.age < 50)
    assert {each.group for each in found.groups} == set(inside)
    assert found.everything.rows == len(frame)
    for group in found.groups:
        mine, others = frame[inside[group.group]], frame[~inside[group.group]]
        accuracy, base = (mine.true == mine.predicted).mean(), mine.true.value_counts(normalize=True).max()
        tn, fp, fn, tp = confusion_matrix(mine.true, mine.predicted).ravel()
        expected = {
            "accuracy": accuracy,
            "base": base,
            "lift": accuracy - base,
            "difference to the others": accuracy - (others.true == others.predicted).mean(),
            "confidence above accuracy": np.maximum(mine.share, 1 - mine.share).mean() - accuracy,
            "selection rate": mine.predicted.mean(),
            "true positives": tp / (tp + fn),
            "false positives": fp / (fp + tn),
        }
        assert group.rows == len(mine)
        assert {name: each.value for name, each in group.numbers.items()} == pytest.approx(expected)
        assert group.auc == pytest.approx(roc_auc_score(mine.true, mine.share))
        for name, each in group.numbers.items():
            assert each.low is not None
            assert each.low <= expected[name] <= each.high
        spread = np.sqrt(accuracy * (1 - accuracy) / len(mine))
        width = group.numbers["accuracy"].high - group.numbers["accuracy"].low
        assert width == pytest.approx(2 * 1.96 * spread, rel=0.15)


@pytest.mark.proof
def test_groups_are_ordered_by_the_lift_and_not_by_the_accuracy() -> None:
    found = result(people(), ["married", "occupation"])
    lifts = [each.numbers["lift"].value for each in found.groups]
    assert lifts == sorted(lifts)
    by_name = {each.group: each for each in found.groups}
    married, single = by_name["married: yes"], by_name["married: no"]
    # The accuracy is lower among the married, where it is harder; the lift is not.
    assert married.numbers["accuracy"].value < single.numbers["accuracy"].value
    assert married.numbers["lift"].value > single.numbers["lift"].value


def test_a_group_that_is_worse_than_its_base_is_found_among_all_columns() -> None:
    frame = people()
    found = result(frame)
    worse = [each.group for each in found.groups if each.p_worse_than_base < 0.05]
    assert worse == ["occupation: Army"]
    assert "occupation: Army" in found.below
    # Quartiles of ages, four occupations and two states.
    assert found.tried == 10
    assert found.differing == len(found.groups) < found.tried


def test_nothing_is_found_where_there_is_nothing() -> None:
    """Of tables without differences, one in twenty shows any group."""
    random = np.random.default_rng(1)
    shown = 0
    for _ in range(40):
        frame = people(600, int(random.integers(2**31)))
        frame["predicted"] = np.where(random.random(600) < 0.8, frame.true, 1 - frame.true)
        frame["true"], frame["share"] = random.permutation(frame.true), frame.predicted * 0.9 + 0.05
        right = random.random(600) < 0.7
        frame["predicted"] = np.where(right, frame.true, 1 - frame.true)
        groups = [each for each in groups_of(data(), examples(frame)) if each[1].sum() >= 50]
        shown += min(holm(np.array([difference_p(right.astype(float), inside) for _, inside in groups]))) < 0.05
    assert shown <= 5


def test_numbers_have_their_mean_as_the_base() -> None:
    random = np.random.default_rng(0)
    true = random.normal(0, 3, (900, 1)) + np.repeat([0.0, 10.0, 20.0], 300)[:, None]
    errors = random.normal(0, 1, 900) * np.repeat([1.0, 1.0, 5.0], 300)
    scores = Scored("output", "root mean squared error", true, {"score": errors**2}, is_root=True)
    groups = [(f"part: {number}", np.repeat([0, 1, 2], 300) == number) for number in range(3)]
    found = compared(scores, groups, config_with(data(["part"])), None, 0)
    last = found.groups[0]
    assert last.group == "part: 2"
    assert last.numbers["base"].value == pytest.approx(true[600:].std())
    assert last.numbers["root mean squared error"].value == pytest.approx(np.sqrt(np.mean(errors[600:] ** 2)))
    assert last.numbers["lift"].value == pytest.approx(true[600:].std() - np.sqrt(np.mean(errors[600:] ** 2)))
    assert last.p_worse_than_base < 0.001
    assert found.groups[1].p_worse_than_base > 0.05


def test_columns_are_divided_into_groups_that_hold_every_example_once() -> None:
    random = np.random.default_rng(0)
    gains = np.where(random.random(500) < 0.9, 0, random.integers(1, 9999, 500)).astype(np.float32)
    gains[:7] = np.nan
    seconds = np.int64(86400) * random.integers(0, 3000, 500)
    many = coded([f"value {number}" for number in range(500)])
    columns = {"gain": gains, "when": seconds, "many": many, "flag": np.repeat([0.0, 1.0], 250).astype(np.float32)}
    given = Data.model_validate({"source": {"csv": "a.csv"}, "target": "y", "inputs": {"flag": "boolean"}})
    by_column: dict[str, dict[str, np.ndarray]] = {}
    for name, inside in groups_of(given, Examples(columns)):
        column, _, value = name.partition(": ")
        by_column.setdefault(column, {})[value] = inside
    # A text that differs in every row has no groups.
    assert list(by_column) == ["gain", "when", "flag"]
    assert all(np.all(np.sum(list(groups.values()), axis=0) == 1) for groups in by_column.values())
    assert by_column["gain"][MISSING].sum() == 7
    # Most are 0, so that quartiles are no bounds.
    assert [inside.sum() for inside in by_column["gain"].values()] == [(gains == 0).sum(), (gains > 0).sum(), 7]
    assert list(by_column["flag"]) == ["false", "true"]
    assert all(name.startswith(("below 19", "19")) for name in by_column["when"])


@pytest.mark.parametrize("rate", [0.5, 0.98])
def test_p_values_are_those_of_scipy(rate: float) -> None:
    random = np.random.default_rng(0)
    values, inside = (random.random(400) < rate).astype(float), random.random(400) < 0.2
    table = [[np.sum((values == one) & (inside == where)) for where in (True, False)] for one in (1, 0)]
    assert difference_p(values, inside) == pytest.approx(stats.fisher_exact(table).pvalue)
    numbers = random.normal(size=400) + 0.3 * inside
    exact = stats.ttest_ind(numbers[inside], numbers[~inside]).pvalue
    assert difference_p(numbers, inside) == pytest.approx(exact, rel=0.1)
    paired = random.choice([-1, 0, 1], 300, p=[0.2, 0.65, 0.15])
    better, worse = int((paired == 1).sum()), int((paired == -1).sum())
    assert below_zero_p(paired) == pytest.approx(stats.binomtest(better, better + worse, alternative="less").pvalue)
    assert below_zero_p(numbers) == pytest.approx(stats.ttest_1samp(numbers, 0, alternative="less").pvalue, abs=0.02)


@pytest.mark.proof
def test_holms_correction() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])


def evaluator(kind: Any, target: TargetFacts, loss: str, **arguments: Any) -> Any:
    head = OutputSpec("output", None, "target", KerasObject("loss", loss, arguments), (), 1.0, ("training",))
    return kind(config_with(data(["part"])), head, target)


def halves(rows: int) -> list[tuple[str, np.ndarray]]:
    return [("part: 0", np.arange(rows) < rows // 2), ("part: 1", np.arange(rows) >= rows // 2)]


def test_several_labels_are_compared_with_the_most_frequent_value_of_each() -> None:
    random = np.random.default_rng(0)
    goal = (random.random((400, 3)) < np.array([0.1, 0.5, 0.9])).astype(np.float32)
    shares = np.clip(0.6 * goal + 0.4 * random.random((400, 3)), 0, 1).astype(np.float32)
    labels = evaluator(LabelEvaluator, TargetFacts("multi_label", (3,), ("a", "b", "c")), "binary_crossentropy")
    scores = slice_scores(labels, goal, shares, None)
    assert scores is not None
    found = compared(scores, halves(400), config_with(data(["part"])), None, 0)
    for group in found.groups:
        rows = dict(halves(400))[group.group]
        right = ((shares > 0.5) == (goal > 0.5))[rows].mean()
        usual = np.maximum(goal[rows].mean(axis=0), 1 - goal[rows].mean(axis=0)).mean()
        assert group.numbers["binary accuracy"].value == pytest.approx(right)
        assert group.numbers["base"].value == pytest.approx(usual)
        assert group.numbers["lift"].value == pytest.approx(right - usual)


@pytest.mark.parametrize("is_padded", [False, True])
def test_pixels_and_steps_are_compared_with_the_most_frequent_class_of_all(is_padded: bool) -> None:
    random = np.random.default_rng(0)
    goal = random.choice(3, (100, 6), p=[0.2, 0.3, 0.5])
    values = np.eye(3)[np.where(random.random((100, 6)) < 0.8, goal, 0)].astype(np.float32)
    mask = np.arange(6) < random.integers(1, 7, 100)[:, None] if is_padded else None
    valid = np.ones((100, 6), bool) if mask is None else mask
    steps = evaluator(ClassEvaluator, TargetFacts("index", (6,), tuple("xyz")), "sparse_categorical_crossentropy")
    scores = slice_scores(steps, goal, values, mask)
    assert scores is not None
    found = compared(scores, halves(100), config_with(data(["part"])), None, 0)
    for group in found.groups:
        rows = dict(halves(100))[group.group]
        right = np.ma.masked_array(values.argmax(axis=2) == goal, ~valid)[rows].mean(axis=1).mean()
        usual = np.ma.masked_array(goal == 2, ~valid)[rows].mean(axis=1).mean()
        assert group.base_is == "z"
        assert group.numbers["accuracy"].value == pytest.approx(right)
        assert group.numbers["base"].value == pytest.approx(usual)


def test_quantiles_and_many_numbers_are_compared_by_their_own_loss() -> None:
    random = np.random.default_rng(0)
    goal, values = random.exponential(size=(300, 1)), np.full((300, 1), 2.0)
    number = evaluator(NumberEvaluator, TargetFacts("number"), "quantile", quantile=0.9)
    scores = slice_scores(number, goal, values, None)
    assert scores is not None
    assert scores.metric == "pinball loss"
    assert scores.sums["score"].mean() == pytest.approx(mean_pinball_loss(goal, values, alpha=0.9))
    base, name = scores.base(np.ones(300, bool))
    assert name == "the 0.9 quantile"
    assert base.mean() == pytest.approx(mean_pinball_loss(goal, np.full_like(goal, np.quantile(goal, 0.9)), alpha=0.9))
    wide = evaluator(NumberEvaluator, TargetFacts("number", (4, 50)), "mean_squared_error")
    true = random.normal(size=(60, 4, 50))
    scores = slice_scores(wide, true, np.zeros((60, 4, 50)), np.arange(4) < np.arange(60)[:, None] % 4 + 1)
    assert scores is not None
    first = true[0] / np.nanstd(np.where((np.arange(4) < np.arange(60)[:, None] % 4 + 1)[..., None], true, np.nan), 0)
    assert scores.sums["score"][0] == pytest.approx((first[0] ** 2).mean())


def test_each_slice_is_named_once_and_refused_where_it_stands() -> None:
    slices = ("age", {"age": (30.0, 50.0), "wage": (2.0, 1.0)}, "income")
    found = data().model_copy(update={"slices": slices}).slice_problems()
    assert [(each.place, each.message) for each in found] == [
        (("slices", 1), '"age" is named more than once'),
        (("slices", 1, "wage"), "expected rising bounds, got [2.0, 1.0]"),
        (("slices", 2), '"income" is the target'),
    ]
