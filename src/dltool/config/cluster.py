"""The cluster that a training run is part of: the addresses of its workers, and the rank of this process among them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dltool.errors import ConfigError
from dltool.text import listed

MOST_WORKERS = 10_000
ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]+):(?P<port>\d{1,5})")
EXAMPLE = "for example --cluster a:2222,b:2222 --worker 0"
HOSTS = re.compile(r"(?:[^,\[\]]|\[[^\[\]]*\])+(?:,|$)")
"""One entry of Slurm's list of nodes: `login` or `node[01-03,07]`."""
RANGE = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?", re.ASCII)
SLURM = {
    "tasks": ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"),
    "rank": ("SLURM_PROCID",),
    "nodes": ("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"),
    "tasks of each node": ("SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"),
    "job": ("SLURM_JOB_ID", "SLURM_JOBID"),
}
FIRST_PORT, PORTS = 15_000, 15_000
"""Ports of Slurm's tasks, by the number of the job: below those that systems give to outgoing connections."""


@dataclass(frozen=True)
class Cluster:
    """The workers of one training, by rank; worker 0 is the chief. Each is a process with one device."""

    addresses: tuple[str, ...]
    rank: int

    @property
    def size(self) -> int:
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        return self.rank == 0

    def name_of(self, rank: int) -> str:
        """Return how messages call a worker, without its address: runs record messages, and name no machines."""
        return f"worker {rank} of {self.size}"


def host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def cluster_of(addresses: str | None, rank: int | None, environment: Mapping[str, str]) -> Cluster | None:
    """Return the cluster of the options `--cluster` and `--worker`, else that of TF_CONFIG in the `environment`; None
    for a training in one process. Raises ConfigError: they do not describe a cluster with this process in it."""
    if addresses is None and rank is not None:
        raise ConfigError("--worker: of which cluster?", EXAMPLE)
    if addresses == "slurm":
        if rank is not None:
            raise ConfigError("--worker: Slurm gives each task its number", "leave out --worker")
        return slurm_cluster(environment)
    if addresses is not None:
        if rank is None:
            raise ConfigError("--cluster: which of these workers is this process?", EXAMPLE)
        return checked_cluster([each.strip() for each in addresses.split(",")], rank, "--cluster")
    return cluster_of_tf_config(environment["TF_CONFIG"]) if environment.get("TF_CONFIG") else None


def checked_cluster(addresses: Sequence[Any], rank: int, origin: str) -> Cluster | None:
    """Return the cluster, None for one worker. `origin` is where the addresses come from, for messages."""
    for address in addresses:
        found = ADDRESS.fullmatch(address) if isinstance(address, str) else None
        if found is None or not 0 < int(found["port"]) < 2**16:
            raise ConfigError(f"{origin}: expected host:port for each worker, got {str(address)!r}", EXAMPLE)
    twice = [address for address in dict.fromkeys(addresses) if addresses.count(address) > 1]
    if twice:
        raise ConfigError(f"{origin}: {twice[0]} stands twice", "each worker needs a port of its own")
    if len(addresses) > MOST_WORKERS:
        raise ConfigError(f"{origin}: expected at most {MOST_WORKERS:,} workers, got {len(addresses):,}")
    if not 0 <= rank < len(addresses):
        last = len(addresses) - 1
        raise ConfigError(f"{origin}: expected a worker from 0 to {last}, got {rank}", "worker 0 is the chief")
    return Cluster(tuple(addresses), rank) if len(addresses) > 1 else None


def cluster_of_tf_config(text: str) -> Cluster | None:
    """Return the cluster of TensorFlow's variable, as Ray, Vertex AI, SageMaker and Kubeflow's TFJob set it: the chief
    comes first, then the workers."""
    hint = 'for example {"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'
    try:
        found = json.loads(text)
        jobs, task = found.get("cluster", {}), found.get("task", {})
        hosts = {str(job): list(addresses) for job, addresses in jobs.items()}
        kind, index = str(task.get("type", "worker")), int(str(task.get("index", 0)))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError("TF_CONFIG: expected TensorFlow's JSON of a cluster and a task", hint) from error
    others = [job for job in (*hosts, kind) if job not in ("chief", "master", "worker")]
    if others:
        message = f"TF_CONFIG: {listed(list(dict.fromkeys(others)), 4)}: dltool has a chief and workers only"
        raise ConfigError(message, "all workers train alike; leave these roles out")
    chiefs = [*hosts.get("chief", ()), *hosts.get("master", ())]
    addresses = [*chiefs, *hosts.get("worker", ())]
    if not addresses:
        return None
    if len(addresses) > 1 and "index" not in task:
        raise ConfigError("TF_CONFIG: which of these workers is this process? Its task has no index", hint)
    if index < 0 or index >= len(chiefs if kind != "worker" else hosts.get("worker", ())):
        raise ConfigError(f"TF_CONFIG: there is no {kind} {index}", hint)
    return checked_cluster(addresses, index + (len(chiefs) if kind == "worker" else 0), "TF_CONFIG")


