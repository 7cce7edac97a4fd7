"""`dltool doctor`: whether this machine can train, and what to do if not."""

import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement

from dltool.config.cluster import Cluster
from dltool.data.sources.download import keras_cache
from dltool.installation import SET_UP, pip_install, requirements
from dltool.machine import cpu_features, cpu_name, installed_version, usable_cores, usable_memory
from dltool.runs.directory import nearest_writable
from dltool.text import os_words

IMPORT_SECONDS = 180
GIGABYTE = 10**9

# Run in another process: a broken TensorFlow may crash or hang.
PROBE = """
import json, time
begin = time.perf_counter()
import tensorflow
seconds = time.perf_counter() - begin
total = float(tensorflow.reduce_sum(tensorflow.ones((2, 2))))
gpus = [tensorflow.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tensorflow.config.list_physical_devices("GPU")]
print("\\n" + json.dumps({"seconds": seconds, "works": total == 4.0, "gpus": gpus}))
"""


@dataclass(frozen=True)
class Check:
    """One finding. A warning costs speed or comfort; a problem prevents training. `hint` is the remedy."""

    name: str
    status: Literal["ok", "warning", "problem"]
    detail: str
    hint: str = ""


def diagnose() -> list[Check]:
    """Run every check, in display order. Nothing is written."""
    return [
        Check("Python", "ok", f"{platform.python_version()} at {sys.executable}"),
        *check_packages(),
        check_keras_config(),
        *check_tensorflow(),
        check_cpu(),
        check_memory(),
        check_disk(),
        check_runs_folder(Path("runs")),
        check_datasets(),
    ]


def diagnose_cluster(cluster: Cluster) -> list[Check]:
    """Join the workers of the `cluster`, all of which call this. Raises DltoolError: as :func:`network.tried`."""
    from dltool.training.network import SIZES, tried

    gpus, seconds = tried(cluster)
    return [
        Check("workers", "ok", f"all {cluster.size} have come, with the same versions and processor features"),
        Check("ports", "ok", "each worker reaches the chief and its neighbours"),
        Check("devices", "ok", "one GPU for each worker" if gpus else "the CPU of each worker"),
        *(check_sum(size, each, cluster.size) for size, each in zip(SIZES, seconds, strict=True)),
    ]


def check_sum(count: int, seconds: float, workers: int) -> Check:
    """Return the time of a sum, and if it is long, the bandwidth: in a ring of N workers, each sends 2 (N - 1) / N of
    its float32 numbers."""
    sent = 4 * count * 2 * (workers - 1) / workers
    detail = f"{1000 * seconds:.1f} ms"
    if sent > 1e6:
        detail += f"; each worker sends {sent / 1e6:.1f} MB, which is {sent / 1e6 / seconds:,.0f} MB a second"
    return Check(f"sum of {count:,} number{'s' * (count > 1)}", "ok", detail)


def check_packages() -> list[Check]:
    """Compare the installed version of each required package with dltool's metadata."""
    try:
        return [check_package(requirement) for requirement in requirements()]
    except PackageNotFoundError:
        return [Check("dltool", "problem", "is not installed", SET_UP)]


def check_package(requirement: Requirement) -> Check:
    found = installed_version(requirement.name)
    remedy = pip_install(f"{requirement.name}{requirement.specifier}")
    if found is None:
        return Check(requirement.name, "problem", "is not installed", remedy)
    if not requirement.specifier.contains(found, prereleases=True):
        return Check(requirement.name, "problem", f"{found}; dltool requires {requirement.specifier}", remedy)
    return Check(requirement.name, "ok", found)


def check_keras_config() -> Check:
    """Check Keras's settings. Its backend comes from KERAS_BACKEND, else keras.json, else it is TensorFlow."""
    file = keras_cache().parent / "keras.json"
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        settings = {}
    except (OSError, ValueError) as error:
        return Check("Keras's settings", "problem", f"{file}: {error}", "fix or remove the file")
    if not isinstance(settings, dict):
        return Check("Keras's settings", "problem", f"{file} is not a JSON object", "fix or remove the file")
    variable = os.environ.get("KERAS_BACKEND")
    backend = variable or settings.get("backend", "tensorflow")
    hint = "run: unset KERAS_BACKEND" if variable else f'write "backend": "tensorflow" in {file}'
    if backend != "tensorflow":
        return Check("Keras's settings", "problem", f"the backend is {backend}; dltool needs tensorflow", hint)
    usual = {"floatx": "float32", "image_data_format": "channels_last"}
    changed = [f'"{key}": {json.dumps(settings[key])}' for key in usual if settings.get(key, usual[key]) != usual[key]]
    if changed:
        hint = "write " + ", ".join(f'"{key}": "{value}"' for key, value in usual.items())
        return Check("Keras's settings", "warning", f"{file} has {', '.join(changed)}", hint)
    return Check("Keras's settings", "ok", "the backend is tensorflow")


