"""Refuses state of the user's own code that no checkpoint holds, by the operations of the compiled steps."""

import random
import re
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.errors import Position, Problem, UnreadableConfig
from dltool.keras_names import ALLOWED
from dltool.training.loop import Loop

HELD = re.compile(
    r"Resource|Assign|ReadVariable|Var|While|If$|Case$|Call$|TensorArray|Stack|LookupTable(Find|Size|Export)"
    r"|Assert|Print|CheckNumerics|Cudnn|Collective|Nccl|GetAlg$|^Empty$|DeepCopy"
)
"""Stateful operations of TensorFlow that change variables only, or nothing."""
LOST = "neither checkpoints nor model.keras hold"
IN_LAYER = "create it in a layer with self.add_weight(trainable=False), or in a metric with self.add_variable"
RANDOM = "draw with keras.random and seed=self.seeds, where the layer's __init__ sets self.seeds to a SeedGenerator"
PYTHON = "write it with keras.ops; tf.numpy_function(…, stateful=False) calls Python code that has no state"
CHANGING = (
    "count in a layer's self.add_weight(trainable=False); draw with keras.random and a SeedGenerator of the layer"
)
GENERATOR_STATES = ("seed_generator_state", "StateVar")
"""Names of the variables of keras.random.SeedGenerator and tf.random.Generator."""


def refuse_unsaved_state(loop: Loop, core: keras.Model, saved: Iterable[Any]) -> None:
    """Raise UnreadableConfig if the allowed code has state in this loop's step other than the variables `saved`.

    A resumed run would differ. The step is traced twice: Python's own state, such as a counter or a generator of NumPy,
    becomes a constant, which is another one each time."""

    def step(tables: Any, rows: Any) -> Any:
        return loop.run_one(tables, rows), loop.results()

    rows = tf.TensorSpec((loop.batch_size,), tf.int32)
    before = generators()
    graphs = []
    for _ in range(2):
        # As between epochs.
        core.reset_metrics()
        graphs.append(tf.function(step, autograph=False).get_concrete_function(loop.tables.specs, rows).graph)
    problems = [*unsaved_variables(graphs[0], saved), *stateful_operations(graphs[0]), *changed_constants(*graphs)]
    if not problems and generators() != before:
        message = "a number is drawn from the random generator of Python or NumPy once, when a step is compiled"
        problems.append(Problem(Position(ALLOWED[0].shown_as, 1, 1), message, CHANGING))
    if problems:
        texts = {code.shown_as: code.source.decode("utf-8", "replace") for code in ALLOWED}
        raise UnreadableConfig(list(dict.fromkeys(problems)), texts)


def generators() -> str:
    """Return the states of the global generators of Python and NumPy."""
    return repr((random.getstate(), [np.asarray(part).tolist() for part in np.random.get_state()]))


def unsaved_variables(graph: Any, saved: Iterable[Any]) -> Iterator[Problem]:
    held = {id(variable.value.handle) for variable in saved}
    names = {id(variable.handle): variable.name.split(":")[0] for variable in graph.variables}
    for handle, inside in graph.captures:
        if id(handle) in names and id(handle) not in held:
            place = next(filter(None, map(own_place, inside.consumers())), None)
            name = names[id(handle)].split("/")[-1]
            message = f'the variable "{name}" is part of no layer or metric: {LOST} it'
            hint = RANDOM if name in GENERATOR_STATES else IN_LAYER
            yield Problem(place or Position(ALLOWED[0].shown_as, 1, 1), message, hint)


def stateful_operations(graph: Any) -> Iterator[Problem]:
    for operation in operations(graph):
        if operation.op_def.is_stateful and not HELD.search(operation.type) and (place := own_place(operation)):
            is_python, is_random = "PyFunc" in operation.type, "seed2" in operation.node_def.attr
            what = "Python code that TensorFlow calls" if is_python else f"TensorFlow's operation {operation.type}"
            hint = PYTHON if is_python else RANDOM if is_random else f"if it needs state, {IN_LAYER}"
            yield Problem(place, f"{what} may have state: {LOST} it", hint)


def changed_constants(before: Any, after: Any) -> Iterator[Problem]:
    pairs = zip(operations(before), operations(after), strict=False)
    changed = next((pair[1] for pair in pairs if content(pair[0]) != content(pair[1])), None)
    if changed is not None:
        place = own_place(changed) or Position(ALLOWED[0].shown_as, 1, 1)
        message = "a Python value that changes became a constant when a step was compiled"
        yield Problem(place, message, CHANGING)


def content(operation: Any) -> tuple[str, bytes]:
    """Return the kind of an operation, and its value if it is a constant."""
    return operation.type, operation.get_attr("value").SerializeToString() if operation.type == "Const" else b""


def operations(graph: Any) -> list[Any]:
    """Return the operations of a graph and of the functions that it calls."""
    graphs = [graph, *(function.graph for function in graph._functions.values() if function.graph is not None)]
    return [operation for each in graphs for operation in each.get_operations()]


def own_place(operation: Any) -> Position | None:
    """Return the innermost line of the allowed files that made the operation; None if none did."""
    files = {code.shown_as for code in ALLOWED}
    lines = [frame for frame in operation.traceback if frame.filename in files]
    return Position(lines[-1].filename, lines[-1].lineno, 1) if lines else None
