"""Two replicas are one ingress: what one began, the other shows, ends and goes on with."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
import pytest

from codetether_ray.ingress import serve_starting
from tests.ingress.scene import Seen, Served, call, counted, message, stream


async def test_what_one_replica_began_the_other_reads_streams_and_cancels(
    two: Served, tmp_path: Path
) -> None:
    is_read = tmp_path / "is-read"
    async with two.clients_of() as (first, one), two.clients_of(other_than=first) as (_, other):
        began = await call(
            one, "SendMessage",
            {**message(f"count 40 0.02 {is_read}"), "configuration": {"returnImmediately": True}},
        )  # fmt: skip
        task_id = began["task"]["id"]
        read = await call(other, "GetTask", {"id": task_id})
        assert read["status"]["state"] in ("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING")
        seen = Seen()
        async for event in stream(other, "SubscribeToTask", {"id": task_id}):
            seen.take(event)
            is_read.touch()  # it goes on to its end while somebody reads
        assert seen.state == "TASK_STATE_COMPLETED"
        assert seen.text == counted(40)

        second = await call(
            one, "SendMessage",
            {**message("count 1000 0.1"), "configuration": {"returnImmediately": True}},
        )  # fmt: skip
        gone = await call(other, "CancelTask", {"id": second["task"]["id"]})
        assert gone["status"]["state"] == "TASK_STATE_CANCELED"
        again = await call(one, "GetTask", {"id": second["task"]["id"]})
        assert again["status"]["state"] == "TASK_STATE_CANCELED"


PATHS = (
    *("/", "/docs", "/openapi.json", "/a2a", "/a2a/rest/v1/tasks", "/api/version", "/v1/runs"),
    *("/-/routes", "/-/healthz", "/-/metrics", "/metrics", "/no/such/path"),
)
SERVE = "/ray.serve.RayServeAPIService"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
INNER = (
    "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "/ray.serve.ASGIService/HandleRequest",
)
RPCS = (
    *(f"{SERVE}/ListApplications", f"{SERVE}/Healthz"),
    *("/lf.a2a.v1.A2AService/SendMessage", "/lf.a2a.v1.A2AService/SubscribeToTask"),
    *("/a2a.v1.A2AService/SendMessage", "/no.such.Service/Method"),
    REFLECTION,
    *INNER,
)


async def test_nothing_but_the_exempt_paths_answers_who_has_no_token(two: Served) -> None:
    """On no port that a replica's process has opened."""
    places = {
        (one.laddr.ip, one.laddr.port)
        for pid in two.pids()
        for one in psutil.Process(pid).net_connections("tcp")
        if one.status == psutil.CONN_LISTEN
    }
    abroad = {ip for ip, _ in places} - {"127.0.0.1", "::ffff:127.0.0.1"}
    assert abroad <= {"::"}  # where Ray's own port is, one a process
    assert len([ip for ip, _ in places if ip == "::"]) == len(two.pids())
    ports, asked = {port for _, port in places}, []
    public = {two.serving.options.port, two.serving.options.grpc_port}
    assert public <= ports
    for port in sorted(ports):
        statuses = await http_statuses(port)
        for path in (path for path, found in statuses.items() if found == 429):
            statuses[path] = 401  # so many were sent away before that this one was not looked at
        told = {"/health": 200} | dict.fromkeys(PATHS, 401)
        assert statuses == (told if port == two.serving.options.port else {}), port
        codes = await rpc_codes(port)
        assert grpc.StatusCode.OK not in {**codes, REFLECTION: None}.values(), (port, codes)
        if port == two.serving.options.grpc_port:
            assert set(codes.values()) <= SENT_AWAY, codes
        elif port not in public:  # Ray's and Serve's own want Ray's token; but they tell anybody
            asked.append({codes[method] for method in INNER})  # what their services are called
    assert all(grpc.StatusCode.UNAUTHENTICATED in codes for codes in asked), asked


SENT_AWAY = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED}


