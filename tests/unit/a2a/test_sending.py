"""A message is sent: what is answered, what is kept, and when."""

import asyncio

import pytest
from a2a.server.context import ServerCallContext
from a2a.types import (
    AgentCard,
    ContentTypeNotSupportedError,
    GetTaskRequest,
    InternalError,
    InvalidParamsError,
    InvalidRequestError,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    Task,
    TaskNotFoundError,
    UnsupportedOperationError,
)

from codetether_ray.a2a.limits import Limits
from codetether_ray.core.errors import ConfigError
from tests.unit.a2a.world import (
    ANN,
    BOB,
    COMPLETED,
    FAILED,
    INPUT_REQUIRED,
    SUBMITTED,
    WORKING,
    World,
    at_once,
    context,
    delta,
    request,
    running,
    status,
    text_of,
)


async def test_a_blocking_message_is_answered_with_the_task_at_its_end(world: World) -> None:
    handler = await world.replica()
    sent = asyncio.create_task(handler.on_message_send(request("hi"), context()))
    await world.settle()
    world.stage.tell(world.stage.last, status(WORKING), delta("a"), delta("b"), status(COMPLETED))
    task = await sent
    assert isinstance(task, Task)
    assert task.status.state == COMPLETED
    assert text_of(task) == "ab"
    assert len(task.artifacts[0].parts) == 1
    assert [part.text for part in task.history[0].parts] == ["hi"]
    assert Task.FromString(world.store.records[task.id].payload) == task


async def test_what_ends_at_once_is_saved_once(world: World) -> None:
    handler = await world.replica()
    sent = asyncio.create_task(handler.on_message_send(request(), context()))
    await world.settle()
    world.stage.tell(world.stage.last, status(WORKING), delta("a"), status(COMPLETED))
    await sent
    assert len(world.store.saves) == 1


async def test_the_end_is_on_disk_before_anybody_is_told(world: World) -> None:
    handler = await world.replica()
    sent = asyncio.create_task(handler.on_message_send(request(), context()))
    await world.settle()
    world.store.is_open.clear()
    world.stage.tell(world.stage.last, status(COMPLETED))
    await world.settle()
    assert not sent.done()
    world.store.is_open.set()
    await world.settle()
    assert sent.done()


async def test_who_does_not_wait_gets_the_task_as_it_begins_and_it_is_on_disk(
    world: World,
) -> None:
    handler = await world.replica()
    sent = asyncio.create_task(handler.on_message_send(request(configuration=at_once()), context()))
    await world.settle(1.0)  # the agent says nothing
    task = await sent
    assert isinstance(task, Task)
    assert task.status.state == SUBMITTED
    assert world.store.records[task.id].state == "submitted"
    world.stage.tell(task.id, status(COMPLETED))
    await world.settle()
    assert world.store.records[task.id].state == "completed"


async def test_many_ends_share_saves(world: World) -> None:
    handler = await world.replica()
    sends = [
        asyncio.create_task(handler.on_message_send(request(message_id=f"m{i}"), context()))
        for i in range(20)
    ]
    await world.settle()
    for order in world.stage.orders:
        world.stage.tell(order.task.id, status(COMPLETED))
    await asyncio.gather(*sends)
    assert len(world.store.saves) <= 3
    assert {record.state for record in world.store.records.values()} == {"completed"}


async def test_an_agent_may_answer_without_a_task(world: World) -> None:
    handler = await world.replica()
    sent = asyncio.create_task(handler.on_message_send(request(context_id="c"), context()))
    await world.settle()
    world.stage.tell(world.stage.last, Message(parts=[Part(text="hello")]))
    answer = await sent
    assert isinstance(answer, Message)
    assert answer.context_id == "c"
    assert answer.role == Role.ROLE_AGENT
    assert answer.message_id
    assert not world.store.records


async def test_a_message_for_an_answer_completes_a_task_that_is_known_already(
    world: World,
) -> None:
    handler = await world.replica()
    sent = asyncio.create_task(handler.on_message_send(request(), context()))
    await world.settle(1.0)
    world.stage.tell(world.stage.last, Message(parts=[Part(text="hello")]))
    task = await sent
    assert isinstance(task, Task)
    assert task.status.state == COMPLETED
    assert task.status.message.parts[0].text == "hello"


