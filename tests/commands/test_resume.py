"""Going on with a run through the command line. What kills and faults do is in tests/exactness/."""

import json
import signal
import time
from pathlib import Path

import pytest
from tests.small_configs import EVERYTHING_RANDOM, TINY

from dltool.errors import ConfigError, Interrupted
from dltool.runs import checkpoint_file
from dltool.runs.checkpoint_file import has_checkpoints, newest_checkpoint
from dltool.runs.files import MetricsLog, Run

FOUR_EPOCHS = EVERYTHING_RANDOM.replace("epochs: 2", "epochs: 4")


def metrics(run: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def results(run: Path) -> dict[str, object]:
    found = json.loads((run / "results.json").read_text("utf-8"))
    return {key: value for key, value in found.items() if key not in ("seconds", "cost")}


def final_arrays(run: Path) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in newest_checkpoint(run / "checkpoints")[0].arrays}


def test_a_complete_run_is_left_as_it_is(finished, dltool) -> None:
    run = finished(TINY)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "lock"}
    outcome = dltool("resume", run)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert "is complete: nothing to do" in outcome.stdout
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.slow
def test_no_epoch_is_written_before_a_checkpoint_is_there_to_resume_from(train, monkeypatch) -> None:
    write, append, found = checkpoint_file.write_checkpoint, MetricsLog.append, list[bool]()

    def slow(*arguments, **options):
        time.sleep(0 if found else 1.5)
        return write(*arguments, **options)

    def noted(log, line):
        found.append(has_checkpoints(log.path.parent / "checkpoints"))
        append(log, line)

    monkeypatch.setattr(checkpoint_file, "write_checkpoint", slow)
    monkeypatch.setattr(MetricsLog, "append", noted)
    assert train(TINY)[0].code == 0
    assert found == [True] * len(found) != []


def test_a_restarted_command_resumes_the_run_of_its_name(finished, dltool, tmp_path) -> None:
    run = finished(TINY)
    config, options = tmp_path / "example.yaml", ("--runs", run.parent.parent, "--run-or-resume", run.parent.name)
    outcome = dltool("train", config, *options)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert "is complete: nothing to do" in outcome.stdout
    killed(run)
    again = dltool("train", config, *options)
    assert again.code == 0
    assert "resumes after epoch" in again.stderr
    assert Run(run).is_complete()
    config.write_text(TINY + "\n", encoding="utf-8")
    changed = dltool("train", config, *options)
    assert changed.code == 2
    assert "was trained with another config than" in changed.stderr
    assert dltool("train", config, *options, "--name", "x").code == 2
    assert dltool("train", config, *options, "--smoke").code == 2
    assert len(list(run.parent.glob("[0-9]*"))) == 1


@pytest.mark.slow
def test_more_epochs_end_like_a_run_of_as_many_from_the_start(finished, dltool) -> None:
    whole = finished(FOUR_EPOCHS, folder="whole")
    run = finished(EVERYTHING_RANDOM)
    outcome = dltool("resume", run, "--epochs", "4")
    assert outcome.code == 0
    assert metrics(run) == metrics(whole)
    assert results(run) == results(whole)
    assert final_arrays(run) == final_arrays(whole)
    assert json.loads((run / "run.json").read_text("utf-8"))["status"] == "completed"


def killed(run: Path) -> None:
    """As if it had been killed after its last epoch, before its test."""
    record = json.loads((run / "run.json").read_text("utf-8"))
    (run / "run.json").write_text(json.dumps({**record, "status": "running"}), "utf-8")
    (run / "results.json").unlink()


@pytest.mark.parametrize("found", ["of a later epoch", pytest.param("missing", marks=pytest.mark.slow), "damaged"])
def test_the_best_weights_are_those_of_the_checkpoint_whatever_their_file_holds(finished, dltool, found) -> None:
    run = finished(EVERYTHING_RANDOM)
    file = run / "checkpoints/best.weights.h5"
    best, expected = file.read_bytes(), results(run)
    killed(run)
    if found == "of a later epoch":
        longer = finished(FOUR_EPOCHS, folder="longer")
        file.write_bytes((longer / "checkpoints/best.weights.h5").read_bytes())
        assert file.read_bytes() != best
    elif found == "missing":
        file.unlink()
    else:
        file.write_bytes(best[:100])
    assert dltool("resume", run).code == 0
    assert file.read_bytes() == best
    assert results(run) == expected


