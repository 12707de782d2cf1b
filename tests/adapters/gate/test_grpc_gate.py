"""The gate on real gRPC: every shape of RPC, unknown methods, refusals."""

import asyncio
import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from codetether_ray.audit.query import Query, find
from codetether_ray.ingress.gate_failures import Failures
from codetether_ray.ports.tokens import NamedToken
from codetether_ray.stores.tokens import FileTokens, digest_of
from tests.adapters.gate.doors import CHAT, FORGOTTEN, GET, SEND, STREAM, grpc_door

_UNKNOWN = "/some.Service/NobodyMade"
_HEALTH = "/grpc.health.v1.Health/Check"


async def _call(channel: Any, method: str, *metadata: tuple[str, str]) -> tuple[str, Any]:
    """The status and the messages of an RPC, in the method's own shape."""
    try:
        if method == STREAM:
            call = channel.unary_stream(method)(b"x", metadata=metadata)
            return "OK", [message async for message in call]
        if method == CHAT:
            call = channel.stream_stream(method)(metadata=metadata)
            if not metadata or "ctr_" not in metadata[0][1]:
                await call.read()  # grpc.aio's client says INTERNAL where it writes to what ended
            for message in (b"x", b"y"):
                await call.write(message)
            await call.done_writing()
            return "OK", [message async for message in call]
        return "OK", await channel.unary_unary(method)(b"x", metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return error.code().name, dict(error.trailing_metadata() or ())


async def test_without_a_token_no_method_of_any_shape_answers(tmp_path: Path) -> None:
    async with grpc_door(tmp_path) as door, grpc.aio.insecure_channel(door.target) as channel:
        door.gate._failures = Failures(time.monotonic, burst=1000)
        for method in (SEND, GET, STREAM, CHAT, FORGOTTEN, _UNKNOWN):
            for header in (None, "Bearer wrong", "Basic YTpi", "bare"):
                metadata = () if header is None else (("authorization", header),)
                status, _ = await _call(channel, method, *metadata)
                assert status == "UNAUTHENTICATED", (method, header)
        assert door.reached == []


async def test_with_the_servers_token_everything_that_the_table_has_answers(
    tmp_path: Path,
) -> None:
    async with grpc_door(tmp_path) as door, grpc.aio.insecure_channel(door.target) as channel:
        token = ("authorization", f"bearer {door.token}")
        assert await _call(channel, SEND, token) == ("OK", b"x")
        assert await _call(channel, STREAM, token) == ("OK", [b"x"] * 3)
        assert await _call(channel, CHAT, token) == ("OK", [b"x", b"y"])
        assert (await _call(channel, GET, token))[0] == "NOT_FOUND"
        assert (await _call(channel, FORGOTTEN, token))[0] == "PERMISSION_DENIED"
        assert (await _call(channel, _UNKNOWN, token))[0] == "UNIMPLEMENTED"
        assert [kind for kind, _ in door.reached] == ["unary", "stream", "chat"]
        assert {p.user_id for _, p in door.reached if p} == {"bearer-token-user"}


async def test_two_tokens_are_none(tmp_path: Path) -> None:
    async with grpc_door(tmp_path) as door, grpc.aio.insecure_channel(door.target) as channel:
        right, wrong = ("authorization", f"Bearer {door.token}"), ("authorization", "Bearer x")
        assert (await _call(channel, SEND, right, wrong))[0] == "UNAUTHENTICATED"


async def test_health_answers_without_a_token(tmp_path: Path) -> None:
    async with grpc_door(tmp_path) as door, grpc.aio.insecure_channel(door.target) as channel:
        assert (await _call(channel, _HEALTH))[0] == "UNIMPLEMENTED"  # none is served here
        assert (await _call(channel, "/grpc.health.v1.Health/Watch"))[0] == "UNAUTHENTICATED"


async def test_roles_decide_method_by_method_and_each_caller_is_told_apart(tmp_path: Path) -> None:
    for name, role in (("ann", "viewer"), ("bob", "editor")):
        FileTokens(tmp_path).add(
            NamedToken(
                name=name,
                digest=digest_of(f"ctr_token_{name}"),
                created_at=time.time(),
                roles=(role,),
            )
        )
    async with grpc_door(tmp_path) as door, grpc.aio.insecure_channel(door.target) as channel:
        ann = ("authorization", "Bearer ctr_token_ann")
        bob = ("authorization", "Bearer ctr_token_bob")
        for _ in range(3):
            assert (await _call(channel, SEND, ann))[0] == "PERMISSION_DENIED"
            assert (await _call(channel, SEND, bob))[0] == "OK"
            assert (await _call(channel, CHAT, ann))[0] == "OK"
        names = [p.user_id for _, p in door.reached if p]
    assert names == ["bob", "ann"] * 3


async def test_who_fails_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    async with grpc_door(tmp_path) as door, grpc.aio.insecure_channel(door.target) as channel:
        door.gate._failures = Failures(time.monotonic, burst=2, every_s=60.0)
        found = [await _call(channel, SEND) for _ in range(4)]
        assert [status for status, _ in found] == ["UNAUTHENTICATED"] * 2 + [
            "RESOURCE_EXHAUSTED"
        ] * 2
        assert 0 < int(found[-1][1]["retry-after"]) <= 60
        token = ("authorization", f"Bearer {door.token}")
        assert (await _call(channel, SEND, token))[0] == "OK"


async def test_a_request_that_cannot_be_read_is_refused_before_it_is(tmp_path: Path) -> None:
    async with grpc_door(tmp_path) as door, grpc.aio.insecure_channel(door.target) as channel:
        huge = b"\xff" * (6 * 1024 * 1024)  # more than a server takes
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await channel.unary_unary(SEND)(huge)
        assert told.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_how_rpcs_ended_is_in_the_audit_log(tmp_path: Path) -> None:
    async with grpc_door(tmp_path) as door, grpc.aio.insecure_channel(door.target) as channel:
        token = ("authorization", f"Bearer {door.token}")
        await _call(channel, GET, token)
        await _call(channel, SEND)
        call = channel.unary_stream(STREAM)(b"x", metadata=(token,))
        async for _ in call:
            call.cancel()
            break
        await _call(channel, CHAT, token)
    rows = {
        (str(e["resource"]).rpartition("/")[2], e["outcome"], e["detail"]["status"])  # type: ignore[index, call-overload]
        for e in find(tmp_path, Query())
    }
    assert ("GetTask", "failure", "NOT_FOUND") in rows
    assert ("SendMessage", "denied", "UNAUTHENTICATED") in rows
    assert ("ServerReflectionInfo", "success", "OK") in rows
    assert {status for name, _, status in rows if name == "SendStreamingMessage"} <= {
        "CANCELLED",
        "OK",
    }


@pytest.mark.parametrize("kind", [b"endless", b"quiet"])
async def test_a_stream_ends_with_its_token(tmp_path: Path, kind: bytes) -> None:
    """Also while the service has nothing to tell."""
    FileTokens(tmp_path).add(
        NamedToken(
            name="ann", digest=digest_of("ctr_token_ann"), created_at=time.time(), roles=("editor",)
        )
    )
    async with grpc_door(tmp_path) as door, grpc.aio.insecure_channel(door.target) as channel:
        metadata = (("authorization", "Bearer ctr_token_ann"),)
        call = channel.unary_stream(STREAM)(kind, metadata=metadata)
        assert await call.read() == kind
        assert FileTokens(tmp_path).revoke("ann", time.time())
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await _drained(call)
        while kind == b"quiet" and ("gone", None) not in door.reached:
            await asyncio.sleep(0.01)
    assert ended.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def _drained(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass
