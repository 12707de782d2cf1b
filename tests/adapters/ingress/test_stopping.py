"""An ingress that is told to go ends its streams, and who comes after it goes on with its tasks."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from codetether_ray.ingress.options import IngressOptions
from tests.adapters.ingress.scene import ingress
from tests.ingress.scene import COUNTING, Seen, counted, message, request, stream

HEADERS = {"a2a-version": "1.0"}


async def test_streams_end_with_the_grace_and_the_next_one_on_the_data_resumes_them(
    tmp_path: Path,
) -> None:
    options = IngressOptions(port=0, grpc_port=0, agents=COUNTING)
    seen, stopping = Seen(), None
    async with ingress(tmp_path / "data", options) as first, first.client() as client:
        client.headers.update(HEADERS)
        async for event in stream(client, "SendStreamingMessage", message("count 40 0.1")):
            seen.take(event)
            if stopping is None and seen.text:
                stopping = asyncio.create_task(first.listening.stop(1))
        assert stopping is not None
        await stopping
        assert seen.state == "TASK_STATE_WORKING"  # the stream was cut, the work was not
        assert seen.text != counted(40)
    async with ingress(tmp_path / "data", options) as second, second.client() as client:
        client.headers.update(HEADERS)
        async for event in stream(client, "SubscribeToTask", {"id": seen.task_id}):
            seen.take(event)
    assert seen.state == "TASK_STATE_COMPLETED"
    assert seen.text == counted(40)


async def test_a_client_that_goes_away_leaves_the_work_going_on(tmp_path: Path) -> None:
    options = IngressOptions(port=0, grpc_port=0, agents=COUNTING)
    async with ingress(tmp_path / "data", options) as opened, opened.client() as client:
        client.headers.update(HEADERS)
        seen = Seen()
        async for event in stream(client, "SendStreamingMessage", message("count 10 0.1")):
            seen.take(event)
            if seen.text:
                break
        told: Any = {}
        async with asyncio.timeout(60):
            while told.get("status", {}).get("state") != "TASK_STATE_COMPLETED":
                told = await read(client, seen.task_id)
                await asyncio.sleep(0.05)
        assert told["artifacts"][0]["parts"][0]["text"] == counted(10)


async def read(client: httpx.AsyncClient, task_id: str) -> Any:
    answer = await client.post("/a2a", json=request("GetTask", {"id": task_id}))
    return json.loads(answer.content)["result"]