async def test_what_an_agent_refuses_at_first_is_said_to_who_asked(world: World) -> None:
    handler = await world.replica()
    sent = asyncio.create_task(handler.on_message_send(request(), context()))
    await world.settle()
    world.stage.tell(world.stage.last, UnsupportedOperationError("no videos"))
    with pytest.raises(UnsupportedOperationError, match="no videos"):
        await sent
    assert not world.store.records


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConfigError("no model is set"), "no model is set"),
        (ZeroDivisionError("secret path"), "server's log"),
        (None, "without saying"),
    ],
    ids=["ours", "a fault", "an early end"],
)
async def test_an_agent_that_fails_fails_its_task(
    world: World, error: Exception | None, said: str
) -> None:
    handler = await world.replica()
    sent = asyncio.create_task(handler.on_message_send(request(), context()))
    await world.settle()
    world.stage.tell(world.stage.last, status(WORKING), error)
    task = await sent
    assert isinstance(task, Task)
    assert task.status.state == FAILED
    assert said in task.status.message.parts[0].text
    assert "secret" not in task.status.message.parts[0].text


async def test_a_client_that_goes_away_does_not_stop_the_work(world: World) -> None:
    handler = await world.replica()
    sent = asyncio.create_task(handler.on_message_send(request(), context()))
    await world.settle()
    sent.cancel()
    await world.settle()
    world.stage.tell(world.stage.last, status(COMPLETED))
    await world.settle()
    assert world.store.records[world.stage.last].state == "completed"


async def test_a_follow_up_answers_the_question_and_keeps_context_and_history(
    world: World,
) -> None:
    handler = await world.replica()
    task_id = await running(world, handler)
    world.stage.tell(task_id, status(INPUT_REQUIRED, "which?"))
    await world.settle()
    asked = await handler.on_get_task(GetTaskRequest(id=task_id), context())
    sent = asyncio.create_task(
        handler.on_message_send(request("this", message_id="m2", task_id=task_id), context())
    )
    await world.settle()
    order = world.stage.orders[-1]
    assert order.task.context_id == asked.context_id
    assert order.task.history[-1].parts[0].text == "this"
    world.stage.tell(task_id, status(COMPLETED))
    task = await sent
    assert isinstance(task, Task)
    said = [message.parts[0].text for message in task.history]
    assert said == ["hello", "which?", "this"]


async def test_the_same_message_is_not_done_twice(world: World) -> None:
    handler = await world.replica()
    task_id = await running(world, handler)
    world.stage.tell(task_id, status(INPUT_REQUIRED))
    await world.settle()
    again = request("yes", message_id="m2", task_id=task_id)
    first = asyncio.create_task(handler.on_message_send(again, context()))
    await world.settle()
    again = request("yes", message_id="m2", task_id=task_id)
    second = asyncio.create_task(handler.on_message_send(again, context()))
    await world.settle()
    assert len(world.stage.orders) == 2
    world.stage.tell(task_id, status(COMPLETED))
    await world.settle()
    assert await first == await second
    third = await handler.on_message_send(
        request("yes", message_id="m2", task_id=task_id), context()
    )
    assert isinstance(third, Task)
    assert third.status.state == COMPLETED
    assert len(world.stage.orders) == 2


async def test_of_two_follow_ups_at_two_replicas_one_is_done(world: World) -> None:
    one, two = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, one)
    world.stage.tell(task_id, status(INPUT_REQUIRED))
    await world.settle()
    sends = [
        asyncio.create_task(
            handler.on_message_send(
                request("go", message_id=f"m{number}", task_id=task_id, configuration=at_once()),
                context(),
            )
        )
        for number, handler in enumerate((one, two), 2)
    ]
    await world.settle(1.0)
    answers = await asyncio.gather(*sends, return_exceptions=True)
    assert len(world.stage.orders) == 2
    assert sorted(type(answer).__name__ for answer in answers) == [
        "Task",
        "UnsupportedOperationError",
    ]


@pytest.mark.parametrize(
    ("state", "message"),
    [(COMPLETED, "has ended"), (WORKING, "being worked on")],
    ids=["ended", "working"],
)
async def test_a_message_is_refused_unless_the_task_waits(
    world: World, state: int, message: str
) -> None:
    handler = await world.replica()
    task_id = await running(world, handler)
    world.stage.tell(task_id, status(state))
    await world.settle()
    with pytest.raises(UnsupportedOperationError, match=message):
        await handler.on_message_send(request(message_id="m2", task_id=task_id), context())


async def test_another_context_than_the_tasks_is_refused(world: World) -> None:
    handler = await world.replica()
    task_id = await running(world, handler)
    asking = request(message_id="m2", task_id=task_id, context_id="elsewhere")
    with pytest.raises(InvalidParamsError, match="belongs to context"):
        await handler.on_message_send(asking, context())


