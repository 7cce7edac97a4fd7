"""Explanations of tables, by models whose weights are set: their closed forms are known."""

from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from dltool.config.load import build_config, read_document
from dltool.data.arrays.rows import take
from dltool.data.dataset import load_data
from dltool.errors import ConfigError
from dltool.evaluation.measure import measure
from dltool.explain import permutation
from dltool.explain.asking import explained_head
from dltool.explain.attributions import attribution
from dltool.explain.dependence import Dependence, dependence_on
from dltool.explain.explained import Explained, Question
from dltool.explain.mixing import Columns, MixedModel
from dltool.explain.permutation import Importance, agreement, importances, partners, randomisation
from dltool.explain.placing import places_of
from dltool.explain.related_columns import related_groups
from dltool.explain.tabular import ExplainedTable, explain_columns
from dltool.model.build import build_model

TRAINING = "{optimizer: adam, loss: LOSS, metrics: [METRIC], epochs: 1}"
CONFIG = """\
name: table
data:
  source: {csv: table.csv}
  GOAL
  inputs: INPUTS
  split: SPLIT
model: {layers: LAYERS}
training: TRAINING
"""


def question_of(
    folder: Path,
    columns: dict[str, np.ndarray],
    weights: list[np.ndarray] | None = None,
    inputs: str = "{}",
    layers: str = "[{Dense: 1}]",
    kind: str = "number",
    *,
    goal: str = "target: {y: TARGET}",
    split: str = "{column: part}",
) -> Question:
    """Ask about a model of these columns, one of which is the split, whose last weights are set."""
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    loss, metric = (
        ("mean_squared_error", "MeanAbsoluteError") if kind == "number" else ("binary_crossentropy", "accuracy")
    )
    text = CONFIG.replace("TRAINING", TRAINING.replace("LOSS", loss).replace("METRIC", metric))
    text = (
        text.replace("GOAL", goal)
        .replace("SPLIT", split)
        .replace("TARGET", kind)
        .replace("INPUTS", inputs)
        .replace("LAYERS", layers)
    )
    (folder / "config.yaml").write_text(text)
    config = build_config(read_document(folder / "config.yaml"))
    dataset = load_data(config.data, config.seed)
    config = dataset.in_force(config)
    built = build_model(config, dataset.facts, dataset.examples("train").inputs)
    if weights is not None:
        built.core.layers[-1].set_weights(weights)
    head, target = explained_head(config, dataset.facts, built)
    return Question(config, dataset.facts, built, dataset.examples("test"), "test", dataset, head, target)


def parts(training: int, test: int) -> np.ndarray:
    return np.repeat(["train", "validation", "test"], [training, 2, test])


def normal(rows: int, *names: str, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=rows).round(4) for name in names}


def model_of(question: Question) -> MixedModel:
    return MixedModel(question.built, question.config, question.facts, question.examples)


def importances_of(question: Question) -> dict[str, Importance]:
    table = ExplainedTable(question)
    return {each.name: each for each in table.importances}


def dependence_of(question: Question, name: str) -> Dependence:
    found = dependence_on(question, model_of(question), name, question.examples.inputs)
    assert found is not None
    return found


WEIGHTS = np.array([2.0, -1.0, 0.5])


@pytest.fixture(scope="module")
def linear(tmp_path_factory) -> Question:
    """A linear model of three standardised columns, with six test rows: five permutations are all pairs of them."""
    columns = normal(60, "a", "b", "c", "y") | {"part": parts(52, 6)}
    columns["a"] = columns["a"] * 3 + 10
    return question_of(tmp_path_factory.mktemp("linear"), columns, [WEIGHTS[:, None], np.array([0.3])])


