"""`dltool curve` as a whole: its runs are plain ones, and a curve that was killed is the one that never was."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.in_process import command

from dltool.curve.curve_runs import CurveRuns, time_left
from dltool.curve.law import Size, fitted_law

IRIS = """\
name: iris
seed: 3
data:
  source: iris
  split: {validation: 0.2, test: 0.2}
model: {layers: [{Dense: {units: 8, activation: relu}}, {Dense: {units: $classes, activation: softmax}}]}
training:
  optimizer: {Adam: {learning_rate: 0.02}}
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  epochs: $(4 + examples * 0)
  batch_size: 8
expect: {accuracy: ">= 2"}
"""


PROGRAM = (sys.executable, "-m", "dltool")
ENVIRONMENT = {**os.environ, "COLUMNS": "200"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("curve")
    (place / "iris.yaml").write_text(IRIS, "utf-8")
    return place


@pytest.fixture(scope="module")
def finished(folder: Path) -> Path:
    alone(*curve_in(folder, folder / "runs"))
    return folder / "runs" / "iris" / "curve-0001"


def curve_in(folder: Path, place: Path) -> tuple[str | Path, ...]:
    return ("curve", folder / "iris.yaml", "--sizes", "4", "--seeds", "2", "--runs", place)


def alone(*arguments: str | Path) -> str:
    """Run the command in a process of its own, which chooses its number of threads, and return what it reports."""
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)], capture_output=True, text=True, env=ENVIRONMENT, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def numbers(curve: Path) -> dict[str, Any]:
    found = json.loads((curve / "curve.json").read_text("utf-8"))
    assert found["status"] == "completed"
    return {key: found[key] for key in ("measured", "sizes", "law", "predicted", "words")}


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
    assert found["measured"].startswith("error (1 - accuracy) of all sizes on the same 30 test examples; ")
    assert [(size["rows"], len(size["values"])) for size in found["sizes"]] == [(20, 2), (33, 2), (55, 2), (90, 2)]
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
        rows = [set(split(found[size, seed])["train"]) for size in (20, 33, 55, 90)]
        assert all(few < many for few, many in pairwise(rows))
    assert not np.array_equal(split(found[20, 1])["train"], split(found[20, 2])["train"])


@pytest.mark.slow
def test_a_run_of_the_curve_is_the_one_that_train_makes(finished, folder):
    again = ("--set", f"data.split.use={33 / 90!r}", "--set", "data.split.seed=3", "--set", "expect={}", "--seed", "4")
    alone("train", folder / "iris.yaml", *again, "--runs", folder / "alone")
    plain, inside = folder / "alone" / "iris" / "0001", runs(finished)[33, 2]
    assert without_times(plain) == without_times(inside)
    one, other = (json.loads((run / "results.json").read_text("utf-8"))["test"] for run in (plain, inside))
    assert one == other
    assert not list(inside.glob("checkpoints/*.ckpt"))
    assert (inside / "checkpoints" / "best.weights.h5").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_curve_that_was_stopped_is_the_one_that_never_was(finished, tmp_path, number):
    """Its folder holds its config: the file that it began with may change or be gone."""
    (tmp_path / "iris.yaml").write_text(IRIS, "utf-8")
    path = tmp_path / "runs" / "iris" / "curve-0001"
    arguments = [*PROGRAM, *map(str, curve_in(tmp_path, tmp_path / "runs"))]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as curve:
        reached = path / "rows-55" / "0001" / "metrics.jsonl"
        limit = time.monotonic() + 120
        while not (reached.exists() and reached.stat().st_size) and time.monotonic() < limit:
            time.sleep(0.01)
        curve.send_signal(number)
        printed = curve.communicate(timeout=60)[1]
    if number == signal.SIGINT:
        assert curve.returncode == 130
        assert f"next  dltool resume {path}" in printed
    assert not (path / "rows-90" / "0002").exists()
    (tmp_path / "iris.yaml").unlink()
    alone("resume", path)
    assert numbers(path) == numbers(finished)
    for key, run in runs(path).items():
        assert without_times(run) == without_times(runs(finished)[key])
    # Nothing is left to train.
    before = {run: (run / "run.json").read_bytes() for run in runs(path).values()}
    assert " training rows  seed" not in alone("resume", path)
    assert before == {run: (run / "run.json").read_bytes() for run in runs(path).values()}


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
        ",".join([*(f"{value:.5f}" for value in row), "ab"[int(each)]])
        for row, each in zip(inputs, is_first, strict=True)
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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--to", "5x"), '--to: expected a multiple of the training rows above 1x, at most 4x, got "5x"'),
        (("--to", "1x"), 'at most 4x, got "1x"'),
        (("--to", "many"), 'at most 4x, got "many"'),
        (("--seeds", "1"), "--seeds: expected 2 to 100, got 1"),
        (("--sizes", "1"), "--sizes: expected 2 to 20, got 1"),
        (("--set", "training.epochz=1"), "training.epochz"),
        (("--set", "data.split={}"), "a learning curve is measured on the test split, and there is none"),
        (("--set", "data.split={folds: 3}"), "a learning curve trains each run once, on one split"),
        (("--set", "training.privacy={noise: 1, delta: 1e-5}"), "would spend an epsilon of its own"),
        (("--set", "training.seeds=3"), "--seeds is the number of runs of each size"),
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
    from dltool.curve.curve_folder import CurvePlan, CurveRecord, write_curve
    from dltool.runs.directory import new_folder

    curve = new_folder(tmp_path / "iris", "curve")
    shutil.copy(folder / "iris.yaml", curve / "config.yaml")
    plan = CurvePlan(data="sha256:0", threads=1, sizes=[45, 90], seeds=[3, 4], reach=4.0)
    write_curve(curve, CurveRecord(plan=plan))
    return curve


def test_checkpoints_that_a_killed_process_left_are_removed(begun, monkeypatch):
    from dltool.curve import curve_runs
    from dltool.curve.curve_folder import CurvePlan

    for rows, seed in product((45, 90), (3, 4)):
        run = begun / f"rows-{rows}" / f"000{seed}"
        (run / "checkpoints").mkdir(parents=True)
        (run / "run.json").write_text(json.dumps({"format": 1, "seed": seed, "status": "completed"}), "utf-8")
        (run / "checkpoints" / "0000000024.ckpt").touch()
    monkeypatch.setattr(curve_runs, "point_of", lambda run: run.number)
    unused: Any = None
    plan = CurvePlan(data="", threads=1, sizes=[45, 90], seeds=[3, 4], reach=4.0)
    found: list[Any] = [*CurveRuns(begun, plan, unused, unused, unused, unused, unused).carry_out()]
    assert found == ["0003", "0003", "0004", "0004"]
    assert not list(begun.glob("rows-*/*/checkpoints/*"))


def test_the_run_of_a_seed_is_found_also_if_a_number_is_missing(begun):
    """As it is if a process was stopped while it created a run."""
    from dltool.curve.curve_folder import CurveRecord
    from dltool.runs.groups import read_group_record

    for number, seed in (("0002", 4), ("0003", 3)):
        (begun / "rows-45" / number).mkdir(parents=True)
        (begun / "rows-45" / number / "run.json").write_text(json.dumps({"format": 1, "seed": seed}), "utf-8")
    (begun / "rows-45" / "latest").symlink_to("0003")
    unused: Any = None
    plan = read_group_record(begun, "curve", CurveRecord).plan
    runs_of = CurveRuns(begun, plan, unused, unused, unused, unused, unused)
    found = [runs_of.run_of(rows, seed) for rows, seed in ((45, 3), (45, 4), (90, 3))]
    assert [each and each.number for each in found] == ["0003", "0002", None]


def test_a_signal_while_a_curve_is_created_leaves_nothing(dltool, folder, monkeypatch):
    from dltool.commands import curve

    def created(parent: Path, kind: str) -> Path:
        path = parent / f"{kind}-0001"
        path.mkdir(parents=True)
        os.kill(os.getpid(), signal.SIGTERM)
        return path

    monkeypatch.setattr(curve, "new_folder", created)
    outcome = dltool("curve", folder / "iris.yaml", "--sizes", "2", "--seeds", "2", "--runs", folder / "stopped")
    assert outcome.code == 143, outcome.stderr
    assert not (folder / "stopped/iris/curve-0001").exists()


def changed(curve: Path, **values: object) -> None:
    record = json.loads((curve / "curve.json").read_text("utf-8"))
    record["plan"] |= values
    (curve / "curve.json").write_text(json.dumps(record), "utf-8")


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        ({}, 3, "the data has changed since the curve began"),
        ({"sizes": []}, 4, "curve.json: plan.sizes is missing or invalid"),
        ({"reach": 40.0}, 4, "curve.json: plan.reach is missing or invalid"),
    ],
)
def test_a_curve_that_cannot_be_resumed_says_why(dltool, begun, values, code, words):
    changed(begun, **values)
    outcome = dltool("resume", begun)
    assert outcome.code == code
    assert words in outcome.stderr


def test_the_config_of_a_curve_may_name_nothing_that_is_written_outside_its_folder(dltool, begun, tmp_path):
    text = IRIS.replace("  epochs:", f"  callbacks: [{{CSVLogger: {{filename: {tmp_path}/log.csv}}}}]\n  epochs:")
    (begun / "config.yaml").write_text(text, "utf-8")
    outcome = dltool("resume", begun)
    assert (outcome.code, "its config names something outside it" in outcome.stderr) == (4, True)


def test_a_curve_of_a_newer_dltool_is_not_resumed(dltool, begun):
    record = json.loads((begun / "curve.json").read_text("utf-8"))
    (begun / "curve.json").write_text(json.dumps(record | {"format": 2}), "utf-8")
    outcome = dltool("resume", begun)
    assert (outcome.code, "was written by a newer dltool" in outcome.stderr) == (4, True)


def test_a_curve_takes_no_other_epochs_and_no_settings(dltool, begun):
    for option in (("--epochs", "9"), ("--set", "data.source=digits")):
        outcome = dltool("resume", begun, *option)
        assert (outcome.code, "which resumes as it began" in outcome.stderr) == (2, True)
