"""Streams: the task first, then every update once, to its rest; wherever it is worked on."""

import pytest
from a2a.types import (
    GetTaskRequest,
    InvalidRequestError,
    Message,
    Part,
    SubscribeToTaskRequest,
    Task,
    TaskNotFoundError,
    TaskState,
    TaskStatus,
    UnsupportedOperationError,
)

from codetether_ray.a2a.limits import Limits
from tests.unit.a2a.world import (
    BOB,
    COMPLETED,
    INPUT_REQUIRED,
    SUBMITTED,
    WORKING,
    Reader,
    World,
    context,
    delta,
    request,
    running,
    status,
    text_of,
)


def subscribe(task_id: str) -> SubscribeToTaskRequest:
    return SubscribeToTaskRequest(id=task_id)


async def test_a_stream_tells_the_task_then_its_updates_then_ends(world: World) -> None:
    handler = await world.replica()
    reader = Reader(handler.on_message_send_stream(request(), context()))
    await world.settle()
    task_id = world.stage.last
    for update in (status(WORKING), delta("a"), delta("b"), status(COMPLETED)):
        world.stage.tell(task_id, update)
        await world.settle()
    assert reader.kinds == ["Task", "working", "=a", "+b", "completed"]
    assert reader.is_done
    first = reader.told[0]
    assert isinstance(first, Task)
    assert first.status.state == SUBMITTED


async def test_updates_arrive_while_the_agent_works(world: World) -> None:
    handler = await world.replica()
    reader = Reader(handler.on_message_send_stream(request(), context()))
    await world.settle()
    world.stage.tell(world.stage.last, status(WORKING), delta("a"))
    await world.settle()
    assert reader.kinds == ["Task", "working", "=a"]
    assert not reader.is_done


async def test_a_task_is_on_disk_before_its_stream_tells_of_it(world: World) -> None:
    handler = await world.replica()
    world.store.is_open.clear()
    reader = Reader(handler.on_message_send_stream(request(), context()))
    await world.settle()
    world.stage.tell(world.stage.last, status(WORKING))
    await world.settle()
    assert reader.told == []
    world.store.is_open.set()
    await world.settle()
    assert reader.kinds == ["Task", "working"]


async def test_a_message_alone_is_the_whole_stream(world: World) -> None:
    handler = await world.replica()
    reader = Reader(handler.on_message_send_stream(request(), context()))
    await world.settle()
    world.stage.tell(world.stage.last, Message(parts=[Part(text="hello")]))
    await world.settle()
    assert reader.kinds == ["Message"]
    assert reader.is_done


async def test_an_agent_that_tells_a_task_first_has_it_told_once(world: World) -> None:
    handler = await world.replica()
    reader = Reader(handler.on_message_send_stream(request(), context()))
    await world.settle()
    own = Task(id=world.stage.last, status=TaskStatus(state=TaskState.TASK_STATE_WORKING))
    world.stage.tell(world.stage.last, own, status(COMPLETED))
    await world.settle()
    assert reader.kinds == ["Task", "completed"]
    first = reader.told[0]
    assert isinstance(first, Task)
    assert first.status.state == WORKING
    assert len(first.history) == 1


async def test_a_stream_ends_at_a_question_and_the_next_one_goes_on(world: World) -> None:
    handler = await world.replica()
    task_id = await running(world, handler)
    world.stage.tell(task_id, status(INPUT_REQUIRED, "which?"))
    await world.settle()
    asking = request("this", message_id="m2", task_id=task_id)
    reader = Reader(handler.on_message_send_stream(asking, context()))
    await world.settle()
    world.stage.tell(task_id, status(COMPLETED))
    await world.settle()
    assert reader.kinds == ["Task", "completed"]


async def test_a_client_that_leaves_a_stream_leaves_the_work_going(world: World) -> None:
    handler = await world.replica()
    reader = Reader(handler.on_message_send_stream(request(), context()))
    await world.settle()
    task_id = world.stage.last
    world.stage.tell(task_id, status(WORKING), delta("a"))
    await world.settle()
    await reader.stop()
    world.stage.tell(task_id, delta("b"))
    await world.settle()
    again = Reader(handler.on_subscribe_to_task(subscribe(task_id), context()))
    await world.settle()
    world.stage.tell(task_id, delta("c"), status(COMPLETED))
    await world.settle()
    assert again.text == "abc"
    assert again.kinds == ["Task", "+c", "completed"]


@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_a_subscriber_is_told_the_task_as_it_is_then_the_rest(
    world: World, where: str
) -> None:
    holder = await world.replica("r1")
    other = await world.replica("r2")
    task_id = await running(world, holder)
    world.stage.tell(task_id, delta("a"), delta("b"))
    await world.settle()
    asked = holder if where == "here" else other
    reader = Reader(asked.on_subscribe_to_task(subscribe(task_id), context()))
    await world.settle()
    world.stage.tell(task_id, delta("c"), status(COMPLETED))
    await world.settle()
    assert reader.text == "abc"
    assert reader.kinds[-2:] == ["+c", "completed"]
    assert reader.is_done


