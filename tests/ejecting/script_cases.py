"""Runs to eject: small data with much that a config can say."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image
from tests.data.pictures import encoded, pixels

from dltool.config.load import read_document
from dltool.config.sources import FOLDER_SOURCES
from dltool.data.checked import checked_config, checked_with
from dltool.data.dataset import load_data, load_sources
from dltool.ejecting.ejected_run import EjectedRun
from dltool.ejecting.script import example_targets
from dltool.experiment.opening import new_experiment
from dltool.runs.files import Run
from dltool.runs.records import RunRecord, StrategyRecord
from dltool.training.compile import compile_core

DIGITS = """\
name: digits
seed: 42
data:
  source: digits
  split: {validation: 0.15, test: 0.2}
  preprocessing: [Rescaling: {scale: 0.0625}]
model:
  layers:
    - Conv2D: {filters: 8, kernel_size: 3, padding: same, activation: relu}
    - MaxPooling2D: 2
    - Dropout: 0.25
    - Flatten
    - Dense: {units: $classes, activation: softmax}
training:
  optimizer: {Adam: {learning_rate: 2e-3}}
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  epochs: 2
  callbacks: [EarlyStopping: {monitor: val_loss, patience: 8}]
  checkpoint: {monitor: val_accuracy}
  rewrites: false
"""

TABLE = """\
name: table
data:
  source: {csv: {path: table.csv, delimiter: ";", missing: ["?"]}}
  target: {y: {category: {replace: {dn: down}}}}
  weights: w
  inputs:
    a: {number: {indicator: true, missing: mean}}
    b: {number: {scale: log, decimal: ","}}
    c: {number: {scale: min_max, pieces: 8}}
    d/e: {number: {scale: robust, missing: 0.0}}
    city: {category: {embedding: 3, min_count: 20, case: lower}}
    kind: {category: {missing: most_frequent}}
    ok: {boolean: {indicator: true}}
    day: {date: {format: "%d.%m.%Y", parts: [year, month, weekday, day_of_year, elapsed]}}
    note: {text: {length: 8, max_tokens: 50}}
  split: {validation: 0.2, test: 0.2}
model:
  layers:
    - Embedding: {input_dim: 50, output_dim: 8, from: note}
    - GlobalAveragePooling1D: {name: read}
    - Dense: {units: 8, activation: relu, from: input, name: rest}
    - Concatenate: {from: [read, rest]}
    - Dense: {units: 1, activation: sigmoid}
training: {optimizer: adam, loss: binary_crossentropy, metrics: [accuracy, AUC], epochs: 2, class_weights: balanced}
"""

TYPED = """\
name: typed
data:
  source: {parquet: table.parquet}
  target: {b: {number: {scale: standard}}}
  inputs: {c: category, city: {category: {unknown: error}}}
  split: {validation: 0.2, test: 0.2}
model: {layers: [Dense: {units: 8, activation: relu}, Dense: 1]}
training: {optimizer: {Adam: {learning_rate: 0.01}}, loss: mse, metrics: [mae], epochs: 2}
"""

BOOLEAN = """\
name: boolean
data:
  source: {parquet: table.parquet}
  target: ok
  inputs: {a: number, b: {number: {scale: log, pieces: 4, indicator: true}}, c: category, city: category}
  split: {validation: 0.2, test: 0.2}
model: {layers: [Dense: {units: 8, activation: relu}, Dense: {units: 1, activation: sigmoid}]}
training: {optimizer: adam, loss: binary_crossentropy, metrics: [accuracy], epochs: 2}
"""

LABELS = """\
name: labels
data:
  source: {csv: {path: table.csv, delimiter: ";", missing: ["?"]}}
  target: {tags: {multi_label: "|"}}
  inputs: {note: {text: {max_tokens: 30}}, b: ignore, day: ignore, kind: {category: {min_count: 2}}}
  split: {validation: 0.2, test: 0.2}
model: {layers: [Dense: {units: 8, activation: relu}, Dense: {units: 3, activation: sigmoid}]}
training: {optimizer: adam, loss: binary_crossentropy, metrics: [accuracy], epochs: 2}
"""

HALVES = """\
name: halves
data:
  source: {arrays: {path: halves.npz, x: {left: left, right: right}, y: {digit: digit, is_even: even}}}
  split: {validation: 0.15, test: 0.2}
model:
  layers:
    - Rescaling: {scale: 0.0625, from: left}
    - Conv2D: {filters: 4, kernel_size: 3, activation: relu, name: eye}
    - Flatten: {name: left_features}
    - Rescaling: {scale: 0.0625, from: right}
    - eye
    - Flatten: {name: right_features}
    - Concatenate: {from: [left_features, right_features]}
    - Dense: {units: 16, activation: relu, name: trunk}
    - Dense: {units: $classes_digit, activation: softmax, name: digit}
    - Dense: {units: 1, activation: sigmoid, from: trunk, name: is_even}
  outputs:
    digit: {loss: sparse_categorical_crossentropy, metrics: [accuracy]}
    is_even: {loss: binary_crossentropy, metrics: [accuracy], weight: 0.5}
