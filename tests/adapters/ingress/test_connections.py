"""Connections that bring headers too slowly, or too many, are closed; others stay."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from codetether_ray.ingress.connections import HEADERS_BYTES, Connection
from codetether_ray.ingress.listening import HttpListening
from codetether_ray.ingress.sockets import bound

BEGINNING = b"GET / HTTP/1.1\r\nhost: here\r\n"
CHUNKED = b"POST /read HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
kept: list[bytes] = []


async def answer(scope: Any, receive: Any, send: Any) -> None:
    while scope["path"] != "/hasty" and (await receive()).get("more_body"):
        pass
    kept.extend(name for name, _ in scope["headers"])
    body = scope["path"].encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(Connection, "headers_s", 0.3)
    monkeypatch.setattr(Connection, "linger_s", 0.3)
    monkeypatch.setattr(Connection, "most_idle", 3)
    kept.clear()
    http = HttpListening(answer, bound("127.0.0.1", 0, shares=False), None)
    await http.start()
    yield http.port
    await http.stop(1)


async def test_a_connection_that_says_nothing_is_closed(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()


async def test_headers_that_drip_are_not_waited_for(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(BEGINNING)
    for _ in range(100):
        try:
            writer.write(b"x-more: 1\r\n")
            await writer.drain()
        except ConnectionError:
            break
        if reader.at_eof():
            break
        await asyncio.sleep(0.05)
    else:
        pytest.fail("it was never closed")
    writer.close()


async def test_a_second_request_may_come_later_than_headers_may_take(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for path in (b"/first", b"/second"):
        writer.write(b"GET " + path + b" HTTP/1.1\r\nhost: here\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(len(path)) == path
        await asyncio.sleep(0.5)  # idle, longer than headers may take
    writer.close()


async def test_headers_without_end_are_refused(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(BEGINNING)
    line = b"x-more: " + b"y" * 1000 + b"\r\n"
    for _ in range(2 * HEADERS_BYTES // len(line)):
        writer.write(line)
    status = await reader.readline()
    assert b"431" in status
    writer.close()


async def test_no_server_is_named_and_what_is_no_http_gets_400(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(BEGINNING + b"\r\n")
    assert b"server:" not in (await reader.readuntil(b"\r\n\r\n")).lower()
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\x16\x03\x01 no http\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()


async def test_a_request_that_is_answered_before_its_body_came_holds_no_connection(
    port: int,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /hasty HTTP/1.1\r\nhost: here\r\ncontent-length: 100\r\n\r\n")
    assert b"200" in await reader.readline()
    for _ in range(600):
        writer.write(b"x")  # it drips
        await asyncio.sleep(0.05)
        if reader.at_eof() or writer.is_closing():
            break
        with contextlib.suppress(TimeoutError, ConnectionError):
            await asyncio.wait_for(reader.read(1000), 0.05)
    else:
        pytest.fail("it was never closed")
    writer.close()


async def test_a_body_that_comes_after_its_answer_is_dropped_and_the_next_request_is_answered(
    port: int,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /hasty HTTP/1.1\r\nhost: here\r\ncontent-length: 4\r\n\r\n")
    assert (await reader.readuntil(b"/hasty")).startswith(b"HTTP/1.1 200")
    writer.write(b"late" + BEGINNING + b"\r\n")
    assert (await reader.readuntil(b"\r\n\r\n/")).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_what_comes_behind_a_body_is_no_header_and_has_a_bound(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(CHUNKED + b"authorization: Bearer x\r\n\r\n")
    assert (await reader.readuntil(b"/read")).startswith(b"HTTP/1.1 200")
    assert kept == [b"host", b"transfer-encoding"]
    line = b"x: " + b"y" * 1000 + b"\r\n"
    writer.write(CHUNKED)
    with contextlib.suppress(ConnectionError):
        for _ in range(2 * HEADERS_BYTES // len(line)):
            writer.write(line)
            await writer.drain()
        assert await reader.read() == b""
    writer.close()


async def test_of_connections_that_wait_the_longest_idle_one_goes(port: int) -> None:
    opened = [await asyncio.open_connection("127.0.0.1", port)]
    for number in range(4):  # each has been served, and may stay for a minute
        reader, writer = opened[-1]
        writer.write(f"GET /{number} HTTP/1.1\r\nhost: here\r\n\r\n".encode())
        await reader.readuntil(f"\r\n\r\n/{number}".encode())
        opened.append(await asyncio.open_connection("127.0.0.1", port))
    assert await opened[0][0].read() == b""
    reader, writer = opened[3]
    writer.write(BEGINNING + b"\r\n")
    assert b"200" in await reader.readline()
    for _, writer in opened:
        writer.close()
