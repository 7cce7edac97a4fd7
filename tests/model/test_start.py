"""The weights that a model starts with, from files of Keras's and of PyTorch's, and the files that are refused."""

import json
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from dltool.errors import ConfigError
from dltool.model.build import build_model

RANDOM = np.random.default_rng(0)
SHAPE = (6, 6, 3)
IMAGES = RANDOM.normal(size=(4, *SHAPE)).astype("float32")
LAYERS = [
    {"Conv2D": {"filters": 4, "kernel_size": 3, "use_bias": False, "name": "stem_conv"}},
    {"BatchNormalization": {"name": "stem_bn", "epsilon": 1e-5}},
    {"DepthwiseConv2D": {"kernel_size": 3, "depth_multiplier": 2, "name": "wide"}},
    {"GlobalAveragePooling2D": {}},
    {"LayerNormalization": {"name": "norm", "epsilon": 1e-5}},
    {"Dense": {"units": 3, "activation": "softmax", "name": "head"}},
]


@pytest.fixture
def built_from(make_config, make_facts):
    """Build the model of these layers that starts with `start`; `seed` is that of its own weights."""

    def build(start, layers=LAYERS, shape=SHAPE):
        config = make_config(layers)
        model = type(config.model).model_validate({"layers": layers, "start": start})
        return build_model(config.model_copy(update={"model": model}), make_facts(shape))

    return build


@pytest.fixture(scope="module")
def theirs():
    """A network of plain Keras with the same layers but for the head, whose name is that of a layer with more units."""
    keras.utils.set_random_seed(9)
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(4, 3, use_bias=False, name="stem_conv"),
            layers.BatchNormalization(epsilon=1e-5, name="stem_bn"),
            layers.DepthwiseConv2D(3, depth_multiplier=2, name="wide"),
            layers.GlobalAveragePooling2D(),
            layers.LayerNormalization(epsilon=1e-5, name="norm"),
            layers.Dense(7, name="head"),
        ]
    )
    for weight in network.weights:
        weight.assign(RANDOM.uniform(0.5, 1.5, weight.shape))
    return network


