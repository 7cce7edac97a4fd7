import pytest

from dltool.errors import RunError
from dltool.runs.configs import differences_in_short, recorded_epochs, recorded_values
from dltool.runs.directory import create

CONFIG = """\
name: mnist
seed: {seed}
data: {{split: {{seed: {seed}}}}}
model:
  layers:
  - Dense: {{units: {units}}}
  - Dense: {{units: 10}}
training:
  optimizer: {{Adam: {{learning_rate: {rate}}}}}
  epochs: 5
"""


def created(runs, seed=0, units=64, rate=0.001, name="mnist"):
    text = CONFIG.format(seed=seed, units=units, rate=rate)
    with create(runs, name, {}, {"resolved.yaml": text.encode()}) as run:
        return run


def test_what_differs_between_runs_of_a_name_is_said_in_short(tmp_path):
    first, second = created(tmp_path), created(tmp_path, seed=1, rate=0.01)
    other = created(tmp_path, units=8, name="iris")
    short = differences_in_short([first.path, other.path, second.path])
    assert short == {
        first.path: "seed=0 learning_rate=0.001",
        second.path: "seed=1 learning_rate=0.01",
        other.path: "",
    }


def test_a_name_that_several_values_have_is_told_apart_by_what_is_around_it(tmp_path):
    first, second = created(tmp_path, units=64), created(tmp_path, units=128)
    (second.path / "resolved.yaml").write_text((second.path / "resolved.yaml").read_text().replace("10}", "12}"))
    assert (
        differences_in_short([first.path, second.path])[second.path]
        == "layers[0].Dense.units=128 layers[1].Dense.units=12"
    )


def test_a_config_that_cannot_be_read_has_no_differences(tmp_path):
    first, second, third = created(tmp_path), created(tmp_path, seed=1), created(tmp_path, seed=2)
    (third.path / "resolved.yaml").write_text("a: [")
    assert set(differences_in_short([first.path, second.path, third.path])) == {first.path, second.path}
    with pytest.raises(RunError, match=r"resolved.yaml: not valid YAML"):
        recorded_values(third)


@pytest.mark.parametrize(
    ("training", "epochs"),
    [("{epochs: 5}", 5), ("{phases: [{epochs: 3}, {epochs: 4}]}", 7), ("{}", None), ("{epochs: many}", None)],
)
def test_the_number_of_epochs_of_all_phases_is_found(tmp_path, training, epochs):
    with create(tmp_path, "a", {}, {"resolved.yaml": f"training: {training}\n".encode()}) as run:
        assert recorded_epochs(run) == epochs