def slurm_cluster(environment: Mapping[str, str]) -> Cluster | None:
    """Return the cluster of a Slurm step, whose tasks are laid out in blocks: those of the first node first."""
    given = {
        name: next((environment[key] for key in keys if environment.get(key)), None) for name, keys in SLURM.items()
    }
    missing = [SLURM[name][0] for name, value in given.items() if value is None]
    if missing:
        message = f"--cluster slurm: {listed(missing, 5)} {'is' if len(missing) == 1 else 'are'} not set"
        raise ConfigError(message, "begin it with srun: srun --ntasks=8 dltool train … --cluster slurm")
    values = {name: value or "" for name, value in given.items()}
    try:
        tasks, rank, job = (whole_number(name, values[name]) for name in ("tasks", "rank", "job"))
        nodes, counts = slurm_hosts(values["nodes"]), slurm_counts(values["tasks of each node"])
        number = job * 31 + whole_number("step", environment.get("SLURM_STEP_ID") or "0")
    except ValueError as error:
        raise ConfigError(f"--cluster slurm: cannot read Slurm's variables: {error}") from error
    first = FIRST_PORT + number * 64 % PORTS
    pairs = zip(nodes, counts, strict=False)
    addresses = [f"{node}:{first + place}" for node, count in pairs for place in range(count)]
    if not 0 < tasks <= len(addresses):
        message = f"--cluster slurm: {len(addresses)} places on {listed(nodes, 4)} for {tasks} tasks"
        raise ConfigError(message, "the nodes and SLURM_STEP_TASKS_PER_NODE do not fit")
    cluster = checked_cluster(addresses[:tasks], rank, "--cluster slurm")
    here = environment.get("SLURMD_NODENAME")
    if cluster is not None and here is not None and here != host_and_port(cluster.addresses[rank])[0]:
        message = f"--cluster slurm: task {rank} runs on {here}, not on {host_and_port(cluster.addresses[rank])[0]}"
        raise ConfigError(message, "srun --distribution=block")
    return cluster


def whole_number(name: str, text: str) -> int:
    if re.fullmatch(r"\d{1,18}", text, re.ASCII) is None:
        raise ValueError(f"{name}: {text[:100]!r}")
    return int(text)


def slurm_hosts(text: str) -> list[str]:
    """Return the names in a list of nodes: `node[01-03,07],login` → node01, node02, node03, node07, login."""
    hosts, entries = list[str](), HOSTS.findall(text)
    if "".join(entries) != text:
        raise ValueError(f"nodes: {text[:100]!r}")
    for entry in entries:
        names = [""]
        for fixed, ranges in re.findall(r"([^\[\]]+)|\[([^\]]*)\]", entry.removesuffix(",")):
            ends = [fixed] if fixed else [number for each in ranges.split(",") for number in numbers_in(each)]
            names = [name + end for name in names for end in ends]
            if len(names) + len(hosts) > MOST_WORKERS:
                raise ValueError(f"more than {MOST_WORKERS:,} nodes")
        hosts += names
    return hosts


def numbers_in(text: str) -> list[str]:
    """Return the numbers of a range with the zeros in front: 08-10 → 08, 09, 10."""
    found = RANGE.fullmatch(text)
    begin, end = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
    if found is None or begin > end:
        raise ValueError(f"nodes: {text[:100]!r}")
    if end - begin >= MOST_WORKERS:
        raise ValueError(f"more than {MOST_WORKERS:,} nodes")
    return [str(number).zfill(len(found[1])) for number in range(begin, end + 1)]


def slurm_counts(text: str) -> list[int]:
    """Return the tasks of each node: `2(x3),1` → 2, 2, 2, 1."""
    counts: list[int] = []
    for each in text.split(","):
        found = re.fullmatch(r"(\d{1,5})(?:\(x(\d{1,5})\))?", each.strip())
        if found is None:
            raise ValueError(f"tasks of each node: {text[:100]!r}")
        counts += [int(found[1])] * int(found[2] or 1)
    return counts
