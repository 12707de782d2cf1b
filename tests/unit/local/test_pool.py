"""Who gets which process, when it is put back, and when it ends."""

import asyncio
from typing import Any

import pytest

from codetether_ray.local.pool import Member, Pool, Wish
from codetether_ray.ports.pool import PoolTerms
from codetether_ray.testing.clock import FakeClock


class Process:
    def __init__(self, node: str) -> None:
        self.node = node
        self.is_clean: bool | Exception = True
        self.is_killed = self.is_prepared = False
        self.resets = 0
        self.may_reset = asyncio.Event()
        self.may_reset.set()
        self.death = asyncio.Event()

    async def prepare(self) -> None:
        self.is_prepared = True

    async def reset(self) -> bool:
        self.resets += 1
        await self.may_reset.wait()
        if isinstance(self.is_clean, Exception):
            raise self.is_clean
        return self.is_clean

    def kill(self) -> None:
        self.is_killed = True
        self.death.set()

    async def gone(self) -> None:
        await self.death.wait()


class Scene:
    def __init__(self, **terms: Any) -> None:
        self.clock = FakeClock()
        self.made: list[Process] = []
        self.pool = Pool(self.make, self.clock, PoolTerms(**terms), home="n1")

    async def make(self, node: str) -> Process:
        self.made.append(Process(node))
        return self.made[-1]

    async def lease(
        self, principal: str = "ann", node: str = "n1", holder: str = "run 1"
    ) -> Member[Process]:
        return await self.pool.lease(Wish(node=node, principal=principal, holder=holder))

    async def served(self, member: Member[Process]) -> None:
        self.pool.give_back(member.id)
        await settle()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def scene() -> Any:
    made = Scene()
    yield made
    await made.pool.close()


async def test_a_process_that_was_put_back_serves_the_next_agent(scene: Scene) -> None:
    first = await scene.lease()
    await scene.served(first)
    second = await scene.lease()
    assert second is first
    assert (len(scene.made), second.served, second.process.resets) == (1, 1, 1)


async def test_two_who_ask_at_once_get_two_processes(scene: Scene) -> None:
    first, second = await asyncio.gather(scene.lease(), scene.lease())
    assert first.process is not second.process


async def test_a_process_never_serves_two_principals(scene: Scene) -> None:
    await scene.served(await scene.lease("ann"))
    assert (await scene.lease("bob")).process is not scene.made[0]
    assert (await scene.lease("ann")).process is scene.made[0]


async def test_a_process_of_another_node_is_no_help(scene: Scene) -> None:
    await scene.served(await scene.lease(node="n1"))
    assert (await scene.lease(node="n2")).process.node == "n2"


@pytest.mark.parametrize("is_clean", [False, RuntimeError("it hangs")])
async def test_a_process_that_cannot_be_shown_to_be_clean_is_ended(
    scene: Scene, is_clean: bool | Exception
) -> None:
    member = await scene.lease()
    member.process.is_clean = is_clean
    await scene.served(member)
    assert member.process.is_killed
    assert (await scene.lease()).process is not member.process


async def test_who_asks_while_one_is_put_back_waits_for_it(scene: Scene) -> None:
    member = await scene.lease()
    member.process.may_reset.clear()
    scene.pool.give_back(member.id)
    asked = asyncio.create_task(scene.lease())
    await settle()
    assert not asked.done()
    member.process.may_reset.set()
    assert (await asked).process is member.process


async def test_who_waited_for_one_that_is_not_clean_has_another_made(scene: Scene) -> None:
    member = await scene.lease()
    member.process.may_reset.clear()
    member.process.is_clean = False
    scene.pool.give_back(member.id)
    asked = asyncio.create_task(scene.lease())
    await settle()
    member.process.may_reset.set()
    assert (await asked).process is not member.process


