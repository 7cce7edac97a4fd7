"""Images and audio clips of a folder or zip, shuffled within windows of files that follow each other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from tests.data.hostile_archives import write_zip
from tests.data.pictures import class_folders
from tests.wav_files import sound

from dltool.config.schema import Config
from dltool.data.arrays import shard_order
from dltool.data.dataset import load_data
from dltool.errors import Problem
from dltool.model.build import build_model
from dltool.training.steps import Steps, epoch_order

FILES = class_folders(3, 20)
CLIPS = {
    f"{'ab'[number % 2]}/{number}.wav": sound(np.random.default_rng(number).uniform(-1, 1, 80)) for number in range(60)
}


def folder_of(folder: Path, files: dict[str, bytes]) -> dict[str, Any]:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return {"path": str(folder)}


def image_folder(folder: Path) -> dict[str, Any]:
    return {"images": folder_of(folder / "images", FILES)}


def image_zip(folder: Path) -> dict[str, Any]:
    return {"images": {"path": str(write_zip(folder / "images.zip", FILES))}}


def audio_folder(folder: Path) -> dict[str, Any]:
    return {"audio": folder_of(folder / "clips", CLIPS)}


def audio_zip(folder: Path) -> dict[str, Any]:
    return {"audio": {"path": str(write_zip(folder / "clips.zip", CLIPS))}}


def made(source: dict[str, Any], window: int) -> Config:
    data = {"source": source, "shuffle": {"window": window}, "cache": "off", "split": {"test": 0.1}}
    layers = ["Flatten", {"Dense": {"units": 3, "activation": "softmax"}}]
    training = {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", "batch_size": 8, "epochs": 1}
    return Config.model_validate(
        {"name": "x", "seed": 3, "data": data, "model": {"layers": layers}, "training": training}
    )


@pytest.mark.parametrize("write", [image_folder, image_zip, audio_folder, audio_zip])
def test_files_are_shuffled_within_windows_of_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], dict[str, Any]]
) -> None:
    monkeypatch.setattr(shard_order, "FILES_PER_SHARD", 5)
    monkeypatch.setenv("DLTOOL_CACHE", str(tmp_path / "cache"))
    orders, source = {}, write(tmp_path)
    for window in (4, 100):
        config = made(source, window)
        dataset = load_data(config.data, config.seed)
        assert dataset.facts.shuffled == min(54, 5 * window)
        assert f"shuffled in windows of {min(54, 5 * window)} rows" in dataset.facts.in_words
        config = dataset.in_force(config)
        steps = Steps(build_model(config, dataset.facts), config, dataset, None, None)
        orders[window] = [np.searchsorted(dataset.split.train, np.asarray(steps.order(epoch)[:])) for epoch in (0, 1)]
    np.testing.assert_array_equal(orders[100][1], epoch_order(3, 1, 54))
    for order in orders[4]:
        assert sorted(order.tolist()) == list(range(54))
        # A batch of 8 takes 2 rows from each of four shards of 5, until the shard ends.
        steps_of_shard = [np.flatnonzero(order[:48] // 5 == shard) // 8 for shard in range(11)]
        assert max(np.ptp(each) for each in steps_of_shard if len(each)) <= 3
    assert orders[4][0].tolist() != orders[4][1].tolist()


def test_texts_are_in_memory_and_not_shuffled_in_windows() -> None:
    with pytest.raises(ValidationError) as refused:
        made({"text": "texts"}, 4)
    problem: Problem = refused.value.errors()[0]["ctx"]["problems"][0]
    assert problem.message == "text cannot be read in shards"
    assert problem.hint == "remove it: texts are in memory, and all rows are shuffled together"
