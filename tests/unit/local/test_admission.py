import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core.errors import ClusterError, InfeasibleError
from codetether_ray.local.admission import LocalAdmission
from codetether_ray.local.permits import HeldPermit
from codetether_ray.ports.admission import Need, Rank
from codetether_ray.ports.host import Capacity
from codetether_ray.testing.clock import FakeClock

GB = 1_000_000_000
ROOMY = Capacity(
    cpus=64, memory_bytes=100 * GB, free_memory_bytes=100 * GB, largest_memory_bytes=100 * GB
)


class Machine:
    """What there is, as a test says; counts how often it is looked at."""

    def __init__(self, capacity: Capacity = ROOMY) -> None:
        self.now = capacity
        self.looks = 0

    async def __call__(self) -> Capacity:
        self.looks += 1
        await asyncio.sleep(0)
        return self.now


def _admission(
    machine: Machine | None = None, clock: FakeClock | None = None, *, max_live: int | None = None
) -> LocalAdmission:
    return LocalAdmission(machine or Machine(), clock or FakeClock(), max_live=max_live)


async def _turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def _memory(count: int, each: int) -> Capacity:
    return replace(ROOMY, memory_bytes=count * each, largest_memory_bytes=count * each)


async def _hold(admission: LocalAdmission, need: Need, peak: list[int], turns: int = 3) -> None:
    permit = await admission.acquire(need)
    peak.append(admission.live)
    await _turns(turns)
    permit.release()


async def test_what_all_may_take_is_a_limit_of_its_own_and_of_what_one_may_ask_for() -> None:
    admission = LocalAdmission(Machine(), FakeClock(), max_memory_bytes=5 * GB)
    peak: list[int] = []
    await asyncio.gather(*(_hold(admission, Need(memory_bytes=2 * GB), peak) for _ in range(9)))
    assert (len(peak), max(peak)) == (9, 2)
    with pytest.raises(InfeasibleError):
        await admission.acquire(Need(memory_bytes=6 * GB))
    small = LocalAdmission(Machine(_memory(1, 2 * GB)), FakeClock(), max_memory_bytes=5 * GB)
    with pytest.raises(InfeasibleError):  # what may be taken need not be there
        await small.acquire(Need(memory_bytes=3 * GB))


async def test_with_memory_for_eight_at_most_eight_of_two_hundred_live_and_all_finish() -> None:
    admission = _admission(Machine(_memory(8, 2 * GB)))
    peak: list[int] = []
    need = Need(memory_bytes=2 * GB)
    await asyncio.gather(*(_hold(admission, need, peak) for _ in range(200)))
    assert len(peak) == 200
    assert max(peak) == 8
    assert (admission.live, admission.waiting) == (0, 0)


async def test_cpus_and_a_number_of_agents_limit_too() -> None:
    for admission, need in [
        (_admission(Machine(replace(ROOMY, cpus=1))), Need(cpus=0.1)),
        (_admission(max_live=10), Need()),
    ]:
        peak: list[int] = []
        await asyncio.gather(*(_hold(admission, need, peak) for _ in range(40)))
        assert max(peak) == 10


async def test_who_waits_is_told_why() -> None:
    machine = Machine(_memory(1, int(3.1 * GB)))
    admission = _admission(machine)
    await admission.acquire(Need(memory_bytes=2 * GB))
    told: list[str] = []
    waiting = asyncio.create_task(admission.acquire(Need(memory_bytes=2 * GB), on_wait=told.append))
    await _turns()
    assert told == ["queued: needs 2 GB, largest free 1.1 GB"]
    waiting.cancel()


async def test_what_no_node_can_give_is_refused_at_once() -> None:
    admission = _admission(Machine(replace(ROOMY, largest_memory_bytes=4 * GB)))
    with pytest.raises(InfeasibleError, match="5 GB of memory; the largest node has 4 GB"):
        await admission.acquire(Need(memory_bytes=5 * GB))
    with pytest.raises(InfeasibleError, match="65 CPUs"):
        await admission.acquire(Need(cpus=65))