def check_tensorflow() -> list[Check]:
    """Import TensorFlow and compute a sum in another process; return the time and the GPUs."""
    command = [sys.executable, "-P", "-c", PROBE]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=IMPORT_SECONDS, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return [Check("TensorFlow", "problem", f"import took more than {IMPORT_SECONDS} seconds")]
    except OSError as error:
        return [Check("TensorFlow", "problem", f"cannot start {sys.executable}: {error}")]
    last_line = (done.stdout.strip().splitlines() or [""])[-1]
    if done.returncode != 0:
        last_line = (done.stderr.strip().splitlines() or ["no message"])[-1]
        how = f"signal {-done.returncode}" if done.returncode < 0 else last_line
        remedy = pip_install("--force-reinstall", "tensorflow")
        return [Check("TensorFlow", "problem", f"import fails: {how}", remedy)]
    try:
        report: dict[str, Any] = json.loads(last_line)
    except ValueError:
        return [Check("TensorFlow", "problem", f"import printed something unexpected: {last_line[:200]}")]
    check = Check("TensorFlow", "ok", f"imports in {report['seconds']:.1f} s")
    if not report["works"]:
        check = replace(check, status="problem", detail=f"{check.detail}, but computes a wrong sum")
    elif report["seconds"] > 20:
        check = replace(check, status="warning", hint="only the first import should be this slow")
    if not report["gpus"] and shutil.which("nvidia-smi"):
        return [check, Check("GPU", "warning", "TensorFlow finds none", pip_install("tensorflow[and-cuda]"))]
    return [check, Check("GPU", "ok", ", ".join(report["gpus"]) or "none; training runs on the CPU")]


def check_cpu() -> Check:
    features = cpu_features()
    detail = f"{usable_cores()} cores, {cpu_name()}" + (f", {' '.join(features)}" if features else "")
    if platform.machine() in ("x86_64", "AMD64") and features and "avx" not in features:
        return Check("CPU", "problem", detail, "TensorFlow's packages need a processor with AVX")
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        hint = "run: unset TF_ENABLE_ONEDNN_OPTS; convolutions train about twice as fast with oneDNN"
        return Check("CPU", "warning", f"{detail}; oneDNN is off", hint)
    return Check("CPU", "ok", detail)


def check_memory() -> Check:
    memory = usable_memory()
    little = "TensorFlow alone takes about 0.6 GB; use small data and batches" if memory < 2 * GIGABYTE else ""
    return Check("memory", "warning" if little else "ok", f"{memory / GIGABYTE:.1f} GB", little)


def check_disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    detail = f"{free / GIGABYTE:.1f} GB free in this folder"
    hint = "a run stores its model several times"
    if free < GIGABYTE / 10:
        return Check("disk", "problem", detail, f"free some space; {hint}")
    return Check("disk", "warning", detail, hint) if free < GIGABYTE else Check("disk", "ok", detail)


def check_runs_folder(runs: Path) -> Check:
    """Check that `runs`, or the nearest existing folder above it, is writable."""
    try:
        folder = nearest_writable(runs)
    except OSError as error:
        message = f"cannot write in {runs.absolute()}: {os_words(error)}"
        return Check("runs folder", "problem", message, "use: dltool train --runs DIR")
    return Check("runs folder", "ok", f"{runs} is writable" if folder == runs.absolute() else f"{runs} can be created")


def check_datasets() -> Check:
    """List the keras.datasets that are downloaded."""
    cache = keras_cache()
    try:
        present = sorted(entry.name for entry in os.scandir(cache) if not entry.name.startswith("."))
    except OSError:
        present = []
    return Check("downloaded datasets", "ok", f"in {cache}: {', '.join(present) or 'none yet'}")
