"""Who holds a task: leases, take-overs, cancels across replicas, the end of a replica."""

import asyncio
from dataclasses import replace

import pytest
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    SubscribeToTaskRequest,
    Task,
    TaskNotCancelableError,
    TaskNotFoundError,
)

from tests.unit.a2a.world import (
    ANN,
    BOB,
    CANCELED,
    COMPLETED,
    INPUT_REQUIRED,
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


async def cancel(world: World, handler: object, task_id: str, wait: float = 1.0) -> object:
    asked = asyncio.create_task(
        handler.on_cancel_task(CancelTaskRequest(id=task_id), context())  # type: ignore[attr-defined]
    )
    await world.settle(wait)
    return (await asyncio.gather(asked, return_exceptions=True))[0]


@pytest.mark.parametrize("where", ["here", "elsewhere"])
async def test_a_cancel_stops_the_agent_wherever_it_is(world: World, where: str) -> None:
    holder, other = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, holder)
    task = await cancel(world, holder if where == "here" else other, task_id)
    assert isinstance(task, Task)
    assert task.status.state == CANCELED
    assert world.stage.canceled == [task_id]


async def test_a_blocked_sender_is_answered_when_its_task_is_cancelled(world: World) -> None:
    holder, other = await world.replica("r1"), await world.replica("r2")
    sent = asyncio.create_task(holder.on_message_send(request(), context()))
    await world.settle()
    task_id = world.stage.last
    world.stage.tell(task_id, status(WORKING))
    await world.settle(1.0)
    await cancel(world, other, task_id)
    task = await sent
    assert isinstance(task, Task)
    assert task.status.state == CANCELED


async def test_a_task_that_waits_is_cancelled_without_an_agent(world: World) -> None:
    holder, other = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, holder)
    world.stage.is_obedient = False
    world.stage.tell(task_id, status(INPUT_REQUIRED))
    await world.settle()
    task = await cancel(world, other, task_id)
    assert isinstance(task, Task)
    assert task.status.state == CANCELED
    assert world.store.records[task_id].state == "canceled"


async def test_an_agent_that_does_not_stop_is_told_as_working(world: World) -> None:
    handler = await world.replica()
    task_id = await running(world, handler)
    world.stage.is_obedient = False
    task = await cancel(world, handler, task_id, wait=30.0)
    assert isinstance(task, Task)
    assert task.status.state == WORKING


async def test_what_has_ended_is_not_cancelled(world: World) -> None:
    handler = await world.replica()
    task_id = await running(world, handler)
    world.stage.tell(task_id, status(COMPLETED))
    await world.settle()
    assert isinstance(await cancel(world, handler, task_id), TaskNotCancelableError)
    with pytest.raises(TaskNotFoundError):
        await handler.on_cancel_task(CancelTaskRequest(id=task_id), context(BOB))


async def test_a_dead_replicas_task_is_taken_up_and_its_watchers_miss_nothing(
    world: World,
) -> None:
    one, two = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, one)
    world.stage.tell(task_id, delta("old "))
    await world.settle(1.0)
    reader = Reader(two.on_subscribe_to_task(SubscribeToTaskRequest(id=task_id), context()))
    await world.settle()
    await world.kill(one)
    await world.settle(30.0)
    assert len(world.stage.orders) == 2
    again = world.stage.orders[-1]
    assert again.is_taken_up
    assert again.principal == ANN
    assert again.message.parts[0].text == "hello"
    world.stage.tell(task_id, delta("new"), delta("er"), status(COMPLETED))
    await world.settle(1.0)
    assert reader.text == "newer"
    assert reader.is_done
    task = await two.on_get_task(GetTaskRequest(id=task_id), context())
    assert text_of(task) == "newer"
    assert task.status.state == COMPLETED


async def test_what_is_watched_is_taken_up_at_once_where_its_holder_is_known_to_have_died(
    world: World,
) -> None:
    one, two = await world.replica("r1"), await world.replica("r2")
    watched, unwatched = await running(world, one), await running(world, one)
    reader = Reader(two.on_subscribe_to_task(SubscribeToTaskRequest(id=watched), context()))
    await world.settle()
    await world.kill(one)
    await world.settle(2.0)
    assert len(world.stage.orders) == 2  # it may live, for all that is known
    world.known_dead.add("r1")
    await world.settle(2 * world.timing.look)
    assert [order.task.id for order in world.stage.orders[2:]] == [watched]
    world.stage.tell(watched, delta("new"), status(COMPLETED))
    await world.settle(1.0)
    assert reader.is_done
    assert reader.text == "new"
    await world.settle(30.0)
    assert [order.task.id for order in world.stage.orders[2:]] == [watched, unwatched]


