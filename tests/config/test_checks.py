from dataclasses import dataclass
from typing import Any

import pytest

from dltool.config.checks import measured_names, static_checks
from dltool.config.keras.objects import UNKNOWN, KerasObject, parse_keras_object
from dltool.config.layer_checks import independent
from dltool.config.outputs import OutputSpec
from dltool.config.schema import Config
from dltool.config.slice_checks import ungrouped_problems
from dltool.config.tasks import TargetFacts, TargetKind


@dataclass(frozen=True)
class Facts:
    kind: TargetKind = "category"
    shape: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ("a", "b", "c")
    examples: int = 1000
    validation_examples: int = 10
    test_examples: int = 10
    extremes: tuple[float, float] | None = None

    @property
    def targets(self) -> dict[str, TargetFacts]:
        return {"target": TargetFacts(self.kind, self.shape, self.class_names, self.extremes)}


NUMBER = Facts("number", (), ())
PAIR = Facts(class_names=("no", "yes"))
LABELS = Facts("multi_label", (3,))
SOFTMAX = {"Dense": {"units": 3, "activation": "softmax"}}


def problems(facts: Facts | None, *layers: Any, **training: Any) -> list[tuple[Any, str, str]]:
    needed = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "epochs": 1}
    sections = {
        "data": {"source": "digits"},
        "model": {"layers": list(layers) or [SOFTMAX]},
        "training": needed | training,
    }
    config = Config.model_validate({"name": "x", **sections})
    return [(problem.place, problem.message, problem.hint) for problem in static_checks(config, facts)]


LAST = ("model", "layers", 0, "Dense", "units")
ACTIVATION = ("model", "layers", 0, "Dense", "activation")
LOSS = ("training", "loss")


@pytest.mark.parametrize(
    ("facts", "layer", "loss", "expected"),
    [
        (
            LABELS,
            {"Dense": {"units": 1, "activation": "sigmoid"}},
            "binary_crossentropy",
            (LAST, "1 output for 3 labels", "units: $classes"),
        ),
        (
            LABELS,
            SOFTMAX,
            "sparse_categorical_crossentropy",
            (LOSS, "an example may have several labels, and this loss is for one class", "loss: binary_crossentropy"),
        ),
        (
            Facts(),
            {"Dense": {"units": 5, "activation": "softmax"}},
            "sparse_categorical_crossentropy",
            (LAST, "5 outputs for 3 classes", "units: 3, or units: $classes"),
        ),
        (
            Facts(),
            SOFTMAX,
            "mse",
            (LOSS, "the targets are classes, and this loss is for numbers", "loss: sparse_categorical_crossentropy"),
        ),
        (
            Facts(),
            {"Dense": {"units": 1, "activation": "sigmoid"}},
            "binary_crossentropy",
            (LOSS, "this loss is for two classes, and the data has 3", "loss: sparse_categorical_crossentropy"),
        ),
        (
            PAIR,
            {"Dense": {"units": 2, "activation": "sigmoid"}},
            "binary_crossentropy",
            (LAST, "2 outputs for 2 classes: this loss needs one", "units: 1 and activation: sigmoid"),
        ),
        (
            PAIR,
            {"Dense": {"units": 1, "activation": "sigmoid"}},
            "sparse_categorical_crossentropy",
            (
                LAST,
                "1 output for 2 classes",
                "units: 2, or units: $classes; or loss: binary_crossentropy with activation: sigmoid",
            ),
        ),
        (
            NUMBER,
            {"Dense": 1},
            "sparse_categorical_crossentropy",
            (
                LOSS,
                "the target is a number, and this loss is for classes",
                "loss: mean_squared_error, or target: category under data if each number is a class",
            ),
        ),
        (NUMBER, {"Dense": 3}, "mse", (LAST, "3 outputs for 1 number", "units: 1")),
        (
            Facts("number", (6,), ()),
            {"Dense": 1},
            "mse",
            (LAST, "1 output for 6 numbers", "units: 6, or Flatten after it if it gives a number for each step"),
        ),
        (
            Facts("number", (6, 3), (), extremes=(0, 1)),
            SOFTMAX,
            "sparse_categorical_crossentropy",
            (
                LOSS,
                "the target is 6x3 numbers of 0 or 1, and this loss is for class indices",
                "one-hot targets take categorical_crossentropy; if each number is a class, write target: category",
            ),
        ),
        (
            Facts("category", (4,)),
            {"Dense": 3},
            "CTC",
            (
                LOSS,
                "CTC takes class 0 for its blank, and category numbers the classes anew",
                "target: {index: N} takes integers from 0 to N - 1 unchanged",
            ),
        ),
        (
            Facts("index", (4,)),
            SOFTMAX,
            "CTC",
            (ACTIVATION, "softmax makes probabilities, and the loss takes logits", "remove the activation"),
        ),
        (
            PAIR,
            {"Dense": {"units": 1, "activation": "softmax"}},
            "binary_crossentropy",
            (ACTIVATION, "softmax over one output is always 1", "activation: sigmoid"),
        ),
        (
            Facts(),
            SOFTMAX,
            {"SparseCategoricalCrossentropy": {"from_logits": True}},
            (
                ACTIVATION,
                "softmax makes probabilities, and the loss has from_logits: true",
                "remove the activation, or from_logits",
            ),
        ),
        (
            Facts(),
            {"Dense": 3},
            "sparse_categorical_crossentropy",
            (
                LAST[:-1],
                "the loss expects probabilities, and the last layer has no activation",
                "activation: softmax, or from_logits: true",
            ),
        ),
    ],
)
def test_what_does_not_fit_is_named_with_a_way_out(facts, layer, loss, expected):
    assert expected in problems(facts, layer, loss=loss)


