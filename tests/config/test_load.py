"""From text to config: scalars, names and expressions, extends, settings, origins."""

from pathlib import Path

import pytest
from tests.bad_configs import GOOD

from dltool.config.keras.objects import UNKNOWN
from dltool.config.load import build_config, read_document, read_recorded, with_option
from dltool.config.text.dump import dump_yaml, origins, plain_config
from dltool.config.text.tree import find
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
    monkeypatch.setenv("DLTOOL_TEST_NAME", "1.10")
    text = GOOD.replace("source: iris", "source: {mnist: /data/$(env.DLTOOL_TEST_NAME)/a.npz}")
    assert load(text).data.source.options.path == "/data/1.10/a.npz"


def test_two_dollars_are_one(load) -> None:
    with pytest.raises(ConfigError, match=r'"\$a" is not a valid run name'):
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


def test_another_target_takes_the_place_of_the_old_one(load):
    base = GOOD.replace("source: iris", "source: {csv: a.csv}\n  target: {income: category}")
    changed = load("extends: base.yaml\ndata: {target: {age: number}}\n", base=base)
    assert changed.data.target_columns == ("age",)


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


@pytest.mark.parametrize(
    ("settings", "metrics"),
    [
        (["training.metrics+=AUC"], ["accuracy", "AUC"]),
        (["training.metrics+=[AUC, Recall]"], ["accuracy", "AUC", "Recall"]),
        (["training.metrics+=AUC", "training.metrics+={Recall: {name: r}}"], ["accuracy", "AUC", "Recall"]),
        (["training.metrics=null", "training.metrics+=AUC"], ["AUC"]),
        (["training={optimizer: adam, loss: mse, epochs: 1}", "training.metrics+=AUC"], ["AUC"]),
    ],
)
def test_a_setting_appends_to_a_list(load, settings, metrics) -> None:
    assert [metric.name for metric in load(GOOD, *settings).training.metrics] == metrics


def test_a_setting_appends_to_a_list_in_a_list_and_to_a_missing_one(load) -> None:
    config = load(
        GOOD, "data.preprocessing+={Normalization: {axis: [1]}}", "data.preprocessing[0].Normalization.axis+=2"
    )
    assert config.data.preprocessing[0].arguments["axis"] == [1, 2]
    (callback,) = load(GOOD, "training.callbacks+={EarlyStopping: {patience: 3}}").training.callbacks
    assert dict(callback.arguments) == {"patience": 3}


@pytest.mark.parametrize(
    ("text", "setting", "message", "hint"),
    [
        (GOOD, "training.epochs+=1", "this is not a list", "write training.epochs=VALUE to replace it"),
        (GOOD, "training.metrics[0]+=AUC", "this is not a list", "write training.metrics[0]=VALUE to replace it"),
        (GOOD, "training.metrics[3]+=AUC", "the list has no item [3]", "its items are [0] to [0]"),
        (GOOD.replace("[accuracy]", "$all"), "training.metrics+=AUC", "this is not a list", "append to vars.all"),
    ],
)
def test_only_a_list_can_be_appended_to(load, text, setting, message, hint) -> None:
    with pytest.raises(ConfigError) as caught:
        load("vars: {all: [accuracy]}\n" + text, setting)
    (problem,) = caught.value.problems
    assert (problem.message, problem.hint) == (message, hint)


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


def test_arithmetic_is_recorded_with_its_other_values(load, monkeypatch) -> None:
    monkeypatch.setenv("SIZE", "3")
    names = "vars: {a: -2, c: $(env.SIZE - 1), long: $(c" + " + 1" * 45 + ")}\n"
    for written, units, recorded in (
        ("$(env.SIZE * (a + classes) ** 2)", 3, "$(env.SIZE * (-2 + 3) ** 2)"),
        ("$(a ** 2 * c)", 8, "$((-2) ** 2 * (env.SIZE - 1))"),
        ("$(c * 2 + 7 // 2)", 7, "$((env.SIZE - 1) * 2 + 7 // 2)"),
        ("$(+c)", 2, "$(+(env.SIZE - 1))"),
        ("$(a * a)", 4, "4"),
    ):
        config = load(names + GOOD.replace("units: 8", f"units: {written}"))
        assert config.model.layers[0].arguments["units"] == units
        assert f"units: {recorded}\n" in dump_yaml(config)
        again = read_recorded(dump_yaml(config).encode(), "resolved.yaml")
        assert dump_yaml(again) == dump_yaml(config)
    with pytest.raises(ConfigError, match="more than 200 characters with the variables in it"):
        load(names + GOOD.replace("units: 8", f"units: $(long{' + 1' * 20})"))


