"""Prepares the steps of a run. The run that teaches it predicts the training examples once, or each augmented batch."""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dltool.config.schema import Config
from dltool.data.arrays.rows import Rows, take
from dltool.data.dataset import Dataset
from dltool.errors import ConfigError, Problem, RunError
from dltool.experiment.opening import Experiment, best_model
from dltool.runs.recorded import as_run_error, weights_digest
from dltool.runs.teacher_run import PLACE, TeacherRecord, TeacherRun, teacher_run
from dltool.text import shape_text

if TYPE_CHECKING:
    from dltool.model.build import BuiltModel
    from dltool.training.distillation import Teacher
    from dltool.training.fit import Fitting
    from dltool.training.numerics import Strategy

FEW_ROWS = 64


def prepared_steps(
    experiment: Experiment, strategy: "Strategy | None" = None, teacher: Mapping[str, Any] | None = None
) -> "Fitting":
    """Compile the training steps with the `strategy` of a run; None infers it. `teacher` is the one that a run has
    recorded. Raises RunError: it has changed, or is gone; ConfigError: a new one does not fit."""
    from dltool.training.fit import prepare_fit

    if experiment.prepare is not None:
        # A worker of a cluster, which has no teacher.
        fitting: Fitting = experiment.prepare(experiment.built, experiment.config, experiment.dataset, strategy)
        return fitting
    model = experiment.built, experiment.config, experiment.dataset
    try:
        found = opened_teacher(*model, teacher)
    except ConfigError as error:
        if teacher is None:
            raise
        raise as_run_error(error) from error
    return prepare_fit(*model, strategy=strategy, teacher=found)


def opened_teacher(
    built: "BuiltModel", config: Config, dataset: Dataset, recorded: Mapping[str, Any] | None = None
) -> "Teacher | None":
    """Return what the teacher of the config teaches the model `built`, if there is one. `recorded` is the teacher of a
    run that is trained on.

    The teacher computes its outputs for raw training examples, a pure function of both. Inputs that are augmented in
    training are augmented for both: the teacher gets the preprocessed ones of the model, which must be its own.

    Raises ConfigError: the teacher does not fit the model; RunError: it has changed since the run was made."""
    was = TeacherRecord.model_validate(recorded)
    found = teacher_run(config, dataset.facts, was.source or None)
    if found is None or config.training.teacher is None:
        return None
    from dltool.cost.flops import forward_flops
    from dltool.model.build import restart_random_numbers
    from dltool.training.distillation import Teacher

    try:
        theirs = best_model(found.run, found.config, found.facts, is_beside=True)
        sha256 = weights_digest(found.run, found.config)
    except RunError as error:
        raise ConfigError(Problem(PLACE, each.message, each.hint) for each in error.problems) from None
    finally:
        restart_random_numbers(config.seed)
    if was.sha256 not in ("", sha256):
        raise RunError(f"{found.run.path} has changed since it taught the run", "restore it, or train a new run")
    for name, other in found.outputs.items():
        shapes = [each.output_shape for each in (theirs.outputs[other], built.outputs[name])]
        if shapes[0] != shapes[1]:
            message = f"the teacher's output is {shape_text(shapes[0])}, and that of the model {shape_text(shapes[1])}"
            raise ConfigError(Problem(PLACE, message, "both need the same shape"))
    options, inputs = config.training.teacher, {name: dataset.inputs[name] for name in found.facts.inputs}
    outputs, respond, rows = dict[str, np.ndarray](), None, dataset.split.train
    if built.augmentation is None:
        outputs = predicted(theirs, found, inputs, rows)
    else:
        refuse_other_preprocessing(built, theirs, {name: each[rows[:FEW_ROWS]] for name, each in inputs.items()})
        respond = functools.partial(responses, theirs, found.outputs)
    record = {"source": str(found.run.path), "sha256": sha256, "weight": options.weight}
    return Teacher(options, outputs, respond, found.compared, forward_flops(theirs.core), record)


def predicted(
    theirs: "BuiltModel", found: TeacherRun, inputs: Mapping[str, Rows], rows: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the teacher's outputs for these rows of the inputs, by the names of the model's; those of others are 0.
    Raises ConfigError: they are not finite."""
    from dltool.evaluation.predictor import Inference

    predict, outputs = Inference(theirs, found.config), dict[str, np.ndarray]()
    predictions = predict({name: take(each, rows) for name, each in inputs.items()})
    for name, other in found.outputs.items():
        if not np.isfinite(predictions[other]).all():
            raise ConfigError(Problem(PLACE, "the teacher predicts NaN or infinity", "train it again"))
        outputs[name] = np.zeros((len(next(iter(inputs.values()))), *predictions[other].shape[1:]), np.float32)
        outputs[name][rows] = predictions[other]
    return outputs


def responses(theirs: "BuiltModel", outputs: Mapping[str, str], prepared: Any) -> dict[str, Any]:
    """Return the teacher's outputs for a batch of preprocessed inputs, by the names of the model's."""
    values = theirs.core(prepared, training=False)
    return {name: values[other] if isinstance(values, dict) else values for name, other in outputs.items()}


def refuse_other_preprocessing(built: "BuiltModel", theirs: "BuiltModel", raw: Mapping[str, np.ndarray]) -> None:
    """Raise ConfigError unless both models preprocess some rows of the only input to the same numbers."""
    from dltool.training.batches import tensor

    for name, rows in raw.items():
        prepared = []
        for each in (built, theirs):
            model = each.preprocessors.get(name)
            prepared.append(np.asarray(tensor(rows) if model is None else model(tensor(rows), training=False)))
        if prepared[0].shape != prepared[1].shape or not (prepared[0] == prepared[1]).all():
            message = "augmented inputs are for both models, and the teacher has another preprocessing"
            hint = "preprocess as the teacher does, with fixed numbers; or remove data.augmentation"
            raise ConfigError(Problem(PLACE, message, hint))
