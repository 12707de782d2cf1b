"""A whole ingress answers on its ports, with TLS and without, and ends when it is told to."""

import asyncio
import ssl
import subprocess
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from a2a.types import Message, Part, Role, SendMessageRequest
from a2a.types.a2a_pb2_grpc import A2AServiceStub

from codetether_ray.core.errors import PortTakenError
from codetether_ray.ingress.http import a2a_rest, a2a_rest_old
from codetether_ray.ingress.http.a2a import REST
from codetether_ray.ingress.listening import Listening
from codetether_ray.ingress.options import IngressOptions
from tests.adapters.ingress.scene import ECHO, Open, Opened

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "SendMessage",
    "params": {"message": {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": "hello"}]}},
}
NEW = {"a2a-version": "1.0"}
JSON = NEW | {"content-type": "application/json"}


async def said(client: httpx.AsyncClient) -> str:
    """What the agent answers to a hello by JSON-RPC."""
    answer = await client.post("/a2a", json=HELLO, headers=NEW)
    assert answer.status_code == 200, answer.text
    task = answer.json()["result"]["task"]
    return str(task["artifacts"][0]["parts"][0]["text"])


async def said_by_grpc(channel: grpc.aio.Channel, token: str) -> str:
    message = Message(message_id="m2", role=Role.ROLE_USER, parts=[Part(text="hello")])
    metadata = (("authorization", f"Bearer {token}"), ("a2a-version", "1.0"))
    call: Any = A2AServiceStub(channel).SendMessage  # type: ignore[no-untyped-call]
    answer = await call(SendMessageRequest(message=message), metadata=metadata)
    return str(answer.task.artifacts[0].parts[0].text)


async def test_both_transports_answer_who_has_the_token(opened: Opened) -> None:
    async with opened.client() as client:
        assert await said(client) == "hello"
        assert (await client.get("/api/version")).json()["name"] == "CodeTether Agent"
    async with grpc.aio.insecure_channel(opened.grpc) as channel:
        assert await said_by_grpc(channel, opened.token) == "hello"


async def test_without_the_token_only_probes_and_the_card_answer(opened: Opened) -> None:
    async with opened.client(token=False) as client:
        assert (await client.get("/health")).text == "ok"
        assert (await client.get("/ready")).status_code == 200
        assert (await client.head("/health")).status_code == 200
        assert (await client.get("/.well-known/agent-card.json")).status_code == 200
        for path in ("/", "/docs", "/openapi.json", "/api/version", "/no/such/path", "/a2a"):
            answer = await client.get(path)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"].startswith("Bearer")
        assert (await client.post("/a2a", json=HELLO, headers=NEW)).status_code == 401
    async with grpc.aio.insecure_channel(opened.grpc) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await said_by_grpc(channel, "wrong")
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_it_is_not_ready_when_its_store_does_not_answer(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Any) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(opened.parts.store, "list", broken)
    async with opened.client(token=False) as client:
        answer = await client.get("/ready")
        assert answer.status_code == 503
        assert "disk" not in answer.text
        assert (await client.get("/health")).status_code == 200


async def test_bodies_have_a_bound_on_both_transports(opens: Open) -> None:
    opened = await opens(IngressOptions(port=0, grpc_port=0, agents=ECHO, max_body_bytes=10_000))
    async with opened.client() as client:
        answer = await client.post("/a2a", content=b"x" * 10_001, headers=JSON)
        assert answer.status_code == 413

        async def endless() -> Any:
            for _ in range(1000):
                yield b"x" * 1000

        answer = await client.post("/a2a", content=endless(), headers=JSON)
        assert answer.status_code == 413


async def test_the_description_is_there_for_who_has_the_token(opened: Opened) -> None:
    async with opened.client() as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
        assert "/api/version" in paths
        assert "/health" in paths
        described = {(method.upper(), path) for path, verbs in paths.items() for method in verbs}
        for method, path, *_ in (*a2a_rest.ROUTES, *a2a_rest_old.ROUTES):
            assert (method, REST + path) in described
        assert ("POST", "/a2a") in described
        assert (await client.get("/docs")).status_code == 200


async def test_other_origins_may_ask_only_where_they_are_named(opens: Open) -> None:
    asks = {"origin": "https://app.example", "access-control-request-method": "POST"}
    plain = await opens(IngressOptions(port=0, grpc_port=0, agents=ECHO))
    named = await opens(
        IngressOptions(port=0, grpc_port=0, agents=ECHO, cors_origins=("https://app.example",))
    )
    async with plain.client(token=False) as client:
        answer = await client.options("/a2a", headers=asks)
        assert "access-control-allow-origin" not in answer.headers
        assert answer.status_code == 401
    async with named.client(token=False) as client:
        answer = await client.options("/a2a", headers=asks)
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        other = await client.options("/a2a", headers=asks | {"origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    chain, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", str(key), "-out", str(chain), "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return chain, key


async def test_both_transports_show_the_certificate(
    opens: Open, certificate: tuple[Path, Path]
) -> None:
    chain, key = certificate
    opened = await opens(
        IngressOptions(
            port=0, grpc_port=0, agents=ECHO, tls_certificate=str(chain), tls_key=str(key)
        )
    )
    trusted = ssl.create_default_context(cafile=str(chain))
    async with opened.client(verify=trusted) as client:
        assert await said(client) == "hello"
        card = (await client.get("/.well-known/agent-card.json")).json()
        assert card["url"].startswith("https://")
    credentials = grpc.ssl_channel_credentials(chain.read_bytes())
    async with grpc.aio.secure_channel(opened.grpc, credentials) as channel:
        assert await said_by_grpc(channel, opened.token) == "hello"
    with pytest.raises(httpx.HTTPError):
        await httpx.AsyncClient().get(opened.url.replace("https", "http"))


async def test_a_second_one_on_the_same_ports_is_told_so(opened: Opened, opens: Open) -> None:
    with pytest.raises(PortTakenError, match=str(opened.listening.port)):
        await opens(IngressOptions(port=opened.listening.port, grpc_port=0, agents=ECHO))
    with pytest.raises(PortTakenError, match="--grpc-port"):
        await opens(IngressOptions(port=0, grpc_port=opened.listening.grpc_port, agents=ECHO))


async def test_replicas_share_ports_and_one_that_goes_leaves_them_to_the_other(
    opened: Opened,
) -> None:
    await opened.listening.stop(0)
    first = await Listening.start(opened.parts, shares=True)
    second = await Listening.start(opened.parts, shares=True)
    assert (first.port, first.grpc_port) == (second.port, second.grpc_port)
    try:
        async with opened.client() as client:
            assert await said(client) == "hello"
        await first.stop(0)
        for _ in range(5):
            async with opened.client() as client:
                assert await said(client) == "hello"
        async with grpc.aio.insecure_channel(opened.grpc) as channel:
            assert await said_by_grpc(channel, opened.token) == "hello"
    finally:
        await second.stop(0)
    with pytest.raises(httpx.ConnectError):
        async with opened.client(token=False) as client:
            await client.get("/health")


async def test_stopping_waits_for_what_is_under_way(opened: Opened) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", opened.listening.port)
    body = b"{}"
    head = (
        f"POST /a2a HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {opened.token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode())
    await writer.drain()
    await asyncio.sleep(0.2)  # the request is being read now
    stopping = asyncio.create_task(opened.listening.stop(20))
    await asyncio.sleep(0.2)
    assert not stopping.done()
    writer.write(body)
    assert (await reader.readline()).startswith(b"HTTP/1.1 ")
    await reader.read()
    await stopping
    writer.close()
