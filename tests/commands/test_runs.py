from pathlib import Path

import pytest

from dltool.commands.runs import selected
from dltool.errors import ConfigError
from dltool.runs.summaries import RunSummary


def summary(number: int, status="completed", name="mnist", **fields) -> RunSummary:
    return RunSummary(name, f"{number:04d}", Path(f"runs/{name}/{number:04d}"), status, **fields)


RUNS = [
    summary(1, test={"accuracy": 0.9, "loss": 0.3}, validation={"loss": 0.4}, seconds=10.0, epochs=5),
    summary(2, test={"accuracy": 0.99, "loss": 0.1}, validation={"loss": 0.2}, seconds=70.0, epochs=20),
    summary(3, "failed", started="2026-01-02T03:04:05+0000"),
    summary(1, name="iris", test={"accuracy": 0.95}, epochs=5),
]


def numbers(conditions=(), sort=None) -> list[str]:
    return [f"{run.name} {int(run.number)}" for run in selected(RUNS, conditions, sort)]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["accuracy>0.9"], ["mnist 2", "iris 1"]),
        (["accuracy >= 0.9", "took<60"], ["mnist 1"]),
        (["status=completed", "name=mni*"], ["mnist 1", "mnist 2"]),
        (["status!=completed"], ["mnist 3"]),
        (["epochs=5"], ["mnist 1", "iris 1"]),
        (["epochs!=5"], ["mnist 2"]),
        (["val_loss<0.3"], ["mnist 2"]),
        (["started>2026-01-01"], ["mnist 3"]),
        (["number>=2"], ["mnist 2", "mnist 3"]),
    ],
)
def test_a_run_is_shown_when_all_conditions_hold(conditions, expected):
    assert numbers(conditions) == expected


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (None, ["mnist 1", "mnist 2", "mnist 3", "iris 1"]),
        ("accuracy", ["mnist 1", "iris 1", "mnist 2", "mnist 3"]),
        ("accuracy:desc", ["mnist 2", "iris 1", "mnist 1", "mnist 3"]),
        ("name", ["iris 1", "mnist 1", "mnist 2", "mnist 3"]),
        ("val_loss:asc", ["mnist 2", "mnist 1", "mnist 3", "iris 1"]),
    ],
)
def test_runs_are_sorted_and_those_without_the_value_come_last(sort, expected):
    assert numbers(sort=sort) == expected


@pytest.mark.parametrize(
    ("conditions", "sort", "message", "hint"),
    [
        (["acuracy>0.9"], None, '--filter acuracy>0.9: no run has "acuracy"', 'did you mean "accuracy"?'),
        ([], "acuracy", '--sort acuracy: no run has "acuracy"', 'did you mean "accuracy"?'),
        ([], "accuracy:down", '--sort accuracy:down: unknown order "down"', "write accuracy or accuracy:desc"),
        (["accuracy"], None, "--filter accuracy: expected a key, a comparison and a value", "accuracy>0.9"),
        (["accuracy>high"], None, '--filter accuracy>high: expected a number, got "high"', ""),
        (["val_accuracy>0"], None, '--filter val_accuracy>0: no run has "val_accuracy"', ""),
    ],
)
def test_what_no_run_has_is_a_mistake(conditions, sort, message, hint):
    with pytest.raises(ConfigError) as caught:
        selected(RUNS, conditions, sort)
    assert str(caught.value) == message
    assert hint in caught.value.problems[0].hint


def test_without_runs_any_metric_may_be_meant():
    assert selected([], ["accuracy>0.9"], "f1_score") == []
