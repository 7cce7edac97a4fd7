"""How the workers of a cluster come together, agree, and notice who is gone."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from dltool import __version__, meeting
from dltool.config.cluster import Cluster
from dltool.console.capture import captured_chatter
from dltool.console.local_workers import free_ports
from dltool.errors import ConfigError, DataError, DltoolError, MachineError, WorkerLost
from dltool.meeting import Meeting, meeting_of

Work = Callable[[Meeting], Any]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "RETRY", 0.01)
    monkeypatch.setattr(meeting, "BEAT", 0.02)


def clusters(size: int) -> list[Cluster]:
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(size))
    return [Cluster(addresses, rank) for rank in range(size)]


def all_of(members: list[Cluster], works: list[Work], wait: float = 5, tasks: Sequence[str] = ()) -> list[Any]:
    """Return what each member's work returns, or its error; each is a thread. All train unless they have `tasks`."""
    results: list[Any] = [None] * len(members)

    def run(number: int) -> None:
        try:
            with meeting_of(members[number], wait, tasks[number] if tasks else "train") as met:
                results[number] = works[number](met)
        except DltoolError as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(members))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    return results


def test_workers_gather_and_decide_by_rank():
    def work(met: Meeting) -> Any:
        rank = met.cluster.rank
        gathered = met.gather({"rank": rank}, bytes([rank]))
        told = met.of_chief("all", b"x" * 100_000) if rank == 0 else met.of_chief()
        decided = met.decide(rank, sum)
        if rank:
            met.wait_for_end()
        return gathered, told, decided

    found = all_of(clusters(3), [work] * 3)
    assert found[0][0] == [({"rank": rank}, bytes([rank])) for rank in range(3)]
    assert [each[0] for each in found[1:]] == [[], []]
    assert {each[1:] for each in found} == {(("all", b"x" * 100_000), 3)}


def test_who_has_not_come_is_named():
    chief, present, missing = clusters(3)
    found = all_of([chief, present], [lambda met: None] * 2, wait=0.3)
    expected = f"after 0 seconds, worker 2 of 3 has not come from {missing.addresses[2]}"
    assert [str(each) for each in found] == [expected] * 2
    assert all(isinstance(each, MachineError) for each in found)
    (alone,) = all_of([present], [lambda met: None], wait=0.1)
    assert str(alone) == f"after 0 seconds, the chief at {chief.addresses[0]} has not come: connection refused"


def test_other_addresses_are_refused_on_both_sides():
    chief, worker = clusters(2)
    other = Cluster((worker.addresses[0], "127.0.0.1:1"), 1)
    found = all_of([chief, other], [lambda met: None] * 2)
    assert [type(each) for each in found] == [ConfigError, MachineError]
    assert all("other addresses, as worker 1" in str(each) for each in found)


@pytest.mark.parametrize("tasks", [("train", "search"), ("try the network", "train")])
def test_another_task_is_refused_on_both_sides(tasks: tuple[str, str]):
    chief, own = (f"{task} with dltool {__version__}" for task in tasks)
    found = all_of(clusters(2), [waiting] * 2, tasks=tasks)
    assert [type(each) for each in found] == [ConfigError, MachineError]
    assert {str(each) for each in found} == {f"worker 1 of 2 was started to {own}, and the chief to {chief}"}


def test_a_second_worker_of_the_same_rank_takes_the_place_of_the_first():
    chief, worker, last = clusters(3)
    found: dict[str, Any] = {}

    def begin(name: str, cluster: Cluster) -> threading.Thread:
        work = (lambda met: None) if cluster.is_chief else (lambda met: met.of_chief()[0])
        thread = threading.Thread(target=lambda: found.update({name: all_of([cluster], [work])[0]}))
        thread.start()
        return thread

    threads = [begin("chief", chief), begin("first", worker)]
    time.sleep(0.2)
    threads += [begin("second", worker)]
    threads[1].join(10)
    for thread in [*threads, begin("last", last)]:
        thread.join(10)
    assert "another process has come as worker 1 of 3" in str(found["first"])
    assert (found["chief"], found["second"], found["last"]) == (None, "done", "done")


def test_strangers_at_the_port_are_ignored():
    chief, worker = clusters(2)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.extend(all_of([chief], [lambda met: "met"])))
    thread.start()
    host, port = chief.addresses[0].split(":")
    for content in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", meeting.HEADER.pack(meeting.MARK, 3, 0) + b"nul", b""):
        while thread.is_alive():
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, int(port))) as connection:
                connection.sendall(content)
                break
    assert all_of([worker], [lambda met: met.of_chief()[0]]) == ["done"]
    thread.join(10)
    assert found == ["met"]


def failing(error: Exception) -> Work:
    def work(met: Meeting) -> Any:
        raise error

    return work


def waiting(met: Meeting) -> Any:
    return met.receive(0 if met.cluster.rank else 1)


def test_all_hear_why_a_worker_ended():
    found = all_of(clusters(3), [waiting, failing(DataError("no such file: x.csv")), waiting])
    assert isinstance(found[1], DataError)
    for each in (found[0], found[2]):
        assert isinstance(each, WorkerLost)
        assert (each.exit_code, str(each)) == (8, "worker 1 of 3 ended: no such file: x.csv")


def test_a_connection_that_breaks_is_a_lost_worker():
    members = clusters(2)
    heard: list[str] = []

    def cut(met: Meeting) -> Any:
        met.is_over = True
        met.peers[0].end()

    def noticed(met: Meeting) -> Any:
        met.abort_with(heard.append)
        return met.receive(1)

    found = all_of(members, [noticed, cut])
    assert str(found[0]) == "worker 1 of 2 was lost" == heard[0]


def test_a_chief_that_has_trained_ends_without_the_others():
    def trained(met: Meeting) -> Any:
        met.needs_all = False
        time.sleep(0.1)
        return "tested"

    found = all_of(clusters(2), [trained, failing(DataError("late"))])
    assert found[0] == "tested"
    assert isinstance(found[1], DataError)


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "WAIT", 0.3)
    monkeypatch.setattr(meeting.Peer, "beat", lambda peer: None)


def test_a_silent_worker_is_lost(frozen: None):
    found = all_of(clusters(2), [waiting, waiting])
    assert any("has been silent for" in str(each) for each in found)
    assert all(isinstance(each, WorkerLost) for each in found)


def test_a_process_that_does_not_end_by_itself_says_why_on_the_terminal(monkeypatch: pytest.MonkeyPatch, capfd):
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    met = Meeting(Cluster(("a:1", "b:1"), 0), {})
    met.reason = "worker 1 of 2 was lost"
    with captured_chatter():
        met.give_up()
        assert codes == [8]
        assert "error: worker 1 of 2 was lost\n  start all workers again" in capfd.readouterr().err
    met.is_over = True