async def http_statuses(port: int) -> dict[str, int]:
    """What answers to GET there, by path; nothing of what speaks no HTTP, or is gone."""
    found: dict[str, int] = {}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        for path in ("/health", *PATHS):
            try:
                found[path] = (await client.get(path)).status_code
            except httpx.TransportError:
                break
    return found


async def rpc_codes(port: int) -> dict[str, Any]:
    """What answers to an RPC of one message there, by method."""
    found: dict[str, Any] = {}
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for method in RPCS:
            ask: Any = channel.unary_unary(method)
            try:
                await ask(b"", timeout=30)
                found[method] = grpc.StatusCode.OK
            except grpc.aio.AioRpcError as error:
                found[method] = error.code()
    return found


async def test_serve_opens_no_port_of_its_own(two: Served) -> None:
    from ray import serve

    assert serve.status().proxies == {}
    listening = {
        one.laddr.port
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.pid is not None
        if "ServeController" in " ".join(psutil.Process(one.pid).cmdline())
        or "Proxy" in " ".join(psutil.Process(one.pid).cmdline())
    }
    for port in listening:
        assert await http_statuses(port) == {}


async def test_a_replica_is_killed_in_mid_stream_and_its_client_resumes_with_nothing_missing(
    two: Served, tmp_path: Path
) -> None:
    seen, is_watched = Seen(), tmp_path / "is-watched"
    asked = message(f"count 60 0.02 {is_watched}")
    async with two.clients_of() as (holder, one):
        async for event in stream(one, "SendStreamingMessage", asked):
            seen.take(event)
            if seen.text.startswith(counted(5)):
                os.kill(holder, signal.SIGKILL)
                break
    assert seen.state == "TASK_STATE_WORKING"
    async with two.clients_of(other_than=holder) as (_, other):
        async for event in stream(other, "SubscribeToTask", {"id": seen.task_id}):
            seen.take(event)
            is_watched.touch()
        assert seen.state == "TASK_STATE_COMPLETED"
        assert seen.text == counted(60)
        stored = await call(other, "GetTask", {"id": seen.task_id})
        assert stored["artifacts"][0]["parts"][0]["text"] == counted(60)
    async with asyncio.timeout(180):  # Serve replaces it
        while holder in two.pids() or len(two.pids()) < 2 or not await _is_well():
            await asyncio.sleep(0.2)
    assert len(two.pids()) == 2


async def _is_well() -> bool:
    found = await serve_starting.find()
    return found is not None and found.is_well


@pytest.mark.matrix
async def test_replicas_are_killed_again_and_again_and_no_task_is_stuck_or_lost(
    two: Served,
) -> None:
    streams = [asyncio.create_task(_followed(two, f"count {40 + n} 0.1", n)) for n in range(4)]
    for number in range(3):
        await asyncio.sleep(2)
        os.kill(sorted(two.pids())[number % len(two.pids())], signal.SIGKILL)
        async with asyncio.timeout(180):
            while len(two.pids()) < 2:
                await asyncio.sleep(0.2)
    async with asyncio.timeout(180):
        seen = await asyncio.gather(*streams)
    assert [(one.state, one.text) for one in seen] == [
        ("TASK_STATE_COMPLETED", counted(40 + n)) for n in range(4)
    ]


async def _followed(two: Served, text: str, number: int) -> Seen:
    """What a client has seen at the end that sends once and then resumes as often as it must."""
    seen, asked = Seen(), message(text, contextId=f"context-{number}")
    while seen.state in ("", "TASK_STATE_SUBMITTED", "TASK_STATE_WORKING"):
        try:
            async with two.client() as client:
                if not seen.task_id:
                    events = stream(client, "SendStreamingMessage", asked)
                else:
                    task = await call(client, "GetTask", {"id": seen.task_id})
                    seen.take({"task": task})
                    if seen.state == "TASK_STATE_COMPLETED":
                        break
                    events = stream(client, "SubscribeToTask", {"id": seen.task_id})
                async for event in events:
                    seen.take(event)
        except httpx.TransportError:  # nobody listened, or who did was killed
            await asyncio.sleep(0.2)
    return seen
