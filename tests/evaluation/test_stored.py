"""The files that an evaluation leaves, and reading them again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dltool.config.columns import parse_target
from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.data.facts import Facts, InputFacts
from dltool.errors import RunError
from dltool.evaluation.stored import (
    EXAMPLES,
    METRICS,
    MOST_CELLS,
    ExampleValues,
    digest_of,
    packed,
    prediction_table,
    read_examples,
)
from dltool.runs.files import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    found = Run(tmp_path)
    examples = ExampleValues(np.array([3, 5]), {"loss": np.array([0.5, 1], np.float32)}, "sha256:0")
    found.replace_folder(found.evaluation / "test", {EXAMPLES: packed(examples), METRICS: b'{"targets": "sha256:0"}'})
    return found


def test_the_values_of_examples_are_read_as_they_were_written(run) -> None:
    found = read_examples(run, "test")
    assert (found.rows.tolist(), found.targets) == ([3, 5], "sha256:0")
    assert {name: values.tolist() for name, values in found.values.items()} == {"loss": [0.5, 1]}


@pytest.mark.parametrize("damage", ["missing", "truncated", "no zip", "pickle", "other arrays"])
def test_damaged_values_are_refused(run, damage) -> None:
    path = run.evaluation / "test" / EXAMPLES
    content = path.read_bytes()
    path.unlink()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "no zip":
        path.write_bytes(b"x")
    elif damage == "pickle":
        np.savez(path, rows=np.array([{}], object), names=np.array(["a"]), values=np.zeros((1, 1), np.float32))
    elif damage == "other arrays":
        np.savez(path, rows=np.zeros(2), names=np.array(["a"]), values=np.zeros((1, 3), np.float32))
    with pytest.raises(RunError, match=EXAMPLES):
        read_examples(run, "test")


def test_a_digest_tells_other_targets() -> None:
    one = {"a": np.array([1, 2])}
    assert digest_of(one) == digest_of({"a": np.array([1, 2])})
    assert digest_of(one) != digest_of({"a": np.array([2, 1])})
    assert digest_of(one) != digest_of({"b": np.array([1, 2])})


def config_of(loss: str = "sparse_categorical_crossentropy", target: Any = "kind") -> Config:
    data = {"source": {"csv": {"path": "a.csv"}}, "target": parse_target(target)}
    training = {"optimizer": "adam", "loss": loss, "epochs": 1}
    return Config.model_validate({"name": "x", "data": data, "model": {"layers": ["Flatten"]}, "training": training})


def table_of(config: Config, target: TargetFacts, goal: Any, outputs: Any) -> Any:
    facts = Facts({"input": InputFacts((4,), "float32")}, {"target": target}, 10, 10, 10)
    places = {"row": np.arange(len(outputs))}
    return prediction_table(
        config, facts, {"target": np.asarray(goal)}, {"output": np.asarray(outputs, np.float32)}, places
    )


def test_of_classes_the_table_has_the_true_one_the_predicted_one_and_probabilities() -> None:
    target = TargetFacts("category", (), ("a", "b"))
    table = table_of(config_of(), target, [1, 0], [[0.25, 0.75], [0.25, 0.75]])
    assert list(table) == ["row", "target", "prediction", "probability of a", "probability of b"]
    assert (table["target"].tolist(), table["prediction"].tolist()) == (["b", "a"], ["b", "b"])


def test_of_many_classes_only_the_probabilities_that_matter() -> None:
    target = TargetFacts("category", (), tuple(f"c{index}" for index in range(1000)))
    table = table_of(config_of(), target, [1, 0], np.eye(1000)[:2])
    assert list(table) == ["row", "target", "prediction", "probability", "probability of the target"]
    assert table["probability of the target"].tolist() == [0, 0]


def test_of_numbers_the_table_has_both() -> None:
    one = table_of(config_of("mse", "x"), TargetFacts("number"), [1.0, 2.0], [[1.5], [2.5]])
    assert list(one) == ["row", "target", "prediction"]
    two = table_of(config_of("mse", ["x", "y"]), TargetFacts("number", (2,)), [[1.0, 2.0]], [[3.0, 4.0]])
    assert list(two) == ["row", "target x", "target y", "prediction x", "prediction y"]


def test_what_is_nothing_for_a_table_is_left_out_and_a_long_one_is_thinned() -> None:
    pixels = TargetFacts("category", (2, 2), ("a", "b"))
    assert table_of(config_of(), pixels, np.zeros((1, 2, 2), int), np.zeros((1, 2, 2, 2))) is None
    assert (
        table_of(config_of("mse", "x"), TargetFacts("number", (150,)), np.zeros((1, 150)), np.zeros((1, 150))) is None
    )
    rows = MOST_CELLS // 3 + 1
    long = table_of(config_of("mse", "x"), TargetFacts("number"), np.zeros(rows), np.zeros((rows, 1)))
    assert len(long["row"]) == (rows + 1) // 2
