"""The steps of one worker of a cluster: its rows of each batch, and gradients summed over all workers."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dltool.data.arrays.shard_order import Order
from dltool.model.augmentation import augmented
from dltool.model.build import BuiltModel
from dltool.text import counted, size_text
from dltool.training.batches import BatchTables
from dltool.training.joined import taking
from dltool.training.loop import Loop, logs_of
from dltool.training.numerics import Strategy, choose_strategy, layers_of, takes_any_size
from dltool.training.state import TrainingState, set_value, value_of
from dltool.training.steps import Steps
from dltool.training.team import Team
from dltool.training.weighting import Weighting
from dltool.training.worker_state import packed, unpacked

NO_ROWS = np.empty(0, np.int32)


@dataclass(frozen=True)
class WorkerOrder:
    """The rows of an epoch's `order` that a worker trains on, batch by batch: its part of each whole batch, then its
    part of the rest. Each computes all of a rest with fewer rows than workers. Only what is taken is in memory."""

    order: Order
    batch: int
    rank: int
    size: int

    @property
    def whole(self) -> int:
        """Return the rows of whole batches here."""
        return len(self.order) // self.batch * (self.batch // self.size)

    @property
    def of_rest(self) -> range:
        """Return the positions, in the order of all, of the part of the rest."""
        rest = len(self.order) % self.batch
        first, last = (rest * rank // self.size for rank in (self.rank, self.rank + 1))
        start = len(self.order) - rest
        return range(start + first, start + last) if rest >= self.size else range(start, start + rest)

    def __len__(self) -> int:
        return self.whole + len(self.of_rest)

    def __getitem__(self, places: slice | np.ndarray) -> np.ndarray:
        """Return the rows at some places, a slice or ascending integers."""
        own = np.arange(*places.indices(len(self))) if isinstance(places, slice) else places
        part = self.batch // self.size
        positions = own // part * self.batch + self.rank * part + own % part
        rest = self.of_rest.start + own - self.whole
        return np.asarray(self.order[np.where(own < self.whole, positions, rest)])


@dataclass
class WorkerLoop(Loop):
    """The training loop of a worker: `batch_size` is its part of a batch, and the order is its own.

    There are `whole` steps of whole batches, of which it computes the `share`; the last step has `rows_of_rest` here,
    the `share_of_rest`. It is compiled by itself, as it may have as many rows here as the others. Unless the worker
    `counts_rest`, another one adds these rows to the metrics. `losses` are exchanged if one is not finite."""

    whole: int = 0
    share: float = 1.0
    rows_of_rest: int = 0
    share_of_rest: float = 1.0
    counts_rest: bool = True
    losses: Callable[[float], float] = float

    def steps(self, examples: int) -> int:
        return self.whole + (self.rows_of_rest > 0)

    def looped(self, examples: int) -> int:
        return self.whole

    def trace(self, examples: int) -> None:
        super().trace(self.whole * self.batch_size + self.rows_of_rest)

    def run_one(self, tables: Any, rows: Any) -> Any:
        return self.part(tables, rows, self.share, True)

    def run_rest(self, tables: Any, rows: Any) -> Any:
        return self.part(tables, rows, self.share_of_rest, self.counts_rest), self.results()

    def part(self, tables: Any, rows: Any, share: float, counts: bool) -> Any:
        layout = self.tables.layout
        with taking(layout.built.core, layout.vector):
            return tf.math.is_finite(self.step(*self.tables.batch(tables, rows), share, counts))

    def __call__(self, order: Order, first: int, last: int) -> tuple[int, bool, Any]:
        after, is_finite, results = super().__call__(order, first, last)
        return after, is_finite, results if is_finite else {**results, "loss": self.losses(float(results["loss"]))}


class WorkerSteps(Steps):
    """The loops of a worker. Validation has no sums: each worker takes some of the batches, and metrics are added."""

    def __init__(self, team: Team, *parts: Any) -> None:
        self.team, self.memory = team, team.memory
        self.whole_order: Order = NO_ROWS
        super().__init__(*parts)
        size = self.test.batch_size
        numbers = np.arange(len(self.validation_rows)) // size
        self.validation_rows = self.validation_rows[numbers % team.cluster.size == team.cluster.rank]
        part = self.config.training.batch_size // team.cluster.size
        sent = (8 if self.config.training.precision == "float64" else 4) * numbers_of_step(self.core)
        words = f"each computes {counted(part, 'example')} of a batch, and a step sums {size_text(sent)}"
        self.summary = (f"{team.cluster.size} workers: {words}",)

    def chosen_strategy(self, table: BatchTables, steps: int) -> Strategy:
        return choose_strategy(self.config, self.built, table, steps, is_cluster=True)

    def training_loop(self, table: BatchTables, weighting: Weighting | None) -> Loop:
        cluster, batch = self.team.cluster, self.config.training.batch_size
        whole, rest = divmod(self.examples, batch)
        here = len(WorkerOrder(np.arange(self.examples), batch, cluster.rank, cluster.size).of_rest)
        return WorkerLoop(
            table,
            worker_step(self.built, self.team, weighting),
            self.core.get_metrics_result,
            batch // cluster.size,
            one_trace=takes_any_size(self.core, self.built.augmentation),
            whole=whole,
            share=1 / cluster.size,
            rows_of_rest=here,
            share_of_rest=here / rest if rest >= cluster.size else 1 / cluster.size,
            counts_rest=rest >= cluster.size or cluster.is_chief,
            losses=lambda loss: float(self.team.meeting.decide(loss, sum)),
        )

    def order(self, epoch: int) -> Order:
        self.whole_order, cluster = super().order(epoch), self.team.cluster
        own = WorkerOrder(self.whole_order, self.config.training.batch_size, cluster.rank, cluster.size)
        return own[:] if self.stream is None else own

    def batch_rows(self, order: Order, step: int) -> np.ndarray:
        size = self.config.training.batch_size
        return np.asarray(self.whole_order[step * size : (step + 1) * size])

    def measured(self, results: Any) -> dict[str, float]:
        """Return the metrics of the rows of all workers. The sums are added by rank, as their last bits depend on the
        order; each worker keeps its own."""
        meeting, variables = self.team.meeting, self.core.metrics_variables
        own = [value_of(variable) for variable in variables]
        described, data = packed(TrainingState([("", value.numpy()) for value in own], {}))
        parts = [[array for _, array in unpacked(described, data).arrays] for _, data in meeting.gather(None, data)]
        total = b"".join(np.asarray(sum(each)).tobytes() for each in zip(*parts, strict=True))
        _, total = meeting.of_chief(None, total)
        for variable, (_, array) in zip(variables, unpacked(described, total).arrays, strict=True):
            set_value(variable, tf.constant(array))
        logs = logs_of(self.core.get_metrics_result())
        for variable, value in zip(variables, own, strict=True):
            set_value(variable, value)
        return logs


def worker_step(built: BuiltModel, team: Team, weighting: Weighting | None) -> Any:
    """Return the step of a :class:`WorkerLoop`, which returns the loss of the whole batch.

    As Keras's `train_step`, except that what all workers must have the same is summed before it is used. The losses of
    the workers count by their `share` of the rows, so that their sum is that of the whole batch, penalties included.
    Clipping, loss scaling, averaging and weight decay come after, in the optimizer. Statistics, such as those of
    BatchNormalization, change by the mean of the workers' changes: what does not change keeps its bits."""
    core = built.core

    def step(inputs: Any, targets: Any, weights: Any, _: Any, share: float, counts: bool) -> Any:
        inputs, targets = augmented(built.augmentation, inputs, targets)
        own = None if weighting is None else weighting.of_batch(targets, weights)
        statistics = statistics_of(core)
        before = [tf.identity(variable.value) for variable in statistics]
        with tf.GradientTape() as tape:
            outputs = core(inputs, training=True)
            loss = core._compute_loss(x=inputs, y=targets, y_pred=outputs, sample_weight=own, training=True)
            scaled = core.optimizer.scale_loss(loss * tf.cast(share, loss.dtype))
        variables = core.trainable_weights
        pairs = zip(tape.gradient(scaled, [variable.value for variable in variables]), variables, strict=True)
        trained = [(gradient, variable) for gradient, variable in pairs if gradient is not None]
        # Those of an embedding become dense, each row once.
        gradients = [tf.reshape(tf.convert_to_tensor(gradient), variable.shape) for gradient, variable in trained]
        changes = [(each.value - old) * tf.cast(share, old.dtype) for each, old in zip(statistics, before, strict=True)]
        sums = iter(team.total([*gradients, *changes, tf.reshape(loss, []) * tf.cast(share, loss.dtype)]))
        core.optimizer.apply_gradients([(next(sums), variable) for _, variable in trained])
        for variable, old in zip(statistics, before, strict=True):
            variable.assign(old + next(sums))
        if counts:
            rows = tf.shape(tf.nest.flatten(inputs)[0])[0]
            core._loss_tracker.update_state(loss, sample_weight=rows)
            core.compute_metrics(inputs, targets, outputs, sample_weight=own)
        return next(sums)

    return step


def statistics_of(core: keras.Model) -> list[Any]:
    """Return the floating variables that layers change by themselves. Frozen weights are not among them."""
    found = {id(each): each for layer in layers_of([core]) for each in layer._non_trainable_variables}
    return [variable for variable in found.values() if variable.value.dtype.is_floating]


def numbers_of_step(core: keras.Model) -> int:
    """Return how many numbers a worker gives to the sum of a step: gradients, statistics, and the loss."""
    return 1 + int(sum(math.prod(each.shape) for each in (*core.trainable_variables, *statistics_of(core))))
