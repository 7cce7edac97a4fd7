import json
import sys
from pathlib import Path

import pytest
from tests.bad_configs import GOOD

from dltool.console.consoles import StreamConsole
from dltool.console.run_table import show_runs
from dltool.runs.directory import create
from dltool.runs.files import MetricsLog, Run
from dltool.runs.summaries import summaries

RESULTS = {
    "status": "completed",
    "test": {"loss": 0.05, "accuracy": 0.985},
    "best": {"epoch": 4, "monitor": "val_loss", "value": 0.06},
    "epochs": 5,
    "seconds": {"train": 20.0, "total": 31.5},
}


def created(runs: Path, name: str = "mnist") -> Run:
    with create(runs, name, {"started": "2026-01-02T03:04:05+0000"}, {}) as run:
        return run


def keep_state(run: Run) -> None:
    run.checkpoints.mkdir()
    (run.checkpoints / "0000000006.ckpt").touch()


def test_a_completed_run_shows_its_results(tmp_path):
    run = created(tmp_path)
    run.write_json(run.results, RESULTS)
    run.update("completed")
    (summary,) = summaries(tmp_path)
    assert (summary.name, summary.number, summary.path) == ("mnist", "0001", run.path)
    assert (summary.status, summary.reason) == ("completed", "")
    assert summary.started == "2026-01-02T03:04:05+0000"
    assert (summary.seconds, summary.epochs) == (31.5, 5)
    assert (summary.monitor, summary.value) == ("val_loss", 0.06)
    assert summary.test == {"loss": 0.05, "accuracy": 0.985}


def test_a_run_with_a_living_writer_is_running_and_with_a_dead_one_interrupted(tmp_path):
    with create(tmp_path, "mnist", {}, {}) as run:
        with MetricsLog(run) as log:
            log.append({"epoch": 1})
        (running,) = summaries(tmp_path)
    (interrupted,) = summaries(tmp_path)
    assert (running.status, running.epochs) == ("running", 1)
    assert running.alive is not None
    assert interrupted.alive is None
    assert (interrupted.status, interrupted.epochs) == ("interrupted", 1)


def test_a_running_run_shows_how_far_it_is(dltool, tmp_path):
    with create(tmp_path, "mnist", {}, {"resolved.yaml": b"training: {epochs: 25}\n"}) as run:
        with MetricsLog(run) as log:
            log.append({"epoch": 1, "seconds": 2.5})
        out = dltool("runs", "--runs", tmp_path).stdout
    assert f"{run.path}: 1 of 25 epochs done, 2.5 s an epoch, last activity 0." in out


def test_what_differs_between_the_configs_of_the_runs_is_shown(dltool, tmp_path):
    for rate in ("0.1", "0.01"):
        with create(tmp_path, "mnist", {}, {"resolved.yaml": f"seed: 0\nrate: {rate}\n".encode()}):
            pass
    header, first, second, *_ = dltool("runs", "--runs", tmp_path).stdout.splitlines()
    assert header.endswith("differs")
    assert first.endswith("rate=0.1")
    assert second.endswith("rate=0.01")


def test_a_narrow_terminal_keeps_the_columns_that_matter(tmp_path, monkeypatch, capsys):
    run = created(tmp_path)
    run.write_json(run.results, RESULTS)
    run.update("completed")
    monkeypatch.setattr("dltool.console.run_table.stdout_console", lambda: StreamConsole(width=len(str(run.path)) + 50))
    show_runs(summaries(tmp_path), {}, tmp_path, as_json=False)
    header, row, *_ = capsys.readouterr().out.splitlines()
    assert header.split() == ["run", "status", "epochs", "test"]
    assert row.endswith("accuracy 0.9850")
    monkeypatch.setattr("dltool.console.run_table.stdout_console", lambda: StreamConsole(width=len(str(run.path)) + 25))
    show_runs(summaries(tmp_path), {}, tmp_path, as_json=False)
    header, row, below, *_ = capsys.readouterr().out.splitlines()
    assert header.split() == ["run", "status", "epochs"]
    assert below == "  loss 0.0500  accuracy 0.9850"


