"""Push notifications: what receivers are told, in which order, and what outlives a replica."""

import asyncio

import pytest
from a2a.types import (
    DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest,
    InvalidParamsError,
    ListTaskPushNotificationConfigsRequest,
    SendMessageConfiguration,
    TaskNotFoundError,
    TaskPushNotificationConfig,
)

from codetether_ray.a2a.limits import Limits
from codetether_ray.a2a.means import update_of
from tests.unit.a2a.world import (
    BOB,
    COMPLETED,
    INPUT_REQUIRED,
    WORKING,
    World,
    context,
    delta,
    kind,
    request,
    running,
    status,
)


def config(task_id: str = "", id: str = "") -> TaskPushNotificationConfig:
    return TaskPushNotificationConfig(task_id=task_id, id=id, url="https://example.com/hook")


def pushed(world: World, id: str) -> list[str]:
    return [kind(update_of(event)) for name, event in world.receivers.got if name == id]


async def test_a_receiver_named_with_the_message_is_told_states_and_whole_artifacts(
    world: World,
) -> None:
    handler = await world.replica()
    asked = SendMessageConfiguration(task_push_notification_config=config(id="one"))
    sent = asyncio.create_task(handler.on_message_send(request(configuration=asked), context()))
    await world.settle()
    world.stage.tell(
        world.stage.last,
        status(WORKING),
        delta("a"),
        delta("b", last=True),
        status(COMPLETED),
    )
    task = await sent
    await world.settle()
    assert pushed(world, "one") == ["working", "=ab", "completed"]
    assert world.store.records[task.id].order == b""  # type: ignore[union-attr]


async def test_a_receiver_that_is_added_elsewhere_is_told_by_the_holder(world: World) -> None:
    holder, other = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, holder)
    await other.on_create_task_push_notification_config(config(task_id, "two"), context())
    await world.settle()
    world.stage.tell(task_id, status(INPUT_REQUIRED))
    await world.settle()
    assert pushed(world, "two") == ["input_required"]


async def test_a_receiver_that_is_removed_is_told_no_more(world: World) -> None:
    handler = await world.replica()
    task_id = await running(world, handler)
    await handler.on_create_task_push_notification_config(config(task_id, "one"), context())
    await handler.on_delete_task_push_notification_config(
        DeleteTaskPushNotificationConfigRequest(task_id=task_id, id="one"), context()
    )
    world.stage.tell(task_id, status(COMPLETED))
    await world.settle()
    assert pushed(world, "one") == []


async def test_a_receiver_is_told_of_the_next_turn_too(world: World) -> None:
    handler = await world.replica()
    task_id = await running(world, handler)
    await handler.on_create_task_push_notification_config(config(task_id, "one"), context())
    world.stage.tell(task_id, status(INPUT_REQUIRED))
    await world.settle()
    sent = asyncio.create_task(
        handler.on_message_send(request(message_id="m2", task_id=task_id), context())
    )
    await world.settle()
    world.stage.tell(task_id, status(COMPLETED))
    await sent
    await world.settle()
    assert pushed(world, "one") == ["input_required", "completed"]


async def test_a_task_that_waits_is_not_changed_by_the_push_that_says_so(world: World) -> None:
    handler = await world.replica()
    task_id = await running(world, handler)
    await handler.on_create_task_push_notification_config(config(task_id, "one"), context())
    world.receivers.is_open.clear()
    world.stage.tell(task_id, status(INPUT_REQUIRED))
    await world.settle()
    waits = world.store.records[task_id]
    world.receivers.is_open.set()
    await world.settle()
    assert pushed(world, "one") == ["input_required"]
    assert world.store.records[task_id] == waits  # a message may be on its way to this version