async def test_nobody_is_admitted_below_the_floor_of_free_memory_until_it_is_free_again() -> None:
    clock = FakeClock()
    machine = Machine(replace(ROOMY, free_memory_bytes=int(1.3 * GB)))
    admission = _admission(machine, clock)
    need = Need(memory_bytes=GB)
    await admission.acquire(need)
    machine.now = replace(ROOMY, free_memory_bytes=int(0.3 * GB))  # it uses what it got
    told: list[str] = []
    waiting = asyncio.create_task(admission.acquire(need, on_wait=told.append))
    await clock.advance(10)
    assert not waiting.done()
    assert told == ["queued: 300 MB of memory is free, 256 MB must stay free"]
    machine.now = ROOMY
    await clock.advance(1.5)
    assert waiting.done()


async def test_one_agent_may_always_run_however_full_the_machine_is() -> None:
    admission = _admission(Machine(replace(ROOMY, free_memory_bytes=0)))
    peak: list[int] = []
    need = Need(memory_bytes=GB)
    await asyncio.gather(*(_hold(admission, need, peak) for _ in range(5)))
    assert peak == [1] * 5


async def test_permits_go_by_rank_then_priority_then_coming() -> None:
    admission = _admission(max_live=1)
    first = await admission.acquire(Need())
    order: list[str] = []

    async def wait(name: str, rank: Rank, priority: int) -> None:
        permit = await admission.acquire(Need(), rank=rank, priority=priority)
        order.append(name)
        permit.release()

    tasks = [
        asyncio.create_task(wait(*entry))
        for entry in [
            ("new", Rank.NEW, 0), ("urgent", Rank.NEW, 5), ("new too", Rank.NEW, 0),
            ("child", Rank.CHILD, 0), ("parent", Rank.RETURNING, 0),
        ]
    ]  # fmt: skip
    await _turns()
    first.release()
    await asyncio.gather(*tasks)
    assert order == ["parent", "child", "urgent", "new", "new too"]


async def test_the_first_in_the_queue_is_not_overtaken_by_smaller_ones() -> None:
    admission = _admission(Machine(_memory(4, GB)))
    held = [await admission.acquire(Need(memory_bytes=GB)) for _ in range(3)]
    large = asyncio.create_task(admission.acquire(Need(memory_bytes=3 * GB)))
    await _turns()
    small = asyncio.create_task(admission.acquire(Need(memory_bytes=GB)))
    await _turns()
    assert not large.done()
    assert not small.done()
    for permit in held[:2]:
        permit.release()
    await _turns()
    assert large.done()
    assert not small.done()
    held[2].release()
    await _turns()
    assert small.done()


@pytest.mark.matrix
async def test_ten_thousand_wait_on_one_look_at_the_machine() -> None:
    machine = Machine()
    admission = _admission(machine, max_live=1)
    permit = await admission.acquire(Need())
    tasks = [asyncio.create_task(admission.acquire(Need())) for _ in range(10_000)]
    await _turns()
    assert admission.waiting == 10_000
    assert machine.looks == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (admission.waiting, admission.live) == (0, 1)
    permit.release()
    assert admission.live == 0


async def test_a_look_that_fails_while_agents_wait_is_tried_again() -> None:
    clock, machine = FakeClock(), Machine()
    admission = _admission(machine, clock, max_live=1)
    first = await admission.acquire(Need())
    waiting = asyncio.create_task(admission.acquire(Need()))
    await _turns()

    class Down(Machine):
        async def __call__(self) -> Capacity:
            self.looks += 1
            raise ClusterError("no answer")

    down = Down()
    admission._look = down
    await clock.advance(5)
    assert down.looks >= 4
    first.release()
    await waiting


