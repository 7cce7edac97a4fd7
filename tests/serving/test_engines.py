"""What computes a served model: its verified ONNX export, in a process without TensorFlow, or TensorFlow."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from tests.in_process import command
from tests.serving.conftest import ROW, Client, client_of, png, trained
from tests.serving.test_process import ask, server
from tests.serving.test_protocols import INFER, INPUTS, raw, tensors

from dltool.commands.serve import setup_for
from dltool.errors import RunError
from dltool.exporting.foreseen import Forecast
from dltool.serving.limits import Limits

TEXTS = """\
name: texts
seed: 1
data:
  source: {csv: texts.csv}
  target: kind
  inputs: {words: text, size: number}
  split: {validation: 0.2, test: 0.2}
model: {layers: [{Dense: {units: $classes, activation: softmax}}]}
training: {optimizer: adam, loss: sparse_categorical_crossentropy, metrics: [accuracy], epochs: 1}
"""
HEAVY = {"tensorflow", "keras", "pandas", "sklearn", "matplotlib", "scipy"}


def test_a_server_of_an_export_imports_no_tensorflow() -> None:
    code = "import sys, dltool.serving.app, dltool.exporting.onnx_predictor\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & HEAVY


def test_a_run_without_a_verified_export_is_computed_by_tensorflow_and_the_reason_is_said(
    table_run: Path, tmp_path: Path
) -> None:
    run = copytree(table_run, tmp_path / "0001")
    folder = run / "exports" / "onnx"
    reasons = []
    for record in (None, {}, {"weights": "0"}):
        if record is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "check.json").write_text(json.dumps(record))
        (note,) = setup_for([run], Limits()).notes
        reasons.append(note)
        with pytest.raises(RunError):
            setup_for([run], Limits(), "onnx")
    again = f"dltool export {run} onnx"
    assert reasons == [
        f"flowers is computed by TensorFlow: {run} has no ONNX export; {again}",
        f"flowers is computed by TensorFlow: {folder} does not say with which weights it was verified; {again}",
        f"flowers is computed by TensorFlow: {folder} was verified with other weights than the run has now; {again}",
    ]
    assert not setup_for([run], Limits(), "tensorflow").notes


def test_an_export_that_is_impossible_is_not_recommended(table_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Forecast("onnx", why="its layers have no form there")]
    monkeypatch.setattr("dltool.exporting.onnx_predictor.forecasts", lambda *_: found)
    (note,) = setup_for([table_run], Limits()).notes
    assert note.endswith(f"{table_run} has no ONNX export; its layers have no form there")


@pytest.fixture(scope="module")
def exported(table_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = copytree(table_run, tmp_path_factory.mktemp("exported") / "0001")
    assert command("export", run, "onnx") == 0
    return run


@pytest.fixture(scope="module")
def both(exported: Path) -> tuple[Client, Client]:
    return client_of(exported, engine="onnx"), client_of(exported, engine="tensorflow")


def rounded(value: Any) -> Any:
    """Return an answer with its probabilities rounded, and the names of the engines left out."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items() if key not in ("engine", "engines", "platform")}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return pytest.approx(value, abs=1e-5) if isinstance(value, float) else value


