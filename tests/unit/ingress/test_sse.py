"""Events as they are sent, over ASGI without a socket."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from codetether_ray.core.errors import UsageError
from codetether_ray.ingress.http.sse import EventStream, Sse


async def _sent(events: AsyncIterator[Sse], **more: Any) -> tuple[bytes, dict[bytes, bytes]]:
    body, headers, is_over = b"", dict[bytes, bytes](), asyncio.Event()

    async def receive() -> MutableMapping[str, Any]:
        await is_over.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal body
        body += message.get("body", b"")
        headers.update(dict(message.get("headers", ())))

    await EventStream(events, **more)({"type": "http"}, receive, send)
    return body, headers


async def test_an_event_has_its_id_its_kind_and_its_data_on_lines_of_their_own() -> None:
    async def events() -> AsyncIterator[Sse]:
        yield Sse(data={"text": "grüße"}, event="text", id="4.2")
        yield Sse(data="two\nlines\r\nthree")

    body, headers = await _sent(events())
    assert body.decode() == (
        'id: 4.2\nevent: text\ndata: {"text":"grüße"}\n\ndata: two\ndata: lines\ndata: three\n\n'
    )
    assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert b"content-length" not in headers


def test_nothing_in_an_id_can_end_its_line() -> None:
    event = Sse(data=1, id="a\ndata: forged", event="b\r\n\r\n")
    assert [line.split(":")[0] for line in event.encoded().decode().splitlines() if line] == [
        "id",
        "event",
        "data",
    ]


async def test_a_quiet_stream_is_kept_open_by_comments() -> None:
    go_on = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, go_on.set)

    async def events() -> AsyncIterator[Sse]:
        await go_on.wait()
        yield Sse(data=1)

    body, _ = await _sent(events(), keep_alive_s=0.01)
    assert body.startswith(b": keep-alive\n\n")
    assert body.endswith(b"data: 1\n\n")


@pytest.mark.parametrize(
    ("error", "said"), [(UsageError("no such thing"), "no such thing"), (KeyError("secret"), "log")]
)
async def test_a_stream_that_breaks_ends_with_one_sentence(error: Exception, said: str) -> None:
    async def events() -> AsyncIterator[Sse]:
        yield Sse(data=1)
        raise error

    body = (await _sent(events()))[0].decode()
    assert "event: error" in body
    assert said in body
    assert "secret" not in body
    assert "Traceback" not in body


async def test_the_iterator_is_closed_when_the_client_goes() -> None:
    closed = asyncio.Event()

    async def events() -> AsyncIterator[Sse]:
        try:
            yield Sse(data=1)
            await asyncio.Event().wait()
        finally:
            closed.set()

    sent = asyncio.Event()

    async def receive() -> MutableMapping[str, Any]:
        await sent.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message.get("body"):
            sent.set()

    await EventStream(events())({"type": "http"}, receive, send)
    assert closed.is_set()
