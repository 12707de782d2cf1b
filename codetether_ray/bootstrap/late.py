"""What few turns need, imported at its first use: a first request does not wait for it."""

from collections.abc import Awaitable, Callable
from functools import cached_property
from pathlib import Path

from codetether_ray.core.spec import AgentSpec
from codetether_ray.ports.child_runs import ChildResult, ChildRuns, ChildWish
from codetether_ray.ports.snapshots import Redone, Snapshot, Snapshots


class LateSnapshots:
    """Implements `Snapshots`; `opened` makes what does the work when a tree is first wanted."""

    def __init__(self, root: Path, opened: Callable[[], Snapshots], *, is_own: bool) -> None:
        self._root, self._opened, self._is_own = root, opened, is_own

    @property
    def is_own(self) -> bool:
        """Whether the tree is this agent's alone."""
        return self._is_own

    @property
    def is_there(self) -> bool:
        """Whether the workspace is there at all."""
        return self._root.is_dir()

    async def take(self, note: str) -> Snapshot:
        """See `Snapshots.take`."""
        return await self._snapshots.take(note)

    async def go_on_from(self, commit: str) -> None:
        """See `Snapshots.go_on_from`."""
        await self._snapshots.go_on_from(commit)

    async def restore(self) -> tuple[str, ...]:
        """See `Snapshots.restore`."""
        return await self._snapshots.restore()

    async def has_been_done(self, change: Callable[[Path], Awaitable[object]]) -> Redone:
        """See `Snapshots.has_been_done`."""
        return await self._snapshots.has_been_done(change)

    @cached_property
    def _snapshots(self) -> Snapshots:
        return self._opened()


class LateChildRuns:
    """Implements `ChildRuns`; `opened` makes what does the work when a run is first wanted."""

    def __init__(self, opened: Callable[[], ChildRuns]) -> None:
        self._opened = opened

    async def run(self, parent: AgentSpec, call_id: str, wish: ChildWish) -> ChildResult:
        """See `ChildRuns.run`."""
        return await self._runs.run(parent, call_id, wish)

    @cached_property
    def _runs(self) -> ChildRuns:
        return self._opened()
