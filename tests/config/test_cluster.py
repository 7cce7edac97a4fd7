"""Where the workers of a cluster come from, and what they cannot train together."""

import json
from typing import Any

import pytest

from dltool.config.cluster import Cluster, cluster_of, slurm_counts, slurm_hosts
from dltool.config.cluster_checks import cluster_problems
from dltool.config.schema import Config
from dltool.errors import ConfigError


def tf_config(kind: str, index: Any, **jobs: Any) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})}


def test_flags_name_the_workers_and_this_one():
    found = cluster_of("a:2222, [::1]:2223,c:1", 1, tf_config("worker", 0, worker=["x:1", "y:1"]))
    assert found is not None
    assert found == Cluster(("a:2222", "[::1]:2223", "c:1"), 1)
    assert (found.size, found.is_chief, found.name_of(2)) == (3, False, "worker 2 of 3")


@pytest.mark.parametrize(
    "environment", [{}, {"TF_CONFIG": ""}, {"TF_CONFIG": "{}"}, tf_config("worker", 0, worker=["a:1"])]
)
def test_one_worker_is_no_cluster(environment):
    assert cluster_of(None, None, environment) is None
    assert cluster_of("a:1", 0, environment) is None


@pytest.mark.parametrize(
    ("kind", "index", "rank"), [("chief", 0, 0), ("worker", 0, 1), ("worker", "1", 2)], ids=["chief", "first", "text"]
)
def test_in_tf_config_the_chief_comes_first(kind, index, rank):
    environment = tf_config(kind, index, worker=["b:1", "c:1"], chief=["a:1"])
    assert cluster_of(None, None, environment) == Cluster(("a:1", "b:1", "c:1"), rank)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"TF_CONFIG": "{"}, "expected TensorFlow's JSON"),
        ({"TF_CONFIG": "[1]"}, "expected TensorFlow's JSON"),
        (tf_config("worker", 0, worker=["a:1", "b:1"], ps=["c:1"]), "ps: dltool has a chief and workers only"),
        (tf_config("evaluator", 0, worker=["a:1", "b:1"]), "evaluator: dltool has a chief and workers only"),
        (tf_config("worker", 2, worker=["a:1", "b:1"]), "there is no worker 2"),
        (tf_config("worker", -1, worker=["a:1", "b:1"]), "there is no worker -1"),
        (tf_config("worker", 0, worker=["a:1", "b"]), "expected host:port"),
        (tf_config("worker", 0, worker=["a:1", 7]), "expected host:port"),
        (tf_config("worker", float("inf"), worker=["a:1", "b:1"]), "expected TensorFlow's JSON"),
        (tf_config("worker", 0.7, worker=["a:1", "b:1"]), "expected TensorFlow's JSON"),
        ({"TF_CONFIG": '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}}'}, "Its task has no index"),
    ],
)
def test_a_wrong_tf_config_is_refused(environment, words):
    with pytest.raises(ConfigError, match=words):
        cluster_of(None, None, environment)


@pytest.mark.parametrize(
    ("addresses", "rank", "words"),
    [
        (None, 1, "--worker: of which cluster?"),
        ("a:1,b:2", None, "which of these workers"),
        ("a:1,b:2", 2, "expected a worker from 0 to 1, got 2"),
        ("a:1,a:1", 0, "a:1 stands twice"),
        ("a:1,b:70000", 0, "expected host:port for each worker, got 'b:70000'"),
        ("a:1,http://b:2", 0, "expected host:port"),
        ("slurm", 1, "Slurm gives each task its number"),
    ],
)
def test_wrong_flags_are_refused(addresses, rank, words):
    with pytest.raises(ConfigError, match=words):
        cluster_of(addresses, rank, {})


def slurm(rank: int = 0, **others: str) -> dict[str, str]:
    step = {"SLURM_STEP_NUM_TASKS": "5", "SLURM_STEP_NODELIST": "node[09-10],login", "SLURM_JOB_ID": "77"}
    return {**step, "SLURM_STEP_TASKS_PER_NODE": "2(x2),1", "SLURM_PROCID": str(rank), **others}


def slurm_cluster(environment: dict[str, str]) -> Cluster:
    found = cluster_of("slurm", None, environment)
    assert found is not None
    return found