@pytest.mark.slow
def test_best_weights_of_an_epoch_that_is_run_again_from_the_start_are_gone_until_then(
    finished, dltool, monkeypatch
) -> None:
    from dltool.training.fit import Fitting

    run = finished(EVERYTHING_RANDOM.replace("epochs: 2", "epochs: 2\n  checkpoint: {every: 9 epochs}"))
    expected, file = results(run), run / "checkpoints/best.weights.h5"
    killed(run)
    max((run / "checkpoints").glob("*.ckpt")).unlink()
    with monkeypatch.context() as patch:
        patch.setattr(Fitting, "run_epoch", stop_now)
        assert dltool("resume", run).code == 130
    assert not file.exists()
    assert dltool("evaluate", run).code == 4
    assert dltool("resume", run).code == 0
    assert results(run) == expected


def stop_now(*_: object, **__: object) -> None:
    raise Interrupted("stopped", 2)


@pytest.mark.parametrize("kept", ["run.json", "resolved.yaml", "results.json"])
@pytest.mark.slow
def test_more_epochs_that_were_killed_while_they_were_recorded_are_run_by_the_next_resume(
    finished, dltool, monkeypatch, kept
) -> None:
    """`kept` is the last file that was changed."""
    run = finished(TINY)
    steps = {"run.json": "Run.write", "resolved.yaml": "disk_errors", "results.json": "metrics_line"}
    with monkeypatch.context() as patch:
        write = Run.write
        is_config = lambda run, path, data: stop_now() if path == run.resolved else write(run, path, data)  # noqa: E731
        patch.setattr(f"dltool.experiment.resuming.{steps[kept]}", is_config if kept == "run.json" else stop_now)
        assert dltool("resume", run, "--epochs", "3").code == 130
    record = json.loads((run / "run.json").read_text("utf-8"))
    assert record["status"] == "running"
    assert ("epochs: 3" in (run / "resolved.yaml").read_text("utf-8")) == (kept != "run.json")
    assert (run / "results.json").exists() == (kept != "results.json")
    assert dltool("resume", run).code == 0
    assert [line["epoch"] for line in metrics(run)] == [1, 2, 3]
    assert "epochs: 3" in (run / "resolved.yaml").read_text("utf-8")


DAMAGED = {"jit_compile": "no", "rewrites": False, "why": {}}


@pytest.mark.parametrize("strategy", [None, pytest.param(DAMAGED, marks=pytest.mark.slow)], ids=["missing", "damaged"])
def test_a_run_that_does_not_say_how_its_steps_were_computed_is_left_as_it_is(finished, dltool, strategy) -> None:
    run = finished(TINY)
    record = json.loads((run / "run.json").read_text("utf-8"))
    kept = {name: value for name, value in record.items() if name != "strategy"}
    (run / "run.json").write_text(json.dumps(kept if strategy is None else {**kept, "strategy": strategy}), "utf-8")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "lock"}
    for command in (("resume", run, "--epochs", "4"), ("reproduce", run)):
        outcome = dltool(*command)
        assert outcome.code == 4
        assert "run.json: the strategy of the steps is missing or invalid" in outcome.stderr
        assert "train a new run" in outcome.stderr
    assert {path: path.read_bytes() for path in before} == before
    assert dltool("evaluate", run).code == 0


def test_fewer_epochs_than_were_run_are_refused(finished, dltool) -> None:
    run = finished(TINY)
    outcome = dltool("resume", run, "--epochs", "1")
    assert outcome.code == 2
    assert "the run has 2 epochs already" in outcome.stderr
    assert (run / "results.json").exists()


def test_a_lost_last_line_of_metrics_is_written_again(finished, dltool) -> None:
    run = finished(TINY)
    expected = metrics(run)
    record = json.loads((run / "run.json").read_text("utf-8"))
    (run / "run.json").write_text(json.dumps({**record, "status": "running"}), "utf-8")
    (run / "metrics.jsonl").write_bytes((run / "metrics.jsonl").read_bytes()[:-30])
    assert dltool("resume", run).code == 0
    assert metrics(run) == expected


