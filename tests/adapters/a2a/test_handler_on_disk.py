"""The handler on a real store: what was acknowledged is there for the next process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from a2a.types import (
    AgentCard,
    GetTaskRequest,
    ListTasksRequest,
    SendMessageConfiguration,
    Task,
    TaskPushNotificationConfig,
)

from codetether_ray.a2a.agents import TaskAgents
from codetether_ray.a2a.handler import TaskHandler
from codetether_ray.a2a.limits import Timing
from codetether_ray.a2a.pushing import PushSender
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.task_channel import LocalTaskChannel, TaskHub
from codetether_ray.local.tasks import open_local_tasks
from codetether_ray.ports.tasks import TaskStore
from codetether_ray.testing.echo import EchoAgents
from tests.unit.a2a.world import (
    COMPLETED,
    WORKING,
    Receivers,
    Stage,
    context,
    delta,
    request,
    status,
    text_of,
)

_TIMING = Timing(lease=1.5, tick=0.02)


@asynccontextmanager
async def handler_on(
    store: TaskStore,
    agents: TaskAgents,
    *,
    holder: str = "r1",
    hub: TaskHub | None = None,
    pushes: PushSender | None = None,
) -> AsyncIterator[TaskHandler]:
    channel = LocalTaskChannel(hub)
    made = TaskHandler(
        store,
        channel,
        agents,
        SystemClock(),
        holder=holder,
        card=AgentCard,
        pushes=pushes,
        timing=_TIMING,
    )
    await made.start()
    try:
        yield made
    finally:
        await made.close()
        await channel.close()


async def until(condition: object) -> None:
    async with asyncio.timeout(60):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def test_an_answered_task_is_there_after_the_store_was_opened_anew(tmp_path: Path) -> None:
    store = await open_local_tasks(tmp_path)
    async with handler_on(store, EchoAgents()) as handler:
        answers = await asyncio.gather(
            *(
                handler.on_message_send(request(f"n{i}", message_id=f"m{i}"), context())
                for i in range(30)
            )
        )
    await store.close()
    store = await open_local_tasks(tmp_path)
    async with handler_on(store, EchoAgents(), holder="r2") as handler:
        for answer in answers:
            assert isinstance(answer, Task)
            found = await handler.on_get_task(GetTaskRequest(id=answer.id), context())
            assert found == answer
            assert found.status.state == COMPLETED
        page = await handler.on_list_tasks(ListTasksRequest(page_size=20), context())
        assert (len(page.tasks), page.total_size) == (20, 30)
        more = ListTasksRequest(page_size=20, page_token=page.next_page_token)
        rest = await handler.on_list_tasks(more, context())
        assert {t.id for t in page.tasks} | {t.id for t in rest.tasks} == {
            answer.id for answer in answers
        }
    await store.close()


async def test_a_task_that_was_worked_on_goes_on_in_the_next_process(tmp_path: Path) -> None:
    store = await open_local_tasks(tmp_path)
    stage = Stage()
    config = TaskPushNotificationConfig(id="one", url="https://example.com/hook")
    asked = SendMessageConfiguration(return_immediately=True, task_push_notification_config=config)
    async with handler_on(store, stage, pushes=Receivers()) as handler:
        begun = await handler.on_message_send(request(configuration=asked), context())
        assert isinstance(begun, Task)
        stage.tell(begun.id, status(WORKING), delta("old"))
        await until(lambda: stage.closed or stage._line(begun.id).empty())
    await store.close()
    store = await open_local_tasks(tmp_path)
    receivers = Receivers()
    async with handler_on(store, stage, holder="r2", pushes=receivers) as handler:
        await until(lambda: len(stage.orders) == 2)
        assert stage.orders[-1].is_taken_up
        stage.tell(begun.id, delta("new"), status(COMPLETED))
        await until(lambda: receivers.got)
        task = await handler.on_get_task(GetTaskRequest(id=begun.id), context())
        assert text_of(task) == "new"
        assert task.status.state == COMPLETED
    await store.close()


async def test_two_replicas_on_one_store_follow_and_cancel_each_others_tasks(
    tmp_path: Path,
) -> None:
    from a2a.types import CancelTaskRequest, SubscribeToTaskRequest

    store = await open_local_tasks(tmp_path)
    stage, hub = Stage(), TaskHub()
    at_once = SendMessageConfiguration(return_immediately=True)
    async with (
        handler_on(store, stage, holder="r1", hub=hub) as one,
        handler_on(store, stage, holder="r2", hub=hub) as two,
    ):
        begun = await one.on_message_send(request(configuration=at_once), context())
        assert isinstance(begun, Task)
        stream = two.on_subscribe_to_task(SubscribeToTaskRequest(id=begun.id), context())
        assert await anext(stream) is not None
        stage.tell(begun.id, delta("a"))
        await anext(stream)
        canceled = await two.on_cancel_task(CancelTaskRequest(id=begun.id), context())
        assert stage.canceled == [begun.id]
        async for last in stream:
            assert last.status == canceled.status  # type: ignore[union-attr]
    await store.close()
