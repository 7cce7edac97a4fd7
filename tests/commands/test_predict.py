"""Predicting for new data from a run directory alone."""

import csv
import io
import json
import os
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet
from tests.commands.prediction_kinds import CONFIG
from tests.data.pictures import class_folders
from tests.in_process import command
from tests.test_bad_runs import edit_record, record_of

DATA = """\
  source: {csv: {path: train.csv, missing: ["?"]}}
  target: species
  inputs:
    island: {category: {unknown: error}}
    mass: {number: {missing: error}}
  split: {validation: 0.2, test: 0.2, group: family}"""
LAYERS = "[{Dense: {units: $classes, activation: softmax}}]"
NEW = "mass,island,length\n1.5,north,3\n2.5,south,?\n3.5,north,4\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A completed run; the data it was trained on is gone. Never to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    random = np.random.default_rng(0)
    rows = [
        f"f{row // 2},{'yes' if row % 3 else '=cmd()'},{random.normal():.3f},{('north', 'south')[row % 2]},{row % 9}"
        for row in range(60)
    ]
    (folder / "train.csv").write_text("\n".join(["family,species,mass,island,length", *rows]) + "\n", "utf-8")
    config = CONFIG.format(data=DATA, layers=LAYERS, loss="sparse_categorical_crossentropy")
    (folder / "example.yaml").write_text(config, "utf-8")
    assert command("train", folder / "example.yaml", "--runs", folder / "runs", "--quiet") == 0
    (folder / "train.csv").unlink()
    return folder / "runs/example/0001"


@pytest.fixture
def run(trained, tmp_path, monkeypatch) -> Path:
    """A copy of the run, and new.csv, below the working directory."""
    shutil.copytree(trained, tmp_path / "run/0001")
    (tmp_path / "new.csv").write_text(NEW, "utf-8")
    monkeypatch.chdir(tmp_path)
    return Path("run/0001")


def lines_of(outcome: Any) -> list[dict[str, str]]:
    assert outcome.code == 0, outcome.stderr
    return list(csv.DictReader(io.StringIO(outcome.stdout)))


@pytest.fixture
def check_message(golden):
    def check(name: str, outcome: Any, code: int = 3) -> None:
        assert outcome.code == code, outcome.stderr
        assert "Traceback" not in outcome.stderr
        assert outcome.stdout == ""
        golden(f"bad-inputs/predict/{name}", outcome.stderr.replace(f"{os.getcwd()}/", ""))

    return check


# --- what is printed and written ---


def test_stdout_holds_the_predictions_and_nothing_else(run, dltool) -> None:
    outcome = dltool("predict", run, "new.csv")
    lines = lines_of(outcome)
    assert list(lines[0]) == ["file", "row", "class", "probability of =cmd()", "probability of yes"]
    assert [(line["file"], line["row"]) for line in lines] == [("new.csv", "1"), ("new.csv", "2"), ("new.csv", "3")]
    assert {line["class"] for line in lines} <= {"'=cmd()", "yes"}
    assert "3 predictions of run/0001" in outcome.stderr
    assert "next  --out" in outcome.stderr


def test_the_three_kinds_of_files_hold_the_same_bits(run, dltool) -> None:
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        outcome = dltool("predict", run, "new.csv", "--out", name)
        assert outcome.stdout.startswith(f"{name}: 3 predictions of run/0001\n")
        assert "next  dltool evaluate run/0001\n" in outcome.stdout + outcome.stderr
    table = parquet.read_table("a.parquet").to_pydict()
    names = ["probability of =cmd()", "probability of yes"]
    for name in names:
        expected = np.array(table[name], np.float32).tolist()
        with open("a.csv", encoding="utf-8") as file:
            assert [np.float32(line[name]) for line in csv.DictReader(file)] == expected
        with open("a.jsonl", encoding="utf-8") as file:
            assert [np.float32(json.loads(line)[name]) for line in file] == expected
    assert set(table["class"]) <= {"=cmd()", "yes"}


def test_without_a_test_split_new_data_is_what_to_evaluate(run, dltool) -> None:
    results = json.loads((run / "results.json").read_text("utf-8"))
    (run / "results.json").write_text(json.dumps({**results, "test": {}}), "utf-8")
    outcome = dltool("predict", run, "new.csv", "--out", "a.csv")
    assert "next  dltool evaluate run/0001 --data FILE\n" in outcome.stdout + outcome.stderr


