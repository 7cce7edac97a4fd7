"""Several workers train one model: the same bits on all, and those of a process alone but for rounding."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tests.training import worker_suite
from tests.training.conftest import Recorder

from dltool.config.cluster import Cluster
from dltool.console.local_workers import free_ports
from dltool.errors import MachineError
from dltool.meeting import Meeting
from dltool.model.build import build_model
from dltool.training import team
from dltool.training.fit import fit
from dltool.training.loop import Pace
from dltool.training.state import TrainingState
from dltool.training.team import Team, connected, verdict
from dltool.training.worker_fit import prepare_worker_fit
from dltool.training.worker_state import mixed_seed, packed, state_of_worker, unpacked
from dltool.training.worker_steps import WorkerOrder

PROJECT = Path(__file__).parents[2]


@given(st.integers(1, 60), st.integers(1, 5), st.integers(1, 12))
def test_every_row_is_trained_on_once_in_its_batch(rows: int, size: int, part: int):
    order, batch = np.random.default_rng(rows).permutation(rows).astype(np.int32), part * size
    workers = [WorkerOrder(order, batch, rank, size)[:] for rank in range(size)]
    first = min(3, len(workers[0]))
    assert np.array_equal(WorkerOrder(order, batch, 0, size)[first:], workers[0][first:])
    whole, rest = divmod(rows, batch)
    for step in range(whole):
        together = np.concatenate([own[step * part : (step + 1) * part] for own in workers])
        assert np.array_equal(together, order[step * batch : (step + 1) * batch])
    ends = [own[whole * part :] for own in workers]
    if rest >= size:
        assert np.array_equal(np.concatenate(ends), order[whole * batch :])
        assert max(map(len, ends)) - min(map(len, ends)) <= 1
    else:
        assert all(np.array_equal(end, order[whole * batch :]) for end in ends)


OWN = [
    ("core/0/kernel", np.array([[1, 2]], np.float32)),
    ("core/1/dropout/seed_generator_state", np.array([7, 3], np.uint32)),
    ("metrics/0/total", np.array(1.5, np.float32)),
]


def state_of_two() -> TrainingState:
    seeds = np.stack([np.array([7, 3], np.uint32), mixed_seed(np.array([7, 0], np.uint32), 1)])
    further = [(f"workers/{OWN[1][0]}", seeds), (f"workers/{OWN[2][0]}", np.array([1.5, 2.5], np.float32))]
    return TrainingState([*OWN, *further], {"position": {"step": 3}})


def test_each_worker_gets_its_own_state_back():
    found = dict(state_of_worker(state_of_two(), 1, 2).arrays)
    assert list(found) == [name for name, _ in OWN]
    assert found["metrics/0/total"] == np.float32(2.5)
    assert np.array_equal(found["core/1/dropout/seed_generator_state"], mixed_seed(np.array([7, 0], np.uint32), 1))
    again = unpacked(*packed(state_of_two()))
    assert [(name, array.tolist(), array.dtype) for name, array in again.arrays] == [
        (name, array.tolist(), array.dtype) for name, array in state_of_two().arrays
    ]


@pytest.mark.parametrize("size", [1, 3])
def test_another_number_of_workers_has_all_sums_and_draws_differently(size: int):
    found = [dict(state_of_worker(state_of_two(), rank, size).arrays) for rank in range(size)]
    assert [float(each["metrics/0/total"]) for each in found] == [4.0, 0.0, 0.0][:size]
    assert len({tuple(each["core/1/dropout/seed_generator_state"]) for each in found}) == size


FACTS: dict[str, Any] = {"config": {"seed": "7"}, "data": {"fingerprint": "a"}, "machine": {"versions": {"keras": "3"}}}


@pytest.mark.parametrize(
    ("kind", "changed", "words"),
    [
        ("config", {"seed": "8"}, "has seed 8, and the chief 7"),
        ("data", {"fingerprint": "b"}, "has other data"),
        ("machine", {"versions": {"keras": "4"}}, "has versions.keras 4, and the chief 3"),
    ],
)
def test_a_worker_that_differs_is_named_with_the_difference(kind: str, changed: dict[str, Any], words: str):
    cluster = Cluster(("a:1", "b:1", "c:1"), 0)
    assert verdict(cluster, [(FACTS, 9), (FACTS, 7), (FACTS, 8)]) == {"kind": "", "problems": "", "memory": 7}
    found = verdict(cluster, [(FACTS, 9), (FACTS, 7), ({**FACTS, kind: changed}, 8)])
    assert found == {"kind": kind, "problems": f"worker 2 of 3 {words}", "memory": 7}


def test_a_port_in_use_is_named_before_tensorflow_connects():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        meeting = Meeting(Cluster((address, "127.0.0.1:1"), 0), {})
        with pytest.raises(MachineError, match="of this machine cannot be used: address already in use"):
            connected(meeting, {}, [])
        meeting.is_over = True


class Alone(Team):
    """A team of one, whose sums are its own numbers."""

    def __init__(self) -> None:
        super().__init__(Meeting(Cluster(("a:1",), 0), {}), None, 2**30)

    def total(self, tensors: Any) -> list[Any]:
        return list(tensors)


def test_what_is_no_worker_at_the_address_of_one_is_a_lost_worker(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(team, "SECONDS_TO_HEAR", 0.0)
    members = Team(Meeting(Cluster(("a:1", "b:1"), 0), {}), None, 1)
    members.meeting.is_over = True
    words = "HTTP status 404; from remote target /job:worker/replica:0/task:1 while calling /tensorflow.WorkerService"
    found = members.loss_of(tf.errors.UnimplementedError(None, None, words), "in epoch 1")
    assert str(found) == "worker 1 of 2 was lost; this was in epoch 1"
    assert members.loss_of(tf.errors.UnimplementedError(None, None, "no such kernel"), "in epoch 1") is None


@pytest.mark.parametrize("name", ["embedded", "noisy"])
def test_one_worker_trains_as_a_process_alone(train: Any, name: str):
    config, dataset = worker_suite.config_for(name), worker_suite.dataset_for(name)
    alone = train(config, dataset)
    alone_team, recorder = Alone(), Recorder()
    built = build_model(config, dataset.facts, dataset.examples("train").inputs)
    fitting = prepare_worker_fit(alone_team, built, config, dataset, pace=Pace(4, is_fixed=True))
    states = recorder.states
    fit(
        fitting,
        observer=recorder,
        save_state=lambda step, arrays, state: states.append(TrainingState(arrays, state)),
        save_best=lambda core: None,
    )
    alone_team.meeting.is_over = True
    for own, other in zip(alone.weights, built.core.get_weights(), strict=True):
        np.testing.assert_allclose(own, other, rtol=0, atol=1e-6)
    assert [record.logs for record in recorder.records] == [
        pytest.approx(record.logs, abs=1e-5) for record in alone.recorder.records
    ]
    kept = state_of_worker(states[-1], 0, 1).arrays
    assert [name for name, _ in kept] == [name for name, _ in alone.recorder.states[-1].arrays]


COMPARED = ("loss", "accuracy", "val_loss", "val_accuracy")
Results = list[dict[str, Any]]


def results_of(size: int, folder: Path) -> Results:
    """What the workers of a cluster found, by rank; the chief's weights are in the folder."""
    addresses = ",".join(f"127.0.0.1:{port}" for port in free_ports(size))
    command = [sys.executable, "-m", "tests.training.worker_suite", str(folder), addresses]
    outputs = [(folder / f"{rank}.txt").open("w+") for rank in range(size)]
    workers = [
        subprocess.Popen([*command, str(rank)], cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT)
        for rank, output in enumerate(outputs)
    ]
    try:
        codes = [worker.wait(timeout=300) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert codes == [0] * size, [(folder / f"{rank}.txt").read_text()[-3000:] for rank in range(size)]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(size)]


