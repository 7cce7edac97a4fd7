"""Other metrics and groups for a trained model, as `--metrics` and `--slices` name them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from dltool.config.checks import compared_by, metric_problems, name_problems, target_of
from dltool.config.data_options import Slice
from dltool.config.keras.objects import parse_keras_object
from dltool.config.outputs import heads_of
from dltool.config.schema import Config
from dltool.config.section import Section
from dltool.config.tasks import TargetFacts
from dltool.config.text.tree import to_plain
from dltool.config.text.yaml_reader import parse_yaml
from dltool.errors import ConfigError, Problem, UnreadableConfig

OPTION, SLICES = "--metrics", "--slices"
S = TypeVar("S", bound=Section)


def with_metrics(config: Config, targets: Mapping[str, TargetFacts], given: Sequence[str]) -> Config:
    """Return the config with the metrics in `given` instead of its own.

    Each string is YAML: `accuracy,AUC`, `[accuracy, AUC]` or `{TopKCategoricalAccuracy: 3}`; with several outputs,
    `{digit: [accuracy]}`. Metrics of one-hot targets may accompany a loss of class indices, as nothing is trained.

    Raises ConfigError: every error in the metrics."""
    values = [value for text in given for value in entries(read(text))]
    outputs = config.model.outputs
    if outputs:
        by_output = merged(values, list(outputs))
        changed = {name: with_own(each, by_output.get(name, [])) for name, each in outputs.items()}
        config = config.model_copy(update={"model": config.model.model_copy(update={"outputs": changed})})
    else:
        config = config.model_copy(update={"training": with_own(config.training, values)})
    heads = heads_of(config)
    problems = name_problems(heads)
    for head in heads:
        problems += metric_problems(head, compared_by(config, head, target_of(head, targets)), is_trained=False)
    raise_for(problems)
    return config


def with_slices(config: Config, text: str) -> Config:
    """Return the config with the slices in `text`, YAML such as `sex,race` or `[sex, {age: [30, 50]}]`.

    Raises ConfigError: every error in them."""
    try:
        slices = TypeAdapter(tuple[Slice, ...]).validate_python(tuple(entries(read(text, SLICES))), strict=False)
    except ValidationError:
        hint = f"for example {SLICES} sex,race or {SLICES} '[sex, {{age: [30, 50]}}]'"
        raise ConfigError(f"{SLICES} {text}: expected columns, of numbers with their bounds", hint) from None
    data = config.data.model_copy(update={"slices": slices})
    if problems := [*data.slice_problems()]:
        raise as_option(ConfigError(problems), SLICES)
    return config.model_copy(update={"data": data})


def read(text: str, option: str = OPTION) -> Any:
    shown_as = f"{option} {text}"
    try:
        return to_plain(parse_yaml(text, shown_as, start=0))
    except ConfigError as error:
        raise UnreadableConfig(error.problems, {shown_as: text}) from None


def entries(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [name.strip() for name in value.split(",")]
    return list(value) if isinstance(value, list) else [value]


def merged(values: Sequence[Any], outputs: Sequence[str]) -> dict[str, list[Any]]:
    """Return the metrics of each output."""
    found: dict[str, list[Any]] = {}
    for value in values:
        if not isinstance(value, Mapping) or not all(name in outputs for name in value):
            example = f"{{{outputs[0]}: [accuracy]}}"
            raise ConfigError(f"{OPTION}: the model has the outputs {', '.join(outputs)}", f"write {example}")
        for name, each in value.items():
            found.setdefault(name, []).extend(entries(each))
    return found


def with_own(section: S, values: Sequence[Any]) -> S:
    """Return a section with the metrics that `values` name instead of its own."""
    pairs = [parse_keras_object("metric", value) for value in values]
    raise_for([problem for _, problems in pairs for problem in problems])
    return section.model_copy(update={"metrics": tuple(metric for metric, _ in pairs if metric is not None)})


def raise_for(problems: Sequence[Problem]) -> None:
    if problems:
        raise as_option(ConfigError(problems))


def as_option(error: ConfigError, option: str = OPTION) -> ConfigError:
    """Return the same errors, reported for the option instead of the run's config."""
    return ConfigError(Problem(None, f"{option}: {problem.message}", problem.hint) for problem in error.problems)
