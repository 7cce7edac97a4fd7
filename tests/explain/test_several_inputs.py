"""Explanations of models that take several arrays: the input that carries the class gets the share."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from tests.explain.conftest import TRAINING, Run, trained
from tests.in_process import command

from dltool.config.tasks import TargetFacts
from dltool.data.examples import Examples
from dltool.explain.explained import Explained, Question
from dltool.explain.several_inputs import explain_arrays, shares_of

SEVERAL = """\
data:
  source: {arrays: {path: several.npz, x: {image: image, words: words, numbers: numbers, flag: flag}, y: {label: y}}}
  split: {validation: 0.1, test: 0.3}
model:
  layers:
    - Flatten: {from: image, name: of_image}
    - Embedding: {input_dim: 20, output_dim: 4, from: words}
    - Flatten: {name: of_words}
    - Dense: {units: 4, activation: relu, from: numbers, name: of_numbers}
    - Dense: {units: 2, activation: relu, from: flag, name: of_flag}
    - Concatenate: {from: [of_image, of_words, of_numbers, of_flag]}
    - Dense: {units: 1, activation: sigmoid, kernel_regularizer: {L2: 0.02}}
explain: {examples: 40}
""" + TRAINING.replace("EPOCHS", "30")


def several(folder: Path, planted: str, count: int = 300) -> None:
    """Noise in all inputs but the planted one."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, count)
    inputs: dict[str, Any] = {
        "image": random.normal(0, 0.3, (count, 8, 8, 1)),
        "words": random.integers(0, 18, (count, 6)),
        "numbers": random.normal(0, 0.3, (count, 5)),
        "flag": random.integers(0, 2, count),
    }
    if planted == "image":
        inputs["image"][:, 2:4, 4:6] += (2 * labels - 1)[:, None, None, None]
    elif planted == "words":
        inputs["words"][:, 2] = 18 + labels
    else:
        inputs["numbers"][:, 3] += 2 * labels - 1
    stored = {name: each.astype("int32" if each.dtype.kind == "i" else "float32") for name, each in inputs.items()}
    np.savez(folder / "several.npz", y=labels, **stored)


@pytest.mark.proof
@pytest.mark.slow
@pytest.mark.parametrize("planted", ["image", "words", "numbers"])
def test_the_input_that_carries_the_class_gets_the_share(planted: str, tmp_path: Path) -> None:
    several(tmp_path, planted)
    run = trained(tmp_path, SEVERAL)
    for method, found in run.explanations().items():
        first, second, *_ = found["rows"]
        assert first["input"] == planted
        assert first["low"] > 0.5 > second["high"], (method, found["rows"])
        assert sum(row["share"] for row in found["rows"]) == pytest.approx(1)
        assert all(proof["holds"] for proof in found["proofs"]), found["proofs"]
        names = [figure["name"] for figure in found["figures"]]
        assert names[0].endswith("_inputs")
        assert f"{names[0].removesuffix('_inputs')}_{planted}_1" in names
    values = run.arrays()[f"IntegratedGradients_{planted}"]
    strongest = np.abs(values).sum(axis=0).argmax()
    inside = {"image": (2 * 8 + 4, 2 * 8 + 5, 3 * 8 + 4, 3 * 8 + 5), "words": (2,), "numbers": (3,)}[planted]
    assert strongest in inside
    refuses_other_methods(run)


def refuses_other_methods(run: Run) -> None:
    assert command("explain", run.path, "--method", "Permutation") == 2
    assert command("explain", run.path, "--method", "GradCAM") == 2


@pytest.fixture(scope="module")
def linear() -> tuple[tuple[Explained, ...], dict[str, np.ndarray]]:
    """A linear model of an image and three numbers, explained for new data; and what it adds at each place."""
    inputs = {"image": keras.Input((4, 4, 1), name="image"), "numbers": keras.Input((3,), name="numbers")}
    flat = keras.layers.Concatenate()([keras.layers.Flatten()(inputs["image"]), inputs["numbers"]])
    core = keras.Model(inputs, keras.layers.Dense(1)(flat))
    random = np.random.default_rng(0)
    kernel = random.normal(size=(19, 1)).astype(np.float32)
    core.set_weights([kernel, np.ones(1, np.float32)])
    values = {
        name: random.normal(size=(12, *each.shape[1:])).astype(np.float32) * (1 if name == "image" else 9)
        for name, each in inputs.items()
    }
    source = SimpleNamespace(name="arrays")
    config: Any = SimpleNamespace(
        seed=0,
        training=SimpleNamespace(batch_size=32),
        data=SimpleNamespace(source=source, preprocessing=(), windows=None, inputs=None),
    )
    built: Any = SimpleNamespace(core=core, compared={}, layers=(), preprocessors={})
    facts: Any = SimpleNamespace(inputs=dict.fromkeys(inputs), has_columns=False, only_input=None)
    head: Any = SimpleNamespace(name="output", thresholds=lambda _: None)
    question = Question(config, facts, built, Examples(values), "", None, head, TargetFacts("number"))
    image = values["image"] - values["image"].mean(axis=(1, 2), keepdims=True)
    added = {"image": image * kernel[:16].reshape(4, 4, 1), "numbers": values["numbers"] * kernel[16:, 0]}
    return explain_arrays(question), added


@pytest.mark.proof
def test_of_a_linear_model_each_place_of_each_input_adds_its_weight_times_its_difference(linear) -> None:
    (gradients, occluded), added = linear
    for name, expected in added.items():
        np.testing.assert_allclose(gradients.arrays[f"IntegratedGradients_{name}"], expected, atol=1e-4)
    # An input of few places is blanked one place at a time, the image in parts of one pixel too.
    for name, expected in added.items():
        np.testing.assert_allclose(occluded.arrays[f"Occlusion_{name}"], expected, atol=1e-4)
    assert gradients.proofs[0].name == "completeness"
    assert all(proof.holds for proof in (*gradients.proofs, *occluded.proofs))


def test_the_share_of_an_input_is_the_mean_size_of_what_all_its_places_add(linear) -> None:
    found, added = linear
    sizes = {name: float(np.abs(each.reshape(12, -1).sum(1)).mean()) for name, each in added.items()}
    for each in found:
        shares = {row["input"]: row["share"] for row in each.rows}
        assert shares == pytest.approx({name: size / sum(sizes.values()) for name, size in sizes.items()}, abs=1e-5)
        assert [row["input"] for row in each.rows] == sorted(sizes, key=lambda name: -sizes[name])
        assert all(row["low"] <= row["share"] <= row["high"] for row in each.rows)
        assert "Share of each input: numbers" in each.sentences[-1]
        names = [figure.name.partition("_")[2] for figure in each.figures]
        assert names == ["inputs", "numbers_1", "image_1"]
    json.dumps([each.record() for each in found])
    for ends in shares_of(np.tile([[3.0, -1.0]], (20, 1)), 0):
        np.testing.assert_allclose(ends, [0.75, 0.25])
