"""What does not fit is known before a run directory exists; what fits trains."""

import json
from pathlib import Path

import numpy as np
import pytest

from dltool.keras_names import KINDS, arguments, find, names

CONFIG = """\
data: {{source: {{arrays: own.npz}}, split: {{validation: 0.2, test: 0.2}}, {data}}}
model: {{layers: [{layers}]}}
training: {{optimizer: adam, loss: {loss}, batch_size: 16, epochs: 1, {training}}}
"""
SPARSE = {"layers": "{Dense: {units: 3, activation: softmax}}", "loss": "sparse_categorical_crossentropy"}
BINARY = {"layers": "{Dense: {units: 1, activation: sigmoid}}", "loss": "binary_crossentropy"}
ONE_HOT = {"layers": "{Dense: {units: 3, activation: softmax}}", "loss": "categorical_crossentropy"}
NUMBER = {"layers": "{Dense: 1}", "loss": "mse"}
TARGETS = {"sparse": SPARSE, "binary": BINARY, "one hot": ONE_HOT, "number": NUMBER}


def write_arrays(folder: Path, target: str) -> None:
    random = np.random.default_rng(0)
    classes = random.integers(0, 2 if target == "binary" else 3, 60)
    labels = {
        "sparse": classes,
        "binary": classes,
        "one hot": np.eye(3, dtype="float32")[classes],
        "number": random.random(60, "float32"),
    }[target]
    np.savez(folder / "own.npz", x=random.random((60, 4), "float32"), y=labels)


def config(target: str = "sparse", data: str = "", training: str = "", **changes: str) -> str:
    return CONFIG.format(**{**TARGETS[target], "data": data, "training": training, **changes})


@pytest.fixture
def fails(train, tmp_path):
    """Train what cannot be trained; gives what is said. Nothing may have been written."""

    def run(text: str, *, code: int = 2, target: str = "sparse") -> str:
        write_arrays(tmp_path, target)
        outcome, _ = train(text)
        assert outcome.code == code, outcome.stderr
        assert "nothing was written" in outcome.stderr
        assert "Traceback" not in outcome.stderr
        assert sorted(path.name for path in tmp_path.iterdir()) == ["example.yaml", "own.npz"]
        return outcome.stderr

    return run


@pytest.mark.parametrize("metric", ["Precision", "AUC", "{MeanIoU: {num_classes: 3}}", "F1Score"])
def test_a_metric_that_cannot_take_the_targets_is_named(fails, metric) -> None:
    assert "training.metrics[0]: " in fails(config(training=f"metrics: [{metric}]"))


@pytest.mark.parametrize("loss", ["Hinge", "poisson", "ctc"])
def test_a_loss_that_cannot_take_the_targets_is_named(fails, loss) -> None:
    assert "training.loss" in fails(config(loss=loss))


@pytest.mark.parametrize("size", [1, 3])
def test_no_size_of_a_batch_hides_that_a_loss_cannot_take_the_targets(fails, size) -> None:
    said = fails(config(loss="Hinge").replace("batch_size: 16", f"batch_size: {size}"))
    assert "training.loss: this loss is for two classes, and the data has 3" in said


def test_what_only_a_step_finds_is_said_without_the_way_to_it(train, tmp_path) -> None:
    write_arrays(tmp_path, "sparse")
    outcome, _ = train(config(layers=f"MelSpectrogram, Flatten, {SPARSE['layers']}"))
    assert outcome.code == 3
    assert "cannot take the data: paddings must be less than the dimension size: 1024, 1024 not less than 4\n" in (
        outcome.stderr
    )


def test_weights_of_unknown_classes_are_named(fails) -> None:
    assert "training.class_weights.a: no such class" in fails(config(training="class_weights: {a: 1.0}"))


@pytest.mark.parametrize("layer", ["Normalization", "StringLookup", "{Discretization: {num_bins: 3}}"])
def test_a_layer_that_learns_from_the_data_belongs_to_the_preprocessing(fails, layer) -> None:
    said = fails(config(layers=f"{layer}, {SPARSE['layers']}"))
    assert "is fitted to the data" in said
    assert "it belongs at data.preprocessing" in said


def test_a_monitor_must_be_one_number(fails) -> None:
    text = config("one hot", training="metrics: [F1Score], checkpoint: {monitor: val_f1_score}")
    assert "val_f1_score is a number for each class" in fails(text, target="one hot")


def test_a_missing_package_of_a_callback_is_named(fails) -> None:
    from importlib.util import find_spec

    if find_spec("tensorboard"):
        pytest.skip("tensorboard is installed")
    assert 'pip install "tensorboard>=2.20"' in fails(config(training="callbacks: [TensorBoard]"), code=5)


