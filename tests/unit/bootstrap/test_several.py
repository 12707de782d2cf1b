"""Several runs in one process: none closes what the others use."""

import pytest

from codetether_ray.bootstrap import agents
from codetether_ray.bootstrap.agents import close_process, kept_process


class Connections:
    """What agents share."""

    def __init__(self) -> None:
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1


async def test_what_agents_share_is_closed_when_nobody_keeps_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = Connections()
    monkeypatch.setattr(agents, "_http", lambda: shared)
    async with kept_process():
        await close_process()
        assert shared.closed == 0
    assert shared.closed == 1
    await close_process()
    assert shared.closed == 2
