"""Starts agents as Ray actors."""

import asyncio
import itertools
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from codetether_ray.actors.agent import KINDS, Links
from codetether_ray.actors.calls import reason, translated
from codetether_ray.actors.cluster import NAMESPACE
from codetether_ray.actors.door import Badge, Door
from codetether_ray.actors.dossier import LEASE_S
from codetether_ray.actors.nodes import cluster_capacity, on_node, on_this_node
from codetether_ray.actors.processes import Process
from codetether_ray.actors.pulse import GROUPS, Pulse, asked
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

    Each process is let in at the run's door by a badge of its own. One that gives no sign of life
    for a lease is lost: its badge is taken back, then it is killed.
    """

    def __init__(
        self,
        wiring: str,
        links: Links,
        door: Door,
        *,
        lease_s: float = LEASE_S,
        note: Callable[[Process], None] | None = None,
        stays: bool = False,
    ) -> None:
        """Wire agents by the function that `wiring` names.

        `note` is told each process that was started here. `stays`: all agents live on this node,
        as those must whose files are here alone.
        """
        self._wiring = wiring
        self._links = links
        self._entry = door
        self._lease_s = lease_s
        self._note = note
        self._stays = stays
        self._name = secrets.token_hex(3)
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
                await process.pulse.identify()
            except RayError as error:
                await process.end()
                raise AgentLostError(spec.path, reason(error)) from error
            except BaseException:
                await process.end()
                raise
        body = process.pulse.body
        if self._note is not None and body is not None and body.process is not None:
            self._note(body.process)
        return process

    def _make(self, spec: AgentSpec, attempt: int) -> "RayProcess":
        is_leaf = "task" not in spec.tools
        tries = next(self._counter)
        badge = self._entry.admit(spec.path)
        try:
            actor = (
                ray.remote(concurrency_groups=dict(GROUPS))(KINDS[spec.kind])
                .options(
                    name=f"{spec.correlation.run_id} {spec.path} {attempt}.{self._name}{tries}",
                    namespace=NAMESPACE,
                    num_cpus=spec.cpus if is_leaf else 0,
                    memory=spec.memory_bytes if is_leaf and spec.memory_bytes else None,
                    max_restarts=0,
                    max_task_retries=0,
                    max_concurrency=_CALLS_AT_ONCE,
                    scheduling_strategy=self._place(spec),
                )
                .remote(spec, self._wiring, self._links, badge)
            )
        except (RayError, ValueError, RuntimeError) as error:
            raise AgentLostError(spec.path, reason(error)) from error
        pulse = Pulse(actor, self._lease_s)
        process = RayProcess(spec, actor, badge, self._entry, pulse, self._started.discard)
        self._started.add(process)
        return process

    def _place(self, spec: AgentSpec) -> Any:
        if spec.node:
            return on_node(spec.node)
        return on_this_node() if self._stays else "SPREAD"

    async def capacity(self) -> Capacity:
        """All nodes together, or this one if agents stay on it."""
        return await asyncio.to_thread(cluster_capacity, here_alone=self._stays)

    async def close(self) -> None:
        """End what was started."""
        await asyncio.gather(*(process.end() for process in tuple(self._started)))


class RayProcess:
    """One agent's actor."""

    def __init__(
        self,
        spec: AgentSpec,
        actor: Any,
        badge: Badge,
        door: Door,
        pulse: Pulse,
        on_end: Callable[["RayProcess"], None],
    ) -> None:
        self.actor = actor
        self.pulse = pulse
        self._spec = spec
        self._badge = badge
        self._door = door
        self._on_end = on_end
        self._is_idle = True
        self._is_ended = False

    async def turn(self, message: Message) -> TurnResult:
        """Give it a turn. Cancelling the caller cancels the turn.

        Raises:
            AgentLostError: its process died, could not be started, or hangs.
        """
        self._is_idle = False
        turn = asked(self.actor.turn.remote(message))
        silence = asyncio.create_task(self.pulse.silence())
        try:
            await asyncio.wait({turn, silence}, return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                self._is_idle = True  # a process that does not answer cannot be closed politely
                raise AgentLostError(
                    self._spec.path, f"it gave no sign of life for {self.pulse.lease_s:g} s"
                )
            result = self._answered(turn)
        except asyncio.CancelledError:
            await self.cancel()
            raise
        finally:
            turn.cancel()
            silence.cancel()
        self._is_idle = True
        return result

    def _answered(self, turn: "asyncio.Future[TurnResult]") -> TurnResult:
        try:
            return turn.result()
        except RayActorError as error:
            self._is_idle = True
            raise AgentLostError(self._spec.path, reason(error)) from error
        except RayError as error:
            raise translated(error, f"agent {self._spec.path}") from error

    async def cancel(self) -> None:
        """Cancel the running turn, if any; it ends with outcome `cancelled`."""
        with suppress(RayError):
            self.actor.cancel.remote()

    async def end(self) -> None:
        """End it and its tool processes. Idempotent.

        When it returns, nothing that the process wrote is still on its way to the journal.
        """
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
            try:
                await self._door.dismiss(self._badge)
            finally:
                self.pulse.kill()
