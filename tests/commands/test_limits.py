"""Limits of the system, and packages that cannot be imported: messages, with the exit code of the machine."""

import errno
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.small_configs import TINY

from dltool import imports
from dltool.errors import MachineError

MEGABYTE = 10**6
LIMITS = """
import resource, sys
from dltool.cli import main
which, size = sys.argv[1:3]
hard = resource.getrlimit(getattr(resource, which))[1]
resource.setrlimit(getattr(resource, which), (int(size), hard))
sys.argv[1:3] = []
main()
"""


def under(which: str, size: int, *arguments: str | Path, **environment: str) -> tuple[int, str]:
    """Return the exit code of a command under a limit, and its message in one line."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITS, which, str(size), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    return done.returncode, " ".join(done.stderr.split())


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "example.yaml").write_text(TINY)
    return tmp_path / "example.yaml"


@pytest.mark.parametrize("size", [100, 250])
def test_too_little_address_space_to_begin_says_what_is_needed(config, size):
    code, message = under("RLIMIT_AS", size * MEGABYTE, "check", "--data", config)
    assert code == 5
    assert f"the address space is limited to {size} MB; dltool needs at least 500 MB to start" in message


@pytest.mark.slow
@pytest.mark.parametrize("command", [("train",), ("check", "--build")])
def test_too_little_address_space_for_tensorflow_says_what_is_needed(config, command):
    code, message = under("RLIMIT_AS", 1500 * MEGABYTE, *command, config)
    assert code == 5
    assert "the address space is limited to 1.5 GB; TensorFlow needs at least 2.5 GB to start" in message
    assert not (config.parent / "runs").exists()


@pytest.mark.slow
def test_memory_that_ends_while_the_data_is_read_is_a_message(config):
    import numpy as np

    np.savez(config.parent / "own.npz", x=np.zeros((1500, 100_000), np.uint8), y=np.arange(1500) % 3)
    config.write_text(TINY.replace("source: iris", "source: {arrays: own.npz}"))
    for size in range(500, 1000, 100):
        code, message = under("RLIMIT_AS", size * MEGABYTE, "check", "--data", config)
        assert (code, "out of memory" in message) in ((5, True), (0, False)), message


@pytest.mark.slow
@pytest.mark.parametrize("size", [7, 8, 9, 10])
def test_few_open_files_are_a_message(config, size):
    code, message = under("RLIMIT_NOFILE", size, "train", config, "--runs", config.parent / "runs", "--quiet")
    assert code == 0 or (code in (4, 5) and "too many open files" in message), message


@pytest.mark.slow
@pytest.mark.parametrize(("size", "expected"), [(0, "no temporary file"), (50_000, "create a run")])
def test_files_that_may_not_grow_are_a_message(config, size, expected):
    code, message = under("RLIMIT_FSIZE", size, "train", config, "--runs", config.parent / "runs", "--quiet")
    assert code == 5
    assert expected in message


OF_TENSORFLOW = "Traceback:\n x\nImportError: libx.so: bad\n\nFailed to load.\nSee https://x"
FAILURES = {
    "libx.so.1: cannot open shared object file": ImportError("libx.so.1: cannot open shared object file"),
    "_ARRAY_API not found": AttributeError("_ARRAY_API not found"),
    "too many open files": OSError(errno.EMFILE, "Too many open files", "a.py"),
    "ImportError: libx.so: bad": ImportError(OF_TENSORFLOW),
}


@pytest.mark.parametrize("cause", FAILURES)
def test_a_tensorflow_that_cannot_be_imported_is_a_message_with_the_cause(cause, monkeypatch):
    def failing(_name: str) -> None:
        raise FAILURES[cause]

    monkeypatch.setattr(imports, "import_module", failing)
    thread = imports.Import(imports.import_keras)
    with pytest.raises(MachineError) as found:
        thread.finish()
    assert str(found.value) == f"TensorFlow cannot be imported: {cause}"


@pytest.mark.slow
def test_a_command_without_a_usable_tensorflow_ends_with_a_message(config):
    (config.parent / "keras.py").write_text("raise ImportError('libcuda.so.1: cannot open shared object file')")
    path = os.pathsep.join([str(config.parent), *filter(os.path.isabs, sys.path)])
    for command in ("train", "check --build"):
        code, message = under("RLIMIT_CORE", 0, *command.split(), config, PYTHONPATH=path)
        assert code == 5
        assert message.startswith("error: TensorFlow cannot be imported: libcuda.so.1: cannot open shared object file")


@pytest.mark.parametrize("runs", ["/proc/runs", "/sys/runs", "/dev/null/runs"])
def test_a_runs_folder_that_cannot_be_written_is_found_before_the_data_is_read(config, dltool, runs):
    config.write_text(TINY.replace("source: iris", "source: {arrays: missing.npz}"))
    outcome = dltool("train", config, "--runs", runs)
    assert outcome.code == (2 if runs == "/dev/null/runs" else 5)
    assert ("is a file" if runs == "/dev/null/runs" else f"cannot create a run in {runs}") in outcome.stderr


def test_a_full_disk_is_found_before_the_data_is_read(tmp_path, monkeypatch):
    from dltool.runs import directory

    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def write(self, data: bytes) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(MachineError, match="no space left on device: cannot create a run in"):
        directory.refuse_unwritable(tmp_path / "runs")


def test_the_limits_are_those_of_the_process(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (resource.RLIM_INFINITY,) * 2)
    imports.refuse_small_address_space("TensorFlow")