async def test_leases_are_renewed_while_nobody_tells_who_has_died(world: World) -> None:
    one, two = await world.replica("r1"), await world.replica("r2")
    watched, own = await running(world, one), await running(world, two)
    reader = Reader(two.on_subscribe_to_task(SubscribeToTaskRequest(id=watched), context()))
    world.may_tell.clear()
    await world.settle(120.0)
    assert len(world.stage.orders) == 2
    assert world.store.records[own].held_until > world.clock.now()
    world.stage.tell(watched, delta("a"), status(COMPLETED))
    await world.settle(1.0)
    assert reader.text == "a"


async def test_a_holder_that_is_known_to_have_died_takes_nothing_from_its_successor(
    world: World,
) -> None:
    one, two, three = [await world.replica(f"r{n}") for n in (1, 2, 3)]
    task_id = await running(world, one)
    readers = [
        Reader(each.on_subscribe_to_task(SubscribeToTaskRequest(id=task_id), context()))
        for each in (two, three)
    ]
    await world.settle()
    await world.kill(one)
    world.known_dead.add("r1")
    await world.settle(60.0)
    assert len(world.stage.orders) == 2
    world.stage.tell(task_id, delta("new"), status(COMPLETED))
    await world.settle(1.0)
    assert [reader.text for reader in readers] == ["new", "new"]


async def test_what_a_dead_replica_told_and_never_saved_is_set_right(world: World) -> None:
    one, two = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, one)
    reader = Reader(two.on_subscribe_to_task(SubscribeToTaskRequest(id=task_id), context()))
    await world.settle()
    world.stage.tell(task_id, *(delta(letter) for letter in "never saved"))
    await world.settle()
    assert reader.text == "never saved"
    await world.kill(one)
    await world.settle(30.0)
    world.stage.tell(task_id, delta("kept"), status(COMPLETED))
    await world.settle(1.0)
    assert reader.text == "kept"
    assert reader.is_done


async def test_a_lease_that_is_renewed_is_not_taken(world: World) -> None:
    one, two = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, one)
    await world.settle(120.0)
    assert len(world.stage.orders) == 1
    assert task_id in one._means.works
    assert not two._means.works


async def test_who_lost_its_lease_stops_telling_and_its_clients_follow_the_new_holder(
    world: World,
) -> None:
    one = await world.replica("r1")
    sent = asyncio.create_task(one.on_message_send(request(), context()))
    await world.settle()
    task_id = world.stage.last
    world.stage.tell(task_id, status(WORKING))
    await world.settle(1.0)
    reader = Reader(one.on_subscribe_to_task(SubscribeToTaskRequest(id=task_id), context()))
    await world.settle()
    taken = await world.store.adopt("ghost", world.clock.now() + 60, world.clock.now() + 75, 9)
    assert [record.id for record in taken] == [task_id]
    await world.settle(6.0)
    assert task_id not in one._means.works
    assert world.stage.closed == [task_id]
    await world.settle(90.0)  # the ghost's lease runs out, and it is taken up here
    world.stage.tell(task_id, delta("a"), status(COMPLETED))
    await world.settle(6.0)
    assert reader.is_done
    assert reader.text == "a"
    task = await sent
    assert isinstance(task, Task)
    assert task.status.state == COMPLETED


async def test_a_replica_that_closes_leaves_its_tasks_to_the_others_at_once(
    world: World,
) -> None:
    one, two = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, one)
    world.stage.tell(task_id, delta("a"))
    await world.settle()
    world.handlers.remove(one)
    await one.close()
    await world.settle(6.0)
    assert task_id in two._means.works
    assert world.stage.orders[-1].is_taken_up


async def test_nothing_runs_on_after_a_close(world: World) -> None:
    handler = await world.replica()
    before = asyncio.all_tasks()
    await running(world, handler)
    world.handlers.remove(handler)
    await handler.close()
    assert asyncio.all_tasks() <= before


async def test_a_dead_replicas_task_can_be_cancelled_before_it_is_taken_up(
    world: World,
) -> None:
    one, two = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, one)
    await world.kill(one)
    record = world.store.records[task_id]
    world.store.records[task_id] = replace(record, held_until=world.clock.now() - 1)
    task = await cancel(world, two, task_id)
    assert isinstance(task, Task)
    assert task.status.state == CANCELED
    assert world.stage.canceled == [task_id]
    assert world.store.records[task_id].state == "canceled"


async def test_a_cancel_outlasts_the_lease_of_a_dead_holder_and_who_asked_for_it(
    world: World,
) -> None:
    one, two = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, one)
    await world.kill(one)
    task = await cancel(world, two, task_id, wait=10.5)
    assert isinstance(task, Task)
    assert task.status.state == WORKING
    assert world.store.records[task_id].state == "working"
    for _ in range(10):
        await world.settle(1.0)
    assert world.stage.canceled == [task_id]
    assert world.store.records[task_id].state == "canceled"