training: {optimizer: adam, epochs: 2, callbacks: [EarlyStopping: {monitor: val_digit_accuracy, patience: 3}]}
"""

TEXTS = """\
name: texts
data:
  source: {arrays: texts.npz}
  split: {validation: 0.2, test: 0.2}
  preprocessing: [TextVectorization: {max_tokens: 20, output_sequence_length: 6}]
model:
  layers: [Embedding: {input_dim: 20, output_dim: 8, mask_zero: true}, LSTM: 4, Dense: {units: 2, activation: softmax}]
training:
  optimizer: adam
  loss: categorical_crossentropy
  metrics: [accuracy, F1Score: {average: macro}]
  epochs: 2
  class_weights: {neg: 1.0, pos: 2.0}
"""

AUGMENTED = """\
name: augmented
data:
  source: digits
  split: {validation: 0.15, test: 0.2}
  preprocessing: [Rescaling: {scale: 0.0625}]
  augmentation: [RandomTranslation: {height_factor: 0.1, width_factor: 0.1, fill_mode: constant}, GaussianNoise: 0.1]
model:
  layers:
    - Conv2D: {filters: 8, kernel_size: 3, padding: same, kernel_initializer: he_normal}
    - repeat:
        times: 2
        layers: [Conv2D: {filters: 8, kernel_size: 3, padding: same, name: change}, Add: {from: [input, change]}]
    - BatchNormalization
    - GlobalAveragePooling2D
    - Dense: {units: $classes, activation: softmax}
training:
  optimizer: {AdamW: {learning_rate: {CosineDecay: {initial_learning_rate: 1e-3, decay_steps: 100}}}}
  no_weight_decay: [bias, BatchNormalization]
  loss: sparse_categorical_crossentropy
  epochs: 2
  rewrites: false
"""

PHASES = """\
name: phases
data: {source: digits, split: {validation: 0.15, test: 0.2, use: 0.1}}
model:
  layers:
    - Concatenate: {from: [input, input, input]}
    - Resizing: {height: 32, width: 32}
    - backbone: {MobileNetV2: {weights: null, trainable: false, pooling: avg, alpha: 0.35}}
    - Dense: {units: $classes, activation: softmax, name: classifier}
training:
  loss: sparse_categorical_crossentropy
  phases:
    - {epochs: 1, trainable: [classifier], optimizer: {Adam: {learning_rate: 1e-3}}}
    - {epochs: 1, trainable: ["block_16_*", classifier], optimizer: {Adam: {learning_rate: 1e-4}}}
"""

DENOISING = """\
name: denoising
data:
  source: digits
  target: input
  split: {validation: 0.15, test: 0.2}
  preprocessing: [Rescaling: {scale: 0.0625}]
  augmentation: [GaussianNoise: 0.3]
model:
  layers:
    - Conv2D: {filters: 8, kernel_size: 3, padding: same, activation: relu}
    - Conv2D: {filters: 1, kernel_size: 3, padding: same, activation: sigmoid}
training: {optimizer: adam, loss: mse, metrics: [mae], epochs: 2, precision: mixed_bfloat16, rewrites: false}
"""

PICTURES = """\
name: pictures
data:
  source: {images: {path: pictures/train, size: [12, 14], resize: crop}}
  test: {images: {path: pictures/test, resize: crop}}
  split: {validation: 0.2}
  preprocessing: [Normalization]
model: {layers: [Conv2D: {filters: 4, kernel_size: 3}, GlobalAveragePooling2D, Dense: {units: 3, activation: softmax}]}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 2, rewrites: false}
"""

MASKS = """\
name: masks
data:
  source: {images: {path: masked.zip, masks: masks, resize: pad, size: [14, 12], channels: 1, background: white}}
  split: {validation: 0.2, test: 0.2}
  preprocessing: [Rescaling: {scale: 0.004}]
model: {layers: [Conv2D: {filters: $classes, kernel_size: 1, activation: softmax}]}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 2, rewrites: false}
"""

PHOTOS = """\
name: photos
data:
  source: {csv: photos.csv}
  target: {y: number}
  inputs: {photo: {image: {size: [12, 14], channels: 4, folder: pictures, remove: old/}}, age: number}
  split: {validation: 0.2, test: 0.2}
model:
  layers:
    - Rescaling: {scale: 0.004, from: photo}
    - GlobalAveragePooling2D: {name: seen}
    - Concatenate: {from: [seen, age]}
    - Dense: 1