@pytest.mark.parametrize("task_id", ["unknown", "anns"])
async def test_a_task_that_is_not_ones_own_is_not_found(world: World, task_id: str) -> None:
    handler = await world.replica()
    anns = await running(world, handler)
    asked = anns if task_id == "anns" else task_id
    with pytest.raises(TaskNotFoundError):
        await handler.on_message_send(request(task_id=asked), context(BOB))
    with pytest.raises(TaskNotFoundError):
        await handler.on_get_task(GetTaskRequest(id=asked), context(BOB))


async def test_a_request_of_nobody_is_refused(world: World) -> None:
    handler = await world.replica()
    with pytest.raises(InvalidRequestError, match="bearer"):
        await handler.on_message_send(request(), ServerCallContext())


async def test_an_answer_that_the_client_does_not_take_is_refused_before_it_is_worked_on() -> None:
    world = World(card=AgentCard(default_output_modes=["text/plain"]))
    handler = await world.replica()
    accepted = SendMessageConfiguration(accepted_output_modes=["image/png"])
    with pytest.raises(ContentTypeNotSupportedError, match="text/plain"):
        await handler.on_message_send(request(configuration=accepted), context())
    assert not world.stage.orders
    await world.close()


async def test_the_agent_is_told_who_asks_and_what_is_taken(world: World) -> None:
    handler = await world.replica()
    accepted = SendMessageConfiguration(
        accepted_output_modes=["text/plain"], return_immediately=True
    )
    sent = asyncio.create_task(handler.on_message_send(request(configuration=accepted), context()))
    await world.settle(1.0)
    await sent
    assert world.stage.orders[0].principal == ANN
    assert world.stage.orders[0].output_modes == ("text/plain",)


@pytest.mark.parametrize(
    "asking",
    [
        SendMessageRequest(),
        SendMessageRequest(message=Message(message_id="m", parts=[Part(text="x")])),
        SendMessageRequest(message=Message(message_id="m", role=Role.ROLE_USER)),
        SendMessageRequest(message=Message(message_id="m", role=Role.ROLE_USER, parts=[Part()])),
        request(context_id="a\0b"),
        request(context_id="c" * 300),
        request(configuration=SendMessageConfiguration(history_length=-1)),
    ],
    ids=["nothing", "no role", "no parts", "an empty part", "a NUL", "too long", "negative"],
)
async def test_a_message_that_is_not_whole_is_refused(
    world: World, asking: SendMessageRequest
) -> None:
    handler = await world.replica()
    with pytest.raises(InvalidParamsError):
        await handler.on_message_send(asking, context())


@pytest.mark.parametrize(("asked", "left"), [(None, 3), (0, 0), (1, 1), (9, 3)])
async def test_as_much_history_is_given_as_is_asked_for(
    world: World, asked: int | None, left: int
) -> None:
    handler = await world.replica()
    task_id = await running(world, handler)
    world.stage.tell(task_id, status(WORKING, "one"), status(WORKING, "two"), status(COMPLETED))
    await world.settle()
    whole = await handler.on_get_task(GetTaskRequest(id=task_id), context())
    assert len(whole.history) == 3
    given = await handler.on_get_task(GetTaskRequest(id=task_id, history_length=asked), context())
    assert len(given.history) == left
    assert list(given.history) == list(whole.history)[3 - left :]


async def test_a_store_that_fails_for_a_while_costs_time_alone(world: World) -> None:
    handler = await world.replica()
    sent = asyncio.create_task(handler.on_message_send(request(), context()))
    await world.settle()
    world.store.failures = 3
    world.stage.tell(world.stage.last, status(COMPLETED))
    await world.settle(5.0)
    task = await sent
    assert isinstance(task, Task)
    assert world.store.records[task.id].state == "completed"


async def test_a_store_that_stays_away_is_said_to_who_asked(world: World) -> None:
    handler = await world.replica()
    sent = asyncio.create_task(handler.on_message_send(request(), context()))
    await world.settle()
    world.store.failures = 1_000
    world.stage.tell(world.stage.last, status(COMPLETED))
    await world.settle(60.0)
    with pytest.raises(InternalError):
        await sent
    world.store.failures = 0


async def test_artifacts_beyond_the_limit_fail_the_task_and_stop_the_agent() -> None:
    world = World(limits=Limits(artifact_bytes=1_000))
    handler = await world.replica()
    task_id = await running(world, handler)
    world.stage.tell(task_id, delta("x" * 900), delta("x" * 900))
    await world.settle()
    task = await handler.on_get_task(GetTaskRequest(id=task_id), context())
    assert task.status.state == FAILED
    assert "1000 bytes" in task.status.message.parts[0].text
    assert world.stage.canceled == [task_id]
    await world.close()
