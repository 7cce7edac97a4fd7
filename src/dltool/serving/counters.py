"""What a server counts, in the form that Prometheus reads."""

import os
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

if TYPE_CHECKING:
    from dltool.serving.served import Served

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 10_000)
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable, of prometheus-client, for the folder in which several processes count together."""


def forget(process: int | None) -> None:
    """Forget what waits in a worker process that has ended; what it has answered stays counted."""
    multiprocess.mark_process_dead(process)  # type: ignore[no-untyped-call]  # it has no annotations


class Counters:
    """Requests by route and status, and their seconds; rows by model, run and engine; sizes of batches by model."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "dltool_requests", "Requests by route and status", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "dltool_request_seconds", "Seconds of a request", ["route"], buckets=SECONDS, registry=self.registry
        )
        self.rows = Counter("dltool_rows", "Predicted rows", ["model", "run", "engine"], registry=self.registry)
        self.batches = Histogram(
            "dltool_batch_rows", "Rows of a batch", ["model"], buckets=ROWS, registry=self.registry
        )
        self.waiting = Gauge(
            "dltool_waiting_requests",
            "Requests that wait for the model",
            ["model"],
            multiprocess_mode="livesum",
            registry=self.registry,
        )

    def count(self, route: str, status: int, seconds: float) -> None:
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def count_batch(self, model: "Served", rows: int) -> None:
        self.rows.labels(model.name, model.version, model.predictor.engine).inc(rows)
        self.batches.labels(model.name).observe(rows)

    def text(self) -> bytes:
        """Return the counts in Prometheus's text format, those of all worker processes."""
        if FOLDER not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # it has no annotations
        return generate_latest(together)
