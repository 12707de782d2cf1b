"""A Ray that comes up slowly is waited for; one whose server ended is not."""

import time

import pytest

from codetether_ray.actors.coming_up import patient
from codetether_ray.core.errors import ClusterError

FOREVER = float("inf")


class Gcs:
    """Knows a node from some question on."""

    def __init__(self, knows_after: int) -> None:
        self.asked, self._knows_after = 0, knows_after

    def __call__(self, address: str) -> str:
        self.asked += 1
        if self.asked <= self._knows_after:
            raise RuntimeError("no such node")
        return f"the node at {address}"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codetether_ray.actors.coming_up._PAUSE_S", 0.0)


def test_a_node_that_is_not_known_yet_is_asked_for_again() -> None:
    gcs = Gcs(knows_after=3)
    assert patient(gcs, FOREVER, lambda: "")("here") == "the node at here"
    assert gcs.asked == 4


def test_once_its_time_is_over_ray_itself_is_told() -> None:
    gcs = Gcs(knows_after=3)
    with pytest.raises(RuntimeError, match="no such node"):
        patient(gcs, time.monotonic() - 1, lambda: "")("here")
    assert gcs.asked == 1


def test_a_server_that_ended_is_named_at_once() -> None:
    gcs = Gcs(knows_after=3)
    with pytest.raises(ClusterError, match="its raylet ended as it came up"):
        patient(gcs, FOREVER, lambda: "raylet")("here")
    assert gcs.asked == 1
