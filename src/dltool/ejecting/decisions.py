"""What becomes of every key of a config in an ejected script: it is in the script, left out, or cannot be ejected.

A key that none of the three tables covers is refused: nothing is ejected by accident."""

from collections.abc import Iterator, Mapping
from typing import Any

from dltool.config.columns import Target
from dltool.config.file_columns import FileColumn
from dltool.config.keras.objects import KerasObject, keras_objects_in
from dltool.config.schema import Config
from dltool.config.section import Section, keys_of
from dltool.config.choices import Choice
from dltool.data.facts import Facts
from dltool.errors import ConfigError, Problem
from dltool.runs.files import Run
from dltool.runs.records import RunRecord
from dltool.text import quoted

FAITHFUL = frozenset(
    """
    name seed
    data.source data.validation data.test data.inputs data.target data.weights data.preprocessing data.augmentation
    data.split.validation data.split.test data.split.stratify data.split.group data.split.order data.split.column
    data.split.use data.split.seed
    data.source.digits data.source.iris data.source.wine data.source.breast_cancer data.source.diabetes
    data.source.mnist data.source.fashion_mnist data.source.cifar10 data.source.cifar100
    data.source.cifar100.label_mode data.source.imdb data.source.imdb.num_words data.source.imdb.length
    data.source.reuters data.source.reuters.num_words data.source.reuters.length
    data.source.california_housing data.source.california_housing.version data.source.mnist.path
    data.source.arrays data.source.arrays.path data.source.arrays.x data.source.arrays.y
    data.source.csv data.source.csv.path data.source.csv.header data.source.csv.names data.source.csv.missing
    data.source.csv.skip_rows data.source.csv.delimiter data.source.csv.encoding data.source.csv.quote
    data.source.csv.escape data.source.csv.decimal
    data.source.tsv data.source.tsv.path data.source.tsv.header data.source.tsv.names data.source.tsv.missing
    data.source.tsv.skip_rows data.source.tsv.delimiter data.source.tsv.encoding data.source.tsv.quote
    data.source.tsv.escape data.source.tsv.decimal
    data.source.json_lines data.source.json_lines.path data.source.parquet data.source.parquet.path
    data.source.feather data.source.feather.path data.source.orc data.source.orc.path
    data.inputs.number data.inputs.number.missing data.inputs.number.scale data.inputs.number.pieces
    data.inputs.number.indicator data.inputs.number.thousands data.inputs.number.decimal data.inputs.number.strip
    data.inputs.category data.inputs.category.min_count data.inputs.category.unknown data.inputs.category.missing
    data.inputs.category.embedding data.inputs.category.strip data.inputs.category.case data.inputs.category.replace
    data.inputs.boolean data.inputs.boolean.missing data.inputs.boolean.indicator
    data.inputs.date data.inputs.date.parts data.inputs.date.format data.inputs.date.missing
    data.inputs.text data.inputs.text.max_tokens data.inputs.text.length data.inputs.text.output_mode
    data.inputs.text.ngrams data.inputs.text.standardize data.inputs.text.split
    data.inputs.ignore
    data.target.category data.target.category.missing data.target.category.strip data.target.category.case
    data.target.category.replace data.target.category.positive data.target.index data.target.index.classes
    data.target.number data.target.number.missing data.target.number.thousands data.target.number.decimal
    data.target.number.strip data.target.number.scale data.target.multi_label data.target.multi_label.separator
    data.target.input
    model.blocks model.layers model.outputs
    training.optimizer training.no_weight_decay training.loss training.metrics training.batch_size training.epochs
    training.phases.epochs training.phases.optimizer training.phases.trainable training.callbacks
    training.class_weights training.precision training.jit_compile training.threads
    training.checkpoint.monitor training.checkpoint.mode
    """.split()
)
"""Keys that the script does what the run did with. A key stands for those below it, here and in the other tables."""

