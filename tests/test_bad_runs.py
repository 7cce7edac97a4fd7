"""What a bad run directory, and a training that goes wrong, get: an exit code, one plain block, no traceback."""

import errno
import json
import os
import re
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests.bad_configs import changed
from tests.in_process import command
from tests.small_configs import TINY

from dltool.runs.checkpoint_file import newest_checkpoint
from dltool.runs.files import Run

CONFIG = TINY.replace("source: iris", "source: {arrays: own.npz}")
RUN = Path("runs/example/0001")


def write_data(folder: Path, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    np.savez(folder / "own.npz", x=random.random((150, 4), "float32"), y=random.integers(0, 3, 150))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The folder of a completed run of two epochs; never to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    write_data(folder)
    (folder / "example.yaml").write_text(CONFIG, encoding="utf-8")
    assert command("train", folder / "example.yaml", "--runs", folder / "runs", "--quiet", draws=True) == 0
    return folder


@pytest.fixture
def completed(trained, tmp_path, monkeypatch) -> Path:
    """A copy of the run, as a path relative to the working directory."""
    folder = tmp_path / "here"
    shutil.copytree(trained, folder, symlinks=True)
    edit_text(folder / RUN / "resolved.yaml", str(trained), str(folder))
    edit_record(folder / RUN, resolved=(folder / RUN / "resolved.yaml").read_text("utf-8"))
    monkeypatch.chdir(folder)
    return RUN


@pytest.fixture
def run(completed) -> Path:
    """The run as if it had been killed after its last epoch, before its test."""
    (completed / "results.json").unlink()
    edit_record(completed, status="running")
    return completed


def edit_text(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


def record_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text("utf-8"))


def edit_record(run: Path, **changes: object) -> None:
    (run / "run.json").write_text(json.dumps({**record_of(run), **changes}), "utf-8")


def checkpoints(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("*.ckpt"))


def kernel_of(file: Path) -> bytes:
    with h5py.File(file, "r") as weights:
        return np.asarray(weights["layers/dense/vars/0"]).tobytes()


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    # Of weights this is a number in the middle: HDF5 itself would not notice.
    content[len(content) // 2 if file.suffix == ".ckpt" else content.index(kernel_of(file))] ^= 1
    file.write_bytes(content)


@pytest.fixture
def check_message(golden):
    def check(name: str, outcome, code: int = 4) -> None:
        assert outcome.code == code, outcome.stderr
        assert "Traceback" not in outcome.stderr
        text = outcome.stderr.replace(os.getcwd(), "HERE").replace(socket.gethostname(), "HOST")
        text = re.sub(r"process \d+ on", "process PID on", text)
        text = re.sub(r"[0-9a-f]{64}", "…", text)
        text = re.sub(r"expected [\d,]+ bytes, found [\d,]+|[\d,]+ bytes", "N bytes", text)
        if code not in {2, 3, 4}:
            # Whether something was written is another matter.
            text = re.sub(r"1 problem; .*\n$", "", text)
        golden(f"bad-inputs/runs/{name}", text)

    return check


# --- the run directory ---


def test_a_complete_run_is_left_as_it_is(completed, dltool) -> None:
    before = {file: file.read_bytes() for file in completed.rglob("*") if file.is_file() and file.name != "lock"}
    outcome = dltool("resume", completed)
    assert outcome.code == 0
    assert "complete" in outcome.stdout + outcome.stderr
    assert {file: file.read_bytes() for file in before} == before


@pytest.mark.parametrize("name", ["missing", "no-run", "file"])
def test_what_is_no_run_is_named(name, completed, dltool, check_message) -> None:
    Path("empty").mkdir()
    path = {"missing": "runs/exampel/0001", "no-run": "empty", "file": "example.yaml"}[name]
    check_message(name, dltool("evaluate", path))


def test_a_second_writer_is_refused_at_once(run, dltool, check_message) -> None:
    with Run(run).locked():
        started = time.monotonic()
        outcome = dltool("resume", run)
        assert time.monotonic() - started < 1
    check_message("second-writer", outcome)


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped"])
def test_damaged_best_weights_keep_a_run_from_being_evaluated(damage, run, dltool, check_message) -> None:
    weights = run / "checkpoints/best.weights.h5"
    if damage == "missing":
        weights.unlink()
    elif damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:3000])
    else:
        flip(weights)
    outcome = dltool("evaluate", run)
    check_message(f"weights-{damage}", outcome)


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_checkpoint_is_passed_over_and_said(damage, run, dltool, check_message) -> None:
    newest = checkpoints(run)[-1]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    if damage == "flipped":
        flip(newest)
    else:
        newest.write_bytes(newest.read_bytes()[:-100])
    outcome = dltool("resume", run, "--quiet")
    check_message(f"checkpoint-{damage}", outcome, code=0)
    again = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert [{**line, "seconds": 0} for line in again] == [{**line, "seconds": 0} for line in lines]


