"""The official SDK's clients of both versions drive every operation over all three transports."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from a2a.client import ClientConfig, ClientFactory
from a2a.client.card_resolver import A2ACardResolver
from a2a.client.client import Client, ClientCallContext
from a2a.types import (
    AgentCard,
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
    TaskStatusUpdateEvent,
)

from codetether_ray.a2a.agents import Order, Update
from tests.adapters.a2a.world import World, opened
from tests.ingress.agents import CountingAgents
from tests.ingress.scene import counted
from tests.unit.a2a.world import text_of

WORKING, CANCELED = TaskState.TASK_STATE_WORKING, TaskState.TASK_STATE_CANCELED
COMPLETED, ASKING = TaskState.TASK_STATE_COMPLETED, TaskState.TASK_STATE_INPUT_REQUIRED
CLIENTS = [
    pytest.param(version, binding, id=f"{version}-{binding}")
    for version in ("1.0", "0.3")
    for binding in ("JSONRPC", "GRPC", "HTTP+JSON")
]


class _Bearer(grpc.aio.UnaryUnaryClientInterceptor, grpc.aio.UnaryStreamClientInterceptor):
    """Adds the token to every call."""

    async def intercept_unary_unary(self, onward: Any, details: Any, request: Any) -> Any:
        return await onward(_with_token(details), request)

    async def intercept_unary_stream(self, onward: Any, details: Any, request: Any) -> Any:
        return await onward(_with_token(details), request)


class _BearerStreams(grpc.aio.UnaryStreamClientInterceptor):
    """The same for streams: gRPC asks an interceptor for one kind of call alone."""

    async def intercept_unary_stream(self, onward: Any, details: Any, request: Any) -> Any:
        return await onward(_with_token(details), request)


def _with_token(details: Any) -> Any:
    given = grpc.aio.Metadata(*(details.metadata or ()))
    given.add("authorization", "Bearer alice-token")
    return grpc.aio.ClientCallDetails(
        details.method, details.timeout, given, details.credentials, details.wait_for_ready
    )


@asynccontextmanager
async def connected(
    world: World, version: str, binding: str, *, streams: bool = True
) -> AsyncIterator[Client]:
    """A client of the SDK that uses what the card says of one version and transport."""
    async with world.http(version="") as http:
        card: AgentCard = await A2ACardResolver(http, world.url).get_agent_card()
        chosen = [
            one
            for one in card.supported_interfaces
            if (one.protocol_version, one.protocol_binding) == (version, binding)
        ]
        assert len(chosen) == 1
        del card.supported_interfaces[:]
        card.supported_interfaces.extend(chosen)
        config = ClientConfig(
            streaming=streams,
            httpx_client=http,
            supported_protocol_bindings=[binding],
            grpc_channel_factory=lambda url: grpc.aio.insecure_channel(
                url.removeprefix("http://"), interceptors=[_Bearer(), _BearerStreams()]
            ),
        )
        client = ClientFactory(config).create(card)
        try:
            yield client
        finally:
            await client.close()


def asked(id_: str, *, task: Task | None = None) -> SendMessageRequest:
    """A message whose id names a scene of the kit's agent."""
    message = Message(message_id=id_, role=Role.ROLE_USER, parts=[Part(text="hi")])
    if task is not None:
        message.task_id, message.context_id = task.id, task.context_id
    return SendMessageRequest(message=message, configuration=SendMessageConfiguration())


async def told(client: Client, request: SendMessageRequest) -> list[StreamResponse]:
    """Everything that a message is answered with."""
    return [one async for one in client.send_message(request)]


def task_of(events: list[StreamResponse]) -> Task:
    return next(one.task for one in events if one.HasField("task"))


def states_of(events: list[StreamResponse]) -> list[int]:
    return [one.status_update.status.state for one in events if one.HasField("status_update")]


