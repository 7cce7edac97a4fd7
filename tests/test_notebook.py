"""dltool from Python: what a notebook or a script does with it."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.small_configs import EVERYTHING_RANDOM, TINY

import dltool
import dltool as package  # a fixture has its name
from dltool.errors import ConfigError, DataError, Interrupted, RunError
from dltool.machine import usable_cores
from dltool.notebook import TrainedRun, yaml_text
from dltool.runs.checkpoint_file import newest_checkpoint

PENGUINS = """\
data:
  source: {csv: {path: penguins.csv, missing: ["?"]}}
  target: species
  split: {validation: 0.2, test: 0.2}
model: {layers: [Dense: {units: $classes, activation: softmax}]}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 1}
"""


def written(folder: Path, text: str, name: str = "example.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> TrainedRun:
    folder = tmp_path_factory.mktemp("notebook")
    return dltool.train(written(folder, TINY), {"training.epochs": 3}, name="iris", runs=folder / "runs", seed=7)


@pytest.fixture(scope="module")
def penguins(tmp_path_factory) -> TrainedRun:
    folder = tmp_path_factory.mktemp("penguins")
    rows = [f"{20 + i % 30},{'?' if i % 9 == 4 else 'ab'[i % 2]},{'XY'[i % 2]}" for i in range(100)]
    (folder / "penguins.csv").write_text("\n".join(["length,island,species", *rows, ""]), encoding="utf-8")
    return dltool.train(written(folder, PENGUINS), runs=folder / "runs")


def test_three_functions_are_public_and_importing_them_imports_nothing_heavy() -> None:
    assert dltool.__all__ == ["compare", "open_run", "train"]
    assert dir(dltool) == ["__version__", "compare", "open_run", "train"]
    code = "import sys, dltool; dltool.train; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "dltool.notebook" in loaded
    assert not {"numpy", "pandas", "tensorflow", "keras", "pydantic", "yaml", "matplotlib"} & set(loaded)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        dltool.trian  # noqa: B018


def test_a_training_gives_its_run_with_what_was_set(trained) -> None:
    assert trained.path.parts[-3:] == ("runs", "iris", "0001")
    record = json.loads((trained.path / "run.json").read_text("utf-8"))
    assert (record["seed"], record["status"]) == (7, "completed")
    assert len(trained.history) == 3


def test_the_history_is_a_row_for_each_epoch(trained) -> None:
    assert trained.history.index.tolist() == [1, 2, 3]
    columns = ["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"]
    assert trained.history.columns.tolist() == columns
    assert trained.best_epoch == trained.history["val_loss"].idxmin()


def test_the_results_are_a_row_for_each_metric(trained) -> None:
    results = json.loads((trained.path / "results.json").read_text("utf-8"))
    assert trained.results.loc["accuracy", "test"] == results["test"]["accuracy"]
    assert trained.results.loc["loss", "validation"] == results["validation"]["loss"]


def test_of_a_run_that_is_not_complete_the_results_say_so(trained, tmp_path) -> None:
    (tmp_path / "run.json").write_text('{"status": "interrupted"}', encoding="utf-8")
    with pytest.raises(RunError, match="has no results: its status is interrupted"):
        _ = TrainedRun(tmp_path).results


def test_intervals_are_columns_of_the_results(trained, monkeypatch) -> None:
    found = {**trained.read_results(), "intervals": {"accuracy": [0.9, 0.99]}}
    monkeypatch.setattr(TrainedRun, "read_results", lambda _: found)
    assert trained.results.loc["accuracy", ["test low", "test high"]].tolist() == [0.9, 0.99]
    assert np.isnan(trained.results.loc["loss", "test low"])


def test_the_model_takes_raw_inputs_and_predicts_what_the_run_predicts(trained) -> None:
    from sklearn.datasets import load_iris

    inputs = load_iris().data
    found = trained.predict(inputs)
    assert found.columns.tolist() == ["class", *(f"probability of {name}" for name in load_iris().target_names)]
    np.testing.assert_allclose(
        trained.model().predict(inputs.astype("float32"), verbose=0), found.iloc[:, 1:], atol=1e-6
    )


def test_predictions_are_those_of_the_command(penguins, dltool, tmp_path) -> None:
    rows = pd.DataFrame({"length": [25, 30.5, None], "island": ["a", "?", "b"]}, index=["x", "y", "z"])
    rows.to_csv(tmp_path / "new.csv", index=False, na_rep="?")
    assert dltool("predict", penguins.path, tmp_path / "new.csv", "--out", tmp_path / "out.csv").code == 0
    expected = pd.read_csv(tmp_path / "out.csv").drop(columns=["file", "row"])
    found = penguins.predict(rows)
    assert found.index.tolist() == ["x", "y", "z"]
    np.testing.assert_allclose(found.iloc[:, 1:], expected.iloc[:, 1:], rtol=1e-6)
    pd.testing.assert_frame_equal(
        penguins.predict([{"length": 25, "island": "a"}, {"length": 30.5, "island": "?"}, {"island": "b"}]),
        found.reset_index(drop=True),
    )


def test_an_unknown_category_is_a_warning_of_predict_and_evaluate(penguins, dltool, tmp_path) -> None:
    (tmp_path / "new.csv").write_text("length,island,species\n25,z,X\n30,b,Y\n26,z,X\n", "utf-8")
    for words in (
        ["predict", penguins.path, tmp_path / "new.csv"],
        ["evaluate", penguins.path, "--data", tmp_path / "new.csv"],
    ):
        outcome = dltool(*words)
        assert outcome.code == 0
        assert outcome.stderr.count('warning: "island": 2 rows have none of the training categories: "z" in 2') == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"island": "a"}], "length"),
        ([{"length": "long", "island": "a"}], 'the rows, line 1: length is "long"'),
        ([[1, 2]], "give a pandas DataFrame or a list of dicts"),
        ([], "there are no rows"),
    ],
)
def test_rows_that_do_not_fit_are_refused(penguins, rows, message) -> None:
    with pytest.raises(DataError) as refused:
        penguins.predict(rows)
    assert message in str(refused.value)
    assert "/tmp" not in str(refused.value)


def test_arrays_that_do_not_fit_are_refused(trained) -> None:
    with pytest.raises(DataError, match=r"the rows: float32 of shape \(3,\) for the input input"):
        trained.predict(np.zeros((2, 3)))
    with pytest.raises(DataError, match="different shapes"):
        trained.predict([[1, 2], [3]])


def test_a_mistake_has_the_text_of_the_command_line(tmp_path, dltool) -> None:
    config = written(tmp_path, TINY.replace("units: 8", "unitz: 8"))
    expected = dltool("check", config).stderr
    with pytest.raises(ConfigError) as refused:
        train(config, runs=tmp_path)
    assert str(refused.value) == f"\n{expected.rstrip()}"
    assert refused.value._render_traceback_() == expected.splitlines()  # type: ignore[attr-defined]


def test_a_mistake_in_the_settings_is_shown_at_its_place(tmp_path) -> None:
    with pytest.raises(ConfigError, match="unknown key") as refused:
        train(written(tmp_path, TINY), {"training.epoch": 1}, runs=tmp_path)
    assert '^^^^^ did you mean "epochs"?' in str(refused.value)


def train(*arguments, **options) -> TrainedRun:
    return dltool.train(*arguments, **options)


def test_no_run_is_an_error_that_names_near_ones(trained) -> None:
    with pytest.raises(RunError, match="did you mean"):
        dltool.open_run(trained.path.parent.parent / "irsi")
    assert dltool.open_run(trained.path.parent / "latest").path == trained.path


def test_settings_are_yaml_of_any_value() -> None:
    assert yaml_text({"Adam": {"learning_rate": np.float64(1e-3)}}) == '{"Adam": {"learning_rate": 0.001}}'
    assert yaml_text([1, True, None, "no"]) == '[1, true, null, "no"]'
    assert yaml_text(Path("a/b")) == '"a/b"'


def test_an_evaluation_has_the_numbers_of_the_command(penguins, dltool) -> None:
    words = ["--split", "train", "--metrics", "accuracy,AUC"]
    expected = json.loads(dltool("evaluate", penguins.path, "--json", *words).stdout)
    found = penguins.evaluate("train", metrics=["accuracy", "AUC"])
    assert found["value"].to_dict() == expected["metrics"]
    assert found.loc["accuracy", ["low", "high"]].tolist() == expected["intervals"]["accuracy"]
    baselines = {line["name"]: line["value"] for line in expected["baselines"] if line["name"] != "this model"}
    assert found.loc["accuracy", list(baselines)].to_dict() == baselines
    named = penguins.evaluate("train", metrics=["SparseCategoricalAccuracy"])
    assert {*named.index} == {"sparse_categorical_accuracy", "loss"}
    assert named.loc["sparse_categorical_accuracy", list(baselines)].to_dict() == baselines
    with pytest.raises(ConfigError, match='unknown split "tset"'):
        penguins.evaluate("tset")


def test_new_data_is_evaluated_from_a_file(penguins, tmp_path) -> None:
    (tmp_path / "new.csv").write_text("length,island,species\n25,a,X\n30,b,Y\n", "utf-8")
    assert penguins.evaluate(data=tmp_path / "new.csv").loc["accuracy", "value"] in (0, 0.5, 1)


def test_a_comparison_has_the_words_and_numbers_of_the_command(penguins, framed, dltool, tmp_path) -> None:
    compared = package.compare(penguins, str(framed.path))
    expected = json.loads(dltool("compare", penguins.path, framed.path, "--json").stdout)
    assert compared.verdict == expected["verdict"]
    table = compared.to_frame()
    values = [each["value"] for each in expected["metrics"]["accuracy"]["values"]]
    assert table.loc["accuracy", ["A", "B"]].tolist() == values
    assert (table["verdict"] == "not ranked").all()
    assert pd.isna(table.loc["accuracy", "B - A"])
    assert "was tested on other" in compared._repr_html_()
    compared.save(tmp_path / "page.html")
    assert compared.verdict in (tmp_path / "page.html").read_text("utf-8")
    with pytest.raises(ConfigError, match=r"must end in \.html"):
        compared.save(tmp_path / "page.txt")
    with pytest.raises(ConfigError, match="duplicate run"):
        package.compare(framed, framed)


FRAMED = PENGUINS.replace('  source: {csv: {path: penguins.csv, missing: ["?"]}}\n', "")


def frame() -> pd.DataFrame:
    """Columns of every kind, with an index that is no column."""
    rows = np.arange(100)
    return pd.DataFrame(
        {
            "length": 20.5 + rows % 30,
            "legs": np.where(rows % 10 == 3, np.nan, rows % 3),
            "island": pd.Categorical(np.where(rows % 2, "a", "b")),
            "day": pd.date_range("2020-01-01", periods=100),
            "tagged": rows % 4 == 0,
            "note": [None if row % 9 == 4 else "xy"[row % 2] for row in rows],
            "species": np.where(rows % 2, "X", "Y"),
        },
        index=1000 + rows,
    )


@pytest.fixture(scope="module")
def framed(tmp_path_factory) -> TrainedRun:
    folder = tmp_path_factory.mktemp("framed")
    return package.train(written(folder, FRAMED), data=frame(), runs=folder / "runs")


def test_a_run_on_a_dataframe_keeps_it_as_it_was(framed) -> None:
    kept = pd.read_parquet(framed.path / "data.parquet")
    pd.testing.assert_frame_equal(kept, frame().reset_index(drop=True), check_dtype=False, check_categorical=False)
    assert "path: data.parquet" in (framed.path / "resolved.yaml").read_text("utf-8")
    assert (
        "DataFrame of 100 rows"
        in json.loads((framed.path / "origins.json").read_text("utf-8"))["data.source.parquet.path"]
    )
    for file in framed.path.rglob("*"):
        assert not file.is_file() or b"/tmp/dltool-" not in file.read_bytes(), file


@pytest.fixture(scope="module")
def of_csv(tmp_path_factory) -> TrainedRun:
    """A run on the same table as a CSV file, one epoch longer."""
    folder = tmp_path_factory.mktemp("of-csv")
    frame().to_csv(folder / "data.csv", index=False)
    settings = {"data.source": {"csv": str(folder / "data.csv")}, "training.epochs": 2}
    return package.train(written(folder, FRAMED), settings, runs=folder / "runs")


def test_a_run_on_a_dataframe_has_the_columns_and_numbers_of_a_csv_file(framed, of_csv) -> None:
    pd.testing.assert_frame_equal(
        of_csv.history.drop(columns="seconds").iloc[:1], framed.history.drop(columns="seconds")
    )
    with np.load(framed.path / "split.npz") as split:
        test = frame().iloc[split["test"]]
    predicted = framed.predict(test)
    assert predicted.index.tolist() == test.index.tolist()
    assert (predicted["class"] == test["species"]).mean() == pytest.approx(framed.results.loc["accuracy", "test"])


def test_a_difference_has_its_interval(framed, of_csv) -> None:
    row = package.compare(framed, of_csv).to_frame().loc["loss"]
    assert row["B - A"] == pytest.approx(row["B"] - row["A"])
    assert row["B - A low"] <= row["B - A"] <= row["B - A high"]


@pytest.mark.slow
def test_a_run_on_a_dataframe_that_has_moved_needs_nothing_else(framed, dltool, tmp_path) -> None:
    run = tmp_path / "elsewhere" / "0001"
    shutil.copytree(framed.path, run)
    expected = json.loads((run / "results.json").read_text("utf-8"))["test"]
    assert json.loads(dltool("evaluate", run, "--json").stdout)["metrics"] == expected
    outcome = dltool("reproduce", run, "--into", tmp_path / "again", "--json")
    assert json.loads(outcome.stdout)["identical"] is True
    assert (tmp_path / "again/example/0001/data.parquet").read_bytes() == (run / "data.parquet").read_bytes()
    assert dltool("resume", run, "--epochs", 2, "--quiet").code == 0
    assert len(package.open_run(run).history) == 2
    assert dltool("evaluate", run, "--json").code == 0


def test_a_dataframe_that_was_changed_in_the_run_is_noticed(framed, dltool, tmp_path) -> None:
    run = tmp_path / "changed" / "0001"
    shutil.copytree(framed.path, run)
    frame().assign(length=1.0).to_parquet(run / "data.parquet")
    outcome = dltool("evaluate", run)
    assert outcome.code == DataError.exit_code
    assert "the data has changed since the run was trained: column length" in outcome.stderr


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1, 2], "data is list; expected a pandas DataFrame"),
        (frame().iloc[:0], "data.parquet has no rows"),
        (frame().assign(note=[1, "x"] * 50), 'the column "note" holds int, str; expected one type'),
        (frame().assign(note=[{}] * 100), 'the column "note" holds dict; expected one type'),
        (frame().rename(columns={"legs": "length"}), 'two columns are called "length"'),
        (frame().drop(columns="species"), "species"),
    ],
)
def test_a_dataframe_that_is_no_table_is_refused(data, message, tmp_path) -> None:
    with pytest.raises(DataError) as refused:
        package.train(written(tmp_path, FRAMED), data=data, runs=tmp_path / "runs")
    assert message in str(refused.value)
    assert "/tmp" not in str(refused.value).replace(str(tmp_path), "")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_two_trainings_in_one_process_give_the_bits_of_the_command(tmp_path) -> None:
    config = written(tmp_path, EVERYTHING_RANDOM)
    # The command would take one thread for so small a model.
    threads = {"training.threads": usable_cores()}
    first, second = (train(config, threads, runs=tmp_path / "a") for _ in range(2))
    setting = f"training.threads={usable_cores()}"
    command = [sys.executable, "-m", "dltool", "train", config, "--runs", tmp_path / "b", "--set", setting, "--quiet"]
    subprocess.run(command, check=True, timeout=600)
    other = dltool.open_run(tmp_path / "b/random")
    assert arrays(first) == arrays(second) == arrays(other)
    names = [[layer.name for layer in run.model().layers] for run in (second, other)]
    assert names[0] == names[1]
    pd.testing.assert_frame_equal(first.history.drop(columns="seconds"), other.history.drop(columns="seconds"))


def arrays(run: TrainedRun) -> dict[str, bytes]:
    checkpoint, _ = newest_checkpoint(run.path / "checkpoints")
    return {name: array.tobytes() for name, array in checkpoint.arrays}


@pytest.mark.slow
def test_it_works_in_another_thread_and_where_stdout_is_no_file(tmp_path, monkeypatch) -> None:
    class Cell:
        """As ipykernel's OutStream."""

        encoding = "UTF-8"
        text = ""

        def write(self, text: str) -> int:
            self.text += text
            return len(text)

        def flush(self) -> None: ...

        def isatty(self) -> bool:
            return False

    cell, found = Cell(), []
    monkeypatch.setattr(sys, "stdout", cell)
    thread = threading.Thread(target=lambda: found.append(train(written(tmp_path, TINY), runs=tmp_path)))
    thread.start()
    thread.join()
    assert found[0].best_epoch
    assert "epoch 2/2  loss" in cell.text
    assert sys.stdout is cell


