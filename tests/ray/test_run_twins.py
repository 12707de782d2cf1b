"""The twins of what a run's supervisor holds keep the same promises as the originals."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import ray

from codetether_ray.actors.caller import Caller
from codetether_ray.actors.door import Badge
from codetether_ray.actors.family import RayShares
from codetether_ray.actors.journal import RayJournal
from codetether_ray.actors.ledger import RayLedger
from codetether_ray.actors.services import Services
from codetether_ray.core.errors import FencedError
from codetether_ray.core.ids import new_run_id
from codetether_ray.core.spec import Correlation
from codetether_ray.core.usage import Budget
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.publisher import LocalPublisher
from codetether_ray.ports.tool import SharedResult
from tests.contracts.journal import RUN, JournalContract, Start
from tests.contracts.ledger import LedgerContract
from tests.contracts.publisher import PublisherContract
from tests.ray.desk import Desk


@pytest.fixture(scope="module")
def desk(services: Services) -> Any:
    return ray.remote(Desk).options(num_cpus=0, max_concurrency=1000).remote()


async def fresh(
    desk: Any,
    data_dir: Path,
    run_id: str,
    budget: Budget = Budget(),  # noqa: B008
) -> Caller:
    return Caller(desk, await desk.fresh.remote(str(data_dir), run_id, budget))


class TestRayJournal(JournalContract):
    @pytest.fixture
    async def start(self, desk: Any, data_dir: Path) -> AsyncIterator[Start]:
        opened: list[RayJournal] = []

        async def start() -> RayJournal:
            opened.append(RayJournal(await fresh(desk, data_dir, RUN)))
            return opened[-1]

        yield start
        for journal in opened:
            await journal.close()


class TestRayLedger(LedgerContract):
    @pytest.fixture
    def make_ledger(self, desk: Any, data_dir: Path):
        async def make(budget: Budget) -> RayLedger:
            return RayLedger(await fresh(desk, data_dir, new_run_id("swarm"), budget))

        return make


@pytest.mark.damages_runs  # its events are made up: no agent has begun
class TestPublisherOverRay(PublisherContract):
    @pytest.fixture
    async def make_publisher(self, desk: Any, data_dir: Path, services: Services):
        correlation = Correlation(run_id=new_run_id("swarm"))
        caller = await fresh(desk, data_dir, correlation.run_id)
        bus = services.bus()

        def make(agent: str) -> LocalPublisher:
            return LocalPublisher(RayJournal(caller), bus, correlation, agent, SystemClock())

        return make


async def test_shares_cross_processes(desk: Any, data_dir: Path) -> None:
    mine = RayShares(await fresh(desk, data_dir, new_run_id("swarm")))
    theirs = RayShares(Caller(desk, await desk.admit.remote()))
    result = SharedResult(key="api/users", producer="sub/a", value={"n": 1}, tags=("api",))
    await mine.publish(result)
    assert await theirs.get("api/users") == result
    assert await theirs.get("other") is None
    assert await theirs.query(tags=("api",), prefix="api/") == (result,)
    assert await theirs.query(tags=("ui",)) == ()


async def test_who_was_replaced_can_neither_read_nor_write_nor_spend(
    desk: Any, data_dir: Path
) -> None:
    old = await fresh(desk, data_dir, new_run_id("swarm"))
    await desk.dismiss.remote(old._badge)
    for refused in (RayJournal(old).read(), RayLedger(old).spent(), RayShares(old).query()):
        with pytest.raises(FencedError, match="another process took agent test over"):
            await refused


async def test_a_visitor_without_a_badge_of_this_door_is_refused(desk: Any) -> None:
    with pytest.raises(FencedError):
        await RayLedger(Caller(desk, Badge("sub/a", "made up"))).spent()