@pytest.mark.parametrize(("version", "binding"), CLIENTS)
async def test_a_client_of_the_sdk_drives_every_operation(
    version: str, binding: str, tmp_path: Path
) -> None:
    async with opened(tmp_path) as world, connected(world, version, binding) as client:
        task = await _a_stream_tells_states_and_artifacts(client)
        await _a_task_can_be_read(client, task)
        if version == "1.0":  # 0.3 has no such operation
            await _tasks_are_listed(client, task)
            await _a_list_has_pages(client)
        await _a_question_is_answered_in_the_same_task(client)
        await _a_dropped_stream_is_taken_up_and_the_task_cancelled(client)
        await _push_configurations_are_kept(client, task)
        if (version, binding) == ("0.3", "HTTP+JSON"):  # the SDK's client can't do the rest
            await _push_configurations_are_listed_and_removed_by_hand(world, task)
        else:
            await _push_configurations_are_listed_and_removed(client, task)
        await _the_extended_card_says_more(client)
        await _unknown_tasks_are_not_found(client)


@pytest.mark.parametrize(("version", "binding"), CLIENTS)
async def test_a_client_that_takes_no_streams_waits_for_the_task_or_is_answered_at_once(
    version: str, binding: str, tmp_path: Path
) -> None:
    async with (
        opened(tmp_path) as world,
        connected(world, version, binding, streams=False) as client,
    ):
        [done] = await told(client, asked("tck-complete-task"))
        assert done.task.status.state == COMPLETED
        await _a_question_is_answered_without_a_stream(client)
        at_once = asked("test-resubscribe-message-id")
        at_once.configuration.return_immediately = True
        [begun] = await told(client, at_once)
        assert begun.task.status.state == WORKING
        cancelled = await client.cancel_task(CancelTaskRequest(id=begun.task.id))
        assert cancelled.status.state == CANCELED


async def _a_question_is_answered_without_a_stream(client: Client) -> None:
    [waits] = await told(client, asked("tck-input-required"))
    assert waits.task.status.state == ASKING
    [done] = await told(client, asked("tck-complete-task", task=waits.task))
    assert (done.task.id, done.task.status.state) == (waits.task.id, COMPLETED)


