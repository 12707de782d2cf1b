"""Starts agents in processes of their own, or packed into few: leased actors of Ray."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress

from ray.exceptions import RayError

from codetether_ray.actors.agent import Links
from codetether_ray.actors.calls import translated
from codetether_ray.actors.door import Badge, Door
from codetether_ray.actors.dossier import LEASE_S
from codetether_ray.actors.house import House, Tenancy
from codetether_ray.actors.losses import is_death, lost
from codetether_ray.actors.nodes import cluster_capacity, this_node
from codetether_ray.actors.pool import Leased, Leases, OwnLeases, PooledProcess
from codetether_ray.actors.processes import Process
from codetether_ray.actors.pulse import asked
from codetether_ray.core.errors import AgentLostError, ClusterError
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentSpec, TurnResult
from codetether_ray.ports.host import Capacity, Place
from codetether_ray.ports.pool import PoolTerms

_CLOSE_PATIENCE_S = 5.0
"""How long an interrupted agent may take to end its tools before its process is killed."""


class RayHost:
    """The host port: each agent has a seat in a process that is leased for this run.

    What agents may take is counted by admission; Ray is told of it only where an agent wants CPUs
    of its own: then it has a process of its own, which nobody else uses before or after.

    Each agent is let in at the run's door by a badge of its own. A process that gives no sign of
    life for a lease is lost with all that live in it: their badges are taken back, then it is
    killed.
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
        leases: Leases | None = None,
        pack: int = 1,
    ) -> None:
        """Wire agents by the function that `wiring` names.

        `note` is told each process that ends with this one. `stays`: agents whose spec names no
        node live on this one, as those must whose files are here alone. `pack`: how many agents
        may share a process.
        """
        self._tenancy = Tenancy(secrets.token_hex(6), wiring, links)
        self._entry = door
        self._lease_s = lease_s
        self._note = note
        self._stays = stays
        self._leases = leases or OwnLeases(PoolTerms())
        self._pack = pack
        self._houses: dict[tuple[str, str], list[House]] = {}
        self._noted: set[Process] = set()
        self._started: set[RayProcess] = set()

    async def start(self, spec: AgentSpec, *, attempt: int = 0) -> "RayProcess":
        """Give it a seat; it rebuilds itself from its journal when its turn begins."""
        # many are new at once; one that goes on, or a session's, has its history to read
        is_new = not attempt and spec.kind == "subagent" and await self._entry.is_new(spec.path)
        house = self._house(spec)
        try:
            leased = await house.opened()
        except (RayError, ClusterError, ValueError, RuntimeError) as error:
            self._leave(house, is_dead=True)
            raise lost(spec.path, error, spec.node) from error
        except BaseException:
            self._leave(house)
            raise
        self._note_down(leased)
        process = RayProcess(spec, house, leased, self._entry, self._left, is_new=is_new)
        self._started.add(process)
        return process

    def _house(self, spec: AgentSpec) -> House:
        """A process with a free seat, which is taken; a new one, where there is none."""
        node = spec.node or (this_node() if self._stays else "")
        key = (node, spec.principal)
        is_own = spec.cpus > 0 and "task" not in spec.tools
        houses = self._houses.setdefault(key, [])
        house = None if is_own else next((h for h in houses if h.has_room), None)
        if house is None:
            lease = self._dedicated(spec, node) if is_own else self._leases.lease(*key)
            seats = 1 if is_own else self._pack
            house = House(key, lease, self._tenancy, seats, self._lease_s, is_own=is_own)
            houses.append(house)
        house.take()
        return house

    async def _dedicated(self, spec: AgentSpec, node: str) -> Leased:
        made = await PooledProcess.start(node, num_cpus=spec.cpus, memory=spec.memory_bytes or None)
        return Leased(0, made.actor, made.body, made.host)

    def _left(self, process: "RayProcess", *, is_dead: bool) -> None:
        self._started.discard(process)
        self._leave(process.house, is_dead=is_dead)

    def _leave(self, house: House, *, is_dead: bool = False) -> None:
        house.leave(is_dead=is_dead)
        if house.is_dead or house.is_empty:
            houses = self._houses.get(house.key, [])
            if house in houses:
                houses.remove(house)
                self._let_go(house)

    def _let_go(self, house: House) -> None:
        house.close()
        leased = house.leased
        if leased is None:  # it is still awaited, or could not be had
            house.then(self._give_away)
        else:
            self._give_away(house, leased)

    def _give_away(self, house: House, leased: Leased) -> None:
        if leased.id and house.is_reusable:
            self._leases.give_back(leased, house.served)
        elif leased.id:
            self._leases.end(leased)
        else:
            PooledProcess(leased.actor, leased.body, leased.host).kill()

    def _note_down(self, leased: Leased) -> None:
        """Remember a process that ends with this one."""
        process = leased.body.process
        if self._note is None or process is None or self._leases.is_shared:
            return
        if process not in self._noted:
            self._noted.add(process)
            self._note(process)

    async def capacity(self) -> Capacity:
        """All nodes together, or this one if agents stay on it."""
        return await asyncio.to_thread(cluster_capacity, here_alone=self._stays)

    async def close(self) -> None:
        """End what was started."""
        await asyncio.gather(*(process.end() for process in tuple(self._started)))
        await self._leases.close()


