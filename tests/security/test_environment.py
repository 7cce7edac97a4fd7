"""Values from the environment: they reach the training, and no file of a run and no message."""

import io
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.in_process import command

from dltool.config.load import build_config, read_document
from dltool.config.text.dump import dump_yaml, leaves
from dltool.runs.checkpoint_file import newest_checkpoint

SECRET = "Xyzzy9plugh-4F"
CONFIG = """\
name: hidden
vars: {token: $(env.TOKEN), folder: $(env.FOLDER), size: $(env.SIZE), both: "$(env.SIZE)-$(token)"}
data: {source: {csv: $(folder)/rows.csv}, target: y, split: {validation: 0.2, test: 0.2}}
model:
  layers:
    - Dense: $(env.SIZE)
    - Dense: {units: $(size * 2 - classes), activation: relu}
    - Dense: {units: $classes, activation: softmax}
training:
  optimizer: {Adam: {learning_rate: $(env.RATE)}}
  loss: sparse_categorical_crossentropy
  epochs: $(size // 4)
  callbacks:
    - CSVLogger: $(env.FOLDER)/epochs-$(both).csv
    - EarlyStopping: {monitor: val_loss, patience: $size}
"""
VALUES = {"TOKEN": SECRET, "SIZE": "8", "RATE": "0.0123"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in VALUES.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config and its run, trained with data in another folder, whose name is a secret too."""
    folder = tmp_path_factory.mktemp("work")
    data = tmp_path_factory.mktemp("data") / SECRET
    data.mkdir()
    numbers = np.random.default_rng(0).normal(size=(60, 2))
    rows = [f"{a:.4f},{b:.4f},{'yes' if a > b else 'no'}" for a, b in numbers]
    (data / "rows.csv").write_text("\n".join(["a,b,y", *rows, *rows[:9]]) + "\n", encoding="utf-8")
    (folder / "hidden.yaml").write_text(CONFIG, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**VALUES, "FOLDER": str(data)}.items():
            patch.setenv(name, value)
        assert command("train", folder / "hidden.yaml", "--runs", folder / "runs") == 0
    assert (data / f"epochs-8-{SECRET}.csv").exists()
    (folder / "data").symlink_to(data)
    return folder


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file, and the members of those that are zip archives."""
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            yield str(file), content
            if zipfile.is_zipfile(io.BytesIO(content)):
                archive = zipfile.ZipFile(io.BytesIO(content))
                yield from ((f"{file}: {name}", archive.read(name)) for name in archive.namelist())


def test_no_file_of_a_run_holds_a_value_from_the_environment(trained):
    texts = dict(contents(trained / "runs"))
    assert len(texts) > 15
    assert [name for name, content in texts.items() if SECRET.encode() in content] == []
    checkpoint, _ = newest_checkpoint(trained / "runs/hidden/0001/checkpoints")
    assert "patience" in str(checkpoint.state)
    assert SECRET not in str(checkpoint.state)


def test_the_resolved_config_has_expressions_that_need_the_environment_alone(trained):
    resolved = yaml.safe_load((trained / "runs/hidden/0001/resolved.yaml").read_text("utf-8"))
    found = {".".join(map(str, path)): value for path, value in leaves(resolved, ()) if "$" in str(value)}
    assert found == {
        "data.source.csv.path": "$(env.FOLDER)/rows.csv",
        "model.layers.0.Dense.units": "$(env.SIZE)",
        "model.layers.1.Dense.units": "$(env.SIZE * 2 - 2)",
        "training.optimizer.Adam.learning_rate": "$(env.RATE)",
        "training.epochs": "$(env.SIZE // 4)",
        "training.callbacks.0.CSVLogger.filename": "$(env.FOLDER)/epochs-$(env.SIZE)-$(env.TOKEN).csv",
        "training.callbacks.1.EarlyStopping.patience": "$(env.SIZE)",
    }


def test_the_log_of_a_run_that_reads_the_environment_is_its_owners_alone(trained):
    mode = (trained / "runs/hidden/0001/log.txt").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


@pytest.fixture
def run(trained, tmp_path) -> Path:
    shutil.copytree(trained / "runs", tmp_path / "runs", symlinks=True)
    return tmp_path / "runs/hidden/0001"


def test_a_run_reads_the_environment_again(run, trained, environment, dltool):
    environment.setenv("FOLDER", str((trained / "data").resolve()))
    outcome = dltool("evaluate", run)
    assert (outcome.code, SECRET in outcome.stdout + outcome.stderr) == (0, False)
    environment.setenv("TOKEN", "another")
    assert dltool("evaluate", run).code == 0, "nothing that was trained depends on it"


def test_a_variable_that_a_command_needs_is_named(run, environment, dltool):
    environment.delenv("FOLDER", raising=False)
    for word in ("evaluate", "reproduce"):
        outcome = dltool(word, run)
        assert (outcome.code, "the environment variable FOLDER is not set" in outcome.stderr) == (3, True)
    environment.delenv("RATE")
    outcome = dltool("evaluate", run)
    assert outcome.code == 4
    assert "learning_rate: the environment variable RATE is not set" in outcome.stderr


def test_predictions_and_reports_do_not_need_the_variables_of_the_data(run, trained, environment, dltool):
    environment.delenv("FOLDER", raising=False)
    environment.delenv("TOKEN")
    assert dltool("predict", run, trained / "data/rows.csv").code == 0
    outcome = dltool("report", run)
    assert outcome.code == 0
    assert "FOLDER is not set" in outcome.stderr


def test_another_number_than_that_of_the_training_is_refused_without_being_shown(run, environment, dltool):
    environment.setenv("RATE", "0.0456")
    outcome = dltool("evaluate", run)
    assert (outcome.code, "0.0456" in outcome.stderr) == (4, False)
    assert "$(env.RATE) was another value when the run was made" in outcome.stderr
    assert "0.0123" not in (run / "run.json").read_text("utf-8")
    environment.setenv("RATE", "fast")
    outcome = dltool("evaluate", run)
    assert (outcome.code, 'got the string "$(env.RATE)"' in outcome.stderr) == (4, True)
    environment.setenv("RATE", VALUES["RATE"])
    environment.setenv("SIZE", "large")
    outcome = dltool("evaluate", run)
    assert (outcome.code, "arithmetic needs numbers" in outcome.stderr) == (4, True)


def test_a_run_may_read_the_environment_only(run, environment, dltool):
    plain, alone = "without $ names and expressions", "a run's config refers to the environment only"
    for written, words in (("$(1 + 1)", plain), ("$size", plain), ("$(env.SIZE + epochs)", alone)):
        text = (run / "resolved.yaml").read_text("utf-8").replace("$(env.SIZE // 4)", written)
        (run / "resolved.yaml").write_text(text, encoding="utf-8")
        outcome = dltool("evaluate", run)
        assert (outcome.code, words in outcome.stderr) == (4, True)
        (run / "resolved.yaml").write_text(text.replace(written, "$(env.SIZE // 4)"), encoding="utf-8")


def places(value: object) -> list[str]:
    """The `--set` keys of all scalars."""
    paths = [path for path, _ in leaves(value, ())]
    return ["".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)[1:] for path in paths]


