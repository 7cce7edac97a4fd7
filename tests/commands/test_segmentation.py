"""Images with masks, from a config to masks that are predicted."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.pictures import encoded

CONFIG = """
name: shapes
seed: 1
data:
  source: {images: {path: shapes, masks: masks}}
  split: {validation: 0.2}
model:
  layers:
    - Rescaling: {scale: $(1 / 255)}
    - Conv2D: {filters: 8, kernel_size: 3, padding: same, activation: relu}
    - Conv2D: {filters: $classes, kernel_size: 1, activation: softmax}
training:
  optimizer: {Adam: {learning_rate: 0.02}}
  loss: sparse_categorical_crossentropy
  metrics: [accuracy, {MeanIoU: {num_classes: $classes, sparse_y_pred: false}}]
  batch_size: 4
  epochs: 4
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of noise, with one bright square, which is class 7 of its mask; the rest is class 3."""
    path = tmp_path_factory.mktemp("segmentation")
    generator = np.random.default_rng(2)
    for part, count in (("train", 20), ("test", 6)):
        for kind in ("images", "masks"):
            (path / "shapes" / part / kind).mkdir(parents=True)
        for i in range(count):
            image, mask = generator.integers(0, 120, (10, 12, 3), np.uint8), np.full((10, 12), 3, np.uint8)
            y, x = generator.integers(0, 5, 2)
            image[y : y + 5, x : x + 5] += 80
            mask[y : y + 5, x : x + 5] = 7
            (path / f"shapes/{part}/images/{i}.png").write_bytes(encoded(image))
            (path / f"shapes/{part}/masks/{i}.png").write_bytes(encoded(mask))
    (path / "shapes.yaml").write_text(CONFIG, encoding="utf-8")
    return path


def read(files: list[Path]) -> np.ndarray:
    return np.stack([np.asarray(Image.open(file)) for file in files])


@pytest.mark.slow
def test_masks_are_trained_measured_shown_and_predicted(
    dltool, draws, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    outcome = dltool("train", "shapes.yaml")
    assert outcome.code == 0, outcome.stderr
    run = Path("runs/shapes/0001")
    assert "predicted mask" in (run / "report.html").read_text("utf-8")
    outcome = dltool("predict", run, "shapes/test", "--out", "found")
    assert outcome.code == 0, outcome.stderr
    # Masks in the folder are no images to predict.
    files = sorted(Path("found").rglob("*.png"))
    assert [file.relative_to("found") for file in files] == [Path(f"shapes/test/images/{i}.png") for i in range(6)]
    found, true = read(files), read(sorted(Path("shapes/test/masks").iterdir()))
    assert {*np.unique(found)} <= {3, 7}
    metrics = json.loads((run / "results.json").read_text("utf-8"))["test"]
    assert metrics["accuracy"] == pytest.approx(np.mean(found == true), abs=1e-6)
    shares = [
        np.sum((found == value) & (true == value)) / np.sum((found == value) | (true == value)) for value in (3, 7)
    ]
    assert metrics["mean_io_u"] == pytest.approx(np.mean(shares), abs=1e-6)
    assert metrics["accuracy"] > np.mean(true == 3)
    again = dltool("predict", run, "shapes/test", "--out", "found")
    assert (again.code, "exists already" in again.stderr) == (2, True)
    table = dltool("predict", run, "shapes/test", "--out", "found.csv")
    assert (table.code, "--out FOLDER writes an image of classes for each file" in table.stderr) == (2, True)
    evaluated = dltool("evaluate", run, "--data", "shapes/test")
    assert evaluated.code == 0, evaluated.stderr


@pytest.mark.slow
def test_flips_are_refused_beside_masks(dltool, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    text = CONFIG.replace("model:", "  augmentation: [{RandomFlip: horizontal}]\nmodel:", 1)
    Path("flipped.yaml").write_text(text, encoding="utf-8")
    outcome = dltool("check", "flipped.yaml", "--data", "--build")
    assert outcome.code == 2
    assert "would stay" in " ".join(outcome.stderr.split())
