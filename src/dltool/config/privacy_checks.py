"""Differentially private training: what it spends, what breaks its guarantee, and what this does not cover."""

from collections.abc import Iterator, Sequence
from typing import Any

from dltool.accountant import Spending, noise_for
from dltool.config.keras.objects import BACKBONE, HUB, PUBLISHED, UNKNOWN, KerasObject
from dltool.config.last_layer import LAYERS
from dltool.config.losses import EMBEDDINGS, OVERLAP, family_of
from dltool.config.outputs import OutputSpec
from dltool.config.presets import is_folder
from dltool.config.schema import Config
from dltool.config.sources import kind_of
from dltool.config.tasks import DataFacts
from dltool.errors import ConfigPath, Problem
from dltool.keras_names import find

PLACE: ConfigPath = ("training", "privacy")
LAYERS_REFUSED = {
    "BatchNormalization": (
        "an example's gradient would depend on the other examples of the batch",
        "GroupNormalization or LayerNormalization, or trainable: false",
    ),
    "SpectralNormalization": ("the gradients of single examples are unknown", "LayerNormalization"),
    "ActivityRegularization": ("the penalty is no loss of single examples", "kernel_regularizer in a layer"),
}
AUGMENTATION_REFUSED = {
    "MixUp": "mixes examples, which are to be protected each alone",
    "CutMix": "mixes examples, which are to be protected each alone",
    "RandomElasticTransform": "needs batches of one size, and the draws differ",
}
FITTED = ("Normalization", "Discretization", "StringLookup", "IntegerLookup", "TextVectorization")
STATES = ("mean", "bin_boundaries", "vocabulary")