def test_json_holds_the_predictions_or_names_their_file(run, dltool) -> None:
    found = json.loads(dltool("predict", run, "new.csv", "--json").stdout)
    assert [line["row"] for line in found["predictions"]] == [1, 2, 3]
    written = json.loads(dltool("predict", run, "new.csv", "--json", "--out", "a.csv").stdout)
    assert written == {"run": "run/0001", "examples": 3, "out": "a.csv"}


@pytest.mark.parametrize("out", ["a.txt", "a", "folder.csv", "none/a.csv", "new.csv", "./new.csv"])
def test_what_cannot_be_the_file_of_predictions_is_refused_first(run, dltool, out) -> None:
    Path("folder.csv").mkdir()
    outcome = dltool("predict", run, "new.csv", "--out", out)
    assert outcome.code == 2
    assert Path("new.csv").read_text("utf-8") == NEW


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_disk_that_refuses_leaves_the_old_file(run, dltool, monkeypatch, name) -> None:
    Path(name).write_text("old", "utf-8")

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    outcome = dltool("predict", run, "new.csv", "--out", name)
    assert outcome.code == 5
    assert f"no space left on device: cannot write {name}" in outcome.stderr
    assert Path(name).read_text("utf-8") == "old"
    assert sorted(path.name for path in Path().iterdir()) == [name, "new.csv", "run"]


# --- tables ---


def test_other_columns_and_their_order_do_not_matter(run, dltool) -> None:
    expected = lines_of(dltool("predict", run, "new.csv"))
    Path("new.csv").write_text(
        "family,note,length,island,mass,species\n,a,3,north,1.5,no class\nx,b,?,south,2.5,\n,,4,north,3.5,\n", "utf-8"
    )
    assert lines_of(dltool("predict", run, "new.csv")) == expected


def test_unusual_values_are_a_warning_for_all_files_together(run, dltool) -> None:
    Path("new.csv").write_text("mass,island,length\n1,north,3\n900,south,?\n", "utf-8")
    outcome = dltool("predict", run, "new.csv", "new.csv")
    assert len(lines_of(outcome)) == 4
    assert outcome.stderr.count("warning: ") == 2
    assert 'warning: "mass": 2 rows have a value far outside the training range, ' in outcome.stderr
    assert 'warning: "length": 2 rows have no value, unlike all training rows; the model gets ' in outcome.stderr
    Path("new.csv").write_text("mass,island,length\n1,north,3\n", "utf-8")
    assert "warning" not in dltool("predict", run, "new.csv").stderr


def test_several_files_and_standard_input_follow_each_other(run, dltool, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(NEW.encode())))
    lines = lines_of(dltool("predict", run, "new.csv", "-"))
    assert [(line["file"], line["row"]) for line in lines] == [
        (file, row) for file in ("new.csv", "standard input") for row in "123"
    ]
    assert [line["class"] for line in lines[:3]] == [line["class"] for line in lines[3:]]


def test_a_closed_standard_input_is_said_to_be_closed(run, dltool, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    outcome = dltool("predict", run, "-")
    assert outcome.code == 3
    assert "standard input is closed" in outcome.stderr


BAD = {
    "missing-column": "mass,iland,length\n1,north,3\n",
    "unseen-category": "mass,island,length\n1,north,3\n2,east,3\n3,east,3\n4,west,1\n",
    "missing-number": "mass,island,length\n1,north,3\n,north,3\n",
    "no-number": "mass,island,length\n1,north,3\nheavy,north,3\n",
    "ragged": "mass,island,length\n1,north\n",
    "empty": "",
}


@pytest.mark.parametrize("name", BAD)
def test_rows_that_do_not_fit_are_named(run, dltool, check_message, name) -> None:
    Path("new.csv").write_text(BAD[name], "utf-8")
    check_message(name, dltool("predict", run, "new.csv", "--out", "a.csv"))
    assert not Path("a.csv").exists()


def test_the_problems_of_all_files_are_named_at_once(run, dltool, check_message, monkeypatch) -> None:
    Path("new.csv").write_text(BAD["missing-column"], "utf-8")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BAD["no-number"].encode())))
    check_message("several-files", dltool("predict", run, "new.csv", "nwe.csv", "-"))


