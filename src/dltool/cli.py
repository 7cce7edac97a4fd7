"""The command line: signatures, exit codes, and the only place that imports commands, each when it is called."""

import contextlib
import errno
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from dltool import __version__
from dltool.console.safe_streams import safe_streams
from dltool.errors import DltoolError
from dltool.imports import begin_own_process

if TYPE_CHECKING:
    from dltool.config.load import Document
    from dltool.console.capture import Capture
    from dltool.runs.summaries import RunSummary

app = typer.Typer(
    name="dltool",
    help="Train deep-learning models from YAML files.",
    epilog="Begin with: dltool init digits > digits.yaml, then dltool train digits.yaml",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML file of the experiment.")]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run directory, such as runs/mnist/0001 or runs/mnist/latest.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value, such as training.epochs=1. Repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
RunsFolder = Annotated[
    Path | None, typer.Option("--runs", metavar="DIR", help="The folder that holds the runs.", show_default="runs")
]
AllowedCode = Annotated[
    list[Path] | None,
    typer.Option(
        "--allow-code", metavar="FILE.py", help="Run this file: its Keras layers, losses and metrics. Repeatable."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but warnings and errors.")]
Filters = Annotated[
    list[str] | None,
    typer.Option("--filter", metavar="CONDITION", help="Such as accuracy>0.9 or status=completed. Repeatable."),
]
Sort = Annotated[
    str | None, typer.Option("--sort", metavar="KEY[:desc]", help="A column, or a metric such as accuracy or val_loss.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
RUNS = Path("runs")


def show_version(is_asked: bool) -> None:
    if is_asked:
        write_out(f"dltool {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=show_version)
    ] = False,
) -> None:
    """Take the options that are no command's."""


@app.command()
def train(
    config: ConfigFile,
    settings: Settings = None,
    name: Annotated[str | None, typer.Option(help="The run's name instead of the config's.")] = None,
    runs: RunsFolder = None,
    seed: Annotated[int | None, typer.Option(help="The seed instead of the config's.")] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Try everything in seconds: two epochs of two batches, nothing kept.")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Say where the time goes; leave a trace of some steps for TensorBoard.")
    ] = False,
    allow_code: AllowedCode = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train, validate and test the model of a config; leave a run directory."""
    given, folder = {"--name": name, "--seed": seed}, runs or RUNS
    with (
        document_errors(config, settings or (), as_json, given, folder) as document,
        allowed_code(allow_code, document, as_json),
    ):
        with captured() as capture:
            from dltool.commands.train import smoke as run_smoke
            from dltool.commands.train import train as run_train
            from dltool.console.progress import TrainingProgress
            from dltool.console.results import show_training

            with TrainingProgress(capture, quiet=quiet or as_json) as progress:
                outcome = (
                    run_smoke(document, progress)
                    if smoke
                    else run_train(document, runs=folder, progress=progress, is_profiled=profile)
                )
        show_training(outcome, is_smoke=smoke, as_json=as_json, quiet=quiet)
        raise typer.Exit(outcome.exit_code)


@app.command()
def resume(
    run: RunFolder,
    epochs: Annotated[int | None, typer.Option(help="Another number of epochs, also for a completed run.")] = None,
    allow_change: Annotated[
        bool, typer.Option("--allow-change", help="Go on although the machine or its versions differ.")
    ] = False,
    allow_code: AllowedCode = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a training that was stopped, to the same bits as if it never had been."""
    with exit_codes(as_json=as_json), allowed_code(allow_code, as_json=as_json):
        with captured() as capture:
            from dltool.commands.resume import AlreadyComplete
            from dltool.commands.resume import resume as run_resume
            from dltool.console.progress import TrainingProgress
            from dltool.console.results import show_complete, show_training

            with TrainingProgress(capture, quiet=quiet or as_json) as progress:
                outcome = run_resume(run, epochs=epochs, allow_change=allow_change, progress=progress)
        if isinstance(outcome, AlreadyComplete):
            show_complete(outcome, as_json)
        else:
            show_training(outcome, is_smoke=False, as_json=as_json, quiet=quiet)
        raise typer.Exit(outcome.exit_code)


@app.command()
def reproduce(
    run: RunFolder,
    into: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the second run, below this folder.")] = None,
    allow_code: AllowedCode = None,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but warnings, errors and the answer.")] = False,
) -> None:
    """Train a completed run again from its record, and say whether it came out the same, bit by bit."""
    with exit_codes(as_json=as_json), allowed_code(allow_code, as_json=as_json):
        with captured() as capture:
            from dltool.commands.reproduce import reproduce as run_reproduce
            from dltool.console.progress import TrainingProgress
            from dltool.console.results import show_reproduction

            with TrainingProgress(capture, quiet=quiet or as_json) as progress:
                outcome = run_reproduce(run, into=into, progress=progress)
        show_reproduction(outcome, as_json)
        raise typer.Exit(outcome.exit_code)


@app.command()
def evaluate(
    run: RunFolder,
    split: Annotated[str | None, typer.Option(help="train, validation or test; the test part unless given.")] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="New data with labels, of the kind of the run's source.")
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRICS",
            help="Other metrics than the config's: accuracy,AUC or, as YAML, {F1Score: {average: macro}}.",
        ),
    ] = None,
    allow_code: AllowedCode = None,
    as_json: Json = False,
) -> None:
    """Measure the best model of a run on one part of its data, or on new data with labels."""
    with exit_codes(as_json=as_json), allowed_code(allow_code, as_json=as_json):
        with captured() as capture:
            from dltool.commands.evaluate import evaluate as run_evaluate
            from dltool.console.progress import TrainingProgress
            from dltool.console.results import show_evaluation

            with TrainingProgress(capture) as progress:
                outcome = run_evaluate(run, split, data, metrics or (), progress=progress)
        show_evaluation(outcome, as_json)


