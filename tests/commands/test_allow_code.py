"""Layers, losses and metrics of one's own, from the command line to the finished model."""

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from dltool.config.keras.allowed_code import read_allowed_code
from dltool.console.results import show_error
from dltool.errors import MachineError
from dltool.keras_names import allowing

OWN = """\
import keras
from keras import layers, ops


class Scale(layers.Layer):
    def __init__(self, factor: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, shape):
        self.gain = self.add_weight(shape=(shape[-1],), initializer="ones", name="gain")

    def call(self, inputs):
        return inputs * self.gain * self.factor


class Bounded(keras.losses.Loss):
    def __init__(self, most: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.most = most

    def call(self, y_true, y_pred):
        return ops.minimum(self.most, keras.losses.sparse_categorical_crossentropy(y_true, y_pred))


class Share(keras.metrics.SparseCategoricalAccuracy):
    def __init__(self, name="share", **kwargs):
        super().__init__(name=name, **kwargs)
"""
CONFIG = """\
name: example
data: {source: iris, split: {validation: 0.2, test: 0.2}}
model:
  layers:
    - Scale: {factor: 0.5}
    - Dropout: 0.2
    - Dense: {units: 3, activation: softmax}
training:
  optimizer: adam
  loss: {Bounded: {most: 5.0}}
  metrics: [Share]
  epochs: 2
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    (tmp_path / "example.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run, made once and copied for each test."""
    return tmp_path_factory.mktemp("trained")


@pytest.fixture
def run(dltool, folder, trained) -> Path:
    if not (trained / "runs").exists():
        outcome = dltool("train", "example.yaml", "--allow-code", "own.py")
        assert outcome.code == 0, outcome.stderr
        assert "next  dltool evaluate runs/example/0001 --allow-code own.py\n" in outcome.stdout
        shutil.copytree(folder / "runs", trained / "runs", symlinks=True)
    shutil.rmtree(folder / "runs", ignore_errors=True)
    shutil.copytree(trained / "runs", folder / "runs", symlinks=True)
    return Path("runs/example/0001")


def test_a_run_records_the_file_and_its_checksum(run, folder):
    import hashlib

    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert record["code"] == [{"file": "own.py", "sha256": hashlib.sha256(OWN.encode()).hexdigest()}]
    assert not list(run.rglob("*.py"))
    assert "share" in json.loads((run / "results.json").read_text(encoding="utf-8"))["test"]


def test_plain_keras_loads_the_model_with_custom_objects(run, folder):
    space: dict[str, Any] = {}
    exec(OWN, space)
    model = keras.models.load_model(run / "model.keras", custom_objects={"Scale": space["Scale"]})
    assert model.layers[-3].factor == 0.5
    assert np.isfinite(model.predict(np.ones((2, 4), np.float32), verbose=0)).all()


def test_a_run_is_evaluated_with_the_file_and_says_what_it_needs_without(run, dltool, golden):
    assert dltool("evaluate", run, "--allow-code", "own.py").code == 0
    outcome = dltool("evaluate", run)
    assert (outcome.code, outcome.stdout) == (2, "")
    golden("bad-inputs/allowed-code/needed-by-evaluate", outcome.stderr)


def test_a_run_predicts_with_the_file_and_says_what_it_needs_without(dltool, golden, folder):
    np.save(folder / "new.npy", np.ones((2, 4), np.float32))
    loss = "training.loss=sparse_categorical_crossentropy"
    assert dltool("train", "example.yaml", "--allow-code", "own.py", "--set", loss, "--quiet").code == 0
    command = ["predict", "runs/example/0001", "new.npy"]
    assert dltool(*command, "--allow-code", "own.py").stdout.count("new.npy") == 2
    outcome = dltool(*command)
    assert (outcome.code, outcome.stdout) == (2, "")
    golden("bad-inputs/allowed-code/needed-by-predict", outcome.stderr)


@pytest.mark.slow
def test_a_run_is_resumed_and_reproduced_with_the_file_alone(run, dltool):
    for command in (["resume", str(run), "--epochs", "3"], ["reproduce", str(run)]):
        refused = dltool(*command)
        assert refused.code == 2
        options = " ".join([*command, "--allow-code own.py"])
        assert f"dltool {options}" in refused.stderr
        assert dltool(*command, "--allow-code", "own.py").code == 0


