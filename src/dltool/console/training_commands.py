"""The signatures of `dltool train` and `dltool resume`, and the options that make a process one of several workers."""

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from dltool.config.cluster import Cluster, cluster_of
from dltool.console.frame import frame
from dltool.console.options import (
    AllowedCode,
    ConfigFile,
    FoldCount,
    Json,
    MovedData,
    Quiet,
    RunFolder,
    RunsFolder,
    SeedCount,
    Settings,
    with_counts,
)
from dltool.console.search_command import resumed_search
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


def follows(cluster: Cluster | None) -> bool:
    return cluster is not None and not cluster.is_chief


def train(
    config: ConfigFile,
    settings: Settings = None,
    name: Annotated[str | None, Option(help="Name of the run; overrides the config.")] = None,
    runs: RunsFolder = None,
    seed: Annotated[int | None, Option(help="Seed; overrides the config.")] = None,
    folds: FoldCount = None,
    seeds: SeedCount = None,
    workers: Workers = None,
    cluster: ClusterAddresses = None,
    worker: WorkerNumber = None,
    run_or_resume: Annotated[
        str | None,
        Option(metavar="NAME", help="Resume the newest run of this name if there is one, else begin it."),
    ] = None,
    smoke: Annotated[
        bool, Option("--smoke", help="Smoke test in seconds: two epochs of two batches, nothing kept.")
    ] = False,
    profile: Annotated[
        bool, Option("--profile", help="Show the time by activity; write a trace of some steps for TensorBoard.")
    ] = False,
    allow_code: AllowedCode = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train, validate and test the model of a config; create a run directory."""
    with frame(as_json, allow_code) as within:
        if smoke and (workers or cluster or run_or_resume):
            raise ConfigError("--smoke trains in one process, and keeps nothing", "leave it out")
        own_cluster = None if smoke else place_of(workers, cluster, worker)
        if name is not None and run_or_resume is not None:
            raise ConfigError("--name and --run-or-resume both name the run", "leave out --name")
        document = within.read(config, with_counts(settings, folds, seeds), name=name or run_or_resume, seed=seed)
        from dltool.runs.directory import refuse_no_runs_folder

        folder = runs or Path("runs")
        if not smoke:
            refuse_no_runs_folder(folder)
        from dltool.commands import train as command

        trained = partial(command.train_together, document, runs=folder, is_profiled=profile)
        trained = partial(trained, cluster=own_cluster, resumes=run_or_resume is not None)
        work = partial(command.smoke, document) if smoke else trained
        within.carry_out(work, is_silent=quiet or as_json or follows(own_cluster), is_quiet=quiet)


def resume(
    run: RunFolder,
    epochs: Annotated[int | None, Option(help="New total number of epochs; also extends a completed run.")] = None,
    allow_change: Annotated[
        bool, Option("--allow-change", help="Resume although the machine or package versions differ.")
    ] = False,
    moved: MovedData = None,
    workers: Workers = None,
    cluster: ClusterAddresses = None,
    worker: WorkerNumber = None,
    allow_code: AllowedCode = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Resume an interrupted run; the result is bit-identical to an uninterrupted one."""
    with frame(as_json, allow_code) as within:
        from dltool.commands.resume import resume as run_resume

        place = place_of(workers, cluster, worker)
        again = partial(run_resume, run, epochs=epochs, allow_change=allow_change, settings=moved or (), cluster=place)
        work = resumed_search(run, epochs or allow_change or moved) or again
        within.carry_out(work, is_silent=quiet or as_json or follows(place), is_quiet=quiet)
