"""Checks of the config's sections against each other and the data, without building a model."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dltool.config.expectations import COSTS, FACTORS
from dltool.config.keras.objects import UNKNOWN, KerasObject
from dltool.config.last_layer import LastLayer, last_layer
from dltool.config.layer_checks import activation_problems, axis_problems, spectrogram_problems
from dltool.config.losses import EMBEDDINGS, ONE_HOT, SEQUENCES, family_of, like
from dltool.config.metric_forms import Compared, adapted
from dltool.config.outputs import OutputSpec, heads_of, layer_index, target_problems, unknown_layer
from dltool.config.privacy_checks import privacy_problems
from dltool.config.pydantic_errors import relocated
from dltool.config.schema import Config
from dltool.config.slice_checks import ungrouped_problems
from dltool.config.sources import kind_of
from dltool.config.tasks import DataFacts, TargetFacts
from dltool.config.wording import counted_name, snake_case
from dltool.errors import ConfigPath, Problem
from dltool.keras_names import arguments, find
from dltool.text import did_you_mean, listed, near

OTHER_RESULTS = ("seconds", "parameters", *COSTS)
"""Results besides the metrics that an expectation may bound."""

RESERVED = ("epoch", "loss", "learning_rate", "epsilon", *OTHER_RESULTS)
"""Names beside the metrics in metrics.jsonl and in the results."""

MONITORING = ("EarlyStopping", "ReduceLROnPlateau")
"""Callbacks with a `monitor`, by default val_loss."""
WEIGHT_DECAY = ("weight_decay", "adam_weight_decay")
"""Arguments of optimizers."""

MIXING = ("MixUp", "CutMix")


def static_checks(config: Config, facts: DataFacts | None) -> list[Problem]:
    """Find every error between optimizer, loss, metrics, callbacks, last layer and data. `facts` is None if the data
    has not been read. UNKNOWN arguments are not checked."""
    heads = heads_of(config)
    measured = measured_names(heads)
    known = [*measured, *(f"val_{name}" for name in measured if facts is None or facts.validation_examples)]
    problems = name_problems(heads) + (fold_problems(config, facts) or monitor_problems(config, known))
    factors = dict(config.cost or ())
    results = [*known, *(name for name in OTHER_RESULTS if name not in FACTORS or factors.get(name) is not None)]
    results += ["epsilon"] if config.training.privacy else []
    missing = (name for name in config.expect if name not in results)
    problems += [unmeasured(("expect", name), name, results, at_key=True) for name in missing]
    problems += spectrogram_problems(config) + axis_problems(config)
    problems += target_problems(config, heads) + weight_problems(config, heads, facts)
    problems += mixing_problems(config, heads) + weight_decay_problems(config) + ensemble_problems(config, heads)
    problems += privacy_problems(config, heads, facts) + ungrouped_problems(config, heads, facts)
    for head in heads:
        problems += head_problems(config, head, facts)
    return problems


def head_problems(config: Config, head: OutputSpec, facts: DataFacts | None) -> list[Problem]:
    """Find errors between the layer of an output, its loss and its target."""
    if head.layer is UNKNOWN:
        return []
    index = layer_index(config, head)
    if index is None:
        return [unknown_layer(config, head)]
    last = last_layer(config.model.layers, index)
    problems = [] if last is None else activation_problems(last, head, facts is not None)
    target = target_of(head, {} if facts is None else facts.targets)
    if facts is None or target is None:
        return problems
    if fix := target.task.loss_problem(head.loss, target):
        return [Problem(head.loss_place, *fix)]
    are_several = sum(bool(each.class_names) for each in facts.targets.values()) > 1
    dollar = f"$classes_{head.target}" if are_several else "$classes"
    problems += mismatch_problems(last, head, target, dollar)
    compared = target.task.compared(head.loss, target, last)
    return problems or [*metric_problems(head, compared), *threshold_problems(head, target, compared, facts)]


def target_of(head: OutputSpec, targets: Mapping[str, TargetFacts]) -> TargetFacts | None:
    """Return the target of an output, which may be the input; None if it is unknown."""
    return TargetFacts("input") if head.target is None else targets.get(head.target)


def compared_by(config: Config, head: OutputSpec, target: TargetFacts | None) -> Compared | None:
    """Return what the loss of an output compares; None if unknown."""
    last = last_layer(config.model.layers, layer_index(config, head))
    compared = None if target is None else target.task.compared(head.loss, target, last)
    return None if target is None or compared is None else replace(compared, names=target.class_names)


def mismatch_problems(last: LastLayer | None, head: OutputSpec, target: TargetFacts, dollar: str) -> list[Problem]:
    """Return the first of units, activation and range of the last layer that does not fit the target. `dollar` is how a
    config writes the number of its classes."""
    task = target.task
    if last is None or not task.has_labels:
        return []
    if last.units is not None and (fix := task.units_problem(last.units, head.loss, target, dollar)):
        return [Problem(last.units_place, *fix, related=head.loss_related)]
    if fix := task.activations.get(last.activation or ""):
        return [Problem(last.activation_place, *fix, related=head.loss_related)]
    return reach_problems(last, head, target)


def reach_problems(last: LastLayer, head: OutputSpec, target: TargetFacts) -> list[Problem]:
    """Find numbers that the loss cannot take, or the activation cannot reach."""
    if (reason := target.task.range_problem(head.loss, target, last.activation)) is None:
        return []
    is_loss, fix = reason
    return [
        Problem(head.loss_place, *fix) if is_loss else Problem(last.activation_place, *fix, False, head.loss_related)
    ]


def weight_problems(config: Config, heads: Sequence[OutputSpec], facts: DataFacts | None) -> list[Problem]:
    """Find class weights of outputs without classes, and weights of examples that are mixed."""
    problems, place = [], ("training", "class_weights")
    is_of_all = len(heads) > 1 or heads[0].class_weights_place != place
    if config.training.class_weights is not None and is_of_all:
        hint = f"write it at model.outputs.{heads[0].name}, or another output"
        problems.append(Problem(place, "each output has class weights of its own", hint, at_key=True))
    for head in heads:
        target = target_of(head, {} if facts is None else facts.targets)
        if head.class_weights is not None and target is not None and (fix := unweighted(head, target)):
            problems.append(Problem(head.class_weights_place, *fix, at_key=True))
    mixing = [layer.name for layer in config.data.augmentation if layer.name in MIXING]
    if mixing and config.data.weights is not None:
        message = f"{mixing[0]} mixes examples, whose weights may differ"
        problems.append(Problem(("data", "weights"), message, "remove one of the two"))
    return problems


def unweighted(head: OutputSpec, target: TargetFacts) -> tuple[str, str] | None:
    """Return why the classes of a target cannot be weighted, and what to do."""
    if not target.task.has_labels:
        return "the target is the input, which has no classes", "remove it"
    if target.task.takes_several:
        return "an example may have several labels, and class weights need one class", "remove it"
    if target.task.is_index:
        several = f"class weights need one class for each example, and these have {target.shape}"
        return (several, "remove it") if target.shape else None
    if target.shape and family_of(head.loss) is ONE_HOT:
        hint = "save class indices, y.argmax(axis=-1); this loss one-hot encodes them"
        return "the targets are one-hot numbers, whose classes have no names", hint
    return "the target is a number and has no classes", "remove it"


def weight_decay_problems(config: Config) -> list[Problem]:
    """Find weights without weight decay if no optimizer has any."""
    optimizers = {part.optimizer.name: part.optimizer for part in config.training.parts}
    if not config.training.no_weight_decay or any(map(has_weight_decay, optimizers.values())):
        return []
    message = f"{' and '.join(optimizers)} has no weight decay"
    hint = f"for example {{{next(iter(optimizers))}: {{weight_decay: 0.004}}}}"
    return [Problem(("training", "no_weight_decay"), message, hint, at_key=True)]


def has_weight_decay(optimizer: KerasObject) -> bool:
    known = find("optimizer", optimizer.name)
    if known is None or known.code is not None:
        return True
    defaults = {name: each.default for name, each in arguments("optimizer", optimizer.name).items()}
    return any(optimizer.arguments.get(name, defaults[name]) for name in WEIGHT_DECAY if name in defaults)


def threshold_problems(
    head: OutputSpec, target: TargetFacts, compared: Compared | None, facts: DataFacts
) -> list[Problem]:
    """Find thresholds that cannot decide, or cannot be chosen."""
    threshold, place, task, names = head.threshold, head.threshold_place, target.task, target.class_names
    message, hint = "", "remove it"
    if threshold is None or threshold is UNKNOWN:
        return []
    if not task.has_classes:
        message = f"a threshold decides between two classes, and the target is a {task.noun}"
    elif not task.takes_several and len(names) != 2:
        message = f"a threshold decides between two classes, and the data has {len(names)}"
    elif compared is None or compared.outputs not in ("probabilities", "logits"):
        message, hint = (
            "a threshold is for probabilities, and the loss takes other outputs",
            "loss: binary_crossentropy",
        )
    elif isinstance(threshold, str) and not facts.validation_examples:
        message = f"no validation split to choose the threshold by {threshold}"
        hint = "threshold: 0.5, or data.split.validation: 0.1"
    elif isinstance(threshold, Mapping) and not task.takes_several:
        message, hint = "two classes have one threshold, that of the second", "threshold: 0.5, or F1Score"
    elif isinstance(threshold, Mapping) and (missing := [name for name in names if name not in threshold]):
        message, hint = f"no threshold for {listed(missing, 10)}", "name every label, or write one number for all"
    problems = [Problem(place, message, hint, related=head.loss_related)] if message else []
    others = [name for name in threshold if name not in names] if isinstance(threshold, Mapping) and names else []
    hints = {name: did_you_mean(near(name, names)) for name in others}
    return problems or [Problem((*place, name), "no such label", hints[name], at_key=True) for name in others]


def one_hot_classes(target: TargetFacts | None, compared: Compared) -> int | None:
    """Return the length of the one-hot vector of a class index; None if the loss takes the index."""
    is_one_hot = target is not None and target.task.is_index and compared.form == "one_hot"
    return len(target.class_names) if target is not None and is_one_hot else None


def metric_problems(head: OutputSpec, compared: Compared | None, *, is_trained: bool = True) -> list[Problem]:
    """Find metrics that would compare targets and outputs of another form, which Keras would not report."""
    found = [adapted(metric, compared, is_trained=is_trained) for metric in head.metrics]
    return [
        replace(relocated(each, (*head.metrics_place, index)), related=head.loss_related)
        for index, each in enumerate(found)
        if isinstance(each, Problem)
    ]


def mixing_problems(config: Config, heads: Sequence[OutputSpec]) -> list[Problem]:
    """Find layers that mix labels in a model with several outputs or with a loss of class indices."""
    problems, head = [], heads[0]
    for index, layer in enumerate(config.data.augmentation):
        place: ConfigPath = ("data", "augmentation", index)
        if layer.name in MIXING and len(heads) > 1:
            problems.append(Problem(place, f"{layer.name} needs a model with one output", "remove it"))
        elif layer.name in MIXING and family_of(head.loss) is not ONE_HOT:
            message = f"{layer.name} needs a loss of one-hot targets"
            hint = f"{like(head.loss, 'categorical_crossentropy')} one-hot encodes the classes"
            problems.append(Problem(place, message, hint, related=head.loss_related))
    return problems


def metric_name(metric: KerasObject) -> str:
    """Return the name under which Keras logs the metric, unless it is taken."""
    given = metric.arguments.get("name")
    if isinstance(given, str) or metric.is_string:
        return given if isinstance(given, str) else metric.name
    default = arguments("metric", metric.name).get("name")
    return default.default if default and isinstance(default.default, str) else snake_case(metric.name)


def measured_names(heads: Sequence[OutputSpec]) -> list[str]:
    """Return Keras's names of the logs of an epoch; with several outputs they begin with the output's name."""
    prefixes = [f"{head.name}_" if len(heads) > 1 else "" for head in heads]
    counts: dict[str, int] = {}
    names = [
        f"{prefix}{metric_name(each)}" for head, prefix in zip(heads, prefixes, strict=True) for each in head.metrics
    ]
    losses = ["loss", *(f"{prefix}loss" for prefix in prefixes if prefix)]
    return losses + [counted_name(name, counts) for name in names]


def name_problems(heads: Sequence[OutputSpec]) -> list[Problem]:
    """Find metrics with a reserved name."""
    problems = []
    for head in heads:
        for index, metric in enumerate(head.metrics):
            name = metric_name(metric)
            logged = name if len(heads) == 1 else f"{head.name}_{name}"
            taken = name if name in RESERVED else logged if logged in RESERVED else None
            if taken is not None or name.startswith("val_"):
                place = (*head.metrics_place, index, metric.name, "name")
                what = f"{taken} is reserved" if taken else "val_ is the prefix of validation metrics"
                message = f'a metric cannot have the name "{name}": {what}'
                problems.append(Problem(place, message, "choose another name"))
    return problems


def monitor_problems(config: Config, known: Sequence[str]) -> list[Problem]:
    """Find monitors that are not among the logs."""
    monitor, hint = config.training.checkpoint.monitor, "remove it" if config.training.privacy else ""
    problems = monitor_problem(("training", "checkpoint", "monitor"), monitor, known, hint)
    for index, callback in enumerate(config.training.callbacks):
        given, place = callback.arguments.get("monitor"), ("training", "callbacks", index)
        if callback.name in MONITORING and given is None:
            problems += monitor_problem(place, "val_loss", known, hint, callback.name)
        elif callback.name in MONITORING:
            problems += monitor_problem((*place, callback.name, "monitor"), given, known, hint)
        if callback.name == "ReduceLROnPlateau":
            problems += schedule_problems(config, place)
    return problems


def fold_problems(config: Config, facts: DataFacts | None) -> list[Problem]:
    """Find what would choose the epoch of a fold by the fold that it is tested on, and seeds without a test."""
    if facts is None:
        # Only a source with splits of its own may still have validation examples.
        is_validated = bool(config.data.split.validation) or config.data.validation is not None
        is_validated = is_validated or kind_of(config.data.source) != "table"
    else:
        is_validated = facts.validation_examples > 0
    has_folds = config.data.split.folds is not None
    if config.training.seeds is not None and not has_folds and facts is not None and not facts.test_examples:
        message = "there is no test split, on which several seeds could be compared"
        return [Problem(("training", "seeds"), message, "data.split.test: 0.2", at_key=True)]
    if not has_folds or is_validated:
        return []
    callbacks = enumerate(config.training.callbacks)
    places: list[ConfigPath] = [
        ("training", "callbacks", index, *((each.name, "monitor") if "monitor" in each.arguments else ()))
        for index, each in callbacks
        if each.name in MONITORING
    ]
    if config.training.checkpoint.monitor is not None:
        places.insert(0, ("training", "checkpoint", "monitor"))
    message = "nothing to monitor: there is no validation split, and the tested fold must not choose the epoch"
    return [Problem(place, message, "data.split.validation: 0.1") for place in places]


def ensemble_problems(config: Config, heads: Sequence[OutputSpec]) -> list[Problem]:
    """Find outputs of which the mean of several models is no prediction, if that is the model of the run."""
    problems: list[Problem] = []
    for head in heads if config.data.final == "ensemble" else ():
        why, place = "", head.loss_place
        if head.target is None:
            why, place = "the target is the input, which each fold preprocesses in its own way", ("data", "target")
        elif family_of(head.loss) in (EMBEDDINGS, SEQUENCES):
            why = "the mean of several outputs is no prediction for this loss"
        elif head.loss.arguments.get("from_logits") is True:
            why = "the mean of logits is not that of probabilities"
        elif isinstance(head.threshold, str):
            why, place = "the threshold would be chosen on examples that train the folds", head.threshold_place
        if why:
            hint = "final: refit, which is the default"
            problems.append(Problem(("data", "final"), f"no ensemble: {why}", hint, related=((place, "given here"),)))
    return problems[:1]


def schedule_problems(config: Config, place: ConfigPath) -> list[Problem]:
    """Find learning rates that a schedule determines, which ReduceLROnPlateau cannot set."""
    message = "ReduceLROnPlateau sets the learning rate, which a schedule determines here"
    hint = "remove it, or give the learning rate as a number"
    optimizers = [
        ((*config.training.place_of(i), "optimizer"), part.optimizer) for i, part in enumerate(config.training.parts)
    ]
    return [
        Problem(place, message, hint, related=(((*where, optimizer.name, "learning_rate"), "the schedule"),))
        for where, optimizer in optimizers
        if isinstance(optimizer.arguments.get("learning_rate"), KerasObject)
    ]


def monitor_problem(place: ConfigPath, monitor: Any, known: Sequence[str], hint: str, of: str = "") -> list[Problem]:
    if not isinstance(monitor, str) or monitor in known:
        return []
    measured = monitor.removeprefix("val_")
    if measured != monitor and measured in known:
        subject = f"{of} monitors val_loss, and there" if of else f"no {monitor}: there"
        hint = f"{hint or f'monitor: {measured}'}, or data.split.validation: 0.1"
        return [Problem(place, f"{subject} is no validation split", hint)]
    return [unmeasured(place, monitor, known)]


def unmeasured(place: ConfigPath, name: str, known: Sequence[str], *, at_key: bool = False) -> Problem:
    hint = did_you_mean(near(name, known, cutoff=0.5)) or f"known: {', '.join(known)}"
    return Problem(place, f'no metric is called "{name}"', hint, at_key=at_key)