async def test_a_slow_receiver_does_not_hold_up_the_answer(world: World) -> None:
    handler = await world.replica()
    world.receivers.is_open.clear()
    asked = SendMessageConfiguration(task_push_notification_config=config(id="one"))
    sent = asyncio.create_task(handler.on_message_send(request(configuration=asked), context()))
    await world.settle()
    world.stage.tell(world.stage.last, status(COMPLETED))
    await world.settle()
    assert sent.done()
    world.receivers.is_open.set()


async def test_an_end_that_was_not_pushed_is_pushed_by_who_takes_over(world: World) -> None:
    one, two = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, one)
    await one.on_create_task_push_notification_config(config(task_id, "one"), context())
    world.receivers.is_open.clear()
    world.stage.tell(task_id, status(COMPLETED))
    await world.settle()
    await world.kill(one)
    await one._means.deliveries.close()  # type: ignore[union-attr]
    world.receivers.is_open.set()
    assert pushed(world, "one") == []
    await world.settle(30.0)
    assert pushed(world, "one") == ["completed"]
    assert world.store.records[task_id].state == "completed"
    await world.settle(60.0)
    assert pushed(world, "one") == ["completed"]
    assert two._means.pushing == set()


async def test_a_lease_is_kept_while_the_end_is_pushed(world: World) -> None:
    one, two = await world.replica("r1"), await world.replica("r2")
    task_id = await running(world, one)
    await one.on_create_task_push_notification_config(config(task_id, "one"), context())
    world.receivers.is_open.clear()
    world.stage.tell(task_id, status(COMPLETED))
    await world.settle(60.0)
    assert two._means.pushing == set()
    world.receivers.is_open.set()
    await world.settle()
    assert pushed(world, "one") == ["completed"]


async def test_configurations_are_kept_read_listed_and_removed(world: World) -> None:
    handler = await world.replica()
    task_id = await running(world, handler)
    unnamed = await handler.on_create_task_push_notification_config(config(task_id), context())
    assert unnamed.id == task_id
    for name in "cab":
        await handler.on_create_task_push_notification_config(config(task_id, name), context())
    found = await handler.on_get_task_push_notification_config(
        GetTaskPushNotificationConfigRequest(task_id=task_id, id="a"), context()
    )
    assert found == config(task_id, "a")
    ids: list[str] = []
    token = ""
    while True:
        page = await handler.on_list_task_push_notification_configs(
            ListTaskPushNotificationConfigsRequest(task_id=task_id, page_size=3, page_token=token),
            context(),
        )
        ids += [each.id for each in page.configs]
        token = page.next_page_token
        if not token:
            break
    assert ids == sorted(["a", "b", "c", task_id])
    gone = DeleteTaskPushNotificationConfigRequest(task_id=task_id, id="a")
    await handler.on_delete_task_push_notification_config(gone, context())
    await handler.on_delete_task_push_notification_config(gone, context())
    with pytest.raises(TaskNotFoundError):
        await handler.on_get_task_push_notification_config(
            GetTaskPushNotificationConfigRequest(task_id=task_id, id="a"), context()
        )


async def test_anothers_configurations_are_not_found(world: World) -> None:
    handler = await world.replica()
    task_id = await running(world, handler)
    await handler.on_create_task_push_notification_config(config(task_id, "one"), context())
    with pytest.raises(TaskNotFoundError):
        await handler.on_create_task_push_notification_config(config(task_id), context(BOB))
    with pytest.raises(TaskNotFoundError):
        await handler.on_list_task_push_notification_configs(
            ListTaskPushNotificationConfigsRequest(task_id=task_id), context(BOB)
        )


async def test_a_task_has_only_so_many_receivers() -> None:
    world = World(limits=Limits(pushes=2))
    handler = await world.replica()
    task_id = await running(world, handler)
    for name in "abb":
        await handler.on_create_task_push_notification_config(config(task_id, name), context())
    with pytest.raises(InvalidParamsError, match="delete one"):
        await handler.on_create_task_push_notification_config(config(task_id, "c"), context())
    await world.close()
