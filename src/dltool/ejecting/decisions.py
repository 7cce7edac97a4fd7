"""What becomes of every key of a config in an ejected script, see decisions.toml. A key without a decision is refused:
nothing is ejected by accident."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from dltool.config.choices import Choice
from dltool.config.columns import Target
from dltool.config.keras.objects import keras_objects_in
from dltool.config.outputs import heads_of
from dltool.config.schema import Config
from dltool.config.section import Section, keys_of
from dltool.config.sources import TABLE_SOURCES
from dltool.config.text.tree import format_path
from dltool.errors import ConfigError, Problem
from dltool.runs.files import Run
from dltool.runs.records import RunRecord
from dltool.text import quoted

DECISIONS = Path(__file__).with_name("decisions.toml")


@cache
def tables() -> Mapping[str, Any]:
    return tomllib.loads(DECISIONS.read_text("utf-8"))


@cache
def decisions() -> Mapping[str, tuple[str, str]]:
    """Return "faithful", "left out" or "refused" by config key, with words for the user."""
    found = dict.fromkeys(tables()["faithful"].split(), ("faithful", ""))
    for table, kind in (("left_out", "left out"), ("refused", "refused")):
        found |= {key: (kind, words) for key, words in tables()[table].items()}
    return found


def decision(key: str) -> tuple[str, str, str]:
    """Return the decision for a key such as "training.epochs", and the nearest key at or above it that has one."""
    parts = key.split(".")
    above = [".".join(parts[:depth]) for depth in range(len(parts), 0, -1)]
    # What is faithful is so by its own name: options may be added to a section.
    kinds = {each: decisions()[each][0] for each in above if each in decisions()}
    found = next((each for each, kind in kinds.items() if each == key or kind != "faithful"), None)
    return ("refused", "it is not known how", key) if found is None else (*decisions()[found], found)


def used_keys(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the keys at and below `key` whose values are not the defaults, such as "data.source.csv.path", and these
    values."""
    if isinstance(value, Section):
        for name, field in zip(type(value).model_fields, keys_of(type(value)).items(), strict=True):
            own = getattr(value, name)
            if field[1].is_required() or own != field[1].get_default(call_default_factory=True):
                yield from used_keys(own, f"{key}.{field[0]}" if key else field[0])
    elif isinstance(value, Choice):
        # All splits have the keys of the source.
        place = f"{'data.source' if key in ('data.validation', 'data.test') else key}.{value.name}"
        yield place, None
        yield from used_keys(value.options, place)
    elif isinstance(value, Target):
        yield from () if value.type is None else used_keys(value.type, key)
    else:
        inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else ()
        sections = [each for each in inner if isinstance(each, Section | Choice | Target)]
        yield from [each for section in sections for each in used_keys(section, key)] if sections else [(key, value)]


def refuse_unfaithful(run: Run, record: RunRecord, config: Config) -> None:
    """Raise ConfigError with everything in a run that no script could do faithfully. Imports no TensorFlow."""
    used = [*used_keys(config)]
    found = dict.fromkeys(decision(key) for key, _ in used)
    messages = [f"{key} cannot be ejected: {why}" for kind, why, key in found if kind == "refused"]
    for key, each in used:
        words = [word for word in (each if isinstance(each, tuple) else (each,)) if isinstance(word, str)]
        unknown = {*words}.difference(tables()["values"].get(key, words))
        messages += [f"{key} {word} cannot be ejected: it is not known how" for word in sorted(unknown)]
    messages += dict.fromkeys([*object_messages(config), *data_messages(config)])
    if run.whole is not None:
        messages.append(f"a fold or a further seed cannot be ejected: eject {run.whole.path}")
    elif not config.data.is_refit:
        messages.append(f"{run.path} has no model of its own to eject: data.final is {config.data.final}")
    if record.pinned.get("workers", 1) != 1:
        messages.append(f"{run.path} cannot be ejected: one script draws other random numbers than several workers")
    if record.most_rows is not None:
        messages.append(f"{run.path} cannot be ejected: it was trained on some rows alone")
    ConfigError.refuse(Problem(None, message) for message in messages)


def object_messages(config: Config) -> Iterator[str]:
    """Yield what is refused of Keras objects and of how they are used."""
    training = config.training
    entries = [*config.data.preprocessing, *config.data.augmentation, *config.model.layers, *training.callbacks]
    entries += [part.optimizer for part in training.parts]
    entries += [each for head in heads_of(config) for each in (head.loss, *head.metrics)]
    for _, each in keras_objects_in(entries, ()):
        if each.name in tables()["objects"]:
            yield f"{each.name} cannot be ejected: {tables()['objects'][each.name]}"
        if isinstance(each.arguments.get("vocabulary"), str):
            yield f"vocabulary of {each.name} cannot be ejected: it is in a file that may change"
        if each.kind == "optimizer" and each.arguments.get("use_ema"):
            yield f"{each.name} with use_ema cannot be ejected: {tables()['objects']['SwapEMAWeights']}"
    if training.phases is not None:
        for each in training.callbacks:
            yield f"{each.name} with phases cannot be ejected: Keras starts callbacks anew in each call of fit"
    if training.precision == "mixed_float16" and config.data.augmentation:
        yield "mixed_float16 with augmentation cannot be ejected: Keras would scale the loss of another model"
    weighted = training.class_weights or any(each.class_weights for each in config.model.outputs.values())
    if weighted and len(config.model.outputs) > 1:
        yield "class_weights of several outputs cannot be ejected: not all outputs have weights"
    for place in config._expressions:
        if "path" not in place and place[0] != "expect":
            yield f"{format_path(place)} cannot be ejected: the environment decides it"


def data_messages(config: Config) -> Iterator[str]:
    """Yield what is refused of how tables are read."""
    for name, kind in (config.data.inputs or {}).items():
        if kind.name == "number" and {"(", "-"} & {*getattr(kind.options, "strip", "")}:
            yield f"strip of {quoted(name)} cannot be ejected: it marks negative numbers"
        if "%q" in (getattr(kind.options, "format", None) or ""):
            yield f"format of {quoted(name)} cannot be ejected: pandas knows no quarters"
    if config.data.windows is not None and (config.training.class_weights or config.data.weights):
        yield "weights of windows cannot be ejected: a script weights the rows of a table"
    first = config.data.source
    for source in filter(None, (first, config.data.validation, config.data.test)):
        delimiter, same = getattr(source.options, "delimiter", ","), {"path": getattr(source.options, "path", None)}
        if len(delimiter) > 1 and delimiter != "whitespace":
            yield f"delimiter {quoted(delimiter)} cannot be ejected: it has several characters"
        if source.name in TABLE_SOURCES and source != replace(first, options=first.options.model_copy(update=same)):
            yield "data.validation and data.test cannot be ejected: they are read with other options than data.source"


def left_out(config: Config) -> list[str]:
    """Return what the header of the script says is not in it."""
    found = dict.fromkeys(
        words for key, _ in used_keys(config) for kind, words, _ in [decision(key)] if kind == "left out"
    )
    return [words for words in found if words]