def test_slurm_tasks_lie_in_blocks_on_its_nodes():
    found = [slurm_cluster(slurm(rank)) for rank in range(5)]
    assert [each.rank for each in found] == [0, 1, 2, 3, 4]
    assert len({each.addresses for each in found}) == 1
    hosts, ports = zip(*(each.rsplit(":", 1) for each in found[0].addresses), strict=True)
    assert hosts == ("node09", "node09", "node10", "node10", "login")
    assert len(set(found[0].addresses)) == 5
    assert all(15_000 <= int(port) < 32_768 for port in ports)
    other = slurm_cluster(slurm(SLURM_STEP_ID="1"))
    assert set(other.addresses).isdisjoint(found[0].addresses)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "SLURM_STEP_NUM_TASKS, SLURM_PROCID.* are not set"),
        (slurm(SLURM_STEP_TASKS_PER_NODE="2"), "2 places on node09, node10, login for 5 tasks"),
        (slurm(SLURM_STEP_TASKS_PER_NODE="two"), "cannot read Slurm's variables"),
        (slurm(SLURM_STEP_NODELIST="node[1-99999999]"), "more than 10,000 nodes"),
        (slurm(SLURM_STEP_NODELIST="node[09-10"), r"variables: nodes: 'node\[09-10'"),
        (slurm(SLURM_STEP_NODELIST="node[10-09],login"), "variables: nodes: '10-09'"),
        (slurm(SLURM_STEP_NODELIST="node[-5],login"), "variables: nodes: '-5'"),
        (slurm(SLURM_STEP_NODELIST="a,,b"), "variables: nodes: 'a,,b'"),
        (slurm(SLURM_STEP_NUM_TASKS="-1"), "variables: tasks: '-1'"),
        (slurm(SLURM_STEP_NUM_TASKS="0"), "0 tasks"),
        (slurm(SLURM_PROCID="1.5"), "variables: rank: '1.5'"),
        (slurm(SLURM_JOB_ID="abc"), "variables: job: 'abc'"),
        (slurm(1, SLURMD_NODENAME="node10"), "task 1 runs on node10, not on node09"),
    ],
)
def test_wrong_slurm_variables_are_refused(environment, words):
    with pytest.raises(ConfigError, match=words):
        cluster_of("slurm", None, environment)


def test_slurm_lists_are_read_as_slurm_writes_them():
    assert slurm_hosts("a,b[1,3-4]c[0-1],d") == ["a", "b1c0", "b1c1", "b3c0", "b3c1", "b4c0", "b4c1", "d"]
    assert slurm_hosts("n[08-10]") == ["n08", "n09", "n10"]
    assert slurm_counts("3,2(x2),1") == [3, 2, 2, 1]


SOFTMAX = {"Dense": {"units": 3, "activation": "softmax"}}


def problems(layers: Any = (), workers: int = 5, data: Any = (), **training: Any) -> list[tuple[Any, str, str]]:
    needed = {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", "epochs": 5, "batch_size": 50}
    sections = {
        "data": {"source": "digits", **dict(data)},
        "model": {"layers": [*layers, SOFTMAX]},
        "training": {**needed, **training},
    }
    found = cluster_problems(Config.model_validate({"name": "x", **sections}), workers)
    return [(problem.place, problem.message, problem.hint) for problem in found]


def test_a_batch_is_shared_in_equal_parts():
    assert problems() == []
    place, message, hint = problems(batch_size=48)[0]
    assert place == ("training", "batch_size")
    assert (message, hint) == ("48 examples cannot be shared by 5 workers", "batch_size: 45 or 50")
    assert problems(batch_size=3)[0][2] == "batch_size: 5"


def test_folds_and_seeds_are_trained_by_one_worker_each():
    assert problems(batch_size=48, seeds=3) == problems(batch_size=48, data={"split": {"folds": 3}}) == []


@pytest.mark.parametrize(
    ("changes", "place", "words"),
    [
        ({"layers": [{"BatchNormalization": {"synchronized": True}}]}, "synchronized", "each worker normalizes"),
        ({"callbacks": [{"CSVLogger": "x.csv"}]}, "CSVLogger", "would write from every worker"),
        ({"jit_compile": True}, "jit_compile", "XLA does not reach"),
        ({"privacy": {"epsilon": 2.0, "delta": 1e-5}}, "privacy", "private training has one process"),
        ({"loss": "dice"}, "loss", "compares all examples of a batch"),
        ({"loss": {"SparseCategoricalCrossentropy": {"reduction": "sum"}}}, "reduction", "take the mean"),
    ],
)
def test_what_workers_cannot_do_together_is_refused_at_its_line(changes, place, words):
    (found,) = problems(**changes)
    assert found[0][-1] == place
    assert words in found[1]
    assert found[2]
