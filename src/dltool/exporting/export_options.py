"""The options of `dltool export`, checked before anything heavy is imported."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dltool.errors import ConfigError
from dltool.text import did_you_mean, joined, near

PRECISIONS = ("float32", "float16", "dynamic_int8", "int8")
EXACT, COARSE = 1e-5, 5e-3
"""Tolerances of float32 and of 16 bits, as shares of an output's range."""
ALLOWED_LOSS = 0.01
Engine = Literal["auto", "tensorflow", "onnx"]
"""What computes the model of a run; "auto" is its verified ONNX export, if it has one."""


@dataclass(frozen=True)
class ExportLimits:
    """What an export may differ by: `tolerance` of the range of an output; or, with `loss`, its score on test rows by
    so much: accuracy by this difference, an error by this share of it."""

    tolerance: float
    loss: float | None = None


@dataclass(frozen=True)
class ExportOptions:
    """How to export: see `dltool export --help`."""

    precision: str = "float32"
    calibration: int = 500
    batch: int | None = None
    tolerance: float | None = None
    allowed_loss: float | None = None
    layout: str | None = None

    @property
    def is_int8(self) -> bool:
        return self.precision.endswith("int8")

    def limits(self, training_precision: str) -> ExportLimits:
        """Return what the check allows for a model that was trained with this precision."""
        has_16_bits = self.precision == "float16" or training_precision.startswith("mixed_")
        tolerance = self.tolerance or (COARSE if has_16_bits else EXACT)
        loss = ALLOWED_LOSS if self.allowed_loss is None else self.allowed_loss
        return ExportLimits(tolerance, loss if self.is_int8 and self.tolerance is None else None)

    def folder(self, form: str) -> str:
        """Return the name of the folder of an export."""
        return form if self.precision == "float32" else f"{form}-{self.precision}"

    def refuse(self, formats: Sequence[str]) -> None:
        """Raise ConfigError: an option is wrong, or does nothing for these formats."""
        if self.precision not in PRECISIONS:
            hint = did_you_mean(near(self.precision, PRECISIONS)) or f"expected {joined(PRECISIONS, 'or')}"
            raise ConfigError(f'--precision: unknown precision "{self.precision}"', hint)
        for option, is_set, only in (
            ("--precision", self.precision != "float32", ["litert"]),
            ("--batch", self.batch is not None, ["litert"]),
            ("--layout", self.layout is not None, ["onnx"]),
        ):
            others = [each for each in formats if each not in only]
            if is_set and others:
                raise ConfigError(f"{option} does nothing for {joined(others, 'and')}", f"it is for {only[0]} alone")
        if self.allowed_loss is not None and not self.is_int8:
            raise ConfigError("--allow-loss is for --precision int8 and dynamic_int8", "omit it, or set --tolerance")
        if self.layout not in (None, "triton"):
            raise ConfigError(f'--layout: unknown layout "{self.layout}"', "expected triton")
        for option, value in (("--batch", self.batch), ("--calibration", self.calibration)):
            if value is not None and value < 1:
                raise ConfigError(f"{option}: expected at least 1, got {value}")
        if self.tolerance is not None and not 0 < self.tolerance <= 1:
            raise ConfigError(f"--tolerance: expected a share above 0 and at most 1, got {self.tolerance:g}")


def share_of(text: str | None) -> float | None:
    """Return the number of "0.5%" or "0.005". Raises ConfigError."""
    if text is None:
        return None
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ConfigError(f"--allow-loss: expected a share, got {text}", "for example --allow-loss 0.5%")
    return number