@pytest.mark.parametrize("written", ["$(env.TOKEN)", "a $(env.TOKEN)", "$token", "$(env.TOKEN + 1)", "[$(env.TOKEN)]"])
def test_no_message_shows_a_value_from_the_environment(written, trained, environment, dltool):
    environment.setenv("FOLDER", str(trained / "data"))
    text = CONFIG.replace("{monitor", "{mode: min, monitor").replace("$(env.FOLDER)/epochs", "epochs")
    (trained / "other.yaml").write_text(text, encoding="utf-8")
    for place in places(yaml.safe_load(text)):
        outcome = dltool("check", trained / "other.yaml", "--origins", "--json", "--set", f"{place}={written}")
        assert SECRET not in outcome.stdout + outcome.stderr, place
        is_private = place.startswith(("data.source", "training.callbacks", "vars"))
        assert outcome.code == 2 or is_private, place


def test_a_long_value_is_not_shown_in_part(environment, trained, dltool):
    environment.setenv("TOKEN", SECRET * 20)
    environment.setenv("FOLDER", str(trained / "data"))
    outcome = dltool("check", trained / "hidden.yaml", "--set", "training.epochs=$token")
    assert 'got the string "$(env.TOKEN)"' in outcome.stderr
    assert SECRET not in outcome.stderr


def test_a_short_value_is_left_in_words(environment, trained, dltool):
    environment.setenv("FOLDER", str(trained / "data"))
    environment.setenv("TOKEN", "list")
    outcome = dltool("check", trained / "hidden.yaml", "--set", "training.callbacks=$token")
    assert 'expected a list, got the string "$(env.TOKEN)"' in outcome.stderr
    outcome = dltool("check", trained / "hidden.yaml", "--set", "training.epochs=the $(token)")
    assert 'expected an integer, got the string "the $(env.TOKEN)"' in outcome.stderr


def test_a_name_that_keras_knows_may_come_from_the_environment(environment, trained):
    environment.setenv("FOLDER", "/data")
    environment.setenv("OPTIMIZER", "adam")
    settings = ["training.optimizer=$(env.OPTIMIZER)", "model.layers=[{Dense: 2}]"]
    config = build_config(read_document(trained / "hidden.yaml", settings))
    assert config.training.parts[0].optimizer.name == "adam"
    assert "optimizer: $(env.OPTIMIZER)" in dump_yaml(config)


def test_names_and_passwords_in_addresses_are_left_out_of_messages():
    from dltool.errors import MachineError

    assert str(MachineError("no answer from https://me:word@host/a")) == "no answer from https://…@host/a"


def test_data_that_has_moved_is_named_on_the_command_line(run, trained, environment, dltool, tmp_path):
    environment.setenv("FOLDER", str(tmp_path / "nowhere"))
    outcome = dltool("evaluate", run)
    assert outcome.code == 3
    assert "no such file: $(env.FOLDER)/rows.csv" in outcome.stderr
    assert "if the data of the run has moved: --set data.source.csv.path=NEW" in outcome.stderr
    rows = (trained / "data/rows.csv").read_text("utf-8")
    (tmp_path / "moved.csv").write_text(rows, encoding="utf-8")
    environment.chdir(tmp_path)
    for setting in ("data.source.csv.path=moved.csv", "data.source.csv=moved.csv"):
        assert dltool("evaluate", run, "--set", setting).code == 0
    assert dltool("report", run, "--set", "data.source.csv=moved.csv").code == 0
    (tmp_path / "moved.csv").write_text(rows.replace("yes", "no", 1), encoding="utf-8")
    outcome = dltool("evaluate", run, "--set", "data.source.csv=moved.csv")
    assert (outcome.code, "the data has changed" in outcome.stderr) == (3, True)
    for setting in ("training.epochs=3", "data.target=a", "data.source.csv.path"):
        outcome = dltool("evaluate", run, "--set", setting)
        assert (outcome.code, "only the location of its data can be set" in outcome.stderr) == (2, True)
