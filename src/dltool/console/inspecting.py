"""The signatures of the commands that explain: names, the schema of configs, and this machine."""

import json
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from dltool.console.cluster_place import ClusterAddresses, WorkerNumber, Workers, place_of
from dltool.console.frame import frame
from dltool.console.options import Json


def describe(name: Annotated[str, Argument(help="A layer, an optimizer, a data source, a key, …")]) -> None:
    """Explain a name that a config can use, and its arguments."""
    with frame():
        from dltool.config.describe import describe as run_describe
        from dltool.console.table_layout import show_descriptions

        show_descriptions(run_describe(name))


def schema(
    allow_code: Annotated[
        list[Path] | None,
        Option(
            "--allow-code",
            metavar="FILE.py",
            help="Include the Keras layers, losses and metrics of this file. Repeatable.",
        ),
    ] = None,
) -> None:
    """Print the JSON Schema of configs, for editors."""
    with frame(allow_code=allow_code):
        from dltool.config.json_schema import json_schema
        from dltool.console.consoles import write_json_text

        write_json_text(json.dumps(json_schema(), indent=1, ensure_ascii=False))


def doctor(
    workers: Workers = None, cluster: ClusterAddresses = None, worker: WorkerNumber = None, as_json: Json = False
) -> None:
    """Check that this machine can train, or that several workers can train together.

    For one machine: versions, memory, disk, devices. For several workers, start it as `train`, once for each: they
    join, and worker 0 shows what is wrong between them, or how long their sums take."""
    with frame(as_json):
        from dltool.console.table_layout import show_diagnosis

        place = place_of(workers, cluster, worker)
        if place is None:
            from dltool.commands.doctor import diagnose

            raise typer.Exit(show_diagnosis(diagnose(), as_json))
        from dltool.commands.doctor import diagnose_cluster
        from dltool.console.capture import captured_chatter

        with captured_chatter():
            checks = diagnose_cluster(place)
        if place.is_chief:
            raise typer.Exit(show_diagnosis(checks, as_json))