def test_a_metric_of_several_numbers_is_recorded_for_each_class(train, tmp_path) -> None:
    write_arrays(tmp_path, "one hot")
    _, run = train(config("one hot", training="metrics: [F1Score]"))
    test = json.loads((run / "results.json").read_text("utf-8"))["test"]
    assert set(test) == {"loss", "f1_score_0", "f1_score_1", "f1_score_2"}


def test_metrics_of_two_classes_take_one_output(train, tmp_path) -> None:
    write_arrays(tmp_path, "binary")
    metrics = "BinaryCrossentropy, {F1Score: {threshold: 0.5, average: macro}}, AUC"
    outcome, _ = train(config("binary", training=f"metrics: [{metrics}], class_weights: balanced"))
    assert outcome.code == 0, outcome.stderr


@pytest.mark.slow
def test_a_monitor_that_was_never_a_number_leaves_the_last_weights(train, dltool, tmp_path) -> None:
    random = np.random.default_rng(0)
    np.savez(tmp_path / "own.npz", x=random.random((60, 4), "float32"), y=random.random(60, "float32"))
    own = tmp_path / "own.py"
    own.write_text("def never(y_true, y_pred):\n    return (y_true - y_pred)[:, 0] * float('nan')\n", encoding="utf-8")
    code = ("--allow-code", str(own))
    text = config("number", training="metrics: [never], checkpoint: {monitor: val_never, mode: min}")
    outcome, run = train(text, *code)
    assert outcome.code == 0, outcome.stderr
    assert "val_never was never a number" in outcome.stdout
    assert dltool("evaluate", run, *code).code == 0
    assert train(text, "--smoke", *code)[0].code == 0


@pytest.mark.parametrize(
    "mode", ["tf_idf", *(pytest.param(m, marks=pytest.mark.slow) for m in ("int", "multi_hot", "count"))]
)
def test_text_becomes_vectors(train, dltool, tmp_path, mode) -> None:
    words = np.array(["good film", "bad film", "very good", "very bad"])
    chosen = np.random.default_rng(0).integers(0, 4, 60)
    np.savez(tmp_path / "own.npz", x=words[chosen], y=chosen % 2)
    length = ", output_sequence_length: 3" if mode == "int" else ""
    data = f"preprocessing: [{{TextVectorization: {{output_mode: {mode}{length}}}}}]"
    outcome, run = train(config("binary", data=data, training="metrics: [accuracy]"))
    assert outcome.code == 0, outcome.stderr
    import keras

    model = keras.models.load_model(run / "model.keras")
    assert model.predict(keras.ops.convert_to_tensor([["good film"], ["bad"]]), verbose=0).shape == (2, 1)
    assert dltool("evaluate", run).code == 0


def test_an_error_after_the_start_says_where_the_run_is(train, tmp_path) -> None:
    np.savez(tmp_path / "own.npz", x=np.arange(240).reshape(60, 4), y=np.arange(60) % 3)
    outcome, run = train(
        config(layers="Flatten, {Embedding: {input_dim: 20, output_dim: 2}}, Flatten, " + SPARSE["layers"])
    )
    assert outcome.code == 2
    assert "the embedding has rows 0 to 19" in outcome.stderr
    assert "nothing was written" not in outcome.stderr
    assert f"kept in {run}" in outcome.stderr


REQUIRED = {"num_classes": 3, "k": 2, "normalizer": [1.0], "target_class_ids": [0], "order": 2}


def nameable(kind: str) -> list[str]:
    found = [name for name in names(kind) if (known := find(kind, name)) and not known.refusal and known.means == name]
    return [name for name in found if all(a in REQUIRED or a in THRESHOLDS for a in required(kind, name))]


THRESHOLDS = ("recall", "precision", "specificity", "sensitivity")


def required(kind: str, name: str) -> list[str]:
    return [argument for argument, known in arguments(kind, name).items() if known.required]


def written(kind: str, name: str) -> str:
    given = {argument: REQUIRED.get(argument, 0.5) for argument in required(kind, name)}
    return json.dumps({name: given}) if given else name


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", ["metric", "loss"])
def test_every_metric_and_loss_trains_or_is_refused_before_the_run(kind, target, train, tmp_path) -> None:
    assert kind in KINDS
    write_arrays(tmp_path, target)
    outcomes: dict[int, list[str]] = {}
    for name in nameable(kind):
        entry = written(kind, name)
        text = config(target, training=f"metrics: [{entry}]") if kind == "metric" else config(target, loss=entry)
        outcome, run = train(text, folder=f"{kind}-{name}")
        outcomes.setdefault(outcome.code, []).append(name)
        assert outcome.code in (0, 2, 6), (name, outcome.stderr)
        if outcome.code == 2:
            assert not run.exists(), (name, outcome.stderr)
    assert len(outcomes[0]) > 3