@app.command()
def report(
    run: RunFolder,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write the page there instead of into the run.")
    ] = None,
    allow_code: AllowedCode = None,
    as_json: Json = False,
) -> None:
    """Write what happened in a run as one HTML file: results, learning, mistakes, data, model, warnings."""
    with exit_codes(as_json=as_json), allowed_code(allow_code, as_json=as_json):
        with captured() as capture:
            from dltool.commands.report import report as run_report
            from dltool.console.progress import TrainingProgress
            from dltool.console.results import show_report

            with TrainingProgress(capture, quiet=as_json) as progress:
                outcome = run_report(run, out, progress)
        show_report(outcome, as_json)


@app.command()
def predict(
    run: RunFolder,
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE…", help="New data of the kind of the run's source; - is standard input."),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a .csv, .jsonl or .parquet file instead of stdout.")
    ] = None,
    allow_code: AllowedCode = None,
    as_json: Json = False,
) -> None:
    """Predict with the best model of a run, from the run directory alone."""
    with exit_codes(as_json=as_json), allowed_code(allow_code, as_json=as_json):
        with captured() as capture:
            from dltool.commands.predict import predict as run_predict
            from dltool.console.progress import TrainingProgress
            from dltool.console.results import show_predictions

            with TrainingProgress(capture) as progress:
                outcome = run_predict(run, files, out, progress)
        show_predictions(outcome, as_json)


@app.command()
def check(
    config: ConfigFile,
    settings: Settings = None,
    data: Annotated[bool, typer.Option("--data", help="Read the data too: sizes, classes, splits.")] = False,
    build: Annotated[
        bool, typer.Option("--build", help="Build the model too: its layers, what they cost, and the time of a step.")
    ] = False,
    svg: Annotated[
        Path | None,
        typer.Option("--svg", metavar="FILE.svg", help="Build the model, and draw its graph with Graphviz."),
    ] = None,
    origins: Annotated[
        bool, typer.Option("--origins", help="Show every value in force and where it was decided.")
    ] = False,
    allow_code: AllowedCode = None,
    as_json: Json = False,
) -> None:
    """Find every mistake in a config without training. Writes nothing but the drawing."""
    build = build or svg is not None
    with document_errors(config, settings or (), as_json) as document, allowed_code(allow_code, document, as_json):
        with captured() if build else contextlib.nullcontext():
            from dltool.commands.check import check as run_check

            outcome = run_check(document, read_data=data, build=build, svg=svg)
        from dltool.console.results import show_check

        show_check(outcome, origins, as_json)


runs_app = typer.Typer(invoke_without_command=True, add_completion=False)
app.add_typer(runs_app, name="runs")


