"""What a run can become, foreseen from its config and the facts of its data. Imports nothing heavy."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dltool.config.columns import CategoryColumn, DateColumn, NumberColumn, TextColumn
from dltool.config.keras.objects import keras_objects_in
from dltool.config.presets import tokenizers
from dltool.config.schema import Config
from dltool.data.facts import Facts, InputFacts
from dltool.errors import ConfigError, MachineError
from dltool.installation import install_extra
from dltool.text import did_you_mean, joined, listed, near

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "saved_model": (),
    "onnx": ("onnx", "onnxruntime", "tf2onnx"),
    "litert": ("ai_edge_litert",),
    "openvino": ("openvino", "onnx", "onnxruntime", "tf2onnx"),
}
"""The formats, with the packages of each, which are the extra of the same name."""
FILES: Mapping[str, str] = {
    "saved_model": "1/",
    "onnx": "model.onnx",
    "litert": "model.tflite",
    "openvino": "model.xml",
}
CHECK = "check.json"
"""The record of the check, beside the file."""
RECURRENT = ("LSTM", "GRU", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "RNN")
MASKED = "a mask"
STRINGS = (("Hashing", "HashedCrossing", "StringLookup"), "{} has no form there")
"""Layers that take strings, besides TextVectorization."""
LOOKUP = (("IntegerLookup",), "tf2onnx cannot convert {}")
LOOPED = "OpenVINO cannot convert {} layers, which are loops in ONNX"
LOOPS = ("GRU", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GRUCell", "SimpleRNNCell", "StackedRNNCells")
"""Layers that are loops in ONNX. LSTM, and RNN with LSTMCell, are so behind a mask alone."""
POOLS = ("AveragePooling3D", "MaxPooling3D", "AdaptiveAveragePooling3D", "AdaptiveMaxPooling3D")
REFUSED: Mapping[str, tuple[tuple[Sequence[str], str], ...]] = {
    "onnx": (STRINGS, LOOKUP),
    "litert": (
        STRINGS,
        (("IntegerLookup",), "LiteRT has no lookup tables: {}"),
        ((*POOLS, "CategoryEncoding"), "LiteRT has no {}"),
        (("UnitNormalization",), "LiteRT gives NaN for {} of zeros"),
    ),
    "openvino": (
        STRINGS,
        LOOKUP,
        (LOOPS, LOOPED),
        (("AutoContrast",), "OpenVINO gives other values for {} of images of one colour"),
    ),
}
"""Layers that a format lacks, and why."""


@dataclass(frozen=True)
class Forecast:
    """Whether a run can have an export of this format; else `why` not. `outside` are the inputs that programs of the
    export preprocess before the file, in which their layers have no form."""

    format: str
    outside: tuple[str, ...] = ()
    why: str = ""
    has_own_code: bool = False

    @property
    def missing_packages(self) -> list[str]:
        """Return the packages that the export needs and this environment lacks."""
        return [package for package in PACKAGES[self.format] if importlib.util.find_spec(package) is None]

    @property
    def description(self) -> str:
        if self.why:
            return self.why
        beside = f"{listed(self.outside, 3)} preprocessed by preprocess.py" if self.outside else "one file, raw inputs"
        return f"{beside}; with own code, found out by the check" if self.has_own_code else beside


def forecasts(config: Config, facts: Facts, batch: int | None = None, has_own_code: bool = False) -> list[Forecast]:
    """Return the forecast of each format, for batches of any size or of a fixed one."""
    entries = [entry for _, entry in keras_objects_in((config.model.layers, config.data.preprocessing), ())]
    layers = {entry.name for entry in entries}
    if any(entry.name == "Masking" or entry.arguments.get("mask_zero") for entry in entries):
        layers.add(MASKED)
    return [
        Forecast(
            name,
            tuple(input_ for input_, found in facts.inputs.items() if is_outside(name, config, found)),
            why_not(name, config, layers, batch),
            has_own_code,
        )
        for name in PACKAGES
    ]


def is_outside(name: str, config: Config, found: InputFacts) -> bool:
    """Return whether an input is preprocessed before the file of this format. Categories in ONNX are not: they become a
    node of the file."""
    if name == "saved_model":
        return False
    if found.column is None or (found.dtype == "string" and config.data.preprocessing):
        return found.dtype == "string"
    options = found.column.options
    if isinstance(options, TextColumn):
        return True
    if name == "onnx":
        return False
    # LiteRT has no float64 and cannot divide int64; OpenVINO computes them with 32 bits.
    if isinstance(options, NumberColumn):
        return options.scale == "log" or found.dtype == "float64"
    return isinstance(options, CategoryColumn | DateColumn)


def why_not(name: str, config: Config, layers: set[str], batch: int | None) -> str:
    """Return why there is no such export; empty if there is."""
    if any(tokenizers(config)):
        return "the program of an export would need the tokenizer of KerasHub"
    if name == "saved_model":
        return ""
    reasons = [*REFUSED[name]]
    if name == "openvino" and MASKED in layers:
        reasons.append((RECURRENT, LOOPED))
    if name == "litert" and batch is None:
        reasons.append((RECURRENT, "LiteRT has {} layers for batches of a fixed size only: --batch 1"))
    for names, reason in reasons:
        if found := [each for each in names if each in layers]:
            return reason.format(joined(found, "and"))
    first, *others = [entry.name for entry in config.data.preprocessing] or [""]
    if "TextVectorization" in layers and (first != "TextVectorization" or others):
        return "TextVectorization is not the only layer of data.preprocessing"
    if config.training.precision == "float64":
        return "the model computes with float64" if name == "litert" else ""
    return ""


def chosen(forecast: Sequence[Forecast], names: Sequence[str]) -> list[Forecast]:
    """Return the forecasts of the formats called `names`, of which "all" are those that are possible.

    Raises ConfigError: a format is unknown or impossible; MachineError: a package is missing."""
    by_name = {each.format: each for each in forecast}
    if names == ["all"]:
        return [each for each in forecast if not each.why and not each.missing_packages]
    for name in names:
        if name not in by_name:
            hint = did_you_mean(near(name, by_name)) or f"expected {joined([*by_name, 'all'], 'or')}"
            raise ConfigError(f'unknown format "{name}"', hint)
        if by_name[name].why:
            raise ConfigError(f"{name}: {by_name[name].why}", "dltool export RUN lists what is possible")
        if missing := by_name[name].missing_packages:
            raise MachineError(f"{name} needs {joined(missing, 'and')}", install_extra(name))
    return [by_name[name] for name in dict.fromkeys(names)]