@pytest.mark.parametrize(
    "header", ["names: [a, label, b, part]", "header: false", "names: [a, label, b, part], header: true"]
)
@pytest.mark.parametrize("is_whole", [True, False])
@pytest.mark.slow
def test_columns_without_names_in_the_file_are_found_with_the_target_and_without(
    finished, dltool, tmp_path, header, is_whole
) -> None:
    random = np.random.default_rng(0)
    rows = [
        (f"{random.normal():.3f}", "xyz"[i % 3], f"{random.normal():.3f}", ("train", "test")[i % 2]) for i in range(40)
    ]
    first = [("h", "i", "j", "k")] if "header: true" in header else []
    (tmp_path / "train.csv").write_text("".join(",".join(row) + "\n" for row in [*first, *rows]), "utf-8")
    label, part = ("label", "part") if "names" in header else ("column_2", "column_4")
    data = f"  source: {{csv: {{path: train.csv, {header}}}}}\n  target: {label}\n  split: {{column: {part}}}"
    run = finished(CONFIG.format(data=data, layers=LAYERS, loss="sparse_categorical_crossentropy"))
    chosen = [*first, *rows[:4]]
    new = chosen if is_whole else [(row[0], row[2]) for row in chosen]
    (tmp_path / "new.csv").write_text("".join(",".join(row) + "\n" for row in new), "utf-8")
    lines = lines_of(dltool("predict", run, tmp_path / "new.csv"))
    assert len(lines) == 4
    expected = lines_of(dltool("predict", run, tmp_path / "train.csv"))
    values = [[float(line["probability of x"]) for line in found[:4]] for found in (lines, expected)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


@pytest.mark.slow
def test_every_window_and_the_last_rows_of_each_series_are_predicted(train, dltool, tmp_path) -> None:
    def rows(count: int) -> str:
        lines = [f"2020-01-{1 + row // 24:02}T{row % 24:02}:00,{key},{row % 5}" for key in "ab" for row in range(count)]
        return "\n".join(["hour,place,load", *lines]) + "\n"

    (tmp_path / "train.csv").write_text(rows(60), "utf-8")
    data = """\
  source: {csv: train.csv}
  windows: {length: 4, horizon: 2, stride: 3, target: load, key: place, order: time}
  split: {validation: 0.2, test: 0.2}"""
    _, run = train(CONFIG.format(data=data, layers="[Flatten, {Dense: 1}]", loss="mse"))
    (tmp_path / "new.csv").write_text(rows(9), "utf-8")
    lines = lines_of(dltool("predict", run, tmp_path / "new.csv"))
    assert list(lines[0]) == ["file", "row", "load"]
    assert [int(line["row"]) for line in lines] == [4, 7, 9, 13, 16, 18]
    (tmp_path / "new.csv").write_text(rows(3), "utf-8")
    outcome = dltool("predict", run, tmp_path / "new.csv")
    assert outcome.code == 3
    assert "has 6 rows, and a window takes 4 of one series without a gap" in outcome.stderr


# --- files ---


@pytest.mark.slow
def test_pictures_are_taken_from_folders_archives_and_one_by_one(train, dltool, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("all.zip", "w") as archive:
        for name, content in class_folders(2, 6).items():
            archive.writestr(name, content)
            path = tmp_path / "train" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    data = "  source: {images: train}\n  split: {validation: 2/10, test: 0.2}".replace("2/10", "0.2")
    layers = "[Flatten, {Dense: {units: 2, activation: softmax}}]"
    _, run = train(CONFIG.format(data=data, layers=layers, loss="sparse_categorical_crossentropy"))
    shutil.move("train/a", "flat")
    shutil.rmtree("train")
    Path("flat/notes.txt").write_text("no image", "utf-8")
    outcome = dltool("predict", run, "flat/1.png", "flat/0.png", "all.zip", "flat")
    lines = lines_of(outcome)
    assert list(lines[0])[:2] == ["file", "class"]
    files = [line["file"] for line in lines]
    assert files[:3] == ["flat/1.png", "flat/0.png", "all.zip/a/0.png"]
    assert len(files) == 2 + 12 + 6
    by_file = {line["file"]: line["probability of a"] for line in lines}
    assert by_file["flat/1.png"] == by_file["all.zip/a/1.png"]
    assert "1 file is no image" in outcome.stderr
    for file, expected in (("flat/1.png", "standard input"), ("all.zip", "standard input/a/0.png")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(file).read_bytes())))
        assert lines_of(dltool("predict", run, "-"))[0]["file"] == expected
    Path("flat/2.png").write_bytes(b"nothing")
    outcome = dltool("predict", run, "flat", "flat/9.png", "nothing.zip")
    assert outcome.code == 3
    assert all(name in outcome.stderr for name in ("2.png", "flat/9.png", "nothing.zip"))


