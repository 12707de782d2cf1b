"""Requests of any shape to every RPC: each ends by a status that says what is wrong with it."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool

from codetether_ray.ingress.grpc.services import service_names
from codetether_ray.ingress.options import IngressOptions
from tests.adapters.ingress import hostile
from tests.adapters.ingress.scene import ECHO, Open, Opened

_FAULTS = {"UNKNOWN", "INTERNAL", "DATA_LOSS", "DEADLINE_EXCEEDED", "UNAVAILABLE"}
_TRACE = re.compile(r'Traceback|File "|line \d+|site-packages|codetether_ray\.')
_TORN = "Internal error from Core"
"""A client of `grpc.aio` says so where an RPC is refused before it has sent its whole stream."""
_AT_ONCE = 8
_ENDLESS = "/grpc.health.v1.Health/Watch"
_VERSIONS = ("1.0", "1.0", "1.0", "0.3", "0.3", "", "9.9", "x" * 300)


def _rpcs() -> Iterator[tuple[str, Any]]:
    pool = descriptor_pool.Default()
    for service in service_names():
        for method in pool.FindServiceByName(service).methods:  # type: ignore[no-untyped-call]
            yield f"/{service}/{method.name}", method


def _call(channel: Any, rpc: str, method: Any, bodies: list[bytes], metadata: Any) -> Any:
    many = iter(bodies)
    shapes = {
        (False, False): (channel.unary_unary, bodies[0]),
        (False, True): (channel.unary_stream, bodies[0]),
        (True, False): (channel.stream_unary, many),
        (True, True): (channel.stream_stream, many),
    }
    make, given = shapes[method.client_streaming, method.server_streaming]
    return make(rpc)(given, metadata=metadata, timeout=60)


async def _ended(call: Any, rpc: str, method: Any) -> tuple[str, str]:
    """Code and message that a call ended with."""
    try:
        if method.server_streaming:
            async for _ in call:
                if rpc == _ENDLESS:
                    call.cancel()
                    break
        else:
            await call
    except grpc.aio.AioRpcError as error:
        if method.client_streaming and error.details() == _TORN:
            return "CANCELLED", ""
        return error.code().name, error.details() or ""
    return "OK", ""


async def _attacked(opened: Opened, cases: int, seed: int) -> Counter[str]:
    """How many requests ended by which code."""
    rpcs, seen = list(_rpcs()), Counter[str]()
    numbers = iter(range(cases))

    async def client(channel: Any) -> None:
        for number in numbers:
            chance = Random(seed * 1_000_000 + number)
            rpc, method = rpcs[number % len(rpcs)]
            metadata = (
                ("authorization", f"Bearer {opened.token}"),
                ("a2a-version", chance.choice(_VERSIONS)),
            )
            bodies = [
                hostile.request(chance, method.input_type) for _ in range(chance.randint(1, 3))
            ]
            call = _call(channel, rpc, method, bodies, metadata)
            code, said = await _ended(call, rpc, method)
            seen[code] += 1
            assert code not in _FAULTS, (rpc, number, code, said, [b[:500] for b in bodies])
            assert not _TRACE.search(said), (rpc, number, said)
            assert opened.token not in said

    async with grpc.aio.insecure_channel(opened.grpc) as channel, asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(client(channel))
    return seen


async def _still_answers(opened: Opened) -> None:
    async with opened.client() as client:
        assert (await client.get("/ready")).status_code == 200


async def test_hostile_rpcs_end_by_a_status_that_is_no_fault_of_ours(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    seen = await _attacked(opened, 2_000, seed=1)
    assert {"INVALID_ARGUMENT", "NOT_FOUND", "OK"} <= seen.keys()
    assert [one.getMessage() for one in caplog.records if one.exc_info] == []
    await _still_answers(opened)


@pytest.mark.full
async def test_ten_thousand_hostile_rpcs_end_by_a_status_that_is_no_fault_of_ours(
    opens: Open,
) -> None:
    opened = await opens(IngressOptions(port=0, grpc_port=0, agents=ECHO))
    seen = await _attacked(opened, 10_000, seed=2)
    assert seen.total() == 10_000
    await _still_answers(opened)