async def test_who_gives_up_waiting_leaves_the_process_to_others(scene: Scene) -> None:
    member = await scene.lease()
    member.process.may_reset.clear()
    scene.pool.give_back(member.id)
    asked = asyncio.create_task(scene.lease())
    await settle()
    member.process.may_reset.set()
    await asyncio.sleep(0)
    asked.cancel()
    await settle()
    assert (await scene.lease()).process is member.process


async def test_an_idle_process_ends_in_time_and_warm_ones_stay() -> None:
    scene = Scene(idle_s=60.0, warm=1)
    members = [await scene.lease() for _ in range(3)]
    for member in members:
        await scene.served(member)
    assert scene.pool.idle == 3
    await scene.clock.advance(61)
    await settle()
    assert [p.is_killed for p in scene.made].count(True) == 2
    await scene.clock.advance(600)
    await settle()
    assert scene.pool.idle == 1
    await scene.pool.close()
    assert all(p.is_killed for p in scene.made)


async def test_no_more_wait_than_may() -> None:
    scene = Scene(idle_max=2)
    for member in [await scene.lease() for _ in range(5)]:
        await scene.served(member)
    assert (scene.pool.idle, len(scene.pool)) == (2, 2)
    await scene.pool.close()


async def test_what_would_be_put_back_to_be_ended_is_ended_at_once() -> None:
    scene = Scene(idle_max=2)
    members = [await scene.lease() for _ in range(5)]
    for member in members:
        scene.pool.give_back(member.id)
    await settle()
    assert [m.process.resets for m in members] == [1, 1, 0, 0, 0]
    assert [m.process.is_killed for m in members] == [False, False, True, True, True]
    await scene.pool.close()


async def test_whose_processes_are_many_takes_none_from_another() -> None:
    scene = Scene(idle_max=2)
    members = [await scene.lease("ann") for _ in range(2)]
    other = await scene.lease("bob")
    for member in (*members, other):
        await scene.served(member)
    assert (await scene.lease("bob")).process is other.process
    await scene.pool.close()


async def test_a_process_that_somebody_waits_for_is_put_back_though_many_are() -> None:
    scene = Scene(idle_max=1)
    first, second = await scene.lease(), await scene.lease()
    first.process.may_reset.clear()
    second.process.may_reset.clear()
    scene.pool.give_back(first.id)
    waiting = asyncio.create_task(scene.lease())
    await settle()
    scene.pool.give_back(second.id)
    second.process.may_reset.set()
    assert (await waiting).process is second.process
    first.process.may_reset.set()
    await scene.pool.close()


async def test_a_process_ends_after_so_many_agents_or_at_such_an_age() -> None:
    scene = Scene(agents_max=2, age_max_s=100.0, idle_s=1000.0)
    first = await scene.lease()
    await scene.served(first)
    await scene.served(await scene.lease())
    assert first.process.is_killed
    second = await scene.lease()
    await scene.served(second)
    await scene.clock.advance(101)
    assert (await scene.lease()).process is not second.process
    await scene.pool.close()


async def test_what_a_holder_had_that_is_gone_is_ended(scene: Scene) -> None:
    mine, also_mine = await scene.lease(holder="run 1"), await scene.lease(holder="run 1")
    other = await scene.lease(holder="run 2")
    assert scene.pool.expel("run 1") == 2
    assert mine.process.is_killed
    assert also_mine.process.is_killed
    assert not other.process.is_killed
    await scene.served(mine)
    assert scene.pool.idle == 0


async def test_a_successor_ends_what_its_predecessors_had_and_nothing_else(scene: Scene) -> None:
    old, new = await scene.lease(holder="swm_a 1"), await scene.lease(holder="swm_a 2")
    other = await scene.lease(holder="swm_ab 1")
    assert scene.pool.expel_all("swm_a ", but="swm_a 2") == 1
    killed = [member.process.is_killed for member in (old, new, other)]
    assert killed == [True, False, False]


async def test_a_process_that_dies_is_forgotten(scene: Scene) -> None:
    member = await scene.lease()
    await scene.served(member)
    member.process.death.set()
    await settle()
    assert len(scene.pool) == 0
    assert (await scene.lease()).process is not member.process


