from typing import Any

import pytest
import ray

from codetether_ray.actors.cluster import Cluster
from codetether_ray.actors.directory import RayDirectory
from codetether_ray.actors.limiter import RayLimiter
from codetether_ray.actors.registry import Registry
from codetether_ray.local.clock import SystemClock
from codetether_ray.ports.limiter import RateFeedback
from tests.contracts.directory import DirectoryContract
from tests.contracts.limiter import LimiterContract


@pytest.fixture(scope="module")
def registry(cluster: Cluster) -> Any:
    return ray.remote(Registry).options(num_cpus=0, max_concurrency=1000).remote()


class TestRayDirectory(DirectoryContract):
    @pytest.fixture
    def directory(self, registry: Any) -> RayDirectory:
        return RayDirectory(registry)


class TestRayLimiter(LimiterContract):
    @pytest.fixture
    def limiter(self, registry: Any) -> RayLimiter:
        return RayLimiter(registry, SystemClock())


async def test_a_429_seen_by_one_process_holds_another(registry: Any) -> None:
    mine, theirs = RayLimiter(registry, SystemClock()), RayLimiter(registry, SystemClock())
    await mine.acquire("vendor")
    await theirs.report("vendor", RateFeedback(status=429, retry_after_s=0.5))
    await mine.report("vendor", RateFeedback(status=429, retry_after_s=0.5))
    clock = SystemClock()
    before = clock.monotonic()
    await mine.acquire("vendor")
    assert clock.monotonic() - before >= 0.4
