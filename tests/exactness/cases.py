"""A small config of each kind of data, model and training, of 6 steps an epoch and 18 in all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tests.data.pictures import class_folders
from tests.data.shard_files import write_shards
from tests.every_column import write_table
from tests.wav_files import sound

ROWS = 150
"""Of them 90 for training."""


@dataclass(frozen=True)
class Case:
    """A config as text and what writes its files into a folder. `options` of train and resume may name that {folder};
    `settings` are values of the source by their place."""

    config: str
    write: Callable[[Path], object] = lambda folder: None
    options: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def options_in(self, folder: Path) -> list[str]:
        return [option.format(folder=folder) for option in self.options]


def write_halves(folder: Path) -> None:
    """Two inputs of (rows, 8, 4) and two targets, which of four classes, and a number; and weights."""
    random = np.random.default_rng(0)
    left, right = random.normal(size=(2, ROWS, 8, 4)).astype(np.float32)
    size = right.mean((1, 2)) + random.normal(0, 0.1, ROWS)
    part, weight = random.integers(0, 4, ROWS), random.uniform(0, 2, ROWS)
    np.savez(folder / "halves.npz", left=left, right=right, part=part, size=size, weight=weight)


def write_pictures(folder: Path, size: tuple[int, int] = (6, 5)) -> None:
    for name, content in class_folders(2, ROWS // 2, size).items():
        path = folder / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def write_clips(folder: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(ROWS):
        path = folder / "clips" / "ab"[number % 2] / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sound(random.normal(0, 0.1 + 0.1 * (number % 2), 300)))


def write_parquet(folder: Path) -> None:
    write_shards(folder / "shards", files=2, rows=45, group=10)
    write_shards(folder / "others", files=1, rows=30, seed=9)


def write_texts(folder: Path) -> None:
    random, words = np.random.default_rng(0), np.array(["good", "bad", "fine", "dull", "new", "old", "a", "film"])
    (folder / "texts").mkdir()
    for label in "ab":
        lines = (" ".join(words[random.integers(0, 8, random.integers(1, 9))]) for _ in range(ROWS // 2))
        (folder / "texts" / f"{label}.txt").write_text("\n".join(lines) + "\n")


CODE = """\
import keras
from keras import ops


class Blur(keras.layers.Layer):
    '''Random in training, with a weight that follows the inputs.'''

    def __init__(self, spread: float = 0.1, **kwargs):
        super().__init__(**kwargs)
        self.spread, self.noise = spread, keras.random.SeedGenerator(1)

    def build(self, shape):
        self.gain = self.add_weight(shape=(shape[-1],), initializer="ones", name="gain")
        self.mean = self.add_weight(shape=(), initializer="zeros", trainable=False, name="mean")

    def call(self, inputs, training=False):
        if training:
            self.mean.assign(0.9 * self.mean + 0.1 * ops.mean(inputs))
            inputs = inputs + keras.random.normal(ops.shape(inputs), stddev=self.spread, seed=self.noise)
        return (inputs - self.mean) * self.gain


class Bounded(keras.losses.Loss):
    def __init__(self, most: float = 5.0, **kwargs):
        super().__init__(**kwargs)
        self.most = most

    def call(self, y_true, y_pred):
        return ops.minimum(self.most, keras.losses.sparse_categorical_crossentropy(y_true, y_pred))


class Surest(keras.metrics.Metric):
    def __init__(self, name="surest", **kwargs):
        super().__init__(name=name, **kwargs)
        self.largest = self.add_variable((), "zeros", name="largest")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.largest.assign(ops.maximum(self.largest, ops.max(y_pred)))

    def result(self):
        return self.largest


