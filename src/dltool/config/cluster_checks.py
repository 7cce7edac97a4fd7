"""What several workers cannot train together."""

from collections.abc import Iterator
from typing import Any

from dltool.config.keras.objects import UNKNOWN, keras_objects_in
from dltool.config.losses import EMBEDDINGS, OVERLAP, family_of
from dltool.config.outputs import heads_of
from dltool.config.schema import Config
from dltool.errors import ConfigPath, Problem
from dltool.keras_names import find
from dltool.text import counted

MEANS = ("sum_over_batch_size", "mean")
ALONE = "remove it, or train in one process: without --workers, --cluster and TF_CONFIG"
WRITING = ("BackupAndRestore", "CSVLogger", "ModelCheckpoint", "RemoteMonitor", "TensorBoard")
"""Callbacks that write, which each worker would do."""


def cluster_problems(config: Config, workers: int) -> list[Problem]:
    """Return what keeps so many workers from training the config. `batch_size` is that of all of them together. Each
    fold and seed is trained by one of them alone."""
    if config.has_parts:
        return []
    return [*training_refusals(config, workers), *object_refusals(config), *loss_refusals(config)]


def training_refusals(config: Config, workers: int) -> Iterator[Problem]:
    training = config.training
    size: Any = training.batch_size
    if size is not UNKNOWN and size % workers:
        least = size // workers * workers
        fitting = [str(each) for each in (least, least + workers) if each]
        message = f"{counted(size, 'example')} cannot be shared by {workers} workers"
        yield Problem(("training", "batch_size"), message, f"batch_size: {' or '.join(fitting)}")
    alone: list[tuple[ConfigPath, bool, str]] = [
        (("training", "privacy"), training.privacy is not None, "private training has one process"),
        (("training", "teacher"), training.teacher is not None, "a teacher teaches in one process"),
        (("training", "jit_compile"), training.jit_compile is True, "XLA does not reach other workers"),
    ]
    for place, is_there, message in alone:
        if is_there:
            yield Problem(place, message, ALONE, at_key=True)


def object_refusals(config: Config) -> Iterator[Problem]:
    """Find layers and callbacks that do not know of other workers."""
    sections: list[tuple[object, ConfigPath]] = [
        (config.data.augmentation, ("data", "augmentation")),
        (config.model.layers, ("model", "layers")),
        (config.training.callbacks, ("training", "callbacks")),
        *((head.loss, head.loss_place) for head in heads_of(config)),
        *((head.metrics, head.metrics_place) for head in heads_of(config)),
    ]
    for place, entry in (each for section in sections for each in keras_objects_in(*section)):
        known = find(entry.kind, entry.name)
        if known is not None and known.code is not None:
            message = f"{entry.name} is code of your own, which may depend on the whole batch"
            yield Problem(place, message, "use Keras's, or train in one process")
        elif entry.arguments.get("synchronized") is True:
            message = "each worker normalizes its own examples of a batch"
            hint = "remove it; for few examples a worker, use GroupNormalization or a larger batch_size"
            yield Problem((*place, "synchronized"), message, hint, at_key=True)
        elif entry.kind == "callback" and entry.name in WRITING:
            hint = "remove it; track: [tensorboard] and the run itself record the epochs"
            yield Problem(place, f"{entry.name} would write from every worker", hint)


def loss_refusals(config: Config) -> Iterator[Problem]:
    """Find losses that are no mean over the examples of a batch, as a worker has a share of them only."""
    for head in heads_of(config):
        if family_of(head.loss) in (EMBEDDINGS, OVERLAP):
            message = f"{head.loss.name} compares all examples of a batch, and a worker has a share of them"
            yield Problem(head.loss_place, message, "a loss of single examples, or one process")
        elif head.loss.arguments.get("reduction", MEANS[0]) not in MEANS:
            message = "several workers take the mean over the examples of a batch"
            yield Problem((*head.loss_place, head.loss.name, "reduction"), message, "remove it")
