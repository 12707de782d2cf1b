"""A run that an agent of another one has started: in a supervisor beside its parent's."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codetether_ray.actors.dossier import Dossier, Job
from codetether_ray.actors.supervised import RaySupervisor
from codetether_ray.actors.world import World
from codetether_ray.core.codec import JsonObject
from codetether_ray.core.errors import RunLostError
from codetether_ray.journal.lease import LEASE_VARIABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What a child's supervisor is to do; see `Job`."""

    run_id: str
    function: str
    options: JsonObject
    data_dir: Path
    since: int = 0
    """How many records the run has."""


async def run_beside(world: World, errand: Errand) -> Any:
    """The plain result of a run in a supervisor beside this one, which is found again or made.

    It lasts as long as this one's run may. Cancelled, it is told to end, and its result awaited.

    Raises:
        CodetetherError: what the run raised.
        RunLostError: its supervisor is gone for good.
    """
    dossier = Dossier.of(errand.data_dir, errand.run_id)
    joined = RaySupervisor.join(errand.run_id, dossier) if dossier.is_open else None
    if joined is not None:
        with suppress(RunLostError):  # it was about to end with the supervisor that made it
            return await _result(world, joined)
    job = Job(
        function=errand.function,
        options=errand.options,
        environ=_environ(os.environ),
        lease_s=world.lease_s,
        since=errand.since,
        lasts=world.is_shared,
        brings_keys=world.is_far,
    )
    return await _result(world, RaySupervisor.start(errand.run_id, world.services, job, dossier))


async def _result(world: World, supervisor: RaySupervisor) -> Any:
    async def answer(question: Any) -> Any:
        """Keys are the driver's; nobody is asked anything else."""
        if isinstance(question, dict) and question.get("kind") == "secret":
            return await world.ask_driver(question)
        return False

    work = asyncio.create_task(supervisor.result(answer))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        supervisor.cancel()
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        return await work
    finally:
        if not work.done():
            work.cancel()
        supervisor.end()


def _environ(env: Mapping[str, str]) -> dict[str, str]:
    return {LEASE_VARIABLE: env[LEASE_VARIABLE]} if env.get(LEASE_VARIABLE) else {}
