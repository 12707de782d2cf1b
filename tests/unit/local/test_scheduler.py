"""How parties share, and what the desk they meet at keeps true."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codetether_ray.core.errors import ClusterError
from codetether_ray.local.desk import Answer, Asked, Hello, Order, Released, SchedulingDesk
from codetether_ray.local.far_admission import FarAdmission
from codetether_ray.local.scheduler import Scheduler
from codetether_ray.ports.admission import Need, Party, Permit, Rank
from codetether_ray.ports.host import Capacity
from codetether_ray.testing.clock import FakeClock
from tests.contracts.admission import GB, Ground, node, turns

ONE = Need(memory_bytes=GB)


def _capacity(*nodes: str, gigabytes: float = 10) -> Capacity:
    seen = tuple(node(name, gigabytes) for name in nodes)
    total = sum(one.memory_bytes for one in seen)
    return Capacity(
        cpus=8, memory_bytes=total, free_memory_bytes=total, largest_memory_bytes=total, nodes=seen
    )


def _scheduler(*parties: Party, gigabytes: float = 10) -> Scheduler:
    scheduler = Scheduler()
    scheduler.see(_capacity("a", gigabytes=gigabytes))
    for party in parties:
        scheduler.join(party)
    return scheduler


def _ask(scheduler: Scheduler, run_id: str, count: int, need: Need = ONE) -> None:
    for number in range(count):
        scheduler.ask(run_id, f"{run_id}-{number}", need, Rank.NEW, 0)


def _runs(scheduler: Scheduler) -> list[str]:
    return [grant.run_id for grant in scheduler.decide()]


# -- who is next ----------------------------------------------------------------------------------


def test_an_interactive_turn_is_next_while_a_swarm_of_a_thousand_queues() -> None:
    swarm, session = (
        Party(run_id="swm", principal="u"),
        Party(run_id="ses", principal="u", is_interactive=True),
    )
    scheduler = _scheduler(swarm, session)
    _ask(scheduler, "swm", 1_000)
    assert len(_runs(scheduler)) == 10
    _ask(scheduler, "ses", 1)
    assert _runs(scheduler) == []
    scheduler.release("swm", "swm-3")
    assert _runs(scheduler) == ["ses"]


def test_two_users_share_evenly_whoever_came_first_and_however_many_runs_each_has() -> None:
    parties = [Party(run_id=f"ann-{n}", principal="ann") for n in range(3)]
    scheduler = _scheduler(*parties, Party(run_id="bob", principal="bob"), gigabytes=12)
    for party in parties:
        _ask(scheduler, party.run_id, 100)
    assert len(_runs(scheduler)) == 12
    _ask(scheduler, "bob", 100)
    held = [f"ann-{n}-{k}" for n in range(3) for k in range(4)]
    for ticket in held[::2]:
        scheduler.release(ticket.rpartition("-")[0], ticket)
        scheduler.decide()
    shares = {id: len(scheduler._held[id]) for id in ("ann-0", "ann-1", "ann-2", "bob")}
    assert shares == {"ann-0": 2, "ann-1": 2, "ann-2": 2, "bob": 6}


def test_runs_of_one_user_share_evenly_by_what_they_take_not_by_how_many_they_are() -> None:
    scheduler = _scheduler(
        Party(run_id="small", principal="u"), Party(run_id="large", principal="u"), gigabytes=12
    )
    _ask(scheduler, "small", 100)
    _ask(scheduler, "large", 100, Need(memory_bytes=3 * GB))
    runs = _runs(scheduler)
    assert (runs.count("small"), runs.count("large")) == (6, 2)


def test_sessions_without_end_leave_a_swarm_its_turn() -> None:
    scheduler = _scheduler(
        Party(run_id="swm"), Party(run_id="ses", is_interactive=True), gigabytes=1
    )
    _ask(scheduler, "swm", 5)
    _ask(scheduler, "ses", 100)
    order = []
    for _ in range(30):
        (grant,) = scheduler.decide()
        order.append(grant.run_id)
        scheduler.release(grant.run_id, grant.ticket)
    assert order.count("swm") >= 3
    assert order.index("swm") <= 8


def test_a_run_at_its_own_limit_keeps_nobody_else_waiting() -> None:
    scheduler = _scheduler(Party(run_id="a", max_live=1), Party(run_id="b"))
    _ask(scheduler, "a", 5)
    _ask(scheduler, "b", 5)
    assert sorted(_runs(scheduler)) == ["a"] + ["b"] * 5


def test_what_a_party_held_is_free_when_it_leaves() -> None:
    scheduler = _scheduler(Party(run_id="a"), Party(run_id="b"))
    _ask(scheduler, "a", 20)
    scheduler.decide()
    _ask(scheduler, "b", 20)
    scheduler.leave("a")
    assert _runs(scheduler) == ["b"] * 10
    assert scheduler.waiting == 10


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"), st.integers(0, 9), st.sampled_from(["ask", "release", "hold"])
        ),
        max_size=60,
    )
)
def test_reservations_are_what_was_granted_and_not_given_back(
    steps: list[tuple[str, int, str]],
) -> None:
    scheduler = _scheduler(*(Party(run_id=id) for id in "abc"), gigabytes=4)
    held: set[tuple[str, str]] = set()
    forced = 0
    for run_id, number, verb in steps:
        ticket = str(number)
        if verb == "ask":
            scheduler.ask(run_id, ticket, ONE, Rank.NEW, 0)
        elif verb == "hold":
            forced += (run_id, ticket) not in held
            scheduler.hold(run_id, ticket, ONE, "a")
            held.add((run_id, ticket))
        else:
            scheduler.release(run_id, ticket)
            held.discard((run_id, ticket))
        held |= {(grant.run_id, grant.ticket) for grant in scheduler.decide()}
        assert scheduler.live == len(held)
        assert forced or len(held) <= 4
    for run_id in "abc":
        scheduler.leave(run_id)
    assert (scheduler.live, scheduler.waiting) == (0, 0)


def test_ten_thousand_are_queued_admitted_and_cancelled_without_looking_at_each_other() -> None:
    def cost_s(count: int) -> float:
        scheduler = _scheduler(Party(run_id="r"))
        began = time.process_time()
        _ask(scheduler, "r", count)
        for number in range(count // 2):
            scheduler.decide()
            scheduler.release("r", f"r-{number}")
        for number in range(count):
            scheduler.release("r", f"r-{number}")
        assert (scheduler.live, scheduler.waiting) == (0, 0)
        return (time.process_time() - began) / count

    few, many = cost_s(500), cost_s(10_000)
    assert many < 8 * few  # a quadratic one would need 20 times as much for each


# -- the desk -------------------------------------------------------------------------------------


class Wire:
    """The way to a desk, which can fail before or after a call was taken."""

    def __init__(self, desk: SchedulingDesk) -> None:
        self.desk = desk
        self.fails_before = self.fails_after = 0
        self.calls = 0
        self._died = asyncio.Event()

    async def exchange(
        self, lease: str, hello: Hello | None, orders: tuple[Order, ...], seen: int, wait_s: float
    ) -> Answer:
        self.calls += 1
        if self.fails_before:
            self.fails_before -= 1
            raise ClusterError("gone")
        call = asyncio.ensure_future(self.desk.exchange(lease, hello, orders, seen, wait_s))
        died = asyncio.ensure_future(self._died.wait())
        await asyncio.wait({call, died}, return_when=asyncio.FIRST_COMPLETED)
        died.cancel()
        if self.fails_after or not call.done():
            self.fails_after = max(self.fails_after - 1, 0)
            call.cancel()
            raise ClusterError("gone")
        return call.result()

    def replace(self, desk: SchedulingDesk) -> None:
        """The desk's process dies, with the calls that are parked there; another one starts."""
        self.desk = desk
        self._died.set()
        self._died = asyncio.Event()

    async def leave(self, lease: str) -> None:
        await self.desk.leave(lease)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ground() -> Ground:
    return Ground(node("a", 2))


