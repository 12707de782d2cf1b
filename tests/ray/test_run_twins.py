"""The twins of what a run's supervisor holds keep the same promises as the originals."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import ray

from codetether_ray.actors.family import RayShares
from codetether_ray.actors.journal import RayJournal
from codetether_ray.actors.ledger import RayLedger
from codetether_ray.actors.services import Services
from codetether_ray.core.errors import ClusterError
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
    return ray.remote(Desk).options(num_cpus=0, max_concurrency=1000).remote("swm_desk", services)


async def fresh(desk: Any, data_dir: Path, budget: Budget = Budget()) -> str:  # noqa: B008
    run_id = new_run_id("swarm")
    await desk.fresh.remote(str(data_dir), run_id, budget)
    return run_id


class TestRayJournal(JournalContract):
    @pytest.fixture
    async def start(self, desk: Any, data_dir: Path) -> AsyncIterator[Start]:
        opened: list[RayJournal] = []

        async def start() -> RayJournal:
            await desk.fresh.remote(str(data_dir), RUN, Budget())
            opened.append(RayJournal(desk))
            return opened[-1]

        yield start
        for journal in opened:
            await journal.close()


class TestRayLedger(LedgerContract):
    @pytest.fixture
    def make_ledger(self, desk: Any, data_dir: Path):
        async def make(budget: Budget) -> RayLedger:
            await fresh(desk, data_dir, budget)
            return RayLedger(desk)

        return make


class TestPublisherOverRay(PublisherContract):
    @pytest.fixture
    async def make_publisher(self, desk: Any, data_dir: Path, services: Services):
        correlation = Correlation(run_id=await fresh(desk, data_dir))
        bus = services.bus()

        def make(agent: str) -> LocalPublisher:
            return LocalPublisher(RayJournal(desk), bus, correlation, agent, SystemClock())

        return make


async def test_shares_cross_processes(desk: Any, data_dir: Path) -> None:
    await fresh(desk, data_dir)
    mine, theirs = RayShares(desk), RayShares(desk)
    result = SharedResult(key="api/users", producer="sub/a", value={"n": 1}, tags=("api",))
    await mine.publish(result)
    assert await theirs.get("api/users") == result
    assert await theirs.get("other") is None
    assert await theirs.query(tags=("api",), prefix="api/") == (result,)
    assert await theirs.query(tags=("ui",)) == ()


async def test_a_supervisor_that_serves_nothing_says_so(services: Services) -> None:
    idle = ray.remote(Desk).options(num_cpus=0).remote("swm_idle", services)
    with pytest.raises(ClusterError, match="serves no run yet"):
        await RayLedger(idle).spent()