async def test_a_lent_permit_serves_others_and_comes_back_before_new_agents() -> None:
    admission = _admission(max_live=1)
    parent = await admission.acquire(Need())
    order: list[str] = []

    async def child() -> None:
        permit = await admission.acquire(Need(), rank=Rank.CHILD)
        assert admission.live == 1
        await _turns()
        order.append("child")
        permit.release()

    async def new() -> None:
        permit = await admission.acquire(Need())
        order.append("new")
        permit.release()

    waiting = asyncio.create_task(new())
    async with parent.lent():
        assert parent.is_lent
        await child()
        waiting_too = asyncio.create_task(new())
    order.append("parent")
    assert admission.live == 1
    parent.release()
    await asyncio.gather(waiting, waiting_too)
    assert order[-1] == "new"
    assert order.index("child") < order.index("parent")
    assert admission.live == 0


async def test_overlapping_loans_give_the_permit_back_once() -> None:
    admission = _admission(max_live=2)
    parent = await admission.acquire(Need())
    gates = [asyncio.Event(), asyncio.Event()]

    async def lend(gate: asyncio.Event) -> None:
        async with parent.lent():
            await gate.wait()

    loans = [asyncio.create_task(lend(gate)) for gate in gates]
    await _turns()
    assert admission.live == 0
    gates[0].set()
    await _turns()
    assert admission.live == 0
    gates[1].set()
    await asyncio.gather(*loans)
    assert admission.live == 1
    parent.release()
    parent.release()
    assert admission.live == 0


async def test_a_parent_that_is_cancelled_while_it_lends_holds_its_permit_again() -> None:
    admission = _admission(max_live=1)
    parent = await admission.acquire(Need())

    async def lend() -> None:
        async with parent.lent():
            await asyncio.Event().wait()

    loan = asyncio.create_task(lend())
    await _turns()
    other = await admission.acquire(Need())
    loan.cancel()
    await asyncio.gather(loan, return_exceptions=True)
    assert admission.live == 2  # one too many for a moment, rather than one that counts nowhere
    other.release()
    parent.release()
    assert admission.live == 0


@given(st.integers(1, 3), st.lists(st.tuples(st.integers(0, 6), st.integers(0, 30)), max_size=12))
async def test_whatever_is_cancelled_when_permits_are_neither_lost_nor_made(
    limit: int, scenes: list[tuple[int, int]]
) -> None:
    admission = _admission(max_live=limit)

    async def live(turns: int) -> None:
        permit = await admission.acquire(Need())
        try:
            await _turns(turns)
            async with permit.lent():
                await _turns(turns)
            await _turns(turns)
        finally:
            permit.release()

    tasks = [asyncio.create_task(live(turns)) for turns, _ in scenes]
    for step in range(30):
        await asyncio.sleep(0)
        for task, (_, when) in zip(tasks, scenes, strict=True):
            if when == step:
                task.cancel()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
    assert (admission.live, admission.waiting) == (0, 0)
    permits: list[HeldPermit] = [await admission.acquire(Need()) for _ in range(limit)]
    assert admission.live == len(permits) == limit


async def test_eight_permits_and_eight_agents_that_each_spawn_to_depth_three_all_finish() -> None:
    admission = _admission(max_live=8)
    finished: list[int] = []
    peak: list[int] = []

    async def agent(depth: int, rank: Rank) -> None:
        permit = await admission.acquire(Need(), rank=rank)
        peak.append(admission.live)
        await _turns(3)
        if depth < 3:
            async with permit.lent():
                await asyncio.gather(*(agent(depth + 1, Rank.CHILD) for _ in range(2)))
            peak.append(admission.live)
        finished.append(depth)
        permit.release()

    await asyncio.wait_for(asyncio.gather(*(agent(0, Rank.NEW) for _ in range(8))), 60)
    assert len(finished) == 8 * (1 + 2 + 4 + 8)
    assert max(peak) == 8
