"""Everything that training changes, as arrays and plain values.

Arrays are saved by position with a signature of names, shapes and dtypes: matching by name would skip mismatches."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.errors import RunError
from dltool.model.build import BuiltModel, global_seed_generator
from dltool.training.callbacks import callback_state, restore_callback

Arrays = list[tuple[str, np.ndarray]]
BEST = "best/"
"""The prefix of the names of the best weights."""


@dataclass(frozen=True)
class TrainingState:
    """`arrays` are copies, in a fixed order; `state` holds only JSON values."""

    arrays: Arrays
    state: dict[str, Any]


@dataclass(frozen=True)
class EpochRecord:
    """One finished epoch, counted from 1. `logs` have Keras's names; the learning rate is the last step's."""

    epoch: int
    logs: dict[str, float]
    learning_rate: float
    seconds: float


@dataclass
class TrainingPosition:
    """The position of a run: `epoch` epochs are finished, and `step` steps of the next one.

    `phase` is the one whose optimizer is in use; the next one is entered with its first epoch."""

    epoch: int = 0
    phase: int = 0
    step: int = 0
    steps: int = 0
    stop: bool = False
    history: list[EpochRecord] = field(default_factory=list)


def variables(built: BuiltModel) -> list[tuple[str, Any]]:
    """Return every variable that affects further training, by a name that holds its owner and path."""
    core = built.core
    parts: dict[str, Sequence[Any]] = {
        "core": core.variables,
        "optimizer": core.optimizer.variables,
        "metrics": core.metrics_variables,
        **built.variables_beside(),
        "random": (global_seed_generator().state,),
    }
    return [
        (f"{part}/{index}/{uncounted(variable.path)}", variable)
        for part, found in parts.items()
        for index, variable in enumerate(found)
    ]


def value_of(variable: Any) -> Any:
    """Return a Keras variable's value as a tensor that keeps it: three times as fast as `variable.numpy()`."""
    held = variable.value
    return tf.raw_ops.ReadVariableOp(resource=held.handle, dtype=held.dtype)


def set_value(variable: Any, value: Any) -> None:
    """Set a Keras variable to a value of :func:`value_of`: five times as fast as `variable.assign`."""
    tf.raw_ops.AssignVariableOp(resource=variable.value.handle, value=value)


@contextlib.contextmanager
def evaluating(model: keras.Model, seed: int) -> Iterator[None]:
    """Make what a model computes in evaluation within the block a function of its weights and the seed alone.

    Layers that are random in evaluation draw from the same numbers each time. What evaluation changes is restored."""
    generators = [generator.state for layer in model._flatten_layers() for generator in layer._seed_generators]
    states = [*generators, global_seed_generator().state]
    kept = [(variable, value_of(variable)) for variable in (*model.non_trainable_variables, states[-1])]
    for index, state in enumerate(states):
        state.assign([(seed + index) % 2**32, 0])
    try:
        yield
    finally:
        for variable, value in kept:
            set_value(variable, value)


def copied(named: Sequence[tuple[str, Any]]) -> Arrays:
    return [(name, np.array(value_of(variable).numpy())) for name, variable in named]


def best_variables(core: keras.Model) -> list[tuple[str, Any]]:
    """Return the model's variables, by the names that the best weights have in a state."""
    return [(f"{BEST}{index}/{uncounted(variable.path)}", variable) for index, variable in enumerate(core.variables)]


@contextlib.contextmanager
def holding(core: keras.Model, weights: Arrays) -> Iterator[None]:
    """Use these weights, of :func:`best_variables`, within the block, then restore the model's own."""
    own = copied(best_variables(core))
    try:
        assign(core, weights)
        yield
    finally:
        assign(core, own)


def assign(core: keras.Model, weights: Arrays) -> None:
    for (_, variable), (_, array) in zip(best_variables(core), weights, strict=True):
        variable.assign(array)


def restore_best(core: keras.Model, saved: TrainingState) -> Arrays:
    """Load the best weights of a state into the model and return them; empty if there are none yet.

    Raises RunError: they are not of this model, which is then unchanged."""
    best = [(name, array) for name, array in saved.arrays if name.startswith(BEST)]
    if best:
        compare(signature(best), best_variables(core))
        assign(core, best)
    return best


def uncounted(path: str) -> str:
    """Return a path without the numbers that Keras appends to names: dense_3/kernel → dense/kernel."""
    return re.sub(r"_\d+(?=[_/]|$)", "", path)


def signature(arrays: Sequence[tuple[str, Any]]) -> list[list[Any]]:
    return [[name, list(array.shape), str(array.dtype)] for name, array in arrays]


def capture(built: BuiltModel, callbacks: Sequence[keras.callbacks.Callback]) -> TrainingState:
    """Copy the state of variables and callbacks."""
    arrays = copied(variables(built))
    described = signature(arrays)
    notes = []
    for number, callback in enumerate(callbacks):
        plain, kept = callback_state(callback)
        counts = {name: len(kept[name]) for name in kept}
        notes.append({"class": type(callback).__name__, "plain": plain, "arrays": counts})
        for name in kept:
            arrays += [(f"callbacks/{number}/{name}/{index}", array) for index, array in enumerate(kept[name])]
    return TrainingState(arrays, {"variables": described, "callbacks": notes})


def restore(built: BuiltModel, callbacks: Sequence[keras.callbacks.Callback], saved: TrainingState) -> None:
    """Load a captured state into new objects, after the callbacks' `on_train_begin`, which resets them.

    Raises RunError: the state is not of this model, optimizer, metrics and callbacks, which are then unchanged."""
    targets = variables(built)
    recorded = saved.state["variables"]
    if signature(saved.arrays[: len(targets)]) != recorded:
        raise RunError("the saved state contradicts itself: its arrays are not those it lists")
    compare(recorded, targets)
    notes = saved.state["callbacks"]
    if [note["class"] for note in notes] != [type(callback).__name__ for callback in callbacks]:
        raise RunError("the saved state has other callbacks than the config")
    for (_, variable), (_, array) in zip(targets, saved.arrays, strict=False):
        variable.assign(array)
    arrays = dict(saved.arrays)
    for number, (callback, note) in enumerate(zip(callbacks, notes, strict=True)):
        kept = {
            name: [arrays[f"callbacks/{number}/{name}/{index}"] for index in range(count)]
            for name, count in note["arrays"].items()
        }
        restore_callback(callback, note["plain"], kept)


def compare(recorded: list[list[Any]], targets: list[tuple[str, Any]]) -> None:
    expected = signature(targets)
    if len(expected) != len(recorded):
        raise RunError(f"the saved state has {len(recorded)} variables, and the model has {len(expected)}")
    for ours, theirs in zip(expected, recorded, strict=True):
        if ours != theirs:
            raise RunError(f"the saved state does not fit: it has {theirs}, and the model has {ours}")
