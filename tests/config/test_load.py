"""From text to config: scalars, names and expressions, extends, settings, origins."""

from pathlib import Path

import pytest
from tests.bad_configs import GOOD

from dltool.config.dump import dump_yaml, origins, plain_config
from dltool.config.keras_objects import UNKNOWN
from dltool.config.load import build_config, read_document
from dltool.config.tree import find
from dltool.errors import ConfigError

FACTS = {
    "classes": 3,
    "examples": 96,
    "validation_examples": 24,
    "test_examples": 30,
    "input_shape": [4],
    "target_shape": [],
}


@pytest.fixture
def load(tmp_path: Path):
    """Write files and load the first: load(text, "training.epochs=1", base=…)."""

    def run(text: str, *settings: str, **others: str):
        for name, content in others.items():
            (tmp_path / f"{name}.yaml").write_text(content, encoding="utf-8")
        (tmp_path / "example.yaml").write_text(text, encoding="utf-8")
        return build_config(read_document(tmp_path / "example.yaml", settings), FACTS)

    return run


def dense(config, index: int = 0):
    return plain_config(config)["model"]["layers"][index]["Dense"]


@pytest.mark.parametrize(
    ("written", "value"),
    [("1e-3", 0.001), ("1E-3", 0.001), (".5", 0.5), ("5.", 5.0), ("+0.25", 0.25), ("1", 1.0)],
)
def test_numbers_follow_yaml_1_2(load, written, value) -> None:
    config = load(GOOD.replace("1e-3", written))
    assert config.training.optimizer.arguments["learning_rate"] == value


@pytest.mark.parametrize("word", ["no", "on", "off", "yes", "y", "n", "2020-01-01", "1_000"])
def test_words_that_older_yaml_converts_stay_text(load, word) -> None:
    text = GOOD.replace("activation: relu", f"activation: relu, name: {word}")
    if word[0].isdigit():
        text = GOOD + f"x-note: {word}\n"
    load(text)


@pytest.mark.parametrize(("written", "value"), [("0x10", 16), ("0o17", 15), ("$(4 * 4)", 16), ("$(2 ** 3 + 1)", 9)])
def test_whole_numbers_may_be_written_in_several_ways(load, written, value) -> None:
    assert dense(load(GOOD.replace("units: 8", f"units: {written}")))["units"] == value


def test_facts_and_variables_stand_for_values(load) -> None:
    text = "vars: {width: 32, half: $(width // 2)}\n" + GOOD.replace("units: 8", "units: $half").replace(
        "units: 3", "units: $classes"
    )
    config = load(text)
    assert (dense(config)["units"], dense(config, 1)["units"]) == (16, 3)


def test_a_variable_may_hold_a_collection(load) -> None:
    assert len(load("vars: {all: [accuracy, AUC]}\n" + GOOD.replace("[accuracy]", "$all")).training.metrics) == 2


def test_steps_an_epoch_round_up_and_follow_the_batch_size(load) -> None:
    decay = "{initial_learning_rate: 0.1, decay_steps: $(steps_per_epoch * epochs), decay_rate: 0.5}"
    schedule = f"{{learning_rate: {{ExponentialDecay: {decay}}}}}"
    text = GOOD.replace("{learning_rate: 1e-3}", schedule)
    decay = load(text, "training.batch_size=20").training.optimizer.arguments["learning_rate"]
    assert decay.arguments["decay_steps"] == 5 * 2


def test_environment_variables_may_stand_inside_text(load, monkeypatch) -> None:
    monkeypatch.setenv("DLTOOL_TEST_NAME", "night")
    assert load(GOOD.replace("name: example", "name: run-$(env.DLTOOL_TEST_NAME)-1")).name == "run-night-1"


def test_two_dollars_are_one(load) -> None:
    with pytest.raises(ConfigError, match=r'"\$a" cannot be the name'):
        load(GOOD.replace("name: example", "name: $$a"))


def test_without_the_data_what_depends_on_it_is_not_checked(tmp_path) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(GOOD.replace("units: 3", "units: $classes").replace("epochs: 2", "epochs: $(examples // 10)"))
    config = build_config(read_document(path))
    assert config.training.epochs is dense(config, 1)["units"] is UNKNOWN


def test_a_base_is_merged_key_by_key_and_lists_are_replaced(load) -> None:
    child = "extends: base.yaml\ntraining: {epochs: 9, metrics: []}\n"
    config = load(child, base=GOOD)
    assert (config.training.epochs, config.training.batch_size, config.training.metrics) == (9, 16, ())


