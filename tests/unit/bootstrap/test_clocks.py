"""A node's wrong clock is told once, and nobody waits for that."""

import time
from typing import Any

from codetether_ray.bootstrap.clocks import ClockedNodes, told
from codetether_ray.core.errors import ClusterError


class _Node:
    def __init__(self, ahead_s: float | None) -> None:
        self.ahead_s = ahead_s

    async def call(self, function: str, *arguments: Any) -> Any:
        if self.ahead_s is None:
            raise ClusterError("it is gone")
        return "n1", time.time() + self.ahead_s


async def _said(ahead_s: float | None) -> list[str]:
    said: list[str] = []
    node = _Node(ahead_s)
    nodes = ClockedNodes(lambda _: node, said.append)
    for _ in range(3):
        assert nodes("id") is node
    await nodes.settled()
    return said


async def test_a_clock_that_is_an_hour_off_is_told_once() -> None:
    (sentence,) = await _said(3600)
    assert sentence.startswith("the clock of n1 is 3600 s ahead of the head's: the run goes on")
    (sentence,) = await _said(-90)
    assert "90 s behind the head's" in sentence


async def test_a_clock_that_is_nearly_right_or_that_nobody_tells_is_not_spoken_of() -> None:
    assert await _said(30) == []
    assert await _said(None) == []


def test_a_slow_answer_is_no_wrong_clock() -> None:
    assert told("n1", 1070.0, before=1000.0, after=1030.0) == ""
