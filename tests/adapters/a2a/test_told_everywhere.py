"""Whatever one transport takes in, every other one can tell, in both versions."""

import random
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from a2a.compat.v0_3 import a2a_v0_3_pb2 as old_wire
from a2a.compat.v0_3 import a2a_v0_3_pb2_grpc as old_grpc
from a2a.types import GetTaskRequest, Message, Part, Role, SendMessageRequest, Task, a2a_pb2_grpc

from tests.adapters.a2a.world import World, metadata, opened
from tests.adapters.ingress import hostile

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with opened(tmp_path_factory.mktemp("ingress")) as found:
        yield found


def odd_message(chance: random.Random, number: int) -> Message:
    """A message with random fields, but for those that the protocol demands."""
    message: Message = hostile.made(chance, Message.DESCRIPTOR)
    message.message_id = f"odd-{number}"
    message.role = Role.ROLE_USER
    message.task_id = message.context_id = ""
    del message.reference_task_ids[:]
    parts = [one for one in message.parts if one.WhichOneof("content")]
    del message.parts[:]
    message.parts.extend([*parts, Part(text="hi")])
    return message


async def test_what_is_taken_in_is_told_on_every_transport(world: World) -> None:
    taken = 0
    async with world.channel() as channel, world.http() as http, world.http(version="") as old:
        for number in range(60):
            message = odd_message(random.Random(number), number)
            task = await sent(channel, message)
            if task is not None:
                taken += 1
                await _is_told(channel, http, old, task, message)
    assert taken >= 15


async def sent(channel: grpc.aio.Channel, message: Message) -> Task | None:
    """The task of a message; None where it is refused for what it holds."""
    call = a2a_pb2_grpc.A2AServiceStub(channel).SendMessage(
        SendMessageRequest(message=message), metadata=metadata()
    )
    if await call.code() is grpc.StatusCode.OK:
        answer = await call
        task: Task = answer.task
        return task
    assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT, await call.details()
    return None


async def _is_told(
    channel: grpc.aio.Channel, http: Any, old: Any, task: Task, message: Message
) -> None:
    found = await a2a_pb2_grpc.A2AServiceStub(channel).GetTask(
        GetTaskRequest(id=task.id), metadata=metadata()
    )
    assert found.history[0].parts == message.parts
    assert len((await told(http, "GetTask", task.id))["history"]) == 1
    assert len((await told(old, "tasks/get", task.id))["history"]) == 1
    for client, path in ((http, "/a2a/rest/tasks/"), (old, "/a2a/rest/v1/tasks/")):
        answer = await client.get(path + task.id)
        assert answer.status_code == 200, answer.text
    older = await old_grpc.A2AServiceStub(channel).GetTask(
        old_wire.GetTaskRequest(name=f"tasks/{task.id}"), metadata=metadata(version="")
    )
    assert len(older.history) == 1


async def told(http: Any, method: str, id_: str) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"id": id_}}
    answer = (await http.post("/a2a", json=body)).json()
    assert "result" in answer, answer
    return answer["result"]
