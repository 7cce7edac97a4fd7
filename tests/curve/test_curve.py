"""`dltool curve` as a whole: its runs are plain ones, and a curve that was killed is the one that never was."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.in_process import command

from dltool.curve.law import Size, fitted_law
from dltool.curve.trainings import Quiet, time_left

IRIS = """\
name: iris
seed: 3
data:
  source: iris
  split: {validation: 0.2, test: 0.2}
model: {layers: [{Dense: {units: 8, activation: relu}}, {Dense: {units: $classes, activation: softmax}}]}
training:
  optimizer: adam
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  epochs: $(2 + examples * 0)
  batch_size: 8
expect: {accuracy: ">= 2"}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("curve")
    (place / "iris.yaml").write_text(IRIS, "utf-8")
    return place


@pytest.fixture(scope="module")
def finished(folder: Path) -> Path:
    assert command("curve", folder / "iris.yaml", "--sizes", "4", "--seeds", "2", "--runs", folder / "runs") == 0
    return folder / "runs" / "iris" / "curve-0001"


def numbers(curve: Path) -> dict[str, object]:
    found = json.loads((curve / "curve.json").read_text("utf-8"))
    assert found["status"] == "completed"
    return {key: found[key] for key in ("measured", "examples", "sizes", "law", "foretold", "words")}


def runs(curve: Path) -> dict[tuple[int, int], Path]:
    """The runs by their rows and the number of their seed."""
    return {(int(path.parent.name[5:]), int(path.name)): path for path in curve.glob("rows-*/0*")}


def split(run: Path) -> dict[str, np.ndarray]:
    with np.load(run / "split.npz") as found:
        return {name: found[name] for name in ("train", "validation", "test")}