class Drifting(keras.layers.Layer):
    '''Random in training and in evaluation, with two generators, and a variable in a mapping.'''

    def __init__(self, rate: float, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.dropout = rate, keras.layers.Dropout(rate)
        self.kept = {"steps": keras.Variable(0.0, trainable=False, name="steps")}

    def call(self, inputs, training=False):
        if training:
            self.kept["steps"].assign(self.kept["steps"] + 1.0)
        noise = keras.random.normal(ops.shape(inputs), stddev=0.1)
        return self.dropout(inputs, training=True) * (1.0 + 0.01 * self.kept["steps"]) + noise


def bounded(y_true, y_pred):
    return ops.mean(ops.minimum(5.0, keras.losses.sparse_categorical_crossentropy(y_true, y_pred)))


def surest(y_true, y_pred):
    return ops.max(y_pred, axis=-1)
"""


def write_code(folder: Path) -> None:
    (folder / "own.py").write_text(CODE)


DIGITS = """\
data: {{source: digits, split: {{validation: 0.2, test: 0.2}}{more}}}
model:
  layers:
    - {first}
    - Flatten
    - Dense: {{units: 16, activation: relu}}
    - BatchNormalization
    - Dropout: 0.3
    - Dense: {{units: $classes, activation: softmax}}
training:
  optimizer: {optimizer}
  loss: {loss}
  metrics: [accuracy{metric}]
  batch_size: 180
  epochs: 3
"""


def digits(
    more: str = "",
    first: str = "Rescaling: $(1 / 16)",
    optimizer: str = "{Adam: {learning_rate: 0.01, use_ema: true, ema_momentum: 0.9}}",
    loss: str = "sparse_categorical_crossentropy",
    metric: str = "",
    after: str = "",
) -> str:
    return DIGITS.format(more=more, first=first, optimizer=optimizer, loss=loss, metric=metric) + after


CLASSES = """\
training:
  optimizer: {Adam: 0.01}
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  batch_size: 16
  epochs: 3
"""
TABLE = """\
data:
  source: {{csv: table.csv}}
  inputs: {inputs}
  target: {target}
  split: {{validation: 0.2, test: 0.2}}
model:
  blocks:
    dense: {{parameters: {{units: }}, layers: [Dense: {{units: $units, activation: relu}}, Dropout: 0.3]}}
  layers: [{first}, {{repeat: {{times: 2, layers: [dense: 8]}}}}, {last}]
"""
CASES: Mapping[str, Case] = {
    "outputs": Case(
        """\
data:
  source: {arrays: {path: halves.npz, x: {left: left, right: right}, y: {part: part, size: size}}}
  target: {part: category, size: number}
  weights: weight
  split: {validation: 0.2, test: 0.2}
model:
  layers:
    - Flatten: {from: left, name: flat_left}
    - Flatten: {from: right, name: flat_right}
    - Concatenate: {from: [flat_left, flat_right]}
    - Dropout: 0.3
    - Dense: {units: 16, activation: relu, name: trunk}
    - Dense: {units: $classes_part, activation: softmax, name: part}
    - Dense: {units: 1, from: trunk, name: size}
  outputs:
    part: {loss: sparse_categorical_crossentropy, metrics: [accuracy], class_weights: balanced}
    size: {loss: mse, metrics: [mae], weight: 0.5}
training: {optimizer: {Adam: 0.01}, batch_size: 16, epochs: 3}
""",
        write_halves,
    ),
    "vectorization": Case(
        """\
data:
  source: {text: texts}
  split: {validation: 0.2, test: 0.2}
  preprocessing: [{TextVectorization: {max_tokens: 7, output_sequence_length: 6}}]
model:
  layers:
    - Embedding: {input_dim: 7, output_dim: 4, mask_zero: true}
    - GRU: {units: 5, dropout: 0.2, recurrent_dropout: 0.2}
    - Dense: {units: $classes, activation: softmax}
"""
        + CLASSES,
        write_texts,
    ),
    "table": Case(
        TABLE.format(
            inputs="{number: ignore, words: ignore, tags: ignore}",
            target="label",
            first="BatchNormalization",
            last="{Dense: {units: $classes, activation: softmax}}",
        )
        + CLASSES,
        lambda folder: write_table(folder, ROWS),
    ),
    "windows": Case(
        TABLE.format(
            inputs="{label: ignore, about: ignore, words: ignore, tags: ignore}",
            target="{number: number}\n  windows: {length: 4, target: number}",
            first="{LSTM: {units: 6, recurrent_dropout: 0.2}}",
            last="{Dense: 1}",
        )
        + "training: {optimizer: {Adam: 0.01}, loss: mse, batch_size: 16, epochs: 3}\n",
        lambda folder: write_table(folder, ROWS),
    ),
    "audio": Case(
        """\
data:
  source: {audio: clips}
  split: {validation: 0.2, test: 0.2}
  preprocessing:
    - MelSpectrogram: {sampling_rate: 8000, fft_length: 64, sequence_stride: 32, num_mel_bins: 8, max_freq: 4000}
    - Rescaling: $(1 / 30)
  augmentation: [{GaussianNoise: 0.1}]
model:
  layers: [Flatten, {Dropout: 0.2}, {Dense: {units: $classes, activation: softmax}}]
"""
        + CLASSES,
        write_clips,
    ),
    "backbone": Case(
        """\
data:
  source: {images: pictures}
  split: {validation: 0.2, test: 0.2}
  augmentation: [{RandomFlip: horizontal}]
model:
  layers:
    - backbone: {MobileNet: {weights: null, alpha: 0.25, pooling: avg, name: features}}
    - Dropout: 0.2
    - Dense: {units: $classes, activation: softmax, name: classifier}
training:
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  batch_size: 16
  phases:
    - {epochs: 1, trainable: [classifier], optimizer: {Adam: 0.01}}
    - {epochs: 2, trainable: ["*_bn", classifier], optimizer: {SGD: {learning_rate: 0.01, momentum: 0.9}}}
""",
        lambda folder: write_pictures(folder, (32, 32)),
    ),
    "bfloat16": Case(digits(first="Conv2D: {filters: 4, kernel_size: 3}", after="  precision: mixed_bfloat16\n")),
    "float16": Case(
        # A scale with which gradients overflow, and which is then raised every four steps.
        digits(
            optimizer="{LossScaleOptimizer: {inner_optimizer: {Adam: {learning_rate: 0.01, use_ema: true}}, "
            "initial_scale: 16777216, dynamic_growth_steps: 4}}",
            after="  precision: mixed_float16\n",
        )
    ),
    "mixing": Case(digits(more=", augmentation: [MixUp, CutMix]", loss="categorical_crossentropy")),
    "streamed": Case(
        """\
data:
  source: {images: pictures}
  cache: off
  split: {validation: 0.2, test: 0.2}
  preprocessing: [{Rescaling: $(1 / 255)}]
  augmentation: [RandomFlip]
model:
  layers: [Flatten, {Dropout: 0.2}, {Dense: {units: $classes, activation: softmax}}]
"""
        + CLASSES,
        write_pictures,
        # Rows of 94 bytes: three batches are read at once, so a resumed run reads other ones together.
        settings={"dltool.training.batches.RESIDENT_SHARE": 2**40, "dltool.training.batches.CHUNK_BYTES": 4700},
    ),
    "shards": Case(
        """\
data:
  source: {parquet: shards}
  validation: {parquet: others}
  test: {parquet: others}
  inputs: {part: ignore}
  target: label
  shuffle: {window: 2}
model:
  layers: [{Dropout: 0.2}, {Dense: {units: $classes, activation: softmax}}]
"""
        + CLASSES,
        write_parquet,
        settings={"dltool.training.batches.CHUNK_BYTES": 1000},
    ),
    "code": Case(
        digits(first="Blur: 0.2", loss="Bounded", metric=", Surest"), write_code, ("--allow-code", "{folder}/own.py")
    ),
    "random": Case(
        digits(first="Drifting: 0.2", loss="bounded", metric=", surest"),
        write_code,
        ("--allow-code", "{folder}/own.py"),
    ),
    "tracking": Case(digits(after="track: [tensorboard]\n")),
    "private": Case(
        digits(optimizer="{SGD: {learning_rate: 0.5, momentum: 0.9}}")
        .replace("    - BatchNormalization\n", "")
        .replace("training:\n", "training:\n  privacy: {noise: 1, delta: 1e-4, seed: 3}\n")
    ),
}


def write_case(folder: Path, kind: str) -> Path:
    case, path = CASES[kind], folder / f"{kind}.yaml"
    case.write(folder)
    every = "training:\n  checkpoint: {every: 2 steps}\n"
    text = case.config.replace("training:\n", every).replace("training: {", "training: {checkpoint: {every: 2 steps}, ")
    path.write_text(f"name: {kind}\nseed: 5\n{text}")
    return path
