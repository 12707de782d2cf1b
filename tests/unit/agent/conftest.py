"""Whatever an agent of these tests recorded is decided again from its records alone."""

from collections.abc import Iterator

import pytest

from codetether_ray.agent.verify import AgentCheck
from codetether_ray.testing.fakes import MemoryPublisher


@pytest.fixture(autouse=True)
def _decided_again(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    made: list[tuple[MemoryPublisher, int]] = []
    begin = MemoryPublisher.__init__

    def noted(self: MemoryPublisher, recorded: object = ()) -> None:
        begin(self, recorded)  # type: ignore[arg-type]
        made.append((self, len(self.recorded)))

    monkeypatch.setattr(MemoryPublisher, "__init__", noted)
    yield
    if request.node.get_closest_marker("damages_runs"):
        return
    for publisher, earlier in made:
        check = AgentCheck()
        for number, event in enumerate(publisher.recorded):
            odd = check.take(event, is_reborn=number == earlier > 0)
            assert odd is None, f"record {number}: {odd.sentence()}"
