"""Starts agents as Ray actors."""

import asyncio
import itertools
import os
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from codetether_ray.actors.agent import KINDS, Links
from codetether_ray.actors.calls import reason, translated
from codetether_ray.actors.cluster import NAMESPACE
from codetether_ray.actors.nodes import cluster_capacity, on_this_node
from codetether_ray.core.errors import AgentLostError
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.ports.host import Capacity

_CALLS_AT_ONCE = 16
_CLOSE_PATIENCE_S = 5.0
"""How long an interrupted agent may take to end its tools before its process is killed."""
_STARTS_PER_CPU = 2
"""Processes that start at once. A start is a second of CPU: a hundred at once all take a minute,
and none gives its memory back meanwhile; a few at a time are done by then."""


class RayHost:
    """The host port: each agent is an actor, owned by (and ended with) the process of this host.

    An agent that can have children reserves nothing in Ray: while it waits its permit is lent,
    and a reservation of Ray's cannot be. Leaves reserve what they were admitted with.
    """

    def __init__(self, wiring: str, links: Links, *, stays: bool = False) -> None:
        """Wire agents by the function that `wiring` names.

        `stays`: all agents live on this node, as those must whose files are here alone.
        """
        self._wiring = wiring
        self._links = links
        self._stays = stays
        self._counter = itertools.count(1)
        self._started: set[RayProcess] = set()
        self._door = asyncio.Semaphore(_STARTS_PER_CPU * len(os.sched_getaffinity(0)))

    async def start(self, spec: AgentSpec, *, attempt: int = 0) -> "RayProcess":
        """Make the actor and wait until its process is up; few start at once.

        It rebuilds itself from its journal when its turn begins.
        """
        async with self._door:
            process = self._make(spec, attempt)
            try:
                await process.actor.__ray_ready__.remote()
            except RayError as error:
                await process.end()
                raise AgentLostError(spec.path, reason(error)) from error
            except BaseException:
                await process.end()
                raise
        return process

    def _make(self, spec: AgentSpec, attempt: int) -> "RayProcess":
        is_leaf = "task" not in spec.tools
        tries = next(self._counter)
        try:
            actor = (
                ray.remote(KINDS[spec.kind])
                .options(
                    name=f"{spec.correlation.run_id} {spec.path} {attempt}.{tries}",
                    namespace=NAMESPACE,
                    num_cpus=spec.cpus if is_leaf else 0,
                    memory=spec.memory_bytes if is_leaf and spec.memory_bytes else None,
                    max_restarts=0,
                    max_task_retries=0,
                    max_concurrency=_CALLS_AT_ONCE,
                    scheduling_strategy=on_this_node() if self._stays else "SPREAD",
                )
                .remote(spec, self._wiring, self._links)
            )
        except (RayError, ValueError, RuntimeError) as error:
            raise AgentLostError(spec.path, reason(error)) from error
        process = RayProcess(spec, actor, self._started.discard)
        self._started.add(process)
        return process

    async def capacity(self) -> Capacity:
        """All nodes together, or this one if agents stay on it."""
        return await asyncio.to_thread(cluster_capacity, here_alone=self._stays)

    async def close(self) -> None:
        """End what was started."""
        await asyncio.gather(*(process.end() for process in tuple(self._started)))


class RayProcess:
    """One agent's actor."""

    def __init__(self, spec: AgentSpec, actor: Any, on_end: Any) -> None:
        self.actor = actor
        self._spec = spec
        self._on_end = on_end
        self._is_idle = True
        self._is_ended = False

    async def turn(self, message: Message) -> TurnResult:
        """Give it a turn. Cancelling the caller cancels the turn.

        Raises:
            AgentLostError: its process died, or could not be started.
        """
        self._is_idle = False
        try:
            result: TurnResult = await self.actor.turn.remote(message)
        except RayActorError as error:
            raise AgentLostError(self._spec.path, reason(error)) from error
        except RayError as error:
            raise translated(error, f"agent {self._spec.path}") from error
        except asyncio.CancelledError:
            await self.cancel()
            raise
        self._is_idle = True
        return result

    async def cancel(self) -> None:
        """Cancel the running turn, if any; it ends with outcome `cancelled`."""
        with suppress(RayError):
            self.actor.cancel.remote()

    async def end(self) -> None:
        """End it and its tool processes. Idempotent."""
        if self._is_ended:
            return
        self._is_ended = True
        self._on_end(self)
        try:
            if not self._is_idle:
                with suppress(RayError, TimeoutError):
                    async with asyncio.timeout(_CLOSE_PATIENCE_S):
                        await self.actor.close.remote()
        finally:
            with suppress(RayError):
                ray.kill(self.actor)
