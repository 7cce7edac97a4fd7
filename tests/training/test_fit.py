import json
import math

import keras
import numpy as np
import pytest

from dltool.data.order import epoch_order
from dltool.errors import ConfigError, Interrupted, TrainingDiverged
from dltool.model.build import build_model
from dltool.training.state import TrainingState

EVERYTHING = {
    "data": {"augmentation": [{"RandomRotation": 0.1}]},
    "model": {
        "layers": [
            {"Conv2D": {"filters": 3, "kernel_size": 3, "kernel_regularizer": {"L2": 1e-4}}},
            "BatchNormalization",
            {"Activation": "relu"},
            "Flatten",
            {"Dropout": 0.3},
            {"Dense": {"units": 3, "activation": "softmax"}},
        ]
    },
    "training": {
        "optimizer": {"Adam": {"learning_rate": 0.01, "use_ema": True, "ema_momentum": 0.9, "clipnorm": 1.0}},
        "metrics": ["accuracy", "SparseTopKCategoricalAccuracy"],
        "callbacks": [
            {"ReduceLROnPlateau": {"patience": 1, "factor": 0.5, "min_delta": 0.05}},
            {"EarlyStopping": {"patience": 3, "restore_best_weights": True, "min_delta": 0.001}},
        ],
        "class_weights": "balanced",
        "epochs": 4,
    },
}


@pytest.fixture
def images():
    """As `dataset`, but 6 × 6 × 1 images."""
    from tests_training_data import image_dataset

    return image_dataset()


def assert_same(one, other):
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)