def test_data_paths_are_relative_to_their_file_and_settings_to_the_working_directory(
    load, tmp_path, monkeypatch
) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    text = GOOD.replace("source: iris", "source: {mnist: {path: files/a.npz}}")
    assert load(text).data.source.options.path == str(tmp_path / "files/a.npz")
    assert load(text, "data.source.mnist.path=b.npz").data.source.options.path == str(tmp_path / "below/b.npz")
    assert load(text, "data.source={mnist: c.npz}").data.source.options.path == str(tmp_path / "below/c.npz")


@pytest.mark.parametrize("write", ["mnist: $p", "mnist: $(p)", "mnist: {path: $p}", "mnist: $q"])
def test_a_path_in_a_variable_is_relative_to_the_file_of_the_variable(load, tmp_path, monkeypatch, write) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    text = GOOD.replace("source: iris", f"source: {{{write}}}")
    base = "vars: {p: files/a.npz, q: $p}\n"
    assert load(base + text).data.source.options.path == str(tmp_path / "files/a.npz")
    (tmp_path / "bases").mkdir()
    (tmp_path / "bases/base.yaml").write_text(base, encoding="utf-8")
    text = "extends: bases/base.yaml\n" + text
    assert load(text).data.source.options.path == str(tmp_path / "bases/files/a.npz")
    assert load(text, "vars.p=b.npz").data.source.options.path == str(tmp_path / "below/b.npz")


@pytest.mark.parametrize("written", ["$(env.HERE)", "$(env.HERE)/../a.npz", "$h"])
def test_a_path_made_by_an_expression_is_relative_to_the_file_of_the_expression(
    load, tmp_path, monkeypatch, written
) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    monkeypatch.setenv("HERE", "a.npz")
    text = "vars: {h: $(env.HERE)}\n" + GOOD.replace("source: iris", f"source: {{mnist: {written}}}")
    assert load(text).data.source.options.path == str(tmp_path / "a.npz")
    config = load(GOOD, f"data.source.mnist={written.replace('$h', '$(env.HERE)')}")
    assert config.data.source.options.path == str(tmp_path / "below/a.npz")