def standardised(question: Question) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of the test rows in training units, (rows, columns), by NumPy alone, and the targets."""
    assert question.dataset is not None
    train, test = (question.dataset.examples(name) for name in ("train", "test"))
    raw = [np.stack([np.asarray(part.inputs[name][:], float) for name in "abc"], axis=1) for part in (train, test)]
    return (raw[1] - raw[0].mean(axis=0)) / raw[0].std(axis=0), np.asarray(test.targets["target"], float)


@pytest.mark.proof
def test_the_importance_of_a_column_of_a_linear_model_is_its_closed_form(linear):
    z, y = standardised(linear)
    errors = y - z @ WEIGHTS - 0.3
    pairs = list(permutations(range(6), 2))
    for index, name in enumerate("abc"):
        moved = [errors[i] - WEIGHTS[index] * (z[j, index] - z[i, index]) for i, j in pairs]
        expected = np.mean(np.square(moved)) - np.mean(errors**2)
        absolute = np.mean(np.abs(moved)) - np.mean(np.abs(errors))
        found = importances_of(linear)[name]
        assert found.loss.value == pytest.approx(expected, rel=1e-4)
        assert found.metrics["mean_absolute_error"] == pytest.approx(absolute, rel=1e-4)


@pytest.mark.proof
def test_the_contribution_of_a_column_of_a_linear_model_is_its_weight_times_its_distance_from_the_mean(linear):
    places = places_of(linear, "columns")
    found = attribution(places, "IntegratedGradients")
    z, _ = standardised(linear)
    np.testing.assert_allclose(found.values, z * WEIGHTS, atol=1e-5)
    np.testing.assert_allclose(places.ends[0], 0.3, atol=1e-5)
    np.testing.assert_allclose(places.ends[1], z @ WEIGHTS + 0.3, atol=1e-5)
    assert found.proofs[0].name == "completeness"
    assert found.proofs[0].values["median"] < 1e-4


@pytest.mark.slow
def test_the_partial_dependence_is_the_mean_prediction_with_the_column_set(linear):
    found = dependence_of(linear, "a")
    inputs = {name: np.asarray(values[:]) for name, values in linear.examples.inputs.items()}
    np.testing.assert_array_equal(found.grid, np.sort(inputs["a"]))
    for at, value in enumerate(found.grid):
        inputs["a"] = np.full(6, value)
        predicted = linear.built.full.predict(inputs, verbose=0)[:, 0]
        np.testing.assert_allclose(found.each[:, at], predicted, rtol=1e-5)
        assert found.means["y"][at] == pytest.approx(predicted.mean(), rel=1e-5)


def test_an_example_is_named_by_its_row_in_the_source_of_its_split(linear):
    assert linear.place_of(0) == "row 54"
    of_two = replace(linear, dataset=replace(linear.dataset, starts=((0, "source"), (52, "test"))))
    assert of_two.place_of(0) == "row 2 of test"


def test_no_row_is_its_own_partner_or_has_one_twice():
    rows = np.arange(7)
    found = np.array(partners(rows, 5, seed=3))
    assert all(len({row, *column}) == 6 for row, column in zip(rows, found.T, strict=True))
    assert all(sorted(each) == list(rows) for each in found)


@pytest.fixture(scope="module")
def decided(tmp_path_factory) -> Question:
    """A class that one column decides; the model also listens to a shuffled copy of it, and not to the last one."""
    columns = normal(700, "signal", "unused")
    copy = np.random.default_rng(1).permutation(columns["signal"])
    y = np.where(columns["signal"] > 0, "yes", "no")
    columns = {"signal": columns["signal"], "copy": copy, "unused": columns["unused"], "y": y, "part": parts(200, 498)}
    weights = [np.array([[4.0], [1.0], [0.0]]), np.zeros(1)]
    layers = "[{Dense: {units: 1, activation: sigmoid}}]"
    return question_of(tmp_path_factory.mktemp("decided"), columns, weights, layers=layers, kind="category")


@pytest.mark.proof
def test_a_column_that_decides_alone_is_first_and_its_shuffled_copy_is_within_the_noise(decided):
    found = importances_of(decided)
    assert max(found, key=lambda name: found[name].loss.value) == "signal"
    assert found["signal"].exceeds_noise
    assert not found["copy"].exceeds_noise
    assert (found["copy"].noise or 0) > 0
    assert found["unused"].loss.value == 0


@pytest.mark.slow
def test_columns_without_information_seldom_exceed_their_noise(tmp_path):
    names = [f"x{index}" for index in range(60)]
    columns = normal(260, *names, "y", seed=5) | {"part": parts(58, 200)}
    question = question_of(tmp_path, columns, [np.full((60, 1), 0.3), np.zeros(1)])
    found = importances_of(question).values()
    # One in forty by construction; a column whose importance is noise lies on either side of zero.
    assert sum(each.exceeds_noise for each in found) <= 5
    assert 15 < sum(each.loss.value > 0 for each in found) < 45
    assert np.mean([abs(each.loss.value) < (each.noise or 0) for each in found]) > 0.85


@pytest.mark.slow
def test_exchanged_preprocessed_columns_are_exchanged_raw_columns(tmp_path):
    generator = np.random.default_rng(2)
    city = generator.choice(["Rome", "Oslo", "Lima", ""], 80)
    number = np.where(generator.random(80) < 0.2, "", generator.normal(size=80).round(3).astype(str))
    columns = {"number": number, "city": city, "y": generator.choice(["no", "yes"], 80), "part": parts(38, 40)}
    inputs = "{number: {number: {indicator: true}}, city: {category: 3}}"
    layers = "[{Dense: {units: 1, activation: sigmoid}}]"
    question = question_of(tmp_path, columns, inputs=inputs, layers=layers, kind="category")
    model, rows = model_of(question), np.arange(40)
    other = partners(rows, 1, 0)[0]
    for name in ("number", "city"):
        examples = question.examples
        changed = {**examples.inputs, name: take(examples.inputs[name], other)}
        expected = measure(question.built, question.config, type(examples)(changed, examples.targets)).values
        found, _ = model(rows, other, model.columns.chosen([name]))
        for key, values in expected.items():
            np.testing.assert_allclose(found[key], values, atol=1e-6)


def test_columns_that_stand_in_for_each_other_are_found():
    generator = np.random.default_rng(0)
    years = generator.integers(1, 17, 2000)
    names = np.array([f"grade {year}" for year in years], object)
    size = generator.normal(size=2000)
    values = {
        "education": names,
        "age": generator.normal(size=2000),
        "years": years.astype(float),
        "size": size,
        "city": generator.choice(["Rome", "Oslo", "Lima"], 2000).astype(object),
        "weight": np.where(generator.random(2000) < 0.1, np.nan, size**3 + generator.normal(size=2000) * 0.1),
    }
    assert related_groups(values) == [("education", "years"), ("size", "weight")]


def test_independent_categories_of_few_rows_are_no_group():
    generator = np.random.default_rng(0)
    values = {name: generator.choice([f"v{index}" for index in range(12)], 60).astype(object) for name in "abcdef"}
    assert related_groups(values) == []


@pytest.mark.slow
def test_twins_are_permuted_together_beside_their_single_bars(tmp_path):
    columns = normal(120, "a", "b")
    columns = {"a": columns["a"], "twin": columns["a"], "b": columns["b"], "part": parts(58, 60)}
    columns["y"] = 2 * columns["a"]
    weights = [np.array([[1.0], [1.0], [0.1]]) * np.std(columns["a"][:58]), np.zeros(1)]
    (found,) = explain_columns(asking(question_of(tmp_path, columns, weights), "Permutation"))
    by_name = {row["column"]: row["loss"] for row in found.rows}
    assert by_name["a + twin"] > 3 * by_name["a"] > 0
    assert any("stand in for each other: alone a +" in sentence for sentence in found.sentences)


def asking(question: Question, *methods: str) -> Question:
    return replace(question, methods=methods)


@pytest.mark.slow
def test_importances_that_shuffled_weights_give_too_are_no_explanation(tmp_path, monkeypatch):
    columns = normal(120, "a", "b", "c", "d") | {"part": parts(58, 60)}
    columns["y"] = np.stack([columns[name] for name in "abcd"], axis=1) @ np.array([1, 2, 4, 8])
    question = question_of(tmp_path, columns, [np.array([[1.0], [2.0], [4.0], [8.0]]), np.zeros(1)])
    assert explain_columns(asking(question, "Permutation"))[0].figures
    # A model whose order of columns has nothing to do with its weights.
    monkeypatch.setattr(permutation, "shuffled_weights", lambda core, seed: nullcontext())
    (found,) = explain_columns(asking(question, "Permutation"))
    assert not {proof.name: proof for proof in found.proofs}["randomisation"].holds
    assert not found.figures
    assert "does not depend on what the model has learned" in found.proofs[-1].sentence


@pytest.mark.proof
def test_shuffled_weights_rank_the_columns_of_a_trained_model_otherwise(linear):
    table = ExplainedTable(linear)
    weights = [variable.numpy() for variable in linear.built.core.weights]
    proof = randomisation(table.model, table.importances, table.selections, table.rows)
    assert len(proof.values["each"]) == 5
    for variable, values in zip(linear.built.core.weights, weights, strict=True):
        np.testing.assert_array_equal(variable.numpy(), values)


def test_halves_agree_if_too_few_columns_exceed_the_noise_to_rank_them(decided):
    proof = agreement(list(importances_of(decided).values()))
    assert proof.holds
    assert proof.sentence == "1 of 3 columns is more important than noise: there is no order to confirm."


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> tuple[Question, tuple[Explained, ...]]:
    generator, rows = np.random.default_rng(4), 90
    columns = {
        "age": np.where(generator.random(rows) < 0.2, "", generator.integers(18, 80, rows).astype(str)),
        "class": generator.choice(["first", "second", ""], rows, p=[0.3, 0.5, 0.2]),
        "member": generator.choice(["yes", "no"], rows),
        "since": generator.choice(np.arange("2020-01-01", "2023-01-01", dtype="datetime64[D]"), rows),
        "note": generator.choice(["good food", "bad food", "no food at all"], rows),
        "y": generator.choice(["yes", "no"], rows),
        "part": parts(58, 30),
    }
    inputs = "{member: boolean, since: date, note: text, class: {category: {embedding: 2}}}"
    layers = "[{Dense: {units: 4, activation: relu}}, {Dense: {units: 1, activation: sigmoid}}]"
    question = question_of(tmp_path_factory.mktemp("mixed"), columns, None, inputs, layers, "category")
    return question, explain_columns(question)


@pytest.mark.slow
def test_every_type_of_column_is_explained(mixed):
    _, (permuted, depended, contributed) = mixed
    names = {"age", "class", "member", "since", "note"}
    assert {row["column"] for row in permuted.rows} >= names
    assert {row["column"] for row in depended.rows} == names - {"note"}
    sums = contributed.arrays["contributions"].sum(axis=1)
    expected = contributed.arrays["score"] - contributed.arrays["baseline"]
    np.testing.assert_allclose(sums, expected, rtol=0.05, atol=0.02)
    assert set(contributed.rows[0]) == {"example", "baseline", "score", *(f"by {name}" for name in names)}


@pytest.mark.slow
def test_the_grid_has_categories_by_frequency_dates_and_no_missing_numbers(mixed):
    question, _ = mixed
    found = {name: dependence_of(question, name) for name in ("age", "class", "since")}
    frequent = Counter(text or "(missing)" for text in question.examples.inputs["class"][:].tolist()).most_common()
    assert [found["class"].label(at) for at in range(3)] == [text for text, _ in frequent]
    assert found["since"].grid.dtype.kind == "M"
    assert np.isfinite(found["age"].grid).all()
    assert (np.diff(found["age"].grid) > 0).all()


@pytest.mark.slow
def test_figures_say_their_numbers_in_words(mixed):
    _, (permuted, depended, contributed) = mixed
    for figure in (*permuted.figures, *depended.figures, *contributed.figures):
        assert figure.svg.startswith("<svg")
        assert len(figure.description) > 20
    # An untrained model may fail its proofs: its figures are then left out.
    assert len(contributed.figures) == (4 if all(proof.holds for proof in contributed.proofs) else 0)


@pytest.mark.slow
def test_new_examples_are_compared_with_zeros_and_have_no_permutation(linear):
    new = Question(linear.config, linear.facts, linear.built, linear.examples, "", None, linear.head, linear.target)
    (found,) = explain_columns(new)
    assert found.method == "integrated gradients"
    assert "zeros after preprocessing" in found.sentences[0]
    with pytest.raises(ConfigError, match="new examples have no permutation importance"):
        explain_columns(asking(new, "Permutation"))


@pytest.fixture(scope="module")
def windows(tmp_path_factory) -> Question:
    """A model that repeats twice the last value of `a`, and ignores `b` and all earlier rows."""
    columns = normal(160, "a", "b")
    columns["y"] = 2 * np.roll(columns["a"], 1)
    inputs = "{a: {number: {scale: none}}, b: {number: {scale: none}}, y: ignore}"
    weights = [np.array([0, 0, 0, 0, 2.0, 0])[:, None], np.zeros(1)]
    return question_of(
        tmp_path_factory.mktemp("windows"),
        columns,
        weights,
        inputs,
        "[Flatten, {Dense: 1}]",
        goal="windows: {length: 3, target: y}",
        split="{validation: 0.1, test: 0.5}",
    )


def test_only_the_column_and_the_row_of_a_window_that_a_model_uses_are_important(windows):
    (permuted,) = explain_columns(asking(windows, "Permutation"))
    found = {row["column"]: row["loss"] for row in permuted.rows}
    assert found["a"] == pytest.approx(found["row 0"], rel=1e-6)
    assert found["a"] > 1
    assert found["b"] == found["row -1"] == found["row -2"] == 0
    assert any("groups of rows that depend on each other" in sentence for sentence in permuted.sentences)
    assert [figure.name for figure in permuted.figures] == ["importance", "importance_by_row"]


@pytest.mark.slow
def test_contributions_and_dependence_in_windows_are_those_of_the_last_row(windows):
    _, depended, contributed = explain_columns(windows)
    columns = Columns(windows.config, windows.facts)
    at = np.flatnonzero(columns.chosen(["a"], 0))
    sums = np.abs(contributed.arrays["contributions"]).sum(axis=0)
    assert sums[at] == pytest.approx(sums.sum(), rel=1e-5)
    (row,) = (row for row in depended.rows if row["column"] == "a")
    assert row["highest"] - row["lowest"] == pytest.approx(
        2 * (float(row["highest at"]) - float(row["lowest at"])), rel=0.01
    )


def test_intervals_of_grouped_rows_resample_whole_groups(linear):
    question = linear
    model, rows = model_of(question), np.arange(6)
    selections = {"a": model.columns.chosen(["a"])}
    (alone,) = importances(model, selections, rows, None, 0)
    (grouped,) = importances(model, selections, rows, np.array([0, 0, 0, 1, 1, 1]), 0)
    assert alone.loss.value == grouped.loss.value
    assert (alone.loss.low, alone.loss.high) != (grouped.loss.low, grouped.loss.high)


def test_rows_of_one_group_are_resampled_together(tmp_path):
    columns = normal(60, "a", "y") | {"city": np.repeat([f"city {index}" for index in range(20)], 3)}
    columns |= {"b": columns["a"] ** 2}
    inputs, split = "{city: category}", "{group: city, validation: 0.2, test: 0.3}"
    question = question_of(tmp_path, columns, inputs=inputs, split=split)
    found, cities = ExplainedTable(question).clusters, question.examples.inputs["city"][:]
    assert found is not None
    assert len(np.unique(found)) == len(np.unique(cities.astype(str))) == len(found) / 3
    assert all(len(np.unique(found[cities == city])) == 1 for city in cities)
