"""Whether the parts of a config fit each other and the data, as far as that can be told without building a model."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Protocol

from dltool.config.keras.objects import PUBLISHED, UNKNOWN, KerasObject
from dltool.config.outputs import OutputSpec, heads_of, layer_index, target_problems, unknown_layer
from dltool.config.schema import Config
from dltool.config.wording import counted_name, snake_case
from dltool.errors import ConfigPath, Problem
from dltool.keras_names import arguments, find

LAYERS: ConfigPath = ("model", "layers")

SHAPELESS = {
    *("Activation", "Softmax", "ReLU", "LeakyReLU", "ELU", "PReLU"),
    *("Dropout", "GaussianNoise", "GaussianDropout", "AlphaDropout", "BatchNormalization", "LayerNormalization"),
    *("Identity", "Masking", "ActivityRegularization"),
}
"""Layers whose output has as many features as their input."""

OTHER_RESULTS = ("seconds", "parameters")
"""What an expectation may bound besides the metrics."""

RESERVED = ("epoch", "loss", "learning_rate", *OTHER_RESULTS)
"""What stands beside the metrics in metrics.jsonl and in the results."""

MONITORING = {"EarlyStopping": "val_loss", "ReduceLROnPlateau": "val_loss"}
"""Callbacks with a `monitor`, and its default."""


class KnownTarget(Protocol):
    """The part of `dltool.data.facts.TargetFacts` that is needed here; config/ does not import data/."""

    @property
    def kind(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...


class DataFacts(Protocol):
    """Likewise of `dltool.data.facts.Facts`."""

    @property
    def targets(self) -> Mapping[str, KnownTarget]: ...
    @property
    def validation_examples(self) -> int: ...


@dataclass(frozen=True)
class LastLayer:
    """An end of the model as written: how many features it has and its last activation, None where not known."""

    index: int
    layer: KerasObject
    units: int | None
    activation: str | None

    @property
    def place(self) -> ConfigPath:
        return (*LAYERS, self.index, self.layer.name, "units")


def static_checks(config: Config, facts: DataFacts | None) -> list[Problem]:
    """Every mistake between optimizer, loss, metrics, callbacks, last layer and data. `facts` is None when unknown.

    An argument that holds the UNKNOWN sentinel is not checked.
    """
    heads = heads_of(config)
    problems = name_problems(heads) + monitor_problems(config, facts) + expectation_problems(config, facts)
    problems += spectrogram_problems(config) + weight_file_problems(config)
    problems += target_problems(config, heads) + weight_problems(config, heads, facts)
    problems += mixing_problems(config, heads)
    for head in heads:
        problems += head_problems(config, head, facts)
    return problems


def head_problems(config: Config, head: OutputSpec, facts: DataFacts | None) -> list[Problem]:
    """Mistakes between the layer of an output, its loss and its target."""
    if head.layer is UNKNOWN:
        return []
    index = layer_index(config, head)
    if index is None:
        return [unknown_layer(config, head)]
    output = last_output(config.model.layers[: index + 1])
    problems = activation_problems(output, head)
    target = facts.targets.get(head.target) if facts is not None and head.target is not None else None
    if facts is None or target is None:
        return problems
    wrong = loss_problems(head, target) or units_problems(output, head, target, dollar_of(facts.targets, head))
    return (
        problems
        + (wrong or label_problems(output, head, target))
        + one_hot_metric_problems(head)
        + twin_problems(head, target)
    )


def dollar_of(targets: Mapping[str, KnownTarget], head: OutputSpec) -> str:
    """How a config writes the number of classes of the output's target."""
    are_several = sum(bool(target.class_names) for target in targets.values()) > 1
    return f"$classes_{head.target}" if are_several else "$classes"


# --- names ---


def metric_names(metrics: Sequence[KerasObject], unique: bool = True) -> list[str]:
    """The names under which Keras logs the metrics; `unique` numbers repeated ones as its results do."""
    names = [metric_name(metric) for metric in metrics]
    return numbered(names) if unique else names


def numbered(names: Iterable[str]) -> list[str]:
    """Repeated names with the number of the repetition."""
    counts: dict[str, int] = {}
    return [counted_name(name, counts) for name in names]


def metric_name(metric: KerasObject) -> str:
    given = metric.arguments.get("name")
    if isinstance(given, str) or metric.is_string:
        return given if isinstance(given, str) else metric.name
    default = arguments("metric", metric.name).get("name")
    return default.default if default and isinstance(default.default, str) else snake_case(metric.name)


