"""The signatures of `dltool runs` and its commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from dltool.console.frame import frame
from dltool.console.options import Filters, Folds, Json, RunsFolder, Sort, Yes

if TYPE_CHECKING:
    from dltool.runs.removal import Removal

runs_app = typer.Typer(invoke_without_command=True, add_completion=False)


@runs_app.callback()
def runs_or_command(
    context: typer.Context,
    runs: RunsFolder = None,
    conditions: Filters = None,
    sort: Sort = None,
    folds: Folds = False,
    as_json: Json = False,
) -> None:
    """List the runs with their results, or remove some."""
    command = context.invoked_subcommand
    if command is None:
        list_runs(runs, conditions, sort, folds, as_json)
    elif runs or conditions or sort or folds or as_json:
        raise typer.BadParameter(f"options go after the command: dltool runs {command} …")


@runs_app.command("list")
def list_runs(
    runs: RunsFolder = None,
    conditions: Filters = None,
    sort: Sort = None,
    folds: Folds = False,
    as_json: Json = False,
) -> None:
    """List the runs with their results, as `dltool runs` does."""
    with frame(as_json):
        from dltool.commands.runs import list_runs as run_list
        from dltool.console.run_table import show_runs

        show_runs(*run_list(runs, conditions or (), sort, folds), as_json)


@runs_app.command("remove")
def remove_runs(
    runs: Annotated[list[Path], Argument(metavar="RUN…", help="Run directories, such as runs/mnist/0001.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove runs, never one that is running."""
    with frame(as_json):
        from dltool.runs.removal import planned

        remove(planned(runs), is_confirmed=yes, as_json=as_json)


@runs_app.command("prune")
def prune_runs(
    runs: RunsFolder = None,
    conditions: Filters = None,
    sort: Sort = None,
    keep: Annotated[
        int | None,
        Option(min=0, metavar="N", help="Keep the first N runs of each name by --sort (default: newest first)."),
    ] = None,
    checkpoints: Annotated[
        bool, Option("--checkpoints", help="Remove only the checkpoints of completed runs, not the runs.")
    ] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="Show what would be removed, without removing it.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove the runs that --filter selects, except those to --keep."""
    with frame(as_json):
        from dltool.commands.runs import list_runs as run_list
        from dltool.console.run_table import show_removals
        from dltool.runs.removal import planned, prunable

        found, *_ = run_list(runs, conditions or (), sort or "number:desc")
        removals = planned(prunable(found, keep, bool(conditions), checkpoints), checkpoints)
        if dry_run:
            show_removals(removals, is_done=False, as_json=as_json)
        else:
            remove(removals, is_confirmed=yes, as_json=as_json)


def remove(removals: "list[Removal]", is_confirmed: bool, as_json: bool) -> None:
    from dltool.console.run_table import confirmed, show_removals
    from dltool.runs.removal import remove_planned

    if is_confirmed or confirmed(removals):
        remove_planned(removals)
        show_removals(removals, is_done=True, as_json=as_json)
