"""The settings that decide a run's bits and speed: seed, threads, and how steps are computed.

All follow from rules over config, model and data, never from a timing, so that a run can be repeated bit for bit."""

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.eager import context
from tensorflow.python.util import _pywrap_util_port

from dltool.config.keras.objects import KerasObject
from dltool.config.schema import Config
from dltool.cost.flops import forward_flops
from dltool.data.facts import Facts
from dltool.errors import ConfigError, MachineError
from dltool.imports import is_own_process
from dltool.keras_names import ALLOWED, find
from dltool.machine import usable_cores
from dltool.model.build import BuiltModel
from dltool.model.keras_objects import KERAS_ERRORS, make
from dltool.training.batches import BatchTables, Resident
from dltool.training.rewrites import possible_rewrites

WORTH_SHARING = 15e6
"""Floating-point operations of a step. Below about 20 million, more threads cost more than they save. Steps of 10
million took 1.07 ms with one thread and 1.48 ms with two (two cores)."""
BACKWARDS = 2
"""Operations of the backward pass, as a multiple of the forward pass."""
COUNTED = {
    *("Dense", "Conv1D", "Conv2D", "MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D"),
    *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D"),
    *("Flatten", "Reshape", "ZeroPadding1D", "ZeroPadding2D"),
}
"""Layers whose output shape Keras knows before anything is computed."""
KEEP_SHAPE = {
    *("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "BatchNormalization", "LayerNormalization"),
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianDropout", "GaussianNoise"),
    *("Rescaling", "Normalization"),
}
"""Layers that cost little beside those."""
SIZED = {"RandomElasticTransform"}
"""Layers that treat a batch of unknown size as a single example."""
LARGEST_OUTPUT_BYTES = 2**24
COMPILE_SECONDS = 0.5
REPAID = 2
"""XLA must save this multiple of its compile time."""
SAVED_A_STEP = 1e-4
SAVED_SHARE = 0.25
FLOPS_A_SECOND = 1.5e11
"""Measured on two cores: XLA saves about 0.1 ms of operation starts a step, and a quarter of the arithmetic's time,
mostly by fusing the optimizer's."""
GRAPPLER_SECONDS = 0.1
SAVED_BY_GRAPPLER = 0.6
"""Grappler, TensorFlow's optimizer of graphs, takes so long before the first step, and then saves so much of the
arithmetic's time, by fusing the operations of a layer. Small layers gain nothing (three dense models, two cores)."""
DENSE = {
    *("InputLayer", "Dense", "EinsumDense", "Flatten", "Reshape", "Permute", "RepeatVector", "Identity"),
    *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"),
    *("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization"),
    *("BatchNormalization", "LayerNormalization", "RMSNormalization", "UnitNormalization", "GroupNormalization"),
    *("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract"),
    *("Rescaling", "Normalization", "CategoryEncoding"),
}
"""Layers that XLA speeds up on a CPU. It slows down convolutions and loops over time."""


def pin(seed: int, threads: int | None = None) -> dict[str, Any]:
    """Set the seed, the number of threads, and on a GPU deterministic operations; return the settings for `run.json`.

    Threads default to TensorFlow's setting, else to the cores this process may use. They decide how sums are divided,
    and thus the last bits. Call this before TensorFlow's first operation.

    Raises MachineError: TensorFlow has already started with another number of threads."""
    keras.utils.set_random_seed(seed)
    # By default TensorFlow uses as many threads as there are cores.
    there = tf.config.threading.get_intra_op_parallelism_threads() or usable_cores()
    threads = there if threads is None else threads
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        if there != threads:
            message = "TensorFlow has started already, with another number of threads"
            raise MachineError(message, "begin with dltool in a new process") from error
    gpus = [device.name for device in tf.config.list_physical_devices("GPU")]
    if gpus:
        # A CPU is deterministic already, and this would turn XLA off.
        tf.config.experimental.enable_op_determinism()
    return {
        "seed": seed,
        "intra_op_threads": threads,
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
        "op_determinism": bool(gpus),
        "gpus": gpus,
        # Set in ~/.keras/keras.json.
        "keras": {name: getattr(keras.config, name)() for name in ("floatx", "epsilon", "image_data_format")},
        # Environment variables may have been set too late.
        "onednn": _pywrap_util_port.IsMklEnabled(),
    }


def choose_threads(config: Config, facts: Facts) -> tuple[int, str]:
    """Return a number of threads, and the reason."""
    if config.training.threads is not None:
        return config.training.threads, "the config says so"
    if not is_own_process():
        # A larger run may follow, and TensorFlow cannot change the number.
        return usable_cores(), "one for each core, for whatever else this process trains"
    flops = None if tf.config.list_physical_devices("GPU") else step_flops(config, facts)
    if flops is not None and flops < WORTH_SHARING:
        return 1, f"{flops:,.0f} operations a step are too few to share"
    return usable_cores(), "one for each core"


def step_flops(config: Config, facts: Facts) -> float | None:
    """Return the floating-point operations of a training step; None unless the model is a plain list of Keras layers.
    Runs no TensorFlow operation, after which the number of threads could not be set."""
    found, entries = facts.only_input, config.model.layers
    if found is None or config.data.augmentation or any(map(is_special, entries)):
        return None
    if not {entry.name for entry in config.data.preprocessing} <= KEEP_SHAPE:
        return None
    shape, total = found.shape, 0
    for entry in entries:
        if entry.name in KEEP_SHAPE:
            continue
        try:
            # The name keeps the default name free for the model's own layer.
            layer = make(bare(entry), name=entry.name)
            output = tuple(layer.compute_output_shape((None, *shape))[1:])
        except (ConfigError, *KERAS_ERRORS):
            # Building the model reports the error.
            return None
        flops = forward_flops(layer, [shape], output)
        if flops is None:
            return None
        total, shape = total + flops, output
    return total * (1 + BACKWARDS) * config.training.batch_size


def is_special(entry: KerasObject) -> bool:
    """Return whether a layer is unknown, not Keras's own, or does not take the previous output."""
    known = find(entry.kind, entry.name)
    is_plain = entry.kind == "layer" and entry.name in COUNTED | KEEP_SHAPE and known is not None and not known.code
    return not is_plain or bool(entry.sources) or entry.is_shared


def bare(entry: KerasObject) -> KerasObject:
    """Return the layer without initializers, regularizers and constraints: creating an L1 runs an operation."""
    given = entry.arguments.items()
    needed = {name: a for name, a in given if not isinstance(a, KerasObject) or a.kind == "activation"}
    return replace(entry, arguments=needed)


@dataclass(frozen=True)
class Strategy:
    """The choices that change a run's last bits. `why` holds the reason for each."""

    jit_compile: bool
    rewrites: bool
    why: Mapping[str, str]
    grappler: bool = True


def choose_strategy(
    config: Config, built: BuiltModel, tables: BatchTables, steps: int, is_cluster: bool = False
) -> Strategy:
    """Choose the strategy for a compiled model and `steps` steps in total."""
    if config.training.privacy is not None:
        why = "private steps have gradients of single examples"
        return Strategy(jit_compile=False, rewrites=False, why={"jit_compile": why, "rewrites": why})
    wanted = config.training.jit_compile
    rule = jit_rule(config, built, tables, steps) if wanted is None else (wanted, "the config says so", True)
    if is_cluster:
        rule = False, "XLA does not reach other workers", True
    jit_compile, why, grappler = rule
    found: tuple[str, ...] = ()
    if config.training.rewrites is False:
        reason = "the config says so"
    elif jit_compile:
        reason = "XLA does the same"
    else:
        found = possible_rewrites(built.core)
        reason = "; ".join(found) or "nothing to rewrite"
    of_grappler = "TensorFlow's default" if grappler else f"{steps:,} steps of small dense layers do not repay it"
    reasons = {"jit_compile": why, "rewrites": reason, "grappler": of_grappler}
    return Strategy(jit_compile, bool(found), reasons, grappler)


def jit_rule(config: Config, built: BuiltModel, tables: BatchTables, steps: int) -> tuple[bool, str, bool]:
    """Return whether XLA compiles the loop, the reason, and whether Grappler is worth its time otherwise."""
    if tf.config.list_physical_devices("GPU"):
        return False, "TensorFlow's own kernels are used on a GPU", True
    if config.training.precision != "float32":
        return False, "the precision is not float32", True
    if not isinstance(tables, Resident):
        return False, "the data does not fit in memory, and XLA compiles for one size of it", True
    models = [built.core, *tables.layout.in_step.values(), *([built.augmentation] if built.augmentation else [])]
    others = sorted({type(layer).__name__ for layer in layers_of(models)} - DENSE)
    if others:
        return False, f"XLA does not make {', '.join(others[:3])} faster on a CPU", True
    parameters = sum(math.prod(variable.shape) for variable in built.core.trainable_variables)
    arithmetic = steps * 6 * parameters * config.training.batch_size / FLOPS_A_SECOND
    if steps * SAVED_A_STEP + SAVED_SHARE * arithmetic < REPAID * COMPILE_SECONDS:
        few = f"{steps:,} steps are too few to repay compiling"
        return False, few, SAVED_BY_GRAPPLER * arithmetic >= GRAPPLER_SECONDS
    return True, f"dense layers only, and {steps:,} steps repay compiling", True


@contextlib.contextmanager
def grappler_off(is_used: bool) -> Iterator[None]:
    """Trace and call compiled functions without Grappler within the block, unless it `is_used`."""
    process = context.context()
    own = process.function_call_options
    if not is_used:
        # TensorFlow's public option would be for the whole process, and takes longer to set.
        options = config_pb2.ConfigProto.FromString(own.config_proto_serialized)
        options.graph_options.rewrite_options.disable_meta_optimizer = True
        process.function_call_options = context.FunctionCallOptions(own.executor_type, options)
    try:
        yield
    finally:
        process.function_call_options = own


def takes_any_size(core: keras.Model, augmentation: keras.Model | None = None, has_losses: bool = True) -> bool:
    """Return whether one trace computes the same for batches of every size. With several outputs, Keras's losses count
    the examples while tracing. Some layers do too, and the user's may."""
    models = [core] if augmentation is None else [core, augmentation]
    layers = {type(layer).__name__ for layer in layers_of(models)}
    return (len(core.outputs) == 1 or not has_losses) and not ALLOWED and layers.isdisjoint(SIZED)


def layers_of(models: Iterable[keras.Model]) -> Iterable[Any]:
    for model in models:
        for layer in model._flatten_layers(include_self=False):
            if not isinstance(layer, keras.Model):
                yield layer


def evaluation_batch(built: BuiltModel, batch_size: int) -> int:
    """Return the evaluation batch size: the largest power of two at which no input or output exceeds 16 MiB. It lies
    between 32 and 4096; `batch_size` if a shape is unknown. A timing could give the same rows other bits."""
    inputs = [tuple(tensor.shape[1:]) for tensor in built.core.inputs]
    sizes = [math.prod(size or 0 for size in shape) for shape in (*inputs, *(x.output_shape for x in built.layers))]
    if 0 in sizes:
        return batch_size
    fitting = LARGEST_OUTPUT_BYTES // (4 * max(1, *sizes))
    return int(min(4096, max(32, 2 ** (max(1, fitting).bit_length() - 1))))