def loss_name(loss: KerasObject) -> str:
    """The name of its function, whichever way it was written: mse, MeanSquaredError → mean_squared_error."""
    known = find("loss", loss.name)
    return snake_case(known.means if known else loss.name)


def measured_names(heads: Sequence[OutputSpec]) -> list[str]:
    """What each epoch logs, by Keras's names: with several outputs, those of an output begin with its name."""
    if len(heads) == 1:
        return ["loss", *metric_names(heads[0].metrics)]
    names = ["loss", *(f"{head.name}_loss" for head in heads)]
    return names + numbered(f"{head.name}_{metric_name(metric)}" for head in heads for metric in head.metrics)


def name_problems(heads: Sequence[OutputSpec]) -> list[Problem]:
    """Metrics with a name that already means something else."""
    problems = []
    for head in heads:
        for index, metric in enumerate(head.metrics):
            name = metric_name(metric)
            logged = name if len(heads) == 1 else f"{head.name}_{name}"
            taken = name if name in RESERVED else logged if logged in RESERVED else None
            if taken is not None or name.startswith("val_"):
                place = (*head.metrics_place, index, metric.name, "name")
                what = f"{taken} is taken" if taken else "val_ marks what is measured in validation"
                problems.append(
                    Problem(place, f'a metric cannot have the name "{name}": {what}', "choose another name")
                )
    return problems


# --- monitors ---


def monitor_problems(config: Config, facts: DataFacts | None) -> list[Problem]:
    """Monitors that will not be among the logs."""
    measured = measured_names(heads_of(config))
    has_validation = None if facts is None else facts.validation_examples > 0
    monitors: list[tuple[ConfigPath, str, str | None]] = []
    if config.training.checkpoint.monitor is not None:
        monitors.append((("training", "checkpoint", "monitor"), config.training.checkpoint.monitor, None))
    for index, callback in enumerate(config.training.callbacks):
        if callback.name in MONITORING:
            given = callback.arguments.get("monitor")
            place: ConfigPath = ("training", "callbacks", index)
            where = place if given is None else (*place, callback.name, "monitor")
            monitor = MONITORING[callback.name] if given is None else given
            monitors.append((where, monitor, callback.name if given is None else None))
    found = [monitor_problem(*monitor, measured, has_validation) for monitor in monitors]
    return [problem for problem in found if problem is not None]


def monitor_problem(
    place: ConfigPath, monitor: Any, by_default_of: str | None, measured: list[str], has_validation: bool | None
) -> Problem | None:
    if not isinstance(monitor, str):
        return None
    of_validation = [f"val_{name}" for name in measured]
    if monitor in measured or (monitor in of_validation and has_validation is not False):
        return None
    if monitor in of_validation:
        subject = f"{by_default_of} monitors val_loss, and there" if by_default_of else f"no {monitor}: there"
        hint = f"monitor: {monitor.removeprefix('val_')}, or data.split.validation: 0.1"
        return Problem(place, f"{subject} is no validation part", hint)
    known = measured + (of_validation if has_validation is not False else [])
    near = get_close_matches(monitor, known, 1, 0.5)
    hint = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known)}"
    return Problem(place, f'no "{monitor}" is measured', hint)


def expectation_problems(config: Config, facts: DataFacts | None) -> list[Problem]:
    """Expectations of what is not among the results."""
    measured = measured_names(heads_of(config))
    has_validation = facts is None or facts.validation_examples > 0
    of_validation = [f"val_{name}" for name in measured] if has_validation else []
    known = [*measured, *of_validation, *OTHER_RESULTS]
    problems = []
    for name in config.expect:
        if name not in known:
            near = get_close_matches(name, known, 1, 0.5)
            hint = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known)}"
            problems.append(Problem(("expect", name), f'no "{name}" is measured', hint, at_key=True))
    return problems


# --- the last layer ---


def last_output(layers: Sequence[KerasObject]) -> LastLayer | None:
    """What the model ends with; None where the layers that matter are not the ones that can be read off the config."""
    activation: str | None = "linear"
    for index in reversed(range(len(layers))):
        layer = layers[index]
        if layer.sources and layer.name != "Dense":
            return None
        if layer.name == "Dense":
            own = name_of(layer.arguments.get("activation", "linear") or "linear")
            units = layer.arguments.get("units")
            ends = own if activation == "linear" else activation
            return LastLayer(index, layer, units if isinstance(units, int) else None, ends)
        if layer.name not in SHAPELESS:
            return None
        if activation == "linear":
            activation = own_activation(layer)
    return None


