"""Connections between the workers of a cluster, beside TensorFlow's: who has come, what they agree on, who is lost.

Each worker is connected with the chief, at the chief's address, before TensorFlow listens there; the connections remain
until the end. A message is a JSON value and bytes. Nothing received is executed, and nobody is authenticated: as
TensorFlow's own, the ports belong into a private network."""

import contextlib
import json
import os
import queue
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from dltool import __version__
from dltool.config.cluster import Cluster, host_and_port
from dltool.environment import concealed
from dltool.errors import ConfigError, MachineError, WorkerLost
from dltool.text import os_words

WAIT = 600.0
"""Seconds until all workers must have come."""
PATIENCE = 20.0
"""Seconds of silence after which TensorFlow is asked whether a worker still answers: it may be in a long call that lets
no other thread of Python run. Before TensorFlow connects the workers, the silence may be as long as all may be late."""
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}
"""Within these seconds and retries, the system notices a machine that is gone."""
BEAT = 2.0
"""Seconds between signs of life."""
GRACE = 30.0
"""Seconds that the process has to end by itself after a worker is lost: a call of TensorFlow might never return."""
RESUME = "start all workers again with dltool resume, or with --run-or-resume"
RETRY = 0.2
HEADER = struct.Struct("!4sQQ")
MARK = b"DLT1"
MOST_JSON, MOST_BEFORE = 2**28, 2**20
"""Most bytes of a JSON value, and of all that a stranger may send."""
Message = tuple[Any, bytes]
TERMINALS: list[TextIO] = []
"""Where a process says why it ends while its standard error leads to a file."""


