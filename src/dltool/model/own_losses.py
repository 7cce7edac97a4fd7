"""Losses for which Keras has no name; :data:`dltool.keras_names.OWN` has their arguments."""

from typing import Any

import keras


class Quantile(keras.losses.Loss):  # type: ignore[misc]
    """The pinball loss, whose minimum is a quantile (R. Koenker and G. Bassett, Regression Quantiles, 1978)."""

    def __init__(self, quantile: float, reduction: str = "sum_over_batch_size", name: str = "quantile") -> None:
        super().__init__(name=name, reduction=reduction)
        self.quantile = quantile

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the mean over the last axis of (batch, …) numbers."""
        error = y_true - y_pred
        return keras.ops.mean(keras.ops.maximum(self.quantile * error, (self.quantile - 1) * error), axis=-1)
