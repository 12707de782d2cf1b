"""A platform on a real SQLite file, in this process and behind HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from codetether_ray.local.clock import SystemClock
from codetether_ray.stores.work import SqliteWork
from codetether_ray.worker.platform import WorkPlatform
from tests.adapters.worker.platform_server import EventLog, PlatformServer, build


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[WorkPlatform]:
    made = WorkPlatform(SqliteWork(tmp_path / "work.db"), SystemClock(), lease_s=60)
    yield made
    await made.close()


@pytest.fixture
def event_log() -> EventLog:
    return EventLog()


@pytest.fixture
async def server(platform: WorkPlatform, event_log: EventLog) -> AsyncIterator[PlatformServer]:
    async with PlatformServer(platform, app=build(platform, event_log)) as served:
        yield served
