"""Explanations of small models: exact values, refusals, and where the results go."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from tests.explain.conftest import SQUARE, Run, squares, trained
from tests.in_process import command

from dltool import notebook
from dltool.config.tasks import TargetFacts
from dltool.explain.asking import kind_of_array
from dltool.explain.attributions import attribution
from dltool.explain.gradients import MOST_STEPS, complete_gradients, completeness
from dltool.explain.maps import as_image, axes_of
from dltool.explain.occlusion import parts_of
from dltool.explain.proofs import Places, correlation, order_proofs, shuffled_weights
from dltool.explain.scores import Scores

EXPLAIN = "explain: {methods: [IntegratedGradients, Occlusion], examples: 20}"
SMALL = SQUARE.replace("epochs: 30", "epochs: 1").replace(", GradCAM], examples: 60", "], examples: 20")


def scores_of(
    layers: list[Any],
    shape: tuple[int, ...],
    classes: tuple[str, ...],
    dtype: str = "float32",
    places: tuple[int, ...] = (),
) -> Scores:
    """Return the scores of a model of these layers, as those of a run."""
    given = keras.Input(shape, dtype=dtype)
    output = given
    for layer in layers:
        output = layer(output)
    core = keras.Model(given, output)
    config = SimpleNamespace(seed=0, training=SimpleNamespace(batch_size=32))
    built = SimpleNamespace(core=core, compared={}, layers=(), preprocessors={})
    head = SimpleNamespace(name="output", thresholds=lambda _: None)
    facts = SimpleNamespace(inputs={"input": None})
    target = TargetFacts("category" if classes else "number", places, classes)
    question: Any = SimpleNamespace(config=config, built=built, head=head, facts=facts, target=target, label=None)
    return Scores(question)


def linear(units: int, activation: str, classes: tuple[str, ...]) -> tuple[Scores, np.ndarray]:
    scores = scores_of([keras.layers.Flatten(), keras.layers.Dense(units, activation)], (4, 4, 1), classes)
    return scores, scores.core.get_weights()[0].reshape(4, 4, 1, units)


@pytest.mark.proof
@pytest.mark.parametrize(
    ("units", "activation", "classes"),
    [
        (3, "softmax", ("a", "b", "c")),
        pytest.param(1, "sigmoid", ("a", "b"), marks=pytest.mark.slow),
        pytest.param(1, "linear", (), marks=pytest.mark.slow),
    ],
)
def test_of_a_linear_model_integrated_gradients_are_the_weights_times_the_difference(units, activation, classes):
    scores, kernel = linear(units, activation, classes)
    values = np.random.default_rng(0).normal(size=(6, 4, 4, 1)).astype(np.float32)
    given, blank = {"input": values}, {"input": np.full_like(values, 0.25)}
    labels = scores.labels(given)
    found, proof = complete_gradients(scores, given, given, blank, labels)
    weights = np.stack([kernel[..., label] for label in labels]) if units > 1 else kernel[..., 0]
    signs = (2 * labels - 1 if activation == "sigmoid" else np.ones(6))[:, None, None, None]
    np.testing.assert_allclose(found["input"], signs * weights * (values - 0.25), atol=1e-5)
    assert proof.holds
    outputs = np.asarray(scores.core(values))
    np.testing.assert_allclose(scores.in_batches("outputs_of", given, given)[1][:, 0], outputs, atol=1e-6)
    assert (labels == (outputs.argmax(1) if units > 1 else (outputs[:, 0] > 0.5) & bool(classes))).all()


@pytest.mark.proof
@pytest.mark.parametrize("units", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_the_score_of_a_class_for_each_place_is_the_mean_over_the_places_predicted_as_it(units: int) -> None:
    classes = ("none", "a", "b") if units == 3 else ("none", "a")
    last = keras.layers.Conv2D(units, 1, activation="softmax" if units == 3 else "sigmoid")
    scores = scores_of([last], (4, 4, 1), classes, places=(4, 4))
    kernel, bias = ([[-1.0, 1.5, 0.5]], [1.0, -0.5, 0.0]) if units == 3 else ([[2.0]], [-1.0])
    last.set_weights([np.array(kernel)[None, None], np.array(bias)])
    values = np.random.default_rng(0).normal(0.3, 1, size=(8, 4, 4, 1)).astype(np.float32)
    values[7] = -5  # "none" everywhere
    given = {"input": values}
    logits = values @ np.array(kernel) + np.array(bias)
    if units == 1:
        logits = np.concatenate([-logits, logits], axis=-1)
    predicted = logits.argmax(-1).reshape(8, 16)
    counts = np.stack([(predicted == each).sum(1) for each in range(len(classes))], axis=1)
    others = np.where(counts[:, 1:].any(1), counts[:, 1:].argmax(1) + 1, 0)
    labels = scores.labels(given)
    assert counts.sum(0).argmax() == 0
    np.testing.assert_array_equal(labels, others)
    picked = np.take_along_axis(logits.reshape(8, 16, -1), labels[:, None, None], axis=2)[..., 0]
    are_places = predicted == labels[:, None]
    expected = (picked * are_places).sum(1) / are_places.sum(1)
    np.testing.assert_allclose(scores.scores(given, given, labels), expected, atol=1e-5)
    # Blank places keep their part in the mean, and places of other classes add nothing.
    blank = {"input": np.zeros_like(values)}
    found, proof = complete_gradients(scores, given, given, blank, labels)
    assert proof.holds
    assert not found["input"].reshape(8, 16)[~are_places].any()
    # A class that no place has counts in all of them.
    nobody = np.full(8, len(classes) - 1, np.int32)
    alone = scores.scores({"input": values[7:]}, {"input": values[7:]}, nobody[7:])
    np.testing.assert_allclose(alone, logits.reshape(8, 16, -1)[7, :, -1].mean(), atol=1e-5)


@pytest.mark.proof
def test_a_broken_gradient_is_called_incomplete():
    rounding = [keras.layers.Flatten(), keras.layers.Lambda(lambda x: keras.ops.round(4 * x)), keras.layers.Dense(1)]
    scores = scores_of(rounding, (4, 4, 1), ())
    values = np.random.default_rng(0).normal(size=(6, 4, 4, 1)).astype(np.float32)
    given, labels = {"input": values}, np.zeros(6, np.int32)
    _, proof = complete_gradients(scores, given, given, {"input": np.zeros_like(values)}, labels)
    assert not proof.holds
    assert "Not complete" in proof.sentence
    assert proof.values["steps"] == MOST_STEPS
    assert completeness(np.full(10, 0.4), MOST_STEPS).sentence.startswith("Not complete: the attributions add up")


def attention(values: Any) -> Any:
    return keras.layers.MultiHeadAttention(2, 4)(values, values)


TEXT_NETS = {
    "masked recurrent": lambda: [keras.layers.Embedding(9, 4, mask_zero=True), keras.layers.LSTM(3)],
    "masked mean": lambda: [keras.layers.Embedding(9, 4, mask_zero=True), keras.layers.GlobalAveragePooling1D()],
    "attention": lambda: [keras.layers.Embedding(9, 4, mask_zero=True), attention, keras.layers.Flatten()],
    "one-hot": lambda: [lambda tokens: keras.ops.one_hot(tokens, 9), keras.layers.Conv1D(4, 2), keras.layers.Flatten()],
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "masked mean")) for name in TEXT_NETS]
)
def test_outputs_with_the_vectors_of_indices_are_those_of_the_model(name: str) -> None:
    keras.utils.set_random_seed(1)
    layers = [*TEXT_NETS[name](), keras.layers.Dropout(0.5), keras.layers.Dense(2, "softmax")]
    scores = scores_of(layers, (5,), ("a", "b"), "int32")
    tokens = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8], [8, 8, 1, 0, 0]], np.int32)
    given = {"input": tokens}
    entrances, labels = scores.entrances(given), scores.labels(given)
    score, sure, _ = scores.all_of(given, entrances, labels)
    outputs = scores.in_batches("outputs_of", given, entrances)[1][:, 0]
    expected = np.asarray(scores.core(tokens, training=False))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    np.testing.assert_allclose(sure, expected.max(1), atol=1e-6)
    # The difference of two scores before softmax is the logarithm of the ratio of the probabilities.
    other = scores.scores(given, entrances, 1 - labels)
    np.testing.assert_allclose(score - other, np.log(expected.max(1) / expected.min(1)), atol=1e-4)
    gradients = scores.gradients(given, entrances, labels)
    assert [each.shape for each in gradients.values()] == [each.shape for each in entrances.values()]
    assert any(np.abs(each).max() > 0 for each in gradients.values())


def places_of(scores: Scores, values: np.ndarray) -> Places:
    given, valid = {"input": values}, np.ones((len(values), 16), bool)

    def blank(_: Any, entrances: Any) -> Any:
        return {name: np.zeros_like(each) for name, each in entrances.items()}

    return Places(scores, given, scores.labels(given), valid, {"input": (4, 4)}, "places", blank)


@pytest.mark.proof
def test_a_random_order_is_no_better_than_chance_and_the_right_one_is():
    scores, kernel = linear(1, "linear", ())
    values = np.random.default_rng(0).normal(size=(30, 4, 4, 1)).astype(np.float32)
    places = places_of(scores, values)
    right = (values * kernel[..., 0]).reshape(30, 16)
    assert all(proof.holds for proof in order_proofs(places, right))
    chance = order_proofs(places, np.random.default_rng(1).random((30, 16)))
    assert not any(proof.holds for proof in chance)
    assert all("No better than chance" in proof.sentence for proof in chance)


@pytest.mark.proof
def test_maps_that_do_not_depend_on_the_weights_fail_the_randomisation_test(monkeypatch):
    scores, _ = linear(3, "softmax", ("a", "b", "c"))
    values = np.random.default_rng(0).normal(size=(12, 4, 4, 1)).astype(np.float32)
    places = places_of(scores, values)
    assert attribution(places, "IntegratedGradients").proofs[-1].holds
    monkeypatch.setattr("dltool.explain.attributions.occlusion", lambda few: few.inputs["input"].reshape(-1, 16))
    proof = attribution(places, "Occlusion").proofs[-1]
    assert not proof.holds
    assert proof.values["correlation"] == pytest.approx(1)
    assert "does not depend" in proof.sentence


def test_maps_that_shuffled_weights_turn_into_their_opposite_fail_too(monkeypatch):
    scores, kernel = linear(3, "softmax", ("a", "b", "c"))
    places = places_of(scores, np.random.default_rng(0).normal(size=(12, 4, 4, 1)).astype(np.float32))

    def opposite(few: Places) -> np.ndarray:
        is_trained = np.array_equal(scores.core.get_weights()[0].ravel(), kernel.ravel())
        return (1 if is_trained else -1) * few.inputs["input"].reshape(-1, 16)

    monkeypatch.setattr("dltool.explain.attributions.occlusion", opposite)
    proof = attribution(places, "Occlusion").proofs[-1]
    assert proof.values["correlation"] == pytest.approx(-1)
    assert not proof.holds


def test_explanations_compute_no_more_forward_passes_and_gradients_than_their_budget(monkeypatch):
    scores, _ = linear(3, "softmax", ("a", "b", "c"))
    scores.size = 64
    places = places_of(scores, np.random.default_rng(0).normal(size=(200, 4, 4, 1)).astype(np.float32))
    computed = {"scores_of": 0, "gradients_of": 0, "entrances_of": 0}
    compiled = Scores.function

    def counting(self: Scores, what: str, arrays: Any) -> Any:
        def counted(*batch: Any) -> Any:
            computed[what] += len(batch[0]["input"])
            return compiled(self, what, arrays)(*batch)

        return counted

    monkeypatch.setattr(Scores, "function", counting)
    for name in ("IntegratedGradients", "Occlusion"):
        attribution(places, name)
    assert [len(each._list_all_concrete_functions()) for each in scores.compiled.values()] == [1, 1, 1]
    # Eight steps of each example, and of six examples with the weights of five shuffles.
    assert computed["gradients_of"] == 8 * 200 + 5 * 8 * 6
    # Two orders of each of two methods and two random ones, at nine shares between the ends.
    orders = 6 * 9 * 64 + 2 * 64
    # The ends: for completeness, for the score by places of all, and of few with shuffled weights.
    ends = 2 * 200 + 2 * 200 + 5 * 2 * 6
    occluded = 16 * (200 + 5 * 6)
    assert computed["scores_of"] <= 1.02 * (orders + ends + occluded)


def test_shuffled_weights_are_restored_and_correlations_are_those_of_ranks():
    scores, kernel = linear(3, "softmax", ("a", "b", "c"))
    with shuffled_weights(scores.core, 1):
        other = scores.core.get_weights()[0]
        assert sorted(np.abs(other).ravel()) == pytest.approx(sorted(np.abs(kernel).ravel()))
        assert not np.array_equal(other.ravel(), kernel.ravel())
    np.testing.assert_array_equal(scores.core.get_weights()[0].ravel(), kernel.ravel())
    everywhere = np.ones(4, bool)
    assert correlation(np.array([1, 2, 3, 9.0]), np.array([1, 4, 9, 99.0]), everywhere) == pytest.approx(1)
    assert correlation(np.zeros(4), np.array([1, 4, 9, 99.0]), everywhere) == 1


@pytest.mark.parametrize("shape", [(5,), (16, 16), (40, 62), (3, 200)])
def test_every_place_is_in_one_part_of_an_occlusion(shape):
    parts = parts_of(shape)
    assert np.stack(parts).sum(0).tolist() == [1] * int(np.prod(shape))
    assert len(parts) <= 64


@pytest.mark.parametrize(("layers", "rows"), [([], [[3, 4, 5], [0, 1, 2]]), (["Permute"], [[1, 3, 5], [0, 2, 4]])])
def test_a_spectrogram_has_time_to_the_right_and_low_frequencies_at_the_bottom(layers, rows) -> None:
    data = SimpleNamespace(
        source=SimpleNamespace(name="audio"), preprocessing=[SimpleNamespace(name=each) for each in layers]
    )
    places: Any = SimpleNamespace(
        shapes={"input": (3, 2) if layers else (2, 3)},
        scores=SimpleNamespace(question=SimpleNamespace(config=SimpleNamespace(data=data))),
    )
    assert as_image(places, np.arange(6)).tolist() == rows
    assert axes_of(places) == ("time", "frequency")


@pytest.mark.parametrize(
    ("source", "shapes", "kind"),
    [("audio", [], "maps"), ("audio", [((80,), (40,))], "tabular"), ("arrays", [], "tabular")],
)
def test_a_clip_without_preprocessing_has_its_moments_as_places(source, shapes, kind) -> None:
    scores = scores_of([keras.layers.Dense(1)], (40,), ())
    config: Any = SimpleNamespace(data=SimpleNamespace(source=SimpleNamespace(name=source)))
    models = {str(at): SimpleNamespace(input_shape=a, output_shape=b) for at, (a, b) in enumerate(shapes)}
    built: Any = SimpleNamespace(core=scores.core, preprocessors=models)
    assert kind_of_array(config, built, scores.core.inputs[0]) == kind


@pytest.fixture(scope="module")
def small_run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("small")
    squares(folder, 120)
    return trained(folder, SMALL, draws=True)


@pytest.mark.slow
def test_the_end_of_a_run_explains_it_in_files_and_in_its_report(small_run: Run) -> None:
    arrays = small_run.arrays()
    assert arrays["IntegratedGradients"].shape == arrays["Occlusion"].shape == (20, 16, 16, 1)
    assert arrays["labels"].shape == (20,)
    assert "explain:" in (small_run.path / "resolved.yaml").read_text("utf-8")
    assert "What the model looks at" in (small_run.path / "report.html").read_text("utf-8")
    assert "explanation-occlusion" in json.loads((small_run.path / "report.json").read_text("utf-8"))["parts"]
    assert "explain" in json.loads((small_run.path / "results.json").read_text("utf-8"))["seconds"]


@pytest.mark.slow
def test_the_command_gives_the_bits_of_the_run_and_takes_a_class(small_run: Run, tmp_path: Path, capfd) -> None:
    before = small_run.arrays()
    page = tmp_path / "page.html"
    methods = ("--method", "IntegratedGradients", "--method", "Occlusion")
    assert command("explain", small_run.path, *methods, "--examples", "20", "--out", page, "--json") == 0
    found = json.loads(capfd.readouterr().out)
    assert [each["method"] for each in found["explanations"]] == ["integrated gradients", "occlusion"]
    assert "explanation-occlusion" in page.read_text("utf-8")
    for name, values in before.items():
        np.testing.assert_array_equal(values, small_run.arrays()[name])
    assert command("explain", small_run.path, *methods, "--examples", "20", "--class", "0", "--out", page) == 0
    assert f"page  {page}" in capfd.readouterr().out
    np.testing.assert_array_equal(small_run.arrays()["labels"], 0)


@pytest.mark.slow
def test_new_data_is_explained_in_a_notebook_one_example_at_a_time(small_run: Run) -> None:
    image = np.random.default_rng(3).normal(size=(1, 16, 16, 1)).astype(np.float32)
    (found,) = notebook.open_run(small_run.path).explain(image, methods=["Occlusion"])
    assert found.arrays["Occlusion"].shape == (1, 16, 16, 1)
    assert found.about == "1 example of new data"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "Occlsion"], 'did you mean "Occlusion"?'),
        (["--method", "Permutation"], "Permutation does not fit this data"),
        (["--class", "7"], '--class: unknown class "7"'),
        (["--examples", "0"], "--examples: expected 1 to 10,000, got 0"),
        (["--out", "page.txt"], "page.txt"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_words(small_run: Run, options, message, capfd) -> None:
    assert command("explain", small_run.path, *options) != 0
    assert message in capfd.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[IntegratedGradients, Occlusion]", "[Permutation]"), "Permutation does not fit this data"),
        (("[IntegratedGradients, Occlusion]", "[Salience]"), "Salience"),
        (("examples: 20", "examples: 0"), "examples"),
        (("validation: 0.2, test: 0.3", "validation: 0, test: 0"), "neither test nor validation examples"),
        (("test: 0.3}}", "folds: 2}, final: none}"), "only the models of the folds can be explained"),
        ((EXPLAIN, "explain: [1]"), "explain: expected true, false or a mapping, got a list\n"),
        ((EXPLAIN, "explain: 1"), "explain: expected true, false or a mapping, got the number 1\n"),
        ((EXPLAIN, "explain: yes"), 'explain: expected true, false or a mapping, got the string "yes"\n'),
        ((EXPLAIN, "explain: {method: [Occlusion]}"), "explain.method: unknown key\n"),
    ],
)
def test_a_config_that_cannot_be_explained_is_refused_at_its_line(
    tmp_path, monkeypatch, change, message, capfd
) -> None:
    squares(tmp_path, 60)
    monkeypatch.chdir(tmp_path)
    assert change[0] in SMALL
    Path("a.yaml").write_text(SMALL.replace(*change), encoding="utf-8")
    assert command("check", "a.yaml", "--build") == 2
    printed = capfd.readouterr().err
    assert message in printed
    assert "a.yaml:" in printed
    assert "1 problem" in printed


@pytest.mark.slow
def test_a_damaged_explanation_is_left_out_of_the_report(small_run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "runs" / "planted" / "0001"
    shutil.copytree(small_run.path, copy)
    (copy / "explanation" / "test" / "explanation.json").write_text("{", encoding="utf-8")
    moved = f"data.source.arrays.path={small_run.path.parents[2] / 'squares.npz'}"
    assert command("report", copy, "--set", moved, draws=True) == 0
    assert "What the model looks at" not in (copy / "report.html").read_text("utf-8")


@pytest.mark.proof
@pytest.mark.slow
def test_the_explanation_of_a_resumed_run_has_the_bits_of_the_unbroken_one(tmp_path: Path) -> None:
    squares(tmp_path, 120)
    whole = trained(tmp_path, SMALL.replace("epochs: 1", "epochs: 2"))
    (tmp_path / "half").mkdir()
    squares(tmp_path / "half", 120)
    half = trained(tmp_path / "half", SMALL)
    assert command("resume", half.path, "--epochs", "2") == 0
    for name, values in whole.arrays().items():
        np.testing.assert_array_equal(values, half.arrays()[name])


@pytest.mark.proof
@pytest.mark.slow
@pytest.mark.parametrize("name", ["binary", "convolution", "dense", "folds", "regression", "sequence"])
def test_integrated_gradients_are_complete_on_every_smoke_config(name: str, tmp_path: Path) -> None:
    config_file = Path(__file__).parents[2] / "configs" / "smoke" / f"{name}.yaml"
    changes = ["expect={}", "explain=true", *(["data.split={test: 0.2}"] if name == "folds" else [])]
    settings = [word for change in changes for word in ("--set", change)]
    assert command("train", config_file, "--runs", tmp_path, "--quiet", *settings) == 0
    (path,) = tmp_path.glob("*/[0-9]*")
    (complete, *_) = Run(path).explanations()["integrated gradients"]["proofs"]
    assert complete["name"] == "completeness"
    assert complete["holds"], complete["sentence"]
    assert complete["values"]["median"] < 0.01