LEFT_OUT: Mapping[str, str] = {
    "data.slices": "the comparison of groups of examples",
    "data.cache": "",
    "training.rewrites": "",
    "training.checkpoint.every": "checkpoints to resume from: keras.callbacks.BackupAndRestore keeps some",
    "training.threshold": "the choice of a decision threshold: metrics of the test are those at 0.5",
    "model.outputs.threshold": "the choice of a decision threshold: metrics of the test are those at 0.5",
    "training.seeds": "the trainings with further seeds",
    "data.split.folds": "the folds of the cross-validation",
    "data.split.repeats": "",
    "data.split.gap": "",
    "data.split.window": "",
    "data.final": "",
    "search": "",
    "explain": "explanations of predictions",
    "track": "tracking",
    "expect": "bounds on the results",
    "cost": "what computing costs",
}
"""Keys that change neither weights nor losses, with what the script's header says of them, if anything."""

OWN_DECODING = "dltool decodes, resizes and orders these files by code of its own"
REFUSED: Mapping[str, str] = {
    "data.windows": "windows of time series are cut by code of dltool's own",
    "data.source.excel": "cells of a workbook are read by rules of dltool's own; save the sheet as CSV",
    "data.source.sql": "a script would hold the address of the database; export the rows as CSV",
    "data.source.images": OWN_DECODING,
    "data.source.audio": OWN_DECODING,
    "data.source.text": "dltool reads and orders these files by code of its own",
    "data.source.csv.comment": "pandas also cuts lines at a comment in their middle",
    "data.source.tsv.comment": "pandas also cuts lines at a comment in their middle",
    "data.source.fashion_mnist.path": "keras.datasets reads its own file alone",
    "data.source.cifar10.path": "keras.datasets reads its own file alone",
    "data.source.cifar100.path": "keras.datasets reads its own file alone",
    "data.source.imdb.path": "keras.datasets reads its own file alone",
    "data.source.reuters.path": "keras.datasets reads its own file alone",
    "data.source.california_housing.path": "keras.datasets reads its own file alone",
    "data.inputs.image": OWN_DECODING,
    "data.inputs.audio": OWN_DECODING,
    "data.split.fold": "a fold alone is divided by rules of its own; eject the whole run",
    "data.split.repeat": "a fold alone is divided by rules of its own; eject the whole run",
    "model.start": "the weights that the model starts with lie in other files",
    "training.phases.lora": "the matrices of LoRA are added by code of dltool's own",
    "training.privacy": "the noise of private training is secret, and its steps are dltool's own",
}
"""Keys that cannot be ejected, each with the reason."""

NO_KERAS = {
    "MixUp": "it mixes targets too, in a step of dltool's own",
    "CutMix": "it mixes targets too, in a step of dltool's own",
    "Quantile": "Keras has no such loss",
    "SwapEMAWeights": "dltool validates averaged weights by code of its own",
}
"""Objects of a config that no plain script has."""


def decision(key: str) -> str:
    """Return "faithful", "left out" or "refused" for a config key, such as "training.epochs"; empty if no table covers
    it. The nearest key above it counts."""
    tables = {"faithful": FAITHFUL, "left out": LEFT_OUT, "refused": REFUSED}
    parts = key.split(".")
    for depth in range(len(parts), 0, -1):
        above = ".".join(parts[:depth])
        for name, keys in tables.items():
            if above in keys:
                return name
    return ""


def used_keys(section: Section, above: str = "") -> Iterator[str]:
    """Yield the keys of a config whose values are not the defaults, such as "data.source.csv.path"."""
    for key, field in keys_of(type(section)).items():
        name = next(each for each, own in type(section).model_fields.items() if own is field)
        value = getattr(section, name)
        if field.is_required() or value != field.get_default(call_default_factory=True):
            yield from keys_below(value, f"{above}{key}")


def keys_below(value: Any, key: str) -> Iterator[str]:
    """Yield the keys of one value, whose own key is `key`."""
    if isinstance(value, Section):
        yield from used_keys(value, f"{key}.")
    elif isinstance(value, Choice):
        # Splits have the keys of the source.
        place = f"{'data.source' if key in ('data.validation', 'data.test') else key}.{value.name}"
        yield place
        yield from used_keys(value.options, f"{place}.")
    elif isinstance(value, Target):
        yield from () if value.type is None else keys_below(value.type, key)
    elif isinstance(value, Mapping) and any(isinstance(each, Section | Choice) for each in value.values()):
        for each in value.values():
            yield from keys_below(each, key)
    elif isinstance(value, tuple) and any(isinstance(each, Section | Target) for each in value):
        for each in value:
            yield from keys_below(each, key)
    else:
        yield key