@pytest.mark.parametrize(
    ("facts", "layers", "loss"),
    [
        (Facts(), [SOFTMAX], "sparse_categorical_crossentropy"),
        (Facts(), [{"Dense": 3}, "Softmax"], "sparse_categorical_crossentropy"),
        (Facts(), [{"Dense": 3}, {"Activation": "softmax"}, {"Dropout": 0.1}], "sparse_categorical_crossentropy"),
        (Facts(), [{"Dense": 3}], {"SparseCategoricalCrossentropy": {"from_logits": True}}),
        (PAIR, [{"Dense": {"units": 1, "activation": "sigmoid"}}], "binary_crossentropy"),
        (NUMBER, [{"Dense": 1}], "huber"),
        (Facts("number", (4,), ()), [{"Dense": 4}], "mse"),
        (Facts("number", (6, 3), ()), [SOFTMAX], "categorical_crossentropy"),
        (Facts("index", (4,)), [{"Dense": 3}], "CTC"),
        (Facts("index"), [SOFTMAX], "sparse_categorical_crossentropy"),
        (Facts(), ["Flatten"], "sparse_categorical_crossentropy"),
        (None, [SOFTMAX], "mse"),
    ],
)
def test_what_fits_passes(facts, layers, loss):
    assert problems(facts, *layers, loss=loss) == []


def test_what_is_not_known_yet_is_not_checked():
    assert problems(Facts(), {"Dense": {"units": UNKNOWN, "activation": "softmax"}}) == []


@pytest.mark.parametrize(
    ("validation", "training", "place", "message", "hint"),
    [
        (
            0,
            {"checkpoint": {"monitor": "val_loss"}},
            ("training", "checkpoint", "monitor"),
            "no val_loss: there is no validation split",
            "monitor: loss, or data.split.validation: 0.1",
        ),
        (
            0,
            {"callbacks": ["EarlyStopping"]},
            ("training", "callbacks", 0),
            "EarlyStopping monitors val_loss, and there is no validation split",
            "monitor: loss, or data.split.validation: 0.1",
        ),
        (
            9,
            {"metrics": ["accuracy"], "checkpoint": {"monitor": "val_acuracy"}},
            ("training", "checkpoint", "monitor"),
            'no metric is called "val_acuracy"',
            'did you mean "val_accuracy"?',
        ),
        (
            9,
            {"callbacks": [{"ReduceLROnPlateau": {"monitor": "auc"}}]},
            ("training", "callbacks", 0, "ReduceLROnPlateau", "monitor"),
            'no metric is called "auc"',
            "known: loss, val_loss",
        ),
    ],
)
def test_a_monitor_that_will_not_exist_is_named(validation, training, place, message, hint):
    assert problems(Facts(validation_examples=validation), **training) == [(place, message, hint)]


