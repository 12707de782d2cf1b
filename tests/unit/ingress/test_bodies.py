"""Bodies that are too large or too slow are refused while they come."""

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from codetether_ray.ingress import bodies
from codetether_ray.ingress.bodies import BodyLimit

LIMIT = 100


class Client:
    """What a client sends, and what it is answered."""

    def __init__(self, chunks: list[bytes], *, stalls: bool = False) -> None:
        self._chunks, self._stalls = list(chunks), stalls
        self.answered: list[Any] = []
        self.read = 0

    async def receive(self) -> dict[str, Any]:
        if self._stalls and not self._chunks:
            await asyncio.Event().wait()
        chunk = self._chunks.pop(0) if self._chunks else b""
        self.read += len(chunk)
        more = bool(self._chunks) or self._stalls
        return {"type": "http.request", "body": chunk, "more_body": more}

    async def send(self, message: Any) -> None:
        self.answered.append(message)

    @property
    def status(self) -> int:
        return int(self.answered[0]["status"])


def scope(headers: tuple[tuple[bytes, bytes], ...] = (), path: str = "/x") -> dict[str, Any]:
    return {"type": "http", "path": path, "headers": headers}


class Reader:
    """Reads the whole body, then answers 200 whatever it was."""

    def __init__(self) -> None:
        self.body = b""
        self.has_lost_its_client = False

    async def __call__(self, _: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.has_lost_its_client = True
                break
            self.body += message["body"]
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


@given(st.lists(st.binary(max_size=60), max_size=8))
@settings(max_examples=100, deadline=None)
def test_a_body_of_any_pieces_is_let_through_whole_or_refused_by_its_size(
    chunks: list[bytes],
) -> None:
    reader, client = Reader(), Client(chunks)
    asyncio.run(BodyLimit(reader, LIMIT)(scope(), client.receive, client.send))
    whole = b"".join(chunks)
    if len(whole) <= LIMIT:
        assert client.status == 200
        assert reader.body == whole
    else:
        assert client.status == 413
        assert reader.has_lost_its_client
        assert [one["type"] for one in client.answered].count("http.response.start") == 1


async def test_a_body_that_says_that_it_is_too_large_is_not_read_at_all() -> None:
    reader, client = Reader(), Client([b"x" * 101])
    headers = ((b"content-length", b"101"),)
    await BodyLimit(reader, LIMIT)(scope(headers), client.receive, client.send)
    assert client.status == 413
    assert reader.body == b""
    assert (b"connection", b"close") in client.answered[0]["headers"]
    assert json.loads(client.answered[1]["body"])["title"] == "Request Entity Too Large"


async def test_a_body_that_stops_coming_is_given_up(monkeypatch: Any) -> None:
    monkeypatch.setattr(bodies, "_FIRST_S", 0.01)
    monkeypatch.setattr(bodies, "_LINGER_S", 0.01)
    reader, client = Reader(), Client([b"x"], stalls=True)
    await BodyLimit(reader, LIMIT)(scope(), client.receive, client.send)
    assert client.status == 408
    assert reader.has_lost_its_client


async def test_paths_that_stream_to_disk_have_a_limit_of_their_own() -> None:
    reader, client = Reader(), Client([b"x" * 101])
    path = next(iter(bodies.LARGER))
    await BodyLimit(reader, LIMIT)(scope(path=path), client.receive, client.send)
    assert client.status == 200


async def test_an_answer_that_has_begun_is_not_answered_twice() -> None:
    client = Client([b"x" * 60, b"x" * 60])

    async def eager(_: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.body", "body": b"end"})

    await BodyLimit(eager, LIMIT)(scope(), client.receive, client.send)
    assert [one["type"] for one in client.answered] == ["http.response.start", "http.response.body"]
