"""Every layer of Keras in a training to its end: trained, tested and examined, or refused in plain words."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.model.test_every_layer import CELLS, LEARN, SHAPES, entry_of

from dltool import keras_names
from dltool.config.checks import MIXING

pytestmark = pytest.mark.slow
ROWS = 40
OTHERS = {
    # Its batches are of the new size in training alone.
    "RandomCrop": {"RandomCrop": {"height": 8, "width": 8}},
    # Its default is more than the clip.
    "MelSpectrogram": {"MelSpectrogram": {"fft_length": 32, "sequence_stride": 16, "num_mel_bins": 4}},
    "TextVectorization": {"TextVectorization": {"output_sequence_length": 4}},
}
HEAD: list[Any] = ["Flatten", {"Dense": {"units": 3, "activation": "softmax"}}]


def write_example(folder: Path, name: str, shape: tuple[int, ...], dtype: str, sources: int) -> None:
    random = np.random.default_rng(0)
    numbers = random.integers(0, 5, (ROWS, *shape))
    inputs = np.array(list("abcde"))[numbers] if dtype == "string" else numbers.astype(dtype)
    np.savez(folder / "own.npz", x=inputs, y=np.arange(ROWS) % 3)
    data: dict[str, Any] = {"source": {"arrays": "own.npz"}, "split": {"validation": 0.2, "test": 0.2}}
    layers, entry, loss = HEAD, OTHERS.get(name, entry_of(name, sources)), "sparse_categorical_crossentropy"
    if name in LEARN:
        data["preprocessing"] = [entry]
    elif name in MIXING:
        data["augmentation"], loss = [entry], "categorical_crossentropy"
    elif name in CELLS:
        layers = [{"RNN": {"cell": entry}}, *HEAD]
    else:
        layers = [{"Pipeline": [name]} if name == "Equalization" else entry, *HEAD]
    training = {"optimizer": "adam", "loss": loss, "metrics": ["accuracy"], "batch_size": 9, "epochs": 1}
    config = {"name": "layer", "data": data, "model": {"layers": layers}, "training": training}
    (folder / "layer.yaml").write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize("name", [n for n in keras_names.names("layer") if n not in keras_names.OWN["layer"]])
def test_a_layer_trains_or_says_what_does_not_fit(name, dltool, tmp_path) -> None:
    said = ""
    for shape, dtype in SHAPES:
        for sources in (1, 2):
            write_example(tmp_path, name, shape, dtype, sources)
            outcome = dltool("train", tmp_path / "layer.yaml", "--runs", tmp_path / "runs")
            assert outcome.code in (0, 2, 3), outcome.stderr
            if outcome.code == 0:
                return
            said += outcome.stderr
    pytest.fail(said)
