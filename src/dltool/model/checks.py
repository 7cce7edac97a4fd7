"""Whether a built model fits the data and the loss."""

from math import prod

from dltool.config.checks import BINARY, LAYERS, LOSS, ONE_HOT, SPARSE, count, loss_name, static_checks
from dltool.config.schema import Config
from dltool.data.facts import Facts
from dltool.errors import ConfigError, ConfigPath, Problem
from dltool.model.apply import shown
from dltool.model.build import BuiltModel

METRICS: ConfigPath = ("training", "metrics")
SPARSE_LOOKUPS = ("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy")


def check_fit(config: Config, facts: Facts, built: BuiltModel) -> None:
    """Check the outputs of the built model against the targets, and everything that needs no built model.

    Raises:
        ConfigError: at the last layer or at what contradicts it.
    """
    problems = static_checks(config, facts) or [
        *output_problems(config, facts, built),
        *metric_problems(config, facts, built),
    ]
    if problems:
        raise ConfigError(problems)


def metric_problems(config: Config, facts: Facts, built: BuiltModel) -> list[Problem]:
    """Metrics that look up the output of a class which the model does not have; only the data's values would tell."""
    outputs, classes = (built.output_shape or (1,))[-1], len(facts.class_names)
    if outputs is None or outputs >= classes:
        return []
    return [
        Problem(
            (*METRICS, index), f"{metric.name} takes an output for each of {count(classes, 'class')}, not {outputs}"
        )
        for index, metric in enumerate(config.training.metrics)
        if metric.name in SPARSE_LOOKUPS
    ]


def output_problems(config: Config, facts: Facts, built: BuiltModel) -> list[Problem]:
    last = len(config.model.layers) - 1
    place, shape, name = (*LAYERS, last), built.output_shape, loss_name(config.training.loss)
    related = ((LOSS, "the loss"),)
    flatten = "add Flatten or a global pooling layer before it"
    if facts.target != "category":
        wanted = facts.target_shape or (1,)
        if shape in (facts.target_shape, wanted) or None in shape:
            return []
        noun = "number" if facts.target == "number" else "label"
        message = f"the model gives {shown(shape)} for each example, and the target is {count(prod(wanted), noun)}"
        hint = flatten if len(shape) > len(wanted) else f"units: {prod(wanted)}"
        return [Problem(place, message, hint, related=related)]
    classes = len(facts.class_names)
    if name in SPARSE | ONE_HOT | BINARY:
        wanted = (*facts.target_shape, 1 if name in BINARY else classes)
        if shape == wanted:
            return []
        if len(shape) == 1:
            message = f"{count(shape[0] or 0, 'output')} for {count(classes, 'class')}"
            return [Problem(place, message, f"units: {wanted[-1]}", related=related)]
        message = f"the model gives {shown(shape)} for each example, and the loss takes {shown(wanted)}"
        return [Problem(place, message, "" if facts.target_shape else flatten, related=related)]
    return []
