"""The gate around a whole ingress: every route and RPC there is, and whose tasks are whose."""

import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import grpc

from codetether_ray.bootstrap.truth.address import Address
from codetether_ray.bootstrap.truth.place import truth_here
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.ingress import permissions
from codetether_ray.ingress.app import build_routes
from codetether_ray.ingress.gate_failures import Failures
from codetether_ray.ingress.listening import Listening
from codetether_ray.ingress.opening import opened_parts
from codetether_ray.ingress.options import IngressOptions
from codetether_ray.ingress.parts import Parts
from codetether_ray.ports.tokens import NamedToken
from codetether_ray.stores.tokens import FileTokens, digest_of

_PUBLIC = {
    *("/health", "/ready"),
    *("/.well-known/agent-card.json", "/.well-known/agent.json", "/.well-known/jwks.json"),
}
_TOKENS = {
    "ann": ("viewer", ""),
    "bob": ("editor", ""),
    "eve": ("editor", ""),
    "root": ("admin", ""),
    "boss": ("admin", "acme"),
    "amy": ("editor", "acme"),
    "rex": ("admin", "umbrella"),
}


@dataclass
class Ingress:
    """One that answers, with everything but Ray behind it."""

    parts: Parts
    url: str
    target: str


@asynccontextmanager
async def _ingress(data_dir: Path) -> AsyncIterator[Ingress]:
    for name, (role, tenant) in _TOKENS.items():
        FileTokens(data_dir).add(
            NamedToken(
                name=name,
                digest=digest_of(f"ctr_token_{name}"),
                created_at=time.time(),
                roles=(role,),
                tenant_id=tenant,
            )
        )
    options = IngressOptions(
        port=0,
        grpc_port=0,
        data_dir=str(data_dir),
        agents="codetether_ray.testing.echo:open_agents",
    )
    reach = Reach(address=Address(value="local"), truth=truth_here(data_dir))
    async with opened_parts(options, reach) as parts:
        parts.gate._failures = Failures(time.monotonic, burst=100_000)
        listening = await Listening.start(parts)
        try:
            yield Ingress(
                parts=replace(parts),
                url=f"http://127.0.0.1:{listening.port}",
                target=f"127.0.0.1:{listening.grpc_port}",
            )
        finally:
            await listening.stop(1.0)


def _routes(routes: Any) -> Iterator[tuple[str, str]]:
    """Every method and path of an application, with something in place of its parameters."""
    for route in routes:
        if hasattr(route, "original_router"):
            yield from _routes(route.original_router.routes)
        elif getattr(route, "methods", None):
            path = re.sub(r"\{[^}]*\}", "x1", route.path)
            yield from ((method, path) for method in sorted(route.methods))
        else:
            raise AssertionError(f"a route of another kind: {route!r}")


def _rpcs() -> Iterator[str]:
    from google.protobuf import descriptor_pool

    from codetether_ray.ingress.grpc.services import service_names

    pool = descriptor_pool.Default()
    for service in service_names():
        for method in pool.FindServiceByName(service).methods:  # type: ignore[no-untyped-call]
            yield f"/{service}/{method.name}"


async def test_every_route_and_rpc_has_a_permission_and_answers_nobody_without_a_token(
    tmp_path: Path,
) -> None:
    async with _ingress(tmp_path) as ingress, aiohttp.ClientSession() as client:
        routes = list(_routes(build_routes(ingress.parts).routes))
        assert len(routes) > 50
        lacking = [r for r in routes if permissions.of_http(*r) is None]
        assert lacking == []
        for method, path in [*routes, ("GET", "/nowhere"), ("GET", "/-/routes")]:
            async with client.request(method, ingress.url + path) as answer:
                assert (answer.status != 401) is (path in _PUBLIC), (method, path)

        rpcs = list(_rpcs())
        assert len(rpcs) > 30
        assert [rpc for rpc in rpcs if permissions.of_grpc(rpc) is None] == []
        async with grpc.aio.insecure_channel(ingress.target) as channel:
            for rpc in [*rpcs, "/ray.serve.RayServeAPIService/Healthz"]:
                code = await _code(channel, rpc)
                assert code == ("OK" if rpc in permissions.PUBLIC_RPCS else "UNAUTHENTICATED"), rpc


async def test_allow_names_the_methods_that_a_path_has(tmp_path: Path) -> None:
    """All of them, not one route's, and none that the table of permissions alone has."""
    asked = (
        ("PUT", "/v1/tasks", "GET, POST"),
        ("DELETE", "/v1/tasks", "GET, POST"),
        ("PUT", "/api/session/ses_1", "GET"),
        ("DELETE", "/api/session/ses_1", "GET"),
        ("POST", "/api/version", "GET"),
        ("PUT", "/v1/okrs/o1", "GET"),
        ("GET", "/a2a", "POST"),
        ("PUT", "/v1/runs/r1/nowhere", None),
        ("PUT", "/v1/audit/nowhere", None),
    )
    header = {"Authorization": "Bearer ctr_token_root"}
    async with _ingress(tmp_path) as ingress, aiohttp.ClientSession() as client:
        for method, path, allowed in asked:
            async with client.request(method, ingress.url + path, headers=header) as answer:
                found = answer.status, answer.headers.get("Allow")
                assert found == ((405, allowed) if allowed else (404, None)), (method, path)


