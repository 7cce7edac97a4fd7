"""Comparing runs by their directories alone."""

import inspect
import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dltool.commands.compare import compare
from dltool.config.metric_forms import METRIC_FORMS
from dltool.config.wording import snake_case
from dltool.errors import ConfigError, RunError
from dltool.evaluation.stored import ExampleValues, packed
from dltool.report.ranking import is_less_better
from dltool.runs.directory import create
from dltool.runs.files import MetricsLog, Run
from dltool.runs.summaries import summaries

CONFIG = """\
seed: {seed}
model: {{layers: {layers}}}
training:
  loss: {loss}
  metrics: {metrics}
  optimizer: {{Adam: {{learning_rate: {rate}}}}}
"""
ROWS = np.arange(200)


def created(
    runs: Path,
    share: float = 0.8,
    *,
    seed: int = 0,
    rate: float = 0.01,
    loss: str = "mse",
    layers: str = "[Flatten]",
    metrics: str = "[accuracy]",
    rows: np.ndarray = ROWS,
    **record: Any,
) -> Run:
    """A completed run that was right about that `share` of the test examples, the first ones."""
    right = (np.arange(len(rows)) < share * len(rows)).astype(np.float32)
    files = {
        "resolved.yaml": CONFIG.format(seed=seed, loss=loss, rate=rate, layers=layers, metrics=metrics).encode(),
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


def test_on_other_rows_runs_are_not_ranked_and_it_says_why(tmp_path):
    found = compare([created(tmp_path).path, created(tmp_path, 0.95, rows=ROWS + 150).path])
    assert found.metrics[1].differences == (None, None)
    assert {row.verdict for row in found.metrics} == {"not ranked"}
    assert found.verdict == "The runs are not ranked on any test metric."
    (remark,) = found.remarks
    assert "was tested on other rows, 50 of 200 in common: not ranked with" in remark


def test_the_same_rows_with_other_targets_are_not_ranked(tmp_path):
    runs = [created(tmp_path), created(tmp_path, 0.95)]
    (runs[1].evaluation / "test" / "metrics.json").write_text(json.dumps({"targets": "sha256:positive"}), "utf-8")
    (remark,) = compare([run.path for run in runs]).remarks
    assert "on other targets, such as another positive class: not ranked with" in remark


def test_of_three_runs_the_two_on_the_same_rows_are_ranked(tmp_path):
    found = compare(
        [created(tmp_path, share, rows=rows).path for share, rows in ((0.6, ROWS), (1, ROWS + 9), (0.9, ROWS))]
    )
    loss, accuracy = found.metrics
    assert (accuracy.ranked, accuracy.best, accuracy.verdict) == ((0, 2), (2,), "C is better")
    assert loss.verdict == "no clear difference"
    assert found.verdict == "C is better overall: significant on accuracy; no clear difference on loss."


def test_of_three_runs_those_that_no_other_beats_are_named(tmp_path):
    found = compare([created(tmp_path, share).path for share in (0.9, 0.6, 0.91)])
    assert found.metrics[1].best == (0, 2)
    assert found.metrics[1].verdict == "C is best, no clear difference to A"
    assert found.verdict == "A and C are best overall: no other run is significantly better on any metric."


def test_where_intervals_say_so_there_is_no_clear_difference(tmp_path):
    found = compare([created(tmp_path).path, created(tmp_path, 0.81).path])
    assert {row.verdict for row in found.metrics} == {"no clear difference"}
    assert found.verdict == "There is no clear difference between A and B on any metric."


def test_runs_that_are_better_on_different_metrics_are_not_ordered(tmp_path):
    runs = [created(tmp_path), created(tmp_path, 0.95)]
    results = json.loads(runs[1].results.read_text("utf-8"))
    results["test"]["loss"], results["intervals"]["loss"] = 0.9, [0.8, 1.0]
    runs[1].results.write_text(json.dumps(results), "utf-8")
    found = compare([run.path for run in runs])
    assert found.verdict == "No run is better on every metric: loss: A is better; accuracy: B is better."


def test_losses_of_another_kind_are_not_compared(tmp_path):
    found = compare([created(tmp_path).path, created(tmp_path, loss="mae").path])
    assert found.metrics[0].differences == (None, None)
    assert found.metrics[0].verdict == "not ranked"
    assert "has another loss function, penalty or weights than in" in found.remarks[0]


@pytest.mark.parametrize(
    ("first", "other", "is_ranked"),
    [
        ("[accuracy]", "[AUC, accuracy]", True),
        (
            "[{BinaryAccuracy: {threshold: 0.3, name: accuracy}}]",
            "[{BinaryAccuracy: {threshold: 0.5, name: accuracy}}]",
            False,
        ),
        ("[{TopKCategoricalAccuracy: {k: 3, name: accuracy}}]", "[accuracy]", False),
    ],
)
def test_a_metric_with_other_options_is_not_ranked(tmp_path, first, other, is_ranked):
    runs = [created(tmp_path, metrics=first), created(tmp_path, 0.95, metrics=other)]
    found = compare([run.path for run in runs])
    assert found.metrics[1].verdict == ("B is better" if is_ranked else "not ranked")
    assert any("has other options, such as another threshold" in remark for remark in found.remarks) != is_ranked


def test_another_decision_threshold_is_not_ranked_except_on_what_depends_on_none(tmp_path):
    runs = [created(tmp_path, metrics=f"[accuracy, AUC, mse]\n  threshold: {value}") for value in (0.3, 0.5)]
    for run, auc in zip(runs, (0.7, 0.9), strict=True):
        results = json.loads(run.results.read_text("utf-8"))
        for name in ("auc", "mse"):
            results["test"][name], results["intervals"][name] = auc, [auc - 0.05, auc + 0.05]
        run.results.write_text(json.dumps(results), "utf-8")
    found = compare([run.path for run in runs])
    assert {row.name: row.verdict for row in found.metrics} == {
        "loss": "no clear difference",
        "accuracy": "not ranked",
        "auc": "B is better",
        "mse": "A is better",
    }
    difference = found.metrics[2].differences[1]
    assert difference is not None
    assert not difference.is_paired


def test_a_loss_with_another_penalty_is_not_ranked(tmp_path):
    layer = "{{Dense: {{units: 1, kernel_regularizer: {{L2: {{l2: {}}}}}}}}}"
    runs = [created(tmp_path, layers=f"[{layer.format(penalty)}]") for penalty in (0.1, 0.2)]
    found = compare([run.path for run in runs])
    assert [row.verdict for row in found.metrics] == ["not ranked", "no clear difference"]


def test_a_metric_that_is_the_loss_has_one_row_and_one_curve(tmp_path):
    runs = [created(tmp_path), created(tmp_path)]
    for run in runs:
        results = json.loads(run.results.read_text("utf-8"))
        results["test"]["mse"] = results["test"]["loss"] * (1 + 1e-8)
        run.results.write_text(json.dumps(results), "utf-8")
        lines = [{"epoch": epoch, "loss": 1 / epoch, "mse": 1 / epoch, "learning_rate": 0.1} for epoch in (1, 2)]
        run.metrics.write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
    found = compare([run.path for run in runs])
    assert [row.name for row in found.metrics] == ["accuracy", "mse"]
    assert [*found.curves] == ["mse"]


def test_every_metric_of_keras_is_ranked_in_the_direction_that_keras_gives_it():
    import keras

    needed = {
        "num_classes": 2,
        "target_class_ids": [0],
        "precision": 0.5,
        "recall": 0.5,
        "specificity": 0.5,
        "sensitivity": 0.5,
    }
    for name in METRIC_FORMS.keys() - {"accuracy"}:
        kind = getattr(keras.metrics, name)
        wanted = {key: needed[key] for key in inspect.signature(kind).parameters if key in needed}
        way = getattr(kind(**wanted), "_direction", None)
        assert way is None or is_less_better(snake_case(name), {}) == (way == "down"), name


LAYERS = "[{Conv2D: {filters: 8}}, Flatten, {Dense: {units: 64, activation: relu}}, {Dense: {units: 10}}]"


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (
            LAYERS.replace("Flatten, ", "Flatten, {Dropout: {rate: 0.5}}, "),
            {"model.layers[2] (B)": ("", "Dropout rate 0.5")},
        ),
        (LAYERS.replace("64", "32"), {"model.layers[2].Dense.units": ("64", "32")}),
        (LAYERS.replace("{Conv2D: {filters: 8}}, ", ""), {"model.layers[0]": ("Conv2D filters 8", "")}),
        (
            LAYERS.replace("64", "32").replace("[{Conv", "[{Rescaling: {scale: 2}}, {Conv"),
            {"model.layers[0] (B)": ("", "Rescaling scale 2"), "model.layers[2].Dense.units": ("64", "32")},
        ),
        (
            LAYERS.replace("{Conv2D: {filters: 8}}, ", "{Conv2D: {filters: 4}}, {Conv2D: {filters: 8}}, "),
            {"model.layers[0] (B)": ("", "Conv2D filters 4")},
        ),
        ("[]", {f"model.layers[{index}]": None for index in range(4)}),
    ],
)
def test_layers_are_paired_by_content_and_not_by_index(tmp_path, layers, expected):
    runs = [created(tmp_path, layers=LAYERS), created(tmp_path, layers=layers)]
    rows = {row.name: row.values for row in compare([run.path for run in runs]).config}
    assert rows.keys() == expected.keys()
    assert all(values in (None, rows[name]) for name, values in expected.items())


