"""Masks of examples, true and predicted, for a report."""

from collections.abc import Iterator, Mapping

import numpy as np

from dltool.config.checks import target_of
from dltool.config.schema import Config
from dltool.data.dataset import Dataset
from dltool.model.build import BuiltModel
from dltool.training.batches import tensor
from dltool.training.state import evaluating


def mask_views(
    config: Config, dataset: Dataset, built: BuiltModel, rows: np.ndarray, prepared: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, np.ndarray, int]]:
    """Yield a title, class indices (rows, height, width), and the last class, for each target that is a class for each
    pixel, and for its prediction by a model that the run trained itself. `prepared` are the preprocessed inputs of
    these rows."""
    targets = [(head, target_of(head, dataset.facts.targets)) for head in built.heads]
    masks = [(head, target) for head, target in targets if target and target.task.is_index and len(target.shape) == 2]
    if not masks:
        return
    given = {name: tensor(values) for name, values in prepared.items()}
    with evaluating(built.core, config.seed):
        outputs = built.core(built.structured(given), training=False)
    for head, target in masks:
        values = np.asarray(outputs[head.name] if isinstance(outputs, dict) else outputs)
        last = len(target.class_names) - 1
        yield "mask", dataset.targets[head.target][rows], last
        if config.data.is_refit and values.shape[-1] == last + 1:
            yield "predicted mask", values.argmax(axis=-1), last