def _desk(ground: Ground, clock: FakeClock, settle_s: float = 0.0) -> SchedulingDesk:
    return SchedulingDesk(ground.capacity, clock, settle_s=settle_s)


async def test_a_guest_that_falls_silent_gives_back_what_it_held(
    ground: Ground, clock: FakeClock
) -> None:
    desk = _desk(ground, clock)
    hello = Hello(
        Party(run_id="dead"), (Asked("1", ONE, Rank.NEW, 0), Asked("2", ONE, Rank.NEW, 0))
    )
    await desk.exchange("lease", hello, (), 0, 0)
    assert desk.live == 2
    other = FarAdmission(Wire(desk), Party(run_id="live"), clock)
    waiting = asyncio.create_task(other.acquire(ONE))
    await clock.advance(10)
    assert not waiting.done()
    await clock.advance(10)
    assert (await waiting).node == "a"
    await other.close()


async def test_a_scheduler_that_was_started_anew_learns_who_holds_what_before_it_grants(
    ground: Ground, clock: FakeClock
) -> None:
    wires = [Wire(_desk(ground, clock)) for _ in range(2)]
    wires[1].desk = wires[0].desk
    guests = [FarAdmission(wire, Party(run_id=f"r{n}"), clock) for n, wire in enumerate(wires)]
    held = [await guest.acquire(ONE) for guest in guests]
    waiting = [asyncio.create_task(guest.acquire(ONE)) for guest in guests]
    await turns()
    fresh = _desk(ground, clock, settle_s=3.0)
    for wire in wires:
        wire.replace(fresh)
        wire.fails_before = 2
    await clock.advance(10)
    assert (fresh.live, fresh.waiting) == (2, 2)
    held[0].release()
    await turns()
    assert fresh.live == 2
    assert [task.done() for task in waiting].count(True) == 1
    held[1].release()
    await asyncio.gather(*waiting)
    assert fresh.live == 2
    for guest in guests:
        await guest.close()
    assert (fresh.live, fresh.waiting) == (0, 0)