@pytest.mark.parametrize("into", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_run_comes_out_the_same_again(finished, dltool, tmp_path, into) -> None:
    run = finished(EVERYTHING_RANDOM)
    outcome = dltool("reproduce", run, "--json", *(["--into", tmp_path / "again"] if into else []))
    assert outcome.code == 0
    found = json.loads(outcome.stdout)
    assert (found["identical"], found["epochs"], found["first_difference"]) == (True, 2, None)
    assert (tmp_path / "again/random/0001/results.json").exists() == into


def test_the_first_difference_is_named(finished, dltool) -> None:
    run = finished(TINY)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    lines[1]["val_loss"] += 1e-9
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    outcome = dltool("reproduce", run, "--quiet")
    assert outcome.code == 7
    assert f"different  epoch 2: val_loss was {lines[1]['val_loss']} and is" in outcome.stdout


@pytest.mark.parametrize("into", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_second_run_that_was_stopped_is_named_only_where_it_is_kept(
    finished, dltool, monkeypatch, tmp_path, into
) -> None:
    run = finished(TINY)
    monkeypatch.setattr("dltool.training.fit.Fitting.run_epoch", stop_now)
    outcome = dltool("reproduce", run, *(["--into", tmp_path / "again"] if into else []))
    assert outcome.code == 130
    again = tmp_path / "again/example/0001"
    assert (f"run {again}" in outcome.stderr, f"dltool resume {again}" in outcome.stderr) == (into, into)
    assert "dltool-reproduce-" not in outcome.stderr
    assert ("nothing is kept" in outcome.stderr, "nothing was written" in outcome.stderr) == (not into, not into)


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("dltool.model.build.build_model", marks=pytest.mark.slow),
        "dltool.evaluation.measure.measure",
        pytest.param("dltool.training.fit.prepare_fit", marks=pytest.mark.slow),
    ],
)
def test_a_signal_of_which_a_library_makes_an_error_of_its_own_is_still_a_signal(
    finished, dltool, monkeypatch, place
) -> None:
    def masked(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException as stop:
            raise ConfigError("MISMATCH of exception types") from stop

    run = finished(TINY)
    killed(run)
    with monkeypatch.context() as patch:
        patch.setattr(place, masked)
        outcome = dltool("resume", run)
    assert outcome.code == 143
    assert "MISMATCH" not in outcome.stderr
    if place.endswith("measure"):
        assert json.loads((run / "run.json").read_text("utf-8"))["status"] == "interrupted"
    assert dltool("resume", run).code == 0


@pytest.mark.parametrize("option", ["--quiet", "--json"])
def test_a_stopped_run_is_named_however_little_is_said(train, dltool, monkeypatch, option) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("dltool.training.fit.Fitting.run_epoch", stop_now)
        outcome, run = train(TINY, option)
    assert outcome.code == 130
    last = f"completed work is kept in {run}\nnext  dltool resume {run}\n"
    assert outcome.stderr == f"error: stopped\n{last}"
    if option == "--json":
        found = json.loads(outcome.stdout)
        assert (found["run"], found["next"]) == (str(run), f"dltool resume {run}")


def test_a_resumption_that_was_stopped_while_it_read_the_data_is_named(finished, dltool, monkeypatch) -> None:
    run = finished(TINY)
    killed(run)
    with monkeypatch.context() as patch:
        patch.setattr("dltool.experiment.opening.load_data", lambda *_: signal.raise_signal(signal.SIGINT))
        outcome = dltool("resume", run, "--quiet")
    assert outcome.code == 130
    assert outcome.stderr.endswith(f"completed work is kept in {run}\nnext  dltool resume {run}\n")
    assert dltool("resume", run).code == 0


def test_a_run_that_cannot_be_resumed_says_so_at_its_start(train, dltool, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("dltool.training.fit.Fitting.run_epoch", stop_now)
    config = TINY.replace("  batch_size", f"  callbacks: [{{CSVLogger: {tmp_path}/log.csv}}]\n  batch_size")
    outcome, run = train(config)
    assert outcome.code == 130
    warning = "warning: this run cannot be resumed: training.callbacks[0].CSVLogger names something outside it"
    assert warning in outcome.stderr
    assert "dltool resume" not in outcome.stderr
    assert "dltool resume" not in dltool("runs", "--runs", run.parents[1]).stdout
    refused = dltool("resume", run)
    assert refused.code == 4
    assert "training.callbacks[0].CSVLogger names something outside the run" in refused.stderr


def test_more_epochs_than_a_config_may_have_are_refused(finished, dltool) -> None:
    run = finished(TINY)
    outcome = dltool("resume", run, "--epochs", "100001")
    assert outcome.code == 2
    assert "--epochs: must be at most 100,000, got 100001" in outcome.stderr
    assert (run / "results.json").exists()


def test_an_incomplete_run_is_not_reproduced(finished, dltool) -> None:
    run = finished(TINY)
    record = json.loads((run / "run.json").read_text("utf-8"))
    (run / "run.json").write_text(json.dumps({**record, "status": "interrupted"}), "utf-8")
    outcome = dltool("reproduce", run)
    assert outcome.code == 4
    assert "is not complete" in outcome.stderr
