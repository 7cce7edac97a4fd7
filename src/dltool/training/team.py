"""The workers of a cluster in training: what they agree on at the start, and their sums.

TensorFlow's MultiWorkerMirroredStrategy only carries the sums. Variables stay plain ones on each worker, and remain the
same because every worker changes them in the same way."""

import re
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.compiler.xla.tsl.protobuf.coordination_config_pb2 import CoordinatedJob
from tensorflow.python.eager import context

from dltool.config.cluster import Cluster, host_and_port
from dltool.config.cluster_checks import cluster_problems
from dltool.config.schema import Config
from dltool.data.dataset import Dataset
from dltool.errors import ConfigError, DataError, DltoolError, MachineError, WorkerLost
from dltool.machine import describe_machine, usable_memory
from dltool.meeting import RESUME, Meeting, listener
from dltool.runs.recorded import MAY_CHANGE, differences, recorded_contents, values
from dltool.training.time_limit import ended_after

LOST = (
    *(tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError),
    *(tf.errors.DeadlineExceededError, tf.errors.InternalError),
)
"""TensorFlow's errors when another worker is gone."""
REMOTE = "remote target /job:worker"
"""In an error of any kind: what answers at a worker's address is no worker."""
MILLISECONDS = 10_000
"""In which a silent worker has to answer."""
SECONDS_TO_CONNECT = 120
"""In which TensorFlow connects all workers, who have just met. Until then, it lets no other thread run."""
SECONDS_TO_HEAR = 2.0
"""For the reason to arrive after TensorFlow's error."""
OWN_VARIABLES = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
"""Variables that launchers set for each worker. The number of threads is compared itself."""
KINDS: Mapping[str, type[DltoolError]] = {"config": ConfigError, "data": DataError, "machine": MachineError}
HINTS = {
    "config": "start all workers with the same config and options",
    "data": "all workers need the same files",
    "machine": "all workers need the same versions and kind of processor; training.threads sets the threads",
}


class Team:
    """The workers, connected: `total` for the steps, `meeting` for everything else."""

    def __init__(self, meeting: Meeting, strategy: Any, memory: int) -> None:
        self.meeting, self.cluster, self.strategy, self.memory = meeting, meeting.cluster, strategy, memory

    def total(self, tensors: Sequence[Any]) -> list[Any]:
        """Return the sums of floating `tensors` of static shapes over all workers, inside a compiled function: the same
        bits on each. It is one sum of one vector, as several would take several times as long."""
        dtype = tf.float64 if any(each.dtype == tf.float64 for each in tensors) else tf.float32
        flat = tf.concat([tf.reshape(tf.cast(each, dtype), [-1]) for each in tensors], 0)
        sums = self.strategy.run(sum_of_all, args=(flat,))
        sizes = [each.shape.num_elements() for each in tensors]
        parts = tf.split(self.strategy.experimental_local_results(sums)[0], sizes)
        return [tf.cast(tf.reshape(part, each.shape), each.dtype) for part, each in zip(parts, tensors, strict=True)]

    def loss_of(self, error: BaseException, where: str, hint: str = RESUME) -> WorkerLost | None:
        """Return what an error of TensorFlow means if another worker is gone; None if none is."""
        is_lost = isinstance(error, LOST) or (isinstance(error, tf.errors.OpError) and REMOTE in str(error))
        if is_lost:
            end = time.monotonic() + SECONDS_TO_HEAR
            while not self.meeting.reason and time.monotonic() < end:
                time.sleep(0.01)
        if self.meeting.reason or isinstance(error, WorkerLost):
            return WorkerLost(f"{self.meeting.reason or error}; this was {where}", hint)
        if is_lost and not isinstance(error, tf.errors.InternalError):
            tasks = [int(task) for task in re.findall(r"/task:(\d+)", str(error))]
            others = [self.cluster.name_of(task) for task in tasks if task != self.cluster.rank]
            return WorkerLost(f"{others[0] if others else 'another worker'} was lost; this was {where}", hint)
        return None


def sum_of_all(vector: Any) -> Any:
    # A value from outside has no device, and TensorFlow says "destinations can not be empty".
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(vector))


def join_team(meeting: Meeting, config: Config, dataset: Dataset, pinned: Mapping[str, Any]) -> Team:
    """Agree with the other workers, then have TensorFlow connect them: after the settings of `pinned`, and before its
    first operation.

    Raises ConfigError: several workers cannot train this; ConfigError, DataError, MachineError on all workers: one has
    another config, other data, or another machine; WorkerLost."""
    ConfigError.refuse(cluster_problems(config, meeting.cluster.size))
    return connected(meeting, facts_of(config, dataset, pinned), pinned["gpus"])


