"""Requests that wait together are answered as one batch: the model runs in one thread, on what has come meanwhile."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from dltool.serving.limits import Limits, Refused


class Sized(Protocol):
    @property
    def rows(self) -> int: ...


Query = TypeVar("Query", bound=Sized)
Answer = TypeVar("Answer")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Waiting(Generic[Query, Answer]):
    question: Query
    answer: "asyncio.Future[Answer]"


class Batcher(Generic[Query, Answer]):
    """Answers questions in batches of at most `limits.batch` rows; a larger question is a batch of its own.

    `answer_all`, called in one thread of its own, returns the answer of each question, or the error to raise. No
    request is held back to wait for others: a batch is what has come while the one before it was computed."""

    def __init__(
        self,
        answer_all: Callable[[Sequence[Query]], Sequence[Answer | BaseException]],
        limits: Limits,
        note_waiting: Callable[[int], None],
    ) -> None:
        self.answer_all, self.limits, self.note_waiting = answer_all, limits, note_waiting
        self.waiting: deque[Waiting[Query, Answer]] = deque()
        self.thread = ThreadPoolExecutor(1, "model")
        self.running: asyncio.Task[None] | None = None

    async def ask(self, question: Query) -> Answer:
        """Return the answer. Raises Refused: too many requests wait, or the answer took too long; what `answer_all`
        returned as an error."""
        if len(self.waiting) >= self.limits.waiting:
            raise Refused(503, f"{len(self.waiting):,} requests are waiting; try again in a second")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.waiting.append(Waiting(question, answer))
        if self.running is None:
            self.running = asyncio.create_task(self.run())
        return await self.in_time(answer)

    async def in_time(self, answer: Awaitable[Found]) -> Found:
        """Return what is awaited. Raises Refused: it took too long."""
        try:
            async with asyncio.timeout(self.limits.seconds):
                return await answer
        except TimeoutError:
            raise Refused(504, f"there was no answer within {self.limits.seconds:g} seconds") from None

    async def run(self) -> None:
        """Answer until nobody waits."""
        loop = asyncio.get_running_loop()
        try:
            while batch := self.next_batch():
                questions = [each.question for each in batch]
                computed = loop.run_in_executor(self.thread, self.answer_all, questions)
                await asyncio.wait([computed])
                error = computed.exception()
                # What nobody foresaw is the answer of this batch; the next one gets its own.
                answers = computed.result() if error is None else [error] * len(batch)
                for each, answer in zip(batch, answers, strict=True):
                    give(each.answer, answer)
        finally:
            self.running = None
            self.note_waiting(0)

    def next_batch(self) -> list[Waiting[Query, Answer]]:
        """Take the questions of the next batch, without those whose clients have gone."""
        self.note_waiting(len(self.waiting))
        batch: list[Waiting[Query, Answer]] = []
        rows = 0
        while self.waiting:
            first = self.waiting[0]
            if first.answer.done():
                self.waiting.popleft()
                continue
            if batch and rows + first.question.rows > self.limits.batch:
                break
            rows += first.question.rows
            batch.append(self.waiting.popleft())
        return batch


def give(future: "asyncio.Future[Answer]", answer: "Answer | BaseException") -> None:
    if future.done():
        return
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)