def own_activation(layer: KerasObject) -> str | None:
    if layer.name == "Activation":
        return name_of(layer.arguments.get("activation"))
    if layer.name == "Softmax":
        return "softmax"
    return "linear" if "Drop" in layer.name or layer.name in ("Identity", "Masking", "ActivityRegularization") else None


def name_of(value: Any) -> str | None:
    """The name of an activation, or None where it is not known."""
    if value is UNKNOWN or value is None:
        return None
    return snake_case(value.name) if isinstance(value, KerasObject) else value if isinstance(value, str) else None


def activation_problems(output: LastLayer | None, head: OutputSpec) -> list[Problem]:
    """Probabilities where the loss expects logits, the reverse, and a softmax over a single output."""
    if output is None:
        return []
    place, loss = (*LAYERS, output.index, output.layer.name, "activation"), head.loss
    related = ((head.loss_place, "the loss"),)
    if output.activation == "softmax" and output.units == 1:
        return [Problem(place, "softmax over one output is always 1", "activation: sigmoid")]
    if not loss_name(loss).endswith("crossentropy"):
        return []
    from_logits = loss.arguments.get("from_logits", False)
    if from_logits is True and output.activation in ("softmax", "sigmoid"):
        message = f"{output.activation} makes probabilities, and the loss has from_logits: true"
        return [Problem(place, message, "remove the activation, or from_logits", related=related)]
    if from_logits is False and output.activation == "linear":
        wanted = "sigmoid" if loss_name(loss).startswith("binary") else "softmax"
        layer = "the last layer" if head.layer is None else "this layer"
        message = f"the loss expects probabilities, and {layer} has no activation"
        return [Problem(output.place[:-1], message, f"activation: {wanted}, or from_logits: true", related=related)]
    return []


# --- layers whose results depend on the batch ---

HIGHEST_DECIBELS = 100.0
"""No moment of a recording between -1 and 1 is as loud."""


def spectrogram_problems(config: Config) -> list[Problem]:
    """MelSpectrogram cuts off what is `top_db` below the loudest moment of the whole batch, not of each recording.

    The same recording would then be another one in a batch of other size; where nothing lies so low, it is not.
    """
    sections = {
        ("data", "preprocessing"): config.data.preprocessing,
        ("data", "augmentation"): config.data.augmentation,
        LAYERS: config.model.layers,
    }
    problems = []
    for place, layers in sections.items():
        for index, layer in enumerate(layers):
            least, top = decibels_needed(layer), layer.arguments.get("top_db", UNKNOWN)
            if least is not None and top is not UNKNOWN and top < least:
                message = f"{top:g} decibels below the loudest of all recordings in a batch: each depends on the others"
                problems.append(Problem((*place, index, layer.name, "top_db"), message, f"top_db: {least}"))
    return problems


def decibels_needed(layer: KerasObject) -> int | None:
    """The least `top_db` with which a spectrogram depends on nothing but its recording; None for other layers."""
    power = layer.arguments.get("min_power", 1e-10)
    if layer.name != "MelSpectrogram" or layer.arguments.get("power_to_db") is False or power is UNKNOWN:
        return None
    return math.ceil(HIGHEST_DECIBELS - 10 * math.log10(max(power, 1e-30)))


def independent(layer: KerasObject) -> KerasObject:
    """The layer; a MelSpectrogram without a `top_db` of its own gets the one that it needs."""
    least = decibels_needed(layer)
    if least is None or "top_db" in layer.arguments:
        return layer
    return replace(layer, arguments={**layer.arguments, "top_db": float(least)})


# --- backbones ---


def weight_file_problems(config: Config) -> list[Problem]:
    """Files of a backbone's weights that are not there."""
    found = [
        missing_weights(layer.arguments.get("weights"), (*LAYERS, index, *layer.steps, "weights"))
        for index, layer in enumerate(config.model.layers)
        if layer.kind == "backbone"
    ]
    return [problem for problem in found if problem is not None]


def missing_weights(path: Any, place: ConfigPath) -> Problem | None:
    """What is wrong with the path of a file of weights, which may also be null, or the name of the published ones."""
    if not isinstance(path, str) or path == PUBLISHED or os.path.isfile(path):
        return None
    if os.path.exists(path):
        return Problem(place, f"{path} is no file", "a .weights.h5 or .h5 that Keras has written")
    near = get_close_matches(os.path.basename(path), [PUBLISHED], 1, 0.6)
    hint = f'did you mean "{near[0]}"?' if near else f"{PUBLISHED} stands for the published ones, null for random ones"
    return Problem(place, f"no such file: {path}", hint)