@pytest.mark.parametrize("name", ["seconds", "epoch", "loss", "learning_rate", "parameters", "val_accuracy"])
def test_a_metric_cannot_take_a_name_that_means_something_else(name):
    (found,) = problems(Facts(), SOFTMAX, metrics=[{"SparseCategoricalAccuracy": {"name": name}}])
    assert found[0] == ("training", "metrics", 0, "SparseCategoricalAccuracy", "name")
    assert found[1].startswith(f'a metric cannot have the name "{name}"')
    assert problems(Facts(), SOFTMAX, metrics=[{"SparseCategoricalAccuracy": {"name": "my_loss"}}]) == []


def test_a_class_for_each_pixel_is_checked_by_the_last_axis():
    mask = Facts(shape=(8, 8))
    assert problems(mask, SOFTMAX) == []
    five = problems(mask, {"Dense": {"units": 5, "activation": "softmax"}})
    assert [message for _, message, _ in five] == ["5 outputs for 3 classes"]


def test_labels_of_several_values_may_be_meant_as_classes():
    (found,) = problems(Facts("number", (8, 8), ()), SOFTMAX)
    expected = "the target is 8x8 numbers, and this loss is for classes"
    assert found == (LOSS, expected, "if each is a class, write target: category under data")


@pytest.mark.parametrize(
    ("facts", "loss", "message", "hint"),
    [
        (
            Facts("number", (3,), ()),
            "categorical_crossentropy",
            "the targets are one-hot numbers, whose classes have no names",
            "save class indices, y.argmax(axis=-1); this loss one-hot encodes them",
        ),
        (NUMBER, "mse", "the target is a number and has no classes", "remove it"),
        (
            LABELS,
            "binary_crossentropy",
            "an example may have several labels, and class weights need one class",
            "remove it",
        ),
    ],
)
def test_class_weights_need_classes(facts, loss, message, hint):
    units = 1 if facts is NUMBER else 3
    layer = {"Dense": {"units": units, "activation": {LABELS: "sigmoid", NUMBER: "linear"}.get(facts, "softmax")}}
    found = problems(facts, layer, loss=loss, class_weights="balanced")
    assert found == [(("training", "class_weights"), message, hint)]


def test_class_weights_need_one_class_an_example():
    (found,) = problems(Facts(shape=(8, 8)), SOFTMAX, class_weights="balanced")
    assert found[0] == ("training", "class_weights")


def test_a_spectrogram_may_not_depend_on_the_other_recordings_of_its_batch():
    (found,) = problems(None, {"MelSpectrogram": {"num_mel_bins": 40, "top_db": 80.0}}, SOFTMAX)
    place = ("model", "layers", 0, "MelSpectrogram", "top_db")
    message = "expected at least 200 decibels, got 80: audio clips would depend on others in the batch"
    assert found == (place, message, "top_db: 200")
    (quiet,) = problems(None, {"MelSpectrogram": {"min_power": 1e-4, "top_db": 120.0}}, SOFTMAX)
    assert quiet[2] == "top_db: 140"


@pytest.mark.parametrize(
    "arguments",
    [{}, {"top_db": 200.0}, {"min_power": 1e-4, "top_db": 140.0}, {"power_to_db": False}, {"top_db": UNKNOWN}],
)
def test_a_spectrogram_that_depends_on_its_own_recording_alone_is_fine(arguments):
    assert problems(None, {"MelSpectrogram": arguments}, SOFTMAX) == []


def test_a_spectrogram_without_a_top_db_gets_the_one_that_it_needs():
    assert independent(KerasObject("layer", "MelSpectrogram")).arguments == {"top_db": 200.0}
    assert independent(KerasObject("layer", "MelSpectrogram", {"power_to_db": False})).arguments == {
        "power_to_db": False
    }
    given = KerasObject("layer", "MelSpectrogram", {"top_db": 300.0})
    assert independent(given) is given