training: {optimizer: adam, loss: mse, metrics: [mae], epochs: 2}
"""

CLIPS = """\
name: clips
data:
  source: {audio: {path: clips.tar.gz, pattern: "{class}/{speaker}_{number}"}}
  split: {validation: 0.2, test: 0.2, group: speaker}
  preprocessing: [Reshape: {target_shape: [-1, 1]}]
model:
  layers: [Conv1D: {filters: 4, kernel_size: 9, strides: 4}, GlobalMaxPooling1D, Dense: {units: 2, activation: softmax}]
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 2, rewrites: false}
"""

LINES = """\
name: lines
data:
  source: {text: lines}
  split: {validation: 0.2, test: 0.2}
  preprocessing: [TextVectorization: {max_tokens: 20, output_sequence_length: 6}]
model:
  layers: [Embedding: {input_dim: 20, output_dim: 4}, GlobalAveragePooling1D, Dense: {units: 1, activation: sigmoid}]
training: {optimizer: adam, loss: binary_crossentropy, metrics: [accuracy], epochs: 2}
"""

SERIES = """\
name: series
data:
  source: {csv: series.csv}
  windows: {length: 5, target: [load, trend], horizon: [1, 3], key: site, order: when, stride: 2}
  inputs: {wind: {category: {embedding: 2}}, when: {date: {parts: [hour, weekday]}}}
  split: {validation: 0.2, test: 0.2}
model: {layers: [GRU: 4, Dense: 4]}
training: {optimizer: adam, loss: mse, metrics: [mae], epochs: 2}
"""

WINDS = """\
name: winds
data:
  source: {csv: series.csv}
  windows: {length: 5, target: wind, key: site, order: when}
  inputs: {when: ignore, site: ignore}
  split: {validation: 0.2, test: 0.2}
model: {layers: [Flatten, Dense: {units: 2, activation: softmax}]}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 2}
"""

CASES = {
    "digits": DIGITS,
    "table": TABLE,
    "typed": TYPED,
    "boolean": BOOLEAN,
    "labels": LABELS,
    "halves": HALVES,
    "texts": TEXTS,
    "augmented": AUGMENTED,
    "phases": PHASES,
    "denoising": DENOISING,
    "pictures": PICTURES,
    "masks": MASKS,
    "photos": PHOTOS,
    "clips": CLIPS,
    "lines": LINES,
    "series": SERIES,
    "winds": WINDS,
}


def write_data(folder: Path, rows: int = 200) -> None:
    """Write the tables and arrays of the cases."""
    import pyarrow as pa
    from pyarrow import parquet

    random = np.random.default_rng(0)
    words = ["good", "bad", "fine", "awful", "nice", "terrible", "film", "plot"]
    notes = [" ".join(random.choice(words, 6)) for _ in range(rows)]
    a, b = random.normal(size=rows).round(3), np.exp(random.normal(size=rows)).round(3)
    columns: dict[str, list[Any]] = {
        "a": ["?" if row % 17 == 0 else str(each) for row, each in enumerate(a)],
        "b": [str(each).replace(".", ",") for each in b],
        "c": random.integers(0, 50, rows).tolist(),
        "d/e": ["" if row % 23 == 0 else str(round(each, 2)) for row, each in enumerate(random.normal(size=rows))],
        "city": random.choice(
            ["Rome", "rome", "Oslo", "Lima", "Bern", ""], rows, p=[0.3, 0.1, 0.3, 0.2, 0.05, 0.05]
        ).tolist(),
        "kind": random.choice(["x", "y", ""], rows, p=[0.5, 0.4, 0.1]).tolist(),
        "ok": random.choice(["yes", "No", ""], rows, p=[0.6, 0.3, 0.1]).tolist(),
        "day": [f"{1 + row % 28:02}.{1 + row % 12:02}.20{10 + row % 15}" for row in range(rows)],
        "note": notes,
        "w": random.uniform(0.5, 2, rows).round(2).tolist(),
        "y": np.where(a + np.log(b) > 0, "up", random.choice(["down", "dn"], rows)).tolist(),
        "tags": ["|".join(sorted({*random.choice(["red", "green", "blue"], 2)})) for _ in range(rows)],
    }
    lines = [";".join(columns), *(";".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    (folder / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    typed = {"a": a, "b": b, "c": columns["c"], "city": columns["city"], "ok": [row % 3 == 0 for row in range(rows)]}
    parquet.write_table(pa.table(typed), folder / "table.parquet")
    labels = np.array(["pos" if "good" in note else "neg" for note in notes])
    np.savez(folder / "texts.npz", x=np.array(notes), y=labels)
    left, right = random.integers(0, 17, (2, rows, 8, 4, 1)).astype(np.uint8)
    digit = np.arange(rows) % 10
    np.savez(folder / "halves.npz", left=left, right=right, digit=digit, even=digit % 2)


NAMES = ('"""', "line\nevil()", "a, 'b'", "back\\slash", "carriage\rreturn")
"""Names of images that a script must not take for code."""


