"""Small configs, data and trainings."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.data.dataset import Dataset
from dltool.data.examples import Examples
from dltool.data.facts import Facts, InputFacts
from dltool.data.split.at_random import Split
from dltool.model.build import BuiltModel, build_model
from dltool.training.fit import FitResult, fit, prepare_fit
from dltool.training.loop import Pace
from dltool.training.state import EpochRecord, TrainingState

PLAIN: dict[str, Any] = {
    "name": "small",
    "seed": 7,
    "data": {"source": "digits"},
    "model": {
        "layers": [{"Dense": {"units": 8, "activation": "relu"}}, {"Dense": {"units": 3, "activation": "softmax"}}]
    },
    "training": {
        "optimizer": "adam",
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
        "batch_size": 16,
        "epochs": 2,
    },
}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(base)
    for key, value in changes.items():
        result[key] = (
            merged(result[key], value) if isinstance(value, dict) and key in ("data", "model", "training") else value
        )
    return result


@pytest.fixture(scope="module")
def make_config() -> Callable[..., Config]:
    """A config of three classes from four numbers; arguments replace keys of its sections."""

    def make(**changes: Any) -> Config:
        return Config.model_validate(merged(PLAIN, changes))

    return make


def dataset_of(inputs: np.ndarray, targets: np.ndarray, split: Split, classes: int = 3) -> Dataset:
    target = TargetFacts("category" if classes else "number", targets.shape[1:], tuple("abcdefghij"[:classes]))
    facts = Facts(
        inputs={"input": InputFacts(inputs.shape[1:], str(inputs.dtype))},
        targets={"target": target},
        examples=len(split.train),
        validation_examples=len(split.validation),
        test_examples=len(split.test),
    )
    return Dataset(Examples({"input": inputs}, {"target": targets}), split, facts)


def blobs(rows: int = 118, width: int = 4) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 3, rows).astype(np.int32)
    inputs = generator.normal(size=(rows, width)) + 2 * np.eye(3, width)[targets]
    return inputs.astype(np.float32), targets


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """90 training rows (so that the last batch of 16 is smaller), 20 for validation, 8 for the test."""
    rows = np.random.default_rng(1).permutation(118)
    return dataset_of(*blobs(), Split(np.sort(rows[:90]), np.sort(rows[90:110]), np.sort(rows[110:])))


@dataclass
class Recorder:
    """Listens to a training and keeps what it saves."""

    records: list[EpochRecord] = field(default_factory=list)
    states: list[TrainingState] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    best: list[list[np.ndarray]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def epoch_begins(self, epoch: int, epochs: int, steps: int) -> None:
        self.events.append(f"epoch {epoch}/{epochs} of {steps} steps")

    def steps_done(self, step: int, logs: dict[str, float]) -> None:
        self.steps.append(step)

    def validation_begins(self) -> None:
        self.events.append("validation")

    def epoch_ends(self, record: EpochRecord, is_best: bool) -> None:
        self.records.append(record)
        self.events.append(f"end, best: {is_best}")


@dataclass
class Trained:
    built: BuiltModel
    recorder: Recorder
    result: FitResult | None

    @property
    def weights(self) -> list[np.ndarray]:
        return [np.asarray(weight) for weight in self.built.core.get_weights()]


@pytest.fixture(scope="module")
def train() -> Callable[..., Trained]:
    """Build and fit in one call. `pace` fixes the steps of a compiled call; the rest is as in `fit`."""

    def run(config: Config, dataset: Dataset, pace: int = 4, **options: Any) -> Trained:
        recorder = options.pop("recorder", Recorder())
        built = build_model(config, dataset.facts, dataset.examples("train").inputs)
        result = fit(
            prepare_fit(built, config, dataset, pace=Pace(pace, is_fixed=True)),
            observer=recorder,
            save_state=lambda step, arrays, state: recorder.states.append(TrainingState(arrays, state)),
            save_best=lambda core: recorder.best.append(core.get_weights()),
            **options,
        )
        return Trained(built, recorder, result)

    return run


@pytest.fixture(scope="module")
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture(scope="module")
def images() -> Dataset:
    """As `dataset`, but with images of 6 x 6 x 1 floats."""
    inputs, targets = blobs(width=36)
    rows = np.random.default_rng(1).permutation(118)
    return dataset_of(
        inputs.reshape(-1, 6, 6, 1), targets, Split(np.sort(rows[:90]), np.sort(rows[90:110]), np.sort(rows[110:]))
    )


@pytest.fixture(scope="module")
def make_dataset() -> Callable[..., Dataset]:
    return dataset_of
