"""Small runs on data with something planted that decides the class, each trained once."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.in_process import command
from tests.wav_files import sound

TRAINING = """\
training:
  optimizer: {Adam: 0.01}
  loss: binary_crossentropy
  metrics: [accuracy]
  epochs: EPOCHS
"""
SQUARE = """\
data: {source: {arrays: squares.npz}, split: {validation: 0.2, test: 0.3}}
model:
  layers:
    - Conv2D: {filters: 8, kernel_size: 4, strides: 4, activation: relu}
    - Flatten
    - Dense: {units: 1, activation: sigmoid, kernel_regularizer: {L2: 0.01}, kernel_initializer: zeros}
explain: {methods: [IntegratedGradients, Occlusion, GradCAM], examples: 60}
""" + TRAINING.replace("EPOCHS", "30")
WORD = """\
data:
  source: {text: reviews}
  split: {validation: 0.2, test: 0.3}
  preprocessing: [{TextVectorization: {output_sequence_length: 12}}]
model:
  layers:
    - Embedding: {input_dim: 50, output_dim: 8}
    - GlobalAveragePooling1D
    - Dense: {units: 1, activation: sigmoid}
""" + TRAINING.replace("EPOCHS", "60")
TONE = """\
data:
  source: {audio: {path: clips, seconds: 0.5}}
  split: {validation: 0.2, test: 0.3}
  preprocessing:
    - MelSpectrogram: {sampling_rate: 8000, fft_length: 256, sequence_stride: 128, num_mel_bins: 16, min_power: 1e-4}
    - Rescaling: {scale: 0.05}
    - Reshape: {target_shape: [16, -1, 1]}
model:
  layers:
    - Flatten
    - Dense: {units: 1, activation: sigmoid, kernel_regularizer: {L2: 0.03}, kernel_initializer: zeros}
""" + TRAINING.replace("EPOCHS", "40")
PLACE = (slice(4, 8), slice(8, 12))
"""Of the 16 × 16 pixels, the sixteenth with the planted square."""


@dataclass(frozen=True)
class Run:
    """A run directory, and the explanations in it."""

    path: Path

    def explanations(self, folder: str = "test") -> dict[str, Any]:
        found = json.loads((self.path / "explanation" / folder / "explanation.json").read_text("utf-8"))
        return {each["method"]: each for each in found["explanations"]}

    def arrays(self, folder: str = "test") -> dict[str, np.ndarray]:
        content = (self.path / "explanation" / folder / "examples.npz").read_bytes()
        return dict(np.load(io.BytesIO(content)))


def trained(folder: Path, text: str, *arguments: str, draws: bool = False) -> Run:
    (folder / "planted.yaml").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert command("train", "planted.yaml", "--runs", folder / "runs", "--quiet", *arguments, draws=draws) == 0
    (run,) = (folder / "runs" / "planted").glob("[0-9]*")
    return Run(run)


def squares(folder: Path, count: int = 400) -> None:
    """A bright square in the images of one class, a dark one in those of the other, noise elsewhere."""
    random = np.random.default_rng(0)
    images = random.normal(0, 0.3, (count, 16, 16, 1)).astype(np.float32)
    labels = random.integers(0, 2, count)
    images[:, *PLACE] += (2 * labels - 1)[:, None, None, None]
    np.savez(folder / "squares.npz", x=images, y=labels)


@pytest.fixture(scope="session")
def square_run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("squares")
    squares(folder)
    return trained(folder, SQUARE)


@pytest.fixture(scope="session")
def word_run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("words")
    random = np.random.default_rng(0)
    (folder / "reviews").mkdir()
    for name, word in (("good", "wonderful"), ("bad", "dreadful")):
        texts = []
        for _ in range(250):
            words = [f"filler{index}" for index in random.integers(0, 30, 7)]
            words.insert(int(random.integers(0, 8)), word)
            texts.append(" ".join(words))
        (folder / "reviews" / f"{name}.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    return trained(folder, WORD)


@pytest.fixture(scope="session")
def tone_run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("tones")
    random = np.random.default_rng(0)
    moments = np.arange(4000) / 8000
    for name in ("quiet", "tone"):
        (folder / "clips" / name).mkdir(parents=True)
        for index in range(80):
            samples = random.normal(0, 0.01, 4000)
            if name == "tone":
                # 1 kHz in the second quarter, without a click at its ends.
                samples[1000:2000] += 0.3 * np.hanning(1000) * np.sin(2 * np.pi * 1000 * moments[1000:2000])
            (folder / "clips" / name / f"{index}.wav").write_bytes(sound(samples))
    return trained(folder, TONE)