@runs_app.callback()
def runs_or_command(
    context: typer.Context,
    runs: RunsFolder = None,
    conditions: Filters = None,
    sort: Sort = None,
    as_json: Json = False,
) -> None:
    """List the runs with their results; remove some."""
    command = context.invoked_subcommand
    if command is None:
        list_runs(runs, conditions, sort, as_json)
    elif runs or conditions or sort or as_json:
        raise typer.BadParameter(f"options stand after the command: dltool runs {command} …")


@runs_app.command("list")
def list_runs(
    runs: RunsFolder = None,
    conditions: Filters = None,
    sort: Sort = None,
    as_json: Json = False,
) -> None:
    """List the runs with their results, as `dltool runs` does."""
    with exit_codes(as_json=as_json):
        from dltool.console.run_table import show_runs
        from dltool.runs.configs import MOST_COMPARED, differences_in_short

        found = runs_in(runs, conditions, sort)
        is_short = len(found) <= MOST_COMPARED
        differs = differences_in_short([run.path for run in found if run.status != "broken"]) if is_short else {}
        show_runs(found, differs, runs or RUNS, as_json)


@runs_app.command("remove")
def remove_runs(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Run directories, such as runs/mnist/0001.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove runs, never one that is running."""
    with exit_codes(as_json=as_json):
        from dltool.console.run_table import confirmed, show_removals
        from dltool.runs.removal import planned, remove_planned

        removals = planned(runs)
        if yes or confirmed(removals):
            show_removals(remove_planned(removals), is_done=True, as_json=as_json)


@runs_app.command("prune")
def prune_runs(
    runs: RunsFolder = None,
    conditions: Filters = None,
    sort: Sort = None,
    keep: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Of each name keep the first N by --sort; the newest, unless given."),
    ] = None,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Remove only the checkpoints of completed runs, not the runs.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove the runs that --filter selects, all but those to --keep."""
    with exit_codes(as_json=as_json):
        from dltool.console.run_table import confirmed, show_removals
        from dltool.runs.removal import planned, prunable, remove_planned

        paths = prunable(runs_in(runs, conditions, sort or "number:desc"), keep, bool(conditions), checkpoints)
        removals = planned(paths, only_checkpoints=checkpoints)
        if dry_run:
            show_removals(removals, is_done=False, as_json=as_json)
        elif yes or confirmed(removals):
            show_removals(remove_planned(removals), is_done=True, as_json=as_json)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN…", help="2 to 8 run directories.")],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE.html", help="Write it as a page too, with overlaid curves.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what differs between runs, and whether their results differ by more than chance."""
    with exit_codes(as_json=as_json):
        from dltool.commands.compare import compare as run_compare
        from dltool.commands.compare import write_html
        from dltool.console.comparison import show_comparison
        from dltool.output_file import PAGE, refuse_no_file

        if html is not None:
            refuse_no_file("--html", html, PAGE)
        found = run_compare(runs)
        if html is not None:
            write_html(found, html)
        show_comparison(found, html, as_json)


def runs_in(folder: Path | None, conditions: Sequence[str] | None, sort: str | None) -> "list[RunSummary]":
    from dltool.runs.directory import refuse_no_runs_folder
    from dltool.runs.selection import selected
    from dltool.runs.summaries import require_folder, summaries

    if folder is None:
        refuse_no_runs_folder(RUNS)
    else:
        require_folder(folder)
    return selected(summaries(folder or RUNS), conditions or (), sort)


@app.command()
def init(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[TEMPLATE|DATA]",
            help="A template, or your data: a table, a folder or an archive of class folders, or a text file a class.",
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column of a table to predict; chosen unless given.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="Write it there, if there is no such file yet.")
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="List the templates.")] = False,
) -> None:
    """Print a ready config to begin with: dltool init penguins.csv > penguins.yaml"""
    with exit_codes():
        from dltool.commands.init import config_for, templates, write_new
        from dltool.console.consoles import data_text, stderr_console
        from dltool.console.table_layout import show_templates

        if show_list or what is None:
            show_templates(templates())
            return
        drafted = config_for(what, target, out)
        if out is None:
            write_out(drafted.text)
        else:
            write_new(drafted.text, out)
        console = stderr_console()
        for sentence in drafted.said:
            console.print(data_text(sentence))


