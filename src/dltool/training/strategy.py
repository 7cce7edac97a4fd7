"""How the steps of a training are computed, by rules over config, model and data.

What changes bits is never decided by a timing: the same config on the same machine must give the same bits again.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from dltool.config.schema import Config
from dltool.model.build import BuiltModel
from dltool.training.batches import BatchTables, Resident
from dltool.training.rewrites import possible_rewrites

LARGEST_OUTPUT_BYTES = 2**24
COMPILE_SECONDS = 0.5
REPAID = 2
"""XLA must save so many times the seconds that it takes to compile."""
SAVED_A_STEP = 1e-4
SAVED_SHARE = 0.25
FLOPS_A_SECOND = 1.5e11
"""Measured on two cores: XLA saves about 0.1 ms a step of starting operations, and a quarter of the arithmetic's time,
most of it by fusing the optimizer's."""
DENSE = {
    *("InputLayer", "Dense", "EinsumDense", "Flatten", "Reshape", "Permute", "RepeatVector", "Identity"),
    *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"),
    *("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization"),
    *("BatchNormalization", "LayerNormalization", "RMSNormalization", "UnitNormalization", "GroupNormalization"),
    *("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract"),
    *("Rescaling", "Normalization", "CategoryEncoding"),
}
"""Layers of which XLA makes faster code on a CPU. It makes slower code of convolutions, and of loops over time."""


@dataclass(frozen=True)
class Strategy:
    """What changes the last bits of a training. `why` says of each part in words what decided it."""

    jit_compile: bool
    rewrites: bool
    why: Mapping[str, str]

    def record(self) -> dict[str, Any]:
        """For run.json."""
        return {"jit_compile": self.jit_compile, "rewrites": self.rewrites, "why": dict(self.why)}

    def without_jit(self, reason: str) -> "Strategy":
        return Strategy(False, self.rewrites, {**self.why, "jit_compile": reason})


def choose_strategy(config: Config, built: BuiltModel, tables: BatchTables, steps: int) -> Strategy:
    """For a compiled model, and `steps` steps in all."""
    wanted = config.training.jit_compile
    jit_compile, why = (wanted, "the config says so") if wanted is not None else jit_rule(config, built, tables, steps)
    found: tuple[str, ...] = ()
    if config.training.rewrites is False:
        reason = "the config says so"
    elif jit_compile:
        reason = "XLA does the same"
    else:
        found = possible_rewrites(built.core)
        reason = "; ".join(found) or "nothing to rewrite"
    return Strategy(jit_compile, bool(found), {"jit_compile": why, "rewrites": reason})


def jit_rule(config: Config, built: BuiltModel, tables: BatchTables, steps: int) -> tuple[bool, str]:
    """Whether XLA compiles the loop, and why."""
    if tf.config.list_physical_devices("GPU"):
        return False, "TensorFlow's own kernels are used on a GPU"
    if config.training.precision != "float32":
        return False, "the precision is not float32"
    if not isinstance(tables, Resident):
        return False, "the data does not fit in memory, and XLA compiles for one size of it"
    models = [built.core, *tables.layout.in_step.values(), *([built.augmentation] if built.augmentation else [])]
    others = sorted({type(layer).__name__ for layer in layers_of(models)} - DENSE)
    if others:
        return False, f"XLA does not make {', '.join(others[:3])} faster on a CPU"
    parameters = sum(math.prod(variable.shape) for variable in built.core.trainable_variables)
    arithmetic = 6 * parameters * config.training.batch_size / FLOPS_A_SECOND
    saved = steps * (SAVED_A_STEP + SAVED_SHARE * arithmetic)
    if saved < REPAID * COMPILE_SECONDS:
        return False, f"{steps:,} steps are too few to repay compiling"
    return True, f"dense layers only, and {steps:,} steps repay compiling"


def layers_of(models: Iterable[keras.Model]) -> Iterable[Any]:
    for model in models:
        for layer in model._flatten_layers(include_self=False):
            if not isinstance(layer, keras.Model):
                yield layer


def evaluation_batch(built: BuiltModel, batch_size: int) -> int:
    """Rows a step when nothing is learnt: the largest power of two at which no input or output exceeds 16 MiB.

    Between 32 and 4096; `batch_size` where a shape is not known. A rule and not a timing, so that the same rows always
    give the same bits.
    """
    inputs = [tuple(tensor.shape[1:]) for tensor in built.core.inputs]
    sizes = [math.prod(size or 0 for size in shape) for shape in (*inputs, *(x.output_shape for x in built.layers))]
    if 0 in sizes:
        return batch_size
    fitting = LARGEST_OUTPUT_BYTES // (4 * max(1, *sizes))
    return int(min(4096, max(32, 2 ** (max(1, fitting).bit_length() - 1))))
