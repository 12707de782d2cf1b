"""What every admission promises, on one node and on several."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from codetether_ray.core.errors import InfeasibleError, NodeLostError
from codetether_ray.ports.admission import Admission, Need, Permit, Rank
from codetether_ray.ports.host import Capacity, NodeCapacity
from codetether_ray.testing.clock import FakeClock

GB = 1_000_000_000


def node(name: str, gigabytes: float = 10, **changes: Any) -> NodeCapacity:
    """A node with nothing on it."""
    size = int(gigabytes * GB)
    whole = NodeCapacity(
        node=name, host=f"host-{name}", cpus=8, memory_bytes=size, free_memory_bytes=size + GB
    )
    return replace(whole, **changes)


class Ground:
    """The nodes there are, as a test says."""

    def __init__(self, *nodes: NodeCapacity) -> None:
        self.nodes = list(nodes)
        self.growth: tuple[NodeCapacity, ...] = ()
        self.looks = 0

    async def capacity(self) -> Capacity:
        """All of them."""
        self.looks += 1
        await asyncio.sleep(0)
        return Capacity(
            cpus=sum(n.cpus for n in self.nodes),
            memory_bytes=sum(n.memory_bytes for n in self.nodes),
            free_memory_bytes=sum(n.free_memory_bytes for n in self.nodes),
            largest_memory_bytes=max(n.memory_bytes for n in self.nodes),
            nodes=tuple(self.nodes),
            growth=self.growth,
        )


async def turns(count: int = 60) -> None:
    """Let what is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


Open = Callable[..., Admission]
"""Opens an admission over a `Ground`; takes `max_live` and `max_memory_bytes`."""