@pytest.fixture(scope="module")
def file(theirs, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("keras") / "own.weights.h5"
    theirs.save_weights(path)
    return path


@pytest.fixture
def unchecked(monkeypatch) -> None:
    """A process for the check of a file takes half a second; tests of damaged files have it."""
    monkeypatch.setattr("dltool.model.start.refuse_damaged", lambda *_args, **_options: None)


def problem_of(build, start, layers=LAYERS):
    with pytest.raises(ConfigError) as refused:
        build(start, layers)
    (problem,) = refused.value.problems
    return problem


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
def test_layers_with_the_same_name_and_shapes_take_the_weights_of_a_file(built_from, theirs, file, tmp_path, ending):
    if ending == ".keras":
        file = tmp_path / "own.keras"
        theirs.save(file)
    new, built = built_from(None), built_from({"weights": str(file)})
    for name in ("stem_conv", "stem_bn", "wide", "norm"):
        for ours, expected in zip(built.core.get_layer(name).weights, theirs.get_layer(name).weights, strict=True):
            np.testing.assert_array_equal(ours, expected)
    for ours, expected in zip(built.core.get_layer("head").weights, new.core.get_layer("head").weights, strict=True):
        np.testing.assert_array_equal(ours, expected)
    record = built.started.record
    assert record["source"] == str(file)
    assert record["taken"] == ["stem_conv", "stem_bn", "wide", "norm"]
    assert record["new"] == {"head": "has weights of shape (8, 3) and (3,), and the source has (8, 7) and (7,)"}
    assert new.started is None


@pytest.mark.usefixtures("unchecked")
def test_layers_that_no_pattern_names_are_new(built_from, file):
    built = built_from({"weights": str(file), "layers": ["stem_*"]})
    assert built.started.record["taken"] == ["stem_conv", "stem_bn"]
    assert built.started.record["new"]["norm"] == "is not named in layers"
    assert np.all(built.core.get_layer("norm").gamma == 1)


def test_the_file_is_not_read_where_the_weights_come_from_a_run(make_config, make_facts):
    config = make_config(LAYERS)
    start = {"layers": LAYERS, "start": {"weights": "/nowhere/gone.weights.h5"}}
    config = config.model_copy(update={"model": type(config.model).model_validate(start)})
    assert build_model(config, make_facts(SHAPE), is_pretrained=False).started is None


@pytest.mark.usefixtures("unchecked")
def test_a_pattern_that_names_no_layer_or_one_that_does_not_fit_is_refused_at_its_place(built_from, file):
    problem = problem_of(built_from, {"weights": str(file), "layers": ["stem_*", "normal"]})
    assert (problem.place, problem.message) == (
        ("model", "start", "layers", 1),
        'no layer with weights is called "normal"',
    )
    assert problem.hint == 'did you mean "norm"?'
    problem = problem_of(built_from, {"weights": str(file), "layers": ["*"]})
    assert problem.place == ("model", "start", "layers", 0)
    assert problem.message.startswith("head has weights of shape (8, 3) and (3,), and the source has (8, 7)")
    assert problem.hint == "its layers with weights: head, norm, stem_bn, stem_conv, wide"
    other = [*LAYERS[:-1], {"Dense": {"units": 3, "name": "classifier"}}]
    problem = problem_of(built_from, {"weights": str(file), "layers": ["classifier"]}, other)
    assert problem.message == "classifier is not in the source"


@pytest.mark.usefixtures("unchecked")
def test_a_file_of_which_no_layer_fits_is_refused(built_from, file):
    layers = [{"Flatten": {}}, {"Dense": {"units": 3, "name": "head"}}]
    problem = problem_of(built_from, {"weights": str(file)}, layers)
    assert problem.place == ("model", "start", "weights")
    assert problem.message.startswith("no layer of the source has the name and shapes of one of the model: head has")


def packed(tensors: dict[str, np.ndarray], **header: object) -> bytes:
    """A safetensors file, written by the description of the format."""
    values, entries = b"", dict(header)
    for name, tensor in tensors.items():
        offsets = [len(values), len(values) + tensor.nbytes]
        kind = {"float32": "F32", "float16": "F16", "int64": "I64", "uint16": "BF16"}[tensor.dtype.name]
        entries[name] = {"dtype": kind, "shape": tensor.shape, "data_offsets": offsets}
        values += tensor.tobytes()
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + values


def torch_tensors() -> dict[str, np.ndarray]:
    """Tensors as PyTorch names and shapes them: `stem.conv` is the layer stem_conv."""
    shapes = {"stem.conv.weight": (4, 3, 3, 3), "wide.weight": (8, 1, 3, 3), "wide.bias": (8,), "norm.weight": (8,)}
    shapes |= {f"stem.bn.{name}": (4,) for name in ("weight", "bias", "running_mean", "running_var")}
    shapes |= {"norm.bias": (8,), "head.weight": (3, 8), "head.bias": (3,)}
    tensors = {name: RANDOM.uniform(0.5, 1.5, shape).astype("float32") for name, shape in shapes.items()}
    return {**tensors, "stem.bn.num_batches_tracked": np.array(7), "fc.weight": np.ones((2, 2), "float32")}


def correlated(images: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The outputs (batch, out, height, width) of PyTorch's convolution without padding, for images with one group."""
    windows = np.lib.stride_tricks.sliding_window_view(images, kernel.shape[2:], axis=(2, 3))
    return np.einsum("bihwkl,oikl->bohw", windows, kernel)


def torch_outputs(t: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """What PyTorch's modules compute in inference, by their documentation; its images have their channels first."""
    x = correlated(images.transpose(0, 3, 1, 2), t["stem.conv.weight"])
    each = {name: t[f"stem.bn.{name}"][:, None, None] for name in ("weight", "bias", "running_mean", "running_var")}
    x = (x - each["running_mean"]) / np.sqrt(each["running_var"] + 1e-5) * each["weight"] + each["bias"]
    # Group i of two outputs takes channel i.
    groups = [correlated(x[:, i : i + 1], t["wide.weight"][2 * i : 2 * i + 2]) for i in range(4)]
    x = (np.concatenate(groups, axis=1) + t["wide.bias"][:, None, None]).mean(axis=(2, 3))
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * t["norm.weight"] + t["norm.bias"]
    logits = x @ t["head.weight"].T + t["head.bias"]
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def test_a_network_with_weights_of_pytorch_computes_what_pytorch_does(built_from, tmp_path):
    tensors = torch_tensors()
    (tmp_path / "torch.safetensors").write_bytes(packed(tensors, __metadata__={"format": "pt"}))
    built = built_from({"weights": str(tmp_path / "torch.safetensors")})
    np.testing.assert_allclose(built.core(IMAGES, training=False), torch_outputs(tensors, IMAGES), rtol=1e-4)
    assert built.started.record["new"] == {}
    assert built.started.record["unused"] == ["fc"]


def test_half_precision_and_embeddings_of_pytorch_are_read(built_from, tmp_path):
    table, head = np.arange(10, dtype="float16").reshape(5, 2), np.array([[1.0, 2.0]] * 3, "float32")
    upper = (head.view("uint32") >> 16).astype("uint16")
    (tmp_path / "torch.safetensors").write_bytes(packed({"words.weight": table, "head.weight": upper}))
    layers = [
        {"Embedding": {"input_dim": 5, "output_dim": 2, "name": "words"}},
        "GlobalAveragePooling1D",
        {"Dense": {"units": 3, "use_bias": False, "name": "head"}},
    ]
    built = built_from({"weights": str(tmp_path / "torch.safetensors")}, layers, (4,))
    np.testing.assert_array_equal(built.core.get_layer("words").embeddings, table)
    np.testing.assert_array_equal(built.core.get_layer("head").kernel, head.T)


@pytest.mark.parametrize("between", [[], ["ReLU", {"Dropout": 0.5}]])
def test_a_dense_layer_of_pytorch_after_a_flattened_image_is_not_taken(built_from, tmp_path, between):
    tensors = {"conv.weight": np.ones((4, 3, 3, 3), "float32"), "head.weight": np.ones((3, 64), "float32")}
    (tmp_path / "torch.safetensors").write_bytes(packed(tensors))
    layers = [
        {"Conv2D": {"filters": 4, "kernel_size": 3, "use_bias": False, "name": "conv"}},
        "Flatten",
        *between,
        {"Dense": {"units": 3, "use_bias": False, "name": "head"}},
    ]
    built = built_from({"weights": str(tmp_path / "torch.safetensors")}, layers)
    assert built.started.record["new"] == {"head": "takes a flattened image, whose values PyTorch orders otherwise"}


def test_a_module_of_pytorch_with_more_weights_than_the_layer_does_not_fit(built_from, tmp_path):
    tensors = {"conv.weight": np.ones((4, 3, 3, 3), "float32"), "conv.bias": np.ones(4, "float32")}
    (tmp_path / "torch.safetensors").write_bytes(packed(tensors))
    layers = [{"Conv2D": {"filters": 4, "kernel_size": 3, "use_bias": False, "name": "conv"}}, "Flatten", {"Dense": 3}]
    problem = problem_of(built_from, {"weights": str(tmp_path / "torch.safetensors")}, layers)
    assert "conv has weights of shape (3, 3, 3, 4), and the source has (3, 3, 3, 4) and (4,)" in problem.message


def bad_files(theirs, folder: Path) -> dict[str, bytes]:
    """Files that are not what their names say, or damaged."""
    theirs.save_weights(folder / "good.weights.h5")
    content = (folder / "good.weights.h5").read_bytes()
    with zipfile.ZipFile(folder / "compressed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", content)
    with zipfile.ZipFile(folder / "other.zip", "w") as archive:
        archive.writestr("other", content)
    with h5py.File(folder / "chunks.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", data=np.zeros((8, 3)), chunks=(2, 3), compression="gzip")
    good = packed({"head.weight": np.ones((3, 8), "float32")})
    return {
        "text.weights.h5": b"weights",
        "torn.weights.h5": content[: len(content) // 2],
        "chunks.weights.h5": (folder / "chunks.h5").read_bytes(),
        "text.keras": b"a model",
        "compressed.keras": (folder / "compressed.zip").read_bytes(),
        "other.keras": (folder / "other.zip").read_bytes(),
        "empty.safetensors": b"",
        "long.safetensors": (10**6).to_bytes(8, "little") + good[8:],
        "torn.safetensors": good[:-4],
        "deep.safetensors": (10**5).to_bytes(8, "little") + b"[" * 10**5,
        "negative.safetensors": good.replace(b'"shape": [3, 8]', b'"shape":[-3,-8]'),
        "kinds.safetensors": good.replace(b'"F32"', b'"X32"'),
        "shared.safetensors": packed(
            {"head.weight": np.ones((3, 8), "float32")},
            more={"dtype": "F32", "shape": [3, 8], "data_offsets": [0, 96]},
        ),
        "list.safetensors": (2).to_bytes(8, "little") + b"[]",
    }


@pytest.mark.slow
def test_files_that_are_no_weights_or_damaged_are_refused_with_words(built_from, theirs, tmp_path):
    for name, content in bad_files(theirs, tmp_path).items():
        path = tmp_path / name
        path.write_bytes(content)
        problem = problem_of(built_from, {"weights": str(path)})
        assert problem.place == ("model", "start", "weights"), name
        assert problem.message.startswith(str(path)), name
        assert "Traceback" not in problem.message, name


@pytest.mark.slow
def test_layers_inside_a_backbone_have_the_same_place_in_both_models(make_config, make_facts, built_from, tmp_path):
    network = {"MobileNet": {"weights": None, "alpha": 0.25, "pooling": "avg", "name": "features"}}
    layers = [{"backbone": network}, {"Dense": {"units": 3, "name": "head"}}]
    first = built_from(None, layers, (32, 32, 3))
    first.core.get_layer("features").get_layer("conv1").kernel.assign(np.full((3, 3, 3, 8), 0.5))
    first.full.save(tmp_path / "first.keras")
    again = built_from({"weights": str(tmp_path / "first.keras"), "layers": ["features"]}, layers, (32, 32, 3))
    assert np.all(again.core.get_layer("features").get_layer("conv1").kernel == 0.5)
    assert "features/conv1" in again.started.record["taken"]
    assert list(again.started.record["new"]) == ["head"]