class Peer:
    """A connection with another worker. A thread reads its messages into `inbox`; None is its end."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.inbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self.sending = threading.Lock()
        self.heard = time.monotonic()
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self.room = select.poll()
        self.room.register(connection, select.POLLOUT)

    def send(self, value: Any, data: bytes = b"") -> None:
        """Send a message. Raises OSError."""
        text = json.dumps(value).encode()
        with self.sending:
            self.connection.sendall(HEADER.pack(MARK, len(text), len(data)) + text)
            if data:
                self.connection.sendall(data)

    def beat(self) -> None:
        """Send a sign of life, unless a message is on its way or the other takes nothing."""
        if self.sending.acquire(blocking=False):
            with contextlib.suppress(OSError):
                if self.room.poll(0):
                    self.connection.sendall(HEADER.pack(MARK, 0, 0))
            self.sending.release()

    def receive(self, most: int = 0) -> Message:
        """Return the next message; with `most`, of at most so many bytes. Raises OSError: the connection has ended."""
        while True:
            mark, size, length = HEADER.unpack(self.exactly(HEADER.size))
            if mark != MARK or size > MOST_JSON or (most and size + length > most):
                raise ConnectionError("no message of dltool")
            if size:
                try:
                    value = json.loads(self.exactly(size))
                except (ValueError, RecursionError) as error:
                    raise ConnectionError("no message of dltool") from error
                return value, self.exactly(length)

    def exactly(self, size: int) -> bytes:
        buffer = bytearray(size)
        view = memoryview(buffer)
        while view:
            count = self.connection.recv_into(view)
            if not count:
                raise ConnectionError("the connection has ended")
            self.heard = time.monotonic()
            view = view[count:]
        return bytes(buffer)

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class Meeting:
    """All workers of a cluster, come together. Every worker makes the same calls in the same order.

    The chief no longer `needs_all` when it has trained: it tests and reports alone."""

    def __init__(self, cluster: Cluster, peers: dict[int, Peer]) -> None:
        self.cluster, self.peers = cluster, peers
        self.reason = ""
        self.is_over = False
        self.needs_all = True
        self.when_lost: Callable[[str], None] = lambda reason: None
        self.answers: Callable[[int], bool] | None = None
        self.changing = threading.Lock()
        for rank, peer in peers.items():
            threading.Thread(target=self.listen, args=(rank, peer), daemon=True).start()
        threading.Thread(target=self.watch, daemon=True).start()

    def listen(self, rank: int, peer: Peer) -> None:
        """Read what a worker sends until its end."""
        try:
            while True:
                value, data = peer.receive()
                if isinstance(value, dict) and "ended" in value:
                    self.lose(value["ended"])
                    return
                peer.inbox.put((value, data))
        except OSError:
            self.lose(f"{self.cluster.name_of(rank)} was lost")

    def watch(self) -> None:
        """Send signs of life, and notice who sends none."""
        while not self.is_over:
            time.sleep(BEAT)
            for rank, peer in self.peers.items():
                peer.beat()
                silence = time.monotonic() - peer.heard
                is_late = silence > (WAIT if self.answers is None else PATIENCE)
                if is_late and not (self.answers and self.answers(rank)):
                    self.lose(f"{self.cluster.name_of(rank)} has been silent for {silence:.0f} seconds")
                    peer.end()

    def lose(self, reason: str) -> None:
        """Note the first loss, and let what runs in TensorFlow end."""
        with self.changing:
            if self.is_over or self.reason or not self.needs_all:
                return
            self.reason = str(reason)[:1000]
        self.when_lost(self.reason)
        for peer in self.peers.values():
            # After what was said before.
            peer.inbox.put(None)
        timer = threading.Timer(GRACE, self.give_up)
        timer.daemon = True
        timer.start()

    def abort_with(self, abort: Callable[[str], None]) -> None:
        """Have what runs in TensorFlow end by `abort` when a worker is lost, or now if one is."""
        self.when_lost = abort
        if self.reason:
            abort(self.reason)

    def give_up(self) -> None:
        if not self.is_over:
            for stream in (sys.stderr, *TERMINALS):
                with contextlib.suppress(OSError, ValueError):
                    stream.write(f"\nerror: {self.reason}\n  {RESUME}\n")
                    stream.flush()
            os._exit(WorkerLost.exit_code)

    def send(self, rank: int, value: Any, data: bytes = b"") -> None:
        try:
            self.peers[rank].send(value, data)
        except OSError as error:
            self.lose(f"{self.cluster.name_of(rank)} was lost")
            raise WorkerLost(self.reason) from error

    def receive(self, rank: int) -> Message:
        found = self.peers[rank].inbox.get()
        if found is None:
            self.peers[rank].inbox.put(None)
            raise WorkerLost(self.reason)
        return found

    def gather(self, value: Any, data: bytes = b"") -> list[Message]:
        """Return what every worker gave, by rank, on the chief; nothing on the others. Raises WorkerLost."""
        if self.cluster.is_chief:
            return [(value, data), *(self.receive(rank) for rank in range(1, self.cluster.size))]
        self.send(0, value, data)
        return []

    def of_chief(self, value: Any = None, data: bytes = b"") -> Message:
        """Return what the chief gives. Raises WorkerLost."""
        if not self.cluster.is_chief:
            return self.receive(0)
        for rank in self.peers:
            self.send(rank, value, data)
        return value, data

    def decide(self, value: Any, decision: Callable[[list[Any]], Any]) -> Any:
        """Return on every worker what the chief decides from what all of them give. Raises WorkerLost."""
        values = [each for each, _ in self.gather(value)]
        return self.of_chief(decision(values) if self.cluster.is_chief else None)[0]

    def wait_for_end(self) -> None:
        """Wait until the chief has written all results. Raises WorkerLost: it failed."""
        self.of_chief()
        self.is_over = True


@contextlib.contextmanager
def meeting_of(cluster: Cluster, wait: float = WAIT, task: str = "train") -> Iterator[Meeting]:
    """Meet the other workers for a task, and tell them how the block ends.

    Raises MachineError: not all have come after `wait` seconds; ConfigError: one has other addresses or another task;
    WorkerLost: another worker ended before."""
    task += f" with dltool {__version__}"
    peers = welcome(cluster, wait, task) if cluster.is_chief else {0: arrive(cluster, wait, task)}
    meeting = Meeting(cluster, peers)
    name = cluster.name_of(cluster.rank)
    try:
        yield meeting
        if cluster.is_chief:
            for peer in meeting.peers.values():
                with contextlib.suppress(OSError):
                    peer.send("done")
    except BaseException as error:
        reason = meeting.reason
        if not isinstance(error, WorkerLost):
            reason = f"{name} ended: {concealed(str(error)) or type(error).__name__}"
        for peer in meeting.peers.values():
            with contextlib.suppress(OSError):
                peer.send({"ended": reason})
        raise
    finally:
        meeting.is_over = True
        for peer in meeting.peers.values():
            peer.end()


def welcome(cluster: Cluster, wait: float, task: str) -> dict[int, Peer]:
    """Return the connections of the chief by rank, when all have come."""
    host, port = host_and_port(cluster.addresses[0])
    peers: dict[int, Peer] = {}
    deadline = time.monotonic() + wait
    try:
        with listener(host, port) as server:
            while len(peers) < cluster.size - 1:
                server.settimeout(max(0.01, deadline - time.monotonic()))
                connection, _ = server.accept()
                greet(cluster, Peer(connection), peers, task)
    except TimeoutError as error:
        missing = [rank for rank in range(1, cluster.size) if rank not in peers]
        name, address = cluster.name_of(missing[0]), cluster.addresses[missing[0]]
        message = f"after {wait:.0f} seconds, {name} has not come from {address}"
        message += f", and {len(missing) - 1} more" * (len(missing) > 1)
        refuse(peers, message)
        hint = f"start all {cluster.size} workers; each must reach {cluster.addresses[0]}"
        raise MachineError(message, hint) from error
    for peer in peers.values():
        with contextlib.suppress(OSError):
            peer.send("welcome")
    return peers


def greet(cluster: Cluster, peer: Peer, peers: dict[int, Peer], task: str) -> None:
    """Take in a worker that comes. Raises ConfigError: it belongs to another cluster, or has another task."""
    try:
        peer.connection.settimeout(PATIENCE)
        value, _ = peer.receive(MOST_BEFORE)
        peer.connection.settimeout(None)
        rank, addresses, own = value["rank"], value["addresses"], value.get("task")
        is_known = isinstance(rank, int) and 0 < rank < cluster.size
    except (OSError, KeyError, TypeError):
        # A stranger, or a worker that has left.
        peer.end()
        return
    if addresses != list(cluster.addresses) or not is_known:
        message = f"a worker was started with other addresses, as worker {rank!r}: {str(addresses)[:300]}"
        refuse({**peers, -1: peer}, message)
        raise ConfigError(message, f"start all with --cluster {','.join(cluster.addresses)}")
    if own != task:
        # They would wait for each other in vain.
        message = f"{cluster.name_of(rank)} was started to {str(own)[:100]}, and the chief to {task}"
        refuse({**peers, -1: peer}, message)
        raise ConfigError(message, "start all with the same command and version")
    if rank in peers:
        # It may have been restarted.
        refuse({rank: peers[rank]}, f"another process has come as {cluster.name_of(rank)}")
    peers[rank] = peer


def refuse(peers: dict[int, Peer], message: str) -> None:
    for peer in peers.values():
        with contextlib.suppress(OSError):
            peer.send({"refused": message})
        peer.end()


def listener(host: str, port: int) -> socket.socket:
    """Return a socket that listens at a worker's port: on this machine only if the cluster is only here. Raises
    MachineError: the port is in use."""
    is_local = host in ("localhost", "127.0.0.1", "::1")
    has_both = not is_local and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if has_both or host == "::1" else socket.AF_INET
    address = (host if is_local else "", port)
    try:
        return socket.create_server(address, family=family, backlog=1024, dualstack_ipv6=has_both)
    except OSError as error:
        message = f"port {port} of this machine cannot be used: {os_words(error)}"
        raise MachineError(message, "end what uses it, or give all workers a list with another port") from error


def arrive(cluster: Cluster, wait: float, task: str) -> Peer:
    """Return the connection with the chief, when all workers have come."""
    deadline, why = time.monotonic() + wait, "it does not answer"
    while (left := deadline - time.monotonic()) > 0:
        try:
            connection = socket.create_connection(host_and_port(cluster.addresses[0]), timeout=min(left, PATIENCE))
        except OSError as error:
            why = os_words(error)
            time.sleep(RETRY)
            continue
        peer, value = Peer(connection), None
        with contextlib.suppress(OSError):
            peer.send({"rank": cluster.rank, "addresses": list(cluster.addresses), "task": task})
            # The chief says when it gives up.
            connection.settimeout(max(1.0, deadline - time.monotonic() + PATIENCE))
            value, _ = peer.receive(MOST_BEFORE)
            connection.settimeout(None)
        if value == "welcome":
            return peer
        if isinstance(value, dict) and "refused" in value:
            raise MachineError(
                str(value["refused"])[:1000], "start each worker once, all with the same command and addresses"
            )
        # Something else listens there, such as the last run that is ending.
        peer.end()
        time.sleep(RETRY)
    message = f"after {wait:.0f} seconds, the chief at {cluster.addresses[0]} has not come: {why}"
    raise MachineError(message, "start it, or check that this machine reaches that address")