class AdmissionContract:
    """Give fixtures `clock` (a FakeClock) and `open_admission`."""

    async def test_agents_are_spread_over_the_nodes(self, open_admission: Open) -> None:
        admission = open_admission(Ground(node("a"), node("b"), node("c")))
        permits = [await admission.acquire(Need(memory_bytes=GB)) for _ in range(9)]
        homes = [permit.node for permit in permits]
        assert sorted(homes) == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
        await admission.close()

    async def test_agents_that_are_packed_fill_the_node_that_has_their_files(
        self, open_admission: Open
    ) -> None:
        admission = open_admission(Ground(node("a", 4), node("b", 4)))
        packed = Need(memory_bytes=GB, near=("b",), placement="pack")
        homes = [(await admission.acquire(packed)).node for _ in range(6)]
        assert homes == ["b"] * 4 + ["a"] * 2
        await admission.close()

    async def test_a_pinned_agent_waits_for_its_node_and_others_pass_it_elsewhere(
        self, open_admission: Open
    ) -> None:
        admission = open_admission(Ground(node("a", 1), node("b", 4)))
        held = await admission.acquire(Need(memory_bytes=GB, node="a"))
        told: list[str] = []
        pinned = asyncio.create_task(
            admission.acquire(Need(memory_bytes=GB, node="a"), on_wait=told.append)
        )
        await turns()
        assert told == ["queued: needs 1 GB, largest free 0 MB on host-a"]
        other = await admission.acquire(Need(memory_bytes=GB))
        assert other.node == "b"
        held.release()
        assert (await pinned).node == "a"
        await admission.close()

    async def test_the_first_that_waits_for_a_node_is_not_overtaken_there(
        self, open_admission: Open
    ) -> None:
        admission = open_admission(Ground(node("a", 4), node("b", 2)))
        held = [await admission.acquire(Need(memory_bytes=GB, node=n)) for n in "ab"]
        large = asyncio.create_task(admission.acquire(Need(memory_bytes=4 * GB)))
        await turns()
        small = await admission.acquire(Need(memory_bytes=GB))
        assert small.node == "b"  # the large one has node a to itself, once that is empty
        tiny = asyncio.create_task(admission.acquire(Need(memory_bytes=GB)))
        await turns()
        assert not tiny.done()
        held[0].release()
        assert (await large).node == "a"
        held[1].release()
        assert (await tiny).node == "b"
        await admission.close()

    async def test_a_node_that_is_about_to_go_or_is_silent_gets_nothing_new(
        self, open_admission: Open, clock: FakeClock
    ) -> None:
        ground = Ground(node("a", is_draining=True), node("b", is_silent=True))
        admission = open_admission(ground)
        told: list[str] = []
        waiting = asyncio.create_task(admission.acquire(Need(memory_bytes=GB), on_wait=told.append))
        await turns()
        assert told == ["queued: host-a is about to go"]
        child = await admission.acquire(Need(memory_bytes=GB, node="a"), rank=Rank.CHILD)
        assert child.node == "a"  # its parent lives there
        ground.nodes.append(node("c"))
        await clock.advance(1.5)
        assert (await waiting).node == "c"
        await admission.close()

    async def test_free_memory_is_seen_on_each_node(
        self, open_admission: Open, clock: FakeClock
    ) -> None:
        full = node("a", free_memory_bytes=GB // 5)
        ground = Ground(full, node("b", 2))
        admission = open_admission(ground)
        homes = [(await admission.acquire(Need(memory_bytes=GB))).node for _ in range(2)]
        assert homes == ["b", "b"]
        told: list[str] = []
        waiting = asyncio.create_task(admission.acquire(Need(memory_bytes=GB), on_wait=told.append))
        await turns()
        assert told == ["queued: 200 MB of memory is free on host-a, 256 MB must stay free"]
        ground.nodes[0] = node("a")
        await clock.advance(1.5)
        assert (await waiting).node == "a"
        await admission.close()

    async def test_what_must_stay_free_there_is_the_nodes_own_word(
        self, open_admission: Open
    ) -> None:
        careful = node("a", floor_bytes=10 * GB)
        admission = open_admission(Ground(careful, node("b", 4)))
        homes = [(await admission.acquire(Need(memory_bytes=GB))).node for _ in range(4)]
        assert homes == ["a", "b", "b", "b"]
        await admission.close()

    async def test_the_infeasible_is_refused_with_the_node_that_comes_nearest(
        self, open_admission: Open
    ) -> None:
        admission = open_admission(Ground(node("a", 4), node("b", 30)))
        with pytest.raises(InfeasibleError) as refused:
            await admission.acquire(Need(memory_bytes=64 * GB))
        assert str(refused.value) == (
            "an agent needs 64 GB of memory; the largest node, host-b, has 30 GB"
        )
        with pytest.raises(InfeasibleError, match="host-a, has 8"):
            await admission.acquire(Need(cpus=9))
        with pytest.raises(InfeasibleError, match="a node with pool=gpu"):
            await admission.acquire(Need(labels=(("pool", "gpu"),)))
        await admission.close()

    async def test_what_an_autoscaler_could_add_is_waited_for(
        self, open_admission: Open, clock: FakeClock
    ) -> None:
        ground = Ground(node("a"))
        ground.growth = (node("", labels=(("pool", "gpu"),)),)
        admission = open_admission(ground)
        told: list[str] = []
        need = Need(memory_bytes=GB, labels=(("pool", "gpu"),))
        waiting = asyncio.create_task(admission.acquire(need, on_wait=told.append))
        await turns()
        assert told == ["queued: waits for a node that has pool=gpu"]
        ground.nodes.append(node("g", labels=(("pool", "gpu"), ("zone", "1"))))
        await clock.advance(1.5)
        assert (await waiting).node == "g"
        await admission.close()

    async def test_nodes_to_avoid_are_taken_only_where_no_other_could_ever_serve(
        self, open_admission: Open
    ) -> None:
        admission = open_admission(Ground(node("a", 4), node("b", 2)))
        elsewhere = await admission.acquire(Need(memory_bytes=2 * GB, avoid=("a",)))
        assert elsewhere.node == "b"
        waiting = asyncio.create_task(admission.acquire(Need(memory_bytes=GB, avoid=("a",))))
        await turns()
        assert not waiting.done()
        large = await admission.acquire(Need(memory_bytes=3 * GB, avoid=("a",)))
        assert large.node == "a"
        elsewhere.release()
        assert (await waiting).node == "b"
        await admission.close()

    async def test_an_agent_whose_only_node_is_gone_is_told_so(
        self, open_admission: Open, clock: FakeClock
    ) -> None:
        ground = Ground(node("a", 1), node("b"))
        admission = open_admission(ground)
        await admission.acquire(Need(memory_bytes=GB, node="a"))
        waiting = asyncio.create_task(
            admission.acquire(Need(agent="sub/a", memory_bytes=GB, node="a"))
        )
        await turns()
        ground.nodes = [node("b")]
        await clock.advance(1.5)
        with pytest.raises(NodeLostError, match="sub/a"):
            await waiting
        with pytest.raises(NodeLostError):
            await admission.acquire(Need(node="a"))
        await admission.close()

    async def test_a_permit_tells_the_most_that_its_holder_could_have(
        self, open_admission: Open
    ) -> None:
        ground = Ground(node("a", 4), node("b", 30))
        admission = open_admission(ground)
        assert (await admission.acquire(Need(memory_bytes=GB))).largest_bytes == 30 * GB
        assert (await admission.acquire(Need(memory_bytes=GB, node="a"))).largest_bytes == 4 * GB
        bounded = open_admission(ground, max_memory_bytes=6 * GB)
        assert (await bounded.acquire(Need(memory_bytes=GB))).largest_bytes == 6 * GB
        with pytest.raises(InfeasibleError, match="all agents of the run together may take 6 GB"):
            await bounded.acquire(Need(memory_bytes=7 * GB))
        await admission.close()
        await bounded.close()

    async def test_rank_goes_before_priority_and_priority_before_coming(
        self, open_admission: Open
    ) -> None:
        admission = open_admission(Ground(node("a")), max_live=1)
        first = await admission.acquire(Need())
        order: list[str] = []

        async def wait(name: str, rank: Rank, priority: int) -> None:
            permit = await admission.acquire(Need(), rank=rank, priority=priority)
            order.append(name)
            permit.release()

        entries = [
            ("new", Rank.NEW, 0), ("urgent", Rank.NEW, 5), ("child", Rank.CHILD, 0),
        ]  # fmt: skip
        tasks = [asyncio.create_task(wait(*entry)) for entry in entries]
        await turns()
        first.release()
        await asyncio.gather(*tasks)
        assert order == ["child", "urgent", "new"]
        await admission.close()

    async def test_a_lent_permit_comes_back_on_its_own_node_before_new_agents(
        self, open_admission: Open
    ) -> None:
        admission = open_admission(Ground(node("a", 1), node("b", 1)))
        parent = await admission.acquire(Need(memory_bytes=GB))
        await admission.acquire(Need(memory_bytes=GB))
        came: list[str] = []

        async def wait(rank: Rank) -> Permit:
            permit = await admission.acquire(Need(memory_bytes=GB, node=parent.node), rank=rank)
            came.append(rank.name)
            return permit

        async with parent.lent():
            assert parent.is_lent
            child = await wait(Rank.CHILD)
            new = asyncio.create_task(wait(Rank.NEW))
            await turns()
            asyncio.get_running_loop().call_soon(child.release)
        came.append("parent")
        assert came == ["CHILD", "parent"]
        parent.release()
        await new
        await admission.close()

    async def test_whoever_is_cancelled_holds_nothing(self, open_admission: Open) -> None:
        admission = open_admission(Ground(node("a")), max_live=1)
        held = await admission.acquire(Need())
        tasks = [asyncio.create_task(admission.acquire(Need())) for _ in range(1_000)]
        await turns()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        held.release()
        held.release()
        again = await asyncio.wait_for(admission.acquire(Need()), 60)
        assert again.node == "a"
        await admission.close()