def all_workers_have_the_same_bits_and_metrics(results: Results) -> None:
    chief, *others = results
    for other in others:
        for name in chief.keys() - {"seeds"}:
            assert other[name] == chief[name], name
    for name in worker_suite.cases_of(len(others) + 1):
        assert bool(chief[name]["error"]) == (name == "diverged")
        assert len(chief[name]["history"]) >= (0 if name == "diverged" else 2)


def a_step_sums_one_vector_of_gradients_statistics_and_the_loss(results: Results) -> None:
    weights, normalized = 4 * 8 + 8 + 8 * 3 + 3, 4 * 8
    assert results[0]["fewer than workers"]["numbers"] == [weights + 1]
    assert results[0]["noisy"]["numbers"] == [weights + normalized + 1]
    if "embedded" in results[0]:
        assert results[0]["embedded"]["numbers"] == [20 * 4 + 4 * 3 + 3 + 1]


def neither_pace_nor_resuming_changes_a_bit(results: Results) -> None:
    chief = results[0]
    if "streamed" in chief:
        assert chief["streamed"]["digests"] == chief["plain"]["digests"]
        assert chief["at another pace"]["history"] == chief["noisy"]["history"]
        assert chief["at another pace"]["digests"] == chief["noisy"]["digests"]
    assert chief["resumed"]["digests"] == chief["noisy"]["digests"]
    assert chief["resumed"]["history"] == chief["noisy"]["history"][1:]


def each_worker_draws_masks_of_its_own(results: Results) -> None:
    states = [state for by_rank in results[0]["seeds"].values() for state in by_rank]
    assert states
    assert len({tuple(state) for state in states}) == len(states)


def a_loss_that_is_not_finite_has_one_cause_on_all_workers(results: Results) -> None:
    if "diverged" in results[0]:
        assert "loss" in results[0]["diverged"]["error"]


def a_process_alone_trains_the_same_but_for_rounding(results: Results, folder: Path, train: Any) -> None:
    for name in set(worker_suite.COMPARABLE).intersection(worker_suite.cases_of(len(results))):
        alone = train(worker_suite.config_for(name), worker_suite.dataset_for(name))
        with np.load(folder / f"{name}.npz") as kept:
            weights = [kept[key] for key in kept.files]
        for own, other in zip(alone.weights, weights, strict=True):
            np.testing.assert_allclose(own, other, rtol=0, atol=1e-6, err_msg=name)
        for record, logs in zip(alone.recorder.records, results[0][name]["history"], strict=True):
            # Keras averages the losses of single outputs over batches, whatever their size.
            both = {key: (value, logs[key]) for key, value in record.logs.items() if key in COMPARED}
            assert all(own == pytest.approx(other, rel=1e-6, abs=1e-5) for own, other in both.values()), (name, both)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
def test_workers_train_as_one(size: int, tmp_path: Path, train: Any):
    # One test: the processes of the tests share no fixtures, and each would train the whole suite.
    results = results_of(size, tmp_path)
    all_workers_have_the_same_bits_and_metrics(results)
    a_step_sums_one_vector_of_gradients_statistics_and_the_loss(results)
    neither_pace_nor_resuming_changes_a_bit(results)
    each_worker_draws_masks_of_its_own(results)
    a_loss_that_is_not_finite_has_one_cause_on_all_workers(results)
    a_process_alone_trains_the_same_but_for_rounding(results, tmp_path, train)