def refuse_unfaithful(run: Run, record: RunRecord, config: Config, facts: Facts) -> None:
    """Raise ConfigError with everything in a run that no script could do faithfully. Imports no TensorFlow."""
    reasons = {key: reason_of(key) for key in dict.fromkeys(used_keys(config)) if decision(key) in ("", "refused")}
    problems = [Problem(None, f"{key} cannot be ejected: {reason}") for key, reason in reasons.items()]
    problems += [Problem(None, message) for message in value_messages(config)]
    if run.whole is not None:
        problems.append(Problem(None, "a fold or a further seed cannot be ejected", f"eject {run.whole.path}"))
    elif not config.data.is_refit:
        problems.append(Problem(None, f"{run.path} has no model of its own: data.final is {config.data.final}"))
    if record.most_rows is not None:
        problems.append(Problem(None, f"{run.path} was trained on {record.most_rows:,} rows of each split alone"))
    ConfigError.refuse(problems)


def reason_of(key: str) -> str:
    parts = key.split(".")
    above = (".".join(parts[:depth]) for depth in range(len(parts), 0, -1))
    return next((REFUSED[each] for each in above if each in REFUSED), "it is not known how")


def value_messages(config: Config) -> Iterator[str]:
    """Yield what is refused for its value, of keys that the script has otherwise."""
    objects: list[tuple[str, KerasObject]] = []
    for section in (config.data, config.model, config.training):
        objects += [(".".join(map(str, place)), each) for place, each in keras_objects_in(dict(section), ())]
    for _, each in objects:
        if each.name in NO_KERAS:
            yield f"{each.name} cannot be ejected: {NO_KERAS[each.name]}"
        if each.kind == "optimizer" and each.arguments.get("use_ema"):
            yield f"{each.name} with use_ema cannot be ejected: {NO_KERAS['SwapEMAWeights']}"
    if config.training.phases is not None:
        for each in config.training.callbacks:
            yield f"{each.name} with phases cannot be ejected: Keras starts callbacks anew in each call of fit"
    if config.data.augmentation and config.training.precision == "mixed_float16":
        yield "mixed_float16 with augmentation cannot be ejected: Keras would scale the loss of another model"
    for name, kind in (config.data.inputs or {}).items():
        strip = getattr(kind.options, "strip", "")
        if kind.name == "number" and ("(" in strip or "-" in strip):
            yield f"data.inputs.{quoted(name)}.number.strip {quoted(strip)} cannot be ejected: it marks negative numbers"
        if isinstance(kind.options, FileColumn):
            continue
        if "%q" in (getattr(kind.options, "format", None) or ""):
            yield f"data.inputs.{quoted(name)}.date.format cannot be ejected: pandas knows no quarters"
    for role in ("source", "validation", "test"):
        source = getattr(config.data, role)
        options = None if source is None else source.options
        if not isinstance(getattr(options, "path", None), str | tuple | None):
            continue
        delimiter = getattr(options, "delimiter", ",")
        if len(delimiter) > 1 and delimiter != "whitespace":
            yield f"data.{role}.{source.name}.delimiter {quoted(delimiter)} cannot be ejected: it has several characters"
    for place in config._expressions:
        if "path" not in place and place[:1] == ("training",) or place[:1] == ("model",):
            yield f"{'.'.join(map(str, place))} cannot be ejected: its value comes from the environment"


def left_out(config: Config) -> list[str]:
    """Return what the script's header says is not in it."""
    parts = (LEFT_OUT.get(key) or LEFT_OUT.get(key.split(".")[0], "") for key in used_keys(config))
    return [each for each in dict.fromkeys(parts) if each]
