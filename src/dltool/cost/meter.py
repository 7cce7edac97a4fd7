"""Measures what a process spends on a run: processor time, memory, and energy where the machine counts it."""

import contextlib
import ctypes
import platform
import re
import resource
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dltool.errors import DltoolError
from dltool.imports import is_own_process
from dltool.machine import system_text
from dltool.runs.costs import Cost, cost_of_all
from dltool.runs.files import Run

POWERCAP = Path("/sys/class/powercap")
PACKAGE = re.compile(r"intel-rapl:\d+")
"""A whole processor; its parts are named intel-rapl:0:1, and the counter of the whole machine is no package."""
NVIDIA, NVML = Path("/dev/nvidiactl"), "libnvidia-ml.so.1"
MICRO = 1e-6
SECONDS_BETWEEN_SAVES = 5.0
"""A process that is killed leaves out of the record what it spent in so many seconds."""


@dataclass(frozen=True)
class Reading:
    """The counters of this process: wall and processor seconds, and `joules` by counter, each with the value at which
    it begins again from 0, which is 0 if it never does."""

    wall: float
    processor: float
    joules: Mapping[str, tuple[float, float]]


def read_counters() -> Reading:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    processor = sum(each.ru_utime + each.ru_stime for each in used)
    return Reading(time.perf_counter(), processor, {**processor_joules(), **gpu_joules()})


def processor_joules() -> dict[str, tuple[float, float]]:
    """Return the energy counter of each processor, from Linux's powercap; empty if there is none, or it is root's."""
    found = {}
    for folder in sorted(POWERCAP.glob("intel-rapl:*")):
        if PACKAGE.fullmatch(folder.name) and system_text(folder / "name").startswith("package"):
            texts = [system_text(folder / name).strip() for name in ("energy_uj", "max_energy_range_uj")]
            if not all(text.isdigit() for text in texts):
                return {}
            found[folder.name] = (int(texts[0]) * MICRO, int(texts[1]) * MICRO)
    return found


def gpu_joules() -> dict[str, tuple[float, float]]:
    """Return the energy counter of each Nvidia GPU, from NVML (nvmlDeviceGetTotalEnergyConsumption, in mJ)."""
    if not NVIDIA.exists():
        return {}
    found, count = {}, ctypes.c_uint()
    with contextlib.suppress(OSError, AttributeError):
        nvml = ctypes.CDLL(NVML)
        # Further calls only count the users of the library. 0 is success.
        fails = nvml.nvmlInit_v2() or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
        for index in range(count.value):
            device, energy = ctypes.c_void_p(), ctypes.c_ulonglong()
            fails = fails or nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device))
            if fails or nvml.nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(energy)):
                return {}
            found[f"GPU {index}"] = (energy.value / 1000, 0.0)
    return found


def spent_between(before: Reading, after: Reading) -> float | None:
    """Return the joules between two readings; None without a counter."""
    if not before.joules or before.joules.keys() != after.joules.keys():
        return None
    differences = ((after.joules[name][0] - was, limit) for name, (was, limit) in before.joules.items())
    return sum(spent if spent >= 0 else spent + limit for spent, limit in differences)


def why_no_joules() -> str:
    hidden = any(POWERCAP.glob("intel-rapl:*"))
    return f"not measured: this machine has {'energy counters for root alone' if hidden else 'no energy counter'}"


def peak_memory() -> float:
    """Return the most bytes of main memory that this process has held."""
    unit = 1 if platform.system() == "Darwin" else 1024
    # A process begins with the ru_maxrss of the one that started it; VmHWM is its own.
    own = re.search(r"^VmHWM:\s+(\d+) kB$", system_text(Path("/proc/self/status")), re.MULTILINE)
    return float(int(own[1]) * 1024 if own else unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


class Meter:
    """Adds what this process spends on a run to what earlier ones have spent, and records it from time to time. If it
    `is_whole`, a process of dltool's own has done nothing else since its start."""

    def __init__(self, is_whole: bool = False) -> None:
        self.last, self.spent, self.saved = read_counters(), Cost(), time.monotonic()
        if is_whole and is_own_process():
            self.last = replace(self.last, processor=0.0)
        self.run: Run | None = None
        self.trains, self.examples = False, 0
        """Whether it trains now, and examples that are not yet counted."""
        self.flops: int | None = None
        """The operations of training on an example."""

    def continue_from(self, run: Run) -> None:
        """Add the run's recorded cost, and record it there from now on. Raises RunError."""
        self.run, self.spent = run, self.spent + cost_of_all([run.path])

    def read(self) -> Cost:
        """Return the cost until now, without that of parts."""
        now = read_counters()
        seconds, joules = now.wall - self.last.wall, spent_between(self.last, now)
        flops = 0.0 if not self.examples else None if self.flops is None else float(self.flops * self.examples)
        self.spent += Cost(
            examples=float(self.examples),
            flops=flops,
            seconds=seconds,
            cpu_seconds=now.processor - self.last.processor,
            train_seconds=seconds if self.trains else 0.0,
            peak_memory=peak_memory(),
            joules=joules,
            counters=", ".join(now.joules),
            why="" if joules is not None else why_no_joules(),
        )
        self.last, self.examples = now, 0
        return self.spent

    @contextlib.contextmanager
    def training(self, flops: int | None, before: int | None = 0) -> Iterator[None]:
        """Count the time of the block as that of training; an example of it takes `flops`, and what came `before` so
        many in all."""
        self.spent = self.read() + Cost(flops=before)
        self.trains, self.flops = True, flops
        try:
            yield
        finally:
            self.read()
            self.trains = False

    def trained(self, examples: int) -> None:
        """Count examples of training, and record the cost if that was long ago."""
        self.examples += examples
        if time.monotonic() - self.saved >= SECONDS_BETWEEN_SAVES:
            self.save()

    def save(self) -> None:
        """Record the cost until now in run.json. It fails in silence: what matters more fails at the same moment."""
        self.saved, found = time.monotonic(), self.read()
        with contextlib.suppress(DltoolError):
            if self.run is not None:
                self.run.update("running", cost=found.model_dump())

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out what the block spends: it has a meter of its own."""
        self.save()
        try:
            yield
        finally:
            self.last = read_counters()