def connected(meeting: Meeting, facts: Mapping[str, Any], gpus: Sequence[str]) -> Team:
    """Return the workers, connected by TensorFlow, if all have the same `facts`, by the kind of error if they differ.

    Raises ConfigError, DataError, MachineError on all workers: one has others; MachineError: one has several `gpus`."""
    cluster = meeting.cluster
    if len(gpus) > 1:
        hint = "one process for each GPU: --workers gpus on one machine, or CUDA_VISIBLE_DEVICES for each worker"
        raise MachineError(f"{cluster.name_of(cluster.rank)} sees {len(gpus)} GPUs", hint)
    # TensorFlow would stop this worker alone, in its own words.
    listener(*host_and_port(cluster.addresses[cluster.rank])).close()
    team = Team(meeting, None, agreed(meeting, facts))
    implementation = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=implementation.AUTO if gpus else implementation.RING
    )
    workers = tf.train.ClusterSpec({"worker": list(cluster.addresses)})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        workers, task_type="worker", task_id=cluster.rank, rpc_layer="grpc"
    )
    context.context().configure_coordination_service(
        "standalone",
        "/job:worker/replica:0/task:0",
        cluster_register_timeout_in_ms=SECONDS_TO_CONNECT * 1000,
        coordinated_jobs=[CoordinatedJob(name="worker", num_tasks=cluster.size)],
    )
    limit = SECONDS_TO_CONNECT + SECONDS_TO_HEAR
    stuck = f"\nerror: a worker was lost: not all were connected within {limit:.0f} seconds\n  {RESUME}"
    try:
        with ended_after(limit, stuck):
            team.strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver, communication_options=options)
    except tf.errors.OpError as error:
        lost = team.loss_of(error, "when TensorFlow connected the workers")
        raise lost or MachineError(f"TensorFlow cannot connect the workers: {error.message}") from error
    if threading.current_thread() is threading.main_thread():
        # TensorFlow has taken this signal for itself.
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    # What waits for a lost worker ends at once, and not when TensorFlow notices.
    meeting.abort_with(lambda reason: context.context().abort_collective_ops(tf.errors.UNAVAILABLE, reason))
    meeting.answers = answers
    return team


def agreed(meeting: Meeting, facts: Mapping[str, Any]) -> int:
    """Return the least memory of a worker, in bytes, if all have the same `facts`. Raises as :func:`connected`."""
    found = meeting.decide([facts, usable_memory()], lambda all_: verdict(meeting.cluster, all_))
    if found["problems"]:
        raise KINDS[found["kind"]](found["problems"], HINTS[found["kind"]])
    return int(found["memory"])


def answers(rank: int) -> bool:
    """Return whether TensorFlow's server of a worker answers, which needs none of Python's threads."""
    try:
        context.context().check_collective_ops_peer_health(f"/job:worker/replica:0/task:{rank}", MILLISECONDS)
    except tf.errors.OpError:
        return False
    return True


def facts_of(config: Config, dataset: Dataset, pinned: Mapping[str, Any]) -> dict[str, Any]:
    """Return what must be the same on all workers, by the kind of error if it is not."""
    contents = recorded_contents(dataset)
    return {
        "config": {place: str(value) for place, value in values(config).items() if not MAY_CHANGE.fullmatch(place)},
        "data": {"fingerprint": contents["fingerprint"], "split": contents["split"]},
        "machine": machine_facts(pinned),
    }


def machine_facts(pinned: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the bits of a worker beside its config and data."""
    machine = describe_machine()
    environment = {name: text for name, text in machine["environment"].items() if name not in OWN_VARIABLES}
    settings = {name: value for name, value in pinned.items() if name not in ("why_threads", "seed")}
    return {
        "versions": {"python": machine["python"].rpartition(".")[0], **machine["versions"]},
        "cpu_features": machine["cpu_features"],
        "environment": environment,
        **settings,
    }


def verdict(cluster: Cluster, given: Sequence[Any]) -> dict[str, Any]:
    """Return the differences from the chief of the first kind that has some, and the least memory of all."""
    memory = min(each for _, each in given)
    for kind in given[0][0]:
        problems = [
            text
            for rank, (facts, _) in enumerate(given)
            for text in differing(cluster.name_of(rank), given[0][0][kind], facts[kind])
        ]
        if problems:
            return {"kind": kind, "problems": "; ".join(problems[:4]), "memory": memory}
    return {"kind": "", "problems": "", "memory": memory}


def differing(worker: str, of_chief: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[str]:
    for change in differences(of_chief, own):
        what = {"fingerprint": "other data", "split": "other rows in its splits"}.get(change.name)
        yield f"{worker} has {what or f'{change.name} {change.new}, and the chief {change.old}'}"
