"""A new run directory: the initial run.json, and the files that never change."""

import contextlib
import io
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from dltool.config.load import Document
from dltool.config.text.dump import dump_yaml, origins
from dltool.config.text.tree import format_path
from dltool.errors import DltoolError
from dltool.experiment.opening import Experiment
from dltool.experiment.refusals import RESUMED_PARTS, places_outside, weight_files
from dltool.experiment.signals import StopNow
from dltool.keras_names import ALLOWED
from dltool.machine import describe_machine
from dltool.runs.checkpoint_file import checkpoint_path, write_checkpoint
from dltool.runs.directory import create
from dltool.runs.files import OWN_TABLE, Run, encode_json
from dltool.runs.recorded import environment_digests, recorded_contents, with_table_at

if TYPE_CHECKING:
    from dltool.experiment.listener import Progress
    from dltool.model.start import StartedWeights
    from dltool.training.fit import Fitting


@contextlib.contextmanager
def new_run(
    runs: Path,
    document: Document,
    experiment: Experiment,
    fitting: "Fitting",
    progress: "Progress",
    further: Mapping[str, bytes] = MappingProxyType({}),
    part: Path | None = None,
    **fields: Any,
) -> Iterator[Run]:
    """Create the run, with `further` files and `fields` of run.json; hold its lock. For `part` and what it raises see
    :func:`dltool.runs.directory.create`."""
    config, dataset = experiment.config, experiment.dataset
    outside = places_outside(config, RESUMED_PARTS)
    run_id = secrets.token_hex(16)
    record = {
        "id": run_id,
        "command": "train",
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "config": document.shown_as,
        "seed": config.seed,
        "resumable": not outside,
        "most_rows": None,
        "data": {**recorded_contents(dataset), **dataset.facts.record(), "warnings": list(dataset.warnings)},
        "environment": environment_digests(config, run_id),
        "machine": describe_machine(),
        "pinned": dict(experiment.pinned),
        "strategy": asdict(fitting.steps.strategy),
        "weights": weight_files(experiment.built),
        "start": None if experiment.built.started is None else experiment.built.started.record,
        "teacher": None if fitting.steps.teacher is None else fitting.steps.teacher.record,
        "git": None,
        "code": [{"file": code.shown_as, "sha256": code.sha256} for code in ALLOWED],
    }
    files = {**first_files(document, experiment), **further}
    if part is None and experiment.built.started is not None:
        files |= {f"start/{checkpoint_path(Path(), 0)}": start_file(experiment.built.started)}
    with create(runs, config.name, {**record, **fields}, files, part) as run:
        progress.run_created(run, is_kept=experiment.is_kept)
        for place in outside if experiment.is_kept else ():
            progress.warn(f"this run cannot be resumed: {format_path(place)} names something outside it")
        yield run


@contextlib.contextmanager
def temporary_runs(prefix: str) -> Iterator[Path]:
    """Yield a folder for runs that are not kept, not even after an error."""
    try:
        with tempfile.TemporaryDirectory(prefix=prefix) as folder:
            yield Path(folder)
    except (DltoolError, StopNow) as error:
        error.kept = ""
        raise


def start_file(started: "StartedWeights") -> bytes:
    """Return the run's copy of the weights that its model started with."""
    with tempfile.TemporaryDirectory() as folder:
        return write_checkpoint(Path(folder), 0, list(started.arrays.items()), started.record).read_bytes()


def first_files(document: Document, experiment: Experiment) -> dict[str, bytes]:
    """Return the files that never change: config, splits, origins, the fitted preprocessing layers, and the table."""
    from dltool.model.preprocessing import save_preprocessing

    # By config path, with the text written there if it differs.
    decided = {
        format_path(found.path): f"{found.origin} ({found.written})" if found.written else found.origin
        for found in origins(document, experiment.config)
    }
    table = document.table
    config = experiment.config if table is None else with_table_at(experiment.config, OWN_TABLE)
    fitted = experiment.built.fitted
    with tempfile.TemporaryDirectory() as folder:
        save_preprocessing(fitted.layers, fitted.columns, Path(folder))
        files = [file for file in sorted(Path(folder).rglob("*")) if file.is_file()]
        saved = {f"preprocessing/{file.relative_to(folder).as_posix()}": file.read_bytes() for file in files}
    split = experiment.dataset.split
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {"train": split.train, "validation": split.validation, "test": split.test}
    arrays |= {} if split.folds is None else {"folds": split.folds.numbers}
    np.savez(buffer, **arrays)
    return {
        "config.yaml": document.content,
        "resolved.yaml": dump_yaml(config).encode(),
        "split.npz": buffer.getvalue(),
        "origins.json": (encode_json(decided, indent=1) + "\n").encode(),
        **saved,
        **({} if table is None else {OWN_TABLE: table}),
    }
