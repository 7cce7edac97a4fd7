"""The signatures of `dltool train` and `dltool resume`."""

from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Option

from dltool.console.cluster_place import ClusterAddresses, WorkerNumber, Workers, follows, place_of
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
