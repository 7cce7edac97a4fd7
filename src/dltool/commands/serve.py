"""`dltool serve RUN…`: answer over HTTP with the best models of runs."""

import shlex
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from dltool.config.file_columns import AudioColumn, ImageColumn
from dltool.durable_files import disk_errors
from dltool.errors import ConfigError, MachineError
from dltool.evaluation.predictions import refuse_unclear
from dltool.experiment.opening import recorded_kind
from dltool.experiment.refusals import require_code
from dltool.exporting.export_options import Engine
from dltool.installation import install_extra
from dltool.runs.directory import open_run
from dltool.text import quoted

if TYPE_CHECKING:
    from dltool.serving.limits import Limits
    from dltool.serving.server import Setup

PACKAGES = ("fastapi", "uvicorn", "prometheus_client", "python_multipart")
SHORTEST_KEY = 16


def setup_for(
    paths: Sequence[Path],
    limits: "Limits",
    engine: Engine = "auto",
    *,
    follows: bool = False,
    key_file: Path | None = None,
    allow_code: Sequence[Path] = (),
) -> "Setup":
    """Return what a server of these runs needs, without loading a model.

    Raises ConfigError: a model cannot be served, or two have one name, or the key is too short; RunError: a run is
    damaged, or has no verified export for the engine "onnx"; MachineError: that engine is missing."""
    from dltool.serving.server import Setup

    names: dict[str, Path] = {}
    notes = []
    for path in paths:
        name, why = name_served(path, engine)
        if name in names:
            raise ConfigError(f"{names[name]} and {path} both serve {quoted(name)}", "serve them at two ports")
        names[name] = path
        notes += [f"{name} is computed by TensorFlow: {why}"] if why else []
    key = None if key_file is None else key_in(key_file)
    return Setup(names, limits, follows, key, tuple(allow_code), engine, notes)


def require_packages() -> None:
    """Raise MachineError: a package that a server needs is missing."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise MachineError(f"dltool serve needs {', '.join(missing)}", install_extra("serve"))


def name_served(path: Path, engine: Engine) -> tuple[str, str]:
    """Return the name of a run's model, and why the engine is TensorFlow, unless it was asked for. Raises as
    :func:`setup_for`."""
    run = open_run(path)
    require_code(run, f"serve {shlex.quote(str(path))}")
    config, facts = recorded_kind(run)
    hint = f"dltool predict {run.path} FILE reads them here"
    for name, found in facts.inputs.items():
        if found.column is not None and isinstance(found.column.options, ImageColumn | AudioColumn):
            raise ConfigError(f"{run.path}: {quoted(name)} names files, which a request must not name", hint)
    refuse_unclear(config, facts)
    from dltool.exporting.onnx_predictor import export_for

    return config.name, export_for(run, config, facts, engine)[1]


def incomplete(paths: Sequence[Path]) -> list[Path]:
    """Return the runs that are not complete, whose best weights so far are served."""
    return [run.path for run in map(open_run, paths) if not run.is_complete()]


def key_in(file: Path) -> str:
    """Return the key in a file. Raises ConfigError: it is none; MachineError: the file cannot be read."""
    with disk_errors(file):
        key = file.read_bytes().strip()
    if len(key) < SHORTEST_KEY or not key.isascii() or any(byte <= ord(" ") for byte in key):
        message = f"{file}: a key is one line of at least {SHORTEST_KEY} ASCII characters without spaces"
        raise ConfigError(message, f"make one: openssl rand -hex 32 > {shlex.quote(str(file))}")
    return key.decode()