async def test_what_was_told_before_somebody_listened_and_is_not_on_disk_is_not_lost(
    world: World,
) -> None:
    holder, other = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, holder)
    world.store.is_open.clear()  # from here on the disk knows nothing
    world.stage.tell(task_id, delta("a"), delta("b"))
    await world.settle()
    reader = Reader(other.on_subscribe_to_task(subscribe(task_id), context()))
    await world.settle()
    assert reader.text == "ab"
    world.stage.tell(task_id, delta("c"))
    await world.settle()
    assert reader.text == "abc"
    world.store.is_open.set()


async def test_who_lost_events_is_told_the_difference(world: World) -> None:
    holder, other = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, holder)
    reader = Reader(other.on_subscribe_to_task(subscribe(task_id), context()))
    await world.settle()
    world.stage.tell(task_id, delta("a"))
    await world.settle()
    world.hub.listeners.lose(task_id)
    world.stage.tell(task_id, delta("b"), delta("c"))
    await world.settle(0.3)
    assert reader.text == "abc"
    assert reader.kinds.count("Task") == 1


async def test_a_channel_that_tells_nothing_costs_time_alone(world: World) -> None:
    holder, other = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, holder)
    reader = Reader(other.on_subscribe_to_task(subscribe(task_id), context()))
    await world.settle()
    world.hub.attending.clear()
    world.hub.listeners.end()
    world.stage.tell(task_id, delta("a"), status(COMPLETED))
    await world.settle(6.0)
    assert reader.text == "a"
    assert reader.is_done


async def test_who_waits_for_a_waiting_task_sees_it_go_on(world: World) -> None:
    holder, other = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, holder)
    world.stage.tell(task_id, status(INPUT_REQUIRED, "which?"))
    await world.settle()
    reader = Reader(other.on_subscribe_to_task(subscribe(task_id), context()))
    await world.settle()
    assert reader.kinds == ["Task"]
    assert not reader.is_done
    asking = request("this", message_id="m2", task_id=task_id)
    sender = Reader(holder.on_message_send_stream(asking, context()))
    await world.settle()
    world.stage.tell(task_id, delta("a"), status(COMPLETED))
    await world.settle()
    assert reader.kinds == ["Task", "working", "=a", "completed"]
    assert sender.is_done


async def test_a_stream_that_falls_behind_is_told_the_whole_task() -> None:
    world = World(limits=Limits(event_log=4))
    handler = await world.replica()
    task_id = await running(world, handler)
    stream = handler.on_subscribe_to_task(subscribe(task_id), context())
    told = [await anext(stream)]
    world.stage.tell(task_id, *(delta(letter) for letter in "abcdefgh"))
    await world.settle()
    told.append(await anext(stream))
    assert isinstance(told[1], Task)
    assert text_of(told[1]) == "abcdefgh"
    await stream.aclose()
    await world.close()


@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_an_ended_task_is_not_subscribed_to(world: World, where: str) -> None:
    holder, other = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, holder)
    world.stage.tell(task_id, status(COMPLETED))
    await world.settle()
    asked = holder if where == "here" else other
    with pytest.raises(UnsupportedOperationError, match="has ended"):
        await anext(asked.on_subscribe_to_task(subscribe(task_id), context()))


@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_anothers_task_is_not_subscribed_to(world: World, where: str) -> None:
    holder, other = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, holder)
    asked = holder if where == "here" else other
    with pytest.raises(TaskNotFoundError):
        await anext(asked.on_subscribe_to_task(subscribe(task_id), context(BOB)))


async def test_an_owner_has_only_so_many_streams() -> None:
    world = World(limits=Limits(streams=1))
    handler = await world.replica()
    task_id = await running(world, handler)
    first = Reader(handler.on_subscribe_to_task(subscribe(task_id), context()))
    await world.settle()
    with pytest.raises(InvalidRequestError, match="open already"):
        await anext(handler.on_subscribe_to_task(subscribe(task_id), context()))
    bobs = Reader(handler.on_message_send_stream(request(), context(BOB)))
    await world.settle(1.0)
    assert bobs.kinds == ["Task"]
    await first.stop()
    again = Reader(handler.on_subscribe_to_task(subscribe(task_id), context()))
    await world.settle()
    assert again.kinds == ["Task"]
    await again.stop()
    await bobs.stop()
    await world.close()


async def test_a_task_that_is_held_is_read_as_it_is_in_memory(world: World) -> None:
    handler = await world.replica()
    task_id = await running(world, handler)
    world.store.is_open.clear()
    world.stage.tell(task_id, delta("a"))
    await world.settle()
    task = await handler.on_get_task(GetTaskRequest(id=task_id), context())
    assert text_of(task) == "a"
    world.store.is_open.set()


@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_a_stream_tells_an_end_only_when_it_is_on_disk(world: World, where: str) -> None:
    holder, other = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, holder)
    asked = holder if where == "here" else other
    reader = Reader(asked.on_subscribe_to_task(subscribe(task_id), context()))
    await world.settle()
    world.store.is_open.clear()
    world.stage.tell(task_id, delta("a"), status(COMPLETED))
    await world.settle()
    assert reader.kinds == ["Task", "=a"]
    world.store.is_open.set()
    await world.settle()
    assert reader.kinds == ["Task", "=a", "completed"]
