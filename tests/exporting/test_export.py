"""Exports of a run: verified by their own program in a process without TensorFlow, or not written at all."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.commands.prediction_kinds import CONFIG, FLAT, TEST, people, write_rows
from tests.in_process import without_drawing

import dltool as package
from dltool.experiment.opening import best_predictor, recorded_kind
from dltool.exporting.kept_exports import exports_section
from dltool.notebook import TrainedRun
from dltool.runs.files import Run

# "class" and "Is" are keywords in Python, and TensorFlow writes names in lower case.
COLUMNS = {"age": "age", "job": "class", "member": "Is", "born": "born"}
DATA = """\
  source: {csv: train.csv}
  target: label
  split: {validation: 0.2, test: 0.3}
  inputs: {Is: boolean, born: date, age: {number: {scale: log, indicator: true}}, class: {category: {embedding: 2}}}"""


def renamed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{new: row[old] for old, new in [*COLUMNS.items(), ("label", "label")]} for row in rows]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> TrainedRun:
    folder = tmp_path_factory.mktemp("exporting")
    layers = "[{Dense: {units: 5, activation: gelu}}, {Dense: {units: $classes, activation: softmax}}]"
    text = CONFIG.format(data=DATA, layers=layers, loss="sparse_categorical_crossentropy")
    with pytest.MonkeyPatch.context() as patch:
        without_drawing(patch)
        patch.chdir(folder)
        write_rows(Path("train.csv"), renamed(people(90, 1)))
        Path("config.yaml").write_text(text, "utf-8")
        return package.train("config.yaml", runs=folder / "runs")


@pytest.fixture
def export(trained, dltool, monkeypatch):
    """Run `dltool export` where the data is."""
    monkeypatch.chdir(trained.path.parents[2])
    return lambda *arguments: dltool("export", trained.path, *arguments)


def test_the_table_of_formats_needs_no_tensorflow(trained, export) -> None:
    outcome = export()
    assert outcome.code == 0
    lines = [line.split(maxsplit=2) for line in outcome.stdout.splitlines()[:4]]
    assert lines == [
        ["saved_model", "yes", "one file, raw inputs"],
        ["onnx", "yes", "one file, raw inputs"],
        ["litert", "yes", "age, class, born preprocessed by preprocess.py"],
        ["openvino", "yes", "age, class, born preprocessed by preprocess.py"],
    ]
    code = "import sys, pathlib; from dltool.commands.export import foresee; "
    code += f"foresee(pathlib.Path({str(trained.path)!r}), None)"
    loaded = subprocess.run(
        [sys.executable, "-c", f"{code}; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert not {"tensorflow", "keras", "onnx"} & set(loaded.stdout.split())


def test_onnx_takes_raw_columns_and_gives_what_the_run_predicts(trained, export) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    outcome = export("onnx")
    assert outcome.code == 0, outcome.stderr
    assert "verified on 27 test rows" in outcome.stdout
    folder = trained.path / "exports" / "onnx"
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    assert {each.name: (each.type, each.shape) for each in session.get_inputs()} == {
        "age": ("tensor(float)", ["batch"]),
        "class": ("tensor(string)", ["batch"]),
        "Is": ("tensor(float)", ["batch"]),
        "born": ("tensor(int64)", ["batch"]),
    }
    rows = renamed([*TEST, {**TEST[0], "born": "1900-02-28T23:59:59", "job": "smith"}, {**TEST[1], "job": "über"}])
    run = Run(trained.path)
    predictor = best_predictor(run, *recorded_kind(run))
    inputs = predictor.rows(
        [{key: value for key, value in row.items() if key != "label"} for row in rows]
    ).examples.inputs
    found = session.run(
        ["output"], {name: np.asarray(values[np.arange(len(rows))]) for name, values in inputs.items()}
    )[0]
    np.testing.assert_allclose(found, predictor(inputs)["output"], atol=1e-6)
    record = json.loads((folder / "check.json").read_text("utf-8"))
    assert (record["rows"]["test"], record["split"]) == (27, "test")
    assert record["outputs"]["output"]["max_difference"] < 1e-6
    assert record["outputs"]["output"]["same_class"] == 27
    example = json.loads((folder / "example.json").read_text("utf-8"))
    assert {each["class"] for each in example["predictions"]} <= {"low", "middle", "high"}
    assert len((folder / "use.py").read_text("utf-8").splitlines()) <= 40


def test_a_damaged_record_of_an_export_is_shown_without_numbers_or_not_at_all(tmp_path) -> None:
    latency = {"1": {"median_ms": 0.05, "p99_ms": 1.0}, "32": {"median_ms": 0.2}}
    differences = {"max_difference": 1e-7, "max_difference_made": 3e-7}
    whole = {"rows": {"test": 8, "made": 5}, "outputs": {"a": differences}, "bytes": 9, "latency": latency}
    damaged = {"rows": [], "outputs": {"a": differences, "b": {"max_difference": None}}, "bytes": -1, "latency": "x"}
    for name, text in (("onnx", json.dumps(whole)), ("litert-int8", json.dumps(damaged)), ("openvino", "{")):
        (tmp_path / "exports" / name).mkdir(parents=True)
        (tmp_path / "exports" / name / "check.json").write_text(text, "utf-8")
    (section,) = exports_section(Run(tmp_path))
    first, second = section.table
    assert list(first.values()) == ["onnx", 8, 5, 3e-7, 9, 0.05]
    assert list(second.values()) == ["litert-int8", None, None, None, None, None]
    assert not list(exports_section(Run(tmp_path / "other")))


@pytest.mark.slow
def test_the_report_lists_the_exports_of_the_run(trained, export, dltool) -> None:
    pytest.importorskip("tf2onnx")
    assert export("onnx").code == 0
    check = json.loads((trained.path / "exports/onnx/check.json").read_text("utf-8"))
    outcome = dltool("report", trained.path, "--json")
    assert outcome.code == 0, outcome.stderr
    (row,) = json.loads(outcome.stdout)["parts"]["exports"]
    differences = [check["outputs"]["output"][name] for name in ("max_difference", "max_difference_made")]
    assert row == {
        "format": "onnx",
        "test rows": 27,
        "made rows": check["rows"]["made"],
        "largest difference": max(differences),
        "bytes": check["bytes"],
        "ms for one row": check["latency"]["1"]["median_ms"],
    }
    page = (trained.path / "report.html").read_text("utf-8")
    assert ">Exports<" in page
    assert f">{check['bytes']:,}</td>" in page


def test_exports_before_one_that_fails_are_kept_and_said(export, tmp_path, monkeypatch) -> None:
    pytest.importorskip("tf2onnx")
    from dltool.errors import ExpectationMissed
    from dltool.exporting import export_folder

    def export_files(_source: Any, forecast: Any, _options: Any) -> Any:
        if forecast.format == "onnx":
            raise ExpectationMissed("onnx: it differs")
        return {"use.py": b""}, {}

    monkeypatch.setattr(export_folder, "export_files", export_files)
    outcome = export("saved_model", "onnx", "--out", tmp_path / "out")
    assert outcome.code == 7
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["saved_model"]
    assert f"completed work is kept in {tmp_path / 'out'}" in "".join(outcome.stderr.splitlines())
    assert "nothing was written" not in outcome.stderr


def test_a_full_disk_is_no_disagreement(export, tmp_path, monkeypatch) -> None:
    from tensorflow.errors import ResourceExhaustedError

    from dltool.exporting import export_folder

    def full(*_: Any) -> Any:
        raise ResourceExhaustedError(None, None, "/tmp/1/saved_model.pb; No space left on device")

    monkeypatch.setattr(export_folder, "write_model", full)
    outcome = export("saved_model", "--out", tmp_path / "out")
    assert outcome.code == 5
    assert "no space left on device: cannot write" in outcome.stderr
    assert not (tmp_path / "out").exists()


def test_a_program_that_meets_a_full_disk_does_not_disagree_either(tmp_path) -> None:
    from dltool.exporting.checking import run_alone

    (tmp_path / "use.py").write_text("import errno, os; raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))")
    with pytest.raises(OSError, match="quota"):
        run_alone(tmp_path, [str(tmp_path / "use.py")], "saved_model")


def spoiled(module: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a function of the converter change one weight of the file."""
    from onnx import numpy_helper

    original = getattr(module, name)

    def change(given: Any) -> Any:
        model = original(given)
        weights = next(each for each in model.graph.initializer if len(each.dims) == 2)
        values = numpy_helper.to_array(weights).copy()
        values[0, 0] += 0.01
        weights.CopyFrom(numpy_helper.from_array(values, weights.name))
        return model

    monkeypatch.setattr(module, name, change)


