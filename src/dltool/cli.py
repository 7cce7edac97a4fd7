"""The command line: signatures, exit codes, and the only place that imports commands, each when it is called."""

import contextlib
import errno
import os
import sys
import traceback
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Annotated

import typer
from typer import Argument, Option

from dltool import __version__
from dltool.console.cluster_place import ClusterAddresses, WorkerNumber, follows, place_of_run
from dltool.console.curve_app import curve
from dltool.console.drift_app import drift
from dltool.console.eject_app import eject
from dltool.console.explain_app import explain
from dltool.console.export_app import export
from dltool.console.frame import frame
from dltool.console.inspecting import describe, doctor, schema
from dltool.console.options import (
    AllowedCode,
    ConfigFile,
    Json,
    MovedData,
    RunFolder,
    Settings,
)
from dltool.console.runs_app import runs_app
from dltool.console.safe_streams import safe_streams
from dltool.console.search_command import search
from dltool.console.serve_app import serve
from dltool.console.training_commands import resume, train
from dltool.environment import concealed
from dltool.imports import begin_own_process
from dltool.text import os_words

app = typer.Typer(
    name="dltool",
    help="Train deep-learning models from YAML files.",
    epilog="Start with: dltool init digits > digits.yaml, then dltool train digits.yaml",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(is_asked: bool) -> None:
    if is_asked:
        sys.stdout.write(f"dltool {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, Option("--version", help="Show the version and exit.", is_eager=True, callback=show_version)
    ] = False,
) -> None:
    """Handle the options before a command."""


app.command()(train)
app.command()(resume)


@app.command()
def reproduce(
    run: RunFolder,
    into: Annotated[Path | None, Option(metavar="DIR", help="Keep the second run below this folder.")] = None,
    moved: MovedData = None,
    cluster: ClusterAddresses = None,
    worker: WorkerNumber = None,
    allow_code: AllowedCode = None,
    as_json: Json = False,
    quiet: Annotated[bool, Option("--quiet", help="Print only warnings, errors and the result.")] = False,
) -> None:
    """Train a completed run again from its record; report whether it is bit-identical.

    A run of several workers has as many again: on this machine, or in a cluster that starts each."""
    with frame(as_json, allow_code) as within:
        from dltool.commands.reproduce import reproduce as run_reproduce

        place = place_of_run(run, cluster, worker)
        work = partial(run_reproduce, run, into=into, settings=moved or (), cluster=place)
        within.carry_out(work, is_silent=quiet or as_json or follows(place))


@app.command()
def evaluate(
    run: RunFolder,
    split: Annotated[str | None, Option(help="train, validation or test. Default: test.")] = None,
    data: Annotated[Path | None, Option(metavar="FILE", help="New labelled data in the format of the source.")] = None,
    metrics: Annotated[
        list[str] | None,
        Option(
            metavar="METRICS",
            help="Metrics that replace the config's: accuracy,AUC or, as YAML, {F1Score: {average: macro}}.",
        ),
    ] = None,
    slices: Annotated[
        str | None,
        Option(metavar="COLUMNS", help="Columns of groups to compare: sex,race or, as YAML, [sex, {age: [30, 50]}]."),
    ] = None,
    moved: MovedData = None,
    allow_code: AllowedCode = None,
    as_json: Json = False,
) -> None:
    """Evaluate the best model of a run on a split, or on new labelled data."""
    with frame(as_json, allow_code) as within:
        from dltool.commands.evaluate import EvaluationChoice
        from dltool.commands.evaluate import evaluate as run_evaluate

        choice = EvaluationChoice(metrics or (), slices)
        within.carry_out(partial(run_evaluate, run, split, data, choice, moved or ()))


@app.command()
def report(
    run: RunFolder,
    out: Annotated[
        Path | None, Option(metavar="FILE.html", help="Write the page to this file instead of the run.")
    ] = None,
    moved: MovedData = None,
    allow_code: AllowedCode = None,
    as_json: Json = False,
) -> None:
    """Write the report of a run, one HTML file: results, curves, errors, data, model, warnings."""
    with frame(as_json, allow_code) as within:
        from dltool.commands.report import report as run_report

        within.carry_out(partial(run_report, run, out, settings=moved or ()), is_silent=as_json)


@app.command()
def predict(
    run: RunFolder,
    files: Annotated[
        list[str], Argument(metavar="FILE…", help="New data in the format of the run's source; - is standard input.")
    ],
    out: Annotated[
        Path | None, Option(metavar="FILE", help="Write a .csv, .jsonl or .parquet file, or a folder of masks.")
    ] = None,
    allow_code: AllowedCode = None,
    as_json: Json = False,
) -> None:
    """Predict with the best model of a run, from the run directory alone."""
    with frame(as_json, allow_code) as within:
        from dltool.commands.predict import predict as run_predict

        within.carry_out(partial(run_predict, run, files, out))