def test_another_file_is_refused(run, dltool, golden, folder):
    (folder / "own.py").write_text(OWN.replace("ones", "zeros"), encoding="utf-8")
    (folder / "more.py").write_text("import keras\nclass More(keras.Layer): pass\n", encoding="utf-8")
    before = sorted(path.stat().st_mtime_ns for path in run.rglob("*"))
    changed = dltool("evaluate", run, "--allow-code", "own.py")
    assert changed.code == 2
    golden("bad-inputs/allowed-code/another-file", changed.stderr)
    (folder / "own.py").write_text(OWN, encoding="utf-8")
    too_many = dltool("evaluate", run, "--allow-code", "own.py", "--allow-code", "more.py")
    assert too_many.code == 2
    golden("bad-inputs/allowed-code/one-file-too-many", too_many.stderr)
    assert sorted(path.stat().st_mtime_ns for path in run.rglob("*")) == before


def test_a_file_inside_the_run_directory_is_never_run(run, dltool, folder):
    (run / "own.py").write_text(OWN + "raise SystemExit(42)\n", encoding="utf-8")
    outcome = dltool("evaluate", run, "--allow-code", run / "own.py")
    assert outcome.code == 2
    assert "the file is in the run directory" in outcome.stderr


@pytest.mark.parametrize("code", ["own.py", [1], [{"file": "own.py"}], [{"file": 1, "sha256": "x"}]])
def test_a_record_that_is_none_is_refused(code, run, dltool):
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (run / "run.json").write_text(json.dumps({**record, "code": code}), encoding="utf-8")
    outcome = dltool("evaluate", run)
    assert outcome.code == 4
    assert "code is not a list of files" in outcome.stderr


def test_a_run_of_older_times_needs_no_code(run, dltool):
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    del record["code"]
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    outcome = dltool("evaluate", run)
    assert outcome.code == 4
    assert 'unknown layer "Scale"' in outcome.stderr


def test_a_check_names_the_next_command_with_the_file(dltool):
    shown = dltool("check", "example.yaml", "--allow-code", "own.py").stdout
    assert shown.endswith("next  dltool check example.yaml --allow-code own.py --data --build\n")


def test_without_the_file_the_names_are_unknown(dltool, golden):
    outcome = dltool("check", "example.yaml")
    assert outcome.code == 2
    golden("bad-inputs/allowed-code/not-allowed", outcome.stderr)


FAILING = {
    "import": OWN + "\nimport no_such_module\n",
    "exit": OWN + "\nraise SystemExit(3)\n",
    "constructor": OWN.replace("self.factor = factor", "self.factor = factor + None"),
    "call": OWN.replace("* self.factor", "* self.faktor"),
    "undefined": OWN.replace("* self.factor", "* undefined"),
    "loss": OWN.replace("ops.minimum", "ops.minimun"),
    "not-saved": OWN.replace(
        "    def build", "    def get_config(self):\n        return {'name': self.name}\n\n    def build"
    ),
    "no-layer-after-all": OWN + "\nScale = 3\n",
}


@pytest.mark.parametrize("name", FAILING)
def test_a_mistake_in_the_file_is_reported_with_its_line_and_leaves_no_run(name, dltool, golden, folder):
    (folder / "own.py").write_text(FAILING[name], encoding="utf-8")
    outcome = dltool("train", "example.yaml", "--allow-code", "own.py")
    assert outcome.code == 2
    assert "Traceback" not in outcome.stderr
    golden(f"bad-inputs/allowed-code/{name}", outcome.stderr)
    assert sorted(path.name for path in folder.iterdir()) == ["example.yaml", "own.py"]


def test_a_training_that_stopped_names_how_it_goes_on_with_the_file(capsys):
    stopped = MachineError("the disk is full")
    stopped.kept, stopped.can_resume = "runs/example/0001", True
    with allowing(read_allowed_code([Path("own.py")])):
        show_error(stopped, None, as_json=False)
    assert "next  dltool resume runs/example/0001 --allow-code own.py" in capsys.readouterr().err
