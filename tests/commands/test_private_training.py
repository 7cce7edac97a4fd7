"""Private training from the command line: what it spends, records, says and refuses."""

import json
import re
import secrets
import shutil

import pytest
from tests.in_process import command

pytestmark = pytest.mark.slow

DIGITS = """\
name: private
seed: 1
data:
  source: digits
  split: {test: 0.2}
  preprocessing: [{Rescaling: $(1 / 16)}]
model:
  layers:
    - Conv2D: {filters: 16, kernel_size: 3, activation: tanh}
    - MaxPooling2D: 2
    - Flatten
    - Dense: {units: 32, activation: tanh}
    - Dense: {units: $classes, activation: softmax}
training:
  optimizer: {SGD: {learning_rate: 0.5, momentum: 0.9}}
  loss: sparse_categorical_crossentropy
  metrics: [accuracy]
  batch_size: 128
  epochs: 20
  privacy: {epsilon: 8, delta: 1e-4, clip: 0.5}
expect: {epsilon: "<= 8", accuracy: ">= 0.9"}
"""
KEY = 0x1234_5678_9ABC_DEF1
SHORT = ("--set", "training.epochs=2", "--set", "expect={}")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("private")
    (folder / "private.yaml").write_text(DIGITS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrets, "randbits", lambda bits: KEY)
        code = command("train", folder / "private.yaml", "--runs", folder / "runs")
    return code, folder / "runs" / "private" / "0001"


def results(run):
    return json.loads((run / "results.json").read_text())


@pytest.mark.proof
def test_digits_reach_nine_tenths_at_an_epsilon_of_eight(trained):
    code, run = trained
    assert code == 0
    assert results(run)["test"]["accuracy"] >= 0.9
    spent = results(run)["privacy"]
    assert 7.9 < spent["epsilon"] <= 8
    assert spent["steps"] == 240


def test_the_key_is_gone_when_the_run_is_complete(trained):
    _, run = trained
    assert not list(run.glob("checkpoints/*.ckpt"))
    contents = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    for key in (KEY.to_bytes(8, "little"), KEY.to_bytes(8, "big"), str(KEY).encode()):
        assert not [file for file, content in contents.items() if key in content]


def test_the_report_says_what_is_private(trained):
    _, run = trained
    page = " ".join(re.sub("<[^>]*>", " ", (run / "report.html").read_text()).split())
    assert "The training spent epsilon 8 at delta 0.0001: noise" in page
    assert "model.keras is private, and this run directory is not" in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["reproduce"], "is a private run, whose noise no record holds"),
        (["resume", "--epochs", "30"], "is a private run, whose noise has its epochs"),
    ],
)
def test_a_private_run_is_neither_reproduced_nor_extended(trained, capfd, arguments, words):
    name, *options = arguments
    assert command(name, trained[1], *options) != 0
    assert words in " ".join(capfd.readouterr().err.split())


def test_a_run_with_a_seed_is_reproduced_and_says_that_it_is_not_private(trained, tmp_path, capfd):
    config = trained[1].parents[2] / "private.yaml"
    assert command("train", config, "--runs", tmp_path, *SHORT, "--set", "training.privacy.seed=1") == 0
    out, err = capfd.readouterr()
    assert "privacy.seed gives the noise away" in err
    assert "spent epsilon" in out
    assert "nothing of it is private, as privacy.seed gives the noise away" in out
    assert "model.keras is private" not in out
    page = (tmp_path / "private" / "0001" / "report.html").read_text()
    assert "Nothing of it is private" in page
    assert "bound of privacy" not in page
    assert command("reproduce", tmp_path / "private" / "0001") == 0


def test_a_run_that_was_killed_before_its_key_was_removed_loses_it_when_it_is_resumed(trained, tmp_path, capfd):
    run = tmp_path / "runs" / "private" / "0001"
    shutil.copytree(trained[1], run)
    left = run / "checkpoints" / "0000000240.ckpt"
    left.write_bytes(KEY.to_bytes(8, "little"))
    assert command("resume", run) == 0
    assert not left.exists()


def test_folds_without_a_model_of_their_own_have_spent_what_each_of_them_has(trained, tmp_path, capfd):
    config = trained[1].parents[2] / "private.yaml"
    changes = ("data.split={folds: 2}", "data.final=none", 'expect={epsilon: "<= 8"}', "training.epochs=2")
    settings = [word for change in changes for word in ("--set", change)]
    assert command("train", config, "--runs", tmp_path, *settings) == 0
    out = capfd.readouterr().out
    assert "the run has no model of its own, and its directory is not private" in out
    assert "model.keras is private" not in out
    run = tmp_path / "private" / "0001"
    folds = [results(run / "folds" / number)["privacy"]["epsilon"] for number in "12"]
    assert results(run)["privacy"]["epsilon"] == max(folds) <= 8
    page = " ".join(re.sub("<[^>]*>", " ", (run / "report.html").read_text()).split())
    assert "This run has no model of its own" in page
    audit = json.loads((run / "evaluation" / "folds" / "metrics.json").read_text())["audit"]
    assert audit["members"] == audit["others"] == 1797


def test_early_stopping_spends_less(trained, tmp_path):
    config = trained[1].parents[2] / "private.yaml"
    stopping = "training.callbacks=[{EarlyStopping: {monitor: val_loss, patience: 1, min_delta: 100}}]"
    split = "data.split={validation: 0.1, test: 0.2}"
    assert command("train", config, "--runs", tmp_path, "--set", stopping, "--set", split, "--set", "expect={}") == 0
    found = results(tmp_path / "private" / "0001")
    assert found["epochs"] == 2
    assert found["privacy"]["epsilon"] < 5


def test_a_search_is_refused_because_each_trial_spends(trained, tmp_path, capfd):
    config = tmp_path / "searched.yaml"
    space = "search: {trials: 2, space: {vars.units: {choice: [8, 16]}}}\n"
    config.write_text(DIGITS.replace("{test: 0.2}", "{validation: 0.1, test: 0.2}") + "vars: {units: 8}\n" + space)
    assert command("search", config, "--runs", tmp_path) == 2
    assert "searched.yaml:20:3: each trial of a search would spend" in capfd.readouterr().err


def test_check_says_what_training_will_spend(trained, capfd):
    assert command("check", trained[1].parents[2] / "private.yaml") == 0
    out = capfd.readouterr().out
    assert re.search(r"private training spends epsilon 8 at delta 0.0001: noise [\d.]+ times .* in 240 steps", out)