def test_texts_are_lines_or_files_and_blank_ones_are_left_out(train, dltool, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train").mkdir()
    for label in ("neg", "pos"):
        Path(f"train/{label}.txt").write_text("".join(f"{label} word {number}\n" for number in range(20)), "utf-8")
    data = "  source: {text: train}\n  split: {validation: 0.2, test: 0.2}\n"
    data += "  preprocessing: [{TextVectorization: {output_mode: multi_hot}}]"
    layers = "[{Dense: {units: 1, activation: sigmoid}}]"
    _, run = train(CONFIG.format(data=data, layers=layers, loss="binary_crossentropy"))
    Path("lines.txt").write_text("pos word\r\n\r\n neg word\n", "utf-8")
    Path("folder").mkdir()
    Path("folder/1.txt").write_text("pos word\n", "utf-8")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"neg word")))
    outcome = dltool("predict", run, "lines.txt", "folder", "-")
    lines = lines_of(outcome)
    expected = [("lines.txt", "1"), ("lines.txt", "3"), ("folder/1.txt", "1"), ("standard input", "1")]
    assert [(line["file"], line["row"]) for line in lines] == expected
    assert lines[0]["probability of pos"] == lines[2]["probability of pos"]
    assert "lines.txt: 1 blank text is left out" in outcome.stderr


def test_arrays_of_another_shape_or_kind_are_refused(train, dltool, tmp_path) -> None:
    _, run = train(
        CONFIG.format(
            data="  source: digits\n  split: {validation: 0.2, test: 0.2}",
            layers="[Flatten, {Dense: {units: 10, activation: softmax}}]",
            loss="sparse_categorical_crossentropy",
        )
    )
    good = np.arange(3 * 64).reshape(3, 8, 8) % 17
    arrays: list[Any] = [good, good.astype(np.uint8)[..., np.newaxis], good.astype(float)]
    for number, array in enumerate(arrays):
        np.save(tmp_path / f"{number}.npy", array)
    np.savez(tmp_path / "3.npz", x_test=good)
    found = [lines_of(dltool("predict", run, tmp_path / name)) for name in ("0.npy", "1.npy", "2.npy", "3.npz")]
    for lines in found:
        assert [line["probability of 7"] for line in lines] == [line["probability of 7"] for line in found[0]]
    np.save(tmp_path / "small.npy", good[:, :7])
    np.save(tmp_path / "floats.npy", good / 2)
    np.savez(tmp_path / "none.npz", y=good)
    outcome = dltool("predict", run, *(tmp_path / name for name in ("small.npy", "floats.npy", "none.npz")))
    assert outcome.code == 3
    assert "uint8 of shape (7, 8) for the input input, and the model takes uint8 of shape (8, 8, 1)" in outcome.stderr
    assert "float32 of shape (8, 8, 1)" in outcome.stderr
    assert "none.npz has neither x nor x_test" in outcome.stderr


# --- runs ---


def test_a_run_that_is_not_complete_gives_a_warning(run, dltool) -> None:
    expected = dltool("predict", run, "new.csv").stdout
    (run / "results.json").unlink()
    edit_record(run, status="interrupted")
    outcome = dltool("predict", run, "new.csv")
    assert outcome.stdout == expected
    assert "warning: run/0001 is not complete" in outcome.stderr


def test_the_saved_model_is_never_read(run, dltool) -> None:
    expected = dltool("predict", run, "new.csv").stdout
    (run / "model.keras").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    assert dltool("predict", run, "new.csv").stdout == expected


def test_a_run_without_weights_is_refused(run, dltool) -> None:
    (run / "checkpoints/best.weights.h5").unlink()
    outcome = dltool("predict", run, "new.csv")
    assert outcome.code == 4
    assert "best.weights.h5 is missing" in outcome.stderr


