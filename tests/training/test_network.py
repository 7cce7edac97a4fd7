"""`dltool doctor` for several workers: ports that are not reached, and what a sum costs."""

import socket

import pytest
from tests.test_meeting import all_of, clusters

from dltool.commands.doctor import check_sum
from dltool.errors import MachineError, WorkerLost
from dltool.training import network
from dltool.training.network import refuse_closed_ports


def test_workers_that_reach_each_other_have_no_problem():
    assert all_of(clusters(3), [refuse_closed_ports] * 3) == [None] * 3


def elsewhere(*_: object) -> socket.socket:
    """Return a socket at another port than that of the worker."""
    return socket.create_server(("127.0.0.1", 0))


def test_an_address_that_leads_to_another_program_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(network, "listener", elsewhere)
    monkeypatch.setattr(network, "SECONDS_TO_ANSWER", 0.2)
    members = clusters(2)
    address = members[0].addresses[1]
    with socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))):
        found = all_of(members, [refuse_closed_ports] * 2)
    for each in found:
        assert type(each) is MachineError
        assert f"worker 0 of 2 cannot reach worker 1 at {address}: something else answers there" in str(each)


def test_a_closed_port_is_named_on_all_workers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(network, "listener", elsewhere)
    monkeypatch.setattr(network, "SECONDS_TO_ANSWER", 0.2)
    members = clusters(2)
    found = all_of(members, [refuse_closed_ports] * 2)
    for each in found:
        assert type(each) is MachineError
        for own, other in ((0, 1), (1, 0)):
            address = members[0].addresses[other]
            assert f"worker {own} of 2 cannot reach worker {other} at {address}: connection refused" in str(each)


def test_a_port_that_another_program_has_is_named():
    members = clusters(2)
    port = int(members[1].addresses[1].rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        chief, worker = all_of(members, [refuse_closed_ports] * 2)
    assert f"port {port} of this machine cannot be used: " in str(worker)
    assert type(chief) is WorkerLost
    assert str(worker) in str(chief)


def test_a_long_sum_has_a_bandwidth():
    assert check_sum(1, 0.0028, 2).detail == "2.8 ms"
    # In a ring of four, each sends 1.5 times the 4 MB of its numbers.
    assert check_sum(1_000_000, 0.02, 4).detail == "20.0 ms; each worker sends 6.0 MB, which is 300 MB a second"
