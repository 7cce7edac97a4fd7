"""Spaces: what may be searched, how errors are shown, and what a trial's config is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.search.search_configs import IRIS, with_space

from dltool.config.load import Document, build_config, read_document
from dltool.data.checked import checked_config
from dltool.errors import ConfigError
from dltool.experiment.new_training import overrides
from dltool.search.space import Space, check_space, read_space, suggested_by, values_as_written

NESTED = """\
training.optimizer: {choice: {adam: {Adam: {learning_rate: {log: [1e-4, 1e-2]}}}, plain: sgd}}
training.batch_size: {choice: [8, 16]}
model.layers[1]: {choice: [{Dropout: 0.5}, Identity]}""".splitlines()

WRONG = {
    "a-typing-mistake-in-a-path": ["training.optimizer.Adam.learning_rat: {log: [1e-4, 1e-1]}"],
    "an-unknown-variable": ["vars.unit: {integer: [2, 8]}"],
    "an-unused-variable": ["vars.other: {integer: [2, 8]}"],
    "another-layer": ["model.layers[0].Dropout: {range: [0, 0.5]}"],
    "no-such-layer": ["model.layers[7].Dropout: {range: [0, 0.5]}"],
    "an-end-that-is-too-large": ["model.layers[1].Dropout: {range: [0, 1.5]}"],
    "a-typing-mistake-in-an-option": [
        "training.optimizer: {choice: {a: adam, b: {SGD: {momentu: {range: [0, 0.9]}}}}}"
    ],
    "two-keys-for-one-value": [NESTED[0], "training.optimizer.Adam.learning_rate: {log: [1e-3, 1]}"],
    "examples-that-differ": ["data.split.seed: {integer: [1, 3]}"],
    "losses-that-differ": ["training.loss: {choice: [sparse_categorical_crossentropy, kl_divergence]}"],
    "epochs-that-differ": ["training.epochs: {integer: [3, 9]}"],
    "threads-that-differ": ["training.threads: {choice: [1, 2]}"],
    "no-path": ["training..epochs: {integer: [1, 3]}"],
    "forms-of-dimensions": [
        "a: {integr: [1, 2]}",
        "b: {integer: [1.5, 2]}",
        "c: {log: [0, 2], range: [1, 3]}",
        "d: {log: [0, 2]}",
        "e: {range: [0]}",
        "f: 3",
        "g: {log: true}",
        "h: {range: [0, 1], step: 3}",
        "i: {choice: [1]}",
        "j: {integer: [9, 2]}",
        "k: {choice: [{Dropout: {range: [1, 0]}}, Flatten]}",
        "l: {integer: [1, 9], step: 0.5}",
        'm: {choice: [1, "1"]}',
        "n: {choice: [[1, 2], [3, 4]]}",
        "o: {log: [1e-1, 1e-4]}",
        "p: {range: [5, 5]}",
        "q: {range: 5}",
        "r: {integer: [2, 8], log: yes}",
        "s: [relu, tanh]",
        "t:",
        "u: {choice: []}",
        "v: {choice: {}}",
        "w: {choice: {only: 3}}",
        "x: {choice: relu}",
        "y: {range: [0, 1, 2]}",
        "z: {log: [a, .inf]}",
        "aa: {choice: [{Dense: {units: {log: [1, b]}}}, Flatten]}",
    ],
    "variables": [
        "a: {log: [$low, 1e-1]}",
        "b: {range: [0, 1], step: $(1 / 4)}",
        "c: $space",
        "d: {choice: [{Dense: {units: {integer: [1, $most]}}}, Flatten]}",
    ],
    "arguments-of-no-layer": [
        "model.layers[0].units: {integer: [2, 8]}",
        "model.layers[1].Dropot.rate: {range: [0, 0.5]}",
        "model.layers[-1].Dense.units: {integer: [2, 8]}",
        "'': {integer: [2, 8]}",
    ],
    "one-value-by-two-names": [
        "model.layers[0].Dense.units: {integer: [2, 8]}",
        "vars.units: {integer: [2, 32]}",
    ],
}


class Chosen:
    """Suggests what a test says, and the least number elsewhere."""

    def __init__(self, **values: Any) -> None:
        self.values = values

    def suggest_float(self, name: str, low: float, high: float, /, **_: Any) -> float:
        return float(self.values.get(name, low))

    def suggest_int(self, name: str, low: int, high: int, /, **_: Any) -> int:
        return int(self.values.get(name, low))

    def suggest_categorical(self, name: str, choices: Any, /) -> Any:
        return self.values.get(name, choices[0])


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Document]:
    monkeypatch.chdir(tmp_path)

    def written(text: str) -> Document:
        Path("iris.yaml").write_text(text)
        return read_document(Path("iris.yaml"))

    return written


@pytest.mark.parametrize("name", WRONG)
def test_an_error_in_the_space_is_found_before_anything_runs(name, write, dltool, golden):
    write(with_space(*WRONG[name]).replace("{units: 8}", "{units: 8, other: 1}"))
    for command in ("check", "search"):
        outcome = dltool(command, "iris.yaml")
        assert outcome.code == 2
        golden(f"search/{name}", outcome.stderr)
    assert not Path("runs").exists()


def test_metrics_of_other_examples_or_other_epochs_are_refused(write, dltool):
    write(IRIS)
    for settings, words in (
        (("search.metric=loss",), "expected a metric of the validation split"),
        (("search.metric=val_acuracy",), 'did you mean "val_accuracy"?'),
        (("search.metric=val_accuracy", "training.checkpoint.monitor=val_loss"), "remove one of the two"),
        (("training.checkpoint.monitor=loss",), "expected a metric of the validation split"),
        (("search.metric=''",), "search.metric: expected at least one character"),
        (("search.space={}",), "search.space: the mapping is empty"),
        (("search.space=[]",), "search.space: expected a mapping, got a list"),
        (("search={}",), 'search: missing key "space"'),
        (("search.trials=1",), "search.trials: must be at least 2, got 1"),
        (("search.prune.first=9",), "search.prune.first=9: expected less than the 9 epochs of a trial, got 9"),
        (("search.minutes=.inf",), "search.minutes: must be a finite number, got inf"),
        (("search.seeds=three",), 'search.seeds: expected an integer, got the string "three"'),
        (("search.prune=true",), "search.prune: expected false or a mapping, got true"),
        (("search.prune={factor: 1}",), "search.prune.factor: must be at least 2, got 1\n"),
        (
            ("vars.part=0.2", "data.split.validation=$part", "search.space={vars.part: {range: [0.1, 0.3]}}"),
            "data.split cannot be searched: trials on other examples cannot be compared",
        ),
        (("search.space={training.seeds: {integer: [2, 3]}}",), "training.seeds cannot be searched"),
        (
            ("vars.few=2", "training.epochs=$few", "search.space={vars.few: {integer: [2, 4]}}"),
            "training.epochs cannot be searched: trials are compared after the same epochs",
        ),
        (
            ("vars.cores=1", "training.threads=$cores", "search.space={vars.cores: {choice: [1, 2]}}"),
            "training.threads cannot be searched: it changes the time of a trial",
        ),
        (
            ("search.space={training.checkpoint: {choice: [{monitor: val_loss}, {monitor: val_accuracy}]}}",),
            "training.checkpoint.monitor cannot be searched",
        ),
    ):
        outcome = dltool("check", "iris.yaml", *(part for each in settings for part in ("--set", each)))
        assert (outcome.code, words in outcome.stderr) == (2, True), outcome.stderr
        assert "literal" not in outcome.stderr


def test_a_fold_alone_is_one_split_and_may_be_searched(write, dltool):
    write(IRIS.replace("{validation: 0.2, test: 0.2}", "{folds: 3, fold: 2}"))
    outcome = dltool("search", "iris.yaml")
    assert (outcome.code, "a search needs validation examples" in outcome.stderr) == (2, True), outcome.stderr
    whole = dltool("search", "iris.yaml", "--set", "data.split={folds: 3, validation: 0.2}")
    assert (whole.code, "a search trains each trial once, on one split" in whole.stderr) == (2, True), whole.stderr


PHASES = """\
  phases:
    - {epochs: $few, optimizer: adam}
    - {epochs: OTHERS, optimizer: sgd}