@pytest.mark.slow
def test_changed_weights_end_with_exit_code_7_and_no_file(export, tmp_path, monkeypatch) -> None:
    pytest.importorskip("tf2onnx")
    from dltool.exporting import onnx_file

    spoiled(onnx_file, "converted", monkeypatch)
    outcome = export("onnx", "--out", tmp_path / "out")
    assert outcome.code == 7
    assert "error: onnx: the output output differs in" in outcome.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("handler", "message"), [("FloorDiv", "made row"), ("Erfc", "ONNX has no operation Erfc")])
def test_a_conversion_without_own_handlers_is_found_out(handler, message, export, tmp_path, monkeypatch) -> None:
    pytest.importorskip("tf2onnx")
    from dltool.exporting import onnx_file
    from dltool.exporting.onnx_handlers import HANDLERS

    names = {handler, "FloorMod"} if handler == "FloorDiv" else {handler}
    monkeypatch.setattr(onnx_file, "HANDLERS", {k: v for k, v in HANDLERS.items() if k not in names})
    outcome = export("onnx", "--out", tmp_path / "out")
    assert outcome.code == 7
    assert message in " ".join(outcome.stderr.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["onxn"], 2, 'unknown format "onxn"'),
        (["onnx", "--precision", "float16"], 2, "--precision does nothing for onnx"),
        (["litert", "--precision", "int4"], 2, '--precision: unknown precision "int4"'),
        (["litert", "--allow-loss", "0.5%"], 2, "--allow-loss is for --precision int8 and dynamic_int8"),
        (["litert", "--allow-loss", "lots", "--precision", "int8"], 2, "--allow-loss: expected a share, got lots"),
        (["saved_model", "--batch", "2"], 2, "--batch does nothing for saved_model"),
        (["litert", "--batch", "0"], 2, "--batch: expected at least 1, got 0"),
        (["onnx", "--layout", "seldon"], 2, '--layout: unknown layout "seldon"'),
        (["onnx", "--tolerance", "-1"], 2, "--tolerance: expected a share above 0"),
        # Every file would agree.
        (["onnx", "--tolerance", "inf"], 2, "and at most 1, got inf"),
        (["onnx", "--out", "."], 0, ""),
    ],
)
def test_options_that_cannot_act_are_refused(arguments, code, message, export, tmp_path, monkeypatch) -> None:
    if not code:
        (Path.cwd() / "onnx").mkdir(exist_ok=True)
        code, message = 2, "--out: onnx exists already"
    outcome = export(*arguments)
    assert outcome.code == code
    assert message in outcome.stderr


