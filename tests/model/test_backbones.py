"""Networks of keras.applications in place of a layer."""

import hashlib
from pathlib import Path
from urllib.error import URLError

import keras
import numpy as np
import pytest

from dltool import keras_names
from dltool.config.keras.objects import parse_entry, to_plain
from dltool.errors import ConfigError, MachineError
from dltool.model.build import build_model

SMALL = {"weights": None, "alpha": 0.25, "pooling": "avg"}
LAST = {"Dense": {"units": 3, "activation": "softmax"}}
SHAPE = (32, 32, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, *SHAPE)).astype(np.uint8)


def layers(name="MobileNet", **arguments):
    return [{"backbone": {name: {**SMALL, **arguments} if name == "MobileNet" else arguments}}, LAST]


@pytest.fixture
def pictures(make_facts):
    return make_facts(SHAPE, "uint8")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A file of weights as Keras writes it, of the small MobileNet."""
    keras.utils.set_random_seed(1)
    path = tmp_path_factory.mktemp("weights") / "small.weights.h5"
    keras.applications.MobileNet(include_top=False, weights=None, input_shape=SHAPE, alpha=0.25).save_weights(path)
    return path


def problem_of(config, facts):
    with pytest.raises(ConfigError) as refused:
        build_model(config, facts)
    (problem,) = refused.value.problems
    return problem


def test_a_backbone_is_one_row_of_the_plan(make_config, pictures):
    built = build_model(make_config(layers()), pictures)
    first, last = built.layers
    assert (first.path, first.name, first.output_shape) == (("model", "layers", 0), "MobileNet", (256,))
    assert first.parameters == 218_544
    assert (last.name, last.parameters) == ("Dense", 771)
    assert first.weights is None


def preprocessed_by_keras(name, images):
    module = {"MobileNet": "mobilenet", "ResNet50": "resnet", "DenseNet121": "densenet"}.get(name)
    return getattr(keras.applications, module).preprocess_input(images) if module else images


NAMES = ["MobileNet", *(pytest.param(n, marks=pytest.mark.slow) for n in ("ResNet50", "DenseNet121", "ConvNeXtTiny"))]


@pytest.mark.parametrize("name", NAMES)
def test_raw_images_give_what_keras_gives_for_images_prepared_by_hand(make_config, pictures, tmp_path, name):
    built = build_model(make_config(layers(name, weights=None, pooling="avg")), pictures)
    network = built.core.layers[1]
    more = {"alpha": 0.25} if name == "MobileNet" else {}
    reference = getattr(keras.applications, name)(
        include_top=False, weights=None, input_shape=SHAPE, pooling="avg", **more
    )
    reference.set_weights(network.get_weights())
    expected = reference(preprocessed_by_keras(name, IMAGES.astype("float32").copy()))
    np.testing.assert_allclose(network(IMAGES.astype("float32")), expected, rtol=1e-4, atol=1e-6)
    built.full.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(IMAGES), built.full(IMAGES))


@pytest.mark.slow
def test_the_same_config_gives_the_same_weights_and_names_inside_too(make_config, make_facts):
    config, facts = (
        make_config(layers("MobileNetV3Small", weights=None, pooling="max")),
        make_facts((32, 32, 3), "uint8"),
    )
    one, other = (build_model(config, facts).core.layers[1] for _ in range(2))
    assert one.name == other.name == "mobile_net_v3_small"
    assert [layer.name for layer in one.layers] == [layer.name for layer in other.layers]
    for left, right in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.slow
def test_a_frozen_backbone_has_nothing_to_learn_and_its_statistics_stay(make_config, pictures):
    core = build_model(make_config(layers(trainable=False)), pictures).core
    assert [variable.path for variable in core.trainable_variables] == ["dense/kernel", "dense/bias"]
    before = core.get_weights()
    core.compile("sgd", "sparse_categorical_crossentropy")
    core.fit(IMAGES.astype("float32"), np.array([0, 1, 2, 0]), verbose=0)
    changed = [
        variable.path
        for variable, old in zip(core.weights, before, strict=True)
        if not np.array_equal(variable.numpy(), old)
    ]
    assert "dense/bias" in changed
    assert set(changed) <= {"dense/kernel", "dense/bias"}


def test_weights_come_from_a_file_of_keras(make_config, pictures, weights):
    built = build_model(make_config(layers(weights=str(weights))), pictures)
    reference = keras.applications.MobileNet(include_top=False, weights=None, input_shape=SHAPE, alpha=0.25)
    reference.load_weights(weights)
    for ours, theirs in zip(built.core.layers[1].get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    found = built.layers[0].weights
    assert found is not None
    assert (found.path, found.sha256) == (weights, hashlib.sha256(weights.read_bytes()).hexdigest())


def test_the_file_is_not_read_where_the_weights_come_from_a_run(make_config, pictures):
    built = build_model(make_config(layers(weights="/nowhere/gone.weights.h5")), pictures, is_pretrained=False)
    assert built.layers[0].weights is None


def test_a_file_of_other_weights_is_refused_with_both_shapes(make_config, pictures, weights):
    problem = problem_of(make_config(layers(weights=str(weights), alpha=0.5)), pictures)
    assert problem.place == ("model", "layers", 0, "backbone", "MobileNet", "weights")
    assert problem.message == (
        f"{weights} does not fit MobileNet: conv1 has weights of shape (3, 3, 3, 16), and the file has (3, 3, 3, 8)"
    )
    assert problem.hint == "only MobileNet itself, with the same arguments, has weights that fit"


@pytest.mark.parametrize("name", ["none.weights.h5", "text.weights.h5", "text.txt", "."])
def test_what_is_no_file_of_weights_is_refused(make_config, pictures, tmp_path, name):
    for text in ("text.weights.h5", "text.txt"):
        (tmp_path / text).write_text("weights")
    problem = problem_of(make_config(layers(weights=str(tmp_path / name))), pictures)
    assert problem.place[-1] == "weights"
    assert problem.message.startswith(("no such file: ", f"{tmp_path / name} is not a file"))


def test_published_weights_that_are_not_there_are_named_with_their_place(make_config, pictures, tmp_path, monkeypatch):
    def no_network(*_args, **_options):
        raise URLError("no network")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("dltool.data.sources.download.urlopen", no_network)
    with pytest.raises(MachineError) as refused:
        build_model(make_config(layers(weights="imagenet")), pictures)
    (problem,) = refused.value.problems
    file = tmp_path / "models/mobilenet_2_5_224_tf_no_top.h5"
    assert problem.message.startswith(f"the file of MobileNet's weights is not at {file} and cannot be downloaded")
    assert problem.hint == "put the file there, or name one of your own: weights: PATH"
    assert not file.parent.exists()


@pytest.mark.slow
def test_published_weights_are_read_from_keras_own_cache(make_config, pictures, weights, tmp_path, monkeypatch):
    from keras.src.legacy.saving import legacy_h5_format

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    reference = keras.applications.MobileNet(include_top=False, weights=None, input_shape=SHAPE, alpha=0.25)
    reference.load_weights(weights)
    file = tmp_path / "models/mobilenet_2_5_224_tf_no_top.h5"
    file.parent.mkdir()
    h5py = pytest.importorskip("h5py")
    with h5py.File(file, "w") as content:
        legacy_h5_format.save_weights_to_hdf5_group(content, reference)
    built = build_model(make_config(layers(weights="imagenet")), pictures)
    for ours, theirs in zip(built.core.layers[1].get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert built.layers[0].weights is not None
    assert built.layers[0].weights.path == file


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((32, 32, 1), "channels: 3 in the source; of grey images"),
        ((28, 40, 3), "add `Resizing: {height: 32, width: 32}` before it, or more"),
        ((3072,), "a backbone stands before Flatten and the like"),
    ],
)
def test_images_that_it_cannot_take_are_named_with_what_it_needs(make_config, make_facts, shape, hint):
    problem = problem_of(make_config(layers()), make_facts(shape, "uint8"))
    assert problem.place == ("model", "layers", 0)
    arrived = f"({shape[0]},)" if len(shape) == 1 else str(shape)
    assert problem.message == (f"MobileNet takes images (height, width, 3) of at least 32 × 32, and {arrived} arrives")
    assert problem.hint.startswith(hint)


def test_scaling_images_of_bytes_before_a_backbone_is_refused(make_config, make_facts, pictures):
    config = make_config(layers(), [{"Rescaling": 1 / 255}])
    problem = problem_of(config, pictures)
    assert problem.place == ("data", "preprocessing", 0)
    assert problem.message == "MobileNet takes values of 0 to 255, and brings them into its own range itself"
    assert problem.related == ((("model", "layers", 0), "the backbone"),)
    assert problem_of(make_config([{"Rescaling": 1 / 127.5}, *layers()]), pictures).place == ("model", "layers", 0)
    # Images of up to 65,535 have to be.
    built = build_model(config, make_facts(SHAPE, "float32"))
    assert [row.name for row in built.layers] == ["Rescaling", "MobileNet", "Dense"]


def test_a_backbone_too_large_for_the_budget_is_refused(make_config, pictures):
    assert "makes the model too large" in problem_of(make_config(layers(alpha=4e4)), pictures).message


def test_a_backbone_takes_a_name_and_what_its_from_names(make_config, pictures):
    config = make_config(
        [
            {"Rescaling": {"scale": 1.0, "name": "photo"}},
            {"RandomFlip": {"mode": "horizontal", "name": "flipped"}},
            {"backbone": {"MobileNet": {**SMALL, "from": "photo", "name": "one"}}},
            {"backbone": {"MobileNet": {**SMALL, "from": "flipped"}}},
            {"Add": {"from": ["one", "two"]}},
            LAST,
        ]
    )
    problem = problem_of(config, pictures)
    assert problem.place == ("model", "layers", 4, "Add", "from", 1)
    assert problem.hint == 'did you mean "one"?' or "known:" in problem.hint


def test_a_backbone_is_used_twice_by_its_name(make_config, pictures):
    config = make_config(
        [
            {"Rescaling": {"scale": 1.0, "name": "photo"}},
            {"backbone": {"MobileNet": {**SMALL, "name": "features"}}},
            {"Rescaling": {"scale": 0.5, "from": "photo"}},
            {"features": {"name": "darker"}},
            {"Concatenate": {"from": ["features", "darker"]}},
            LAST,
        ]
    )
    built = build_model(config, pictures)
    assert [row.parameters for row in built.layers] == [0, 218_544, 0, 0, 0, 1539]
    assert [row.name for row in built.layers][1:4:2] == ["MobileNet", "MobileNet"]


def test_what_a_config_says_of_a_backbone_is_written_back_as_it_was():
    for entry in (
        {"backbone": {"ResNet50": {"weights": None, "pooling": "avg", "name": "features", "from": "photo"}}},
        {"backbone": "EfficientNetV2B0"},
    ):
        parsed, problems = parse_entry(entry)
        assert not problems
        assert parsed is not None
        assert to_plain(parsed) == entry


@pytest.mark.slow
@pytest.mark.parametrize("name", keras_names.names("backbone"))
def test_every_backbone_builds_at_its_smallest_size(make_config, make_facts, name):
    size = keras_names.smallest_input(name)
    built = build_model(make_config(layers(name, weights=None, pooling="avg")), make_facts((size, size, 3), "uint8"))
    assert built.layers[0].parameters > 200_000
    assert built.core.count_params() == built.layers[0].parameters + built.layers[1].parameters


def dropped(built, images):
    """Whether two calls in training give different numbers."""
    return bool(np.any(built.core(images, training=True) != built.core(images, training=True)))


def test_a_network_in_which_nothing_learns_is_without_dropout(make_config, pictures, monkeypatch, tmp_path):
    def with_dropout(name=None, **options):
        images = options["input_tensor"]
        features = keras.layers.Dropout(0.5)(keras.layers.Conv2D(2, 3)(images))
        return keras.Model(keras.utils.get_source_inputs(images), features, name=name)

    monkeypatch.setattr(keras.applications, "MobileNet", with_dropout)
    with_dropout.__module__ = "keras.src.applications.mobilenet"
    last = ["Flatten", LAST]
    images = IMAGES.astype("float32")
    config = make_config([{"backbone": {"MobileNet": {"weights": None, "trainable": False}}}, *last])
    built = build_model(config, pictures)
    network = built.core.layers[1]
    assert not dropped(built, images)
    # A phase may let it learn after all.
    network.trainable = True
    assert dropped(built, images)
    built.full.save(tmp_path / "model.keras")
    keras.models.load_model(tmp_path / "model.keras")
