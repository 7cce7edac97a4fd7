"""The signature of `dltool search`, and the searches that `dltool resume` carries on with."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from dltool.console.cluster_place import ClusterAddresses, WorkerNumber, follows, place_of
from dltool.console.frame import frame
from dltool.console.options import AllowedCode, ConfigFile, Json, Quiet, RunsFolder, Settings
from dltool.errors import ConfigError
from dltool.runs.directory import GROUP_RECORDS


def search(
    config: ConfigFile,
    settings: Settings = None,
    trials: Annotated[int | None, Option(min=2, metavar="N", help="Number of trials; overrides the config.")] = None,
    minutes: Annotated[float | None, Option(metavar="M", help="Time for new trials; overrides the config.")] = None,
    workers: Annotated[int, Option(min=1, max=256, metavar="N", help="Processes that train trials.")] = 1,
    cluster: ClusterAddresses = None,
    worker: WorkerNumber = None,
    storage: Annotated[
        str | None, Option(metavar="URL", help="Database or gRPC proxy for Optuna's record of the trials.")
    ] = None,
    keep_all: Annotated[
        bool, Option("--keep-all", help="Keep the weights and states of all trials, not only of the best.")
    ] = False,
    name: Annotated[str | None, Option(help="Name of the run; overrides the config.")] = None,
    runs: RunsFolder = None,
    seed: Annotated[int | None, Option(help="Seed; overrides the config.")] = None,
    allow_code: AllowedCode = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Try the values of the config's search space; write the best config and a report."""
    with frame(as_json, allow_code) as within:
        own = [f"search.{key}={n:g}" for key, n in (("trials", trials), ("minutes", minutes)) if n is not None]
        document = within.read(config, [*(settings or ()), *own], name=name, seed=seed)
        from dltool.commands.search import search as run_search
        from dltool.console.trials import SearchProgress

        place = place_of(None, cluster, worker)
        options: dict[str, Any] = {"workers": workers, "storage": storage, "keep_all": keep_all, "cluster": place}

        def work(progress: Any) -> Any:
            return run_search(document, runs=runs or Path("runs"), watch=SearchProgress(progress), **options)

        within.carry_out(work, is_silent=quiet or as_json or follows(place), is_quiet=quiet or follows(place))


def resumed_search(path: Path, other_options: Any) -> Callable[..., Any] | None:
    """Return what carries on with the search at `path`; None if there is a run. Raises ConfigError: an option of
    `dltool resume` is for runs only."""
    if not (path / GROUP_RECORDS["search"]).is_file():
        return None
    if other_options:
        raise ConfigError(f"{path} is a search, which is resumed as it was begun", f"dltool resume {path}")
    from dltool.commands.search import continue_search
    from dltool.console.trials import SearchProgress
    from dltool.search.search_folder import open_search

    return lambda progress: continue_search(open_search(path), SearchProgress(progress))
