"""How much each example counts in the losses: by its weight in the data, and in training by the weight of its class."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from dltool.config.outputs import OutputSpec
from dltool.config.tasks import TargetFacts
from dltool.data.dataset import Dataset
from dltool.errors import ConfigError, Problem
from dltool.model.build import BuiltModel
from dltool.text import listed
from dltool.training.compile import loss_functions, specs_of


@dataclass(frozen=True)
class Weighting:
    """The weights of examples, as Keras's `sample_weight`.

    `axes` are the axes of the values of each loss, by output, `by_class` weights (classes,) of float32."""

    built: BuiltModel
    axes: Mapping[str, int]
    by_class: Mapping[str, Any]

    def of_batch(self, targets: Any, weights: Any) -> Any:
        """Return the weights of a batch in the structure of the outputs, (batch, 1, …) with the axes of the loss; None
        for an output whose examples count the same. `weights` (batch,) are those of the data, or None."""
        found = {}
        for head in self.built.heads:
            each, classes = weights, self.by_class.get(head.name)
            if classes is not None:
                own = class_weights_of(classes, targets[head.name] if isinstance(targets, dict) else targets)
                each = own if weights is None else own * weights
            # Keras would compare weights (batch,) with the last axis of the values of a loss.
            found[head.name] = None if each is None else tf.reshape(each, [-1, *(1,) * (self.axes[head.name] - 1)])
        return self.built.structured_outputs(found)


def class_weights_of(weights: Any, targets: Any) -> Any:
    """Return weights (batch,) by the classes' `weights`; for one-hot and mixed targets, by the share of each class."""
    if targets.dtype.is_floating:
        return tf.linalg.matvec(targets, weights)
    return tf.gather(weights, tf.reshape(targets, [-1]))


def made_weighting(
    built: BuiltModel, targets: Mapping[str, np.ndarray], has_weights: bool, by_class: Mapping[str, Any] | None = None
) -> Weighting | None:
    """Return how examples count, None if all do the same. Of `targets`, by output, only shape and dtype matter.

    Raises ConfigError: a loss has one value for all examples of a batch, which cannot be weighted."""
    by_class = by_class or {}
    heads = [head for head in built.heads if has_weights or head.name in by_class]
    axes = {head.name: loss_axes(built, head, targets) for head in heads}
    message = "this loss is one number for all examples of a batch, which weights cannot change"
    ConfigError.refuse(
        Problem(head.loss_place, message, f"remove {'data.weights' if has_weights else 'class_weights'}")
        for head in heads
        if not axes[head.name]
    )
    return Weighting(built, axes, by_class) if heads else None


def loss_axes(built: BuiltModel, head: OutputSpec, targets: Mapping[str, np.ndarray]) -> int:
    """Return the number of axes of the values of a loss: 1 for one of each example."""
    loss = loss_functions(built)[head.name]

    def values(target: Any, output: Any) -> Any:
        # As Keras's losses do before the call.
        return loss.call(tf.cast(target, tf.float32), tf.cast(output, tf.float32))

    traced = tf.function(values, autograph=False).get_concrete_function(*specs_of(built, head, targets))
    return int(traced.structured_outputs.shape.rank)


def by_class(built: BuiltModel, dataset: Dataset) -> dict[str, Any]:
    """Return the class weights of each output that has some, (classes,) of float32. Raises ConfigError as
    :func:`class_weights`."""
    found = {}
    for head in built.heads:
        if head.class_weights is not None and head.target is not None:
            target = dataset.facts.targets[head.target]
            counts = None if dataset.stream is None else dataset.stream.class_counts[head.target]
            if counts is None and head.class_weights == "balanced":
                train = dataset.targets[head.target][dataset.split.train]
                counts = np.bincount(train, minlength=len(target.class_names))
            found[head.name] = tf.constant(class_weights(head, target, counts))
    return found


def class_weights(head: OutputSpec, target: TargetFacts, counts: np.ndarray | None) -> np.ndarray:
    """Return the weight of each class of an output as float32, (classes,).

    `balanced` is examples / (classes * examples of the class) by `counts`, the training examples of each class (as in
    scikit-learn; King and Zeng, Logistic Regression in Rare Events Data, 2001). A class without examples gets 0.

    Raises ConfigError: the named classes are not those of the data."""
    weights, place, names = head.class_weights, head.class_weights_place, target.class_names
    if weights == "balanced":
        assert counts is not None
        balanced = counts.sum() / (len(names) * np.maximum(counts, 1))
        return np.where(counts > 0, balanced, 0).astype(np.float32)
    assert isinstance(weights, Mapping)
    unknown = [name for name in weights if name not in names]
    missing = [name for name in names if name not in weights]
    hint = f"the classes are {listed(names, 10)}"
    problems = [Problem((*place, name), "no such class", hint, at_key=True) for name in unknown]
    if missing:
        problems.append(Problem(place, f"no weight for {', '.join(missing[:10])}", "name every class, or use balanced"))
    ConfigError.refuse(problems)
    return np.array([weights[name] for name in names], dtype=np.float32)
