"""Training through the command line: what a run leaves, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest
from tests.small_configs import EVERYTHING_RANDOM, TINY

from dltool.errors import Interrupted
from dltool.experiment.finishing import profile_times
from dltool.runs.checkpoint_file import newest_checkpoint
from dltool.training.profile import Profile


def read(path: Path):
    return json.loads(path.read_text("utf-8"))


def metrics_without_times(run: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def best_weights(run: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()].tobytes()

    with h5py.File(run / "checkpoints/best.weights.h5") as file:
        file.visititems(keep)
    return found


def final_state(run: Path) -> dict[str, bytes]:
    checkpoint, _ = newest_checkpoint(run / "checkpoints")
    return {name: array.tobytes() for name, array in checkpoint.arrays}


def test_a_training_leaves_the_whole_run_directory(train) -> None:
    text = "\ufeff" + TINY.replace("\n", "\r\n")
    outcome, run = train(text)
    assert outcome.code == 0
    assert {path.name for path in run.iterdir()} == {
        *("config.yaml", "resolved.yaml", "run.json", "split.npz", "preprocessing", "metrics.jsonl", "results.json"),
        *("model.keras", "checkpoints", "evaluation", "log.txt", "lock", "origins.json"),
    }
    assert (run / "config.yaml").read_bytes() == text.encode()
    assert read(run / "run.json")["status"] == "completed"
    assert (run.parent / "latest").resolve() == run.resolve()
    assert [line["epoch"] for line in metrics_without_times(run)] == [1, 2]
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"} < metrics_without_times(run)[0].keys()


def test_the_results_name_test_validation_best_epoch_and_times(finished) -> None:
    run = finished(TINY)
    results = read(run / "results.json")
    assert results["status"] == "completed"
    assert results["test"].keys() == results["validation"].keys() == {"loss", "accuracy"}
    assert results["best"].keys() == {"epoch", "monitor", "value"}
    assert results["best"]["monitor"] == "val_loss"
    best = metrics_without_times(run)[results["best"]["epoch"] - 1]
    assert results["best"]["value"] == best["val_loss"] == results["validation"]["loss"]
    assert results["epochs"] == 2
    assert results["seconds"].keys() == {"import", "data", "build", "train", "test", "total"}
    assert results["parameters"] == 4 * 8 + 8 + 8 * 3 + 3 + 9  # with the means, variances and count of Normalization
    assert results["expectations"] == {}


def test_the_split_is_disjoint_and_complete(finished) -> None:
    run = finished(TINY)
    with np.load(run / "split.npz") as split:
        parts = [split[name] for name in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [90, 30, 30]
    assert sorted(np.concatenate(parts)) == list(range(150))


def test_the_same_config_twice_gives_the_same_bits(train, finished) -> None:
    first = finished(EVERYTHING_RANDOM, folder="first")
    _, second = train(EVERYTHING_RANDOM, folder="second")
    assert metrics_without_times(first) == metrics_without_times(second)
    assert best_weights(first) == best_weights(second)
    assert final_state(first) == final_state(second)
    assert read(first / "results.json")["test"] == read(second / "results.json")["test"]


@pytest.mark.slow
def test_another_process_gives_the_same_bits(finished, tmp_path) -> None:
    first = finished(EVERYTHING_RANDOM)
    command = [sys.executable, "-m", "dltool", "train", "example.yaml", "--runs", "other", "--quiet"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
    other = tmp_path / "other/random/0001"
    assert metrics_without_times(first) == metrics_without_times(other)
    assert final_state(first) == final_state(other)


def test_the_saved_model_is_plain_keras_and_takes_raw_inputs(finished) -> None:
    run = finished(EVERYTHING_RANDOM)
    model = keras.models.load_model(run / "model.keras")
    layers = [type(layer).__name__ for layer in model.layers]
    assert layers == ["InputLayer", "Rescaling", "Conv2D", "BatchNormalization", "Dropout", "Flatten", "Dense"]
    from sklearn.datasets import load_digits

    images = load_digits().images.astype("uint8")[..., None]
    with np.load(run / "split.npz") as split:
        rows = split["test"]
    predicted = model.predict(images[rows], verbose=0).argmax(axis=1)
    accuracy = (predicted == load_digits().target[rows]).mean()
    assert accuracy == pytest.approx(read(run / "results.json")["test"]["accuracy"], abs=1e-6)


def test_what_preprocessing_learnt_comes_from_the_training_rows_alone(finished) -> None:
    run = finished(TINY)
    from sklearn.datasets import load_iris

    with np.load(run / "split.npz") as split:
        rows = load_iris().data[split["train"]].astype("float32")
    layer = keras.models.load_model(run / "model.keras").layers[1]
    np.testing.assert_allclose(np.ravel(layer.mean), rows.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(np.ravel(layer.variance), rows.var(axis=0), rtol=1e-4)


@pytest.mark.slow
def test_half_precision_without_a_gpu_is_warned_of(train) -> None:
    outcome, _ = train(TINY.replace("training:", "training:\n  precision: mixed_float16", 1))
    assert outcome.code == 0, outcome.stderr
    assert "mixed_float16 is many times slower than float32 without a GPU" in outcome.stderr


def test_a_missed_expectation_is_exit_code_7_and_keeps_the_run(train) -> None:
    outcome, run = train(TINY + 'expect: {accuracy: "> 1", loss: "> 0", seconds: "< 1000", val_loss: "> 0"}\n')
    assert outcome.code == 7
    assert "expectation missed: expected accuracy > 1, got 0." in outcome.stderr
    expectations = read(run / "results.json")["expectations"]
    assert {name: found["met"] for name, found in expectations.items()} == {
        "accuracy": False, "loss": True, "seconds": True, "val_loss": True,
    }  # fmt: skip
    assert read(run / "run.json")["status"] == "completed"


def test_a_loss_that_becomes_nan_ends_the_run_with_the_last_finite_weights(train) -> None:
    text = TINY.replace("source: iris", "source: diabetes").replace("units: $classes, activation: softmax", "units: 1")
    text = text.replace("sparse_categorical_crossentropy", "mse").replace("[accuracy]", "[]")
    outcome, run = train(text.replace("{Adam: {learning_rate: 1e-3}}", "{SGD: {learning_rate: 1e12}}"))
    assert outcome.code == 6
    assert "in epoch 1, step " in outcome.stderr
    assert str(run) in outcome.stderr
    record = read(run / "run.json")
    assert record["status"] == "failed"
    assert "epoch 1, step" in record["reason"]
    checkpoint, _ = newest_checkpoint(run / "checkpoints")
    assert all(np.isfinite(array).all() for name, array in checkpoint.arrays if name.startswith("core/"))
    assert not (run / "results.json").exists()


@pytest.mark.slow
def test_a_profile_says_where_the_time_went_and_leaves_a_trace(train) -> None:
    outcome, run = train(EVERYTHING_RANDOM, "--profile", "--set", "training.epochs=8")
    assert outcome.code == 0
    times = read(run / "profile/times.json")
    parts = {name: seconds for name, seconds in times.items() if name not in ("total", "idle cores in compute")}
    assert {"data", "import", "trace", "compute", "callbacks", "checkpoints"} < parts.keys()
    assert sum(parts.values()) <= times["total"] + 0.01
    assert "activity" in outcome.stdout
    (trace,) = run.glob("profile/plugins/profile/*/*.xplane.pb")
    assert b"train_step" in trace.read_bytes() or b"while" in trace.read_bytes()


def test_the_tracing_of_later_phases_is_no_part_of_building() -> None:
    profile = Profile(seconds={"trace": 1.0, "trace in training": 2.0, "compute": 3.0})
    seconds = {"data": 0.0, "import": 0.0, "build": 1.5, "train": 6.0, "test": 0.0, "total": 7.5}
    times = profile_times(SimpleNamespace(profile=profile), seconds)  # type: ignore[arg-type]
    assert (times["build"], times["trace"], times["rest of training"]) == (0.5, 3.0, 1.0)


def test_a_smoke_run_tries_everything_and_keeps_nothing(train, tmp_path) -> None:
    outcome, _ = train(EVERYTHING_RANDOM.replace("epochs: 2", "epochs: 500"), "--smoke")
    assert outcome.code == 0
    assert "smoke test passed" in outcome.stdout
    assert "epoch 2/2" in outcome.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["example.yaml"]


def test_json_is_the_only_thing_on_stdout(train) -> None:
    outcome, run = train(TINY, "--json")
    document = json.loads(outcome.stdout)
    assert document.pop("run") == str(run)
    assert document == read(run / "results.json")
    assert outcome.stderr == ""


def test_a_pipe_gets_one_plain_line_an_epoch_and_the_log_the_same(train) -> None:
    outcome, run = train(TINY)
    lines = [line for line in outcome.stderr.splitlines() if line.startswith("epoch ")]
    assert [line[:10] for line in lines] == ["epoch 1/2 ", "epoch 2/2 "]
    assert "\x1b" not in outcome.stdout + outcome.stderr
    assert "\r" not in outcome.stdout + outcome.stderr
    assert all(line in (run / "log.txt").read_text("utf-8") for line in lines)


def test_quiet_says_nothing_and_name_folder_and_seed_may_be_given(train, finished, tmp_path) -> None:
    first = finished(TINY)
    outcome, run = train(TINY, "--quiet", "--name", "other", "--seed", "5", folder="elsewhere")
    assert (outcome.stdout, outcome.stderr) == ("", "")
    assert run == tmp_path / "elsewhere/other/0001"
    assert final_state(first) != final_state(run)
    with np.load(first / "split.npz") as one, np.load(run / "split.npz") as other:
        assert list(one["test"]) != list(other["test"])
    assert train(TINY, "--name", "../other")[0].code == 2


def test_runs_are_numbered(train, finished) -> None:
    assert [finished(TINY).name, train(TINY)[1].name] == ["0001", "0002"]


def test_arrays_of_the_users_own_with_text_labels(train, tmp_path) -> None:
    random = np.random.default_rng(0)
    labels = np.array(["cat", "dog[/foo]", "\x1b[31mowl"])[random.integers(0, 3, 120)]
    np.savez(tmp_path / "own.npz", x=random.random((120, 4), "float32"), y=labels)
    outcome, run = train(TINY.replace("source: iris", "source: {arrays: own.npz}"))
    assert outcome.code == 0
    assert read(run / "run.json")["data"]["targets"]["target"]["class_names"] == ["\x1b[31mowl", "cat", "dog[/foo]"]
    assert "\x1b" not in outcome.stdout + outcome.stderr


def test_the_model_file_holds_no_augmentation(finished) -> None:
    run = finished(EVERYTHING_RANDOM)
    with zipfile.ZipFile(run / "model.keras") as archive:
        assert b"RandomTranslation" not in archive.read("config.json")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_a_signal_finishes_the_step_saves_and_exits_with_its_code(number, tmp_path) -> None:
    (tmp_path / "example.yaml").write_text(EVERYTHING_RANDOM.replace("epochs: 2", "epochs: 100000"), "utf-8")
    command = [sys.executable, "-m", "dltool", "train", "example.yaml"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "runs/random/0001/metrics.jsonl"
    while not metrics.exists() and process.poll() is None:
        time.sleep(0.1)
    os.kill(process.pid, number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in stderr
    assert read(metrics.parent / "run.json")["status"] == "interrupted"
    newest_checkpoint(metrics.parent / "checkpoints")


def test_a_smoke_run_that_was_stopped_names_no_folder(train, monkeypatch) -> None:
    def stop(_: object) -> None:
        raise Interrupted("stopped", 2)

    monkeypatch.setattr("dltool.training.fit.Fitting.run_epoch", stop)
    outcome, _ = train(TINY, "--smoke")
    assert outcome.code == 130
    assert "nothing is kept" in outcome.stderr
    assert "dltool-smoke-" not in outcome.stderr
    assert "dltool resume" not in outcome.stderr