class RayProcess:
    """One agent's seat."""

    def __init__(
        self,
        spec: AgentSpec,
        house: House,
        leased: Leased,
        door: Door,
        on_end: Callable[..., None],
        *,
        is_new: bool = False,
    ) -> None:
        """`is_new`: nothing is journaled of the agent."""
        self.house = house
        self.actor = leased.actor
        self.place = Place(
            node=leased.body.node,
            host=leased.host,
            process=leased.name,
            served=leased.served + house.served,
        )
        self._spec = spec
        self._door = door
        self._badge: Badge = door.admit(spec.path)
        self._on_end = on_end
        self._is_new = is_new
        self._is_idle = True
        self._is_dead = False
        self._is_ended = False

    async def turn(self, message: Message) -> TurnResult:
        """Give it a turn. Cancelling the caller cancels the turn.

        Raises:
            AgentLostError: its process died, could not be started, or hangs.
        """
        self._is_idle = False
        turn = asked(
            self.actor.turn.options(name=f"{self._spec.path} turn").remote(
                self.house.engagement, self._spec, self._badge, message, is_new=self._is_new
            )
        )
        self.house.is_engaged, self._is_new = True, False
        try:
            with self.house.listening() as silence:
                await asyncio.wait({turn, silence}, return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                self._is_dead = True  # a process that does not answer cannot be closed politely
                lease_s = self.house.lease_s
                raise AgentLostError(self._spec.path, f"it gave no sign of life for {lease_s:g} s")
            result = self._answered(turn)
        except asyncio.CancelledError:
            await self.cancel()
            raise
        finally:
            turn.cancel()
        self._is_idle = True
        return result

    def _answered(self, turn: "asyncio.Future[TurnResult]") -> TurnResult:
        try:
            return turn.result()
        except RayError as error:
            if not is_death(error):
                raise translated(error, f"agent {self._spec.path}") from error
            self._is_dead = True
            raise self._lost(error) from error

    def _lost(self, error: RayError) -> AgentLostError:
        pid = self.place.process.rpartition(":")[2]
        return lost(
            self._spec.path,
            error,
            self.place.node,
            pid=int(pid) if pid.isdigit() else 0,
            limit_bytes=self._spec.memory_bytes,
        )

    async def cancel(self) -> None:
        """Cancel the running turn, if any; it ends with outcome `cancelled`."""
        with suppress(RayError):
            self.actor.cancel.remote(self._badge.token)

    async def leave(self) -> None:
        """Have it stop after its present step; see `AgentProcess`."""
        with suppress(RayError):
            self.actor.leave.remote(self._badge.token)

    async def end(self) -> None:
        """End it and its tool processes. Idempotent.

        When it returns, nothing that the agent wrote is still on its way to the journal.
        """
        if self._is_ended:
            return
        self._is_ended = True
        is_closed = self._is_idle
        try:
            if not self._is_idle and not self._is_dead:
                is_closed = await self._closed()
        finally:
            try:
                await self._door.dismiss(self._badge)
            finally:
                self._leave(is_closed=is_closed)

    async def _closed(self) -> bool:
        with suppress(RayError, TimeoutError):
            async with asyncio.timeout(_CLOSE_PATIENCE_S):
                await self.actor.close.remote(self._badge.token)
            return True
        return False

    def _leave(self, *, is_closed: bool) -> None:
        """Free the seat; the process of one that does not close is used no more."""
        if not is_closed and not self._is_dead:
            self.house.retire()
            self.actor.abandon.remote(self._badge.token)
        elif is_closed and self.house.seats > 1:
            self.house.free(self._badge.token)
        self._on_end(self, is_dead=self._is_dead)