INPUT = {"shape": [], "dtype": "float32", "is_column": True}
TARGET = {"kind": "category", "shape": [], "class_names": ["a", "b"]}
HOSTILE: list[dict[str, Any]] = [
    {"inputs": None},
    {"inputs": {}},
    {"inputs": []},
    {"inputs": {"mass": None}},
    {"inputs": {"mass": {**INPUT, "shape": [10**12]}}},
    {"inputs": {"mass": {**INPUT, "shape": [-1]}}},
    {"inputs": {"mass": {**INPUT, "shape": [1] * 99}}},
    {"inputs": {"mass": {**INPUT, "dtype": "object"}}},
    {"inputs": {"mass": {**INPUT, "is_column": "yes"}}},
    {"inputs": {"weight": INPUT}},
    {"inputs": {"mass": INPUT}},
    {"inputs": {"mass": {**INPUT, "is_column": False}}},
    {"targets": None},
    {"targets": {}},
    {"targets": {"target": TARGET, "other": TARGET}},
    {"targets": {"other": TARGET}},
    {"targets": {"target": ["category"]}},
    {"targets": {"target": {**TARGET, "kind": "nothing"}}},
    {"targets": {"target": {**TARGET, "kind": ["category"]}}},
    {"targets": {"target": {**TARGET, "kind": "number"}}},
    {"targets": {"target": {**TARGET, "shape": [True]}}},
    {"targets": {"target": {**TARGET, "shape": None}}},
    {"targets": {"target": {**TARGET, "class_names": ["a", "a"]}}},
    {"targets": {"target": {**TARGET, "class_names": ["a"]}}},
    {"targets": {"target": {**TARGET, "class_names": ["a", "b", "c"]}}},
    {"targets": {"target": {**TARGET, "class_names": [1, 2]}}},
    {"targets": {"target": {**TARGET, "class_names": None}}},
    {"examples": -1},
    {"examples": "many"},
]


@pytest.mark.parametrize("change", HOSTILE, ids=str)
def test_a_record_that_cannot_be_is_refused(run, dltool, change) -> None:
    edit_record(run, data={**record_of(run)["data"], **change})
    outcome = dltool("predict", run, "new.csv")
    assert outcome.code == 4, outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize("name", ["mass", "island", "length"])
def test_a_column_that_is_said_to_be_none_is_refused(run, dltool, name) -> None:
    data = record_of(run)["data"]
    data["inputs"][name]["is_column"] = False
    edit_record(run, data=data)
    outcome = dltool("predict", run, "new.csv")
    assert outcome.code == 4, outcome.stderr
    assert "run/0001/run.json: the inputs of the run are missing or invalid" in outcome.stderr


def test_a_giant_embedding_in_a_run_is_refused(run, dltool) -> None:
    text = (run / "resolved.yaml").read_text("utf-8")
    changed = text.replace("unknown: error", "unknown: error\n        embedding: 1000000000000")
    assert changed != text
    (run / "resolved.yaml").write_text(changed, "utf-8")
    edit_record(run, resolved=changed)
    outcome = dltool("predict", run, "new.csv")
    assert outcome.code == 4, outcome.stderr
    assert "data.inputs.island.category.embedding: the embedding makes the model too large" in outcome.stderr


def test_a_record_without_facts_is_refused(run, dltool) -> None:
    records: list[Any] = [None, [], {"fingerprint": "sha256:0"}]
    for data in records:
        edit_record(run, data=data)
        outcome = dltool("predict", run, "new.csv")
        assert outcome.code == 4
        assert "run/0001/run.json: the inputs of the run are missing or invalid" in outcome.stderr


@pytest.mark.parametrize("layer", ["Lambda: {function: print}", "Dense: 3"])
def test_an_edited_config_is_refused(run, dltool, layer) -> None:
    resolved = run / "resolved.yaml"
    resolved.write_text(resolved.read_text("utf-8").replace("  layers:\n", f"  layers:\n  - {layer}\n"), "utf-8")
    assert dltool("predict", run, "new.csv").code == 4


@pytest.mark.parametrize("are_dates", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_column_that_orders_windows_may_be_ignored_as_an_input(are_dates, train, dltool, tmp_path) -> None:
    moments = np.datetime64("2020-01-20") + np.arange(60) if are_dates else 2000 + np.arange(60)
    lines = [f"{moment},{i % 7}.5" for i, moment in enumerate(moments)]
    # The newest row comes first.
    (tmp_path / "train.csv").write_text("\n".join(["when,load", *lines[::-1]]))
    data = """\
  source: {csv: train.csv}
  windows: {length: 7, target: load, order: when}
  inputs: {when: ignore}
  split: {validation: 0.2, test: 0.2}"""
    _, run = train(CONFIG.format(data=data, layers="[Flatten, {Dense: 1}]", loss="mse"))
    rows = [int(line["row"]) for line in lines_of(dltool("predict", run, tmp_path / "train.csv"))]
    assert rows == [*range(54, 0, -1)]
    assert dltool("evaluate", run).code == 0