def requests() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield requests of every kind, of which many are wrong."""
    rows = [
        [ROW],
        [ROW, {**ROW, "place": ".south.", "colour": None, "wild": None, "age": None}],
        [{**ROW, "colour": "violet", "size": 1e6, "age": -1e6, "seen": "1900-01-01"}],
        [{**ROW, "place": "moon"}, {**ROW, "size": None}, {**ROW, "sizes": 1}, {**ROW, "wild": "maybe"}],
        [{}],
        [],
        [ROW] * 300,
        [{**ROW, "colour": ""}, {**ROW, "colour": "zoë 漢字 \x00"}],
    ]
    yield from (("POST", "/predict", {"json": {"rows": each}}) for each in rows)
    for content in (b"", b"{", b"[]", b'{"rows": [{"size": NaN}]}', b"\xff", b'{"rows": ' + b"[" * 1000):
        yield "POST", "/predict", {"content": content}
    for change in ({}, {"data": ["a", "b"]}, {"shape": [3]}, {"data": [None, 1.0]}, {"data": [1e300, 1.0]}):
        inputs = tensors()
        inputs[4] |= change
        yield "POST", INFER, {"json": {"inputs": inputs}}
    head = json.dumps({"inputs": tensors(binary=True)}).encode()
    body = head + b"".join(raw(*each) for each in INPUTS.values())
    yield "POST", INFER, {"content": body, "headers": {"inference-header-content-length": str(len(head))}}
    columns = {name: [0 if value is None else value for value in data] for name, (_, data) in INPUTS.items()}
    yield "POST", "/v1/models/flowers:predict", {"json": {"inputs": columns}}
    yield "POST", "/v1/models/flowers:predict", {"json": {"inputs": columns | {"place": ["moon", "north"]}}}
    yield "POST", "/predict/explain", {"json": {"rows": [ROW, ROW]}}
    yield from (("GET", path, {}) for path in ("/health", "/models", "/v2/models/flowers", "/openapi.json"))


@pytest.mark.slow
def test_both_engines_answer_in_the_same_words(both: tuple[Client, Client]) -> None:
    for request in requests():
        found = [client(request[0], request[1], **request[2]) for client in both]
        assert found[0].status_code == found[1].status_code, request
        assert rounded(found[0].json()) == rounded(found[1].json()), request


@pytest.mark.slow
def test_the_engine_is_named_by_health_metadata_and_metrics(both: tuple[Client, Client]) -> None:
    for client, engine in zip(both, ("onnx", "tensorflow"), strict=True):
        assert client("GET", "/health").json()["engines"] == {"flowers": engine}
        assert client("GET", "/v2/models/flowers").json()["platform"] == f"dltool_{engine}"
        assert client("GET", "/models").json()["models"][0]["engine"] == engine
        client.rows(ROW)
        assert f'dltool_rows_total{{engine="{engine}",model="flowers",run="0001"}}' in client("GET", "/metrics").text


@pytest.mark.slow
def test_the_process_of_an_export_has_no_tensorflow_and_a_model_of_other_weights_is_not_taken(exported: Path) -> None:
    with server(exported) as (process, port):
        assert ask(port)[0] == 200
        assert json.loads(ask(port, "GET", "/health")[1])["engines"] == {"flowers": "onnx"}
        assert "tensorflow" not in Path(f"/proc/{process.pid}/maps").read_text()
    model = exported / "exports" / "onnx" / "model.onnx"
    content = model.read_bytes()
    try:
        model.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        (note,) = setup_for([exported], Limits()).notes
        assert "model.onnx is not the file that was verified" in note
    finally:
        model.write_bytes(content)


@pytest.mark.slow
def test_texts_are_made_tokens_without_tensorflow(tmp_path: Path) -> None:
    lines = [f"{('good fine', 'bad poor')[row % 2]} film {row},{row % 7},{'ab'[row % 2]}\n" for row in range(60)]
    (tmp_path / "texts.csv").write_text("".join(["words,size,kind\n", *lines]))
    run = trained(tmp_path, TEXTS, "texts")
    assert command("export", run, "onnx") == 0
    rows = [{"words": words, "size": 3} for words in ("Good, GOOD film!", "É bad\u00a0poor", "", "unknown " * 300)]
    found = [client_of(run, engine=engine).rows(*rows) for engine in ("onnx", "tensorflow")]
    assert found[0].json() == rounded(found[1].json())
    assert found[0].status_code == 200


@pytest.mark.slow
def test_images_are_computed_by_an_export_too(picture_run: Path, tmp_path: Path) -> None:
    run = copytree(picture_run, tmp_path / "0001")
    assert command("export", run, "onnx") == 0
    files = [("files", (f"{value}.png", png((9, 20, 3), value))) for value in (2, 7, 255)]
    found = [client_of(run, engine=engine)("POST", "/predict/files", files=files) for engine in ("onnx", "tensorflow")]
    assert found[0].json() == rounded(found[1].json())
    assert "far outside" in found[0].json()["warnings"][0]
    assert np.shape(found[0].json()["predictions"]) == (3,)
