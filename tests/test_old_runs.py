"""Run directories that dltool 0.1.0 made (see old_runs/README.md) are read, evaluated, resumed and reproduced."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dltool import open_run

OLD_RUNS = Path(__file__).parent / "old_runs"
EXPECTED: dict[str, Any] = json.loads((OLD_RUNS / "expected.json").read_text("utf-8"))
MADE_IN = "/srv/example"
COMPLETED = ["digits", "people", "pictures"]
INTERRUPTED = {"hours": 1, "halves": 4}
"""The values are the epochs in metrics.jsonl."""
NEW_DATA = {"digits": "digits-new.npz", "people": "people-new.csv"}

TOLERANCE = 1e-5
"""For the same weights. Another CPU may compute other last bits."""
TRAINING_TOLERANCE = 0.05
"""For weights that another CPU has trained to the end."""
DECIDES_BITS = ("cpu", "cpu_features", "versions", "environment")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Copy the runs and their data, correct the paths of the data, and make the copy the working directory."""
    copy = tmp_path / "copy"
    shutil.copytree(OLD_RUNS, copy)
    for resolved in copy.glob("runs/*/*/resolved.yaml"):
        resolved.write_text(resolved.read_text("utf-8").replace(MADE_IN, str(copy)), "utf-8")
    monkeypatch.setenv("DLTOOL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(copy)
    return copy


def path_of(name: str) -> Path:
    return Path("runs") / name / "0001"


def read(run: Path, file: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((run / file).read_text("utf-8"))
    return document


def epochs_of(run: Path) -> list[dict[str, float]]:
    return without_times([json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()])


def without_times(epochs: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in epochs]


def near(metrics: dict[str, float]) -> Any:
    return pytest.approx(metrics, rel=TOLERANCE, abs=TOLERANCE)


def document_of(outcome: Any, code: int = 0) -> dict[str, Any]:
    assert outcome.code == code, outcome.stderr
    document: dict[str, Any] = json.loads(outcome.stdout)
    return document


def in_new_process(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, which can have the recorded number of threads."""
    command = [sys.executable, "-m", "dltool", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def has_same_bits(run: Path, recorded: dict[str, Any]) -> bool:
    """Return whether `run`, written just now, was computed as run.json `recorded` of an old run says."""
    now = read(run, "run.json")
    same_machine = all(now["machine"][key] == recorded["machine"][key] for key in DECIDES_BITS)
    return same_machine and {**now["pinned"], "why_threads": ""} == {**recorded["pinned"], "why_threads": ""}


def test_old_runs_are_listed_with_their_results(dltool, folder) -> None:
    runs = {run["name"]: run for run in document_of(dltool("runs", "--json"))["runs"]}
    assert sorted(runs) == sorted([*COMPLETED, *INTERRUPTED])
    for name in COMPLETED:
        results = read(path_of(name), "results.json")
        assert (runs[name]["status"], runs[name]["can_resume"]) == ("completed", False)
        assert (runs[name]["test"], runs[name]["validation"]) == (results["test"], results["validation"])
        assert (runs[name]["epochs"], runs[name]["value"]) == (results["epochs"], results["best"]["value"])
    for name, epochs in INTERRUPTED.items():
        assert (runs[name]["status"], runs[name]["can_resume"]) == ("interrupted", True)
        assert (runs[name]["epochs"], runs[name]["test"]) == (epochs, {})


def test_old_runs_are_selected_by_their_metrics(dltool, folder) -> None:
    selected = document_of(dltool("runs", "--filter", "accuracy>0.425", "--sort", "loss:desc", "--json"))["runs"]
    assert [run["name"] for run in selected] == ["people", "pictures"]


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) for name in ("people", *COMPLETED[::2])])
def test_an_old_run_is_evaluated_with_the_recorded_numbers(dltool, folder, name) -> None:
    run = path_of(name)
    recorded = read(run, "results.json")
    found = document_of(dltool("evaluate", run, "--json"))
    assert found["metrics"] == near(recorded["test"])
    for metric, bounds in recorded["intervals"].items():
        assert found["intervals"][metric] == pytest.approx(bounds, rel=1e-3)
    assert read(run, "evaluation/test/metrics.json")["metrics"] == found["metrics"]


@pytest.mark.parametrize("name", ["people", pytest.param("digits", marks=pytest.mark.slow)])
def test_an_old_run_predicts_the_recorded_probabilities(dltool, folder, name) -> None:
    predictions = document_of(dltool("predict", path_of(name), f"data/{NEW_DATA[name]}", "--json"))["predictions"]
    expected = EXPECTED["predictions"][name]
    assert len(predictions) == len(expected)
    for prediction, recorded in zip(predictions, expected, strict=True):
        assert list(prediction) == list(recorded)
        probabilities = {key: value for key, value in recorded.items() if isinstance(value, float)}
        assert {key: prediction[key] for key in probabilities} == near(probabilities)
        assert {**prediction, **probabilities} == recorded


def test_the_report_of_an_old_run_without_its_data_has_the_recorded_results(dltool, folder) -> None:
    run = path_of("people")
    recorded = read(run, "results.json")
    (folder / "data/people.csv").unlink()
    report = document_of(dltool("report", run, "--json"))
    assert {name: metric["value"] for name, metric in report["test"].items()} == near(recorded["test"])
    assert report["best_epoch"] == recorded["best"]["epoch"]
    assert without_times(report["history"]) == epochs_of(run)
    assert (run / "report.html").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("name", [*COMPLETED, *INTERRUPTED])
def test_the_report_of_an_old_run_is_written(dltool, folder, name) -> None:
    run = path_of(name)
    report = document_of(dltool("report", run, "--json"))
    recorded = read(run, "results.json")["test"] if name in COMPLETED else {}
    assert {metric: found["value"] for metric, found in report["test"].items()} == near(recorded)
    assert (report["status"], len(report["history"])) == (read(run, "run.json")["status"], len(epochs_of(run)))
    assert (run / "report.html").exists()


def test_old_runs_are_compared(dltool, folder) -> None:
    found = document_of(dltool("compare", path_of("digits"), path_of("pictures"), "--json"))
    recorded = [read(path_of(name), "results.json")["test"] for name in ("digits", "pictures")]
    for metric in ("loss", "accuracy"):
        values = found["metrics"][metric]["values"]
        assert [value["value"] for value in values] == [results[metric] for results in recorded]


def test_a_notebook_opens_an_old_run(folder) -> None:
    run, recorded = open_run(path_of("digits")), read(path_of("digits"), "results.json")
    assert run.results["test"].to_dict() == recorded["test"]
    assert run.history["val_loss"].tolist() == [line["val_loss"] for line in epochs_of(path_of("digits"))]
    assert run.best_epoch == recorded["best"]["epoch"]


def test_an_old_run_that_is_complete_is_not_resumed(dltool, folder) -> None:
    found = document_of(dltool("resume", path_of("people"), "--json"))
    assert (found["status"], found["resumed"]) == ("completed", False)


@pytest.mark.parametrize("name", ["halves", pytest.param("hours", marks=pytest.mark.slow)])
def test_an_old_run_is_resumed_on_whatever_machine(dltool, folder, name) -> None:
    """This process may have another number of threads than the run was begun with."""
    run, expected = path_of(name), EXPECTED["resumed"][name]
    found = document_of(dltool("resume", run, "--allow-change", "--json"))
    assert (found["status"], found["epochs"]) == ("completed", expected["epochs"])
    assert found["test"] == pytest.approx(expected["test"], rel=TRAINING_TOLERANCE)
    assert [line["epoch"] for line in epochs_of(run)] == list(range(1, expected["epochs"] + 1))
    record = read(run, "run.json")
    assert (record["status"], len(record["resumed"])) == ("completed", 1)
    assert document_of(dltool("evaluate", run, "--json"))["metrics"] == near(found["test"])


@pytest.mark.slow
@pytest.mark.parametrize("name", INTERRUPTED)
def test_a_resumed_old_run_is_identical_to_an_uninterrupted_one_on_the_machine_that_began_it(folder, name) -> None:
    run, expected = path_of(name), EXPECTED["resumed"][name]
    recorded, before = read(run, "run.json"), epochs_of(run)
    done = in_new_process("resume", run, "--json")
    if done.returncode == 5:
        assert "--allow-change" in done.stderr
        done = in_new_process("resume", run, "--json", "--allow-change")
        assert read(run, "run.json")["resumed"][0]["changes"]
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if has_same_bits(run, recorded):
        assert not read(run, "run.json")["resumed"][0]["changes"]
        assert {key: found[key] for key in expected} == expected
        assert epochs_of(run)[: len(before)] == before
    else:
        assert found["test"] == pytest.approx(expected["test"], rel=TRAINING_TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["people", *COMPLETED[::2]])
def test_an_old_run_is_reproduced_on_the_machine_that_made_it(folder, name) -> None:
    """Elsewhere `reproduce` trains it again too, warns, and names the first difference if there is one."""
    run = path_of(name)
    done = in_new_process("reproduce", run, "--into", "again", "--json", "--quiet")
    found = json.loads(done.stdout)
    assert found["epochs"] == len(epochs_of(run))
    if has_same_bits(Path(found["again"]), read(run, "run.json")):
        assert (done.returncode, found["identical"], found["first_difference"]) == (0, True, None), done.stderr
    else:
        assert "warning" in done.stderr
        assert (done.returncode, bool(found["first_difference"])) == ((0, False) if found["identical"] else (7, True))


def test_old_runs_name_no_host_no_user_and_no_folder_of_theirs() -> None:
    files = [path for path in OLD_RUNS.rglob("*") if path.is_file()]
    assert not [path for path in files if path.name in ("lock", "log.txt")]
    texts = [path.read_text("utf-8") for path in files if path.suffix in (".json", ".yaml", ".jsonl")]
    assert not [text for text in texts if "/home/" in text or "/tmp/" in text or "/root/" in text]
    assert sum(os.path.getsize(path) for path in files) < 600_000
