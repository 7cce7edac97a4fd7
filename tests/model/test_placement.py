"""Layers that would have no effect, or another one, where they are written."""

import numpy as np
import pytest

from dltool.config.data_options import Data
from dltool.data.facts import Facts, InputFacts
from dltool.errors import ConfigError
from dltool.model.build import build_model
from dltool.model.output_checks import check_fit

SOFTMAX = {"Dense": {"units": 3, "activation": "softmax"}}
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1)).astype(np.uint8)


def problems_of(config, facts, inputs=None):
    with pytest.raises(ConfigError) as raised:
        build_model(config, facts, None if inputs is None else {"input": inputs})
    return [(problem.place, problem.message, problem.hint) for problem in raised.value.problems]


@pytest.mark.parametrize(
    ("layer", "message", "hint"),
    [
        ({"RandomFlip": "horizontal"}, "RandomFlip acts in training only", "it belongs at data.augmentation"),
        ({"RandomCrop": {"height": 4, "width": 4}}, "RandomCrop acts in training only", "write CenterCrop"),
        ("RandAugment", "RandAugment acts in training only", "it belongs at data.augmentation"),
        ({"Dropout": 0.5}, "Dropout acts in training only", "it belongs at model.layers"),
        ({"GaussianNoise": 0.5}, "GaussianNoise acts in training only", "it belongs at model.layers"),
        ({"Dense": 4}, "Dense learns by gradients", "it belongs at model.layers"),
        ({"Conv2D": {"filters": 2, "kernel_size": 3}}, "Conv2D learns by gradients", "it belongs at model.layers"),
        ("BatchNormalization", "BatchNormalization learns by gradients", "it belongs at model.layers"),
        ("LayerNormalization", "LayerNormalization learns by gradients", "it belongs at model.layers"),
        ("PReLU", "PReLU learns by gradients", "it belongs at model.layers"),
    ],
)
def test_preprocessing_takes_only_layers_that_are_complete_there(make_config, make_facts, layer, message, hint):
    config = make_config(["Flatten", SOFTMAX], [{"Rescaling": 0.1}, layer])
    ((place, found, way_out),) = problems_of(config, make_facts((8, 8, 1), "uint8"))
    assert place[:3] == ("data", "preprocessing", 1)
    assert found.startswith(message)
    assert way_out == hint


def test_a_mask_is_not_made_in_preprocessing(make_config, make_facts):
    config = make_config([{"LSTM": 3}, SOFTMAX], ["Masking"])
    ((place, message, _),) = problems_of(config, make_facts((5, 2)))
    assert place == ("data", "preprocessing", 0, "Masking")
    assert message.startswith("Masking makes a mask")


@pytest.mark.parametrize("layer", ["Resizing", "CenterCrop"])
def test_preprocessing_takes_layers_that_act_at_inference(make_config, make_facts, layer):
    config = make_config(["Flatten", SOFTMAX], [{layer: {"height": 4, "width": 4}}, {"Rescaling": 0.1}, "ReLU"])
    assert build_model(config, make_facts((8, 8, 1), "uint8")).core is not None


@pytest.mark.parametrize("layer", [{"RandomFlip": "vertical"}, {"RandomZoom": 0.2}, "RandAugment"])
def test_a_mask_does_not_stay_where_its_image_is_moved(make_config, make_facts, layer):
    config = make_config([{"Conv2D": {"filters": 3, "kernel_size": 1, "activation": "softmax"}}], (), [layer])
    ((place, message, _),) = problems_of(config, make_facts((8, 8, 1), target_shape=(8, 8)))
    assert place[:3] == ("data", "augmentation", 0)
    assert "the target target, which has its axes, would stay" in message
    inside = make_config([layer, {"Conv2D": {"filters": 3, "kernel_size": 1, "activation": "softmax"}}])
    ((place, _, _),) = problems_of(inside, make_facts((8, 8, 1), target_shape=(8, 8)))
    assert place[:3] == ("model", "layers", 0)
    plain = make_config(["Flatten", SOFTMAX], (), [{"RandomFlip": "vertical"}])
    assert build_model(plain, make_facts((8, 8, 1))).augmentation is not None


def test_an_input_that_is_the_target_is_not_moved(make_config):
    facts = Facts({"input": InputFacts((8, 8, 1), "uint8")}, {}, 40, 0, 0)
    for layer, is_moving in (({"RandomFlip": "vertical"}, True), ({"GaussianNoise": 0.1}, False)):
        config = make_config([{"Conv2D": {"filters": 1, "kernel_size": 1}}], loss="mse", metrics=[])
        data = {"source": "digits", "target": "input", "preprocessing": [{"Rescaling": 0.1}], "augmentation": [layer]}
        config = config.model_copy(update={"data": Data.model_validate(data)})
        if is_moving:
            ((_, message, _),) = problems_of(config, facts)
            assert message.endswith("and the input, which is the target, would stay")
        else:
            assert build_model(config, facts).augmentation is not None


def test_the_value_range_of_augmentation_inside_the_model_is_measured(make_config, make_facts):
    facts, data = make_facts((8, 8, 1), "uint8"), {"input": IMAGES}
    scaled, bright = {"Rescaling": 1 / 255}, {"factor": 0.2}
    for layers, hint in (
        ([{"RandomBrightness": bright}], ""),
        ([scaled, {"RandomBrightness": bright}], "value_range: [0, 1]"),
        ([scaled, {"RandomBrightness": bright | {"value_range": [0, 1]}}], ""),
    ):
        config = make_config([*layers, "Flatten", SOFTMAX])
        built = build_model(config, facts, data)
        if not hint:
            check_fit(config, facts, built, data)
            continue
        with pytest.raises(ConfigError) as raised:
            check_fit(config, facts, built, data)
        (problem,) = raised.value.problems
        assert problem.place == ("model", "layers", 1, "RandomBrightness", "value_range")
        assert problem.hint == hint


@pytest.mark.parametrize(
    ("scale", "offset", "given", "hint"),
    [
        (1 / 255, 0, None, "value_range: [0, 1]"),
        (1 / 127.5, -1, None, "value_range: [-1, 1]"),
        (1 / 25.5, -5, None, "value_range: [-5, 5]"),
        (1.0, 0, [0, 1], "value_range: [0, 255]"),
    ],
)
def test_the_value_range_of_augmentation_is_that_of_the_images(make_config, make_facts, scale, offset, given, hint):
    layer = {"RandomBrightness": {"factor": 0.2} | ({} if given is None else {"value_range": given})}
    preprocessing = [{"Rescaling": {"scale": scale, "offset": offset}}]
    facts = make_facts((8, 8, 1), "uint8")
    config = make_config(["Flatten", SOFTMAX], preprocessing, [layer])
    ((place, _, found),) = problems_of(config, facts, IMAGES)
    assert place == ("data", "augmentation", 0, "RandomBrightness", "value_range")
    assert found == hint
    low, high = hint.removeprefix("value_range: [").removesuffix("]").split(", ")
    mended = {"RandomBrightness": {"factor": 0.2, "value_range": [int(low), int(high)]}}
    built = build_model(make_config(["Flatten", SOFTMAX], preprocessing, [mended]), facts, {"input": IMAGES})
    assert built.augmentation is not None