def test_a_failed_run_gives_its_reason(tmp_path):
    created(tmp_path).update("failed", reason="loss is NaN")
    (summary,) = summaries(tmp_path)
    assert (summary.status, summary.reason) == ("failed", "loss is NaN")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("run.json", "{"),
        ("run.json", "[]"),
        ("run.json", json.dumps({"format": 1, "status": "sleeping"})),
        ("run.json", json.dumps({"format": 1, "status": ["running"]})),
        ("run.json", json.dumps({"format": 99, "status": "completed"})),
        ("results.json", "not JSON"),
        ("metrics.jsonl", "{\n{\n"),
    ],
)
def test_a_broken_run_is_listed_with_the_reason(tmp_path, file, content):
    created(tmp_path, "a")
    broken = created(tmp_path, "b")
    (broken.path / file).write_text(content)
    whole, summary = summaries(tmp_path)
    assert whole.status == "interrupted"
    assert summary.status == "broken"
    assert str(broken.path) in summary.reason


def test_a_folder_without_a_record_is_broken_and_one_that_is_no_run_is_not_listed(tmp_path):
    (tmp_path / "mnist" / "0001").mkdir(parents=True)
    (tmp_path / "mnist" / "notes").mkdir()
    (summary,) = summaries(tmp_path)
    assert summary.status == "broken"
    assert "no run.json" in summary.reason


@pytest.mark.parametrize(
    "results", [{"test": 3, "best": [], "epochs": "5", "seconds": None}, {"test": {"accuracy": "high"}}]
)
def test_results_of_another_shape_are_left_out(tmp_path, results):
    run = created(tmp_path)
    run.write_json(run.results, results)
    run.update("completed")
    (summary,) = summaries(tmp_path)
    assert (summary.status, summary.seconds, summary.value, dict(summary.test)) == ("completed", None, None, {})


@pytest.mark.parametrize(
    ("last", "said"), [("completed", "evaluate {b}"), ("interrupted", "resume {b}"), ("failed", "evaluate {a}")]
)
def test_the_last_line_says_what_can_be_done_with_the_run(dltool, tmp_path, last, said):
    runs = tmp_path / "my runs"
    first, second = created(runs, "a"), created(runs, "b")
    for run in (first, second):
        run.write_json(run.results, RESULTS)
    first.update("completed")
    second.update(last)
    keep_state(second)
    *_, line = dltool("runs", "--runs", runs).stdout.splitlines()
    assert line == "next  dltool " + said.format(a=f"'{first.path}'", b=f"'{second.path}'")


def test_the_last_line_names_a_run_that_has_its_weights(dltool, tmp_path):
    runs = [created(tmp_path, name) for name in ("0001", "0002")]
    for run in runs:
        run.write_json(run.results, RESULTS)
        run.update("completed")
    runs[0].checkpoints.mkdir()
    runs[0].best_weights.touch()
    *_, line = dltool("runs", "--runs", tmp_path).stdout.splitlines()
    assert line == f"next  dltool evaluate {runs[0].path}"


def test_a_run_whose_checkpoints_were_removed_is_not_to_be_resumed(tmp_path):
    run = created(tmp_path)
    run.update("interrupted")
    assert summaries(tmp_path)[0].can_resume
    with run.locked(), MetricsLog(run) as log:
        log.append({"epoch": 1})
    assert not summaries(tmp_path)[0].can_resume
    keep_state(run)
    assert summaries(tmp_path)[0].can_resume


def test_a_run_that_failed_for_lack_of_room_can_be_resumed(dltool, tmp_path):
    run = created(tmp_path)
    run.update("failed", reason="no space left on device", exit_code=5)
    lines = dltool("runs", "--runs", tmp_path).stdout.splitlines()
    assert lines[-2:] == [f"{run.path}: no space left on device", f"next  dltool resume {run.path}"]
    run.update("failed", reason="the loss is NaN", exit_code=6)
    assert dltool("runs", "--runs", tmp_path).stdout.splitlines()[-1] == "next  dltool train CONFIG"


