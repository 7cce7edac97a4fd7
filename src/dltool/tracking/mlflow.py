"""Records each run in MLflow, in a database beside the runs or on the server that MLflow is configured for."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dltool.errors import RunError
from dltool.runs.files import Run, Status
from dltool.tracking.times import EpochTimes, finite_values

ID = re.compile(r"[0-9a-f]{32}")
STATUSES: Mapping[Status, str] = {"completed": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
NOT_ALLOWED = re.compile(r"[^\w./ :-]")
"""Characters not allowed in names of MLflow parameters and metrics."""
LONGEST_NAME = 250
LONGEST_VALUE = 500
MOST_PARAMETERS, MOST_METRICS = 100, 1000
"""MLflow's limits for one call."""
ALWAYS_THERE = "learning_rate"
"""A value of every epoch, which shows whether MLflow has the epoch."""
SETTINGS = {
    # An unreachable server must not delay the end of a run for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # Disables MLflow's usage statistics.
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""MLflow settings, unless the user has set them."""
ARTIFACTS = ("config.yaml", "resolved.yaml", "results.json", "report.html")


class MlflowTracker:
    """Finds the run in MLflow by the id in run.json, or creates it; adds the missing epochs.

    MLflow's own variables MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME name server and experiment: no config and no
    run directory names a host. The defaults are mlflow.db beside the runs, and the run's name."""

    def __init__(self, run: Run) -> None:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        self.run = run
        self.record = run.read_json(run.record)
        if not ID.fullmatch(str(self.record.get("id"))):
            raise RunError(f"{run.record} has no id")
        self.folder = run.path.absolute().parents[1]
        self.uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.folder / 'mlflow.db'}"
        self.client = MlflowClient(tracking_uri=self.uri)
        self.times = EpochTimes(run)
        self.has: set[int] = set()
        self.run_id = self.found_or_made()

    def send(self, lines: Sequence[Any]) -> None:
        from mlflow.entities import Metric

        new = [
            Metric(allowed(name), value, moment, line["epoch"])
            for line in lines
            for moment in [round(1000 * self.times.after(line))]
            if line["epoch"] not in self.has
            for name, value in finite_values(line).items()
        ]
        for start in range(0, len(new), MOST_METRICS):
            self.client.log_batch(self.run_id, metrics=new[start : start + MOST_METRICS])

    def found_or_made(self) -> str:
        """Return the id of the MLflow run, with its parameters and tags; store its epochs in `has`."""
        experiment = self.experiment()
        own = f"tags.`dltool.id` = '{self.record['id']}'"
        found = self.client.search_runs([experiment], filter_string=own, max_results=1)
        if found:
            run = found[0]
            self.client.update_run(run.info.run_id, status="RUNNING")
        else:
            name = f"{self.run.name}/{self.run.number}"
            started = round(1000 * EpochTimes(self.run).now)
            run = self.client.create_run(experiment, start_time=started, tags=self.tags(), run_name=name)
        run_id: str = run.info.run_id
        if ALWAYS_THERE in run.data.metrics:
            self.has = {metric.step for metric in self.client.get_metric_history(run_id, ALWAYS_THERE)}
        self.add_parameters(run_id, run.data.params)
        return run_id

    def experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or self.run.name
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        is_local = not os.environ.get("MLFLOW_TRACKING_URI")
        artifacts = (self.folder / ".mlflow-artifacts").as_uri() if is_local else None
        return str(self.client.create_experiment(name, artifact_location=artifacts))

    def tags(self) -> dict[str, str]:
        record = self.record
        git = record.get("git") or {}
        return {
            "dltool.id": record["id"],
            "dltool.run": str(self.run.path.absolute()),
            "dltool.version": str(record.get("dltool")),
            "dltool.seed": str(record.get("seed")),
            "mlflow.source.name": str(record.get("config")),
            **({"mlflow.source.git.commit": git["commit"]} if git.get("commit") else {}),
        }

    def add_parameters(self, run_id: str, there: Mapping[str, str]) -> None:
        """Add every value of the resolved config. MLflow cannot change a value: those of the first start stay. Lists
        are numbered: model.layers.0.Dense.units."""
        from mlflow.entities import Param

        from dltool.config.text.yaml_reader import values_by_path

        names = {
            allowed(".".join(map(str, path))): str(value)[:LONGEST_VALUE]
            for path, value in values_by_path(self.run.read(self.run.resolved), str(self.run.resolved)).items()
        }
        new = [Param(name, value) for name, value in names.items() if name not in there]
        for start in range(0, len(new), MOST_PARAMETERS):
            self.client.log_batch(run_id, params=new[start : start + MOST_PARAMETERS])

    def close(self, status: Status) -> None:
        if status == "completed":
            results = self.run.read_json(self.run.results)
            for name, value in finite_values(results["test"]).items():
                self.client.log_metric(self.run_id, allowed(f"test_{name}"), value, step=results["epochs"])
        for name in ARTIFACTS:
            if (self.run.path / name).is_file():
                self.client.log_artifact(self.run_id, str(self.run.path / name))
        self.client.set_terminated(self.run_id, status=STATUSES[status])


def allowed(name: str) -> str:
    return NOT_ALLOWED.sub("_", name)[:LONGEST_NAME]
