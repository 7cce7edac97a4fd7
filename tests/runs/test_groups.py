"""Searches and learning curves beside the runs of a name: listed with them, never counted or pruned with them."""

import json
from pathlib import Path
from typing import Any

import pytest

from dltool.commands.runs import list_runs
from dltool.curve.curve_folder import CurvePlan, CurveRecord, write_curve
from dltool.runs.directory import new_folder, newest_number, update_latest
from dltool.runs.files import run_lock
from dltool.runs.removal import prunable
from dltool.runs.summaries import RunSummary
from dltool.search.search_folder import Measured, SearchFolder, create_search

SETTINGS: dict[str, Any] = {
    **dict.fromkeys(("minutes", "threads", "storage")),
    **dict.fromkeys(("first", "seeds", "workers"), 1),
    "config": "",
    "seed": 0,
    "metric": "val_loss",
    "trials": 30,
    "factor": 3,
    "keep_all": False,
}


def run_in(path: Path, *losses: float, status: str = "completed") -> None:
    path.mkdir(parents=True)
    record = {"format": 1, "status": status, "started": "2026-11-30T10:00:00+0000"}
    (path / "run.json").write_text(json.dumps(record))
    lines = [json.dumps({"epoch": epoch, "val_loss": loss}) + "\n" for epoch, loss in enumerate(losses, 1)]
    (path / "metrics.jsonl").write_text("".join(lines))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs, a search with three trials of which one is NaN, and a curve with two of four runs."""
    runs = tmp_path / "runs"
    for name in ("0001", "0002"):
        run_in(runs / "iris" / name)
    update_latest(runs / "iris")
    search = create_search(runs, "iris", {}, **SETTINGS, measured=Measured(mode="min", rungs=(1, 3), threads=1))
    for number, losses in enumerate([(0.9, 0.8, 0.85), (float("nan"),), (0.5,)]):
        run_in(search.trial_folder(number) / "0001", *losses, status="interrupted")
    curve = new_folder(runs / "iris", "curve")
    plan = CurvePlan(data="sha256:0", threads=1, sizes=[45, 90], seeds=[3, 4], reach=4.0)
    write_curve(curve, CurveRecord(plan=plan))
    for rows in (45, 90):
        run_in(curve / f"rows-{rows}" / "0001")
        (curve / f"rows-{rows}" / "0001/results.json").write_text(json.dumps({"seconds": {"total": rows / 2}}))
    run_in(runs / "zebra" / "0001")
    return runs


def rows(runs: Path, *conditions: str, sort: str | None = None) -> list[RunSummary]:
    return list_runs(runs, conditions, sort)[0]


def names(found: list[RunSummary]) -> list[str]:
    return ["/".join(run.path.parts[-2:]) for run in found]


def test_each_has_a_row_after_the_runs_of_its_name(runs):
    found = rows(runs)
    assert names(found) == ["iris/0001", "iris/0002", "iris/curve-0001", "iris/search-0001", "zebra/0001"]
    _, _, curve, search, _ = found
    assert (curve.kind, curve.status, curve.parts, curve.value) == ("curve", "interrupted", "2 of 4 runs", None)
    assert curve.seconds == 67.5
    assert (search.kind, search.status, search.parts) == ("search", "interrupted", "3 of 30 trials")
    assert (search.monitor, search.value) == ("val_loss", 0.5)
    assert all(each.can_resume and each.started for each in (curve, search))


def test_a_finished_one_shows_its_result(runs):
    result = {"trials": 30, "value": 0.25, "epochs": 77, "test": {"loss": 0.3, "accuracy": "high"}}
    SearchFolder(runs / "iris/search-0001").update(status="completed", result=result, seconds=12.0)
    curve = runs / "iris/curve-0001"
    record = json.loads((curve / "curve.json").read_text())
    (curve / "curve.json").write_text(json.dumps(record | {"status": "completed", "error": 0.02, "quantity": "error"}))
    _, _, curve_row, search, _ = rows(runs)
    assert (search.status, search.value, search.epochs, search.test) == ("completed", 0.25, 77, {"loss": 0.3})
    assert (search.parts, search.seconds, search.can_resume) == ("3 trials", 12.0, False)
    assert (curve_row.status, curve_row.monitor, curve_row.value, curve_row.parts) == (
        *("completed", "error"),
        *(0.02, "2 runs"),
    )


def test_one_in_use_is_running_and_its_trial_in_progress_is_not_done(runs):
    with run_lock(runs / "iris/search-0001/trials/0002"), run_lock(runs / "iris/curve-0001"):
        _, _, curve, search, _ = rows(runs)
    assert (curve.status, search.status) == ("running", "running")
    assert (search.parts, search.value) == ("2 of 30 trials", 0.8)


@pytest.mark.parametrize("command", ["evaluate", "report", "reproduce"])
def test_a_command_for_runs_says_what_it_is_and_where_its_runs_are(runs, dltool, command):
    for kind in ("search", "curve"):
        path = runs / f"iris/{kind}-0001"
        outcome = dltool(command, path)
        assert outcome.code == 4
        assert f"{path} is a {kind}, not a run\n  dltool runs --runs {path} lists its runs\n" in outcome.stderr


def test_filters_and_orders_hold_for_them_too(runs):
    assert names(rows(runs, "kind=search")) == ["iris/search-0001"]
    assert names(rows(runs, "kind=run", "name=iris")) == ["iris/0001", "iris/0002"]
    assert names(rows(runs, "best<0.6")) == ["iris/search-0001"]
    assert names(rows(runs, sort="number:desc"))[0] == "iris/0002"


@pytest.mark.parametrize(("text", "words"), [("{", "search.json"), ("{}", "name is missing or invalid")])
def test_a_damaged_one_is_a_broken_row(runs, text, words):
    (runs / "iris/search-0001/search.json").write_text(text)
    (runs / "iris/curve-0001/curve.json").unlink()
    _, _, curve, search, _ = rows(runs)
    assert (curve.status, search.status) == ("broken", "broken")
    assert words in search.reason
    assert "curve.json" in curve.reason


def test_none_is_pruned_removed_or_counted_as_a_run(runs, dltool):
    found = rows(runs, sort="number:desc")
    assert names(map_of(prunable(found, 1, False, False), found)) == ["iris/0001"]
    assert not prunable(rows(runs, "kind!=run"), None, True, False)
    assert not prunable(rows(runs, "kind!=run"), None, False, True)
    for group, kind in (("search-0001", "search"), ("curve-0001", "curve")):
        outcome = dltool("runs", "remove", runs / "iris" / group, "--yes")
        assert (outcome.code, f"is a {kind}, not a run" in outcome.stderr) == (4, True)
        assert (runs / "iris" / group).is_dir()
    assert dltool("runs", "prune", "--runs", runs, "--keep", "0", "--yes").code == 0
    assert names(rows(runs)) == ["iris/curve-0001", "iris/search-0001"]
    assert newest_number(runs / "iris") == 0
    assert len(rows(runs / "iris/search-0001/trials")) == 3


def map_of(paths: list[Path], found: list[RunSummary]) -> list[RunSummary]:
    return [run for run in found if run.path in paths]


def test_the_table_and_the_json_name_them(runs, dltool):
    table = dltool("runs", "--runs", runs).stdout
    assert "(3 of 30 trials)" in table
    assert "(2 of 4 runs)" in table
    found = json.loads(dltool("runs", "--runs", runs, "--json").stdout)
    assert [len(found[each]) for each in ("runs", "searches", "curves")] == [3, 1, 1]
    assert found["searches"][0]["path"] == str(runs / "iris/search-0001")
    only = dltool("runs", "--runs", runs, "--filter", "kind=search")
    assert f"next  dltool resume {runs}/iris/search-0001" in only.stdout + only.stderr


def test_after_a_search_its_best_config_is_what_to_train(runs, dltool):
    search = SearchFolder(runs / "iris/search-0001")
    search.update(status="completed", result={"winner": 1, "value": 0.5})
    found = dltool("runs", "--runs", runs, "--filter", "kind=search")
    assert f"next  dltool train {search.best}" in found.stdout + found.stderr