"""


def test_phases_may_be_searched_if_all_trials_have_the_same_epochs(write):
    text = with_space("vars.few: {integer: [2, 4]}").replace("{units: 8}", "{units: 8, few: 3}")
    text = text.replace("  optimizer: {Adam: {learning_rate: 1e-4}}\n", "")
    space_of(write(text.replace("  epochs: 9\n", PHASES.replace("OTHERS", "$(9 - few)"))))
    with pytest.raises(ConfigError, match="epochs cannot be searched"):
        space_of(write(text.replace("  epochs: 9\n", PHASES.replace("OTHERS", "4"))))


def space_of(document: Document) -> Space:
    space = read_space(document)
    check_space(document, space, lambda each: checked_config(each)[0])
    return space


def test_a_trial_has_the_suggested_values_and_everything_else_as_written(write):
    document = write(IRIS)
    space = space_of(document)
    values = suggested_by(
        Chosen(**{"vars.units": 30, "training.optimizer.Adam.learning_rate": 0.0123456}), space.parameters
    )
    expected = {"vars.units": 30, "model.layers[1].Dropout": 0.0, "training.optimizer.Adam.learning_rate": 0.01235}
    assert values == expected
    config = build_config(space.applied(document, values))
    assert config.model.layers[0].arguments["units"] == 30
    assert config.model.layers[1].arguments["rate"] == 0.0
    assert config.training.optimizer is not None
    assert config.training.optimizer.arguments["learning_rate"] == 0.01235
    assert config.model_copy(update={"model": None, "training": None}) == build_config(document).model_copy(
        update={"model": None, "training": None}
    )


def test_what_is_inside_a_choice_is_asked_for_only_where_it_is_chosen(write):
    document = write(with_space(*NESTED))
    space = space_of(document)
    first = suggested_by(Chosen(), space.parameters)
    assert first == {
        "training.optimizer": "adam",
        "training.optimizer=adam.Adam.learning_rate": 1e-4,
        "training.batch_size": "8",
        "model.layers[1]": "Dropout: 0.5",
    }
    other = Chosen(**{"training.optimizer": "plain", "model.layers[1]": "Identity"})
    config = build_config(space.applied(document, suggested_by(other, space.parameters)))
    assert config.training.optimizer is not None
    assert config.training.optimizer.name == "sgd"
    assert config.model.layers[1].name == "Identity"
    assert config.training.batch_size == 8


def test_an_option_may_be_a_range_and_values_of_any_kind_have_names(write):
    document = write(
        with_space(
            "model.layers[1].Dropout: {choice: {little: {range: [0.1, 0.2]}, much: 0.5}}",
            "training.jit_compile: {choice: [null, false, true]}",
        )
    )
    space = space_of(document)
    assert [each.name for each in space.every()][1] == "model.layers[1].Dropout=little"
    values = suggested_by(Chosen(**{"training.jit_compile": "false"}), space.parameters)
    config = build_config(space.applied(document, values))
    assert (config.model.layers[1].arguments["rate"], config.training.jit_compile) == (0.1, False)
    assert values_as_written(document, space) == {"training.jit_compile": "null"}


def test_repeats_and_parameters_of_blocks_are_searched(write):
    text = with_space(
        "model.layers[0].repeat.times: {integer: [1, 4]}", "model.blocks.wide.parameters.n: {integer: [2, 9]}"
    )
    block = "  blocks: {wide: {parameters: {n: 3}, layers: [{Dense: $n}]}}\n"
    block += "  layers:\n    - repeat: {times: 2, layers: [wide]}\n"
    document = write(text.replace("  layers:\n", block, 1))
    space = space_of(document)
    values = {"model.layers[0].repeat.times": 4, "model.blocks.wide.parameters.n": 5}
    layers = build_config(space.applied(document, values)).model.layers
    assert [each.arguments.get("units") for each in layers[:4]] == [5, 5, 5, 5]


TWO_PHASES = """\
  phases:
    - {epochs: 2, optimizer: {Adam: {learning_rate: 0.01}}}
    - {epochs: 3, optimizer: {SGD: 0.001}}
