"""The process of a server: it answers every request that it has accepted."""

import asyncio
import contextlib
import ctypes
import socket
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn

from dltool.errors import MachineError
from dltool.exporting.export_options import Engine
from dltool.serving.limits import Limits
from dltool.text import os_words

if TYPE_CHECKING:
    from dltool.serving.app import Service
    from dltool.serving.limits import Guard

BACKLOG = 2048
LAST_REQUESTS = 0.5
"""Seconds in which requests on open connections are still read after the end has begun."""
OPEN_CONNECTIONS = 1_000
SO_ATTACH_FILTER = 26
"""Linux's number, which Python does not name."""

Note = Callable[[str], None]


@dataclass(frozen=True)
class Setup:
    """What a server serves: runs by the name of their models. `key` is what requests must name, if anything. `notes`
    say why TensorFlow computes some of them."""

    paths: Mapping[str, Path]
    limits: Limits
    follows: bool = False
    key: str | None = None
    allow_code: Sequence[Path] = ()
    engine: Engine = "auto"
    notes: Sequence[str] = ()


class Server(uvicorn.Server):
    """A server that ends without losing a request: it closes its door, reads what is under way, answers, and ends."""

    def __init__(self, config: uvicorn.Config, guard: "Guard") -> None:
        super().__init__(config)
        self.guard = guard
        self.idle: dict[Any, Any] = {}

    async def on_tick(self, counter: int) -> bool:
        # uvicorn calls this ten times a second.
        if counter % max(1, int(10 * self.guard.limits.seconds)) == 0:
            self.close_idle()
        return await super().on_tick(counter)

    def close_idle(self) -> None:
        """Close the connections without a request since the call before: the guard's time begins with a whole head."""
        cycles = {each: getattr(each, "cycle", None) for each in self.server_state.connections}
        idle = {each: cycle for each, cycle in cycles.items() if cycle is None or cycle.response_complete}
        for each, cycle in idle.items():
            if each in self.idle and self.idle[each] is cycle:
                each.transport.close()
        self.idle = idle

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # The second signal does not wait. Neither is raised again: a server that was told to end has not failed.
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.guard.is_ending = True
        for door in sockets or ():
            refuse_new(door)
        # What has connected is accepted and answered. A connection whose request has not been read yet looks idle, and
        # uvicorn closes idle connections at once.
        await asyncio.sleep(0 if self.force_exit else LAST_REQUESTS)
        await super().shutdown(sockets)


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises MachineError: the address is not of this machine, or in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By the protocol's number asyncio knows that a connection is TCP, and sends small answers without delay.
    door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((host, port))
        door.listen(BACKLOG)
    except OSError as error:
        door.close()
        raise MachineError(
            f"cannot listen at {host}:{port}: {os_words(error)}", "choose another --port or --host"
        ) from None
    return door


def refuse_new(door: socket.socket) -> None:
    """Let a listening socket finish the connections that have begun, and begin no others. Closing it resets those that
    the kernel has made and nobody has accepted; elsewhere than on Linux, that is what happens."""
    if sys.platform != "linux":
        return
    # A classic BPF program (linux/filter.h) before the socket: byte 13 of TCP's header has the flags; a packet with SYN
    # and without ACK begins a connection, and is dropped.
    program = [(0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 1, 0, 0x02), (0x06, 0, 0, 0x7FFFFFFF), (0x06, 0, 0, 0)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in program))
    with contextlib.suppress(OSError):
        door.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(code)))


def loaded(setup: Setup, note: Note) -> "Service":
    """Load the models. Raises DltoolError: one cannot be loaded."""
    # The process that watches over workers needs no TensorFlow.
    from dltool.serving.app import Service

    return Service([*setup.paths.values()], setup.limits, setup.engine, follows=setup.follows, note=note)


def serve_here(setup: Setup, service: "Service", door: socket.socket, ready: Callable[[], None]) -> None:
    """Serve in this process until it is told to end."""
    from dltool.serving.app import application

    guard = application(service, setup.key)
    config = uvicorn.Config(
        guard,
        lifespan="on",
        ws="none",
        log_level="error",
        access_log=False,
        server_header=False,
        limit_concurrency=OPEN_CONNECTIONS,
        timeout_graceful_shutdown=int(2 * setup.limits.seconds) + 1,  # to arrive, and for the answer
    )
    service.when_ready = ready
    asyncio.run(Server(config, guard).serve(sockets=[door]))