def test_later_bases_win_over_earlier_ones(load) -> None:
    child = "extends: [base.yaml, other.yaml]\n"
    config = load(child, base=GOOD, other="training: {epochs: 7}\n")
    assert (config.name, config.training.epochs) == ("example", 7)


def test_another_name_drops_the_arguments_of_the_old_one(load) -> None:
    config = load("extends: base.yaml\ntraining: {optimizer: {SGD: {momentum: 0.9}}}\n", base=GOOD)
    assert (config.training.optimizer.name, dict(config.training.optimizer.arguments)) == ("SGD", {"momentum": 0.9})


def test_the_same_name_keeps_the_arguments_of_the_old_one(load) -> None:
    config = load("extends: base.yaml\ntraining: {optimizer: {Adam: {beta_1: 0.8}}}\n", base=GOOD)
    assert dict(config.training.optimizer.arguments) == {"learning_rate": 1e-3, "beta_1": 0.8}


def test_a_source_replaces_the_source_of_the_base(load) -> None:
    assert load("extends: base.yaml\ndata: {source: {mnist: a.npz}}\n", base=GOOD).data.source.name == "mnist"


def test_a_long_circle_of_bases_is_an_error(load) -> None:
    with pytest.raises(ConfigError, match=r"extends itself: example.yaml → a.yaml → b.yaml → example.yaml"):
        load("extends: a.yaml\n", a="extends: b.yaml\n", b="extends: example.yaml\n")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("model.layers[0].Dense.units=64", {"units": 64, "activation": "relu"}),
        ("model.layers[0]={Dense: 5}", {"units": 5}),
    ],
)
def test_a_setting_reaches_into_lists(load, setting, value) -> None:
    assert dict(dense(load(GOOD, setting))) == value


def test_a_setting_below_the_short_form_keeps_its_value(load) -> None:
    config = load(
        GOOD.replace("Dense: {units: 8, activation: relu}", "Dense: 8"), "model.layers[0].Dense.activation=relu"
    )
    assert dict(dense(config)) == {"units": 8, "activation": "relu"}


def test_a_setting_with_another_optimizer_drops_the_old_one(load) -> None:
    optimizer = load(GOOD, "training.optimizer.SGD.learning_rate=0.1").training.optimizer
    assert (optimizer.name, dict(optimizer.arguments)) == ("SGD", {"learning_rate": 0.1})


def test_later_settings_win(load) -> None:
    assert load(GOOD, "training.epochs=1", "training.epochs=5").training.epochs == 5


def test_data_paths_are_relative_to_their_file_and_settings_to_the_working_directory(
    load, tmp_path, monkeypatch
) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    text = GOOD.replace("source: iris", "source: {mnist: {path: files/a.npz}}")
    assert load(text).data.source.options.path == str(tmp_path / "files/a.npz")
    assert load(text, "data.source.mnist.path=b.npz").data.source.options.path == str(tmp_path / "below/b.npz")
    assert load(text, "data.source={mnist: c.npz}").data.source.options.path == str(tmp_path / "below/c.npz")


def test_every_value_knows_its_origin(tmp_path) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(GOOD.replace("units: 3", "units: $classes"), encoding="utf-8")
    document = read_document(path, ["training.epochs=5"])
    found = {
        ".".join(map(str, o.path)): (o.origin.replace(str(path), "F"), o.written)
        for o in origins(document, build_config(document, FACTS))
    }
    assert found["training.epochs"] == ("--set training.epochs=5", "")
    assert found["training.batch_size"] == ("F:13:15", "")
    assert found["model.layers.1.Dense.units"] == ("F:8:22", "$classes")
    assert found["training.precision"] == ("default", "")
    assert found["seed"] == ("default", "")


def test_what_is_dumped_loads_as_the_same_config(load, tmp_path) -> None:
    config = load(GOOD.replace("units: 3", "units: $classes") + 'expect: {accuracy: ">= 0.5"}\n')
    path = tmp_path / "resolved.yaml"
    path.write_text(dump_yaml(config), encoding="utf-8")
    assert build_config(read_document(path)) == config


def test_every_path_of_a_good_config_has_a_position(tmp_path) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(GOOD, encoding="utf-8")
    document = read_document(path)
    lines = GOOD.splitlines()
    position = document.position(("model", "layers", 1, "Dense", "activation"))
    assert lines[position.line - 1][position.column - 1 :][: position.width] == "softmax"
    key = document.position(("model", "layers", 1, "Dense", "activation"), at_key=True)
    assert lines[key.line - 1][key.column - 1 :][: key.width] == "activation"
    epochs = find(document.root, ("training", "epochs"))
    assert epochs is not None
    assert epochs.value == 2
