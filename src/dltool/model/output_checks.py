"""Check that a built model fits the data and the losses."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from dltool.config.checks import static_checks
from dltool.config.losses import SEQUENCES, SPARSE, family_of
from dltool.config.outputs import OutputSpec
from dltool.config.schema import Config
from dltool.config.tasks import TargetFacts
from dltool.data.arrays.rows import Rows
from dltool.data.facts import Facts
from dltool.errors import ConfigError, Problem
from dltool.model.apply import Applied
from dltool.model.build import BuiltModel
from dltool.model.calls import calls
from dltool.text import counted, shape_text

SPARSE_LOOKUPS = ("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy")


BLOCK = 2**16
"""Rows read at once."""


def check_fit(config: Config, facts: Facts, built: BuiltModel, inputs: Mapping[str, Rows] | None = None) -> None:
    """Check the outputs of the built model against the targets, embeddings against the raw `inputs` of all splits, and
    all that needs no built model.

    Raises ConfigError at the layer of an output or at the entry that contradicts it."""
    problems = static_checks(config, facts) or [p for head in built.heads for p in head_problems(head, facts, built)]
    ConfigError.refuse(problems or embedding_problems(built, inputs or {}))


def embedding_problems(built: BuiltModel, inputs: Mapping[str, Rows]) -> list[Problem]:
    """Find embeddings with fewer rows than the indices that they get from an input or its fitted vocabulary. A GPU
    gives zeros for the others, and a CPU ends the run when the first of them comes."""
    start = built.core.input
    names = {id(tensor): name for name, tensor in (start if isinstance(start, dict) else {"": start}).items()}
    taken = {id(call.layer): names[id(call.inputs[0])] for call in calls(built.core) if id(call.inputs[0]) in names}
    problems = []
    for row in built.layers:
        if not isinstance(row.layer, keras.layers.Embedding) or id(row.layer) not in taken:
            continue
        name, rows = taken[id(row.layer)] or next(iter(inputs), ""), row.layer.input_dim
        last = built.preprocessors[name].layers[-1] if name in built.preprocessors else None
        if name in inputs and (last is None or last.name.startswith("cast")):
            least, most = extremes(inputs[name])
            what = f"{name} holds {most if least >= 0 else least:,}"
        else:
            least, most = 0, vocabulary_size(last) - 1
            what = f"the vocabulary of its input has {most + 1:,} entries"
        if least < 0 or most >= rows:
            hint = f"input_dim: {most + 1}" if least >= 0 else "indices count from 0"
            problems.append(Problem(row.path, f"{what}, and this Embedding takes 0 to {rows - 1:,}", hint))
    return problems


def vocabulary_size(layer: Any) -> int:
    """Return the number of indices that a preprocessing layer gives if it looks up words, else 0."""
    mode = getattr(layer, "output_mode", getattr(layer, "_output_mode", ""))
    return int(layer.vocabulary_size()) if mode == "int" and hasattr(layer, "vocabulary_size") else 0


def extremes(rows: Rows) -> tuple[int, int]:
    """Return the least and the largest index, (0, -1) without rows; floats are cut as Keras does."""
    blocks = [np.asarray(rows[first : first + BLOCK]).astype(np.int64) for first in range(0, len(rows), BLOCK)]
    return min((int(x.min()) for x in blocks), default=0), max((int(x.max()) for x in blocks), default=-1)


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
    return [*problems, *metric_problems(head, output, target), *mask_problems(head, output)]


def mask_problems(head: OutputSpec, output: Applied) -> list[Problem]:
    """Find a mask of steps that reaches a loss of whole sequences."""
    if family_of(head.loss) is not SEQUENCES or getattr(output.output, "_keras_mask", None) is None:
        return []
    message = f"{head.loss.name} compares whole sequences, and a mask of their steps reaches it"
    return [Problem(output.path, message, "remove mask_zero or Masking before it", related=head.loss_related)]


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
