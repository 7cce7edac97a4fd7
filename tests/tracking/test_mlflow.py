"""MLflow's own client and database. Its packages need not be installed."""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from dltool.runs.directory import create
from dltool.runs.files import MetricsLog, Run
from dltool.tracking import Tracking

tracking = pytest.importorskip("mlflow.tracking")
pytest.importorskip("alembic")
pytestmark = pytest.mark.slow

LINES = [
    {"epoch": epoch, "loss": 1 / epoch, "val_loss": None, "learning_rate": 0.01, "seconds": 2.0} for epoch in (1, 2, 3)
]
CONFIG = b"seed: 1\nmodel:\n  layers:\n  - Dense: {units: 3}\ntraining: {epochs: 3}\n"
RECORD = {
    "id": "0123456789abcdef" * 2,
    "started": "1970-01-01T00:16:40+0000",
    "seed": 1,
    "config": "mnist.yaml",
    "git": {"commit": "c0ffee", "dirty": False},
}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "my runs"


def tracked(run: Run, lines: Sequence[Mapping[str, object]], status="completed") -> list[str]:
    """Sends the lines as a training does, and gives the warnings."""
    warnings: list[str] = []
    trackers = Tracking(["mlflow"], run, warnings.append)
    with MetricsLog(run) as log:
        for line in lines:
            log.append(line)
            trackers.add(line)
    if status == "completed":
        run.write_json(run.results, {"test": {"loss": 0.125}, "epochs": len(run.read_metrics())})
    trackers.close(status)
    return warnings


def test_a_run_is_in_mlflow_with_parameters_metrics_tags_and_files(runs):
    with create(runs, "mnist", RECORD, {"resolved.yaml": CONFIG}) as run:
        assert tracked(run, LINES) == []
    client = tracking.MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mnist")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.run_name == "mnist/0001"
    assert found.info.status == "FINISHED"
    assert found.data.params == {"seed": "1", "model.layers.0.Dense.units": "3", "training.epochs": "3"}
    assert found.data.metrics["test_loss"] == 0.125
    assert found.data.tags["dltool.seed"] == "1"
    assert found.data.tags["mlflow.source.git.commit"] == "c0ffee"
    history = client.get_metric_history(found.info.run_id, "loss")
    assert [(metric.step, metric.value, metric.timestamp) for metric in history] == [
        (1, 1.0, 1_002_000),
        (2, 0.5, 1_004_000),
        (3, 1 / 3, 1_006_000),
    ]
    assert client.get_metric_history(found.info.run_id, "val_loss") == []
    assert {artifact.path for artifact in client.list_artifacts(found.info.run_id)} == {"resolved.yaml", "results.json"}


def test_a_resumed_run_goes_on_in_the_same_run_of_mlflow_without_an_epoch_twice(runs):
    with create(runs, "mnist", RECORD, {"resolved.yaml": CONFIG}) as run:
        assert tracked(run, LINES[:2], "interrupted") == []
        client = tracking.MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")
        experiments = [client.get_experiment_by_name("mnist").experiment_id]
        assert client.search_runs(experiments)[0].info.status == "KILLED"
        # Back to the checkpoint after the first epoch.
        run.write_metrics(LINES[:1])
        assert tracked(run, LINES[1:]) == []
    (found,) = client.search_runs(experiments)
    assert found.info.status == "FINISHED"
    assert [metric.step for metric in client.get_metric_history(found.info.run_id, "loss")] == [1, 2, 3]


def test_a_server_that_is_gone_is_a_warning(runs, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    with create(runs, "mnist", RECORD, {"resolved.yaml": CONFIG}) as run:
        (warning,) = tracked(run, LINES)
    assert "tracking by mlflow has failed: API request to http://127.0.0.1" in warning
    assert not (runs / "mlflow.db").exists()
