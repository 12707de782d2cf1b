"""A message without `taskId` that is sent again begins nothing anew, wherever it arrives."""

import asyncio
import uuid

import pytest
from a2a.types import CancelTaskRequest, Message, Part, Role, Task

from codetether_ray.a2a.repeats import new_context_id, new_task_ids
from tests.unit.a2a.world import (
    ANN,
    BOB,
    COMPLETED,
    INPUT_REQUIRED,
    WORKING,
    Reader,
    World,
    at_once,
    context,
    delta,
    request,
    status,
    text_of,
)

OWNER = ANN.owner


def message(text: str = "hi", **fields: str) -> Message:
    told = {"message_id": "m", "role": Role.ROLE_USER} | fields
    return Message(parts=[Part(text=text)], **told)  # type: ignore[arg-type]


def new_task_id(message: Message, owner: str) -> str:
    return next(new_task_ids(message, owner))


def test_a_task_has_its_id_by_who_says_what_where() -> None:
    known = new_task_id(message(), OWNER)
    assert known == new_task_id(message(), OWNER)
    others = (
        new_task_id(message("ho"), OWNER),
        new_task_id(message(message_id="n"), OWNER),
        new_task_id(message(context_id="c"), OWNER),
        new_task_id(message(), BOB.owner),
    )
    assert len({known, *others}) == 5
    assert uuid.UUID(known).variant == uuid.RFC_4122
    assert uuid.UUID(known).version == 8
    assert new_context_id(known) == new_context_id(known) != known


def test_metadata_that_differs_makes_no_other_message() -> None:
    traced = message()
    traced.metadata["traceparent"] = "00-1"
    assert new_task_id(traced, OWNER) == new_task_id(message(), OWNER)


async def test_it_is_answered_with_the_task_that_it_began_by_any_replica(world: World) -> None:
    one = await world.replica("r1")
    sent = asyncio.create_task(one.on_message_send(request("hi", message_id="a"), context()))
    await world.settle()
    world.stage.tell(world.stage.last, status(WORKING), delta("done"), status(COMPLETED))
    first = await sent
    two = await world.replica("r2")
    for handler in (one, two):
        again = await handler.on_message_send(request("hi", message_id="a"), context())
        assert again == first
    assert len(world.stage.orders) == 1


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_task_that_its_client_has_gone_on_with_is_not_begun_again_by_an_old_id(
    world: World, is_cancelled: bool
) -> None:
    """A client that uses its ids anew is no client that lost an answer."""
    handler = await world.replica()
    ids = []
    for number in range(3):
        sent = asyncio.create_task(
            handler.on_message_send(request("hi", message_id="a"), context())
        )
        await world.settle()
        ids.append(world.stage.last)
        world.stage.tell(ids[-1], status(INPUT_REQUIRED))
        await world.settle()
        assert (await sent).id == ids[-1]
        if is_cancelled:
            cancelling = asyncio.create_task(
                handler.on_cancel_task(CancelTaskRequest(id=ids[-1]), context())
            )
            while not cancelling.done():
                await world.settle(1)
            continue
        more = request("more", message_id=f"b{number}", task_id=ids[-1])
        going_on = asyncio.create_task(handler.on_message_send(more, context()))
        await world.settle()
        world.stage.tell(ids[-1], status(COMPLETED))
        await world.settle()
        await going_on
    assert len(set(ids)) == 3


async def test_a_receiver_that_is_named_when_it_is_sent_again_is_told(world: World) -> None:
    handler = await world.replica()
    sends = []
    for url in ("", "https://example.com/hook"):
        asking = request("hi", message_id="a")
        if url:
            asking.configuration.task_push_notification_config.url = url
        sends.append(asyncio.create_task(handler.on_message_send(asking, context())))
        await world.settle()
    world.stage.tell(world.stage.last, status(COMPLETED))
    await world.settle(1)
    assert [task.id for task in [await sent for sent in sends]] == [world.stage.last] * 2
    assert [name for name, _ in world.receivers.got] == [world.stage.last]


def test_an_id_that_is_used_for_ever_costs_no_more_than_some_looks() -> None:
    first, again = new_task_ids(message(), OWNER), new_task_ids(message(), OWNER)
    ids = [next(first) for _ in range(30)]
    assert len(set(ids)) == 30
    shared = [one for one, other in zip(ids, again, strict=False) if one == other]
    assert shared == ids[:20]


