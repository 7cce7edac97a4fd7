"""The bounds of a request: its key, its bytes, its time; and the page's."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.serving.conftest import ROW, Client, client_of

from dltool.serving.limits import Limits

KEY = "a key of this test".replace(" ", "-")


@pytest.fixture(scope="module")
def guarded(table_run: Path) -> Client:
    return client_of(table_run, limits=Limits(body=2_000, seconds=0.2), key=KEY)


def test_all_but_health_and_page_needs_the_key(guarded: Client) -> None:
    for path in ("/health", "/v2/health/live", "/v2/health/ready", "/", "/page.js", "/page.css"):
        assert guarded("GET", path).status_code == 200
    for path in ("/models", "/metrics", "/openapi.json", "/v2/models/flowers"):
        assert guarded("GET", path).status_code == 401
        assert guarded("GET", path, headers={"authorization": f"Bearer {KEY}"}).status_code == 200
    for wrong in ("", KEY, f"Bearer {KEY}x", f"Basic {KEY}", "Bearer "):
        assert guarded("POST", "/predict", json={"rows": [ROW]}, headers={"authorization": wrong}).status_code == 401


def sent(
    client: Client, *messages: dict[str, Any], pause: float = 0.0, headers: Any = (), unread: Any = None
) -> int | None:
    """Return the status of a request whose body comes in these messages; None if there was no answer."""
    statuses: list[int] = []
    left = list(messages) if unread is None else unread

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause)
        return left.pop(0)

    async def send(message: Any) -> None:
        statuses.extend([message["status"]] if message["type"] == "http.response.start" else [])

    key = (b"authorization", f"Bearer {KEY}".encode())
    scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": [key, *headers]}
    asyncio.run(client.app(scope, receive, send))
    return statuses[0] if statuses else None


def part(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_is_counted_as_it_arrives(guarded: Client) -> None:
    assert sent(guarded, part(b" " * 1_500), part(b" " * 1_500, False)) == 413
    assert sent(guarded, headers=[(b"content-length", b"99999999999")]) == 413
    # A length that is none is the matter of the protocol, which has read the body by then.
    assert sent(guarded, part(b"", False), headers=[(b"content-length", b"-5")]) == 400


def test_a_compressed_body_is_refused(guarded: Client) -> None:
    # A client that is still sending reads no answer, so all of it is received.
    left = [part(b" "), part(b" "), part(b" ", False)]
    assert sent(guarded, *left, headers=[(b"content-encoding", b"gzip")], unread=left) == 415
    assert not left


def test_a_slow_client_is_told_so(guarded: Client) -> None:
    assert sent(guarded, part(b" "), part(b" "), pause=0.15) == 408


def test_a_client_that_goes_gets_no_answer(guarded: Client) -> None:
    before = guarded.service.counters.text()
    assert sent(guarded, part(b" "), {"type": "http.disconnect"}) is None
    counted = set(guarded.service.counters.text().splitlines()) - set(before.splitlines())
    assert 'dltool_requests_total{route="other",status="499"} 1.0' in {line.decode() for line in counted}


def test_an_answer_that_takes_too_long_is_given_up(table_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = client_of(table_run, limits=Limits(seconds=0.05))
    host = slow.service.hosts["flowers"]
    model = host.model

    def late(questions: Any) -> Any:
        import time

        time.sleep(0.2)
        return model.answers(questions)

    monkeypatch.setattr(host.batcher, "answer_all", late)

    assert slow.rows(ROW).status_code == 504


def test_an_error_of_the_server_s_own_ends_one_request_and_not_the_server(table_run: Path, monkeypatch: Any) -> None:
    table = client_of(table_run)
    host = table.service.hosts["flowers"]

    def broken(questions: Any) -> Any:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(host.batcher, "answer_all", broken)
        answer = table.rows(ROW)
    assert answer.status_code == 500
    assert answer.json() == {"error": "the server has an error of its own; its log has the details"}
    assert table.rows(ROW).status_code == 200


def test_heads_are_answered_as_what_they_are_the_heads_of(table: Client) -> None:
    for path, status in (("/health", 200), ("/v2/health/ready", 200), ("/", 200), ("/nowhere", 404), ("/predict", 405)):
        assert table("HEAD", path).status_code == status


def test_the_page_may_load_nothing_from_elsewhere(table: Client) -> None:
    page = table("GET", "/")

    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "style=" not in page.text