@pytest.mark.parametrize(
    ("loss", "metric", "message", "hint"),
    [
        (
            "sparse_categorical_crossentropy",
            {"TopKCategoricalAccuracy": 2},
            "TopKCategoricalAccuracy takes one-hot targets, and the loss takes class indices",
            "write SparseTopKCategoricalAccuracy",
        ),
        (
            "sparse_categorical_crossentropy",
            {"F1Score": {"average": "macro"}},
            "F1Score takes one-hot targets, and the loss takes class indices",
            "loss: categorical_crossentropy one-hot encodes the classes",
        ),
        (
            "categorical_crossentropy",
            "sparse_categorical_accuracy",
            "sparse_categorical_accuracy takes class indices, and the loss takes one-hot targets",
            "write categorical_accuracy",
        ),
    ],
)
def test_a_metric_takes_classes_in_the_form_of_the_loss(loss, metric, message, hint):
    assert problems(Facts(), SOFTMAX, loss=loss, metrics=[metric]) == [(("training", "metrics", 0), message, hint)]


@pytest.mark.parametrize("loss", ["categorical_crossentropy", {"CategoricalCrossentropy": {"label_smoothing": 0.1}}])
def test_a_loss_for_one_hot_vectors_takes_classes(loss):
    assert problems(Facts(), SOFTMAX, loss=loss, metrics=["accuracy", "F1Score"]) == []
    (found,) = problems(Facts(), {"Dense": {"units": 5, "activation": "softmax"}}, loss=loss)
    assert found[:2] == (LAST, "5 outputs for 3 classes")


def test_two_mistakes_give_two_problems():
    found = problems(Facts(), {"Dense": {"units": 5, "activation": "softmax"}}, callbacks=[{"EarlyStopping": "x"}])
    assert len(found) == 2


def test_repeated_metrics_are_numbered():
    entries = [parse_keras_object("metric", value)[0] for value in ("AUC", "AUC", {"Precision": {"name": "p"}}, "mse")]
    metrics = [entry for entry in entries if isinstance(entry, KerasObject)]
    head = OutputSpec("output", None, "target", KerasObject("loss", "mse"), metrics, 1.0, ("training",))
    assert measured_names([head]) == ["loss", "auc", "auc_1", "p", "mse"]


CONV = {"filters": 3, "kernel_size": 1}
SOFT = {"activation": "softmax"}
EACH = {"Dense": {"units": 3, "activation": "sigmoid"}}
BRANCHES = [{"Dense": {"units": 3, "name": "one"} | SOFT}, {"Dense": {"units": 3, "name": "two", "from": "one"} | SOFT}]
THIRD = {"Dense": {"units": 3, "name": "three", "from": "one", "activation": "sigmoid"}}


@pytest.mark.parametrize(
    ("layers", "activation"),
    [
        ([{"Conv2D": CONV}, "GlobalAveragePooling2D"], ""),
        ([{"Dense": 36}, {"Reshape": [12, 3]}], ""),
        ([SOFTMAX, "BatchNormalization"], ""),
        ([{"Embedding": {"input_dim": 5, "output_dim": 3}}], ""),
        ([{"TimeDistributed": {"layer": {"Dense": {"units": 3, "activation": "relu"}}}}], "relu"),
        ([{"LSTM": 3}], "tanh"),
        ([{"Bidirectional": {"layer": {"GRU": {"units": 3, "return_sequences": True}}}}, {"Dropout": 0.1}], "tanh"),
        ([{"Conv2D": CONV | SOFT}, "GlobalMaxPool2D"], "GlobalMaxPooling2D of softmax"),
        ([{"Dense": 3}, "ReLU"], "relu"),
        ([{"Dense": 3}, {"Activation": "sigmoid"}, "Flatten"], "sigmoid"),
        ([*BRANCHES, {"Concatenate": {"from": ["one", "two"]}}], "Concatenate of softmax"),
        ([*BRANCHES, {"Add": {"from": ["one", "two"]}}], "Add of softmax"),
        ([*BRANCHES, {"Multiply": {"from": ["one", "two"]}}], "Multiply of softmax"),
        ([*BRANCHES, THIRD, {"Average": {"from": ["one", "three"]}}], "Average of sigmoid and softmax"),
        ([{"Dense": {"units": 36, "activation": "softmax"}}, {"Reshape": [12, 3]}], "Reshape of softmax"),
        ([{"Dense": {"units": 3, "activation": "softmax"}}, {"Permute": [2, 1]}], "Permute of softmax"),
        (["Flatten", {"Dense": {"units": 3, "activation": "relu", "name": "own"}}, {"own": {"name": "again"}}], "relu"),
        ([{"backbone": "MobileNetV2"}, "GlobalAveragePooling2D"], "the backbone MobileNetV2"),
    ],
)
def test_a_last_activation_is_found_wherever_it_is(layers, activation):
    (found,) = [each for each in problems(None, *layers) if "probabilities" in each[1]]
    end = f"and {activation} gives none" if activation else "and the last layer has no activation"
    assert found[1].endswith(end)
    assert found[2].startswith(("activation: softmax", "end with Softmax"))