"""
BLOCKS = """\
  blocks: {wide: {parameters: {n: 3}, layers: [{Dense: $n}]}}
  layers:
    - wide: {n: 4}
    - repeat: {times: 2, layers: [wide]}
"""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("training.phases[1].optimizer.SGD: {log: [1e-4, 1e-1]}", ""),
        ("training.phases[1].optimizer: {choice: [Adam, {SGD: {momentum: {range: [0, 0.9]}}}]}", ""),
        ("training.phases[5].epochs: {integer: [1, 4]}", "the list has no item [5]"),
        ("training.optimizer: {choice: [Adam, SGD]}", "optimizer and phases are mutually exclusive"),
        ("training.phases[1].optimizer.Adam.learning_rate: {log: [1e-4, 1e-1]}", "optimizer is SGD, not Adam"),
        ("model.layers[0].wide.n: {integer: [1, 4]}", ""),
        ("model.layers[0].wide.m: {integer: [1, 4]}", "its parameters: n"),
        ("model.layers[0].wid.n: {integer: [1, 4]}", "model.layers[0] is wide, not wid"),
        ("model.layers[1].repeat.times: {integer: [0, 4]}", "must be between 1 and 1,000, got 0"),
        ("model.layers[1].times: {integer: [1, 4]}", "write model.layers[1].repeat.times"),
    ],
)
def test_phases_blocks_and_repeats_are_searched_and_what_they_lack_is_refused(write, line, words):
    text = with_space(line).replace("  optimizer: {Adam: {learning_rate: 1e-4}}\n", TWO_PHASES)
    document = write(text.replace("  epochs: 9\n", "").replace("  layers:\n", BLOCKS, 1))
    if not words:
        assert space_of(document).parameters
        return
    with pytest.raises(ConfigError) as caught:
        space_of(document)
    assert words in " ".join(f"{each.message} {each.hint}" for each in caught.value.problems)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (IRIS, {"vars.units": 8, "model.layers[1].Dropout": 0.1, "training.optimizer.Adam.learning_rate": 1e-4}),
        (IRIS.replace("{units: 8}", "{units: 64}").replace("{Adam: {learning_rate: 1e-4}}", "adam"),
         {"model.layers[1].Dropout": 0.1, "training.optimizer.Adam.learning_rate": 0.001}),
        (with_space(*NESTED), {"training.batch_size": "16"}),
    ],
)  # fmt: skip
def test_the_values_as_written_are_known_where_the_space_has_them(write, text, expected):
    document = write(text)
    assert values_as_written(document, read_space(document)) == expected


def test_a_config_with_a_space_is_trained_as_written(write):
    document = write(IRIS)
    config = build_config(document)
    assert config.search is None
    note = "trained as written; dltool search iris.yaml tries the values of its search space"
    assert note in overrides(document, config)