# --- loss and target ---

REGRESSION = {
    *("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error"),
    *("mean_squared_logarithmic_error", "huber", "log_cosh"),
}
SPARSE = {"sparse_categorical_crossentropy"}
ONE_HOT = {"categorical_crossentropy", "categorical_focal_crossentropy"}
BINARY = {"binary_crossentropy", "binary_focal_crossentropy"}


def loss_problems(head: OutputSpec, target: KnownTarget) -> list[Problem]:
    """A loss that is not for this kind of target."""
    loss, place = head.loss, head.loss_place
    name, classes = loss_name(loss), len(target.class_names)
    if target.kind == "multi_label":
        if name in SPARSE | ONE_HOT:
            message = "an example may have several labels, and this loss is for one class"
            return [Problem(place, message, like(loss, "binary_crossentropy"))]
    elif target.kind == "category":
        if name in REGRESSION:
            message = "the targets are classes, and this loss is for numbers"
            return [Problem(place, message, like(loss, "sparse_categorical_crossentropy"))]
        if name in BINARY and classes > 2:
            message = f"this loss is for two classes, and the data has {classes}"
            return [Problem(place, message, like(loss, "sparse_categorical_crossentropy"))]
    elif name in SPARSE and target.kind == "multi_label":
        message = "an example may have several labels, and this loss takes one class"
        return [Problem(place, message, like(loss, "binary_crossentropy"))]
    elif name in SPARSE or (name in ONE_HOT and target.shape in ((), (1,))):
        message = "the target is a number, and this loss is for classes"
        if target.shape and name in SPARSE:
            what = "x".join(map(str, target.shape))
            message = f"the target is {what} numbers, and this loss is for classes"
            return [Problem(place, message, "if each is a class, write target: category under data")]
        return [Problem(place, message, like(loss, "mean_squared_error"))]
    return []


def label_problems(output: LastLayer | None, head: OutputSpec, target: KnownTarget) -> list[Problem]:
    """Probabilities of one class where each label has its own."""
    if output is None or target.kind != "multi_label" or output.activation != "softmax":
        return []
    place = (*LAYERS, output.index, output.layer.name, "activation")
    message = "softmax makes the probabilities of one class, and an example may have several labels"
    return [Problem(place, message, "activation: sigmoid", related=((head.loss_place, "the loss"),))]


def weight_problems(config: Config, heads: Sequence[OutputSpec], facts: DataFacts | None) -> list[Problem]:
    place = ("training", "class_weights")
    if config.training.class_weights is None:
        return []
    if len(heads) > 1:
        return [Problem(place, "class weights are for models with one output", "remove it", at_key=True)]
    if heads[0].target is None:
        return [Problem(place, "the target is the input, which has no classes", "remove it", at_key=True)]
    target = None if facts is None else facts.targets.get(heads[0].target)
    if target is None or target.kind != "category" or not target.shape:
        return []
    message = f"class weights need one class for each example, and these have {target.shape}"
    return [Problem(place, message, "remove it", at_key=True)]


# --- one-hot targets ---

SPARSE_TWINS = {
    "CategoricalAccuracy": "SparseCategoricalAccuracy",
    "CategoricalCrossentropy": "SparseCategoricalCrossentropy",
    "TopKCategoricalAccuracy": "SparseTopKCategoricalAccuracy",
    "categorical_accuracy": "sparse_categorical_accuracy",
    "categorical_crossentropy": "sparse_categorical_crossentropy",
    "top_k_categorical_accuracy": "sparse_top_k_categorical_accuracy",
}
"""Metrics of one-hot targets, and those of class indices that measure the same."""
OF_ONE_HOT = {
    *("AUC", "Precision", "Recall", "F1Score", "FBetaScore", "PrecisionAtRecall", "RecallAtPrecision"),
    *("SensitivityAtSpecificity", "SpecificityAtSensitivity", "CategoricalHinge"),
    *("TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives"),
}
"""Metrics that of several classes take one-hot targets alone."""
MIXING = ("MixUp", "CutMix")


def one_hot_classes(head: OutputSpec, target: KnownTarget) -> int | None:
    """How many numbers each class index becomes before loss and metrics see it; None where they take it as it is."""
    is_one_hot = target.kind == "category" and loss_name(head.loss) in ONE_HOT
    return len(target.class_names) if is_one_hot else None


