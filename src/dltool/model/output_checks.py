"""Whether a built model fits the data and the losses."""

from math import prod

from dltool.config.checks import BINARY, ONE_HOT, SPARSE, count, loss_name, static_checks
from dltool.config.outputs import OutputSpec
from dltool.config.schema import Config
from dltool.data.facts import Facts, TargetFacts
from dltool.errors import ConfigError, Problem
from dltool.model.apply import Applied
from dltool.model.build import BuiltModel
from dltool.model.shapes import shown

SPARSE_LOOKUPS = ("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy")


def check_fit(config: Config, facts: Facts, built: BuiltModel) -> None:
    """Check the outputs of the built model against the targets, and everything that needs no built model.

    Raises:
        ConfigError: at the layer of an output or at what contradicts it.
    """
    problems = static_checks(config, facts) or [p for head in built.heads for p in head_problems(head, facts, built)]
    if problems:
        raise ConfigError(problems)


def head_problems(head: OutputSpec, facts: Facts, built: BuiltModel) -> list[Problem]:
    output = built.outputs[head.name]
    if head.target is None:
        return input_problems(head, output, built)
    target = facts.targets[head.target]
    return [*output_problems(head, output, target), *metric_problems(head, output, target)]


def input_problems(head: OutputSpec, output: Applied, built: BuiltModel) -> list[Problem]:
    wanted, shape = built.input_shape, output.output_shape
    # Of whole numbers, such as those of words, each may be a class.
    is_fitting = shape[:-1] == wanted if loss_name(head.loss) in SPARSE else shape == wanted
    if is_fitting or None in (*shape, *wanted):
        return []
    message = f"the model gives {shown(shape)} for each example, and the input is {shown(wanted)}"
    related = ((head.loss_place, "the loss"),)
    return [Problem(output.path, message, f"end with a layer that gives {shown(wanted)}", related=related)]


def metric_problems(head: OutputSpec, output: Applied, target: TargetFacts) -> list[Problem]:
    """Metrics that look up the output of a class which the model does not have; only the data's values would tell."""
    outputs, classes = (output.output_shape or (1,))[-1], len(target.class_names)
    if outputs is None or outputs >= classes:
        return []
    return [
        Problem(
            (*head.metrics_place, index),
            f"{metric.name} takes an output for each of {count(classes, 'class')}, not {outputs}",
        )
        for index, metric in enumerate(head.metrics)
        if metric.name in SPARSE_LOOKUPS
    ]


def output_problems(head: OutputSpec, output: Applied, target: TargetFacts) -> list[Problem]:
    place, shape, name = output.path, output.output_shape, loss_name(head.loss)
    related = ((head.loss_place, "the loss"),)
    flatten = "add Flatten or a global pooling layer before it"
    if target.kind != "category":
        wanted = target.shape or (1,)
        if shape in (target.shape, wanted) or None in shape:
            return []
        noun = "number" if target.kind == "number" else "label"
        message = f"the model gives {shown(shape)} for each example, and the target is {count(prod(wanted), noun)}"
        hint = flatten if len(shape) > len(wanted) else f"units: {prod(wanted)}"
        return [Problem(place, message, hint, related=related)]
    classes = len(target.class_names)
    if name in SPARSE | ONE_HOT | BINARY:
        wanted = (*target.shape, 1 if name in BINARY else classes)
        if shape == wanted:
            return []
        if len(shape) == 1:
            message = f"{count(shape[0] or 0, 'output')} for {count(classes, 'class')}"
            return [Problem(place, message, f"units: {wanted[-1]}", related=related)]
        message = f"the model gives {shown(shape)} for each example, and the loss takes {shown(wanted)}"
        return [Problem(place, message, "" if target.shape else flatten, related=related)]
    return []