@pytest.mark.parametrize(
    "layers",
    [
        [{"Conv2D": CONV | SOFT}, "GlobalAveragePooling2D"],
        [{"Dense": 36}, {"Reshape": [12, 3]}, "Softmax"],
        [{"TimeDistributed": {"layer": SOFTMAX}}],
        [*BRANCHES, {"Average": {"from": ["one", "two"]}}],
        [{"Dense": {"units": 3, "name": "own"} | SOFT}, {"Activation": "linear"}, "Identity"],
        [{"Dense": {"units": UNKNOWN} | SOFT}, {"Dropout": UNKNOWN}],
        [{"Dense": {"units": 3, "activation": UNKNOWN}}],
    ],
)
def test_probabilities_pass_layers_that_keep_them(layers):
    assert problems(None, *layers) == []


@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "relu", "softplus"])
def test_a_loss_of_signs_takes_no_output_above_zero(activation):
    ((place, message, hint),) = problems(PAIR, {"Dense": {"units": 1, "activation": activation}}, loss="hinge")[:1]
    assert place == ACTIVATION
    assert "above" in message or "sign" in message or "always 1" in message
    assert hint in ("activation: tanh, or none", "activation: sigmoid")
    assert (
        problems(PAIR, {"Dense": {"units": 1, "activation": "tanh"}}, loss="hinge", metrics=["accuracy", "AUC"]) == []
    )


@pytest.mark.parametrize(
    ("facts", "layer", "loss", "metric", "message", "hint"),
    [
        (Facts(), SOFTMAX, "sparse_categorical_crossentropy", "BinaryAccuracy", "takes 0 or 1", "write accuracy"),
        (Facts(), SOFTMAX, "categorical_crossentropy", "BinaryAccuracy", "takes 0 or 1", "write accuracy"),
        (NUMBER, {"Dense": 1}, "mse", "accuracy", "takes classes", "write mean_absolute_error"),
        (NUMBER, {"Dense": 1}, "mse", "PearsonCorrelation", "each has one", "write R2Score"),
        (Facts(), SOFTMAX, "circle", "accuracy", "no outputs for classes", "remove it"),
        (LABELS, EACH, "binary_crossentropy", "CategoricalAccuracy", "one-hot", "write BinaryAccuracy"),
        (
            PAIR,
            {"Dense": EACH["Dense"] | {"units": 1}},
            "binary_crossentropy",
            "Hinge",
            "sign is the class, not probabilities",
            "remove it",
        ),
        (Facts(), {"Dense": 3}, "categorical_hinge", "AUC", "needs probabilities", "remove it, or write accuracy"),
        (
            Facts(),
            SOFTMAX,
            "categorical_crossentropy",
            {"AUC": {"from_logits": True}},
            "from_logits: true, and the outputs are probabilities",
            "remove from_logits",
        ),
        (
            Facts(),
            SOFTMAX,
            "sparse_categorical_crossentropy",
            {"MeanIoU": {"num_classes": 3}},
            "takes the outputs for class indices",
            "sparse_y_pred: false",
        ),
    ],
)
def test_a_metric_that_would_compare_something_else_is_refused(facts, layer, loss, metric, message, hint):
    ((place, found, way_out),) = problems(facts, layer, loss=loss, metrics=[metric])
    assert place[:3] == ("training", "metrics", 0)
    assert message in found
    assert way_out == hint


def far(low: float, high: float) -> Any:
    facts = Facts("number", (), ())
    target = TargetFacts("number", extremes=(low, high))
    return type("Known", (), {"targets": {"target": target}, "validation_examples": facts.validation_examples})()


