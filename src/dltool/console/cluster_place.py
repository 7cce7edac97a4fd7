"""The options that make a process one of several workers, and the place among them that they give it."""

import os
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from dltool.config.cluster import Cluster, cluster_of
from dltool.errors import ConfigError

Workers = Annotated[
    str | None,
    Option("--workers", metavar="N|gpus", help="Train on this machine in N processes, or in one for each GPU."),
]
ClusterAddresses = Annotated[
    str | None,
    Option(
        "--cluster",
        metavar="HOST:PORT,…|slurm",
        help="The addresses of all workers, or Slurm's. Default: those of TF_CONFIG, if it is set.",
    ),
]
WorkerNumber = Annotated[
    int | None, Option("--worker", metavar="K", help="The worker that this process is, from 0, the chief.")
]


def place_of(workers: str | None, addresses: str | None, worker: int | None) -> Cluster | None:
    """Return the place of this process in a cluster, or None. With `workers`, run them, and exit with their code."""
    if workers is None:
        return cluster_of(addresses, worker, os.environ)
    if addresses is not None or worker is not None:
        raise ConfigError("--workers starts the workers of this machine", "leave out --cluster and --worker")
    from dltool.console.local_workers import run_workers

    code = run_workers(workers)
    if code is not None:
        raise typer.Exit(code)
    return None


def place_of_run(path: Path, addresses: str | None, worker: int | None) -> Cluster | None:
    """Return the place of this process in a cluster that reproduces the run at `path`, or None. If it had several
    workers, and no cluster is given, run as many on this machine, and exit with their code."""
    cluster = cluster_of(addresses, worker, os.environ)
    if cluster is not None:
        return cluster
    from dltool.commands.reproduce import workers_of
    from dltool.runs.directory import open_run
    from dltool.runs.records import read_record

    run = open_run(path)
    count = workers_of(run)
    return place_of(None if count == 1 else "gpus" if read_record(run).pinned.get("gpus") else str(count), None, None)


def follows(cluster: Cluster | None) -> bool:
    return cluster is not None and not cluster.is_chief
