"""What decides the class is found: a planted square, a planted word, a planted tone. Each run is trained once."""

import numpy as np
import pytest
from tests.explain.conftest import PLACE, Run
from tests.in_process import command

METHODS = pytest.mark.parametrize("method", ["IntegratedGradients", "Occlusion"])
pytestmark = pytest.mark.slow


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