@pytest.mark.parametrize(
    ("activation", "loss", "low", "high", "place", "message"),
    [
        ("sigmoid", "mse", 0, 80, ACTIVATION, "sigmoid gives values from 0 to 1, and the targets lie between 0 and 80"),
        ("tanh", "mae", -3, 1, ACTIVATION, "tanh gives values from -1 to 1, and the targets lie between -3 and 1"),
        ("relu", "mse", -1, 5, ACTIVATION, "relu gives values above 0, and the targets lie between -1 and 5"),
        (
            "sigmoid",
            "bce",
            0,
            1.5,
            LOSS,
            "this loss takes targets from 0 to 1, and the targets lie between 0 and 1.5",
        ),
        ("exponential", "poisson", -1, 5, LOSS, "this loss takes targets of at least 0"),
        ("linear", "poisson", 0, 5, ACTIVATION, "the loss takes outputs of at least 0, and outputs without activation"),
        ("tanh", "hinge", 20, 30, LOSS, "this loss takes targets from -1 to 1, and the targets lie between 20 and 30"),
        ("linear", "categorical_hinge", 0, 9, LOSS, "the target is a number, and this loss is for classes"),
        ("linear", "msle", -1, 5, LOSS, "this loss takes targets of at least 0, and the targets lie between -1 and 5"),
    ],
)
def test_numbers_out_of_reach_are_refused(activation, loss, low, high, place, message):
    ((found, text, _),) = problems(far(low, high), {"Dense": {"units": 1, "activation": activation}}, loss=loss)
    assert found == place
    assert text.startswith(message)


def test_numbers_within_reach_pass():
    assert problems(far(0, 1), {"Dense": {"units": 1, "activation": "sigmoid"}}, loss="binary_crossentropy") == []
    assert problems(far(-1, 1), {"Dense": {"units": 1, "activation": "tanh"}}, loss="mse") == []
    assert problems(far(-9, 9), {"Dense": 1}, loss="mse") == []
    assert problems(far(0, 9), {"Dense": {"units": 1, "activation": "softplus"}}, loss="poisson") == []


@pytest.mark.parametrize(
    ("metric", "low", "high", "message"),
    [
        ("Hinge", 20, 30, "Hinge takes targets from -1 to 1, and the targets lie between 20 and 30"),
        ("msle", -3, 30, "msle takes targets of at least 0, and the targets lie between -3 and 30"),
        ("Poisson", 0, 30, "Poisson takes outputs of at least 0, and outputs without activation may be lower"),
    ],
)
def test_a_metric_that_numbers_are_out_of_reach_of_is_refused(metric, low, high, message):
    ((place, found, _),) = problems(far(low, high), {"Dense": 1}, loss="mse", metrics=[metric])
    assert place == ("training", "metrics", 0)
    assert found == message


@pytest.mark.parametrize("metric", ["accuracy", "AUC", "F1Score", "BinaryIoU"])
def test_numbers_between_0_and_1_are_no_classes(metric):
    """Keras would find no prediction of 0 or 1 that is equal to 0.3, and takes 0.3 for true."""
    sigmoid = {"Dense": {"units": 1, "activation": "sigmoid"}}
    for are_binary, expected in ((False, [("training", "metrics", 0)]), (True, [])):
        target = TargetFacts("number", extremes=(0, 1), are_binary=are_binary)
        facts: Any = type("Known", (), {"targets": {"target": target}, "validation_examples": 10})()
        found = problems(facts, sigmoid, loss="binary_crossentropy", metrics=[metric, "mse"])
        assert [place for place, _, _ in found] == expected


