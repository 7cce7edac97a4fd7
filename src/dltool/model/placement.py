"""Finds the output layers, and layers and inputs without effect, or with another effect, at their position."""

from collections.abc import Mapping

import keras

from dltool.config.checks import MIXING
from dltool.config.keras.objects import keras_objects_in
from dltool.config.last_layer import LAYERS
from dltool.config.outputs import OutputSpec, heads_of, layer_index, target_problems, unknown_layer
from dltool.config.schema import Config
from dltool.data.facts import Facts
from dltool.errors import ConfigError, ConfigPath, Problem
from dltool.model.apply import Placed
from dltool.model.augmentation import AUGMENTATION
from dltool.model.calls import calls
from dltool.model.preprocessing import learns

PREPROCESSING: ConfigPath = ("data", "preprocessing")
ARRAYS: ConfigPath = ("data", "source", "arrays", "x")
TRAINING_ONLY = ("Rand", "AugMix", "Dropout", "SpatialDropout", "AlphaDropout", "Gaussian")
"""Beginnings of the names of layers that act in training only."""
MOVING = (
    *("RandAugment", "AugMix", "CutMix", "RandomElasticTransform", "RandomFlip", "RandomPerspective"),
    *("RandomRotation", "RandomShear", "RandomTranslation", "RandomZoom", "RandomCrop"),
)
"""Augmentation layers that move what an image shows."""
MOST_SCALE = 0.1
"""Images of bytes are multiplied by less than this to scale them to about 1."""


def output_layers(config: Config, facts: Facts, heads: tuple[OutputSpec, ...]) -> dict[str, int]:
    """Return the entries of `model.layers` that give the outputs, by the name of the output. Raises ConfigError: no
    such layer, or an output that cannot be compared with a target."""
    found = {head.name: layer_index(config, head) for head in heads}
    problems = [unknown_layer(config, head) for head in heads if found[head.name] is None]
    problems += target_problems(config, heads)
    for head in heads:
        if head.target is None and (facts.only_input is None or facts.only_input.dtype == "string"):
            what = "has columns" if facts.has_columns else "is text" if facts.only_input else "has several inputs"
            place = (*head.place, "target") if config.model.outputs else ("data", "target")
            problems.append(Problem(place, f"the data {what}, which cannot be reconstructed", "choose another target"))
    ConfigError.refuse(problems)
    return {name: index for name, index in found.items() if index is not None}


def refuse_idle_inputs(facts: Facts, starts: Mapping[str, Placed], core: keras.Model) -> None:
    """Raise ConfigError if an input array named by the config reaches no output. Columns may stay unused."""
    taken = {id(tensor) for call in calls(core) for tensor in call.inputs}
    idle = [name for name, start in starts.items() if id(start.tensor) not in taken]
    if idle and facts.only_input is None and not facts.has_columns:
        raise ConfigError(
            Problem((*ARRAYS, name), f'no layer takes the input "{name}"', f"take it by from: {name}, or remove it")
            for name in idle
        )


def refuse_misplaced(config: Config, facts: Facts) -> None:
    """Raise ConfigError for layers without effect, or with another effect, at their position."""
    lists = {LAYERS: config.model.layers, PREPROCESSING: config.data.preprocessing}
    lists[AUGMENTATION] = config.data.augmentation
    problems = [
        Problem((*place, index, entry.name), f"{entry.name} is fitted to the data", "it belongs at data.preprocessing")
        for place in (LAYERS, AUGMENTATION)
        for index, entry in enumerate(lists[place])
        if learns(entry)
    ]
    hint = "it belongs at data.augmentation, by itself"
    problems += [
        Problem(found, f"{entry.name} mixes examples and their labels", hint)
        for place, entries in lists.items()
        for found, entry in keras_objects_in(entries, place)
        if entry.name in MIXING and (len(found) > len(AUGMENTATION) + 2 or place != AUGMENTATION)
    ]
    what, hint = "several inputs", "begin model.layers with them"
    if facts.has_columns:
        what, hint = "columns", "data.inputs describes the preprocessing of each column"
    for place in (PREPROCESSING, AUGMENTATION):
        problems += [
            Problem((*place, index, entry.name, "from"), "these layers stand in a line", "remove it", at_key=True)
            for index, entry in enumerate(lists[place])
            if entry.sources
        ]
        if lists[place] and facts.only_input is None:
            problems.append(Problem(place, f"the data has {what}, and these layers take one input", hint, at_key=True))
    problems += scaled_twice(config, facts) + moved_targets(config, facts)
    problems += [
        Problem((*PREPROCESSING, index, entry.name), f"{entry.name} acts in training only", hint)
        for index, entry in enumerate(lists[PREPROCESSING])
        for where in ["data.augmentation" if entry.name.startswith(("Rand", "Aug")) else "model.layers"]
        for hint in ["write CenterCrop" if entry.name == "RandomCrop" else f"it belongs at {where}"]
        if entry.name.startswith(TRAINING_ONLY)
    ]
    ConfigError.refuse(problems)


def moved_targets(config: Config, facts: Facts) -> list[Problem]:
    """Return the problems of layers that would move an image and leave a target with the same axes where it is."""
    axes = facts.only_input.shape[:2] if facts.only_input is not None else ()
    masks = [
        f"target {name}, which has its axes,"
        for name, target in facts.targets.items()
        if len(axes) == 2 and target.shape[:2] == axes
    ]
    masks += ["input, which is the target," for head in heads_of(config) if head.target is None]
    return [
        Problem(
            (*place, index, entry.name),
            f"{entry.name} moves what an image shows, and the {masks[0]} would stay",
            "remove it, or augment images and targets together before training",
        )
        for place, entries in ((AUGMENTATION, config.data.augmentation), (LAYERS, config.model.layers))
        for index, entry in enumerate(entries)
        if masks and entry.name in MOVING
    ]


def scaled_twice(config: Config, facts: Facts) -> list[Problem]:
    """Return the problem of bytes that are scaled down, then again by a backbone, for which such images are black."""
    layers = config.model.layers
    backbone = next((index for index, entry in enumerate(layers) if entry.kind == "backbone"), None)
    if backbone is None or facts.only_input is None or facts.only_input.dtype != "uint8":
        return []
    network = layers[backbone].arguments.get("network")
    if network is not None and "scale" not in network:
        # A preset without a range of its own.
        return []
    before = [((*PREPROCESSING, index), entry) for index, entry in enumerate(config.data.preprocessing)]
    before += [((*LAYERS, index), entry) for index, entry in enumerate(layers[:backbone])]
    message = f"{layers[backbone].name} takes values of 0 to 255, and brings them into its own range itself"
    related = (((*LAYERS, backbone), "the backbone"),)
    return [
        Problem(place, message, "remove it", related=related)
        for place, entry in before
        if entry.name == "Rescaling" and isinstance(scale := entry.arguments.get("scale"), float) and scale < MOST_SCALE
    ]
