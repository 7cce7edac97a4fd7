"""The bounds of a request, held before anything is made of it: who asks, how many bytes, within what time."""

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from dltool.serving.counters import Counters
from dltool.text import size_text

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


READ_BEYOND = 64 * 10**6
"""Bytes."""


@dataclass(frozen=True)
class Limits:
    """The most `body` bytes and `rows` of a request, `waiting` requests, `seconds` for a request to arrive and as many
    for its answer, and rows of one `batch`."""

    body: int = 16 * 10**6
    rows: int = 10_000
    waiting: int = 256
    seconds: float = 30.0
    batch: int = 64


class Refused(Exception):
    """A request that is not answered: its status, the reason, and details by field."""

    def __init__(self, status: int, reason: str, problems: list[dict[str, Any]] | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.problems = status, reason, problems

    @property
    def content(self) -> dict[str, Any]:
        return {"error": self.reason} | ({} if self.problems is None else {"problems": self.problems})


class Guard:
    """An ASGI application around another one, which gets the whole body of a request at once.

    `key`, if there is one, must be in the header `Authorization: Bearer KEY` of all requests but those for the paths
    in `open_paths`. Once the server `is_ending`, each answer closes its connection."""

    def __init__(
        self, app: App, *, limits: Limits, counters: Counters, key: str | None, open_paths: frozenset[str]
    ) -> None:
        self.app, self.limits, self.counters, self.open_paths = app, limits, counters, open_paths
        self.authorization = None if key is None else f"Bearer {key}".encode()
        self.is_ending = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            # The server below leaves out the body of the answer.
            scope = {**scope, "method": "GET"}
        began, status = time.perf_counter(), 500

        async def counted_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self.is_ending:
                    # So that a client's next request does not meet a connection that is being closed.
                    message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        try:
            refusal = self.refusal(scope)
            body = await self.body(scope, receive, 0 if refusal else self.limits.body)
            if refusal:
                raise refusal
        except Refused as refused:
            await respond(counted_send, refused)
        except ConnectionResetError:
            status = 499  # The client has failed, not the server.
        else:
            await self.app(scope, once(body, receive), counted_send)
        finally:
            # A route is known once it has been found; other paths are one, or a scan would fill the memory.
            route = getattr(scope.get("route"), "path", "other")
            self.counters.count(route, status, time.perf_counter() - began)

    def refusal(self, scope: Message) -> Refused | None:
        """Return why the head of a request is refused: it lacks the key, or the body is compressed."""
        headers = dict(scope["headers"])
        if self.authorization is not None and scope["path"] not in self.open_paths:
            given = headers.get(b"authorization", b"")
            if not hmac.compare_digest(given, self.authorization):
                return Refused(
                    401, "the request needs the header Authorization: Bearer KEY, with the key of this server"
                )
        # What a compressed body becomes is bounded by nothing.
        encoding = headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
        if encoding in ("identity", ""):
            return None
        return Refused(415, f"the body has the content encoding {encoding[:20]}; send it uncompressed")

    async def body(self, scope: Message, receive: Receive, kept: int) -> bytes:
        """Return the body as it arrives, unless it has more than `kept` bytes. Raises Refused: it has more than
        `limits.body`, or is too slow; ConnectionResetError: the client is gone."""
        length = dict(scope["headers"]).get(b"content-length", b"")
        declared = int(length[:20]) if length.isdigit() else 0
        parts, received = [], 0
        try:
            async with asyncio.timeout(self.limits.seconds):
                # A client that is still sending reads no answer: somewhat more is received, and thrown away.
                while max(declared, received) <= self.limits.body + READ_BEYOND:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ConnectionResetError
                    received += len(message.get("body", b""))
                    if received <= kept:
                        parts.append(message.get("body", b""))
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise Refused(408, f"the request did not arrive within {self.limits.seconds:g} seconds") from None
        if max(declared, received) > self.limits.body:
            raise Refused(413, f"a request may have {size_text(self.limits.body)}")
        return b"".join(parts)


def once(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body, and then what comes after it."""
    given = False

    async def receive_once() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_once


async def respond(send: Send, refused: Refused) -> None:
    """Send the refusal, and close the connection, whose remaining bytes nobody reads."""
    content = json.dumps(refused.content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
