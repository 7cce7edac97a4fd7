"""Small histograms of what stands in the data, and examples from all over it."""

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.data.arrays.rows import coded
from dltool.data.dataset import load_data
from dltool.data.facts import Facts, InputFacts
from dltool.model.build import build_model
from dltool.report.distributions import HEIGHT, bars_of, distributions
from dltool.report.examples import training_examples


def dataset_of(inputs: dict[str, Any], target: TargetFacts, targets: np.ndarray) -> Any:
    facts = Facts(
        {
            name: InputFacts(values.shape[1:], "string" if values.dtype == object else "float32")
            for name, values in inputs.items()
        },
        {"target": target},
        len(targets),
        0,
        0,
    )
    split = SimpleNamespace(train=np.arange(len(targets)))
    return SimpleNamespace(facts=facts, inputs=inputs, targets={"target": targets}, split=split)


def test_targets_and_inputs_have_their_range_and_texts_their_length() -> None:
    prices = np.array([1.0, 2.0, np.nan, 9.0], np.float32)
    inputs = {"input": np.arange(12.0).reshape(4, 3), "review": coded(["a b c", "", "d", "e f"])}
    found = list(distributions(dataset_of(inputs, TargetFacts("number"), prices)))
    assert [(each.of, each.lowest, each.median, each.highest) for each in found] == [
        ("target", 1, 2, 9),
        ("input", 0, 5.5, 11),
        ("words of review", 0, 1.5, 3),
    ]
    classes = dataset_of({"x": np.full((4, 1), np.nan)}, TargetFacts("category", (), ("a", "b")), np.arange(4) % 2)
    assert list(distributions(classes)) == []


@pytest.mark.parametrize("outlier", [[], [1e9]])
def test_bars_are_as_high_as_the_counts_whatever_the_outliers(outlier) -> None:
    values = np.array([0.0] * 30 + [1.0] * 60 + [2.0] * 15 + outlier)
    heights = [float(each) for each in re.findall(r"v-([\d.]+)", bars_of(values))]
    assert max(heights) == HEIGHT - 1
    assert heights[:3] == pytest.approx([(HEIGHT - 1) / 2, HEIGHT - 1, (HEIGHT - 1) / 4], abs=0.06)


def test_examples_are_from_all_over_the_data_and_the_same_each_time() -> None:
    training = {"optimizer": "adam", "loss": "mse", "epochs": 1}
    data = {"source": "diabetes", "split": {"test": 0.3}}
    made = {"name": "x", "data": data, "model": {"layers": [{"Dense": 1}]}, "training": training}
    rows = []
    for seed in (1, 1, 2):
        config = Config.model_validate({**made, "seed": seed})
        dataset = load_data(config.data, 0)
        built = build_model(config, dataset.facts, dataset.examples("train").inputs)
        rows.append([int(each.place.split()[1]) for each in training_examples(config, dataset, built)])
    assert rows[0] == rows[1] == sorted(rows[0]) != rows[2]
    assert max(rows[0]) - min(rows[0]) > 200
