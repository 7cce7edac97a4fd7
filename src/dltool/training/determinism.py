"""What changes the bits of a result, pinned."""

from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.util import _pywrap_util_port

from dltool.errors import MachineError
from dltool.machine import usable_cores


def pin(seed: int, threads: int | None = None) -> dict[str, Any]:
    """Set the seed, the number of threads (default: what TensorFlow was told, or else the cores this process may use)
    and, where a GPU is visible, deterministic operations. Call it before TensorFlow runs its first operation. Gives
    what was pinned, for `run.json`.

    The number of threads decides how sums are divided, and so the last bits of a result.

    Raises:
        MachineError: TensorFlow has started already, with another number of threads.
    """
    keras.utils.set_random_seed(seed)
    # Unless it was told, TensorFlow takes as many as there are cores.
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
        # On a CPU everything is deterministic already, and this would turn XLA off.
        tf.config.experimental.enable_op_determinism()
    return {
        "seed": seed,
        "intra_op_threads": threads,
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
        "op_determinism": bool(gpus),
        "gpus": gpus,
        # Of ~/.keras/keras.json.
        "keras": {
            "floatx": keras.config.floatx(),
            "epsilon": keras.config.epsilon(),
            "image_data_format": keras.config.image_data_format(),
        },
        # What the environment says may have come too late.
        "onednn": _pywrap_util_port.IsMklEnabled(),
    }
