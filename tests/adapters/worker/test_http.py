"""The workers' protocol, /v1/tasks and CloudEvents over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import aiohttp
import pytest

from codetether_ray.providers.sse import SseEvent, SseParser
from tests.adapters.worker.platform_server import EventLog, PlatformServer

WORKER = {"X-Worker-ID": "w1"}


@pytest.fixture
async def http(server: PlatformServer) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": "Bearer admin-token"}
    async with aiohttp.ClientSession(server.url, headers=headers) as session:
        yield session


async def send(
    http: aiohttp.ClientSession, path: str, body: Any = None, status: int = 200, **headers: str
) -> Any:
    async with http.post(path, json=body or {}, headers={**WORKER, **headers}) as answer:
        text = await answer.text()
        assert answer.status == status, text
        return json.loads(text)


async def get(http: aiohttp.ClientSession, path: str, status: int = 200) -> Any:
    accept = {"Accept": "application/json", **WORKER}
    async with http.get(path, headers=accept) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


async def register(http: aiohttp.ClientSession, id: str = "w1", **more: Any) -> None:
    model = {"id": "x/y", "name": "y", "provider": "x", "provider_id": "x", "cost": 1.5}
    body = {"worker_id": id, "name": id, "models": [model], "codebases": ["/src/api"], **more}
    await send(http, "/v1/opencode/workers/register", body)


async def events(http: aiohttp.ClientSession, path: str, last: str = "") -> AsyncIterator[SseEvent]:
    headers = {**WORKER, **({"Last-Event-ID": last} if last else {})}
    parser = SseParser()
    async with http.get(path, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        async for chunk in answer.content.iter_any():
            for event in parser.feed(chunk):
                yield event


async def test_a_task_goes_all_the_way(http: aiohttp.ClientSession) -> None:
    await register(http)
    made = await send(http, "/v1/tasks", {"title": "t", "prompt": "do it"}, 201)
    waiting = await get(http, "/v1/opencode/tasks?status=pending")
    assert [(t["id"], t["prompt"]) for t in waiting] == [(made["id"], "do it")]
    claimed = await send(http, "/v1/worker/tasks/claim", {"task_id": made["id"]})
    assert (claimed["lease"], claimed["lease_s"], claimed["task"]["status"]) == (1, 60, "running")
    path = f"/v1/opencode/tasks/{made['id']}/output"
    assert await send(http, path, {"output": "a", "seq": 0, "lease": 1}) == {"next_seq": 1}
    body = {"active_task_count": 1, "active_tasks": [{"task_id": made["id"], "lease": 1}]}
    heard = await send(http, "/v1/opencode/workers/w1/heartbeat", {**body, "status": "processing"})
    assert heard == {"status": "ok", "cancelled": [], "lost": [], "lease_s": 60}
    done = {"task_id": made["id"], "status": "completed", "result": "42", "lease": 1}
    await send(http, "/v1/worker/tasks/release", done)
    task = await get(http, f"/v1/tasks/{made['id']}")
    assert (task["status"], task["result"], task["worker_id"]) == ("completed", "42", "w1")
    output = await get(http, f"/v1/tasks/{made['id']}/output")
    assert ([p["text"] for p in output["output"]], output["is_all"]) == (["a"], True)
    shown = await get(http, "/v1/opencode/workers")
    assert [(w["worker_id"], w["status"], w["models"]) for w in shown] == [
        ("w1", "processing", ["x/y"])
    ]


async def test_a_worker_of_the_reference_that_knows_no_numbers_is_served(
    http: aiohttp.ClientSession,
) -> None:
    await register(http)
    made = await send(http, "/v1/tasks", {"title": "t"}, 201)
    await send(http, "/v1/worker/tasks/claim", {"task_id": made["id"]})
    path = f"/v1/opencode/tasks/{made['id']}/output"
    for text in ("a", "b"):
        await send(http, path, {"worker_id": "w1", "output": text})
    beat = {"worker_id": "w1", "agent_name": "w1", "status": "idle", "active_task_count": 0}
    await send(http, "/v1/opencode/workers/w1/heartbeat", beat)
    done = {"task_id": made["id"], "status": "failed", "result": None, "error": "e",
            "session_id": None}  # fmt: skip
    assert (await send(http, "/v1/worker/tasks/release", done))["status"] == "failed"


async def test_a_second_claim_is_409(http: aiohttp.ClientSession) -> None:
    await register(http)
    await register(http, "w2")
    made = await send(http, "/v1/tasks", {"title": "t"}, 201)
    await send(http, "/v1/worker/tasks/claim", {"task_id": made["id"]})
    body = {"task_id": made["id"]}
    told = await send(http, "/v1/worker/tasks/claim", body, 409, **{"X-Worker-ID": "w2"})
    assert told["detail"] == f"task {made['id']} was claimed by another worker"


async def test_the_stream_tells_of_tasks_and_of_cancellations_and_goes_on_where_it_broke(
    http: aiohttp.ClientSession,
) -> None:
    await register(http)
    path = "/v1/worker/tasks/stream?worker_id=w1&agent_name=w1"
    async with aclosing(events(http, path)) as stream:
        first = await send(http, "/v1/tasks", {"title": "one"}, 201)
        event = await asyncio.wait_for(anext(stream), 60)
        assert (event.event, json.loads(event.data)["task"]["id"]) == ("task", first["id"])
        await send(http, "/v1/worker/tasks/claim", {"task_id": first["id"]})
        await send(http, f"/v1/tasks/{first['id']}/cancel")
        told = await asyncio.wait_for(anext(stream), 60)
        assert (told.event, json.loads(told.data)["task_id"]) == ("cancel", first["id"])
    missed = await send(http, "/v1/tasks", {"title": "missed"}, 201)
    async with aclosing(events(http, path, last=told.id)) as stream:
        event = await asyncio.wait_for(anext(stream), 60)
        assert json.loads(event.data)["task"]["id"] == missed["id"]


async def test_output_is_streamed_to_its_end(http: aiohttp.ClientSession) -> None:
    await register(http)
    made = await send(http, "/v1/tasks", {"title": "t"}, 201)
    await send(http, "/v1/worker/tasks/claim", {"task_id": made["id"]})
    async with aclosing(events(http, f"/v1/tasks/{made['id']}/output")) as stream:
        path = f"/v1/opencode/tasks/{made['id']}/output"
        await send(http, path, {"output": ["a\r\nb", "c"], "seq": 0, "lease": 1})
        seen = [await asyncio.wait_for(anext(stream), 60) for _ in range(2)]
        done = {"task_id": made["id"], "status": "completed", "lease": 1}
        await send(http, "/v1/worker/tasks/release", done)
        seen += [event async for event in stream]
    assert [event.event for event in seen] == ["output", "output", "end"]
    assert [json.loads(e.data)["text"] for e in seen[:2]] == ["a\r\nb", "c"]
    assert json.loads(seen[2].data)["status"] == "completed"
    async with aclosing(events(http, f"/v1/tasks/{made['id']}/output", seen[0].id)) as again:
        assert [event.event async for event in again] == ["output", "end"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/worker/tasks/claim", {"task_id": "nobody"}, 404),
        ("/v1/worker/tasks/claim", {"task_id": "a b"}, 422),
        ("/v1/worker/tasks/release", {"task_id": "x", "status": "exploded"}, 422),
        ("/v1/opencode/workers/register", {"worker_id": ""}, 422),
        ("/v1/opencode/workers/register", {"worker_id": "w", "models": [1]}, 422),
        ("/v1/opencode/workers/nobody/heartbeat", {}, 404),
        ("/v1/opencode/workers/w1/heartbeat", {"cognition": {"x": "y" * 70_000}}, 422),
        ("/v1/tasks", {"title": "t", "priority": 10**30}, 422),
        ("/v1/tasks", {"title": "t", "unknown": 1}, 422),
        ("/v1/tasks", {"title": "\x00"}, 201),
        ("/v1/tasks/nobody/cancel", {}, 404),
        ("/task", {"id": "1", "source": "s"}, 422),
        ("/task", {"id": "1", "source": "s", "type": "task.created", "data": [1]}, 422),
        ("/task", {"id": "1", "source": "s", "type": "task.cancelled", "data": {}}, 422),
        ("/task", {"id": "1", "source": "s", "type": "task.created", "data": {}}, 422),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_and_never_a_fault_of_ours(
    http: aiohttp.ClientSession, path: str, body: Any, status: int
) -> None:
    await register(http)
    await send(http, path, body, status)


async def test_numbers_that_are_none_and_deep_bodies_are_refused(
    http: aiohttp.ClientSession,
) -> None:
    for path in ("/v1/tasks", "/task", "/v1/worker/tasks/claim"):
        for body in ('{"metadata": {"x": NaN}, "title": "t"}', "[" * 100_000, '"\\ud800"', ""):
            async with http.post(path, data=body, headers={
                "Content-Type": "application/json", **WORKER
            }) as answer:  # fmt: skip
                assert 400 <= answer.status < 500, (path, body[:20], await answer.text())


async def test_who_does_not_say_which_worker_asks_is_told(http: aiohttp.ClientSession) -> None:
    told = await send(http, "/v1/worker/tasks/claim", {"task_id": "t"}, 400, **{"X-Worker-ID": ""})
    assert "X-Worker-ID" in told["detail"]


async def test_an_event_asks_for_a_task_once_structured_or_binary_and_each_is_noted(
    http: aiohttp.ClientSession, event_log: EventLog
) -> None:
    data = {"task_id": "k-1", "title": "t", "description": "d", "priority": 3}
    event = {"id": "1", "source": "/s", "type": "codetether.task.created", "specversion": "1.0"}
    kind = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    for _ in range(2):
        told = await send(http, "/task", {**event, "data": data}, **kind)
        assert told == {"status": "accepted", "event_id": "1", "task_id": "k-1"}
    binary = {f"ce-{name}": value for name, value in event.items()}
    binary["ce-id"] = "caf%C3%A9"
    told = await send(http, "/task", {"title": "by headers"}, **binary)
    assert told["event_id"] == "café"
    shown = await get(http, "/v1/knative/tasks")
    assert [(t["title"], t["status"]) for t in shown] == [("by headers", "queued"), ("t", "queued")]
    gone = {"id": "2", "source": "/s", "type": "task.cancelled", "data": {"task_id": "k-1"}}
    await send(http, "/task", gone, **kind)
    assert (await get(http, "/v1/knative/tasks/k-1"))["status"] == "cancelled"
    other = {"id": "3", "source": "/s", "type": "weather.changed"}
    assert (await send(http, "/task", other))["task_id"] is None
    await send(http, "/task", {**other, "specversion": "7"}, 422)
    by_headers = next(task["task_id"] for task in shown if task["title"] == "by headers")
    assert event_log.noted == [
        ("admin", "codetether.task.created", "k-1"),
        ("admin", "codetether.task.created", "k-1"),
        ("admin", "codetether.task.created", by_headers),
        ("admin", "task.cancelled", "k-1"),
        ("admin", "weather.changed", ""),
    ]


async def test_a_batch_of_events_is_refused(http: aiohttp.ClientSession) -> None:
    kind = {"Content-Type": "application/cloudevents-batch+json"}
    async with http.post("/task", data="[]", headers=kind) as answer:
        assert answer.status == 415


async def test_a_key_that_was_given_before_gives_the_same_task(
    http: aiohttp.ClientSession,
) -> None:
    body = {"title": "t", "idempotency_key": "k"}
    first, second = [await send(http, "/v1/tasks", body, 201) for _ in range(2)]
    assert first["id"] == second["id"]
    assert len((await get(http, "/v1/tasks"))["tasks"]) == 1


async def test_tasks_are_listed_newest_first_page_by_page(http: aiohttp.ClientSession) -> None:
    for n in range(5):
        await send(http, "/v1/tasks", {"title": str(n)}, 201)
    page = await get(http, "/v1/tasks?limit=3")
    rest = await get(http, f"/v1/tasks?limit=3&before={page['next']}")
    assert [t["title"] for t in page["tasks"] + rest["tasks"]] == ["4", "3", "2", "1", "0"]
    assert rest["next"] is None


async def test_another_tenant_sees_nothing(
    http: aiohttp.ClientSession, server: PlatformServer
) -> None:
    made = await send(http, "/v1/tasks", {"title": "t"}, 201)
    headers = {"Authorization": "Bearer other-token"}
    async with aiohttp.ClientSession(server.url, headers=headers) as other:
        await get(other, f"/v1/tasks/{made['id']}", 404)
        await send(other, f"/v1/tasks/{made['id']}/cancel", {}, 404)
        assert (await get(other, "/v1/tasks"))["tasks"] == []
        await get(other, "/v1/opencode/tasks", 404)  # w1 is not its worker
