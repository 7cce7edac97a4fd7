"""Several outputs: what each is compared with, and every mistake between outputs, targets and layers."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from dltool.config.checks import measured_names, static_checks
from dltool.config.keras.objects import UNKNOWN
from dltool.config.load import build_config, read_document, read_recorded
from dltool.config.outputs import heads_of
from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.config.text.dump import dump_yaml

DIGIT = {"Dense": {"units": 10, "activation": "softmax", "name": "digit"}}
SIZE = {"Dense": {"units": 1, "name": "size", "from": "trunk"}}
LAYERS = [{"Dense": {"units": 4, "name": "trunk"}}, DIGIT, SIZE]
TABLE = {"source": {"csv": "a.csv"}, "target": {"digit": "category", "size": "number"}}
OUTPUTS: dict[str, Any] = {
    "digit": {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
    "size": {"loss": "mse", "metrics": ["mae"], "weight": 0.5},
}


def config_of(data: Any = TABLE, layers: Any = LAYERS, outputs: Any = OUTPUTS, **sections: Any) -> Config:
    training = {"optimizer": "adam", "epochs": 1, **sections.pop("training", {})}
    model = {"layers": layers, "outputs": outputs}
    return Config.model_validate({"name": "x", "data": data, "model": model, "training": training, **sections})


@dataclass(frozen=True)
class Facts:
    targets: dict[str, TargetFacts] = field(
        default_factory=lambda: {
            "digit": TargetFacts("category", (), tuple("0123456789")),
            "size": TargetFacts("number"),
        }
    )
    examples: int = 1000
    validation_examples: int = 10
    test_examples: int = 10


def found(config: Config, facts: Facts | None = None) -> list[tuple[Any, str, str]]:
    return [(problem.place, problem.message, problem.hint) for problem in static_checks(config, facts or Facts())]


def test_an_output_is_that_of_the_layer_and_compared_with_the_target_of_its_name() -> None:
    digit, size = heads_of(config_of())
    assert (digit.layer, digit.target, digit.weight) == ("digit", "digit", 1)
    assert (size.layer, size.target, size.weight) == ("size", "size", 0.5)
    assert found(config_of()) == []


def test_layer_and_target_may_have_other_names() -> None:
    head, _ = heads_of(config_of(outputs={"a": {**OUTPUTS["digit"], "from": "digit", "target": "digit"}, **OUTPUTS}))[
        :2
    ]
    assert (head.name, head.layer, head.target) == ("a", "digit", "digit")


def test_the_only_target_is_that_of_every_output() -> None:
    outputs = {"main": {**OUTPUTS["digit"], "from": "digit"}, "digit": OUTPUTS["digit"]}
    assert [head.target for head in heads_of(config_of({"source": "digits"}, outputs=outputs))] == ["target"] * 2


def test_input_is_the_input_itself() -> None:
    outputs = {"digit": OUTPUTS["digit"], "size": {"target": "input", "loss": "mse"}}
    assert [head.target for head in heads_of(config_of({"source": "digits"}, outputs=outputs))] == ["target", None]
    assert heads_of(config_of({"source": "digits", "target": "input"}))[0].target is None


def test_logs_have_the_names_of_keras() -> None:
    several = measured_names(heads_of(config_of()))
    assert several == ["loss", "digit_loss", "size_loss", "digit_accuracy", "size_mae"]
    one = config_of({"source": "digits"}, outputs={"digit": OUTPUTS["digit"]})
    assert measured_names(heads_of(one)) == ["loss", "accuracy"]


def test_the_config_of_a_run_is_read_again_as_it_was() -> None:
    arrays = {"source": {"arrays": {"path": "/a.npz", "x": {"left": "a"}, "y": {"digit": "b", "size": "c"}}}}
    restored = {"source": "digits", "target": "input"}
    for data in (TABLE, arrays, {**arrays, "target": {"size": "number"}}, restored):
        outputs = OUTPUTS if "target" not in data or data["target"] != "input" else {"digit": OUTPUTS["digit"]}
        config = config_of(data, outputs=outputs)
        assert read_recorded(dump_yaml(config).encode(), "resolved.yaml") == config


OF = ("model", "outputs")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"outputs": {**OUTPUTS, "size": {"loss": "mse", "from": "siz"}}},
            ((*OF, "size", "from"), 'no layer is called "siz"', 'did you mean "size"?'),
        ),
        (
            {"outputs": {**OUTPUTS, "other": {"loss": "mse", "target": "size"}}},
            ((*OF, "other"), 'no layer is called "other"', "name the layer, and refer to it by from"),
        ),
        (
            {"outputs": {**OUTPUTS, "size": {"loss": "mse", "target": "siez"}}},
            ((*OF, "size", "target"), 'unknown target "siez"', "target: size?"),
        ),
        (
            {"outputs": {"digit": OUTPUTS["digit"]}},
            (OF, 'no output for the target "size"', "size: {loss: …}"),
        ),
        (
            {"outputs": {**OUTPUTS, "size": {"loss": "sparse_categorical_crossentropy"}}},
            (
                (*OF, "size", "loss"),
                "the target is a number, and this loss is for classes",
                "loss: mean_squared_error, or target: category under data if each number is a class",
            ),
        ),
        (
            {"layers": [LAYERS[0], {"Dense": {"units": 7, "activation": "softmax", "name": "digit"}}, SIZE]},
            (("model", "layers", 1, "Dense", "units"), "7 outputs for 10 classes", "units: 10, or units: $classes"),
        ),
        (
            {"training": {"checkpoint": {"monitor": "val_accuracy"}}},
            (
                ("training", "checkpoint", "monitor"),
                'no metric is called "val_accuracy"',
                'did you mean "val_digit_accuracy"?',
            ),
        ),
        (
            {"training": {"class_weights": "balanced"}},
            (
                ("training", "class_weights"),
                "each output has class weights of its own",
                "write it at model.outputs.digit, or another output",
            ),
        ),
        (
            {
                "outputs": {
                    **OUTPUTS,
                    "digit": {**OUTPUTS["digit"], "metrics": [{"MeanSquaredError": {"name": "loss"}}]},
                }
            },
            (
                (*OF, "digit", "metrics", 0, "MeanSquaredError", "name"),
                'a metric cannot have the name "loss": loss is reserved',
                "choose another name",
            ),
        ),
        (
            {"expect": {"accuracy": "> 0.9"}},
            (("expect", "accuracy"), 'no metric is called "accuracy"', 'did you mean "digit_accuracy"?'),
        ),
    ],
)
def test_a_mistake_is_reported_at_its_output(changes: Any, expected: Any) -> None:
    assert expected in found(config_of(**changes))


def test_where_several_targets_have_classes_the_hint_names_the_one() -> None:
    facts = Facts({"digit": TargetFacts("category", (), tuple("012")), "size": TargetFacts("category", (), ("a", "b"))})
    layers = [LAYERS[0], {"Dense": {"units": 7, "activation": "softmax", "name": "digit"}}, SIZE]
    outputs = {**OUTPUTS, "size": {"loss": "binary_crossentropy"}}
    first = found(config_of(layers=layers, outputs=outputs), facts)[0]
    assert first[2] == "units: 3, or units: $classes_digit"


def test_what_the_data_has_yet_to_tell_is_not_checked() -> None:
    outputs = {
        name: {**output, "from": UNKNOWN, "target": UNKNOWN, "weight": UNKNOWN} for name, output in OUTPUTS.items()
    }
    assert found(config_of(outputs=outputs)) == []


def test_a_target_beside_the_input_is_not_there() -> None:
    data = {"source": "digits", "target": "input"}
    ((place, message, _),) = found(
        config_of(data, outputs={"digit": {**OUTPUTS["digit"], "target": "label"}}), Facts({})
    )
    assert (place, message) == ((*OF, "digit", "target"), 'unknown target "label"')


def test_several_targets_need_outputs() -> None:
    config = config_of(outputs={}, training={"loss": "mse"})
    ((place, message, hint),) = found(config)
    assert (place, message) == (("model",), "the data has 2 targets, and each needs an output")
    assert hint == "outputs: {digit: {loss: …}, size: {loss: …}}"


def test_an_output_that_restores_the_input_has_no_class_weights() -> None:
    config = config_of(
        {"source": "digits", "target": "input"}, outputs={}, training={"loss": "mse", "class_weights": "balanced"}
    )
    assert found(config, Facts({}))[0][1] == "the target is the input, which has no classes"


def test_null_is_no_loss_beside_those_of_the_outputs(tmp_path) -> None:
    path = tmp_path / "null.yaml"
    path.write_text("""
data: {source: digits}
model:
  layers: [Flatten, Dense: {units: 10, activation: softmax, name: last}]
  outputs: {digit: {from: last, loss: sparse_categorical_crossentropy}}
training: {optimizer: adam, loss: null, epochs: 1}
""")
    assert build_config(read_document(path)).training.loss is None
