"""The saved model, and weights from elsewhere."""

import h5py
import keras
import numpy as np
import pytest

from dltool.errors import ConfigError
from dltool.model.build import build_model
from dltool.model.saving import save_model

LAYERS = [
    {"Dense": {"units": 4, "kernel_regularizer": {"L2": 0.01}, "name": "twice"}},
    {"twice": {"name": "again"}},
    {"Add": {"from": ["twice", "again"]}},
    {"Dense": {"units": 3, "activation": "softmax"}},
]


def test_a_model_is_saved_in_the_same_bytes_each_time(make_config, make_facts, tmp_path) -> None:
    files = [tmp_path / f"{number}.keras" for number in range(3)]
    built = [build_model(make_config(LAYERS, ["Normalization"]), make_facts(), {"input": np.eye(4)}) for _ in range(2)]
    for model, file in zip((built[0].full, built[0].full, built[1].full), files, strict=True):
        save_model(model, file)
    assert len({file.read_bytes() for file in files}) == 1
    loaded = keras.models.load_model(files[0])
    np.testing.assert_array_equal(loaded(np.eye(4)), built[0].full(np.eye(4)))
    kernels = [layer for layer in loaded.layers if layer.name == "twice"]
    assert len(kernels) == 1


@pytest.mark.parametrize("damage", ["a link", "a string", "another file", "no HDF5"])
def test_weights_of_a_backbone_are_read_in_a_process_of_their_own(make_config, make_facts, tmp_path, damage) -> None:
    path = tmp_path / "mine.weights.h5"
    with h5py.File(path, "w") as file:
        if damage == "a link":
            file["layer"] = h5py.ExternalLink("/etc/hostname", "/")
        elif damage == "a string":
            file["layer"] = "text"
        elif damage == "another file":
            file.create_dataset("layer", (4,), "float32", external=[("/etc/hostname", 0, 16)])
    if damage == "no HDF5":
        path.write_bytes(b"nothing" * 100)
    config = make_config([{"backbone": {"MobileNet": {"weights": str(path), "alpha": 0.25}}}, "Flatten", {"Dense": 3}])
    with pytest.raises(ConfigError) as refused:
        build_model(config, make_facts((32, 32, 3), "uint8"))
    (problem,) = refused.value.problems
    assert problem.place == ("model", "layers", 0, "backbone", "MobileNet", "weights")
    assert problem.message.startswith(str(path))
    assert problem.hint == "a .weights.h5 or .h5 that Keras has written"