def without_times(run: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


@pytest.mark.slow
def test_each_size_has_its_runs_and_their_error(finished):
    found = numbers(finished)
    assert found["measured"] == "test error (1 - accuracy)"
    assert found["examples"] == 30
    assert [(size["rows"], len(size["values"])) for size in found["sizes"]] == [(20, 2), (33, 2), (54, 2), (90, 2)]
    for size in found["sizes"]:
        results = [json.loads((runs(finished)[size["rows"], seed] / "results.json").read_text()) for seed in (1, 2)]
        assert size["values"] == [1 - each["test"]["accuracy"] for each in results]
        assert size["mean"] == pytest.approx(np.mean(size["values"]))
        assert not any(each["expectations"] for each in results)
    assert found["words"][1:] in (finished / "curve.html").read_text("utf-8")


@pytest.mark.slow
def test_smaller_sizes_are_within_larger_ones_and_all_have_the_same_test(finished):
    found = runs(finished)
    (whole,) = {tuple(split(run)["test"]) for run in found.values()}
    assert len(whole) == 30
    for seed in (1, 2):
        rows = [set(split(found[size, seed])["train"]) for size in (20, 33, 54, 90)]
        assert all(few < many for few, many in pairwise(rows))
    assert not np.array_equal(split(found[20, 1])["train"], split(found[20, 2])["train"])


@pytest.mark.slow
def test_a_run_of_the_curve_is_the_one_that_train_makes(finished, folder):
    again = ("--set", f"data.split.use={33 / 90!r}", "--set", "data.split.seed=3", "--set", "expect={}", "--seed", "4")
    assert command("train", folder / "iris.yaml", *again, "--runs", folder / "alone") == 0
    alone, inside = folder / "alone" / "iris" / "0001", runs(finished)[33, 2]
    assert without_times(alone) == without_times(inside)
    one, other = (json.loads((run / "results.json").read_text("utf-8"))["test"] for run in (alone, inside))
    assert one == other
    assert not list(inside.glob("checkpoints/*.ckpt"))
    assert command("evaluate", inside) == 0


@pytest.fixture
def process(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started = []

    def start(*arguments: str | Path) -> subprocess.Popen[str]:
        environment = {**os.environ, "COLUMNS": "200"}
        line = [sys.executable, "-m", "dltool", *map(str, arguments)]
        started.append(subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=environment))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_curve_that_was_stopped_is_the_one_that_never_was(finished, folder, process, number):
    place = folder / number.name
    curve = process("curve", folder / "iris.yaml", "--sizes", "4", "--seeds", "2", "--runs", place)
    path = place / "iris" / "curve-0001"
    reached = path / "rows-54" / "0001" / "metrics.jsonl"
    limit = time.monotonic() + 120
    while not (reached.exists() and reached.stat().st_size) and time.monotonic() < limit:
        time.sleep(0.01)
    curve.send_signal(number)
    printed = curve.communicate(timeout=60)[1]
    if number == signal.SIGINT:
        assert curve.returncode == 130
        assert f"next  dltool resume {path}" in printed
    assert not (path / "rows-90" / "0002").exists()
    assert command("resume", path) == 0
    assert numbers(path) == numbers(finished)
    for key, run in runs(path).items():
        assert without_times(run) == without_times(runs(finished)[key])


@pytest.mark.slow
def test_a_complete_curve_is_resumed_without_training(finished, dltool):
    before = {run: (run / "run.json").read_bytes() for run in runs(finished).values()}
    outcome = dltool("resume", finished)
    assert outcome.code == 0
    assert "training 1 of" not in outcome.stderr
    assert before == {run: (run / "run.json").read_bytes() for run in runs(finished).values()}


TEACHER = """\
name: teacher
data:
  source: {csv: teacher.csv}
  target: y
  split: {test: 0.4, use: 0.25}
model: {layers: [{Dense: {units: 24, activation: relu}}, {Dense: {units: 1, activation: sigmoid}}]}
training: {optimizer: {Adam: {learning_rate: 0.01}}, loss: binary_crossentropy, metrics: [accuracy], epochs: 25}
"""


@pytest.mark.slow
def test_the_band_covers_the_error_of_four_times_the_rows_of_a_teacher_with_label_noise(tmp_path):
    rng = np.random.default_rng(0)
    inputs, first, second = (rng.standard_normal(shape) for shape in ((6000, 6), (6, 12), 12))
    scores = np.maximum(inputs @ first, 0) @ second
    is_first = (scores > np.median(scores)) ^ (rng.random(6000) < 0.1)
    rows = [
        ",".join([*(f"{value:.5f}" for value in row), "ab"[each]]) for row, each in zip(inputs, is_first, strict=True)
    ]
    (tmp_path / "teacher.csv").write_text("\n".join([",".join([*"tuvwxz", "y"]), *rows]) + "\n", "utf-8")
    (tmp_path / "teacher.yaml").write_text(TEACHER, "utf-8")
    common = ("curve", tmp_path / "teacher.yaml", "--seeds", "5", "--runs", tmp_path)
    assert command(*common) == 0
    assert command(*common, "--sizes", "2", "--set", "data.split.use=1.0") == 0
    few, all_rows = (numbers(tmp_path / "teacher" / f"curve-000{number}")["sizes"] for number in (1, 2))
    covered = 0
    for _ in range(20):
        sizes = [Size(size["rows"], tuple(rng.choice(size["values"], 3, replace=False))) for size in few]
        found = fitted_law(sizes)
        assert found is not None
        low, high = found.band(3600)
        covered += low <= all_rows[-1]["mean"] <= high
    assert covered >= 18


def test_the_time_that_is_left_follows_from_the_trainings_so_far():
    assert time_left({}, [20, 40]) is None
    assert time_left({20: [1.0, 3.0], 40: [4.0]}, [20, 40, 80]) == 2 + 4 + 8


def test_a_warning_that_all_trainings_have_is_given_once():
    class Listener:
        def __init__(self) -> None:
            self.warnings: list[str] = []

        def warn(self, message: str) -> None:
            self.warnings.append(message)

    listener = Listener()
    quiet = Quiet(listener)  # type: ignore[arg-type]
    for message in ("3 rows are alike", "12 rows are alike", "a column is constant"):
        quiet.warn(message)
    assert listener.warnings == ["3 rows are alike", "a column is constant"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--to", "5x"), "--to: expected at most 4x, got 5x"),
        (("--to", "1x"), "--to: expected a multiple of the training rows, such as 2x"),
        (("--to", "many"), 'such as 2x, got "many"'),
        (("--seeds", "1"), "--seeds: expected 2 to 100, got 1"),
        (("--sizes", "1"), "--sizes: expected 2 to 20, got 1"),
        (("--set", "training.epochz=1"), "training.epochz"),
        (("--set", "data.split={}"), "a learning curve is measured on the test split, and there is none"),
        (("--set", "data.split={test: 0.8}"), "takes at least 40 training examples, and there are 30"),
    ],
)
def test_what_has_no_curve_is_refused_before_anything_is_written(dltool, folder, options, words):
    outcome = dltool("curve", folder / "iris.yaml", "--runs", folder / "none", *options)
    assert outcome.code == 2
    assert words in outcome.stderr
    assert "nothing was written" in outcome.stderr
    assert not (folder / "none").exists()