def test_a_named_layer_is_paired_with_the_one_of_its_name(tmp_path):
    first = "[{Dense: {units: 8, name: trunk}}, {Dense: {units: 3, name: head}}]"
    other = "[{Dense: {units: 3, name: extra}}, {LSTM: {units: 9, name: trunk}}, {Dense: {units: 4, name: head}}]"
    found = compare([created(tmp_path, layers=layers).path for layers in (first, other)]).config
    assert {row.name: row.values for row in found} == {
        "model.layers[0] (B)": ("", "Dense units 3, name extra"),
        "model.layers[0]": ("Dense units 8, name trunk", "LSTM units 9, name trunk"),
        "model.layers[1].Dense.units": ("3", "4"),
    }


def test_numbers_of_a_shape_and_other_choices_are_one_row(tmp_path):
    layers = "[{{Conv2D: {{kernel_size: [{0}, {0}]}}}}]"
    runs = [
        created(tmp_path, layers=layers.format(size), metrics=f"[{metric}]") for size, metric in ((3, "a"), (5, "b"))
    ]
    found = compare([run.path for run in runs]).config
    assert {row.name: row.values for row in found} == {
        "model.layers[0].Conv2D.kernel_size": ("3, 3", "5, 5"),
        "training.metrics": ("a", "b"),
    }


