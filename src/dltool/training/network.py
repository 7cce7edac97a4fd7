"""The network between the workers of a cluster, tried without training: open ports, and what sums cost."""

import contextlib
import socket
import time
from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from dltool.config.cluster import Cluster, host_and_port
from dltool.errors import MachineError
from dltool.imports import import_keras
from dltool.meeting import Meeting, listener, meeting_of
from dltool.text import os_words

if TYPE_CHECKING:
    from dltool.training.team import Team

WAIT = 120.0
"""Seconds until all workers must have come."""
SECONDS_TO_ANSWER = 5.0
STRANGER = "something else answers there"
SIZES = (1, 1_000, 1_000_000)
"""Numbers of the sums that are timed."""
TIMES = 10
THREADS = ("intra_op_threads", "inter_op_threads")
"""Settings that a config decides."""


def tried(cluster: Cluster) -> tuple[list[Any], list[float]]:
    """Join the workers, and time sums over all of them. Every worker calls this; nothing is written. Return the GPUs of
    this worker, and the seconds of a sum of each size: those of the slowest worker.

    Raises MachineError: some have not come, a port is closed, or the workers differ; ConfigError: the addresses differ;
    WorkerLost: another worker failed."""
    with meeting_of(cluster, WAIT, "try the network") as meeting:
        refuse_closed_ports(meeting)
        import_keras()
        from dltool.training.numerics import pin
        from dltool.training.team import connected, machine_facts

        pinned = pin(seed=0)
        facts = {name: value for name, value in machine_facts(pinned).items() if name not in THREADS}
        team = connected(meeting, {"machine": facts}, pinned["gpus"])
        seconds = meeting.decide(timed_sums(team), lambda all_: [max(each) for each in zip(*all_, strict=True)])
        if not cluster.is_chief:
            meeting.wait_for_end()
    return pinned["gpus"], seconds


def refuse_closed_ports(meeting: Meeting) -> None:
    """Raise MachineError on all workers if one does not reach a neighbour in the ring by which TensorFlow sums. The
    chief is reached by all: they have met there."""
    cluster = meeting.cluster
    neighbours = {(cluster.rank + step) % cluster.size for step in (-1, 1)}
    with listener(*host_and_port(cluster.addresses[cluster.rank])) as server:
        # All listen before any tries.
        meeting.decide(None, len)
        own = [(other, why_unreachable(cluster, other)) for other in sorted(neighbours)]
        meeting.decide(None, len)
        problems = meeting.decide([own, arrivals(server, neighbours)], partial(unreached, cluster))
    if problems:
        hint = "open these ports between the machines, or give addresses that all of them reach"
        raise MachineError("; ".join(problems[:4]), hint)


def why_unreachable(cluster: Cluster, rank: int) -> str:
    """Return why this worker does not reach another at its port; empty if something answers there."""
    try:
        with socket.create_connection(host_and_port(cluster.addresses[rank]), SECONDS_TO_ANSWER) as connection:
            connection.sendall(cluster.rank.to_bytes(4))
    except OSError as error:
        return os_words(error)
    return ""


def arrivals(server: socket.socket, neighbours: set[int]) -> list[int]:
    """Return the ranks of the neighbours that have reached this worker, and not another program at its address."""
    found: set[int] = set()
    server.settimeout(SECONDS_TO_ANSWER)
    with contextlib.suppress(OSError):
        while not neighbours <= found:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(SECONDS_TO_ANSWER)
                found.add(int.from_bytes(connection.recv(4)))
    return sorted(found)


def unreached(cluster: Cluster, all_: Sequence[Any]) -> list[str]:
    """Return which worker does not reach which other, from what each tried and which ranks reached it."""
    return [
        f"{cluster.name_of(rank)} cannot reach worker {other} at {cluster.addresses[other]}: {why or STRANGER}"
        for rank, (tried, _) in enumerate(all_)
        for other, why in tried
        if why or rank not in all_[other][1]
    ]


def timed_sums(team: "Team") -> list[float]:
    """Return the median seconds of a sum of each size. Raises MachineError: a sum is wrong; WorkerLost."""
    import tensorflow as tf

    seconds = []
    total = tf.function(lambda vector: team.total([vector])[0])
    rank, size = team.cluster.rank, team.cluster.size
    try:
        for count in SIZES:
            vector = tf.fill([count], float(rank + 1))
            # The first call compiles.
            sums = total(vector).numpy()
            if sums.min() != sums.max() or sums[0] != size * (size + 1) / 2:
                raise MachineError("TensorFlow's sum over the workers is wrong", "look for a broken machine or network")
            times = []
            for _ in range(TIMES):
                begin = time.perf_counter()
                total(vector).numpy()
                times.append(time.perf_counter() - begin)
            seconds.append(median(times))
    except tf.errors.OpError as error:
        lost = team.loss_of(error, "while sums were timed", "start dltool doctor again on all workers")
        raise lost or MachineError(f"TensorFlow cannot sum over the workers: {error.message}") from error
    return seconds