def test_a_curve_whose_first_training_fails_leaves_nothing(dltool, folder):
    wrong = ("--set", "model.layers[0].Dense.units=3", "--set", "model.layers+={Reshape: [7, 7]}")
    outcome = dltool("curve", folder / "iris.yaml", "--runs", folder / "none", *wrong)
    assert outcome.code == 2
    assert "nothing was written" in outcome.stderr
    assert not (folder / "none" / "iris").exists()


@pytest.fixture
def begun(folder: Path, tmp_path: Path) -> Path:
    """A curve that has no run yet."""
    from dltool.commands.curve import digest_of
    from dltool.config.load import read_document
    from dltool.curve.folder import Plan, new_folder

    config = folder / "iris.yaml"
    plan = Plan(
        config=str(config),
        settings=[],
        texts=digest_of(read_document(config)),
        data="sha256:0",
        name="iris",
        rows=90,
        use=1.0,
        split_seed=3,
        sizes=[45, 90],
        seeds=[3, 4],
        reach=4.0,
    )
    return new_folder(tmp_path, plan).path


def changed(curve: Path, **values: object) -> None:
    record = json.loads((curve / "curve.json").read_text("utf-8"))
    record["plan"] |= values
    (curve / "curve.json").write_text(json.dumps(record), "utf-8")


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        ({}, 3, "the data has changed since the curve began"),
        ({"texts": "sha256:1"}, 4, "has changed since the curve began"),
        ({"sizes": []}, 4, "curve.json: plan.sizes is missing or invalid"),
        ({"reach": 40.0}, 4, "curve.json: plan.reach is missing or invalid"),
        ({"format": 2}, 4, "was written by a newer dltool"),
    ],
)
def test_a_curve_that_cannot_be_resumed_says_why(dltool, begun, values, code, words):
    changed(begun, **values)
    outcome = dltool("resume", begun)
    assert outcome.code == code
    assert words in outcome.stderr


def test_the_config_of_a_curve_is_never_taken_from_its_own_folder(dltool, begun):
    (begun / "iris.yaml").write_text(IRIS, "utf-8")
    changed(begun, config=str(begun / "iris.yaml"))
    outcome = dltool("resume", begun)
    assert (outcome.code, "is inside it" in outcome.stderr) == (4, True)


def test_a_curve_takes_no_other_epochs_and_no_settings(dltool, begun):
    for option in (("--epochs", "9"), ("--set", "data.source=digits")):
        outcome = dltool("resume", begun, *option)
        assert (outcome.code, "resumes with its config unchanged" in outcome.stderr) == (2, True)