async def test_answers_that_are_lost_lose_no_permit_and_make_none(
    ground: Ground, clock: FakeClock
) -> None:
    wire = Wire(_desk(ground, clock))
    guest = FarAdmission(wire, Party(run_id="r"), clock)
    for _ in range(5):
        wire.fails_after, wire.fails_before = 2, 1
        asking = asyncio.create_task(guest.acquire(ONE))
        await clock.advance(3)
        permit = await asking
        wire.fails_after = 1
        permit.release()
        await clock.advance(3)
        assert wire.desk.live == 0
    await guest.close()


async def test_a_supervisor_that_was_started_anew_takes_the_place_of_its_predecessor(
    ground: Ground, clock: FakeClock
) -> None:
    desk = _desk(ground, clock)
    hello = Hello(Party(run_id="r"), (Asked("1", ONE, Rank.NEW, 0),))
    old = await desk.exchange("old", hello, (), 0, 0)
    await desk.exchange("new", hello, (), 0, 0)
    assert desk.live == 1
    late = await desk.exchange("old", None, (Released("1"),), old.news[-1].number, 0)
    assert late.epoch == ""
    assert desk.live == 1


@pytest.mark.matrix
async def test_ten_thousand_waiting_agents_are_told_of_in_a_few_calls_and_withdrawn_in_a_few(
    ground: Ground, clock: FakeClock
) -> None:
    wire = Wire(_desk(ground, clock))
    guest = FarAdmission(wire, Party(run_id="r"), clock)
    told: list[str] = []
    tasks = [asyncio.create_task(guest.acquire(ONE, on_wait=told.append)) for _ in range(10_000)]
    await turns(200)
    assert wire.desk.waiting == len(told) == 9_998
    assert set(told) == {"queued: needs 1 GB, largest free 0 MB on host-a"}
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for permit in results:
        if not isinstance(permit, BaseException):
            permit.release()
    await turns(200)
    assert (wire.desk.live, wire.desk.waiting) == (0, 0)
    assert wire.calls < 40
    await guest.close()


async def test_an_autoscaler_is_told_what_is_needed_and_that_nothing_is(
    ground: Ground, clock: FakeClock
) -> None:
    told: list[int] = []

    async def demand(needs: object) -> None:
        told.append(len(list(needs)))  # type: ignore[call-overload]

    rests: list[float] = []

    async def rest() -> None:
        rests.append(clock.monotonic())

    desk = SchedulingDesk(ground.capacity, clock, demand=demand, rest=rest)
    guest = FarAdmission(Wire(desk), Party(run_id="r"), clock)
    tasks = [asyncio.create_task(guest.acquire(ONE)) for _ in range(2_500)]
    await clock.advance(2)
    assert told[-1] == 1_000
    permits: list[Permit] = [task.result() for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await clock.advance(2)
    assert told[-1] == len(permits) == 2  # who lives is counted, too
    for permit in permits:
        permit.release()
    await clock.advance(2)
    assert told[-1] == 0
    assert rests == []
    await guest.close()
    await clock.advance(2)
    assert len(rests) == 1
