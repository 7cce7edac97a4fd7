import numpy as np
import pytest
import scipy.special

from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.data.examples import Examples
from dltool.data.facts import Facts, InputFacts
from dltool.evaluation.measure import measure
from dltool.evaluation.predictor import Inference
from dltool.evaluation.tasks import assessed_outputs
from dltool.model.build import build_model


@pytest.fixture
def config() -> Config:
    training = {
        "optimizer": "adam",
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
        "epochs": 1,
        "class_weights": "balanced",
    }
    data = {"source": "digits", "preprocessing": [{"Rescaling": 1 / 255}]}
    layers = ["Flatten", {"Dropout": 0.5}, {"Dense": {"units": 3, "activation": "softmax"}}]
    return Config.model_validate({"name": "x", "data": data, "model": {"layers": layers}, "training": training})


@pytest.fixture
def facts() -> Facts:
    target = TargetFacts("category", (), ("a", "b", "c"))
    return Facts({"input": InputFacts((5, 5, 1), "uint8")}, {"target": target}, 100, 10, 10)


@pytest.fixture
def examples():
    generator = np.random.default_rng(0)
    inputs = generator.integers(0, 256, (5000, 5, 5, 1)).astype(np.uint8)
    return Examples({"input": inputs}, {"target": generator.integers(0, 3, 5000).astype(np.int32)})


def test_the_numbers_are_those_of_keras(config, facts, examples):
    built = build_model(config, facts)
    found = measure(built, config, examples).metrics
    built.full.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    (inputs,), (targets,) = examples.inputs.values(), examples.targets.values()
    loss, accuracy = built.full.evaluate(inputs, targets, verbose=0)
    assert found == {"loss": pytest.approx(loss, rel=1e-5), "accuracy": pytest.approx(accuracy)}


def test_the_same_weights_give_the_same_bits_in_another_model(config, facts, examples):
    one, other = build_model(config, facts), build_model(config, facts)
    found = [measure(model, config, examples).metrics for model in (one, other, one)]
    assert found[0] == found[1] == found[2]


def test_predictions_are_those_of_the_full_model(config, facts, examples):
    built = build_model(config, facts)
    outputs = Inference(built, config)({"input": examples.inputs["input"][:300]})["output"]
    assert outputs.shape == (300, 3)
    np.testing.assert_allclose(outputs, built.full.predict(examples.inputs["input"][:300], verbose=0), rtol=1e-5)


def test_padded_steps_are_in_no_table() -> None:
    layers = [
        {"Embedding": {"input_dim": 9, "output_dim": 4, "mask_zero": True}},
        {"LSTM": {"units": 4, "return_sequences": True}},
        {"Dense": {"units": 3, "activation": "softmax"}},
    ]
    training = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], "epochs": 1}
    sections = {"data": {"source": "digits"}, "model": {"layers": layers}, "training": training}
    config = Config.model_validate({"name": "x", **sections})
    facts = Facts(
        {"input": InputFacts((6,), "int32")}, {"target": TargetFacts("category", (6,), ("a", "b", "c"))}, 40, 10, 10
    )
    generator = np.random.default_rng(0)
    words = generator.integers(1, 9, (40, 6)).astype(np.int32)
    words[np.arange(6) >= generator.integers(1, 7, 40)[:, None]] = 0
    tags = generator.integers(0, 3, (40, 6)).astype(np.int32)
    built = build_model(config, facts)
    found = measure(built, config, Examples({"input": words}, {"target": tags}))
    (output,) = assessed_outputs(config, facts, {"target": tags}, found.outputs, np.arange(40))
    assert [row["support"] for row in output.table] == [int((tags[words > 0] == tag).sum()) for tag in range(3)]
    right = np.mean(found.outputs["output"].argmax(axis=2)[words > 0] == tags[words > 0])
    assert found.metrics["accuracy"] == pytest.approx(right)


@pytest.mark.parametrize("is_index", [False, True])
def test_reconstruction_errors_are_those_of_probabilities(is_index) -> None:
    """Logits are converted; class indices are compared with the probabilities of each class."""
    loss = "SparseCategoricalCrossentropy" if is_index else "BinaryCrossentropy"
    training = {"optimizer": "adam", "loss": {loss: {"from_logits": True}}, "metrics": [], "epochs": 1}
    layers = [{"Embedding": {"input_dim": 3, "output_dim": 3}}] if is_index else [{"Dense": 4}]
    sections = {"data": {"source": "digits", "target": "input"}, "model": {"layers": layers}, "training": training}
    config = Config.model_validate({"name": "x", **sections})
    built = build_model(config, Facts({"input": InputFacts((4,), "int32" if is_index else "float32")}, {}, 10, 0, 0))
    inputs = (
        np.random.default_rng(0).integers(0, 3 if is_index else 2, (10, 4)).astype("int32" if is_index else "float32")
    )
    logits = built.full.predict(inputs, verbose=0)
    expected = (
        np.eye(3)[inputs] - scipy.special.softmax(logits, -1) if is_index else inputs - scipy.special.expit(logits)
    )
    found = Inference(built, config)({"input": inputs})["output"]
    np.testing.assert_allclose(found, (expected**2).reshape(10, -1).mean(1), rtol=1e-5)