@app.command()
def describe(name: Annotated[str, typer.Argument(help="A layer, an optimizer, a data source, a key, …")]) -> None:
    """Explain a name that a config may use, and its arguments."""
    with exit_codes():
        from dltool.config.describe import describe as run_describe
        from dltool.console.table_layout import show_descriptions

        show_descriptions(run_describe(name))


@app.command()
def schema(
    allow_code: Annotated[
        list[Path] | None,
        typer.Option(
            "--allow-code",
            metavar="FILE.py",
            help="Know the Keras layers, losses and metrics of this file. Repeatable.",
        ),
    ] = None,
) -> None:
    """Print the JSON Schema of configs, for editors."""
    with exit_codes(), allowed_code(allow_code):
        from dltool.config.json_schema import json_schema
        from dltool.console.consoles import write_json_text

        write_json_text(json.dumps(json_schema(), indent=1, ensure_ascii=False))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check that this machine can train: versions, memory, disk, devices."""
    with exit_codes(as_json=as_json):
        from dltool.commands.doctor import diagnose
        from dltool.console.table_layout import show_diagnosis

        raise typer.Exit(show_diagnosis(diagnose(), as_json))


@contextlib.contextmanager
def document_errors(
    config: Path,
    settings: Sequence[str],
    as_json: bool,
    given: Mapping[str, str | int | None] = MappingProxyType({}),
    runs: Path | None = None,
) -> Iterator["Document"]:
    """The document of a config with the options `given`, and around the block the exit codes with its positions.

    `runs` must be able to hold runs.
    """
    with exit_codes(as_json=as_json):
        from dltool.config.load import read_document, with_option

        document = read_document(config, settings)
        for option, value in given.items():
            document = document if value is None else with_option(document, option, value)
        if runs is not None:
            from dltool.runs.directory import refuse_no_runs_folder

            refuse_no_runs_folder(runs)
    with exit_codes(document, as_json):
        yield document


@contextlib.contextmanager
def allowed_code(
    files: Sequence[Path] | None, document: "Document | None" = None, as_json: bool = False
) -> Iterator[None]:
    """Within the block, a config may name the classes in these files. They are read here, and run by a model.

    Failures of the block are shown in it, so that the next command can name the files.
    """
    if not files:
        yield
        return
    from dltool.config.keras.allowed_code import read_allowed_code
    from dltool.keras_names import allowing

    with allowing(read_allowed_code(files)), exit_codes(document, as_json):
        yield


@contextlib.contextmanager
def exit_codes(document: "Document | None" = None, as_json: bool = False) -> Iterator[None]:
    """Failures of the block as messages on stderr and exit codes. Anything but a DltoolError is a bug: a traceback."""
    try:
        yield
    except DltoolError as error:
        from dltool.console.results import show_error

        show_error(error, document, as_json)
        raise typer.Exit(error.exit_code) from None
    except BrokenPipeError:
        discard_stdout()
        raise typer.Exit(0) from None
    except KeyboardInterrupt:
        raise typer.Exit(128 + signal.SIGINT) from None
    except MemoryError:
        sys.stderr.write("error: out of memory\n  a smaller batch size or less data needs less\n")
        raise typer.Exit(5) from None


@contextlib.contextmanager
def captured() -> Iterator["Capture"]:
    from dltool.console.capture import captured_chatter

    with captured_chatter() as capture:
        yield capture


def write_out(text: str) -> None:
    sys.stdout.write(text)


def main() -> None:
    """The command line of this process; ends in SystemExit."""
    begin_own_process()
    with safe_streams():
        code = run_app()
    sys.exit(code)


def run_app() -> "int | str | None":
    """The exit code of the command line. A closed or full stdout has one of its own."""
    if sys.stdout is None:
        return cannot_write("stdout is closed")
    try:
        try:
            app()
        except SystemExit as stop:
            # What prints the help ends with code 1 where nobody reads it.
            code = 0 if isinstance(stop.__context__, BrokenPipeError) else stop.code
        sys.stdout.flush()
    except BrokenPipeError:
        # `dltool … | head`: the reader has what it wanted.
        code = 0
        discard_stdout()
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EBADF, errno.EIO}:
            raise
        code = cannot_write(os.strerror(error.errno).lower())
        discard_stdout()
    return code


def cannot_write(reason: str) -> int:
    sys.stderr.write(f"error: the results cannot be written: {reason}\n")
    return 5


def discard_stdout() -> None:
    """Python writes what is left at its end, and would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
