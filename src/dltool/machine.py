"""The environment of a run: the machine, the versions, the commit of its config. Imports nothing heavy."""

import ctypes
import gc
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dltool import __version__
from dltool.imports import is_own_process

PACKAGES = ("tensorflow", "keras", "numpy", "pillow")
VARIABLES: Mapping[str, str] = {
    "CUDA_VISIBLE_DEVICES": "Which GPUs TensorFlow sees; empty for none.",
    "DNNL_DEFAULT_FPMATH_MODE": "Older name of `ONEDNN_DEFAULT_FPMATH_MODE`.",
    "DNNL_MAX_CPU_ISA": "Older name of `ONEDNN_MAX_CPU_ISA`.",
    "KERAS_BACKEND": "Keras's backend; dltool needs `tensorflow`.",
    "NVIDIA_TF32_OVERRIDE": "Whether GPUs may compute in TF32.",
    "OMP_NUM_THREADS": "The number of threads of OpenMP.",
    "ONEDNN_DEFAULT_FPMATH_MODE": "The precision that oneDNN may use for float32.",
    "ONEDNN_MAX_CPU_ISA": "The instruction set that oneDNN may use.",
    "TF_CUDNN_DETERMINISTIC": "Whether cuDNN's deterministic algorithms are used.",
    "TF_DETERMINISTIC_OPS": "Whether TensorFlow's deterministic operations are used.",
    "TF_NUM_INTEROP_THREADS": "The number of operations that TensorFlow runs at the same time.",
    "TF_NUM_INTRAOP_THREADS": "The number of threads of one operation.",
    "TF_XLA_FLAGS": "Options of TensorFlow's XLA bridge.",
    "XLA_FLAGS": "Options of XLA.",
}
"""Variables that may change the bits of a result, or its device. Those that are set are recorded in run.json.

The use of oneDNN is not among them: TensorFlow itself reports that."""
OTHER_VARIABLES: Mapping[str, str] = {
    "COLUMNS": "The width of the terminal, if it is not the real one.",
    "DLTOOL_CACHE": "The folder for decoded images; `dltool` in `XDG_CACHE_HOME` by default.",
    "KERAS_HOME": "The folder of Keras's settings, datasets and weights; `~/.keras` by default.",
    "MLFLOW_EXPERIMENT_NAME": "The experiment that MLflow adds runs to; the run's name by default.",
    "MLFLOW_TRACKING_URI": "Where MLflow writes; `mlflow.db` beside the runs by default.",
    "SLURM_PROCID": "With `--cluster slurm`: the worker that this is. Others of Slurm's variables name the machines.",
    "TERM": "`dumb` prints plain lines instead of a live table.",
    "TF_CONFIG": "The addresses of the workers that train together, and which one this is; launchers set it.",
    "TF_ENABLE_ONEDNN_OPTS": "`0` turns oneDNN off. dltool turns it on; convolutions then train up to twice as fast.",
    "TF_FORCE_GPU_ALLOW_GROWTH": "`false` takes all memory of a GPU at once. dltool sets `true`.",
    "XDG_CACHE_HOME": "The folder of caches; `~/.cache` by default.",
}
"""Further variables that dltool reads, besides those that a config names as `$(env.NAME)`."""
# oneDNN's documentation says so; set to these, they are as good as not set.
DEFAULTS = {
    **dict.fromkeys(("DNNL_DEFAULT_FPMATH_MODE", "ONEDNN_DEFAULT_FPMATH_MODE"), "STRICT"),
    **dict.fromkeys(("DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA"), "ALL"),
}
# Kernels are chosen by these.
CPU_FEATURES = (
    *("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8"),
    *("asimd", "asimddp", "bf16", "i8mm", "sve"),
)
GIT_SECONDS = 5
MOST_THREADS = 4096


def describe_machine() -> dict[str, Any]:
    """For run.json. Memory is in bytes; a version is None where the package is missing. Names no host and no user."""
    variables = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cpu_features": cpu_features(),
        "cores": usable_cores(),
        "memory": usable_memory(),
        "versions": {"dltool": __version__, **{package: installed_version(package) for package in PACKAGES}},
        "environment": {name: value for name, value in variables.items() if value.upper() != DEFAULTS.get(name)},
    }


def installed_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def usable_cores() -> int:
    """Return the number of cores this process may run on; TensorFlow takes as many threads."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_memory() -> int:
    """Return the bytes of main memory, or of the container's share if that is less."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = system_text(Path("/sys/fs/cgroup/memory.max")).strip()
    return min(memory, int(limit)) if limit.isdigit() else memory


def cpu_name() -> str:
    """Return the model's name as the system gives it, or else the architecture."""
    name = _cpuinfo().get("model name")
    if not name and platform.system() == "Darwin":
        name = _output("sysctl", "-n", "machdep.cpu.brand_string")
    return name or platform.machine()


def cpu_features() -> list[str]:
    """Return those of `CPU_FEATURES` that the processor has; empty if the system does not report them."""
    cpuinfo = _cpuinfo()
    flags = (cpuinfo.get("flags") or cpuinfo.get("Features") or "").split()
    return [feature for feature in CPU_FEATURES if feature in flags]


def git_commit(directory: Path) -> dict[str, Any] | None:
    """Return the commit of the checkout that holds `directory`, and whether tracked files differ from it. None outside
    a checkout, or without git. `dirty` is None if git takes too long."""
    commit = _git(directory, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    changes = _git(directory, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _git(directory: Path, *arguments: str) -> str | None:
    # A hook may have set GIT_DIR to another checkout; a checkout's own fsmonitor would be a program to run.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment["GIT_OPTIONAL_LOCKS"] = "0"
    return _output("git", "-C", str(directory), "-c", "core.fsmonitor=false", *arguments, environment=environment)


def _output(*command: str, environment: dict[str, str] | None = None) -> str | None:
    """Return what a command prints, stripped; None if it fails."""
    try:
        printed = subprocess.check_output(
            command, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=GIT_SECONDS, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return printed.decode("utf-8", "replace").strip()


def _cpuinfo() -> dict[str, str]:
    """Return the first processor of /proc/cpuinfo; empty elsewhere."""
    first = system_text(Path("/proc/cpuinfo")).split("\n\n")[0]
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def release_memory() -> None:
    """Return to the system the freed memory that the C library, and Arrow if it has been used, keep for later."""
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    # Only glibc has it.
    if trim is not None:
        trim(0)


def forget_models() -> None:
    """Free the memory of the last model. Python collects garbage seldom in a process of dltool's own."""
    keras: Any = sys.modules.get("keras")
    if keras is not None:
        # It would collect garbage, too.
        keras.backend.clear_session(free_memory=False)
        if is_own_process():
            # TensorFlow registers the gradient of each step of an optimizer, with its graph, for a graph that is gone.
            registered = sys.modules["tensorflow.python.framework.ops"].gradient_registry._registry
            for name in [name for name in registered if name.startswith("CustomGradient-")]:
                del registered[name]
    gc.collect()


def system_text(path: Path) -> str:
    """Return the text of a file of the system; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
