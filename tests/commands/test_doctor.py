import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from dltool import machine
from dltool.commands import doctor


@pytest.fixture(autouse=True)
def keras_home(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    (tmp_path / "keras").mkdir()
    return tmp_path / "keras"


def answer(monkeypatch, **result) -> None:
    """Lets the process that imports TensorFlow answer so."""
    given = {"returncode": 0, "stdout": "", "stderr": "", **result}
    monkeypatch.setattr(subprocess, "run", lambda command, **_options: subprocess.CompletedProcess(command, **given))


def test_a_working_tensorflow_is_ok_with_its_time_and_devices(monkeypatch):
    answer(monkeypatch, stdout='chatter\n\n{"seconds": 4.2, "works": true, "gpus": ["NVIDIA H200"]}\n')
    imported, gpu = doctor.check_tensorflow()
    assert (imported.status, imported.detail) == ("ok", "imports in 4.2 s")
    assert (gpu.status, gpu.detail) == ("ok", "NVIDIA H200")


@pytest.mark.parametrize(
    ("result", "detail"),
    [
        ({"returncode": 1, "stderr": "Traceback\nImportError: no DLL"}, "import fails: ImportError: no DLL"),
        ({"returncode": -4}, "import fails: signal 4"),
        ({"stdout": "chatter only"}, "import printed something unexpected: chatter only"),
    ],
)
def test_a_broken_tensorflow_is_a_problem(monkeypatch, result, detail):
    answer(monkeypatch, **result)
    (check,) = doctor.check_tensorflow()
    assert (check.status, check.detail) == ("problem", detail)


def test_a_tensorflow_that_hangs_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctor, "PROBE", "import time; time.sleep(60)")
    monkeypatch.setattr(doctor, "IMPORT_SECONDS", 0.2)
    (check,) = doctor.check_tensorflow()
    assert (check.status, check.detail) == ("problem", "import took more than 0.2 seconds")


@pytest.mark.slow
def test_the_probe_works_with_the_installed_tensorflow():
    imported, gpu = doctor.check_tensorflow()
    assert imported.status in ("ok", "warning")
    assert imported.detail.startswith("imports in ")
    assert gpu.name == "GPU"


@pytest.mark.parametrize(
    ("requirement", "status"),
    [("numpy>=2.0", "ok"), ("numpy>=99", "problem"), ("no-such-package-as-this>=1", "problem")],
)
def test_a_package_is_compared_with_what_is_required(requirement, status):
    check = doctor.check_package(Requirement(requirement))
    assert check.status == status
    assert (requirement in check.hint) == (status == "problem")


def test_keras_without_settings_is_ok():
    assert doctor.check_keras_config().status == "ok"


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ('{"backend": "tensorflow", "floatx": "float32"}', "ok", "the backend is tensorflow"),
        ('{"backend": "jax"}', "problem", "the backend is jax"),
        ('{"floatx": "float16"}', "warning", '"floatx": "float16"'),
        ('{"image_data_format": "channels_first"}', "warning", '"image_data_format": "channels_first"'),
        ("[]", "problem", "not a JSON object"),
        ("{", "problem", "keras.json"),
    ],
)
def test_the_settings_of_keras_are_judged(keras_home, settings, status, words):
    (keras_home / "keras.json").write_text(settings)
    check = doctor.check_keras_config()
    assert check.status == status
    assert words in check.detail
    assert bool(check.hint) == (status != "ok")


def test_the_variable_goes_before_the_file(keras_home, monkeypatch):
    (keras_home / "keras.json").write_text('{"backend": "tensorflow"}')
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    check = doctor.check_keras_config()
    assert (check.status, check.hint) == ("problem", "run: unset KERAS_BACKEND")


def test_onednn_switched_off_is_a_warning(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert doctor.check_cpu().status == "warning"


@pytest.mark.parametrize(("memory", "status"), [(10**9, "warning"), (16 * 10**9, "ok")])
def test_little_memory_is_a_warning(monkeypatch, memory, status):
    monkeypatch.setattr(doctor, "usable_memory", lambda: memory)
    assert doctor.check_memory().status == status


@pytest.mark.parametrize(("free", "status"), [(10**7, "problem"), (5 * 10**8, "warning"), (10**11, "ok")])
def test_a_full_disk_is_named(monkeypatch, free, status):
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: type("Usage", (), {"free": free}))
    assert doctor.check_disk().status == status


def test_the_runs_folder_is_tried_without_being_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctor.check_runs_folder(Path("a/runs")).detail == "a/runs can be created"
    assert not (tmp_path / "a").exists()
    (tmp_path / "runs").mkdir()
    assert doctor.check_runs_folder(Path("runs")).detail == "runs is writable"
    assert os.listdir(tmp_path / "runs") == []


def test_a_read_only_runs_folder_is_a_problem(tmp_path, monkeypatch):
    def refuse(**_options):
        raise OSError(errno.EROFS, "refused")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    check = doctor.check_runs_folder(tmp_path / "runs")
    assert check.status == "problem"
    assert "read-only file system" in check.detail


def test_downloaded_data_sets_are_named(keras_home):
    assert doctor.check_datasets().detail.endswith("none yet")
    (keras_home / "datasets").mkdir()
    (keras_home / "datasets" / "mnist.npz").touch()
    assert doctor.check_datasets().detail.endswith(": mnist.npz")


def test_the_machine_is_described_without_a_host_or_heavy_imports():
    code = "import json, sys\nfrom dltool.machine import describe_machine\nprint(json.dumps(describe_machine()))\n"
    code += "assert not {'numpy', 'tensorflow', 'keras'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    described = machine.describe_machine()
    assert described["cores"] >= 1
    assert described["memory"] > 2**28
    assert set(described["versions"]) == {"dltool", "tensorflow", "keras", "numpy", "pillow"}
    assert os.uname().nodename not in done.stdout


@pytest.mark.parametrize("prefix", ["ONEDNN", "DNNL"])
@pytest.mark.parametrize(
    ("name", "default", "other"), [("MAX_CPU_ISA", "all", "AVX2"), ("DEFAULT_FPMATH_MODE", "STRICT", "BF16")]
)
def test_variables_that_change_bits_are_recorded_unless_they_are_at_their_default(
    monkeypatch, prefix, name, default, other
):
    before = machine.describe_machine()["environment"]
    monkeypatch.setenv(f"{prefix}_{name}", default)
    assert machine.describe_machine()["environment"] == before
    monkeypatch.setenv(f"{prefix}_{name}", other)
    assert machine.describe_machine()["environment"] == {**before, f"{prefix}_{name}": other}


def git(directory: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", str(directory), *identity, *arguments], check=True, capture_output=True)


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_the_commit_of_a_checkout_is_recorded_with_its_changes(tmp_path):
    assert machine.git_commit(tmp_path) is None
    git(tmp_path, "init")
    assert machine.git_commit(tmp_path) is None
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "a")
    clean = machine.git_commit(tmp_path)
    assert clean is not None
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    (tmp_path / "a").write_text("2")
    assert machine.git_commit(tmp_path) == {**clean, "dirty": True}


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.git_commit(Path(__file__).parent) is None