class PatientAgents(CountingAgents):
    """End what they count when they are let."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = asyncio.Event()

    async def work(self, order: Order) -> AsyncIterator[Update]:
        async for update in super().work(order):
            if isinstance(update, TaskStatusUpdateEvent) and update.status.state == COMPLETED:
                await self.may_end.wait()
            yield update


@pytest.mark.parametrize(("version", "binding"), CLIENTS)
async def test_a_stream_that_breaks_again_and_again_is_taken_up_and_misses_nothing(
    version: str, binding: str, tmp_path: Path
) -> None:
    agents, chance = PatientAgents(), random.Random(f"{version} {binding}")
    message = Message(message_id="m", role=Role.ROLE_USER, parts=[Part(text="count 30 0.02")])
    task = Task()
    async with (
        opened(tmp_path, agents=agents) as world,
        connected(world, version, binding) as client,
    ):
        events = client.send_message(SendMessageRequest(message=message))
        while task.status.state != COMPLETED:
            async for event in events:
                _see(task, event)
                if text_of(task) == counted(30):
                    agents.may_end.set()
                elif task.id and chance.random() < 0.15:
                    break
            await events.aclose()
            events = client.subscribe(SubscribeToTaskRequest(id=task.id))
    assert text_of(task) == counted(30)


def _see(task: Task, event: StreamResponse) -> None:
    """What an event makes of a client's task, by the protocol's words."""
    if event.HasField("task"):
        task.CopyFrom(event.task)
    elif event.HasField("artifact_update"):
        if not event.artifact_update.append:
            del task.artifacts[:]
        task.artifacts.append(event.artifact_update.artifact)
    else:
        task.status.CopyFrom(event.status_update.status)


async def _a_stream_tells_states_and_artifacts(client: Client) -> Task:
    events = await told(client, asked("tck-stream-001"))
    assert states_of(events) == [WORKING, COMPLETED]
    artifact = next(one for one in events if one.HasField("artifact_update")).artifact_update
    assert artifact.artifact.parts[0].text == "Stream hello from TCK"
    return task_of(events)


async def _a_task_can_be_read(client: Client, task: Task) -> None:
    found = await client.get_task(GetTaskRequest(id=task.id))
    assert found.status.state == COMPLETED
    assert found.context_id == task.context_id
    assert [one.message_id for one in found.history] == ["tck-stream-001"]


async def _tasks_are_listed(client: Client, task: Task) -> None:
    found = await client.list_tasks(ListTasksRequest(context_id=task.context_id))
    assert [one.id for one in found.tasks] == [task.id]
    assert found.total_size == 1


async def _a_list_has_pages(client: Client) -> None:
    for number in range(4):
        await told(client, asked(f"tck-complete-task-{number}"))
    seen: list[str] = []
    wanted = ListTasksRequest(page_size=2)
    while True:
        page = await client.list_tasks(wanted)
        assert len(page.tasks) <= 2
        seen += [one.id for one in page.tasks]
        wanted.page_token = page.next_page_token
        if not page.next_page_token:
            break
    assert len(seen) == len(set(seen)) == page.total_size == 5


async def _a_question_is_answered_in_the_same_task(client: Client) -> None:
    events = await told(client, asked("tck-input-required"))
    assert states_of(events)[-1] == ASKING
    task = task_of(events)
    more = await told(client, asked("tck-complete-task", task=task))
    assert states_of(more)[-1] == COMPLETED
    assert (await client.get_task(GetTaskRequest(id=task.id))).status.state == COMPLETED


async def _a_dropped_stream_is_taken_up_and_the_task_cancelled(client: Client) -> None:
    stream = client.send_message(asked("test-resubscribe-message-id"))
    task = None
    async for event in stream:
        if event.HasField("task"):
            task = event.task
        if states_of([event]) == [WORKING]:
            break
    await stream.aclose()
    assert task is not None
    again = client.subscribe(SubscribeToTaskRequest(id=task.id))
    first = await anext(again)
    assert first.task.status.state == WORKING
    rest = asyncio.create_task(_rest(again))
    cancelled = await client.cancel_task(CancelTaskRequest(id=task.id))
    assert cancelled.status.state == CANCELED
    assert states_of(await rest)[-1] == CANCELED


async def _rest(events: AsyncIterator[StreamResponse]) -> list[StreamResponse]:
    return [one async for one in events]


async def _push_configurations_are_kept(client: Client, task: Task) -> None:
    config = TaskPushNotificationConfig(task_id=task.id, id="c1", url="https://example.com/hook")
    made = await client.create_task_push_notification_config(config)
    assert (made.id, made.url) == ("c1", config.url)
    named = GetTaskPushNotificationConfigRequest(task_id=task.id, id="c1")
    assert (await client.get_task_push_notification_config(named)).url == config.url


async def _push_configurations_are_listed_and_removed(client: Client, task: Task) -> None:
    every = ListTaskPushNotificationConfigsRequest(task_id=task.id)
    listed = await client.list_task_push_notification_configs(every)
    assert [one.id for one in listed.configs] == ["c1"]
    gone = DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="c1")
    await client.delete_task_push_notification_config(gone)
    assert not (await client.list_task_push_notification_configs(every)).configs


async def _push_configurations_are_listed_and_removed_by_hand(world: World, task: Task) -> None:
    path = f"/a2a/rest/v1/tasks/{task.id}/pushNotificationConfigs"
    async with world.http(version="0.3") as http:
        listed = (await http.get(path)).json()["configs"]
        assert [one["name"] for one in listed] == [f"tasks/{task.id}/pushNotificationConfigs/c1"]
        assert (await http.delete(f"{path}/c1")).status_code == 200
        assert (await http.get(path)).json() == {}


async def _the_extended_card_says_more(client: Client) -> None:
    card = await client.get_extended_agent_card(GetExtendedAgentCardRequest())
    assert "environment" in [one.id for one in card.skills]


async def _unknown_tasks_are_not_found(client: Client) -> None:
    patient = ClientCallContext(timeout=60)
    with pytest.raises(Exception, match=r"there is no task|not found"):
        await client.get_task(GetTaskRequest(id="nobody-knows"), context=patient)
