"""Check that a built model fits the data and the losses."""

from dltool.config.checks import static_checks
from dltool.config.losses import SEQUENCES, SPARSE, family_of
from dltool.config.outputs import OutputSpec
from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.data.facts import Facts
from dltool.errors import ConfigError, Problem
from dltool.model.apply import Applied
from dltool.model.build import BuiltModel
from dltool.text import counted, shape_text

SPARSE_LOOKUPS = ("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy")


def check_fit(config: Config, facts: Facts, built: BuiltModel) -> None:
    """Check the outputs of the built model against the targets, and all that needs no built model.

    Raises ConfigError at the layer of an output or at the entry that contradicts it."""
    problems = static_checks(config, facts) or [p for head in built.heads for p in head_problems(head, facts, built)]
    ConfigError.refuse(problems)


def head_problems(head: OutputSpec, facts: Facts, built: BuiltModel) -> list[Problem]:
    output = built.outputs[head.name]
    if head.target is None:
        return input_problems(head, output, built)
    target = facts.targets[head.target]
    fix = target.task.shape_problem(output.output_shape, head.loss, target)
    if family_of(head.loss) is SEQUENCES and getattr(output.output, "_keras_mask", None) is not None:
        message = "CTC gives one loss for each sequence, and a mask of its steps cannot apply to it"
        fix = message, "mask no steps: remove mask_zero or Masking; CTC learns blanks for the padding"
    problems = [] if fix is None else [Problem(output.path, *fix, related=head.loss_related)]
    return [*problems, *metric_problems(head, output, target)]


def input_problems(head: OutputSpec, output: Applied, built: BuiltModel) -> list[Problem]:
    wanted, shape = built.input_shape, output.output_shape
    # Any integer, such as a word index, may be a class of its own.
    is_fitting = shape[:-1] == wanted if family_of(head.loss) is SPARSE else shape == wanted
    if is_fitting or None in (*shape, *wanted):
        return []
    message = f"the model gives {shape_text(shape)} for each example, and the input is {shape_text(wanted)}"
    hint = f"end with a layer that gives {shape_text(wanted)}"
    return [Problem(output.path, message, hint, related=head.loss_related)]


def metric_problems(head: OutputSpec, output: Applied, target: TargetFacts) -> list[Problem]:
    """Return problems of metrics that index outputs by class, if there are fewer outputs; only some data would fail."""
    outputs, classes = (output.output_shape or (1,))[-1], len(target.class_names)
    if outputs is None or outputs >= classes:
        return []
    wanted = f"takes an output for each of {counted(classes, 'class')}, not {outputs}"
    return [
        Problem((*head.metrics_place, index), f"{metric.name} {wanted}")
        for index, metric in enumerate(head.metrics)
        if metric.name in SPARSE_LOOKUPS
    ]
