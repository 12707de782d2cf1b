"""The run's hub as agents on other nodes write into it: a pack, then a ref, both flushed.

Each process of an agent has a ref of its own (`g1`, `g2` …), as one that lives beside the hub has;
its number is given out here when the process first has something kept.
"""

import asyncio
import re
from pathlib import Path

from codetether_ray.core import failpoints
from codetether_ray.core.errors import WorkspaceError
from codetether_ray.ports.snapshots import Kept
from codetether_ray.workspace.git_command import Git
from codetether_ray.workspace.hub import Hub, agent_ref
from codetether_ray.workspace.names import ref_of
from codetether_ray.workspace.transport import Boxes, take_in

INCOMING = "incoming"
"""Directory in a hub for packs that are coming in."""
_AT_ONCE = 4
_TRIES = 20


class HubKeeping:
    """Implements `HubKeeper` on the hub at `hub` (it need not be there yet)."""

    def __init__(self, hub: Path, run_id: str) -> None:
        self._hub = Hub(hub)
        self._run_id = run_id
        self._boxes = Boxes(hub / INCOMING)
        self._numbers: dict[str, int] = {}
        self._naming = asyncio.Lock()
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def put(self, life: str, box: str, offset: int, data: bytes) -> None:
        """Add a piece to a pack."""
        await asyncio.to_thread(self._boxes.put, f"{life}-{box}", offset, data)

    async def keep(self, agent: str, life: str, kept: Kept) -> None:
        """Take the pack in, and move the ref of that process."""
        async with self._gate:
            path = await asyncio.to_thread(self._whole, life, kept)
            try:
                await self._take(path, kept)
            finally:
                await asyncio.to_thread(path.unlink, missing_ok=True)
        failpoints.hit("keep.objects")
        await self._name(agent, life, kept)
        failpoints.hit("keep.ref")

    def _whole(self, life: str, kept: Kept) -> Path:
        if kept.box:
            return self._boxes.close(f"{life}-{kept.box}")
        name = f"{life}-{kept.new}"[:64]
        self._boxes.path(name).unlink(missing_ok=True)
        self._boxes.put(name, 0, kept.data)
        return self._boxes.path(name)

    async def _take(self, path: Path, kept: Kept) -> None:
        base = await asyncio.to_thread(self._hub.read_ref, ref_of(self._run_id, "base"))
        new = await take_in(hub_git(self._hub), path, (kept.new,), (base, kept.old))
        await asyncio.to_thread(self._hub.flush_names, new)

    async def _name(self, agent: str, life: str, kept: Kept) -> None:
        prefix = "left-" if kept.kind == "left" else ""
        async with self._naming:
            for _ in range(_TRIES):
                number = self._numbers.get(life, 0)
                if not number:
                    number = await asyncio.to_thread(self._next, agent)
                ref = agent_ref(self._run_id, agent, f"{prefix}g{number}")
                if await asyncio.to_thread(self._hub.move_ref, ref, kept.new, kept.old):
                    self._numbers[life] = number
                    return
                if life in self._numbers:
                    break
        raise WorkspaceError(f"what {agent} left could not be named in {self._hub.path}: it moved")

    def _next(self, agent: str) -> int:
        """A number that no process of that agent has had."""
        folder = self._hub.path / agent_ref(self._run_id, agent, "")
        indexes = (
            self._hub.path / "indexes" / folder.relative_to(self._hub.path / ref_of(self._run_id))
        )
        names = [p.name for place in (folder, indexes) if place.is_dir() for p in place.iterdir()]
        found = (re.fullmatch(r"(?:left-)?g(\d+)", name) for name in names)
        return max((int(match[1]) for match in found if match), default=0) + 1


def hub_git(hub: Hub) -> Git:
    """Git on a hub alone; it finds the objects, and the shallow edge, of what the hub builds on."""
    edge = hub.common_dir() / "shallow"
    env = (("GIT_SHALLOW_FILE", str(edge)),) if edge.exists() else ()
    return Git(work_tree=hub.path, git_dir=hub.path, env=env)