async def test_a_warm_process_serves_whoever_comes_first() -> None:
    scene = Scene(warm=2)
    scene.pool.warm()
    await scene.pool.warmed()
    assert scene.pool.idle == 2
    leased = await scene.lease("bob")
    assert leased.process in scene.made[:2]
    assert leased.process.is_prepared
    await scene.pool.close()


async def test_few_processes_start_at_once() -> None:
    scene = Scene(starts_at_once=2)
    starting, most, gate = 0, 0, asyncio.Event()

    async def make(node: str) -> Process:
        nonlocal starting, most
        starting += 1
        most = max(most, starting)
        await gate.wait()
        starting -= 1
        return Process(node)

    scene.pool._make = make
    asked = [asyncio.create_task(scene.lease()) for _ in range(6)]
    await settle()
    assert starting == 2
    gate.set()
    await asyncio.gather(*asked)
    assert most == 2
    await scene.pool.close()


class Slow(Scene):
    """One process starts at a time, as soon as the test says so."""

    def __init__(self) -> None:
        super().__init__(starts_at_once=1)
        self.may_start = asyncio.Semaphore(0)

    async def make(self, node: str) -> Process:
        await self.may_start.acquire()
        return await super().make(node)

    async def asking(self) -> "asyncio.Task[Member[Process]]":
        task = asyncio.create_task(self.lease())
        await settle()
        return task


async def test_who_waits_for_a_start_takes_what_another_gives_back() -> None:
    scene = Slow()
    scene.may_start.release()
    first = await scene.lease()
    starting, second, third = [await scene.asking() for _ in range(3)]
    await scene.served(first)
    assert (await second) is first
    assert not starting.done()
    await scene.served(first)
    assert (await third) is first
    scene.may_start.release()
    assert (await starting).process is scene.made[1]
    assert len(scene.made) == 2
    last = await scene.asking()  # nobody keeps the others from starting
    scene.may_start.release()
    assert (await last).process is scene.made[2]
    await scene.pool.close()


async def test_who_gives_up_waiting_for_a_start_keeps_nobody_waiting() -> None:
    scene = Slow()
    asked = [await scene.asking() for _ in range(4)]
    for task in asked[:2]:  # one is starting, the other waits for that
        task.cancel()
    await settle()
    for _ in range(2):
        scene.may_start.release()
    members = await asyncio.gather(*asked[2:])
    assert [member.process for member in members] == scene.made
    await scene.pool.close()


async def test_a_process_whose_waiter_gave_up_as_it_came_is_for_the_next() -> None:
    scene = Slow()
    scene.may_start.release()
    first = await scene.lease()
    await scene.asking()
    gone, next_one = await scene.asking(), await scene.asking()
    scene.pool._settle(first)  # it is handed over, and who asked is cancelled before it knows
    gone.cancel()
    assert (await next_one) is first
    await scene.pool.close()


async def test_starts_on_one_node_do_not_wait_for_those_that_hang_on_another() -> None:
    scene = Scene(starts_at_once=1)
    gate = asyncio.Event()

    async def make(node: str) -> Process:
        if node == "cut off":
            await gate.wait()
        return Process(node)

    scene.pool._make = make
    stuck = [asyncio.create_task(scene.lease(node="cut off")) for _ in range(3)]
    await settle()
    assert [(await scene.lease(node="n2")).node for _ in range(2)] == ["n2", "n2"]
    assert not any(task.done() for task in stuck)
    gate.set()
    assert {member.node for member in await asyncio.gather(*stuck)} == {"cut off"}
    await scene.pool.close()


async def test_a_warm_process_that_ends_is_made_anew() -> None:
    scene = Scene(warm=1, agents_max=1)
    scene.pool.warm()
    await scene.pool.warmed()
    await scene.served(await scene.lease())
    await scene.pool.warmed()
    assert (len(scene.made), scene.pool.idle) == (2, 1)
    await scene.pool.close()
