"""A step that is traced once, for batches of every size, computes what it computes where the size is known."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as kl

from dltool import keras_names
from dltool.training.numerics import SIZED

ROWS = 6
NEEDED: dict[str, Any] = {"factor": 0.5, "height": 4, "width": 4, "height_factor": 0.3, "width_factor": 0.3, "seed": 3}
OTHERS: dict[str, Any] = {
    "RandomElasticTransform": {"factor": (1.0, 1.0), "scale": (1.0, 1.0)},
    "RandomPosterization": {"factor": 4},
    "RandomShear": {"x_factor": 0.5, "y_factor": 0.5},
}
BOXES = {"MaxNumBoundingBoxes"}


def image_layers() -> list[str]:
    """Those that prepare or augment images."""
    known = [name for name in keras_names.names("layer") if name not in keras_names.OWN["layer"]]
    classes = {name: getattr(kl, keras_names.find("layer", name).means) for name in known}  # type: ignore[union-attr]
    return [name for name, each in classes.items() if "Image" in str(each.__mro__) and name not in BOXES]


def computed(name: str, size: int | None) -> dict[str, np.ndarray]:
    """What the layer makes of the same images, traced for so many."""
    known = keras_names.arguments("layer", name)
    arguments = {key: value for key, value in NEEDED.items() if key in known} | OTHERS.get(name, {})
    layer = getattr(kl, name)(**arguments)
    random = np.random.default_rng(0)
    batch = {
        "images": tf.constant(random.uniform(0, 255, (ROWS, 16, 16, 3)).astype("float32")),
        "labels": tf.constant(np.eye(3, dtype="float32")[random.integers(0, 3, ROWS)]),
    }
    mixes = name in {"CutMix", "MixUp"}
    given = batch if mixes else batch["images"]
    specs = tf.nest.map_structure(lambda each: tf.TensorSpec((size, *each.shape[1:]), each.dtype), given)
    keras.utils.set_random_seed(1)
    found = tf.function(lambda each: layer(each, training=True), autograph=False, input_signature=[specs])(given)
    return {key: np.asarray(each) for key, each in (found if mixes else {"images": found}).items()}


@pytest.mark.parametrize("name", image_layers())
@pytest.mark.slow
def test_a_layer_of_pictures_does_the_same_to_batches_of_every_size_or_is_known_not_to(name: str) -> None:
    known, unknown = computed(name, ROWS), computed(name, None)
    same = all(np.allclose(known[key], unknown[key], atol=1e-3) for key in known)
    assert same == (name not in SIZED)
