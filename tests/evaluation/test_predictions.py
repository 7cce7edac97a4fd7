"""What the outputs of a model mean, and how a table of predictions is written."""

import io
from typing import Any

import numpy as np
import pytest

from dltool.config.columns import parse_target
from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.data.facts import Facts, InputFacts
from dltool.errors import ConfigError, RunError
from dltool.evaluation.predictions import predictions, records, refuse_unclear, write_csv


def config_of(loss: Any = "sparse_categorical_crossentropy", target: Any = None, last: Any = "Flatten") -> Config:
    source: Any = "digits" if target is None else {"csv": {"path": "a.csv"}}
    data = {"source": source} | ({} if target is None else {"target": parse_target(target)})
    training = {"optimizer": "adam", "loss": loss, "epochs": 1}
    return Config.model_validate({"name": "x", "data": data, "model": {"layers": [last]}, "training": training})


def facts_of(target: Any = "category", names: tuple[str, ...] = ("a", "b", "c"), shape: tuple[int, ...] = ()) -> Facts:
    return Facts({"input": InputFacts((4,), "float32")}, {"target": TargetFacts(target, shape, names)}, 10, 10, 10)


def outputs(*rows: Any) -> dict[str, np.ndarray]:
    return {"output": np.array(rows, np.float32)}


def test_the_class_is_the_most_probable_one() -> None:
    found = predictions(config_of(), facts_of(), outputs([0.1, 0.7, 0.2], [0.5, 0.25, 0.25]))
    assert list(found) == ["class", "probability of a", "probability of b", "probability of c"]
    assert found["class"].tolist() == ["b", "a"]
    assert found["probability of b"].tolist() == [np.float32(0.7), 0.25]


def test_one_output_is_the_probability_of_the_second_class() -> None:
    found = predictions(config_of("binary_crossentropy"), facts_of(names=("no", "yes")), outputs([0.25], [0.75]))
    assert found["class"].tolist() == ["no", "yes"]
    assert found["probability of no"].tolist() == [0.75, 0.25]
    assert found["probability of yes"].tolist() == [0.25, 0.75]


def test_logits_become_probabilities() -> None:
    loss = {"SparseCategoricalCrossentropy": {"from_logits": True}}
    found = predictions(config_of(loss), facts_of(), outputs([1000, 0, 0], [0, 0, np.log(2)]))
    assert found["probability of a"].tolist() == [1, pytest.approx(0.25)]
    binary = predictions(
        config_of({"BinaryCrossentropy": {"from_logits": True}}),
        facts_of(names=("no", "yes")),
        outputs([-1000], [np.log(3)]),
    )
    assert binary["probability of yes"].tolist() == [0, pytest.approx(0.75)]
    assert binary["class"].tolist() == ["no", "yes"]


def test_labels_are_those_above_one_half() -> None:
    config = config_of("binary_crossentropy", {"tags": {"multi_label": {"separator": ";"}}})
    found = predictions(config, facts_of("multi_label", shape=(3,)), outputs([0.9, 0.5, 0.6], [0, 0, 0]))
    assert found["labels"].tolist() == ["a;c", ""]
    assert found["probability of c"].tolist() == [np.float32(0.6), 0]


@pytest.mark.parametrize(
    ("target", "shape", "width", "names"),
    [
        (["x", "y"], (2,), 2, ["x", "y"]),
        ("price", (), 1, ["price"]),
        ("row", (), 1, ["predicted row"]),
        (None, (), 1, ["prediction"]),
        (None, (2,), 2, ["prediction_1", "prediction_2"]),
    ],
)
def test_numbers_have_the_names_of_their_columns(target, shape, width, names) -> None:
    found = predictions(
        config_of("mse", target), facts_of("number", (), shape), {"output": np.ones((3, width), np.float32)}
    )
    assert list(found) == names


def test_more_outputs_than_classes_are_refused() -> None:
    with pytest.raises(RunError, match="5 outputs, and the run has 3 classes"):
        predictions(config_of(), facts_of(), {"output": np.ones((2, 5), np.float32)})


@pytest.mark.parametrize(("loss", "shape"), [("hinge", ()), ("sparse_categorical_crossentropy", (4, 4))])
def test_outputs_that_are_no_probability_of_one_class_are_refused(loss, shape) -> None:
    refuse_unclear(config_of(), facts_of())
    with pytest.raises(ConfigError):
        refuse_unclear(config_of(loss), facts_of(shape=shape))


def test_a_softmax_or_one_sigmoid_gives_probabilities_whatever_the_loss() -> None:
    for units, activation in ((3, "softmax"), (1, "sigmoid")):
        refuse_unclear(config_of("hinge", last={"Dense": {"units": units, "activation": activation}}), facts_of())
    with pytest.raises(ConfigError):
        refuse_unclear(config_of("hinge", last={"Dense": {"units": 3, "activation": "sigmoid"}}), facts_of())


def csv_of(**columns: Any) -> list[str]:
    file = io.StringIO()
    write_csv(columns, file)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@a", " =1+1", "\t=1", "\ta", "--1", "=1"])
def test_what_a_spreadsheet_would_compute_is_quoted(text) -> None:
    file = io.StringIO()
    write_csv({text: np.array([text], object)}, file)
    assert file.getvalue().count(f"'{text}") == 2


@pytest.mark.parametrize(
    ("text", "written"), [("\x1b[2Jred", r"\x1b[2Jred"), ("\u202egnp", r"\x202egnp"), ("\r=1", r"'\x0d=1")]
)
def test_what_would_steer_a_terminal_is_written_as_escapes(text, written) -> None:
    assert csv_of(**{text: np.array([text], object)}) == [written, written]


@pytest.mark.parametrize("text", ["-1", "+1.5e-3", "a=1", "", "x", "'"])
def test_numbers_and_plain_texts_are_left_alone(text) -> None:
    assert csv_of(a=np.array([text, "x"], object))[1:] == [text or '""', "x"]


def test_numbers_have_the_fewest_digits_that_give_the_same_bits() -> None:
    values = np.array([0.1, 1e-10, 1 / 3, np.nan], np.float32)
    _, *lines = csv_of(a=values)
    assert lines == ["0.1", "1e-10", "0.33333334", "nan"]
    np.testing.assert_array_equal(np.array(lines, np.float32), values)


def test_json_has_null_for_what_is_no_number() -> None:
    assert records({"a": np.array([0.1, np.nan], np.float32), "b": np.array(["=x", "y"], object)}) == [
        {"a": 0.1, "b": "=x"},
        {"a": None, "b": "y"},
    ]