def test_only_damaged_checkpoints_are_an_error(run, dltool, check_message) -> None:
    # How many there are, time decides.
    *older, newest = checkpoints(run)
    for file in older:
        file.unlink()
    flip(newest)
    check_message("checkpoints-all-damaged", dltool("resume", run))


def test_no_checkpoint_is_an_error(run, dltool, check_message) -> None:
    for file in checkpoints(run):
        file.unlink()
    check_message("checkpoints-missing", dltool("resume", run))


@pytest.mark.parametrize("command", ["evaluate", "resume"])
def test_a_newer_format_is_named_with_ours(command, run, dltool, check_message) -> None:
    edit_record(run, format=2, dltool="9.8.7")
    check_message("newer-format", dltool(command, run))


@pytest.mark.parametrize("command", ["evaluate", "resume"])
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("edited-optimizer", "learning_rate: 0.001", "learning_rate: 0.01"),
        ("edited-architecture", "units: 8", "units: 9"),
        ("edited-split", "validation: 0.2", "validation: 0.3"),
        ("edited-invalid", "batch_size: 16", "batch_size: 0"),
    ],
)
def test_an_edited_config_is_refused_with_the_difference(name, old, new, command, run, dltool, check_message) -> None:
    edit_text(run / "resolved.yaml", old, new)
    check_message(name, dltool(command, run))


def test_an_edited_number_of_epochs_belongs_on_the_command_line(run, dltool, check_message) -> None:
    edit_text(run / "resolved.yaml", "epochs: 2", "epochs: 3")
    check_message("edited-epochs", dltool("resume", run))
    assert dltool("evaluate", run).code == 0
    assert dltool("resume", run, "--epochs", "3").code == 0
    assert len((run / "metrics.jsonl").read_text("utf-8").splitlines()) == 3
    assert dltool("resume", run, "--epochs", "3", "--quiet").code == 2


def test_an_architecture_edited_in_the_record_too_does_not_fit_the_checkpoint(run, dltool, check_message) -> None:
    edit_text(run / "resolved.yaml", "units: 8", "units: 9")
    edit_record(run, resolved=(run / "resolved.yaml").read_text("utf-8"))
    before = record_of(run)
    check_message("edited-architecture-in-both", dltool("resume", run, "--quiet"))
    assert record_of(run) == before


def test_a_torn_last_line_of_the_metrics_is_repaired(run, dltool) -> None:
    whole = (run / "metrics.jsonl").read_text("utf-8")
    (run / "metrics.jsonl").write_text(whole + '{"epoch": 3, "lo', "utf-8")
    assert dltool("runs", "--json").code == 0
    assert len(Run(run).read_metrics()) == 2
    assert dltool("resume", run, "--epochs", "3").code == 0
    assert [line["epoch"] for line in Run(run).read_metrics()] == [1, 2, 3]


