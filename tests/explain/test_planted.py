"""What decides the class is found: a planted square, a planted word, a planted tone. Each run is trained once."""

from pathlib import Path

import numpy as np
import pytest
from tests.explain.conftest import PLACE, TRAINING, Run, trained
from tests.in_process import command

METHODS = pytest.mark.parametrize("method", ["IntegratedGradients", "Occlusion"])
pytestmark = [pytest.mark.slow, pytest.mark.proof]
MASKS = """\
data: {source: {arrays: masks.npz}, target: category, split: {validation: 0.1, test: 0.3}}
model:
  layers:
    - Conv2D: {filters: 8, kernel_size: 3, padding: same, activation: relu}
    - Conv2D: {filters: $classes, kernel_size: 1, activation: softmax}
""" + TRAINING.replace("EPOCHS", "15").replace("binary", "sparse_categorical")


def share(values: np.ndarray, place: np.ndarray) -> float:
    """Return the share of the absolute attributions in `place`, a boolean mask of the same shape."""
    return float(np.abs(values[place]).sum() / np.abs(values).sum())


def mask(values: np.ndarray, *place: slice) -> np.ndarray:
    found = np.zeros(values.shape, bool)
    found[:, *place] = True
    return found


@METHODS
def test_a_planted_square_is_found(square_run: Run, method: str) -> None:
    values = square_run.arrays()[method]
    place = mask(values, *PLACE)
    assert values.shape == (60, 16, 16, 1)
    assert share(values, place) >= 0.8
    assert share(np.random.default_rng(0).normal(size=values.shape), place) == pytest.approx(1 / 16, abs=0.01)


@METHODS
def test_a_planted_word_is_found(word_run: Run, method: str) -> None:
    assert command("explain", word_run.path, "--method", method) == 0
    values = word_run.arrays()[method]
    (found,) = word_run.explanations().values()
    assert values.shape == (150, 12)
    assert [row["word"] for row in found["rows"] if row["texts"] > 50] == ["dreadful", "wonderful"]
    assert np.abs(values).max(1).sum() / np.abs(values).sum() >= 0.8


@METHODS
def test_a_planted_tone_is_found(tone_run: Run, method: str) -> None:
    assert command("explain", tone_run.path, "--method", method) == 0
    values = tone_run.arrays()[method]
    # Bands around 1 kHz, frames of the second quarter.
    assert share(values, mask(values, slice(4, 10), slice(8, 16))) >= 0.8


def test_the_places_of_a_class_are_found_by_a_model_of_a_class_for_each_place(tmp_path: Path) -> None:
    random, count = np.random.default_rng(0), 200
    images, masks = random.normal(0, 0.2, (count, 16, 16, 1)).astype(np.float32), np.zeros((count, 16, 16), np.int32)
    for image, mask in zip(images, masks, strict=True):
        for label, sign in ((1, 1), (2, -1)):
            top, left = random.integers(0, 12, 2)
            image[top : top + 4, left : left + 4] += sign
            mask[top : top + 4, left : left + 4] = label
    np.savez(tmp_path / "masks.npz", x=images, y=masks)
    run = trained(tmp_path, MASKS)
    assert command("explain", run.path, "--class", "1") == 0
    for method, found in run.explanations().items():
        # So small a network looks at the same places with any weights.
        tested = {proof["name"]: proof["holds"] for proof in found["proofs"] if proof["name"] != "randomisation"}
        assert all(tested.values()), (method, tested)
        assert 'the class "1" (the mean over the places predicted as it)' in found["sentences"][0]
    split = np.load(run.path / "split.npz")["test"]
    rows = np.sort(split[np.sort(np.random.default_rng(0).permutation(len(split))[:60])])
    values = run.arrays()["IntegratedGradients"]
    assert share(values, masks[rows][..., None] == 1) >= 0.6
    assert share(values, masks[rows][..., None] == 2) <= 0.2


def test_every_proof_is_in_the_record_and_holds(square_run: Run) -> None:
    found = square_run.explanations()
    order = ["deletion", "insertion", "randomisation"]
    assert [proof["name"] for proof in found["integrated gradients"]["proofs"]] == ["completeness", *order]
    assert [proof["name"] for proof in found["occlusion"]["proofs"]] == order
    for each in (found["integrated gradients"], found["occlusion"]):
        assert all(proof["holds"] for proof in each["proofs"]), each["proofs"]
        assert each["proofs"][-1]["values"]["correlation"] < 0.2


def test_grad_cam_of_the_planted_square_is_made_when_it_is_named(square_run: Run) -> None:
    assert np.isfinite(square_run.arrays()["GradCAM"]).all()
    assert "Grad-CAM" in square_run.explanations()