def test_hundreds_of_layers_are_paired_in_a_second(tmp_path):
    many = [f"{{Dense: {{units: {index}}}}}" for index in range(800)]
    runs = [created(tmp_path, layers=f"[{', '.join(each)}]") for each in (many, [*many[:10], "Flatten", *many[11:]])]
    started = time.process_time()
    found = compare([run.path for run in runs]).config
    assert time.process_time() - started < 5
    assert [row.name for row in found] == ["model.layers[10]", "model.layers[10] (B)"]


def test_a_run_without_results_is_compared_in_what_it_has(tmp_path):
    files = {"resolved.yaml": b"seed: 1\n"}
    with create(tmp_path, "other", {}, files) as unfinished, MetricsLog(unfinished) as log:
        log.append({"epoch": 1, "accuracy": 0.5})
    found = compare([created(tmp_path).path, unfinished.path])
    assert found.metrics[1].values[1] is None
    assert [[len(curve) for curve in curves] for curves in found.curves.values()] == [[2, 0], [0, 1]]
    assert any("has no test metrics: its status is interrupted" in remark for remark in found.remarks)


def test_a_trial_of_a_search_is_compared_without_a_test_and_the_reason_is_said(tmp_path):
    trial = created(tmp_path, data={"test_examples": len(ROWS)})
    trial.write_json(trial.results, {"epochs": 2})
    (trial.evaluation / "test/examples.npz").unlink()
    found = compare([created(tmp_path).path, trial.path])
    assert f"{trial.path} has no test metrics: a search tests its best trial only" in found.remarks


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
    assert "A goes from 1.0000 to 0.5000 in epoch 2. B goes from 1.0000 to 0.5000 in epoch 2." in text
    assert "B is better overall: significant on accuracy" in text
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
    assert found["verdict"].startswith("B is better overall: significant on accuracy")
    assert found["verdict"] in shown
    assert "█▁" in shown


@pytest.mark.slow
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
