"""Two replicas are one ingress: what one began, the other shows, ends and goes on with."""

import asyncio
import os
import signal

from codetether_ray.ingress import serve_starting
from tests.ingress.scene import Seen, Served, call, counted, message, stream


async def test_what_one_replica_began_the_other_reads_streams_and_cancels(two: Served) -> None:
    async with two.clients_of() as (first, one), two.clients_of(other_than=first) as (_, other):
        began = await call(
            one, "SendMessage",
            {**message("count 40 0.1"), "configuration": {"returnImmediately": True}},
        )  # fmt: skip
        task_id = began["task"]["id"]
        read = await call(other, "GetTask", {"id": task_id})
        assert read["status"]["state"] in ("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING")
        seen = Seen()
        async for event in stream(other, "SubscribeToTask", {"id": task_id}):
            seen.take(event)
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


async def test_a_replica_is_killed_in_mid_stream_and_its_client_resumes_with_nothing_missing(
    two: Served,
) -> None:
    seen = Seen()
    async with two.clients_of() as (holder, one):
        async for event in stream(one, "SendStreamingMessage", message("count 60 0.1")):
            seen.take(event)
            if seen.text.startswith(counted(5)):
                os.kill(holder, signal.SIGKILL)
                break
    assert seen.state == "TASK_STATE_WORKING"
    async with two.clients_of(other_than=holder) as (_, other):
        async for event in stream(other, "SubscribeToTask", {"id": seen.task_id}):
            seen.take(event)
        assert seen.state == "TASK_STATE_COMPLETED"
        assert seen.text == counted(60)
        stored = await call(other, "GetTask", {"id": seen.task_id})
        assert stored["artifacts"][0]["parts"][0]["text"] == counted(60)
    async with asyncio.timeout(60):  # Serve replaces it
        while not ((found := await serve_starting.find()) and found.is_well):
            await asyncio.sleep(0.2)
    assert holder not in two.pids()
    assert len(two.pids()) == 2
