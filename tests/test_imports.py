"""TensorFlow and Keras without the packages that they can do without."""

import gc
import subprocess
import sys

import keras  # noqa: F401 (imported before)
import pytest

from dltool import imports

CODE = """
import sys

import pytest
from dltool.imports import OPTIONAL, begin_own_process
begin_own_process()
begin_own_process()
import keras
keras.layers.Dense(1)
assert not OPTIONAL & sys.modules.keys(), OPTIONAL & sys.modules.keys()
assert sum(finder.__name__ == "LightImports" for finder in sys.meta_path if isinstance(finder, type)) == 1
import pandas, sklearn, matplotlib
"""


@pytest.mark.slow
def test_keras_imports_no_optional_packages_and_others_may():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-1000:]


def test_only_the_first_import_keeps_objects_from_garbage_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a search, what later trials leave could never be collected."""
    monkeypatch.setattr(imports, "is_own_process", lambda: True)
    monkeypatch.setattr(gc, "freeze", lambda: pytest.fail("frozen again"))
    imports.import_keras()
    assert gc.isenabled()
