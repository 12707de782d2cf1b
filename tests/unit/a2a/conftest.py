"""A world of replicas for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.a2a.world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()
