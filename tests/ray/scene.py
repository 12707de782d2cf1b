"""A supervised run of a test: started, watched, its processes found."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray.exceptions import RayError

from codetether_ray.actors import processes
from codetether_ray.actors.dossier import Dossier, Job
from codetether_ray.actors.pulse import Body, this_body
from codetether_ray.actors.services import Services
from codetether_ray.actors.supervised import RaySupervisor, find
from codetether_ray.core.events import AgentPlaced
from codetether_ray.core.ids import new_run_id
from codetether_ray.journal.reader import read_records


async def _no(_: object) -> bool:
    return False


@dataclass(kw_only=True)
class Supervised:
    """One run. `lost` holds what was told of its supervisor's restarts."""

    run_id: str
    services: Services
    folder: Path
    dossier: Dossier
    supervisor: RaySupervisor | None = None
    lost: list[str] = field(default_factory=list)

    def start(self, function: str, options: object, **terms: Any) -> None:
        job = Job(function=function, options=options, **terms)
        self.supervisor = RaySupervisor.start(self.run_id, self.services, job, self.dossier)

    async def result(self, ask: Callable[[Any], Awaitable[Any]] = _no) -> Any:
        assert self.supervisor is not None
        return await self.supervisor.result(ask, self.lost.append)

    async def run(self, function: str, options: object, **terms: Any) -> Any:
        self.start(function, options, **terms)
        return await self.result()

    async def body(self, of: str) -> Body:
        """The process of the supervisor, or of the agent at a path, as soon as there is one."""
        while True:
            found = self._placed(of) if of != "supervisor" else await self._supervisor()
            if found is not None:
                return found
            await asyncio.sleep(0.05)

    async def _supervisor(self) -> Body | None:
        actor = find(self.run_id)
        try:
            return None if actor is None else await actor.__ray_call__.remote(this_body)
        except RayError:
            return None

    async def heard(self) -> None:
        """Return when who follows the run has heard of its supervisor's process."""
        assert self.supervisor is not None
        while self.supervisor._body is None:  # what nobody knew is not missed, so not told
            await asyncio.sleep(0.02)

    def pids(self) -> set[int]:
        """The processes that its agents have lived in."""
        kinds = {AgentPlaced.tag}
        return {
            int(record.event.process.rpartition(":")[2])
            for directory in self.folder.rglob(f"events/{self.run_id}")
            for record in read_records(directory.parents[1], self.run_id, kinds=kinds)
            if isinstance(record.event, AgentPlaced)
        }

    def _placed(self, agent: str) -> Body | None:
        """Where the agent's latest life is, as its journal tells."""
        kinds = {AgentPlaced.tag}
        for directory in self.folder.rglob(f"events/{self.run_id}"):
            lives = [
                record.event
                for record in read_records(directory.parents[1], self.run_id, kinds=kinds)
                if record.agent == agent and isinstance(record.event, AgentPlaced)
            ]
            if lives:
                pid = int(lives[-1].process.rpartition(":")[2])
                return Body(lives[-1].node, processes.find(pid))
        return None

    async def signal(self, of: str, number: signal.Signals) -> int:
        """Signal the process of the supervisor or of an agent; its pid."""
        pid = (await self.body(of)).process.pid
        os.kill(pid, number)
        return pid


@contextmanager
def supervised(services: Services, folder: Path) -> Iterator[Supervised]:
    run_id = new_run_id("swarm")
    dossier = Dossier.of(folder, run_id)
    scene = Supervised(run_id=run_id, services=services, folder=folder, dossier=dossier)
    try:
        yield scene
    finally:
        if scene.supervisor is not None:
            scene.supervisor.end()


async def gone(pid: int) -> None:
    """Return when a process has ended; Ray tells it to, and does not wait."""
    async with asyncio.timeout(180):
        while is_running(pid):
            await asyncio.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
