"""The worker's own HTTP server."""

import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from codetether_ray.worker.probes import PortTakenError, Probes

KNOWN = {"Authorization": "Bearer secret"}


class Told:
    """What the probes tell of."""

    is_connected = False
    active: tuple[str, ...] = ()
    looks = 0

    def look(self) -> None:
        self.looks += 1


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def http(told: Told) -> AsyncIterator[aiohttp.ClientSession]:
    probes = Probes(told, "wrk_1", "one", "secret")
    port = await probes.start("127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session
    await probes.close()


async def test_health_is_always_well_and_ready_only_with_an_open_stream(
    http: aiohttp.ClientSession, told: Told
) -> None:
    async with http.get("/health") as answer:
        assert (answer.status, await answer.text()) == (200, "ok")
    async with http.get("/ready") as answer:
        assert (answer.status, await answer.text()) == (503, "not connected")
    told.is_connected = True
    async with http.get("/ready") as answer:
        assert (answer.status, await answer.text()) == (200, "ready")


async def test_status_needs_the_token_and_tells_what_is_done(
    http: aiohttp.ClientSession, told: Told
) -> None:
    told.active = ("t1", "t2")
    async with http.get("/worker/status", headers=KNOWN) as answer:
        assert await answer.json() == {
            "connected": False,
            "worker_id": "wrk_1",
            "heartbeat": {"status": "processing", "active_tasks": 2, "agent_name": "one"},
        }


@pytest.mark.parametrize("path", ["/worker/status", "/nowhere", "/health/", "/"])
@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer wrong", "Basic secret", "Bearer secrét"])
async def test_nothing_but_probes_answers_without_the_token(
    http: aiohttp.ClientSession, path: str, sent: str
) -> None:
    headers = {"Authorization": sent} if sent else {}
    async with http.get(path, headers=headers) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_worker_without_a_token_has_no_open_doors() -> None:
    probes = Probes(Told(), "w", "w", "")
    port = await probes.start("127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        for headers in ({}, {"Authorization": "Bearer "}):
            async with session.get("/worker/status", headers=headers) as answer:
                assert answer.status == 401
    await probes.close()


async def test_a_task_that_is_posted_makes_the_worker_look(
    http: aiohttp.ClientSession, told: Told
) -> None:
    event = {"id": "event-1", "source": "s", "data": {"task_id": "t-9"}}
    async with http.post("/task", json=event, headers=KNOWN) as answer:
        assert (answer.status, await answer.text()) == (202, "task t-9 received")
    assert told.looks == 1
    async with http.post("/task", data="{", headers=KNOWN) as answer:
        assert answer.status == 400


async def test_a_port_that_is_taken_is_an_error_that_says_so() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"127.0.0.1:{port}.*choose another --port"):
            await Probes(Told(), "w", "w", "x").start("127.0.0.1", port)
