"""Runs that another run teaches."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.bad_configs import changed
from tests.commands.test_resume import final_arrays, killed, metrics
from tests.small_configs import EVERYTHING_RANDOM, TINY

TAUGHT = changed(
    ("name: example", "name: student"),
    ("training:\n", "training:\n  teacher: {run: runs/example}\n"),
    ("units: 8", "units: 4"),
    text=TINY,
)
LINE = "example.yaml:11:18: training.teacher.run: "


def record(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text("utf-8"))


def results(run: Path) -> dict[str, Any]:
    return json.loads((run / "results.json").read_text("utf-8"))


REFUSED: dict[str, tuple[str, *tuple[tuple[str, str], ...]]] = {
    "no such run": (LINE + "no such run: ", ("runs/example", "runs/none")),
    "scores": (
        "the output of the model with the loss categorical_hinge is neither probabilities nor numbers",
        ("softmax}\ntraining", "linear}\ntraining"),
        ("loss: sparse_categorical_crossentropy", "loss: categorical_hinge"),
    ),
    "other inputs": (LINE + "the teacher takes input, (4,) of float32, and", ("source: iris", "source: digits")),
    "a weight of 0": ("training.teacher.weight: ", ("runs/example}", "runs/example, weight: 0}")),
    "privacy": (
        "example.yaml:11:3: training.teacher: a teacher breaks privacy",
        ("  batch_size: 16\n", "  batch_size: 16\n  privacy: {epsilon: 3, delta: 1e-3}\n"),
    ),
}


def test_a_teacher_that_does_not_fit_is_refused_at_its_line(finished, dltool, tmp_path):
    finished(TINY)
    path = tmp_path / "example.yaml"
    path.write_text(TAUGHT, "utf-8")
    assert dltool("check", path).code == 0
    for what, (message, *changes) in REFUSED.items():
        path.write_text(changed(*changes, text=TAUGHT), "utf-8")
        outcome = dltool("check", path, "--data")
        assert outcome.code == 2, what
        assert message in outcome.stderr, what


def test_a_teacher_of_other_classes_or_in_another_order_is_refused(finished, dltool, tmp_path):
    run = finished(TINY)
    written = (run / "run.json").read_text("utf-8")
    (run / "run.json").write_text(changed(('"setosa"', '"s"'), ('"virginica"', '"setosa"'), text=written), "utf-8")
    (tmp_path / "example.yaml").write_text(TAUGHT, "utf-8")
    outcome = dltool("check", tmp_path / "example.yaml")
    assert outcome.code == 2
    assert (
        LINE + "the teacher's classes are s, versicolor, setosa, and those of the data are setosa, " in outcome.stderr
    )


def test_a_teacher_whose_code_is_not_allowed_is_refused(finished, dltool, tmp_path):
    run = finished(TINY)
    (run / "run.json").write_text(
        json.dumps({**record(run), "code": [{"file": "own.py", "sha256": "0" * 64}]}), "utf-8"
    )
    path = tmp_path / "example.yaml"
    path.write_text(TAUGHT, "utf-8")
    outcome = dltool("check", path)
    assert outcome.code == 2
    assert LINE + "the teacher needs code that is not in its run: own.py" in outcome.stderr
    assert "--allow-code own.py" in outcome.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("draws")
def test_a_run_is_taught_and_its_model_needs_the_teacher_no_more(finished, train, dltool):
    import keras

    teacher = finished(TINY)
    outcome, run = train(TAUGHT)
    assert outcome.code == 0, outcome.stderr
    assert f"is taught by {teacher} (weight 0.5)" in " ".join(outcome.stderr.split())
    assert "same data with another split" not in outcome.stderr
    taught = record(run)["teacher"]
    assert (taught["source"], taught["weight"], len(taught["sha256"])) == (str(teacher), 0.5, 64)
    assert f"is taught by {teacher}" in (run / "report.html").read_text("utf-8")
    _, alone = train(changed(("  teacher: {run: runs/example}\n", ""), text=TAUGHT), folder="alone")
    assert metrics(run)[0]["loss"] != metrics(alone)[0]["loss"]
    # The teacher predicts each of 90 training rows once: two dense layers, a bias and an activation for each number.
    forward = 2 * 4 * 8 + 8 + 8 + 2 * 8 * 3 + 3 + 5 * 3
    assert results(run)["cost"]["flops"] - results(alone)["cost"]["flops"] == 90 * forward
    assert dltool("reproduce", run).code == 0
    shutil.rmtree(teacher.parent)
    assert dltool("evaluate", run).code == 0
    model = keras.models.load_model(run / "model.keras")
    assert model.count_params() == alone_parameters(alone)
    outcome = dltool("reproduce", run)
    assert outcome.code == 4
    assert f"training.teacher.run: {teacher}" in outcome.stderr


def alone_parameters(run: Path) -> int:
    return int(results(run)["parameters"])


@pytest.mark.slow
@pytest.mark.usefixtures("draws")
def test_a_teacher_that_may_have_seen_the_test_examples_is_warned_of(finished, train):
    finished(TINY)
    outcome, run = train(TAUGHT, "--seed", "5")
    assert outcome.code == 0, outcome.stderr
    (warning,) = record(run)["teacher"]["warnings"]
    assert "was trained on the same data with another split" in warning
    assert "was trained on the same data with another split" in outcome.stderr
    assert "Choose a run that has the same split" in (run / "report.html").read_text("utf-8")
    outcome, run = train(TAUGHT.replace("{validation: 0.2, test: 0.2}", "{validation: 0.2, folds: 2}"))
    assert outcome.code == 0, outcome.stderr
    assert outcome.stderr.count("was trained on the same data") == 1
    assert record(run / "folds" / "1")["teacher"]["sha256"] == record(run)["teacher"]["sha256"]


@pytest.mark.slow
def test_a_teacher_that_has_changed_or_gone_ends_a_run_that_is_resumed(finished, train, dltool):
    teacher = finished(TINY)
    outcome, run = train(TAUGHT)
    assert outcome.code == 0, outcome.stderr
    killed(run)
    weights = teacher / "checkpoints" / "best.weights.h5"
    _, other = train(TINY, "--seed", "3", folder="other")
    shutil.copy(other / "checkpoints" / "best.weights.h5", weights)
    outcome = dltool("resume", run)
    assert outcome.code == 4
    assert f"{teacher} has changed since it taught the run" in outcome.stderr
    weights.unlink()
    outcome = dltool("resume", run)
    assert outcome.code == 4
    assert "best.weights.h5 is missing" in outcome.stderr


AUGMENTED = changed(
    ("name: random", "name: student"),
    ("training:\n", "training:\n  teacher: {run: runs/random, temperature: 4, weight: 0.7}\n"),
    ("filters: 4", "filters: 2"),
    text=EVERYTHING_RANDOM,
)


@pytest.mark.slow
def test_with_augmentation_the_teacher_sees_the_augmented_inputs(finished, train, dltool):
    finished(EVERYTHING_RANDOM)
    outcome, run = train(AUGMENTED)
    assert outcome.code == 0, outcome.stderr
    assert dltool("reproduce", run).code == 0
    outcome, _ = train(changed(("$(1 / 16)", "$(1 / 8)"), text=AUGMENTED))
    assert outcome.code == 2
    assert "training.teacher.run: augmented inputs are for both models" in outcome.stderr


@pytest.mark.slow
@pytest.mark.parametrize("text", [TAUGHT, AUGMENTED])
def test_interrupted_and_resumed_a_taught_run_has_the_same_bits(finished, train, dltool, text, tmp_path):
    finished(TINY if text is TAUGHT else EVERYTHING_RANDOM)
    longer = changed(("epochs: 2", "epochs: 3"), text=text)
    _, whole = train(longer, folder="whole")
    outcome, run = train(text)
    assert outcome.code == 0, outcome.stderr
    outcome = dltool("resume", run, "--epochs", "3")
    assert outcome.code == 0, outcome.stderr
    assert metrics(run) == metrics(whole)
    assert final_arrays(run) == final_arrays(whole)


OUTPUTS = """\
name: many
data:
  source: {arrays: {path: many.npz, y: {kind: kind, size: size, flag: flag}}}
  split: {validation: 0.2, test: 0.2}
  target: {kind: category, size: number, flag: category}
