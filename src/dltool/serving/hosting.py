"""The models that a server hosts: each with its batches, and reloaded when the run it follows has a successor."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dltool.data.arrays.rows import Rows, coded
from dltool.errors import DltoolError
from dltool.evaluation.model_interface import InputSchema
from dltool.exporting.export_options import Engine
from dltool.runs.directory import open_run
from dltool.serving.batching import Batcher
from dltool.serving.counters import Counters
from dltool.serving.limits import Limits, Refused
from dltool.serving.served import Answer, Query, Served, served

LOOK_EVERY = 2.0
"""Seconds between looks for a newer run."""
EXPLAINING = threading.Lock()
"""Held while an explanation is made: it takes a second or more of processor time."""


class Host:
    """One model by name. What it answers with may be replaced at any time between two batches."""

    def __init__(
        self, path: Path, limits: Limits, counters: Counters, engine: Engine = "auto", *, is_beside: bool = False
    ) -> None:
        """Load and warm the best model of the run at `path`. Arguments and errors are those of :func:`served`."""
        self.path, self.limits, self.counters, self.engine = path, limits, counters, engine
        self.model = warmed(served(path, limits, engine, is_beside=is_beside))
        waiting = counters.waiting.labels(self.model.name)
        self.batcher: Batcher[Query, Answer] = Batcher(self.answers, limits, waiting.set)

    def answers(self, questions: Sequence[Query]) -> Sequence[Answer | BaseException]:
        model = self.model
        self.counters.count_batch(model, sum(each.rows for each in questions))
        return model.answers(questions)

    async def ask(self, question: Query) -> Answer:
        """Return the answer. Raises Refused: the question has too many rows, and as :meth:`Batcher.ask`."""
        if question.rows > self.limits.rows:
            raise Refused(413, f"a request may have {self.limits.rows:,} rows")
        return await self.batcher.ask(question)

    async def explain(self, question: Query) -> list[dict[str, Any]]:
        """Return the explanations of one prediction. Raises Refused: there are several rows, another explanation is
        being made, or it takes too long; and as :meth:`Served.explained`."""
        if question.rows != 1:
            raise Refused(422, f"one row is explained at a time; given are {question.rows:,}")
        if not EXPLAINING.acquire(blocking=False):
            raise Refused(503, "another explanation is being made; try again in a second")

        def explained() -> list[dict[str, Any]]:
            try:
                return self.model.explained(question)
            finally:
                EXPLAINING.release()

        # One that takes too long is made to its end, and keeps others away until then.
        return await self.batcher.in_time(asyncio.shield(asyncio.to_thread(explained)))

    def newer(self) -> Served | None:
        """Return the model of the run that `path` points to now, warmed; None if it is the same run, or not complete.

        Raises DltoolError: it cannot be loaded; Refused: it takes or gives something else than the model before."""
        run = open_run(self.path)
        if run.path.resolve() == self.model.run.path.resolve() or not run.is_complete():
            return None
        found = warmed(served(run.path, self.limits, self.engine, is_beside=True))
        if interface(found) != interface(self.model):
            raise Refused(409, f"{run.path} takes or gives something else than {self.model.run.path}")
        return found


def interface(model: Served) -> tuple[Any, ...]:
    """Return what clients rely on: the name, and the names, types, shapes and classes of inputs and outputs."""
    inputs = [(each.name, each.type, each.dtype, each.shape, each.may_be_missing) for each in model.predictor.inputs]
    return model.name, inputs, [(each.name, each.kind, each.shape, each.classes) for each in model.predictor.outputs]


def warmed(model: Served) -> Served:
    """Return the model, after it has answered one row and two: its functions are compiled."""
    for rows in (1, 2):
        inputs = {each.name: blank(each, rows) for each in model.predictor.inputs}
        for answer in model.answers([Query(rows, inputs=inputs)]):
            # A model may refuse zeros; its functions are compiled all the same.
            if isinstance(answer, BaseException) and not isinstance(answer, Refused):
                raise answer
    return model


def blank(schema: InputSchema, rows: int) -> Rows:
    """Return so many rows of zeros, of empty texts, or of a category."""
    shape, text = (rows, *schema.shape), (schema.categories or ("",))[0]
    return coded(np.full(shape, text, object)) if schema.dtype == "string" else np.zeros(shape, schema.dtype)


async def follow(hosts: Sequence[Host], note: Callable[[str], None]) -> None:
    """Replace models by those of newer runs, as they come, for as long as the server runs."""
    refused: dict[Host, str] = {}
    while True:
        await asyncio.sleep(LOOK_EVERY)
        for host in hosts:
            looked = asyncio.ensure_future(asyncio.to_thread(host.newer))
            await asyncio.wait([looked])
            if (error := looked.exception()) is not None:
                # Whatever it is, the next run may be better. The same sentence every two seconds helps nobody.
                why = str(error) if isinstance(error, DltoolError | Refused) else f"{type(error).__name__}: {error}"
                if refused.get(host) != why:
                    refused[host] = why
                    note(f"{host.model.run.path} stays: {why}")
            elif (found := looked.result()) is not None:
                host.model = found
                why = found.why and f": {found.why}"
                note(f"{found.run.path} answers now, computed by {found.predictor.engine}{why}")
