import pytest

from codetether_ray.local.directory import LocalDirectory
from tests.contracts.directory import DirectoryContract, card
from tests.unit.clocks import SteppedClock


class TestLocalDirectory(DirectoryContract):
    @pytest.fixture
    def directory(self) -> LocalDirectory:
        return LocalDirectory(SteppedClock())


async def test_a_lease_ends_by_the_clock_and_the_agent_is_forgotten_later() -> None:
    clock = SteppedClock()
    directory = LocalDirectory(clock)
    await directory.announce(card("a"), lease_s=30)
    clock.step(31)
    (presence,) = await directory.list()
    assert not presence.is_alive
    clock.step(601)
    assert await directory.find("a") is None
    assert await directory.list() == ()
