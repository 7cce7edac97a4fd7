"""Networks of KerasHub in place of a layer, from presets that the tests write."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.presets import write_preset

from dltool.config.presets import read_preset
from dltool.errors import ConfigError

SHAPE = (16, 16, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (60, *SHAPE)).astype(np.uint8)
LAST = ["GlobalAveragePooling2D", {"Dense": {"units": 3, "activation": "softmax", "name": "classifier"}}]
DESCRIPTION = {
    "registered_name": "keras_hub>ResNetBackbone",
    "config": {
        "name": "a",
        "dtype": {"class_name": "DTypePolicy"},
        "image_shape": [None, None, 3],
        "kinds": ["b", [1]],
    },
}


@pytest.fixture
def described(tmp_path):
    """Write a folder with these JSON files beside weights; return it."""

    def write(description=DESCRIPTION, converter=None, weights=b"") -> Path:
        if weights is not None:
            (tmp_path / "model.weights.h5").write_bytes(weights)
        for name, content in (("config.json", description), ("image_converter.json", converter)):
            if content is not None:
                (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return tmp_path

    return write


def test_a_folder_describes_a_network_without_what_the_config_decides(described) -> None:
    assert read_preset(described(), ()) == {
        "class": "ResNetBackbone",
        "config": {"image_shape": [None, None, 3], "kinds": ["b", [1]]},
    }


def test_an_older_range_is_a_mean_and_a_variance(described) -> None:
    converter = {"config": {"scale": 1 / 255, "mean": [0.5, 0.25, 0.0], "variance": [0.25, 1.0, 4.0]}}
    found = read_preset(described(converter=converter), ())
    values = np.array([[0, 128, 255]])
    expected = (values / 255 - [0.5, 0.25, 0.0]) / np.sqrt([0.25, 1.0, 4.0])
    np.testing.assert_allclose(values * np.array(found["scale"]) + found["offset"], expected)


def with_config(**arguments):
    config: Any = DESCRIPTION["config"]
    return {**DESCRIPTION, "config": {**config, **arguments}}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"description": None}, "has no config.json"),
        ({"description": None, "weights": None}, "has no config.json and no model.weights.h5"),
        ({"description": "{"}, "config.json is damaged: it is not a JSON object"),
        ({"description": {"registered_name": "evil>Net", "config": {}}}, "does not describe a network of KerasHub"),
        ({"description": {"model_type": "bert"}}, "does not describe a network of KerasHub"),
        ({"description": with_config(image_shape=None)}, "ResNetBackbone is not a network for images or texts alone"),
        ({"description": with_config(inner={"class_name": "Lambda"})}, "is not a network for images or texts alone"),
        (
            {"description": with_config(inner=[[{"class_name": "Lambda"}]])},
            "is not a network for images or texts alone",
        ),
        ({"converter": "[]"}, "image_converter.json is damaged"),
        ({"converter": {}}, "image_converter.json is damaged"),
        ({"converter": {"config": {"mean": [0], "variance": [0], "scale": 1}}}, "image_converter.json is damaged"),
        ({"converter": {"config": {"scale": "a"}}}, "the description of the network is damaged"),
    ],
)
def test_other_files_are_refused_by_name(described, files, words) -> None:
    with pytest.raises(ConfigError, match=words):
        read_preset(described(**files), ())


@pytest.fixture(scope="module")
def preset(tmp_path_factory) -> Path:
    return write_preset(tmp_path_factory.mktemp("preset"))


def built_from(folder, make_config, make_facts, shape=SHAPE):
    from dltool.model.build import build_model
    from dltool.model.hub import with_networks

    config = make_config([{"backbone": {"KerasHub": {"preset": str(folder)}}}, *LAST])
    return build_model(with_networks(config), make_facts(shape, "uint8"))


@pytest.mark.slow
def test_raw_images_give_what_keras_hub_gives_for_images_it_has_converted(
    preset, make_config, make_facts, tmp_path
) -> None:
    import keras
    import keras_hub

    built = built_from(preset, make_config, make_facts)
    converted = keras_hub.layers.ImageConverter.from_preset(str(preset))(IMAGES.astype("float32"))
    expected = keras_hub.models.Backbone.from_preset(str(preset))(converted)
    np.testing.assert_allclose(built.core.layers[1](IMAGES.astype("float32")), expected, rtol=1e-5, atol=1e-6)
    weights = built.layers[0].weights
    assert weights is not None
    assert weights.sha256 == hashlib.sha256((preset / "model.weights.h5").read_bytes()).hexdigest()
    built.full.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(IMAGES), built.full(IMAGES))


@pytest.mark.slow
def test_what_keras_hub_cannot_build_or_load_is_refused_in_words(preset, make_config, make_facts, tmp_path) -> None:
    def refused(change=lambda text: text, shape=SHAPE) -> str:
        folder = shutil.copytree(preset, tmp_path / "changed", dirs_exist_ok=True)
        text = (preset / "config.json").read_text("utf-8")
        (folder / "config.json").write_text(change(text), "utf-8")
        with pytest.raises(ConfigError) as error:
            built_from(folder, make_config, make_facts, shape)
        (problem,) = error.value.problems
        return problem.message

    assert refused(shape=(16, 16, 1)) == "ResNetBackbone takes images (?, ?, 3), and (16, 16, 1) arrives"
    other = refused(lambda text: text.replace(">ResNetBackbone", ">ResNetTask"))
    assert other == 'KerasHub has no network "ResNetTask"'
    assert refused(lambda text: text.replace(">ResNetBackbone", ">ImageClassifier")).startswith(
        "KerasHub has no network"
    )
    assert "does not fit ResNetBackbone" in refused(lambda text: text.replace("basic_block", "bottleneck_block"))
    assert refused(lambda text: text.replace("basic_block", "no_block")).startswith("ResNetBackbone: ")
    (tmp_path / "changed" / "model.weights.h5").write_bytes(b"none")
    with pytest.raises(ConfigError, match="is not a file of weights"):
        built_from(tmp_path / "changed", make_config, make_facts)


@pytest.mark.slow
def test_names_are_those_of_keras_hub_and_need_a_network_once(preset, monkeypatch) -> None:
    from keras_hub.src.utils import preset_utils

    from dltool.errors import MachineError
    from dltool.model.hub import folder_of

    with pytest.raises(ConfigError, match='no preset "resnet_18_imagnet"') as error:
        folder_of("resnet_18_imagnet", ())
    assert error.value.problems[0].hint.startswith('did you mean "resnet_18_imagenet"')
    monkeypatch.setattr(preset_utils, "get_file", lambda _, name: str(preset / name))
    assert folder_of("resnet_18_imagenet", ()) == preset

    def unreachable(name: str, file: str) -> str:
        raise ConnectionError("no route")

    monkeypatch.setattr(preset_utils, "get_file", unreachable)
    message = r"config\.json of the preset resnet_18_imagenet cannot be downloaded"
    with pytest.raises(MachineError, match=message) as offline:
        folder_of("resnet_18_imagenet", ())
    assert "save_to_preset" in offline.value.problems[0].hint