def write_files(folder: Path) -> None:
    """Write the images, audio clips, texts and series of the cases."""
    names = []
    for name in NAMES:
        (folder / "pictures/train/a").mkdir(parents=True, exist_ok=True)
        (folder / f"pictures/train/a/{name}.jpg").write_bytes(encoded(pixels(16, 20, seed=len(name))))
    for number in range(30):
        values = pixels(15 + number % 2, 20, 3, seed=number)
        deep, palette = values[..., 0].astype(np.uint16) * 257, Image.fromarray(values).convert("P")
        large, turned = Image.fromarray(values).resize((90, 80)), Image.Exif()
        turned[274] = 6
        kinds = [encoded(values), encoded(np.dstack([values, values[..., :1]])), encoded(deep), encoded(palette)]
        kinds += [encoded(large, "JPEG"), encoded(Image.fromarray(values).convert("CMYK"), "JPEG", exif=turned)]
        # The names say nothing of the contents.
        names.append(f"{'train' if number < 24 else 'test'}/{'abc'[number % 3]}/{number}.jpg")
        path, content = folder / "pictures" / names[-1], kinds[number % len(kinds)]
        for each, written in ((path, content), (folder / f"masked/images/{number}.png", encoded(values))):
            each.parent.mkdir(parents=True, exist_ok=True)
            each.write_bytes(written)
        (folder / "masked/masks").mkdir(exist_ok=True)
        classes = (values[..., 0] > 128) * 2 + (values[..., 1] > 128) * 5
        (folder / f"masked/masks/{number}.png").write_bytes(encoded(classes.astype(np.uint8)))
        wave = np.sin(np.arange(600 + number) * (1 + number % 2) / 5)
        clip = folder / f"clips/{'lr'[number % 2]}/{'uvwxyz'[number % 6]}_{number}.wav"
        clip.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(clip, np.stack([wave, wave / 2], axis=1), 8000 if number % 5 else 11025)
    shutil.make_archive(str(folder / "masked"), "zip", folder / "masked")
    shutil.make_archive(str(folder / "clips"), "gztar", folder / "clips")
    rows = ["photo,age,y", *(f"old/{name},{row % 9},{row % 4}" for row, name in enumerate(names))]
    (folder / "photos.csv").write_text("\n".join(rows))
    (folder / "lines").mkdir()
    for name in ("neg", "pos"):
        texts = "\r\n".join(
            "" if row % 9 == 0 else f"a {name if row % 4 else 'plain'} film\x0b{row}" for row in range(40)
        )
        (folder / f"lines/rt-polarity.{name}").write_text("\ufeff" + texts, encoding="utf-8", newline="")
    random = np.random.default_rng(0)
    hours = [(site, hour) for site in "ba" for hour in range(90) if site == "b" or hour not in (40, 41)]
    lines = [
        f"{site},2024-01-{1 + hour // 24:02} {hour % 24:02}:00,{'' if hour % 31 == 7 else f'{np.sin(hour / 4):.3f}'},"
        f"{'NS'[hour % 3 % 2]},{hour / 10}"
        for site, hour in random.permutation(np.array(hours, object))
    ]
    (folder / "series.csv").write_text("\n".join(["site,when,load,wind,trend", *lines]))


def ejected_run(folder: Path, name: str) -> EjectedRun:
    """Return a run of a case that has not been trained."""
    (folder / f"{name}.yaml").write_text(CASES[name], encoding="utf-8")
    document = read_document(folder / f"{name}.yaml")
    config, _ = checked_config(document)
    dataset = load_data(config.data, config.seed)
    config = dataset.in_force(checked_with(document, dataset.facts))
    built = new_experiment(config, dataset).built
    compile_core(built, config, example_targets(built, dataset.facts))
    strategy = StrategyRecord(jit_compile=False, rewrites=False, why={})
    pinned = {"intra_op_threads": 2, "inter_op_threads": 2, "onednn": True}
    record = RunRecord(strategy=strategy, pinned=pinned)
    run = Run(folder / "runs" / name / "0001")
    run.path.mkdir(parents=True, exist_ok=True)
    np.savez(run.split, train=dataset.split.train, validation=dataset.split.validation, test=dataset.split.test)
    is_listed = config.data.windows is not None or config.data.source.name in FOLDER_SOURCES
    parts = load_sources(config.data).parts if is_listed else {}
    return EjectedRun(run, record, config, dataset.facts, built, parts)
