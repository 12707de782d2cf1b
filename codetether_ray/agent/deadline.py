"""The wall time of a turn: it stands still while the agent waits for its children."""

import asyncio

from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.ports.child_runs import ChildResult, ChildRuns, ChildWish
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.tool import ChildRuntime


class Deadline:
    """Counts the seconds of a turn, except those between `pause` and `resume`."""

    def __init__(self, clock: Clock, limit_s: float) -> None:
        self._clock = clock
        self._left_s = limit_s
        self._since = clock.monotonic()
        self._pauses = 0
        self._runs = asyncio.Event()
        self._runs.set()

    def pause(self) -> None:
        """Stop counting; several pauses may overlap."""
        if self._pauses == 0:
            self._count()
            self._runs.clear()
        self._pauses += 1

    def resume(self) -> None:
        """Count again, once every pause has ended."""
        self._pauses -= 1
        if self._pauses == 0:
            self._since = self._clock.monotonic()
            self._runs.set()

    async def wait(self) -> None:
        """Return when the time is over."""
        while True:
            await self._runs.wait()
            self._count()
            if self._left_s <= 0:
                return
            await self._clock.sleep(self._left_s)

    def _count(self) -> None:
        if self._pauses == 0:
            now = self._clock.monotonic()
            self._left_s -= now - self._since
            self._since = now


class PausingChildren:
    """A child runtime that stops its parent's clock while a child runs."""

    def __init__(self, children: ChildRuntime, deadline: Deadline) -> None:
        self._children = children
        self._deadline = deadline

    async def run_child(
        self, parent: AgentSpec, call_id: str, description: str, prompt: str
    ) -> TurnResult:
        """Run a child; see `ChildRuntime`."""
        self._deadline.pause()
        try:
            return await self._children.run_child(parent, call_id, description, prompt)
        finally:
            self._deadline.resume()


class PausingRuns:
    """Child runs that stop their parent's clock while they last."""

    def __init__(self, runs: ChildRuns, deadline: Deadline) -> None:
        self._runs = runs
        self._deadline = deadline

    async def run(self, parent: AgentSpec, call_id: str, wish: ChildWish) -> ChildResult:
        """Do a run; see `ChildRuns`."""
        self._deadline.pause()
        try:
            return await self._runs.run(parent, call_id, wish)
        finally:
            self._deadline.resume()