def test_an_interruption_saves_and_says_how_to_go_on(tmp_path, monkeypatch) -> None:
    from dltool.training.fit import Fitting

    monkeypatch.setattr(Fitting, "run_steps", lambda self, epoch: (_ for _ in ()).throw(self.recovery.interrupted(2)))
    with pytest.raises(Interrupted) as stopped:
        train(written(tmp_path, TINY), runs=tmp_path / "runs")
    run = tmp_path / "runs/example/0001"
    assert str(stopped.value).endswith(f"completed work is kept in {run}\nnext  dltool resume {run}")
    assert repr(dltool.open_run(run)) == f"{run}: interrupted"
    assert "interrupted" in dltool.open_run(run)._repr_html_()
    assert dltool.open_run(run).history.empty


def test_the_picture_has_curves_and_results_and_words_for_them(trained) -> None:
    page = trained._repr_html_()
    assert page.count("<svg ") == 2
    assert page.count('role="img" aria-label="') == 2
    assert "<th>accuracy</th>" in page
    assert f"best epoch {trained.best_epoch} of 3 by val_loss" in page


NOTEBOOK = """\
import dltool
run = dltool.train("example.yaml", {"training.epochs": 2})
run
---
dltool.train("example.yaml", {"training.epoch": 2})
---
import os, signal, threading, time
def interrupt():
    while not os.path.exists("runs/example/0002/metrics.jsonl"):
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
dltool.train("example.yaml", {"training.epochs": 100000})
---
print("still here")
"""


@pytest.mark.slow
def test_a_notebook_shows_progress_pictures_and_mistakes(tmp_path, monkeypatch) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")

    written(tmp_path, TINY)
    kernel = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "here"}
    (tmp_path / "kernels/here").mkdir(parents=True)
    (tmp_path / "kernels/here/kernel.json").write_text(json.dumps({**kernel, "language": "python"}), "utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in NOTEBOOK.split("---\n")])
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(book, timeout=600, kernel_name="here", allow_errors=True, resources=resources).execute()
    trained, mistaken, stopped, alive = (cell.outputs for cell in book.cells)
    text = "".join(output.get("text", "") for output in trained)
    assert "epoch 2/2  loss" in text
    assert "oneDNN" not in text
    assert "<svg " in trained[-1].data["text/html"]
    assert mistaken[-1].traceback[0].startswith("--set training.epoch=2: training.epoch: unknown key")
    assert stopped[-1].traceback[-1] == "next  dltool resume runs/example/0002"
    assert alive[0].text == "still here\n"