async def test_what_differs_begins_a_task_of_its_own(world: World) -> None:
    handler = await world.replica()
    asked = (
        (request("hi", message_id="a"), ANN),
        (request("hi", message_id="a"), BOB),
        (request("ho", message_id="a"), ANN),
        (request("hi", message_id="b"), ANN),
        (request("hi", message_id="a", context_id="c"), ANN),
    )
    tasks = []
    for asking, who in asked:
        asking.configuration.CopyFrom(at_once())
        sent = asyncio.create_task(handler.on_message_send(asking, context(who)))
        await world.settle()
        world.stage.tell(world.stage.last, status(WORKING))
        tasks.append(await sent)
    assert len({task.id for task in tasks}) == len(asked) == len(world.stage.orders)


async def test_one_that_is_worked_on_is_followed_to_its_end(world: World) -> None:
    one, two = await world.replica("r1"), await world.replica("r2")
    sends = [
        asyncio.create_task(one.on_message_send(request("hi", message_id="a"), context()))
        for _ in range(2)
    ]
    await world.settle()
    world.stage.tell(world.stage.last, status(WORKING), delta("a"))
    await world.settle(1)  # it is announced, so the other replica finds it
    sends.append(asyncio.create_task(two.on_message_send(request("hi", message_id="a"), context())))
    await world.settle()
    assert not any(sent.done() for sent in sends)
    world.stage.tell(world.stage.last, delta("b"), status(COMPLETED))
    await world.settle()
    answers = [await sent for sent in sends]
    assert len(world.stage.orders) == 1
    assert all(isinstance(task, Task) and text_of(task) == "ab" for task in answers)


@pytest.mark.parametrize("name", ["r1", "r2"])
async def test_a_stream_that_broke_goes_on_when_its_message_is_sent_again(
    world: World, name: str
) -> None:
    handlers = {each: await world.replica(each) for each in ("r1", "r2")}
    asking = request("hi", message_id="a")
    broken = Reader(handlers["r1"].on_message_send_stream(asking, context()))
    await world.settle()
    world.stage.tell(world.stage.last, status(WORKING), delta("a"))
    await world.settle(1)
    await broken.stop()
    asking = request("hi", message_id="a")
    again = Reader(handlers[name].on_message_send_stream(asking, context()))
    await world.settle()
    world.stage.tell(world.stage.last, delta("b"), status(COMPLETED))
    await world.settle()
    assert again.is_done
    assert again.text == "ab"
    assert len(world.stage.orders) == 1


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_of_two_at_two_replicas_at_once_one_task_remains(
    world: World, is_streamed: bool
) -> None:
    """Neither has kept anything when the other begins: who is second tells the first's."""
    one, two = await world.replica("r1"), await world.replica("r2")
    world.store.is_open.clear()
    first = asyncio.create_task(one.on_message_send(request("hi", message_id="a"), context()))
    await world.settle()
    stream = two.on_message_send_stream(request("hi", message_id="a"), context())
    second = Reader(stream) if is_streamed else None
    sent = asyncio.create_task(two.on_message_send(request("hi", message_id="a"), context()))
    await world.settle(1)
    world.store.is_open.set()
    await world.settle(1)
    world.stage.tell(world.stage.last, status(WORKING), delta("a"), status(COMPLETED))
    world.stage.tell(world.stage.last, delta("a"), status(COMPLETED))
    await world.settle(1)
    assert await sent == await first
    assert second is None or (second.is_done and second.error is None and second.text == "a")
    assert len(world.store.records) == 1


async def test_one_whose_replica_died_is_taken_up_and_not_begun_again(world: World) -> None:
    one, two = await world.replica("r1"), await world.replica("r2")
    sent = asyncio.create_task(one.on_message_send(request("hi", message_id="a"), context()))
    await world.settle()
    world.stage.tell(world.stage.last, status(WORKING))
    await world.settle(1)
    await world.kill(one)
    sent.cancel()
    again = asyncio.create_task(two.on_message_send(request("hi", message_id="a"), context()))
    await world.settle(20)
    world.stage.tell(world.stage.last, status(COMPLETED))
    await world.settle()
    task = await again
    assert isinstance(task, Task)
    assert task.status.state == COMPLETED
    assert [order.is_taken_up for order in world.stage.orders] == [False, True]