def test_where_nothing_is_complete_a_training_is_next(dltool, tmp_path):
    created(tmp_path).update("failed")
    assert dltool("runs", "--runs", tmp_path).stdout.splitlines()[-1] == "next  dltool train CONFIG"


def test_runs_list_is_runs(dltool, tmp_path):
    assert dltool("runs", "list", "--runs", tmp_path) == dltool("runs", "--runs", tmp_path)
    created(tmp_path)
    for options in ((), ("--json",), ("--filter", "status=completed"), ("--sort", "number")):
        assert dltool("runs", "list", "--runs", tmp_path, *options) == dltool("runs", "--runs", tmp_path, *options)


@pytest.mark.parametrize("options", [("--runs", "."), ("--filter", "status=failed"), ("--sort", "number"), ("--json",)])
def test_an_option_before_a_command_of_runs_is_refused_and_not_ignored(dltool, options):
    outcome = dltool("runs", *options, "prune", "--yes")
    assert outcome.code == 2
    assert "options go after the command: dltool runs prune" in outcome.stderr


def test_a_folder_that_is_given_must_be_there(dltool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert dltool("runs").code == 0
    (tmp_path / "experiments").mkdir()
    outcome = dltool("runs", "--runs", "experimnts")
    assert (outcome.code, outcome.stdout) == (2, "")
    assert 'there is no folder experimnts\n  did you mean "experiments"?' in outcome.stderr


@pytest.mark.parametrize("arguments", [["runs", "--runs", "file"], ["runs", "--runs", "file/below"], ["runs"]])
def test_a_file_is_no_folder_for_runs(dltool, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    for name in ("file", "runs"):
        (tmp_path / name).touch()
    outcome = dltool(*arguments)
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "is a file; expected a folder for runs" in outcome.stderr


@pytest.mark.parametrize("arguments", [["--runs", "file"], ["--runs", "file/below"], []])
def test_a_training_with_a_file_for_its_runs_fails_before_anything_is_imported(
    dltool, tmp_path, monkeypatch, arguments
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "dltool.commands.train", raising=False)
    (tmp_path / "example.yaml").write_text(GOOD, encoding="utf-8")
    for name in ("file", "runs"):
        (tmp_path / name).touch()
    outcome = dltool("train", "example.yaml", *arguments)
    assert outcome.code == 2
    assert "is a file; expected a folder for runs" in outcome.stderr
    assert "dltool.commands.train" not in sys.modules


@pytest.mark.parametrize("arguments", [("train", "example.yaml", "--runs"), ("reproduce", "runs/mnist/0001", "--into")])
def test_a_run_inside_another_is_refused_before_anything_is_read(dltool, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.yaml").write_text(GOOD, encoding="utf-8")
    first = created(tmp_path / "runs")
    first.update("completed")
    monkeypatch.delattr("dltool.experiment.new_training.load_data")
    monkeypatch.delattr("dltool.experiment.opening.load_data")
    outcome = dltool(*arguments, "runs/mnist/0001/evaluation")
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "runs/mnist/0001 is a run; runs cannot be nested\n  name a folder outside it" in outcome.stderr
    assert dltool("runs").code == 0


def test_no_folder_means_no_runs(tmp_path):
    assert summaries(tmp_path / "runs") == []


def test_the_next_command_names_the_code_that_the_run_needs(dltool, tmp_path):
    run = created(tmp_path)
    run.update("interrupted", code=[{"file": "my layers.py", "sha256": "0"}, {"file": 3}, None])
    assert f"next  dltool resume {run.path} --allow-code 'my layers.py'\n" in dltool("runs", "--runs", tmp_path).stdout


def test_of_runs_without_a_test_the_next_command_is_no_evaluation(dltool, tmp_path):
    run = created(tmp_path)
    run.write_json(run.results, {**RESULTS, "test": {}})
    run.update("completed")
    assert f"next  dltool report {run.path}\n" in dltool("runs", "--runs", tmp_path).stdout
