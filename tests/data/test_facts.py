import subprocess
import sys

import numpy as np
import pytest

from dltool.config.schema import Data
from dltool.data.dataset import load_data
from dltool.data.facts import known_facts
from dltool.data.sources.catalog import CIFAR100_COARSE, CIFAR100_FINE, REUTERS
from dltool.errors import ConfigError

BUNDLED = ("digits", "iris", "wine", "breast_cancer", "diabetes")


@pytest.mark.parametrize("name", BUNDLED)
@pytest.mark.parametrize("split", [{}, {"validation": 0.1, "test": 0.2}, {"validation": 1 / 3, "stratify": False}])
def test_facts_known_without_loading_are_those_of_the_data(name, split):
    data = Data.model_validate({"source": name, "split": split})
    assert known_facts(data) == load_data(data, seed=1).facts


def test_facts_of_parts_from_other_sources(tmp_path):
    data = Data.model_validate({"source": "iris", "test": "iris", "split": {"validation": 0.2}})
    facts = known_facts(data)
    assert facts == load_data(data, seed=1).facts
    assert facts is not None
    assert (facts.examples, facts.validation_examples, facts.test_examples) == (120, 30, 150)


def test_numbers_asked_for_of_a_set_with_classes():
    data = Data.model_validate({"source": "iris", "target": "number"})
    assert known_facts(data) == load_data(data, seed=1).facts


def test_sizes_are_those_in_the_header_of_the_file(tmp_path):
    x, y = np.zeros((30, 28, 28), np.uint8), np.arange(30) % 10
    np.savez(tmp_path / "small.npz", x_train=x, y_train=y, x_test=x[:7], y_test=y[:7])
    data = Data.model_validate({"source": {"mnist": str(tmp_path / "small.npz")}, "split": {"validation": 0.5}})
    facts = known_facts(data)
    assert facts == load_data(data, seed=1).facts
    assert facts is not None
    assert (facts.examples, facts.validation_examples, facts.test_examples) == (15, 15, 7)


@pytest.mark.parametrize(
    ("source", "shape", "classes", "sizes"),
    [
        ("mnist", (28, 28, 1), 10, (60_000, 10_000)),
        ({"fashion_mnist": "absent.npz"}, (28, 28, 1), 10, (60_000, 10_000)),
        ("cifar10", (32, 32, 3), 10, (50_000, 10_000)),
        ("cifar100", (32, 32, 3), 100, (50_000, 10_000)),
        ({"cifar100": {"label_mode": "coarse"}}, (32, 32, 3), 20, (50_000, 10_000)),
        ({"imdb": {"length": 80}}, (80,), 2, (25_000, 25_000)),
        ("reuters", (200,), 46, (8_982, 2_246)),
        ("california_housing", (8,), 0, (16_512, 4_128)),
        ({"california_housing": {"version": "small"}}, (8,), 0, (480, 120)),
    ],
)
def test_published_sets_are_known(source, shape, classes, sizes):
    facts = known_facts(Data.model_validate({"source": source}))
    assert facts is not None
    assert facts.inputs["input"].shape == shape
    assert len(facts.targets["target"].class_names) == classes
    assert (facts.examples, facts.test_examples) == sizes


def test_names_of_classes_are_distinct():
    for names in (CIFAR100_FINE.split(), CIFAR100_COARSE.split(), REUTERS.split()):
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "data",
    [
        {"source": {"arrays": "own.npz"}},
        {"source": "iris", "test": {"arrays": "own.npz"}},
        {"source": "iris", "validation": {"arrays": "own.npz"}},
        {"source": "diabetes", "target": "category"},
    ],
)
def test_what_only_the_data_can_tell_is_not_known(data):
    assert known_facts(Data.model_validate(data)) is None


def test_a_contradiction_in_the_split_is_found_even_where_the_data_is_not_known():
    data = Data.model_validate({"source": {"arrays": "own.npz"}, "test": "iris", "split": {"test": 0.1}})
    with pytest.raises(ConfigError, match=r"data\.test already gives the test examples"):
        known_facts(data)


def test_names_for_expressions():
    facts = known_facts(Data.model_validate({"source": "digits", "split": {"validation": 0.1}}))
    assert facts is not None
    assert facts.names() == {
        "classes": 10,
        "examples": 1617,
        "validation_examples": 180,
        "test_examples": 0,
        "input_shape": [8, 8, 1],
        "target_shape": [],
    }
    numbers = known_facts(Data.model_validate({"source": "diabetes"}))
    assert numbers is not None
    assert "classes" not in numbers.names()


def test_knowing_the_facts_imports_nothing_heavy():
    code = "import sys, dltool.data.facts; print({'numpy', 'sklearn', 'tensorflow', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