def test_a_missing_package_is_named_with_the_command_that_installs_it(export, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    outcome = export("onnx")
    assert outcome.code == 5
    assert "onnx needs onnx, onnxruntime and tf2onnx" in outcome.stderr


@pytest.mark.slow
@pytest.mark.parametrize("form", ["saved_model", "litert", "openvino"])
def test_other_formats_are_verified_with_the_same_columns(form, trained, export, tmp_path) -> None:
    pytest.importorskip({"litert": "ai_edge_litert", "openvino": "openvino"}.get(form, "tensorflow"))
    outcome = export(form, "--out", tmp_path)
    assert outcome.code == 0, outcome.stderr
    record = json.loads((tmp_path / form / "check.json").read_text("utf-8"))
    assert record["outputs"]["output"]["max_difference_made"] < 1e-5
    # From another folder, and without its own on the path.
    subprocess.run([sys.executable, "-I", tmp_path / form / "use.py"], cwd="/", check=True)
    if form == "saved_model":
        import tensorflow as tf

        loaded = tf.saved_model.load(str(tmp_path / form / "1"))
        assert sorted(loaded.signatures) == ["classify", "serving_default"]
        example = json.loads((tmp_path / form / "example.json").read_text("utf-8"))
        signature = json.loads((tmp_path / form / "signature.json").read_text("utf-8"))
        assert sorted(each["name"] for each in signature["inputs"]) == ["age", "born", "class_", "is_"]
        tensors = {}
        for each in signature["inputs"]:
            values = [each["missing"] if v is None else v for v in example["columns"][each["column"]]]
            tensors[each["name"]] = tf.constant(
                np.array(values, object if each["dtype"] == "string" else each["dtype"])
            )
        found = [name.decode() for name in loaded.signatures["classify"](**tensors)["class"].numpy()]
        assert found == [each["class"] for each in example["predictions"]]


@pytest.mark.slow
def test_without_the_data_made_rows_alone_are_the_check(trained, export, tmp_path) -> None:
    data = Path("train.csv")
    content = data.read_bytes()
    data.unlink()
    try:
        outcome = export("onnx", "--out", tmp_path)
        refused = export("litert", "--precision", "int8", "--out", tmp_path)
    finally:
        data.write_bytes(content)
    assert outcome.code == 0, outcome.stderr
    assert "exports are checked with made rows alone" in " ".join(outcome.stderr.split())
    assert json.loads((tmp_path / "onnx" / "check.json").read_text("utf-8"))["rows"]["test"] == 0
    assert refused.code == 3


@pytest.mark.slow
def test_the_mean_of_folds_is_one_file_that_looks_categories_up_for_each_fold(trained, dltool, tmp_path, monkeypatch):
    monkeypatch.chdir(trained.path.parents[2])
    words = ["--folds", "2", "--set", "data.final=ensemble", "--runs", tmp_path / "runs", "--quiet"]
    assert dltool("train", "config.yaml", *words, "--set", "data.split.validation=0").code == 0
    outcome = dltool("export", tmp_path / "runs/example/0001", "onnx", "litert")
    assert outcome.code == 0, outcome.stderr
    assert outcome.stdout.count("verified on") == 2


@pytest.mark.slow
def test_a_model_of_16_bits_is_exported_and_compared_in_float32(trained, dltool, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(trained.path.parents[2])
    settings = ["--set", "training.precision=mixed_bfloat16", "--runs", tmp_path / "runs", "--quiet"]
    assert dltool("train", "config.yaml", *settings).code == 0
    assert dltool("export", tmp_path / "runs/example/0001", "onnx", "--out", tmp_path).code == 0
    record = json.loads((tmp_path / "onnx/check.json").read_text("utf-8"))
    assert record["compared_with"] == "float32"
    assert record["outputs"]["output"]["max_difference"] < 1e-5


@pytest.mark.slow
def test_the_layout_of_triton_is_written_beside(export, tmp_path) -> None:
    assert export("onnx", "--layout", "triton", "--out", tmp_path).code == 0
    text = (tmp_path / "onnx/triton/example/config.pbtxt").read_text("utf-8")
    assert 'name: "class"\n    data_type: TYPE_STRING\n    dims: [ 1 ]\n    reshape: { shape: [ ] }' in text
    model = (tmp_path / "onnx/model.onnx").read_bytes()
    assert (tmp_path / "onnx/triton/example/1/model.onnx").read_bytes() == model


BROWSER = """
const ort = require('onnxruntime-web');
const fs = require('fs');
const arrays = {float32: Float32Array, int64: BigInt64Array, string: Array};
(async () => {
  const session = await ort.InferenceSession.create(fs.readFileSync(process.argv[1]));
  const given = JSON.parse(fs.readFileSync(process.argv[2]));
  const feeds = {};
  for (const [name, {type, values}] of Object.entries(given)) {
    const read = {float32: (v) => (v === null ? NaN : v), int64: BigInt, string: String}[type];
    feeds[name] = new ort.Tensor(type, arrays[type].from(values.map(read)), [values.length]);
  }
  console.log(JSON.stringify(Array.from((await session.run(feeds)).output.data)));
})();
"""


def node(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["node", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_runtime_of_browsers_gives_the_same(trained, export, tmp_path) -> None:
    if not shutil.which("node") or node("-e", "require.resolve('onnxruntime-web')").returncode:
        pytest.skip("needs Node.js and the package onnxruntime-web, found by NODE_PATH")
    assert export("onnx", "--out", tmp_path).code == 0
    run = Run(trained.path)
    predictor = best_predictor(run, *recorded_kind(run))
    rows = renamed([*TEST, {**TEST[1], "job": "über", "born": "1900-01-01"}])
    inputs = predictor.rows([{key: v for key, v in row.items() if key != "label"} for row in rows]).examples.inputs
    given = {}
    for name, values in inputs.items():
        array = np.asarray(values[np.arange(len(rows))])
        kind = "string" if array.dtype == object else str(array.dtype)
        # JSON has neither NaN nor all integers of 64 bits.
        plain = [None if each != each else str(each) if kind == "int64" else each for each in array.tolist()]  # noqa: PLR0124
        given[name] = {"type": kind, "values": plain}
    (tmp_path / "rows.json").write_text(json.dumps(given), "utf-8")
    done = node("-e", BROWSER, tmp_path / "onnx/model.onnx", tmp_path / "rows.json")
    assert not done.returncode, done.stderr
    found = np.array(json.loads(done.stdout.splitlines()[-1])).reshape(len(rows), -1)
    np.testing.assert_allclose(found, predictor(inputs)["output"], atol=1e-6)


@pytest.mark.slow
def test_int8_with_the_ranges_of_other_rows_is_refused(dltool, tmp_path, monkeypatch) -> None:
    pytest.importorskip("ai_edge_litert")
    from dltool.exporting import export_folder

    config = Path(__file__).parents[2] / "configs" / "digits.yaml"
    assert dltool("train", config, "--runs", tmp_path / "runs", "--set", "training.epochs=3").code in (0, 7)
    run = tmp_path / "runs/digits/0001"
    outcome = dltool("export", run, "litert", "--precision", "int8")
    assert outcome.code == 0, outcome.stderr
    record = json.loads((run / "exports/litert-int8/check.json").read_text("utf-8"))
    scores = record["outputs"]["output"]
    assert scores["of_model"] - scores["of_export"] <= 0.01
    assert record["allowed_loss"] == 0.01
    signature = json.loads((run / "exports/litert-int8/signature.json").read_text("utf-8"))
    assert [each["training_range"] for each in signature["inputs"]] == [[0, 16]]
    rows = export_folder.calibration_rows

    def dark(*given: Any) -> Any:
        return {name: np.zeros_like(values) for name, values in rows(*given).items()}

    monkeypatch.setattr(export_folder, "calibration_rows", dark)
    outcome = dltool("export", run, "litert", "--precision", "int8", "--out", tmp_path / "out")
    assert outcome.code == 7
    assert "loses" in outcome.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_export_of_a_private_run_holds_no_training_rows(dltool, tmp_path) -> None:
    text = CONFIG.format(
        data="  source: digits\n  split: {validation: 0, test: 0}",
        layers=FLAT,
        loss="sparse_categorical_crossentropy",
    )
    (tmp_path / "private.yaml").write_text(text, "utf-8")
    settings = ["--set", "training.privacy={epsilon: 3, delta: 1e-5}", "--runs", tmp_path / "runs"]
    assert dltool("train", tmp_path / "private.yaml", *settings, "--quiet").code == 0
    assert dltool("export", tmp_path / "runs/example/0001", "onnx", "--out", tmp_path).code == 0
    assert json.loads((tmp_path / "onnx/check.json").read_text("utf-8"))["rows"]["test"] == 0
    assert "training_range" not in (tmp_path / "onnx/signature.json").read_text("utf-8")
    outcome = dltool("export", tmp_path / "runs/example/0001", "litert", "--precision", "int8")
    assert outcome.code == 2
    assert "would follow from the training rows of a private run" in " ".join(outcome.stderr.split())


@pytest.mark.slow
def test_an_operation_that_litert_lacks_is_named_if_it_is_not_foreseen(dltool, tmp_path, monkeypatch) -> None:
    pytest.importorskip("ai_edge_litert")
    from dltool.exporting import foreseen

    np.savez(tmp_path / "cubes.npz", x=np.random.default_rng(0).normal(size=(30, 4, 4, 4, 2)), y=np.arange(30) % 2)
    text = CONFIG.format(
        data=f"  source: {{arrays: {tmp_path / 'cubes.npz'}}}\n  split: {{validation: 0.2, test: 0.2}}",
        layers=f"[{{MaxPool3D: 2}}, {FLAT[1:]}",
        loss="sparse_categorical_crossentropy",
    )
    (tmp_path / "cubes.yaml").write_text(text, "utf-8")
    assert dltool("train", tmp_path / "cubes.yaml", "--runs", tmp_path / "runs", "--quiet").code == 0
    refused = dltool("export", tmp_path / "runs/example/0001", "litert")
    assert refused.code == 2
    assert "LiteRT has no MaxPooling3D" in " ".join(refused.stderr.split())
    monkeypatch.setattr(foreseen, "REFUSED", {**foreseen.REFUSED, "litert": ()})
    outcome = dltool("export", tmp_path / "runs/example/0001", "litert")
    assert outcome.code == 7
    assert "MaxPool3D" in outcome.stderr


@pytest.mark.slow
def test_another_split_that_checks_an_export_is_named(dltool, tmp_path) -> None:
    data, loss = "  source: iris\n  split: {validation: 0.2, test: 0}", "sparse_categorical_crossentropy"
    (tmp_path / "iris.yaml").write_text(CONFIG.format(data=data, layers=FLAT, loss=loss), "utf-8")
    assert dltool("train", tmp_path / "iris.yaml", "--runs", tmp_path / "runs", "--quiet").code == 0
    outcome = dltool("export", tmp_path / "runs/example/0001", "onnx", "--out", tmp_path)
    assert "the run has no test split: its validation split checks the exports" in " ".join(outcome.stderr.split())
    record = json.loads((tmp_path / "onnx/check.json").read_text("utf-8"))
    assert (record["split"], record["rows"]["test"]) == ("validation", 30)