async def _code(channel: Any, rpc: str, body: bytes = b"", name: str = "") -> str:
    metadata = (("authorization", f"Bearer ctr_token_{name}"),) if name else ()
    try:
        await channel.unary_unary(rpc)(body, metadata=(*metadata, ("a2a-version", "1.0")))
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


def _message(text: str, **more: Any) -> dict[str, Any]:
    return {"messageId": f"m-{time.time_ns()}", "parts": [{"text": text}], **more}


def _new(text: str) -> dict[str, Any]:
    return {"message": _message(text, role="ROLE_USER")}


def _old(text: str) -> dict[str, Any]:
    parts = [{"kind": "text", "text": text}]
    return {"message": {**_message(text, role="user"), "kind": "message", "parts": parts}}


async def _rpc(
    client: aiohttp.ClientSession, ingress: Ingress, name: str, method: str, params: Any
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer ctr_token_{name}"}
    if "/" not in method:
        headers["A2A-Version"] = "1.0"
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    async with client.post(ingress.url + "/", json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_roles_count_on_each_transport_of_a2a(tmp_path: Path) -> None:
    from a2a.types import a2a_pb2 as pb

    sent = pb.SendMessageRequest(
        message=pb.Message(message_id="m1", role=pb.ROLE_USER, parts=[pb.Part(text="hello")])
    ).SerializeToString()
    send = "/lf.a2a.v1.A2AService/SendMessage"
    async with (
        _ingress(tmp_path) as ingress,
        aiohttp.ClientSession() as client,
        grpc.aio.insecure_channel(ingress.target) as channel,
    ):
        for method, params in (("SendMessage", _new("hi")), ("message/send", _old("hi"))):
            status, told = await _rpc(client, ingress, "ann", method, params)
            assert status == 403
            assert "tasks:write" in str(told)
            status, told = await _rpc(client, ingress, "bob", method, params)
            assert (status, "result" in told) == (200, True), told
        assert await _code(channel, send, sent, "ann") == "PERMISSION_DENIED"
        assert await _code(channel, send, sent, "bob") == "OK"
        for name, expected in (("ann", 403), ("bob", 200)):
            headers = {"Authorization": f"Bearer ctr_token_{name}", "A2A-Version": "1.0"}
            async with client.post(
                ingress.url + "/a2a/rest/message:send", json=_new("hi"), headers=headers
            ) as answer:
                assert answer.status == expected, await answer.text()


async def test_a_task_is_found_by_its_owner_alone_whatever_tenant_or_role_others_have(
    tmp_path: Path,
) -> None:
    async with _ingress(tmp_path) as ingress, aiohttp.ClientSession() as client:
        _, made = await _rpc(client, ingress, "bob", "SendMessage", _new("mine"))
        id = made["result"]["task"]["id"]
        for name in _TOKENS:
            status, told = await _rpc(client, ingress, name, "GetTask", {"id": id})
            assert status == 200
            assert ("result" in told) is (name == "bob"), (name, told)
            _, listed = await _rpc(client, ingress, name, "ListTasks", {})
            assert [t["id"] for t in listed["result"]["tasks"]] == ([id] if name == "bob" else [])
        _, told = await _rpc(client, ingress, "eve", "CancelTask", {"id": id})
        assert told["error"]["code"] == -32001


async def test_a_tenants_administrator_sees_the_tenants_tasks_for_workers_and_no_others(
    tmp_path: Path,
) -> None:
    async with _ingress(tmp_path) as ingress, aiohttp.ClientSession() as client:
        url = ingress.url + "/v1/tasks"
        async with client.post(url, json={"title": "x"}, headers=_bearer("amy")) as answer:
            assert answer.status == 201, await answer.text()
            id = (await answer.json())["id"]
        for name, sees in {"amy": 1, "boss": 1, "root": 1, "rex": 0, "bob": 0}.items():
            async with client.get(url, headers=_bearer(name)) as answer:
                assert [task["id"] for task in (await answer.json())["tasks"]] == [id] * sees, name
            async with client.get(f"{url}/{id}", headers=_bearer(name)) as answer:
                assert answer.status == (200 if sees else 404), name


def _bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer ctr_token_{name}"}


async def test_the_audit_log_is_for_administrators_of_the_platform(tmp_path: Path) -> None:
    async with _ingress(tmp_path) as ingress, aiohttp.ClientSession() as client:
        for name, status in (("root", 200), ("boss", 403), ("bob", 403), ("ann", 403)):
            headers = {"Authorization": f"Bearer ctr_token_{name}"}
            url = ingress.url + "/v1/audit/events"
            async with client.get(url, headers=headers) as answer:
                assert answer.status == status, name
