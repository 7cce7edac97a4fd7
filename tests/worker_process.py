"""A worker of a cluster that gets a signal after a step, or computes something else: for tests.

    python tests/worker_process.py EVENT STEP ARGUMENT…

runs `dltool ARGUMENT…`. After STEP steps of this process, EVENT happens: a signal to this process by name, `error` for
an exception, `nan` for weights that are not finite, `busy` for a call that lets no thread run, `impatient` to
notice silence soon, `slow` for a pause before each further call, `nothing`."""

import ctypes
import os
import signal
import sys
import time
from typing import Any

from dltool import __main__, meeting
from dltool.experiment import following, new_training, resuming


def prepared(event: str, step: int, prepare: Any) -> Any:
    fittings, happened = list[Any](), list[str]()

    def wrapped(*arguments: Any, **named: Any) -> Any:
        fitting = prepare(*arguments, **named)
        fitting.steps.train.pace.steps, fitting.steps.train.pace.is_fixed = PACE, True
        run = fitting.run
        fittings.append(fitting)

        def running(start: Any) -> Any:
            asked = fitting.should_stop

            def stop() -> Any:
                is_time = sum(each.position.steps for each in fittings) >= step
                if event == "slow" and is_time:
                    time.sleep(2)
                elif is_time and not happened:
                    happened.append(event)
                    happen(event, fitting)
                return asked()

            fitting.should_stop = stop
            return run(start)

        if event != "nothing":
            fitting.run = running
        return fitting

    return wrapped


def happen(event: str, fitting: Any) -> None:
    from dltool.training import team

    if event.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, event))
    elif event == "error":
        raise MemoryError
    elif event == "impatient":
        meeting.PATIENCE, team.MILLISECONDS = 3.0, 2000
    elif event == "busy":
        # A call that lets no other thread run.
        ctypes.PyDLL(None).sleep(40)
    elif event == "nan":
        variable = fitting.core.trainable_variables[0]
        variable.assign(variable.numpy() * float("nan"))


PACE = int(os.environ.get("PACE", "3"))

if __name__ == "__main__":
    event, step = sys.argv[1], int(sys.argv[2])
    # One for each module, of which a process uses one.
    for module in (new_training, following, resuming):
        vars(module)["prepared_steps"] = prepared(event, step, vars(module)["prepared_steps"])
    sys.argv = ["dltool", *sys.argv[3:]]
    __main__.main()
