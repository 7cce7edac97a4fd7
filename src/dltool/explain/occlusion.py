"""Occlusion: how much the score falls if a part of an example is blanked, and Grad-CAM.

Sources: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2013,
https://arxiv.org/abs/1311.2901; Selvaraju et al., "Grad-CAM", 2016, https://arxiv.org/abs/1610.02391."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.explain.proofs import Places
from dltool.explain.scores import Scores, nodes_of

CELLS = {1: 64, 2: 8}
"""The most parts of an axis that are blanked one at a time, by the number of axes; of large images one less."""
LARGE = 32


def occlusion(places: Places) -> np.ndarray:
    """Return how much the score falls without each part, spread evenly over its places, (rows, places)."""
    whole = places.ends[1]
    values = np.zeros(places.valid.shape, np.float32)
    parts, rows = [], len(places.valid)
    for name, shape in places.shapes.items():
        for part in parts_of(shape or (1,)):
            parts.append(np.zeros(places.valid.shape[1], bool))
            parts[-1][places.spans[name]] = part
    # Of few examples, a batch holds several parts.
    size = max(1, places.scores.size // rows)
    for first in range(0, len(parts), size):
        some = parts[first : first + size]
        repeated = places if len(some) == 1 else places.take(np.tile(np.arange(rows), len(some)))
        scores = repeated.score(np.repeat(~np.stack(some), rows, axis=0)).reshape(len(some), rows)
        for part, score in zip(some, scores, strict=True):
            values[:, part] = ((whole - score) / part.sum())[:, None]
    return values


def parts_of(shape: tuple[int, ...]) -> list[np.ndarray]:
    """Return the parts of an example, each (places,) of bool. Every place is in one of them."""
    most = CELLS[len(shape)] - (len(shape) > 1 and max(shape) > LARGE)
    sides = [math.ceil(size / most) for size in shape]
    cells = np.ravel_multi_index(
        np.meshgrid(*(np.arange(size) // side for size, side in zip(shape, sides, strict=True)), indexing="ij"),
        [math.ceil(size / side) for size, side in zip(shape, sides, strict=True)],
    ).ravel()
    return [cells == cell for cell in range(int(cells.max()) + 1)]


def grad_cam(places: Places, scores: Scores) -> np.ndarray:
    """Return the last maps of features, weighted by the mean gradients of the score by them, (rows, places): what
    counts in favour of the class. `scores` are those at these maps."""
    (shape,) = places.shapes.values()
    maps = scores.entrances(places.inputs)
    ((name, features),) = maps.items()
    weights = scores.gradients(places.inputs, maps, places.labels)[name].mean((1, 2), keepdims=True)
    found = tf.image.resize(np.maximum((weights * features).sum(-1, keepdims=True), 0), shape)
    return np.asarray(found).reshape(places.valid.shape)


def last_maps(core: keras.Model) -> Any:
    """Return the last node of a model that gives maps of features, (height, width, channels); None if there is none."""
    shapes = [(node, node.outputs[0].shape) for node in nodes_of(core) if not node.is_input]
    return next((node for node, shape in reversed(shapes) if len(shape) == 4 and shape[1] * shape[2] > 1), None)
