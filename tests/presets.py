"""Presets of KerasHub that tests write: small networks with random weights."""

from pathlib import Path

import pytest


def write_preset(folder: Path) -> Path:
    """Write a small ResNet, behind its own range of values. Skips the test without KerasHub."""
    keras_hub = pytest.importorskip("keras_hub", reason="the extra hub is not installed")
    import keras

    keras.utils.set_random_seed(1)
    small = {"input_conv_filters": [64], "input_conv_kernel_sizes": [3], "stackwise_num_filters": [64]}
    more = {"stackwise_num_blocks": [1], "stackwise_num_strides": [1], "block_type": "basic_block"}
    keras_hub.models.ResNetBackbone(**small, **more).save_to_preset(str(folder))
    converter = keras_hub.layers.ImageConverter(scale=[1 / 255] * 3, offset=[-0.5, 0, 0.5])
    converter.save_to_preset(str(folder))
    return folder
