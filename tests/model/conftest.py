"""A small config to build models from."""

from collections.abc import Callable
from typing import Any

import pytest

from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.data.facts import Facts, InputFacts


@pytest.fixture
def make_config() -> Callable[..., Config]:
    """A config with these layers, preprocessing, augmentation and keys of `training`."""

    def make(layers: list[Any], preprocessing: Any = (), augmentation: Any = (), **training: Any) -> Config:
        needed = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "epochs": 1}
        data = {"source": "digits", "preprocessing": preprocessing, "augmentation": augmentation}
        sections = {"data": data, "model": {"layers": layers}, "training": {**needed, **training}}
        return Config.model_validate({"name": "small", "seed": 3, **sections})

    return make


@pytest.fixture
def make_facts() -> Callable[..., Facts]:
    def make(
        shape: tuple[int, ...] = (4,),
        dtype: str = "float32",
        classes: int = 3,
        kind: Any = None,
        target_shape: tuple[int, ...] = (),
        **more: Any,
    ) -> Facts:
        kind = kind or ("category" if classes else "number")
        target = TargetFacts(kind, target_shape, tuple("abcdefghijklmn"[:classes]))
        sizes = {"examples": 100, "validation_examples": 10, "test_examples": 10}
        found = {"inputs": {"input": InputFacts(shape, dtype)}, "targets": {"target": target}, **sizes, **more}
        return Facts(**found)

    return make