@pytest.mark.parametrize(
    ("written", "setting", "path"),
    [
        ("$(data)/a.npz", "vars.data=other", "below/other/a.npz"),
        ("$(data)/$(name)", "vars.data=other", "below/other/a.npz"),
        ("$(all)/a.npz", "vars.data=other", "below/other/sub/a.npz"),
        ("$(data)/$(name)", "vars.name=../b.npz", "bases/b.npz"),
        ("files/$(name)", "vars.name=b.npz", "files/b.npz"),
        ("./$(data)/a.npz", "vars.data=other", "other/a.npz"),
        ("$(data)/a.npz", "seed=1", "bases/data/a.npz"),
        ("$(own)/a.npz", "seed=1", "own/a.npz"),
        ("$(data)/a.npz", "vars.data=/data", "/data/a.npz"),
    ],
)
def test_a_path_begins_in_the_folder_where_its_first_characters_are_written(
    load, tmp_path, monkeypatch, written, setting, path
) -> None:
    for folder in ("below", "bases"):
        (tmp_path / folder).mkdir()
    (tmp_path / "bases/base.yaml").write_text('vars: {data: data, name: a.npz, all: "$(data)/sub"}\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path / "below")
    text = "extends: bases/base.yaml\nvars: {own: own}\n" + GOOD.replace(
        "source: iris", f'source: {{mnist: "{written}"}}'
    )
    assert load(text, setting).data.source.options.path == str(tmp_path / path)


def test_a_path_in_a_resolved_config_is_absolute(load, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "vars: {p: ../a.npz}\n" + GOOD.replace("source: iris", "source: {arrays: $p}")
    assert f"path: {tmp_path.parent / 'a.npz'}" in dump_yaml(load(text))


def test_a_home_folder_that_does_not_exist_is_part_of_the_name(load, tmp_path) -> None:
    config = load(GOOD.replace("source: iris", "source: {mnist: ~nobody-at-all/a.npz}"))
    assert config.data.source.options.path == str(tmp_path / "~nobody-at-all/a.npz")


def test_notes_of_the_users_own_are_dropped_from_every_section(load) -> None:
    text = (
        GOOD.replace("data:", "data:\n  x-note: [$undefined]")
        .replace("split: {", "split: {x-why: 1, ")
        .replace("model:", "model:\n  x-note: a")
        .replace("epochs: 2", "epochs: 2\n  x-lr: 3\n  checkpoint: {x-note: b}")
        .replace("source: iris", "source: {mnist: {path: /a.npz, x-from: c}}")
    )
    assert load(text) == load(GOOD.replace("source: iris", "source: {mnist: {path: /a.npz}}"))


def test_notes_are_not_dropped_where_keys_are_names_or_arguments(load) -> None:
    assert load(GOOD + "  class_weights: {x-ray: 2.0}\n").training.class_weights == {"x-ray": 2.0}
    with pytest.raises(ConfigError, match="unknown argument of Dense"):
        load(GOOD.replace("units: 8", "units: 8, x-note: 1"))


def test_the_options_name_and_seed_are_taken_as_they_are(load, tmp_path) -> None:
    (tmp_path / "example.yaml").write_text(GOOD, encoding="utf-8")
    document = read_document(tmp_path / "example.yaml", name="3", seed=7)
    config = build_config(document, FACTS)
    assert (config.name, config.seed) == ("3", 7)
    assert [o.origin for o in origins(document, config)[:2]] == ["--name 3", "--seed 7"]
    with pytest.raises(ConfigError, match=r'"\$x" is not a valid run name'):
        build_config(with_option(document, "name", "$x"))


def test_defaults_that_follow_from_the_data_are_in_force(load) -> None:
    config = load(GOOD, "seed=5")
    assert (config.data.split.seed, config.data.split.stratify) == (5, True)
    assert config.training.checkpoint.monitor == "val_loss"


@pytest.mark.parametrize(
    ("facts", "stratify", "monitor"),
    [
        ({**FACTS, "validation_examples": 0}, True, "loss"),
        ({**FACTS, "target_shape": [8, 8]}, False, "val_loss"),
        ({key: value for key, value in FACTS.items() if key != "classes"}, False, "val_loss"),
    ],
)
def test_defaults_differ_with_the_data(tmp_path, facts, stratify, monitor) -> None:
    (tmp_path / "example.yaml").write_text(GOOD, encoding="utf-8")
    config = build_config(read_document(tmp_path / "example.yaml"), facts)
    assert (config.data.split.stratify, config.training.checkpoint.monitor) == (stratify, monitor)


def test_windows_of_classes_are_not_stratified_as_they_are_split_by_time(load) -> None:
    source = "source: {csv: /a.csv}\n  windows: {length: 3, target: y}\n  target: category"
    assert load(GOOD.replace("source: iris", source)).data.split.stratify is False


def test_sections_that_nobody_wrote_are_not_shown_empty(tmp_path) -> None:
    (tmp_path / "example.yaml").write_text(GOOD, encoding="utf-8")
    plain = plain_config(build_config(read_document(tmp_path / "example.yaml")))
    assert "expect" not in plain
    assert "checkpoint" not in plain["training"]


def test_values_of_mappings_may_wait_for_the_data(tmp_path) -> None:
    text = GOOD + '  class_weights: {a: $classes}\nexpect: {accuracy: ">= $(1 / classes)"}\n'
    (tmp_path / "example.yaml").write_text(text, encoding="utf-8")
    document = read_document(tmp_path / "example.yaml")
    waiting: object = build_config(document).expect["accuracy"]
    assert waiting is UNKNOWN
    assert build_config(document, {**FACTS, "classes": 4}).expect == {"accuracy": ">= 0.25"}


def test_the_file_is_kept_byte_for_byte(tmp_path) -> None:
    content = b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()
    (tmp_path / "example.yaml").write_bytes(content)
    assert read_document(tmp_path / "example.yaml", ["seed=3"]).content == content


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
