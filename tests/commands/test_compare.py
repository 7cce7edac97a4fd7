"""Comparing runs by their directories alone."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dltool.commands.compare import compare
from dltool.errors import ConfigError, RunError
from dltool.evaluation.stored import ExampleValues, packed
from dltool.runs.directory import create
from dltool.runs.files import MetricsLog, Run
from dltool.runs.summaries import summaries

CONFIG = "seed: {seed}\ntraining:\n  loss: {loss}\n  optimizer: {{Adam: {{learning_rate: {rate}}}}}\n"
ROWS = np.arange(200)


def created(
    runs: Path,
    share: float = 0.8,
    *,
    seed: int = 0,
    rate: float = 0.01,
    loss: str = "mse",
    rows: np.ndarray = ROWS,
    **record: Any,
) -> Run:
    """A completed run that was right about that `share` of the test examples, the first ones."""
    right = (np.arange(len(rows)) < share * len(rows)).astype(np.float32)
    files = {
        "resolved.yaml": CONFIG.format(seed=seed, loss=loss, rate=rate).encode(),
        "origins.json": json.dumps({"seed": "default", "training.optimizer.Adam.learning_rate": "a.yaml:4:9"}).encode(),
        "evaluation/test/examples.npz": packed(ExampleValues(rows, {"accuracy": right}, "")),
        "evaluation/test/metrics.json": json.dumps({"targets": f"sha256:{rows.sum()}"}).encode(),
    }
    run_record = {"machine": {"cpu": "fast"}, "data": {"fingerprint": "sha256:" + "ab" * 32}, **record}
    with create(runs, "mnist", run_record, files) as run:
        with MetricsLog(run) as log:
            for epoch in (1, 2):
                log.append({"epoch": epoch, "loss": 1 / epoch, "seconds": 1.0})
        test = {"loss": 0.2, "accuracy": share}
        intervals = {"loss": [0.1, 0.3], "accuracy": [share - 0.05, share + 0.05]}
        best = {"epoch": 2, "monitor": "loss", "value": 0.5}
        run.write_json(run.results, {"test": test, "intervals": intervals, "best": best, "epochs": 2})
        run.update("completed")
    return run


def test_values_that_differ_are_shown_with_where_they_were_decided(tmp_path):
    runs = [created(tmp_path), created(tmp_path, rate=0.1)]
    (row,) = compare([run.path for run in runs]).config
    assert row.name == "training.optimizer.Adam.learning_rate"
    assert row.values == ("0.01", "0.1")
    assert row.origins == ("a.yaml:4:9", "a.yaml:4:9")


def test_the_environment_and_the_data_are_compared(tmp_path):
    other: dict[str, Any] = {"machine": {"cpu": "slow"}, "data": {"fingerprint": "sha256:" + "cd" * 32}}
    found = compare([created(tmp_path).path, created(tmp_path, **other).path])
    assert [(row.name, row.values) for row in found.environment] == [("machine.cpu", ("fast", "slow"))]
    assert [(row.name, row.values) for row in found.data] == [("fingerprint", ("ab" * 6, "cd" * 6))]


@pytest.mark.parametrize(("share", "exceeds"), [(0.81, False), (0.9, True)])
def test_on_the_same_test_rows_differences_are_paired(tmp_path, share, exceeds):
    found = compare([created(tmp_path).path, created(tmp_path, share).path])
    first, other = found.metrics[1].differences
    assert found.metrics[1].name == "accuracy"
    assert first is None
    assert other is not None
    assert other.is_paired
    assert other.value == pytest.approx(share - 0.8)
    assert other.low is not None
    assert other.high is not None
    assert other.low < share - 0.8 < other.high
    assert other.exceeds_noise == exceeds
    assert found.remarks == ()


@pytest.mark.parametrize(("share", "exceeds"), [(0.85, False), (0.95, True)])
def test_on_other_rows_intervals_are_compared_and_it_says_so(tmp_path, share, exceeds):
    found = compare([created(tmp_path).path, created(tmp_path, share, rows=ROWS + 150).path])
    other = found.metrics[1].differences[1]
    assert other is not None
    assert (other.is_paired, other.exceeds_noise) == (False, exceeds)
    (remark,) = found.remarks
    assert "was tested on other rows than" in remark
    assert "50 of 200 in common: unpaired intervals" in remark


def test_losses_of_another_kind_are_not_compared(tmp_path):
    found = compare([created(tmp_path).path, created(tmp_path, loss="mae").path])
    assert found.metrics[0].differences == (None, None)
    assert "uses another loss function than" in found.remarks[0]


def test_a_run_without_results_is_compared_in_what_it_has(tmp_path):
    files = {"resolved.yaml": b"seed: 1\n"}
    with create(tmp_path, "other", {}, files) as unfinished, MetricsLog(unfinished) as log:
        log.append({"epoch": 1, "accuracy": 0.5})
    found = compare([created(tmp_path).path, unfinished.path])
    assert found.metrics[1].values[1] is None
    assert [[len(curve) for curve in curves] for curves in found.curves.values()] == [[2, 0], [0, 1]]
    assert any("has no test metrics: its status is running" in remark for remark in found.remarks)


@pytest.mark.parametrize("count", [1, 9])
def test_two_to_eight_runs_are_compared(tmp_path, count):
    with pytest.raises(ConfigError, match=f"expected 2 to 8 runs, got {count}"):
        compare([created(tmp_path).path for _ in range(count)])


def test_a_run_that_is_named_twice_is_refused(tmp_path):
    run = created(tmp_path)
    with pytest.raises(ConfigError, match=r"duplicate run .*0001"):
        compare([run.path, tmp_path / "mnist" / "latest"])


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("results.json", b"[]", "is not a JSON object"),
        ("resolved.yaml", b"a: [", "not valid YAML"),
        ("evaluation/test/examples.npz", b"PK", "is damaged"),
        ("metrics.jsonl", b"{\n", "is not valid JSON"),
        *(("origins.json", b'{"a": %b1%b}' % (b"[" * deep, b"]" * deep), "nested|valid") for deep in (101, 490, 10**5)),
    ],
)
def test_a_damaged_run_is_refused(tmp_path, file, content, message):
    run, other = created(tmp_path), created(tmp_path)
    (other.path / file).write_bytes(content)
    with pytest.raises(RunError, match=message):
        compare([run.path, other.path])


def test_a_deep_document_of_a_run_is_refused_where_it_is_listed(tmp_path):
    run = created(tmp_path)
    for deep in (101, 490, 10**5):
        run.record.write_text('{"status": "completed", "x": ' + "[" * deep + "]" * deep + "}", "utf-8")
        (summary,) = summaries(tmp_path)
        assert summary.status == "broken"
        assert "run.json" in summary.reason


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b"PK\x01\x02", b"PK\x01\x03"),
        lambda content: examples(rows=np.arange(4), names=np.array(["a"])),
        lambda content: examples(rows=np.arange(4), names=np.array(["a"], object), values=np.zeros((1, 4), "f4")),
        lambda content: examples(
            rows=np.arange(4), names=np.frombuffer(b"\xff" * 4, "<U1"), values=np.zeros((1, 4), "f4")
        ),
        lambda content: examples(
            rows=np.arange(4), names=np.array(["a"]), values=np.zeros((1, 4), "f4"), x=np.zeros(3)
        ),
        lambda content: examples(
            rows=np.broadcast_to(np.int64(0), 2**25 + 1), names=np.array(["a"]), values=np.zeros((1, 4), "f4")
        ),
    ],
)
def test_damaged_examples_are_refused(tmp_path, damage):
    run, other = created(tmp_path), created(tmp_path)
    file = other.path / "evaluation/test/examples.npz"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(RunError, match=r"examples\.npz"):
        compare([run.path, other.path])


def examples(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=True, **arrays)
    return file.getvalue()


@pytest.mark.parametrize("value", [10**400, "x", None, [1], True, {"a": float("nan")}])
def test_hostile_values_do_no_harm(dltool, tmp_path, value):
    run, other = created(tmp_path), created(tmp_path, machine=value, data=value, git=value)
    results = {"test": {"loss": value}, "intervals": {"loss": value}, "best": value, "seconds": value, "epochs": value}
    (other.path / "results.json").write_text(json.dumps(results))
    assert dltool("compare", run.path, other.path).code == 0


def test_text_of_a_run_is_shown_as_it_stands(dltool, tmp_path):
    hostile = {"cpu": "<script>alert(1)</script>[/foo]\x1b[31m"}
    runs = [created(tmp_path), created(tmp_path, machine=hostile)]
    page = tmp_path / "page.html"
    outcome = dltool("compare", *(run.path for run in runs), "--html", page)
    assert outcome.code == 0
    assert r"<script>alert(1)</script>[/foo]\x1b[31m" in outcome.stdout
    text = page.read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;[/foo]" in text
    assert "<script" not in text
    assert "\x1b" not in text


def test_the_page_has_the_curves_of_all_runs_in_one_figure(dltool, tmp_path):
    runs = [created(tmp_path), created(tmp_path, 0.9)]
    page = tmp_path / "page.html"
    assert dltool("compare", *(run.path for run in runs), "--html", page).code == 0
    text = page.read_text(encoding="utf-8")
    assert "A goes from 1 to 0.5 in epoch 2. B goes from 1 to 0.5 in epoch 2." in text
    assert "significant at 95 %: B is better" in text
    assert "https://" not in text


@pytest.mark.parametrize("name", ["page.txt", "folder.html", "nowhere/page.html"])
def test_the_page_must_be_a_file_with_its_ending(dltool, tmp_path, name):
    (tmp_path / "folder.html").mkdir()
    runs = [created(tmp_path), created(tmp_path)]
    outcome = dltool("compare", *(run.path for run in runs), "--html", tmp_path / name)
    assert (outcome.code, outcome.stdout) == (2, "")


def test_the_console_and_json_say_the_same(dltool, tmp_path):
    runs = [created(tmp_path), created(tmp_path, 0.9, rate=0.1)]
    shown = dltool("compare", *(run.path for run in runs)).stdout
    found = json.loads(dltool("compare", *(run.path for run in runs), "--json").stdout)
    assert found["config"]["training.optimizer.Adam.learning_rate"]["values"] == ["0.01", "0.1"]
    assert found["metrics"]["accuracy"]["differences"][1]["exceeds_noise"] is True
    assert "training.optimizer.Adam.learning_rate  0.01  0.1" in shown
    assert "significant at 95 %: B is better" in shown
    assert "█▁" in shown


def test_comparing_imports_no_tensorflow(tmp_path):
    runs = [created(tmp_path), created(tmp_path)]
    command = [sys.executable, "-X", "importtime", "-m", "dltool", "compare", *(str(run.path) for run in runs)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert imported.isdisjoint({"tensorflow", "keras", "sklearn", "pandas"})


def test_curves_of_different_lengths_have_their_epochs_below_each_other(dltool, tmp_path):
    runs = [created(tmp_path), created(tmp_path)]
    lines = [json.dumps({"epoch": epoch, "loss": 1 / epoch, "seconds": 1.0}) for epoch in range(1, 49)]
    runs[1].metrics.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    shown = dltool("compare", *(run.path for run in runs)).stdout
    first, other = (line.split()[2] for line in shown.splitlines() if line.startswith("loss  ") and " 1.0000 " in line)
    assert (len(first), len(other)) == (1, 24)


def test_a_narrow_terminal_has_whole_numbers(dltool, tmp_path, monkeypatch):
    monkeypatch.setattr("dltool.console.consoles.UNLIMITED", 40)
    runs = [created(tmp_path), created(tmp_path)]
    shown = dltool("compare", *(run.path for run in runs)).stdout
    assert "curve  run  by epoch  last    best epoch" in shown
    assert "…" not in shown