def takes_one_hot(head: OutputSpec, metric: KerasObject) -> bool:
    """Whether the metric takes one-hot targets alone, and the loss class indices."""
    known = find("metric", metric.name)
    return loss_name(head.loss) in SPARSE and known is not None and known.means in OF_ONE_HOT


def one_hot_metric_problems(head: OutputSpec) -> list[Problem]:
    """Metrics of one-hot targets beside a loss of class indices: nothing else would say so."""
    return [
        Problem(
            (*head.metrics_place, index),
            f"{metric.name} takes one-hot targets, and the loss takes class indices",
            like(head.loss, "categorical_crossentropy") + " makes the classes one-hot vectors",
            related=((head.loss_place, "the loss"),),
        )
        for index, metric in enumerate(head.metrics)
        if takes_one_hot(head, metric)
    ]


def twin_problems(head: OutputSpec, target: KnownTarget) -> list[Problem]:
    """Metrics that have a twin for classes in the form that the loss takes."""
    name = loss_name(head.loss)
    if target.kind != "category" or name not in SPARSE | ONE_HOT:
        return []
    twins = SPARSE_TWINS if name in SPARSE else {twin: name for name, twin in SPARSE_TWINS.items()}
    forms = ["one-hot targets", "class indices"][:: 1 if name in SPARSE else -1]
    return [
        Problem(
            (*head.metrics_place, index),
            f"{metric.name} takes {forms[0]}, and the loss takes {forms[1]}",
            f"write {twins[metric.name]}",
            related=((head.loss_place, "the loss"),),
        )
        for index, metric in enumerate(head.metrics)
        if metric.name in twins
    ]


def mixing_problems(config: Config, heads: Sequence[OutputSpec]) -> list[Problem]:
    """Layers that mix labels where the loss takes one class, or where there are several outputs."""
    problems = []
    loss, related = heads[0].loss, ((heads[0].loss_place, "the loss"),)
    for index, layer in enumerate(config.data.augmentation):
        place = ("data", "augmentation", index)
        if layer.name in MIXING and len(heads) > 1:
            problems.append(Problem(place, f"{layer.name} mixes the labels of models with one output", "remove it"))
        elif layer.name in MIXING and loss_name(loss) not in ONE_HOT:
            message = f"{layer.name} mixes the labels too, and this loss takes them unmixed"
            hint = like(loss, "categorical_crossentropy") + " makes the classes one-hot vectors"
            problems.append(Problem(place, message, hint, related=related))
    return problems


def like(loss: KerasObject, name: str) -> str:
    """`name` in the form the loss is written in: a string identifier or a class."""
    return f"loss: {name if loss.is_string else ''.join(word.capitalize() for word in name.split('_'))}"


def units_problems(output: LastLayer | None, head: OutputSpec, target: KnownTarget, dollar: str) -> list[Problem]:
    """A last layer with more or fewer outputs than the loss needs for this target."""
    if output is None or output.units is None:
        return []
    wanted = outputs_needed(head.loss, target)
    if wanted is None or output.units == wanted:
        return []
    given, related = count(output.units, "output"), ((head.loss_place, "the loss"),)
    if target.kind == "multi_label":
        return [Problem(output.place, f"{given} for {count(wanted, 'label')}", f"units: {dollar}", related=related)]
    if target.kind == "number":
        message = f"{given} for {count(wanted, 'number')}"
        return [Problem(output.place, message, f"units: {wanted}", related=related)]
    classes = len(target.class_names)
    message = f"{given} for {count(classes, 'class')}"
    if loss_name(head.loss) in BINARY:
        message += ": this loss needs one"
        return [Problem(output.place, message, "units: 1 and activation: sigmoid", related=related)]
    hint = f"units: {classes}, or units: {dollar}"
    if classes == 2 and output.units == 1:
        hint += "; or loss: binary_crossentropy with activation: sigmoid"
    return [Problem(output.place, message, hint, related=related)]


def outputs_needed(loss: KerasObject, target: KnownTarget) -> int | None:
    """How many outputs one example must have; None where the loss does not tell."""
    name = loss_name(loss)
    if target.kind != "category":
        return math.prod(target.shape)
    if name in SPARSE | ONE_HOT:
        return len(target.class_names)
    return 1 if name in BINARY else None


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "es" if noun.endswith("s") else "s")