def test_a_schedule_leaves_nothing_to_reduce_on_a_plateau():
    decay = {"ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.9}}
    ((place, message, _),) = problems(
        Facts(), optimizer={"Adam": {"learning_rate": decay}}, callbacks=["ReduceLROnPlateau"]
    )
    assert place == ("training", "callbacks", 0)
    assert message == "ReduceLROnPlateau sets the learning rate, which a schedule determines here"
    assert problems(Facts(), optimizer={"Adam": {"learning_rate": 0.1}}, callbacks=["ReduceLROnPlateau"]) == []


@pytest.mark.parametrize("name", ["RMSProp", "ADAM", "Sgd", "adamw"])
def test_optimizers_are_named_in_any_case(name):
    assert problems(Facts(), optimizer={name: {"learning_rate": 0.1}}) == []


def test_a_last_activation_is_found_behind_many_layers_and_branches():
    assert problems(None, SOFTMAX, *[{"Dropout": 0.1}] * 3000) == []
    branches = [{"Dense": {"units": 3, "name": "x0"} | SOFT}]
    for number in range(60):
        branches.append({"Dropout": {"rate": 0.1, "name": f"d{number}", "from": f"x{number}"}})
        branches.append({"Average": {"name": f"x{number + 1}", "from": [f"x{number}", f"d{number}"]}})
    assert problems(None, *branches) == []
    (found,) = [each for each in problems(None, *branches, "ReLU") if "probabilities" in each[1]]
    assert found[1].endswith("and relu gives none")


SIGMOID = {"Dense": {"units": 1, "activation": "sigmoid"}}
THRESHOLD = ("training", "threshold")


@pytest.mark.parametrize(
    ("facts", "layer", "training", "expected"),
    [
        (PAIR, SIGMOID, {"threshold": 0.3}, None),
        (PAIR, SIGMOID, {"threshold": "F1Score"}, None),
        (PAIR, SIGMOID, {"threshold": {"yes": 0.3}}, (THRESHOLD, "two classes have one threshold")),
        (
            Facts(),
            SOFTMAX,
            {"loss": "sparse_categorical_crossentropy", "threshold": 0.3},
            (THRESHOLD, "decides between two classes, and the data has 3"),
        ),
        (NUMBER, {"Dense": 1}, {"loss": "mse", "threshold": 0.3}, (THRESHOLD, "the target is a number")),
        (
            PAIR,
            {"Dense": {"units": 1, "activation": "tanh"}},
            {"loss": "hinge", "threshold": 0.3},
            (THRESHOLD, "a threshold is for probabilities"),
        ),
        (
            Facts(class_names=("no", "yes"), validation_examples=0),
            SIGMOID,
            {"threshold": "accuracy"},
            (THRESHOLD, "no validation split to choose the threshold by accuracy"),
        ),
        (
            LABELS,
            {"Dense": {"units": 3, "activation": "sigmoid"}},
            {"threshold": {"a": 0.1, "b": 0.2}},
            (THRESHOLD, "no threshold for c"),
        ),
        (
            LABELS,
            {"Dense": {"units": 3, "activation": "sigmoid"}},
            {"threshold": {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}},
            ((*THRESHOLD, "d"), "no such label"),
        ),
    ],
)
def test_a_threshold_decides_between_two_classes_or_about_labels(facts, layer, training, expected):
    found = problems(facts, layer, **{"loss": "binary_crossentropy", **training})
    if expected is None:
        assert found == []
    else:
        (problem,) = found
        assert problem[0] == expected[0]
        assert expected[1] in problem[1]


@pytest.mark.parametrize(
    "layer",
    [
        {"LayerNormalization": {"axis": 0}},
        {"BatchNormalization": {"axis": 0}},
        {"LayerNormalization": {"axis": [0, 1]}},
    ],
)
def test_a_layer_may_not_compare_the_examples_of_a_batch(layer):
    (found,) = problems(None, layer, SOFTMAX)
    place = ("model", "layers", 0, next(iter(layer)), "axis")
    assert found == (place, "axis 0 is that of the examples", "axis: -1, the last one")
    assert problems(None, {"LayerNormalization": {"axis": [1, 2]}}, SOFTMAX) == []


def test_slices_are_refused_if_no_output_has_results_by_group():
    def refused(facts: Any, loss: str, *targets: str | None) -> list[str]:
        heads = [
            OutputSpec(f"out{at}", None, each, KerasObject("loss", loss), (), 1.0, ("training",))
            for at, each in enumerate(targets)
        ]
        data = {"source": {"csv": "a.csv"}, "target": "income", "slices": ["sex"]}
        training = {"optimizer": "adam", "loss": "mse", "epochs": 1}
        config = Config.model_validate(
            {"name": "x", "data": data, "model": {"layers": [SOFTMAX]}, "training": training}
        )
        found = ungrouped_problems(config, heads, facts)
        assert all(each.place == ("data", "slices") for each in found)
        return [each.message for each in found]

    words = "nothing to compare by group: out0 reconstructs its input, which no constant of a group does"
    assert refused(None, "mean_squared_error", None) == [words]
    assert refused(None, "mean_squared_error", None, "target") == []
    assert "out0 gives no probabilities, with the loss hinge" in refused(PAIR, "hinge", "target")[0]
    assert refused(LABELS, "binary_crossentropy", "target") == []
    assert refused(NUMBER, "quantile", "target") == []
