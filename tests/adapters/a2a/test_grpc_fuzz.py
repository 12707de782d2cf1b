"""Random and mutated bytes at every RPC of every service: always a status of the client's fault.

What may come of bytes that nobody foresaw is an answer, or a status that says what is wrong with
them. UNKNOWN and INTERNAL say that something broke here.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import descriptor_pool

from codetether_ray.ingress.grpc.services import service_names
from tests.adapters.a2a.world import World, metadata, opened
from tests.adapters.ingress import hostile

pytestmark = pytest.mark.asyncio(loop_scope="module")
BROKEN = {
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.UNAVAILABLE,
}
TRACES = ("Traceback", 'File "', "site-packages", "Error(", "object at 0x")
_ENDLESS = {"grpc.health.v1.Health/Watch"}
_PATIENCE_S = 10.0


def rpcs() -> Iterator[tuple[str, Any]]:
    """Every RPC's path, and of which type its request is."""
    pool = descriptor_pool.Default()
    for service in service_names():
        for method in pool.FindServiceByName(service).methods:
            yield f"{service}/{method.name}", method.input_type


RPCS = dict(rpcs())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with opened(tmp_path_factory.mktemp("ingress")) as found:
        yield found


async def outcome(channel: grpc.aio.Channel, path: str, data: bytes) -> grpc.aio.AioRpcError | None:
    """The error that a request is answered with; None: it is no error."""
    version = "" if path.startswith("a2a.v1.") else "1.0"
    try:
        if path.endswith("/ServerReflectionInfo"):
            call = channel.stream_stream(f"/{path}")(iter([data]), metadata=metadata())
            await _read(call)
        else:
            call = channel.unary_stream(f"/{path}")(data, metadata=metadata(version=version))
            await _read(call, 1 if path in _ENDLESS else 50)
    except grpc.aio.AioRpcError as error:
        return error
    return None


async def _read(call: Any, most: int = 50) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        async for _ in call:
            most -= 1
            if not most:
                call.cancel()
                return


def demand_told(path: str, data: bytes, error: grpc.aio.AioRpcError | None) -> None:
    """Fail where something broke, or more is told than what is wrong."""
    if error is None:
        return
    assert error.code() not in BROKEN, f"{path} {data!r}: {error.code()} {error.details()}"
    for trace in TRACES:
        assert trace not in (error.details() or ""), f"{path} {data!r}: {error.details()}"


@pytest.mark.parametrize("path", sorted(RPCS))
async def test_hostile_requests_are_told_what_is_wrong_with_them(world: World, path: str) -> None:
    chance = random.Random(path)
    async with world.channel() as channel:
        for _ in range(25):
            data = hostile.request(chance, RPCS[path])
            demand_told(path, data, await outcome(channel, path, data))


@pytest.mark.full
@pytest.mark.parametrize("path", sorted(RPCS))
async def test_many_hostile_requests_are_told_what_is_wrong_with_them(
    world: World, path: str
) -> None:
    chance = random.Random(f"many {path}")
    async with world.channel() as channel:
        for _ in range(500):
            data = hostile.request(chance, RPCS[path])
            demand_told(path, data, await outcome(channel, path, data))


async def test_a_request_beyond_the_limit_is_refused(world: World) -> None:
    async with world.channel() as channel:
        path = "lf.a2a.v1.A2AService/GetTask"
        error = await outcome(channel, path, b"\0" * 4_100_000)
        assert error is not None
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_rpc_that_is_not_there_is_refused(world: World) -> None:
    async with world.channel() as channel:
        error = await outcome(channel, "lf.a2a.v1.A2AService/Nothing", b"")
        assert error is not None
        assert error.code() in (
            grpc.StatusCode.UNIMPLEMENTED,
            grpc.StatusCode.PERMISSION_DENIED,
        )
