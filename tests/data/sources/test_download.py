import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from dltool.data.sources.download import PublishedFile, fetch, keras_cache
from dltool.errors import MachineError

CONTENT = b"the published bytes"
PLACE = ("data", "source")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "datasets"


@pytest.fixture
def file(tmp_path: Path) -> PublishedFile:
    """Published at a file:// address, which urllib reads without a network."""
    (tmp_path / "mnist.npz").write_bytes(CONTENT)
    return PublishedFile("mnist.npz", (tmp_path / "mnist.npz").as_uri(), hashlib.sha256(CONTENT).hexdigest())


def test_the_cache_is_that_of_keras(monkeypatch):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert keras_cache() == Path("/home/somebody/.keras/datasets")


def test_a_file_is_downloaded_once(cache, file, tmp_path):
    assert fetch(file, "mnist", PLACE) == CONTENT
    (tmp_path / "mnist.npz").unlink()
    assert fetch(file, "mnist", PLACE) == CONTENT
    assert [path.name for path in cache.iterdir()] == ["mnist.npz"]


def test_a_cached_file_that_is_not_the_published_one_is_replaced(cache, file):
    cache.mkdir(parents=True)
    (cache / "mnist.npz").write_bytes(b"half a downl")
    assert fetch(file, "mnist", PLACE) == CONTENT
    assert (cache / "mnist.npz").read_bytes() == CONTENT


def test_without_a_network_the_cache_path_and_the_path_option_are_named(cache, file, tmp_path):
    (tmp_path / "mnist.npz").unlink()
    with pytest.raises(MachineError) as error:
        fetch(file, "mnist", PLACE)
    (problem,) = error.value.problems
    assert problem.message.startswith(f"mnist is not at {cache / 'mnist.npz'} and cannot be downloaded from {file.url}")
    assert problem.hint == "put the file there, or name a copy of it: source: {mnist: {path: mnist.npz}}"
    assert not cache.exists()


def test_a_download_that_is_not_the_published_file_is_refused(cache, file):
    with pytest.raises(MachineError, match="is not the published file"):
        fetch(replace(file, sha256="0" * 64), "mnist", PLACE)
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_named(cache, file):
    cache.parent.write_text("a file where the folder is due")
    with pytest.raises(MachineError, match=f"cannot write {cache / 'mnist.npz'}") as error:
        fetch(file, "mnist", PLACE)
    assert "KERAS_HOME" in error.value.problems[0].hint
