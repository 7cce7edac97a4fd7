"""Runs `dltool` in forked children, so that each need not import TensorFlow anew.

A program of its own: it has imported everything and executed nothing, no TensorFlow operation above all, so a child is
like a fresh process after its imports. It reads one JSON request a line and answers each with one.

    {"arguments": ["train", …], "output": "file", "settings": {…}, "hook": "name", "options": {…}} -> {"pid": 1}
    {"ended": 1}                                                                                   -> {"code": 0} or {}

`settings` are values of modules by their place: {"dltool.training.batches.CHUNK_BYTES": 1000}.
A code below 0 is the signal that killed the child. A child that has ended keeps its number until it is asked for.
"""

import importlib
import io
import json
import os
import signal
import sys
import traceback
from typing import Any

IMPORTS = (
    *("tensorflow", "keras", "sklearn.datasets", "h5py", "dltool.cli", "dltool.commands.train"),
    *(
        "dltool.commands.resume",
        "dltool.experiment.resuming",
        "dltool.training.fit",
        "dltool.evaluation.measure",
        "dltool.evaluation.baselines",
        "dltool.evaluation.figures.prediction_figures",
        "dltool.evaluation.figures.curves",
        "dltool.evaluation.intervals",
        "dltool.evaluation.stored",
        "sklearn.decomposition",
        "sklearn.linear_model",
        "dltool.model.preprocessing",
    ),
    *("dltool.console.progress", "dltool.console.results", "tests.exactness.hooks"),
)


def serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    for module in IMPORTS:
        importlib.import_module(module)
    for module in ("experiment.new_training", "experiment.resuming"):
        # A report comes when the run is complete: what happens then is no matter of the bits.
        vars(sys.modules[f"dltool.{module}"])["report_of_training"] = lambda *_: None
    # These trainings take a second: there would be nothing to go on from but their beginning.
    vars(sys.modules["dltool.runs.checkpoint_file"])["SECONDS_BETWEEN"] = 0.0
    answers.write("ready\n")
    answers.flush()
    # Not the buffered file: a child must not inherit requests that were read ahead.
    requests = io.FileIO(0, closefd=False)
    while line := requests.readline():
        request = json.loads(line)
        answer = ended(request["ended"]) if "ended" in request else {"pid": start(request)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def ended(pid: int) -> dict[str, int]:
    found, status = os.waitpid(pid, os.WNOHANG)
    return {"code": os.waitstatus_to_exitcode(status)} if found else {}


def start(request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        code = child(request)
    except BaseException:  # noqa: BLE001 (a bug, reported as Python would)
        traceback.print_exc()
        code = 1
    finally:
        sys.stderr.flush()
        os._exit(code)


def child(request: dict[str, Any]) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["dltool", *request["arguments"]]
    for place, value in request["settings"].items():
        module, name = place.rsplit(".", 1)
        vars(importlib.import_module(module))[name] = value
    at_end = None
    if request.get("hook"):
        hooks = importlib.import_module("tests.exactness.hooks")
        at_end = getattr(hooks, request["hook"])(**request.get("options", {}))
    try:
        importlib.import_module("dltool.cli").main()
    except SystemExit as stop:
        sys.stdout.flush()
        return int(stop.code or 0)
    finally:
        if at_end:
            at_end()
    return 0


if __name__ == "__main__":
    serve()