@pytest.mark.parametrize("command", ["evaluate", "resume", "predict"])
@pytest.mark.parametrize("damage", ["changed", "gone", "new"])
def test_other_preprocessing_than_was_learnt_is_refused(damage, command, run, dltool, check_message) -> None:
    file = run / "preprocessing/0-Normalization/arrays.npz"
    with np.load(file) as arrays:
        values = dict(arrays)
    values["mean"] = np.nextafter(values["mean"], 1, dtype="float32")
    if damage == "changed":
        np.savez(file, **values)
    elif damage == "gone":
        file.unlink()
    else:
        np.savez(file.with_name("more.npz"), **values)
    before = record_of(run)
    outcome = dltool(command, run, *(["own.npz"] if command == "predict" else []))
    lines = [line for line in outcome.stderr.splitlines(keepends=True) if not line.startswith("warning")]
    check_message(f"preprocessing-{damage}", type(outcome)(outcome.code, outcome.stdout, "".join(lines)))
    assert record_of(run) == before


# --- data and machine ---


@pytest.mark.parametrize("command", ["evaluate", "resume"])
def test_changed_data_is_refused(command, run, dltool, check_message) -> None:
    write_data(Path(), seed=1)
    check_message("changed-data", dltool(command, run), code=3)


CHANGES = {
    "cpu": lambda machine: machine.update(cpu="Another CPU"),
    "version": lambda machine: machine["versions"].update(tensorflow="2.0.0"),
    "variable": lambda machine: machine["environment"].update(TF_XLA_FLAGS="0"),
    "precision": lambda machine: machine["environment"].update(ONEDNN_DEFAULT_FPMATH_MODE="BF16"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_machine_is_refused(name, run, dltool, monkeypatch) -> None:
    monkeypatch.delenv("TF_XLA_FLAGS", raising=False)
    machine = record_of(run)["machine"]
    CHANGES[name](machine)
    edit_record(run, machine=machine)
    before = (run / "resolved.yaml").read_bytes(), (run / "run.json").read_bytes()
    words = {"cpu": "cpu was Another CPU and is", "version": "versions.tensorflow was 2.0.0 and is"}
    words["precision"] = "environment.ONEDNN_DEFAULT_FPMATH_MODE was BF16 and is not set"
    outcome = dltool("resume", run, "--epochs", "3")
    assert outcome.code == 5
    assert words.get(name, "environment.TF_XLA_FLAGS was 0 and is not set") in outcome.stderr
    assert outcome.stderr.count("error:") == 1
    assert "--allow-change" in outcome.stderr
    assert ((run / "resolved.yaml").read_bytes(), (run / "run.json").read_bytes()) == before


@pytest.mark.slow
def test_changes_of_the_machine_that_are_allowed_are_recorded_and_from_then_on_none(run, dltool, monkeypatch) -> None:
    monkeypatch.delenv("TF_XLA_FLAGS", raising=False)
    machine = record_of(run)["machine"]
    for change in CHANGES.values():
        change(machine)
    edit_record(run, machine=machine)
    outcome = dltool("resume", run, "--epochs", "3")
    assert outcome.code == 5
    allowed = dltool("resume", run, "--allow-change", "--quiet")
    assert allowed.code == 0
    assert "the result may not be bit-identical" in allowed.stderr
    record = record_of(run)
    (changes,) = [entry["changes"] for entry in record["resumed"]]
    assert len(changes) == len(CHANGES)
    for change in changes:
        assert f"{change['what']} was {change['was']} and is {change['now']}" in outcome.stderr
    # From now on this is the run's machine.
    assert record["machine"] != machine
    assert dltool("resume", run, "--epochs", "3", "--quiet").code == 0
    assert [len(entry["changes"]) for entry in record_of(run)["resumed"]] == [len(CHANGES), 0]


def test_other_settings_of_keras_are_refused(run, dltool, monkeypatch) -> None:
    monkeypatch.setattr("keras.config.floatx", lambda: "float64")
    outcome = dltool("resume", run)
    assert outcome.code == 5
    assert "keras.floatx was float32 and is float64" in outcome.stderr


# --- training ---


def test_a_diverged_training_names_epoch_and_step_and_keeps_what_was_finite(completed, dltool, check_message) -> None:
    Path("example.yaml").write_text(changed(("Adam: {learning_rate: 1e-3}", "SGD: {learning_rate: 1e38}"), text=CONFIG))
    outcome = dltool("train", "example.yaml", "--runs", "others", "--quiet")
    assert outcome.code == 6
    assert re.search(r"in epoch \d+, step \d+ of 6", outcome.stderr)
    checkpoint, _ = newest_checkpoint(Path("others/example/0001/checkpoints"))
    assert all(np.isfinite(array).all() for _, array in checkpoint.arrays if array.dtype.kind == "f")


def test_running_out_of_memory_suggests_a_batch_size(run, dltool, check_message, monkeypatch) -> None:
    import tensorflow as tf

    from dltool.training.fit import Fitting

    def too_large(*_: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[8,8]")

    monkeypatch.setattr(Fitting, "run_steps", too_large)
    check_message("out-of-memory", dltool("train", "example.yaml", "--runs", "others", "--quiet"), code=5)
    assert record_of(Path("others/example/0001"))["status"] == "failed"
    assert dltool("runs", "--runs", "others").stdout.endswith("next  dltool resume others/example/0001\n")
    outcome = dltool("resume", run, "--epochs", "3", "--quiet")
    assert outcome.code == 5
    assert "batch_size: 8" in outcome.stderr


def full_disk(monkeypatch, ending: str) -> None:
    replace = os.replace

    def refuse(source, target, **options) -> None:
        if str(target).endswith(ending):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target, **options)

    monkeypatch.setattr(os, "replace", refuse)


@pytest.mark.parametrize("ending", [".ckpt", "metrics.jsonl", "model.keras", "results.json", "run.json"])
@pytest.mark.slow
def test_a_full_disk_keeps_the_old_checkpoints(ending, run, dltool, check_message, monkeypatch) -> None:
    before = {file: file.read_bytes() for file in checkpoints(run)}
    with monkeypatch.context() as patch:
        full_disk(patch, ending)
        outcome = dltool("resume", run, "--epochs", "3", "--quiet")
    outcome = type(outcome)(outcome.code, "", re.sub(r"[0-9]+\.ckpt", "N.ckpt", outcome.stderr))
    check_message(f"full-disk-{ending.strip('.').replace('.', '-')}", outcome, code=5)
    if ending in {".ckpt", "metrics.jsonl", "run.json"}:
        assert {file: file.read_bytes() for file in before} == before
    assert not list(run.rglob(".tmp-*"))
    assert dltool("resume", run, "--epochs", "4").code == 0


@pytest.mark.parametrize("error", [errno.EROFS, pytest.param(errno.EACCES, marks=pytest.mark.slow)])
def test_a_folder_that_cannot_be_written_is_found_before_training(error, run, dltool, monkeypatch) -> None:
    open_, mkdir = os.open, os.mkdir

    def refuse_open(path, flags, *arguments, **options) -> int:
        if flags & os.O_CREAT and "example/0001" in os.path.realpath(path):
            raise OSError(error, os.strerror(error))
        return open_(path, flags, *arguments, **options)

    def refuse_mkdir(path, *arguments, **options) -> None:
        if "others" in str(path):
            raise OSError(error, os.strerror(error))
        mkdir(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse_open)
    monkeypatch.setattr(os, "mkdir", refuse_mkdir)
    for arguments in (("resume", run), ("train", "example.yaml", "--runs", "others")):
        outcome = dltool(*arguments, "--quiet")
        assert outcome.code == 5, outcome.stderr
        assert os.strerror(error).lower() in outcome.stderr
        assert "Traceback" not in outcome.stderr
    assert not Path("others").exists()


def refuse_writing(monkeypatch, error: int = errno.EROFS) -> None:
    open_, mkdir = os.open, os.mkdir

    def refuse_open(path, flags, *arguments, **options) -> int:
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR) and "example/0001" in os.path.realpath(path):
            raise OSError(error, os.strerror(error))
        return open_(path, flags, *arguments, **options)

    def refuse_mkdir(path, *arguments, **options) -> None:
        if "example/0001" in os.path.realpath(path):
            raise OSError(error, os.strerror(error))
        mkdir(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse_open)
    monkeypatch.setattr(os, "mkdir", refuse_mkdir)


def test_a_completed_run_that_cannot_be_written_is_complete_all_the_same(completed, dltool, monkeypatch) -> None:
    refuse_writing(monkeypatch)
    outcome = dltool("resume", completed)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert "is complete: nothing to do" in outcome.stdout


@pytest.mark.parametrize("options", [pytest.param((), marks=pytest.mark.slow), ("--json",)])
def test_a_run_that_cannot_be_written_is_evaluated_with_a_warning(completed, dltool, monkeypatch, options) -> None:
    expected = json.loads((completed / "results.json").read_text("utf-8"))["test"]
    refuse_writing(monkeypatch)
    outcome = dltool("evaluate", completed, *options)
    assert outcome.code == 0
    assert outcome.stderr.startswith(
        "warning: the evaluation could not be saved: read-only file system: cannot create "
    )
    if options:
        assert json.loads(outcome.stdout)["metrics"] == expected
    else:
        assert "accuracy" in outcome.stdout


def test_an_expectation_that_was_missed_is_missed_by_a_resumption_too(completed, dltool) -> None:
    results = json.loads((completed / "results.json").read_text("utf-8"))
    results["expectations"] = {
        "accuracy": {"bound": ">= 2", "value": 0.5, "met": False},
        "loss": {"bound": "< 9", "value": 1.0, "met": True},
    }
    (completed / "results.json").write_text(json.dumps(results), "utf-8")
    outcome = dltool("resume", completed)
    assert outcome.code == 7
    assert outcome.stderr == "expectation missed: expected accuracy >= 2, got 0.5\n"
    assert "is complete: nothing to do" in outcome.stdout
    outcome = dltool("resume", completed, "--json")
    assert outcome.code == 7
    assert json.loads(outcome.stdout)["missed"] == ["expected accuracy >= 2, got 0.5"]


def never(*_: object) -> None:
    raise AssertionError("it should have been refused before training")


def test_a_run_that_cannot_be_compared_is_not_reproduced(completed, dltool, monkeypatch) -> None:
    monkeypatch.setattr("dltool.commands.reproduce.train_again", never)
    flip(checkpoints(completed)[-1])
    outcome = dltool("reproduce", completed)
    assert outcome.code == 4
    assert "the last checkpoint of the run is damaged" in outcome.stderr


def test_a_folder_that_a_second_run_cannot_be_written_to_is_found_before_it_is_trained(
    completed, dltool, monkeypatch
) -> None:
    monkeypatch.setattr("dltool.commands.reproduce.train_again", never)
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != os.getcwd() and str(path) != ".")
    outcome = dltool("reproduce", completed, "--into", "again/deeper")
    assert outcome.code == 5
    assert "is not writable\n  use --into with a writable folder" in outcome.stderr


def test_a_clock_that_is_a_day_back_changes_nothing(run, dltool, monkeypatch) -> None:
    lines = [{**line, "seconds": 0} for line in Run(run).read_metrics()]
    flip(checkpoints(run)[-1])
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 86_400)
    for file in run.rglob("*"):
        os.utime(file, (now() + 86_400, now() + 86_400))
    assert dltool("resume", run).code == 0
    assert [{**line, "seconds": 0} for line in Run(run).read_metrics()] == lines
