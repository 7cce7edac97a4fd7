"""One worker of a cluster that trains several small configs one after the other: for tests.

    python -m tests.training.worker_suite FOLDER ADDRESSES RANK

writes `FOLDER/RANK.json`: of each case its history, digests of what all workers have alike, and the error if there was
one. The chief also writes the weights."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tests.training.conftest import PLAIN, Recorder, blobs, dataset_of, merged
from tests.training.test_outputs import LAYERS as OUTPUT_LAYERS
from tests.training.test_outputs import OUTPUTS, SOURCE, two_targets

from dltool.config.cluster import cluster_of
from dltool.config.schema import Config
from dltool.data.dataset import Dataset
from dltool.data.split.at_random import Split
from dltool.errors import DltoolError
from dltool.meeting import meeting_of

LAYERS = [{"Dense": {"units": 8, "activation": "relu"}}, {"Dense": {"units": 3, "activation": "softmax"}}]
CLIPPED = {"Adam": {"learning_rate": 0.01, "global_clipnorm": 0.1, "weight_decay": 0.01}}
NOISY = [
    {"Dense": {"units": 8, "kernel_regularizer": {"L2": 0.01}}},
    "BatchNormalization",
    {"Dropout": 0.3},
    LAYERS[-1],
]
IMAGES = [{"Conv2D": {"filters": 4, "kernel_size": 3}}, "BatchNormalization", "Flatten", LAYERS[-1]]
PLATEAU = {"ReduceLROnPlateau": {"patience": 0, "factor": 0.5, "monitor": "val_loss"}}
SLOWER = {"PolynomialDecay": {"initial_learning_rate": 0.05, "decay_steps": 40}}
TRAINING: dict[str, dict[str, Any]] = {
    # 89 rows: batches of 6 and 5 rows, of 12 and 5 rows, or of 84 and 5.
    "plain": {"batch_size": 6, "epochs": 5},
    "clipped": {"batch_size": 12, "optimizer": CLIPPED, "callbacks": [PLATEAU], "class_weights": "balanced"},
    "averaged": {
        "batch_size": 12,
        "optimizer": {"SGD": {"learning_rate": SLOWER, "momentum": 0.9, "use_ema": True, "ema_momentum": 0.9}},
    },
    "accumulated": {"batch_size": 6, "optimizer": {"Adam": {"gradient_accumulation_steps": 4}}},
    "few in the last batch": {"batch_size": 84},
    "fewer than workers": {"batch_size": 12},
    "double": {"batch_size": 12, "precision": "float64"},
    "half": {"batch_size": 12, "precision": "mixed_float16", "optimizer": {"SGD": {"loss_scale_factor": 128.0}}},
    "phases": {
        "batch_size": 12,
        "optimizer": None,
        "epochs": None,
        "phases": [{"epochs": 1, "optimizer": "sgd", "trainable": ["dense_1"]}, {"epochs": 1, "optimizer": "adam"}],
    },
}
COMPARABLE = [*(name for name in TRAINING if name not in ("double", "half")), "embedded", "two outputs"]
"""Cases that a process alone trains to the same weights, but for rounding."""
EMBEDDED = [{"Embedding": {"input_dim": 20, "output_dim": 4}}, "GlobalAveragePooling1D", LAYERS[-1]]
FEATURES = {"Dense": {"units": 8, "from": "left", "name": "features"}}
TWO_OUTPUTS = {
    "data": {"source": SOURCE},
    "model": {"layers": [FEATURES, *OUTPUT_LAYERS[2:]], "outputs": OUTPUTS},
    "training": {"batch_size": 12, "loss": None, "metrics": []},
}
MODELS: dict[str, dict[str, Any]] = {
    # In one process, Adam squares the gradients of a token that is several times in a batch one by one.
    "embedded": {"model": {"layers": EMBEDDED}, "training": {"batch_size": 12, "optimizer": {"SGD": 0.5}}},
    "two outputs": TWO_OUTPUTS,
    "streamed": {"training": TRAINING["plain"]},
}
OTHERS: dict[str, dict[str, Any]] = {
    "noisy": {"model": {"layers": NOISY}, "training": {"batch_size": 12, "epochs": 3, "optimizer": {"SGD": 0.1}}},
    "images": {
        "model": {"layers": IMAGES},
        "data": {"augmentation": [{"RandomFlip": "horizontal"}, {"MixUp": 0.3}]},
        "training": {"batch_size": 12, "loss": "categorical_crossentropy"},
    },
    "diverged": {"training": {"batch_size": 12, "epochs": 3, "optimizer": {"SGD": 1e30}}},
}
OF_THREE = ("fewer than workers", "noisy")
"""The cases that three workers train; two train all."""
CASES = {**{name: {"training": changes} for name, changes in TRAINING.items()}, **MODELS, **OTHERS}


def cases_of(size: int) -> tuple[str, ...]:
    return OF_THREE if size == 3 else tuple(CASES)


def split(name: str) -> Split:
    rows, end = np.random.default_rng(1).permutation(118), 85 if name == "fewer than workers" else 89
    return Split(np.sort(rows[:end]), np.sort(rows[end:110]), np.sort(rows[110:]))


def dataset_for(name: str) -> Dataset:
    if name == "two outputs":
        return two_targets()
    if name == "embedded":
        return dataset_of(np.random.default_rng(2).integers(0, 20, (118, 5)).astype(np.int32), blobs()[1], split(name))
    inputs, targets = blobs(width=36 if name == "images" else 4)
    return dataset_of(inputs.reshape(-1, 6, 6, 1) if name == "images" else inputs, targets, split(name))


def config_for(name: str) -> Config:
    return Config.model_validate(merged(PLAIN, CASES[name]))


def trained(meeting: Any, name: str, pace: int, start: Any = None) -> tuple[dict[str, Any], Any, list[Any]]:
    from dltool.experiment.joining import joined
    from dltool.model.build import build_model
    from dltool.training.fit import fit
    from dltool.training.loop import Pace
    from dltool.training.numerics import pin
    from dltool.training.state import TrainingState, capture
    from dltool.training.worker_fit import digests

    meeting.needs_all = True
    config, dataset, recorder = config_for(name), dataset_for(name), Recorder()
    prepare = joined(meeting, config, dataset, pin(config.seed, 1))
    assert prepare is not None
    if name == "streamed":
        prepare.args[0].memory = 1  # type: ignore[attr-defined]
    built = build_model(config, dataset.facts, dataset.examples("train").inputs)
    fitting = prepare(built, config, dataset, pace=Pace(pace, is_fixed=True))
    error = ""
    try:
        fit(
            fitting,
            observer=recorder,
            save_state=lambda step, arrays, state: recorder.states.append(TrainingState(arrays, state)),
            save_best=lambda core: None,
            start=start,
        )
    except DltoolError as failure:
        error = str(failure)
    history = [record.logs for record in recorder.records]
    found = digests(capture(built, fitting.recovery.callbacks))
    return {"history": history, "digests": found, "error": error}, built, recorder.states


def main(folder: Path, addresses: str, rank: int) -> None:
    import tensorflow as tf

    from dltool.meeting import listener
    from dltool.training import team

    # A process joins once, and then its port is in use.
    vars(team)["listener"] = once(listener)
    tf.distribute.MultiWorkerMirroredStrategy = once(tf.distribute.MultiWorkerMirroredStrategy)
    sizes = counted_sums()
    cluster = cluster_of(addresses, rank, {})
    assert cluster is not None
    results: dict[str, Any] = {}
    with meeting_of(cluster, 60) as meeting:
        for name in cases_of(cluster.size):
            results[name], built, states = trained(meeting, name, 4)
            results[name]["numbers"] = sorted(set(sizes))
            sizes.clear()
            if rank == 0:
                np.savez(folder / f"{name}.npz", *built.core.get_weights())
            if name == "noisy":
                seeds = {
                    k: v.tolist() for k, v in (states[-1].arrays if rank == 0 else ()) if k.startswith("workers/core/")
                }
                results["seeds"] = {k: v for k, v in seeds.items() if k.endswith("seed_generator_state")}
                if cluster.size == 2:
                    results["at another pace"], *_ = trained(meeting, name, 7)
                middle = states[1] if rank == 0 else None
                results["resumed"], *_ = trained(meeting, name, 5, middle)
        if rank:
            meeting.wait_for_end()
    (folder / f"{rank}.json").write_text(json.dumps(results))


def counted_sums() -> list[int]:
    """Return a list that gets how many numbers each sum that is compiled from now on has."""
    from dltool.training import team

    sizes, original = list[int](), team.sum_of_all

    def counting(vector: Any) -> Any:
        sizes.append(vector.shape[0])
        return original(vector)

    team.sum_of_all = counting
    return sizes


def once(make: Any) -> Any:
    made: list[Any] = []

    def first(*arguments: Any, **named: Any) -> Any:
        if not made:
            made.append(make(*arguments, **named))
        return made[0]

    return first


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