model:
  layers:
    - Dense: {units: 8, activation: relu, name: body}
    - Dense: {units: 3, name: kind, from: body}
    - Dense: {units: 1, name: size, from: body}
    - Dense: {units: 1, activation: sigmoid, name: flag, from: body}
  outputs:
    kind: {loss: {SparseCategoricalCrossentropy: {from_logits: true}}}
    size: {loss: mse}
    flag: {loss: binary_crossentropy}
training: {optimizer: adam, batch_size: 16, epochs: 1}
"""


def write_many(folder: Path) -> None:
    random = np.random.default_rng(0)
    kind, flag = random.integers(0, 3, 60), random.integers(0, 2, 60)
    x, size = random.normal(size=(60, 4)), random.normal(size=60)
    np.savez(folder / "many.npz", x=x, kind=kind, flag=flag, size=size)


@pytest.mark.slow
def test_several_outputs_are_taught_by_those_of_the_same_names(finished, train, dltool, tmp_path):
    write_many(tmp_path)
    teacher = finished(OUTPUTS)
    text = changed(
        ("name: many", "name: student"), ("training: {", f"training: {{teacher: {{run: {teacher}}}, "), text=OUTPUTS
    )
    outcome, run = train(text)
    assert outcome.code == 0, outcome.stderr
    outcome = dltool("reproduce", run)
    assert outcome.code == 0, outcome.stderr
