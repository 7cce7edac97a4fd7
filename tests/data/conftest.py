from pathlib import Path

import pytest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of decoded images, which is not there yet."""
    monkeypatch.setenv("DLTOOL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"