app.command()(explain)


@app.command()
def check(
    config: ConfigFile,
    settings: Settings = None,
    data: Annotated[bool, Option("--data", help="Read the data too: sizes, classes, splits.")] = False,
    build: Annotated[
        bool, Option("--build", help="Build the model too: its layers, their cost, and the time of a step.")
    ] = False,
    svg: Annotated[
        Path | None, Option("--svg", metavar="FILE.svg", help="Build the model, and draw its graph with Graphviz.")
    ] = None,
    origins: Annotated[bool, Option("--origins", help="Show every resolved value and its origin.")] = False,
    allow_code: AllowedCode = None,
    as_json: Json = False,
) -> None:
    """Find every error in a config without training. Writes nothing but the drawing."""
    build = build or svg is not None
    with frame(as_json, allow_code) as within:
        document = within.read(config, settings)
        from dltool.console.capture import captured_chatter

        with captured_chatter() if build or data else contextlib.nullcontext():
            from dltool.commands.check import check as run_check

            outcome = run_check(document, read_data=data, build=build, svg=svg, lists_origins=origins)
        from dltool.console.results import show

        show(outcome, as_json=as_json)


app.add_typer(runs_app, name="runs")
for leaf in (drift, export, eject, curve, search, serve):
    app.command()(leaf)


@app.command()
def compare(
    runs: Annotated[list[Path], Argument(metavar="RUN RUN…", help="2 to 8 run directories.")],
    html: Annotated[
        Path | None, Option("--html", metavar="FILE.html", help="Write a page with overlaid curves too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which run is better, on each metric and overall, and show what differs between the runs."""
    with frame(as_json):
        from dltool.commands.compare import compare as run_compare
        from dltool.console.comparison import show_comparison

        show_comparison(run_compare(runs, html), html, as_json)


@app.command()
def init(
    what: Annotated[
        str | None,
        Argument(
            metavar="[TEMPLATE|DATA]",
            help="A template, or your data: a table, or a folder or archive with a folder or a text file per class.",
        ),
    ] = None,
    target: Annotated[
        str | None, Option(metavar="COLUMN", help="The column of a table to predict; inferred by default.")
    ] = None,
    out: Annotated[
        Path | None, Option(metavar="FILE.yaml", help="Write the config to this file, which must not exist.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        Option(
            "--set",
            metavar="KEY=VALUE",
            help="How a table is read, such as data.source.excel.sheet=Sales or data.inputs.zip=category. Repeatable.",
        ),
    ] = None,
    show_list: Annotated[bool, Option("--list", help="List the templates.")] = False,
) -> None:
    """Print a starter config: dltool init penguins.csv > penguins.yaml"""
    with frame():
        from dltool.commands.init import config_for, templates, write_new
        from dltool.console.capture import captured_chatter
        from dltool.console.consoles import data_text, stderr_console
        from dltool.console.table_layout import show_templates

        if show_list or what is None:
            show_templates(templates())
            return
        with captured_chatter():
            # Decoders print what they think of each file.
            drafted = config_for(what, target, out, settings or ())
        if out is None:
            sys.stdout.write(drafted.text)
        else:
            write_new(drafted.text, out)
        for sentence in drafted.notes:
            stderr_console().print(data_text(sentence))


for inspecting in (describe, schema, doctor):
    app.command()(inspecting)


def main() -> None:
    """Run the command line of this process; ends in SystemExit."""
    begin_own_process()
    sys.excepthook = show_bug
    with safe_streams():
        code = run_app()
    sys.exit(code)


def show_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(concealed("".join(traceback.format_exception(kind, error, trace))))


def run_app() -> "int | str | None":
    """Return the exit code of the command line, also for a closed or full stdout."""
    if sys.stdout is None:
        return cannot_write("stdout is closed")
    try:
        try:
            app()
        except SystemExit as stop:
            # Help written to a closed pipe ends with code 1.
            code = 0 if isinstance(stop.__context__, BrokenPipeError) else stop.code
        sys.stdout.flush()
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            # `dltool … | head`: the reader has closed the pipe.
            code = 0
        elif error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EBADF, errno.EIO}:
            code = cannot_write(os_words(error))
        else:
            raise
        # Python flushes stdout at exit, and would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return code


def cannot_write(reason: str) -> int:
    sys.stderr.write(f"error: the results cannot be written: {reason}\n")
    return 5
