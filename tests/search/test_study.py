"""Optuna: what it suggests is a function of the trials, never repeats one, and outlives the process."""

from pathlib import Path

import pytest
from tests.search.search_configs import IRIS, with_space

from dltool.config.load import read_document
from dltool.search.rungs import Trial
from dltool.search.space import Space, Values, read_space, values_as_written
from dltool.search.study import StoredStudy, importances, suggested


@pytest.fixture
def space(tmp_path: Path) -> Space:
    (tmp_path / "iris.yaml").write_text(IRIS)
    return read_space(read_document(tmp_path / "iris.yaml"))


def reached(number: int, values: Values) -> Trial:
    """A trial that is the better, the nearer its learning rate is to 0.01."""
    distance = abs(float(values["training.optimizer.Adam.learning_rate"]) - 0.01)
    return Trial(number, values, (distance + 1, distance), number % 2 == 0)


def trials_of(space: Space, count: int, seed: int) -> list[Trial]:
    trials: list[Trial] = []
    for number in range(count):
        values = suggested(space.parameters, trials, "min", seed, ())
        assert values is not None
        trials.append(reached(number, values))
    return trials


def test_suggestions_depend_on_the_trials_and_the_seed_alone(space):
    assert trials_of(space, 14, 3) == trials_of(space, 14, 3)
    assert trials_of(space, 2, 3) != trials_of(space, 2, 4)


def test_values_are_learned_from_together_although_the_config_as_written_lacks_one(space):
    trials = [Trial(0, {}, (0.5, 0.4), True), *trials_of(space, 13, 3)[1:]]
    values = suggested(space.parameters, trials, "min", 3, ())
    for lacking in ({"vars.units": 8}, {"vars.units": 8, "model.layers[1].Dropout": 0.1}):
        trials[0] = Trial(0, lacking, (0.5, 0.4), True)
        assert suggested(space.parameters, trials, "min", 3, ()) == values


def test_values_that_fail_are_tried_less_and_less(tmp_path):
    options = "{choice: {none: Identity, wide: {Dense: 9}, huge: {Dense: 1000000000}}}"
    lines = (f"model.layers[1]: {options}", "training.optimizer.Adam.learning_rate: {log: [1e-4, 1e-1]}")
    (tmp_path / "iris.yaml").write_text(with_space(*lines))
    parameters = read_space(read_document(tmp_path / "iris.yaml")).parameters
    trials: list[Trial] = []
    for number in range(40):
        values = suggested(parameters, trials, "min", 0, ())
        assert values is not None
        failed = Trial(number, values, (), False, "the model is too large")
        trials.append(failed if values["model.layers[1]"] == "huge" else reached(number, values))
    failures = [bool(trial.reason) for trial in trials]
    # The first ten are drawn at random, one of three options.
    assert sum(failures[:10]) >= 3
    assert sum(failures[10:]) <= 7


def test_numbers_have_four_figures(space):
    for trial in trials_of(space, 6, 1):
        for value in trial.values.values():
            assert float(f"{value:.4g}") == value


@pytest.mark.parametrize(
    ("line", "as_written", "step"),
    [
        ("model.layers[1].Dropout: {range: [0, 0.5], step: 0.2}", None, 0.2),
        ("vars.units: {integer: [2, 64], step: 4}", None, 4),
        ("vars.units: {integer: [2, 64], step: 3}", 8, 3),
        ("training.optimizer.Adam.learning_rate: {range: [100, 200], step: 0.25}", None, 0.25),
    ],
)
def test_values_with_a_step_are_whole_steps_from_the_least_also_that_as_written(line, as_written, step, tmp_path):
    (tmp_path / "iris.yaml").write_text(with_space(line))
    document = read_document(tmp_path / "iris.yaml")
    parameters = read_space(document).parameters
    written = values_as_written(document, Space(parameters))
    assert [*written.values()] == ([] if as_written is None else [as_written])
    trials = [Trial(0, written, (1.0,), True)]
    while len(trials) < 4 and (values := suggested(parameters, trials, "min", 0, ())) is not None:
        trials.append(Trial(len(trials), values, (1.0,), True))
    numbers = [float(value) for trial in trials for value in trial.values.values()]
    assert len(numbers) >= 3
    for value in numbers:
        steps = (value - parameters[0].dimension.bounds[0]) / step
        assert steps == pytest.approx(round(steps))


def test_a_space_is_exhausted_when_each_of_its_values_was_tried(tmp_path):
    (tmp_path / "iris.yaml").write_text(with_space("training.batch_size: {choice: [8, 16, 32]}"))
    space, trials = read_space(read_document(tmp_path / "iris.yaml")), list[Trial]()
    while (values := suggested(space.parameters, trials, "min", 0, ())) is not None:
        trials.append(Trial(len(trials), values, (1.0,), True))
    assert sorted(str(each.values["training.batch_size"]) for each in trials) == ["16", "32", "8"]


def test_the_journal_remembers_trials_and_how_they_ended(space, tmp_path):
    journal = tmp_path / "journal.log"
    values = [each.values for each in trials_of(space, 4, 0)]
    study = StoredStudy(journal, None, "iris", space.parameters, "min")
    for number, each in enumerate(values):
        assert study.add(each) == Trial(number, each)
    study.end(Trial(0, values[0], (0.5, 0.4), True))
    study.end(Trial(1, values[1], (), reason="the loss is NaN"))
    study.end(Trial(2, values[2], (0.7,)))
    study.end(Trial(2, values[2], (0.1,), True))
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "worker')
    again = StoredStudy(journal, None, "iris", space.parameters, "min")
    assert [each.values for each in again.trials()] == values
    assert [each.reason for each in again.trials()] == ["", "the loss is NaN", "", ""]
    assert [each.state.name for each in again.study.trials] == ["COMPLETE", "FAIL", "PRUNED", "RUNNING"]
    assert again.study.best_value == 0.4
    assert again.add(values[0]).number == 4


@pytest.mark.slow  # The evaluator of Optuna imports scikit-learn and pandas.
def test_the_parameter_that_decides_is_the_most_important(space):
    found = importances(space.parameters, trials_of(space, 40, 0), "min", 2)
    assert max(found, key=lambda name: found[name]) == "training.optimizer.Adam.learning_rate"
    assert sum(found.values()) == pytest.approx(1)
    assert importances(space.parameters, [], "min", 2) == {}