def spending(config: Config, examples: int, done: int | None = None) -> Spending | None:
    """Return what the steps `done` on so many training examples spend, by default those of all epochs; None unless the
    training is private, or if no noise is enough for its epsilon."""
    options, training = config.training.privacy, config.training
    if options is None:
        return None
    steps = training.total_epochs * -(-examples // training.batch_size)
    rate = min(1.0, training.batch_size / examples)
    noise = options.noise or noise_for(rate, steps, options.epsilon or 0.0, options.delta)
    return None if noise is None else Spending(rate, noise, steps if done is None else done, options.delta)


def privacy_problems(config: Config, heads: Sequence[OutputSpec], facts: DataFacts | None) -> list[Problem]:
    """Find what breaks the guarantee, or cannot be trained so. `facts` are None if unknown."""
    options = config.training.privacy
    if options is None:
        return []
    problems = [*layer_problems(config), *loss_problems(heads), *training_problems(config)]
    if config.data.final == "ensemble":
        message = "an ensemble publishes a model of each fold, and each spends an epsilon of its own"
        problems.append(Problem(("data", "final"), message, "final: refit"))
    if config.data.shuffle is not None:
        message = "private training draws its rows at random from all, and does not shuffle them"
        problems.append(Problem(("data", "shuffle"), message, "remove it", at_key=True))
    if facts is None or not options.is_known or UNKNOWN in (config.training.batch_size, config.training.total_epochs):
        return problems
    examples = facts.examples
    if options.delta >= 1 / examples:
        message = f"expected less than 1 / {examples:,} training examples, got {options.delta:g}"
        message += ": a model that publishes one of them would pass"
        problems.append(Problem((*PLACE, "delta"), message, f"delta: {0.1 / examples:.0e}"))
    elif spending(config, examples) is None:
        message = f"no noise is enough for epsilon {options.epsilon:g} at delta {options.delta:g}"
        problems.append(Problem((*PLACE, "epsilon"), message, "a larger epsilon, or fewer epochs"))
    return problems


def layer_problems(config: Config) -> Iterator[Problem]:
    for index, layer in enumerate(config.model.layers):
        place: ConfigPath = (*LAYERS, index)
        is_frozen = layer.arguments.get("trainable") is False
        known = find(layer.kind, layer.name)
        if layer.name in LAYERS_REFUSED and not is_frozen:
            reason, hint = LAYERS_REFUSED[layer.name]
            yield Problem(place, f"{layer.name} breaks privacy: {reason}", hint)
        elif known is not None and known.code is not None:
            yield Problem(place, f"{layer.name} breaks privacy: it may compare examples", "use layers of Keras")
        elif layer.arguments.get("activity_regularizer") is not None:
            message = "activity_regularizer breaks privacy: the penalty is no loss of single examples"
            yield Problem((*place, *layer.steps, "activity_regularizer"), message, "kernel_regularizer")
    for index, layer in enumerate(config.data.augmentation):
        if layer.name in AUGMENTATION_REFUSED:
            message = f"{layer.name} breaks privacy: it {AUGMENTATION_REFUSED[layer.name]}"
            yield Problem(("data", "augmentation", index), message, "remove it")


def loss_problems(heads: Sequence[OutputSpec]) -> Iterator[Problem]:
    for head in heads:
        known = find("loss", head.loss.name)
        if family_of(head.loss) in (OVERLAP, EMBEDDINGS) or (known is not None and known.code is not None):
            message = f"{head.loss.name} breaks privacy: it is not known to be a sum over examples"
            yield Problem(head.loss_place, message, "a crossentropy, or mean_squared_error")
        elif head.loss.arguments.get("reduction", "sum_over_batch_size") not in ("sum_over_batch_size", "mean"):
            message = "private training takes the mean over the values of each example"
            yield Problem((*head.loss_place, head.loss.name, "reduction"), message, "remove it")
        if head.class_weights == "balanced":
            message = "balanced breaks privacy: the weights are counts of the training examples"
            yield Problem(head.class_weights_place, message, "write the weight of each class")


def training_problems(config: Config) -> Iterator[Problem]:
    """Find settings of the steps that private ones do not have, and what is chosen by the training examples."""
    training = config.training
    if training.precision.startswith("mixed_"):
        message = "private training needs float32 or float64: norms of gradients are summed"
        yield Problem(("training", "precision"), message, "precision: float32")
    if training.jit_compile is True:
        message = "XLA cannot compile private steps, whose draws differ in size"
        yield Problem(("training", "jit_compile"), message, "remove it")
    if training.teacher is not None:
        message = "a teacher breaks privacy: its outputs may tell of the examples that it was trained on"
        yield Problem(("training", "teacher"), message, "remove it", at_key=True)
    for number, part in enumerate(training.parts):
        if part.optimizer.arguments.get("loss_scale_factor") is not None:
            place = (*training.place_of(number), "optimizer", part.optimizer.name, "loss_scale_factor")
            yield Problem(place, "private steps do not scale the loss", "remove it")
    monitors: list[tuple[ConfigPath, Any]] = [(("training", "checkpoint", "monitor"), training.checkpoint.monitor)]
    for index, callback in enumerate(training.callbacks):
        monitors.append((("training", "callbacks", index, callback.name, "monitor"), callback.arguments.get("monitor")))
    for place, monitor in monitors:
        if isinstance(monitor, str) and not monitor.startswith("val_"):
            message = f"{monitor} breaks privacy: it is computed on the training examples, without noise"
            yield Problem(place, message, f"monitor: val_{monitor}")


def uncovered(config: Config) -> Iterator[tuple[str, str]]:
    """Yield what the guarantee of a private training does not cover, each with what to do."""
    training, data = config.training, config.data
    if training.privacy is None:
        return
    if training.privacy.seed is not None:
        text = "privacy.seed gives the noise away: who knows it can subtract the noise, so this model is not private"
        yield text, "remove training.privacy.seed, which is for tests"
    preprocessing = [entry for entry in data.preprocessing if all(entry.arguments.get(name) is None for name in STATES)]
    fitted = [entry.name for entry in preprocessing if entry.name in FITTED]
    scales = (getattr(each.type.options, "scale", "none") for each in data.targets.values() if each.type is not None)
    fitted += ["the scale of the target"] if any(scale != "none" for scale in scales) else []
    fitted += ["means and categories of the columns"] if kind_of(data.source) == "table" else []
    if fitted:
        what = " and ".join(dict.fromkeys(fitted))
        text = f"the preprocessing is fitted on the training examples without noise, and part of the model: {what}"
        yield text, "declare them in the config, or accept that they are published"
    if data.split.validation or data.validation is not None:
        text = "the best epoch is chosen by the validation examples, which no noise protects"
        yield text, "validate on public examples, or not at all"
    if config.model.start is not None or any(map(has_own_weights, config.model.layers)):
        text = "the weights that the model starts with may tell of the examples that they were trained on"
        yield text, "start with weights of public examples, or add the epsilon of their training"
    if data.windows is not None or data.split.group is not None:
        what = "a window, and a row is in several" if data.windows else "an example, and a group has several"
        yield f"the unit of epsilon is {what}", "use a smaller epsilon, which their number multiplies"
    several = "folds" if data.split.folds is not None else "seeds" if training.seeds is not None else ""
    if several:
        text = f"each of the {several} spends an epsilon of its own, and all together spend their sum"
        yield text, "count them all, or train a single model"


def has_own_weights(layer: KerasObject) -> bool:
    """Return whether a layer is a backbone with weights of a file or folder, which nobody has published."""
    weights, preset = layer.arguments.get("weights", PUBLISHED), str(layer.arguments.get("preset"))
    is_own = is_folder(preset) if layer.name == HUB else weights != PUBLISHED
    return layer.kind == BACKBONE and isinstance(weights, str) and is_own


def privacy_warnings(config: Config) -> tuple[str, ...]:
    """Return the same as warnings."""
    return tuple(f"{text}; {step}" for text, step in uncovered(config))


def published(config: Config) -> str:
    """Return what a private training lets one publish; empty for others."""
    options = config.training.privacy
    if options is None:
        return ""
    if not options.is_secret:
        return "nothing of it is private, as privacy.seed gives the noise away"
    if config.data.final == "none":
        return "the run has no model of its own, and its directory is not private"
    return "model.keras is private, the run directory is not"
