"""`dltool report`, and the report at the end of a training."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from tests.report.conftest import CLASSES, Reported, trained, write_table

from dltool.evaluation.figures.figure import Figure

LOST = "the report has no examples and shows the recorded results"
HOSTILE = "<script>alert(1)</script>\x1b[31m"


@pytest.fixture
def copy(reported: Reported, tmp_path: Path) -> Path:
    """The run in a folder of its own, with its data where it was."""
    return Path(shutil.copytree(reported.run, tmp_path / "runs/hostile/0001"))


def test_the_numbers_are_those_of_the_results(reported) -> None:
    results, numbers = reported.json("results.json"), reported.numbers
    assert {name: found["value"] for name, found in numbers["test"].items()} == results["test"]
    kept = {name: [found["low"], found["high"]] for name, found in numbers["test"].items() if found["low"] is not None}
    assert kept == results["intervals"]
    assert numbers["best_epoch"] == results["best"]["epoch"]
    assert [line["loss"] for line in numbers["history"]] == [
        json.loads(line)["loss"] for line in (reported.run / "metrics.jsonl").read_text("utf-8").splitlines()
    ]
    assert [row["class"] for row in numbers["outputs"][0]["table"]] == sorted(CLASSES)
    assert numbers["verdict"]["words"] in reported.html.replace("&#39;", "'")


def test_a_column_that_gives_the_target_away_is_suspected(reported) -> None:
    assert [found["title"] for found in reported.numbers["warnings"] if found["kind"] == "leakage"] == [
        "tell may give the target away"
    ]


def test_every_figure_is_a_file_of_the_run_too(reported) -> None:
    files = {file.stem for file in reported.run.rglob("*.svg")}
    assert {"curve_loss", "curve_accuracy", "confusion_matrix", "roc", "calibration"} <= files
    assert reported.html.count("<figure>") == len(files)


def test_it_can_be_written_again_from_the_run(copy, reported, again) -> None:
    (copy / "report.html").unlink()
    outcome, report = again(copy)
    assert outcome.code == 0
    assert reported.numbers["verdict"]["words"] in outcome.stdout
    assert f"next  open {copy}/report.html in a browser" in outcome.stdout.replace("\n", " ")
    assert report.numbers["test"] == reported.numbers["test"]
    assert report.numbers["outputs"] == reported.numbers["outputs"]
    assert report.numbers["baselines"] == reported.numbers["baselines"]


def test_without_its_data_a_run_still_has_a_report(copy, reported, again, tmp_path) -> None:
    data = reported.run.parents[2] / "table.csv"
    data.rename(tmp_path / "elsewhere.csv")
    try:
        outcome, report = again(copy, "--json")
    finally:
        (tmp_path / "elsewhere.csv").rename(data)
    assert outcome.code == 0
    assert LOST in " ".join(outcome.stderr.split())
    assert LOST in report.html
    printed = json.loads(outcome.stdout)
    assert printed["file"] == str(copy / "report.html")
    assert printed["test"] == reported.numbers["test"]
    assert printed["history"] == reported.numbers["history"]
    assert printed["layers"] == reported.numbers["layers"]
    assert printed["baselines"] == reported.numbers["baselines"]
    assert printed["outputs"] == reported.numbers["outputs"]
    assert report.html.count("<figure>") == reported.html.count("<figure>")


HOSTILE_FIGURE = """<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script>
<meta http-equiv="refresh" content="0;url=http://example.com"/>
<a href="http://example.com"><path d="M0 0" onclick="x"/></a>
<use href="http://example.com/x.svg#a"/><g><text>kept</text></g></svg>"""


@pytest.mark.parametrize(
    "svg",
    [
        HOSTILE_FIGURE,
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("<svg>" * 5000, "<html/>")),
        "<svg><g></svg>",
    ],
)
def test_what_a_run_kept_of_its_test_is_not_trusted(svg, copy, reported, again, tmp_path) -> None:
    folder = copy / "evaluation/test"
    for file in (folder / "figures").iterdir():
        file.write_text(svg, "utf-8")
    found = json.loads((folder / "metrics.json").read_text("utf-8"))
    output = {"name": HOSTILE, "kind": HOSTILE, "table": [{HOSTILE: HOSTILE}, 3], "figures": [{"name": "../../x"}]}
    output["mistakes"] = [{"row": 1e20, "target": [HOSTILE], "confidence": 1}, {"row": 1}, 3]
    found["outputs"] += [output, None]
    found["baselines"] = [{"name": HOSTILE, "metric": "accuracy", "value": 1e400}, {"value": []}]
    (folder / "metrics.json").write_text(json.dumps(found), "utf-8")
    data = reported.run.parents[2] / "table.csv"
    data.rename(tmp_path / "elsewhere.csv")
    try:
        outcome, report = again(copy)
    finally:
        (tmp_path / "elsewhere.csv").rename(data)
    assert outcome.code == 0
    assert not report.page.of("script")
    assert report.page.of("meta") == reported.page.of("meta")
    assert "example.com" not in report.html
    assert not any(name.startswith("on") for _, attributes in report.page.elements for name in attributes)
    shown = [image["src"] for image in report.page.of("img") if "drawn" in (image.get("class") or "")]
    assert (Figure("", "", "", svg).data_uri in shown) == (svg == HOSTILE_FIGURE)


def test_out_takes_the_page_elsewhere_and_leaves_the_run_alone(copy, again, tmp_path) -> None:
    (copy / "report.html").write_text("old")
    outcome, _ = again(copy, "--out", tmp_path / "page.html")
    assert outcome.code == 0
    assert (tmp_path / "page.html").read_text("utf-8").startswith("<!doctype html>")
    assert (copy / "report.html").read_text() == "old"


@pytest.mark.parametrize(("out", "said"), [("page.pdf", "--out page.html"), ("no/page.html", "there is no folder no")])
def test_a_page_that_cannot_be_written_is_refused_at_once(out, said, copy, again, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    outcome, _ = again(copy, "--out", out)
    assert outcome.code == 2
    assert said in outcome.stderr


@pytest.mark.parametrize("status", ["interrupted", "running"])
def test_of_a_run_that_is_not_complete_what_there_is_is_reported(status, copy, again) -> None:
    """A process that was killed has left it as running."""
    (copy / "results.json").unlink()
    record = json.loads((copy / "run.json").read_text("utf-8"))
    (copy / "run.json").write_text(json.dumps({**record, "status": status}), "utf-8")
    outcome, report = again(copy)
    assert outcome.code == 0
    assert "The run is not complete and has no results. Its status is interrupted." in report.html
    assert report.numbers["layers"]
    assert '<img class="drawn' in report.html


def test_a_run_that_was_killed_before_its_report_gets_it_when_it_is_resumed(copy, dltool) -> None:
    (copy / "report.html").unlink()
    resumed = dltool("resume", copy)
    assert (resumed.code, "nothing to do" in resumed.stdout) == (0, True)
    assert (copy / "report.html").read_text("utf-8").startswith("<!doctype html>")
    written = (copy / "report.html").stat().st_mtime_ns
    assert dltool("resume", copy).code == 0
    assert (copy / "report.html").stat().st_mtime_ns == written


def test_what_a_hostile_run_says_is_text_in_a_short_page(copy, again) -> None:
    lines = [{"epoch": HOSTILE, "loss": [HOSTILE], HOSTILE: 1e400}, {"epoch": 2, **{f"x{i}": i for i in range(5000)}}]
    (copy / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    (copy / "origins.json").write_text(json.dumps({"name": HOSTILE, "seed": [], "x" * 9999: "y" * 9999}), "utf-8")
    record = json.loads((copy / "run.json").read_text("utf-8"))
    told = {"started": HOSTILE, "machine": {"cpu": HOSTILE * 999, "memory": 1e400}, "git": [], "code": {}, "seed": {}}
    data = {**record["data"], "warnings": [HOSTILE]}
    (copy / "run.json").write_text(json.dumps({**record, **told, "data": data, "code": []}), "utf-8")
    (copy / "results.json").write_text(json.dumps({"seconds": {HOSTILE: 1e400, "total": -1}, "best": 3}), "utf-8")
    outcome, report = again(copy)
    assert outcome.code == 0
    assert not report.page.of("script")
    assert "\x1b" not in report.html
    assert len(report.html) < 500_000


def no_ink(_: object) -> None:
    raise ValueError("no ink")


def stopped(_: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)


@pytest.mark.parametrize(
    ("fail", "said"),
    [(no_ink, "the report could not be written: no ink"), (stopped, "stopped while the report was written")],
)
def test_a_report_that_fails_or_is_stopped_is_a_warning(fail, said, tmp_path, dltool, monkeypatch) -> None:
    monkeypatch.setattr("dltool.report.contents.contents", fail)
    (tmp_path / "iris.yaml").write_text(
        "name: iris\ndata: {source: iris, split: {validation: 0.2, test: 0.2}}\n"
        "model: {layers: [Dense: {units: $classes, activation: softmax}]}\n"
        "training: {optimizer: adam, loss: sparse_categorical_crossentropy, epochs: 1}\n"
    )
    outcome = dltool("train", tmp_path / "iris.yaml", "--runs", tmp_path / "runs")
    assert outcome.code == 0
    assert f"{said}; the run is complete" in " ".join(outcome.stderr.split())
    run = tmp_path / "runs/iris/0001"
    assert json.loads((run / "run.json").read_text("utf-8"))["status"] == "completed"
    assert not (run / "report.html").exists()


def test_a_figure_that_cannot_be_drawn_is_said_in_the_report(tmp_path, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no ink")

    monkeypatch.setattr("dltool.report.contents.learning_curves", fail)
    write_table(tmp_path / "table.csv")
    text = "name: a\ndata: {source: {csv: table.csv}, target: kind, split: {test: 0.2}}\n"
    text += "model: {layers: [Dense: {units: $classes, activation: softmax}]}\n"
    text += "training: {optimizer: adam, loss: sparse_categorical_crossentropy, epochs: 1}\n"
    (tmp_path / "a.yaml").write_text(text)
    report = Reported(trained(tmp_path / "a.yaml", tmp_path / "runs"))
    assert "A figure could not be drawn: ValueError: no ink." in report.html
    assert "Confusion matrix" in report.html
