"""Processes of agents that are used again, on Ray: within one supervisor, or for all of a cluster.

On a private Ray the pool is its supervisor's, and ends with it. On a shared cluster an actor on the
head's node owns the processes, so that they outlive the runs that they serve.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast

import ray
from ray.exceptions import ActorUnavailableError, RayError

from codetether_ray import __version__
from codetether_ray.actors.calls import translated
from codetether_ray.actors.classes import made_remote
from codetether_ray.actors.cluster import NAMESPACE
from codetether_ray.actors.node import head_node
from codetether_ray.actors.nodes import on_node, this_node
from codetether_ray.actors.pulse import Body, Pulse, plain, this_body
from codetether_ray.actors.seats import Agents
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.pool import Member, Pool, Wish
from codetether_ray.ports.pool import PoolTerms

_CALLS_AT_ONCE = 4_000
"""Of one process of agents: one turn each, and what is asked beside."""
_LEASES_AT_ONCE = 10_000
_PAUSE_S = 0.2
_RESET_PATIENCE_S = 10.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Leased:
    """A process that its holder may use. A value, with a handle in it."""

    id: int
    """In its pool; 0: of no pool."""
    actor: Any
    body: Body
    host: str
    served: int = 0

    @property
    def name(self) -> str:
        """Told from all other processes of a run."""
        process = self.body.process
        return f"{self.host}:{process.pid if process else '?'}"


class Leases(Protocol):
    """Where a host has its processes from."""

    is_shared: bool
    """Whether they outlive who leases them."""

    async def lease(self, node: str, principal: str) -> Leased:
        """A process on a node, for one principal.

        Raises:
            RayError, ClusterError: none can be had.
        """
        ...

    def give_back(self, leased: Leased, agents: int) -> None:
        """It has served so many agents, none of which is left in it."""
        ...

    def end(self, leased: Leased) -> None:
        """End it, whatever state it is in."""
        ...

    async def close(self) -> None:
        """Give everything back."""
        ...


class PooledProcess:
    """An actor of agents as a pool sees it."""

    def __init__(self, actor: Any, body: Body, host: str) -> None:
        self.actor = actor
        self.body = body
        self.host = host

    @classmethod
    async def start(cls, node: str, **options: Any) -> "PooledProcess":
        """Make the actor and wait until its process is up; `options` are Ray's.

        Raises:
            RayError: it died, or could not be started.
        """
        actor = (
            made_remote(Agents)
            .options(
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=_CALLS_AT_ONCE,
                scheduling_strategy=on_node(node) if node else "SPREAD",
                **{"num_cpus": 0, **options},
            )
            .remote()
        )
        pulse = Pulse(actor, 1.0, None, _introduced)
        try:
            body, host = cast("Any", await pulse.identified())
        except BaseException:
            with suppress(RayError, ValueError):
                ray.kill(actor)
            raise
        return cls(actor, body, host)

    async def prepare(self) -> None:
        """Have it load what agents need."""
        await plain(self.actor.prepare.remote())

    async def reset(self) -> bool:
        """Put it back as it was; False where something shows that it is not."""
        async with asyncio.timeout(_RESET_PATIENCE_S):
            marks = await plain(self.actor.reset.remote())
        if marks:
            _log.warning("a process of agents is ended: %s", ", ".join(marks))
        return not marks

    def kill(self) -> None:
        """End it at once."""
        self.body.kill()
        with suppress(RayError, ValueError):
            ray.kill(self.actor)

    async def gone(self) -> None:
        """Return when it is no more."""
        while True:
            try:
                await plain(self.actor.outlive.remote())
            except ActorUnavailableError:
                await asyncio.sleep(_PAUSE_S)
            except RayError:
                return


def _introduced(_: object) -> Any:
    """The process, and the name of its host. Called there."""
    return this_body(), socket.gethostname()


def pool_of_processes(terms: PoolTerms) -> "Pool[PooledProcess]":
    """A pool in this process, which owns what it makes."""
    return Pool(PooledProcess.start, SystemClock(), terms, home=this_node())


def _leased(member: Member[PooledProcess]) -> Leased:
    process = member.process
    return Leased(member.id, process.actor, process.body, process.host, member.served)


class OwnLeases:
    """Of a pool within this process."""

    is_shared = False

    def __init__(self, terms: PoolTerms) -> None:
        self.pool = pool_of_processes(terms)
        self.pool.warm()

    async def lease(self, node: str, principal: str) -> Leased:
        """See `Leases`."""
        wish = Wish(node=node, principal=principal, holder="here")
        return _leased(await self.pool.lease(wish))

    def give_back(self, leased: Leased, agents: int) -> None:
        """See `Leases`."""
        self.pool.give_back(leased.id, agents=agents)

    def end(self, leased: Leased) -> None:
        """See `Leases`."""
        self.pool.end(leased.id)

    async def close(self) -> None:
        """End them all."""
        await self.pool.close()


class PoolActor:
    """The class of a cluster's pool; `SharedLeases` is its client."""

    def __init__(self, terms: PoolTerms) -> None:
        self._pool = pool_of_processes(terms)
        self._holders: dict[str, asyncio.Task[None]] = {}
        self._pool.warm()

    def __repr__(self) -> str:
        return f"Pool({len(self._pool)} processes)"

    async def lease(self, wish: Wish, holder: Any) -> Leased:
        """A process for `holder`, an actor with whose process its lease ends."""
        if wish.holder not in self._holders:
            self._holders[wish.holder] = asyncio.create_task(self._mind(wish.holder, holder))
        return _leased(await self._pool.lease(wish))

    async def give_back(self, id: int, agents: int) -> None:
        """See `Pool`."""
        self._pool.give_back(id, agents=agents)

    async def end(self, id: int) -> None:
        """See `Pool`."""
        self._pool.end(id)

    async def succeed(self, run_id: str, holder: str) -> int:
        """End what earlier lives of a run's supervisor hold; how many processes there were."""
        return self._pool.expel_all(f"{run_id} ", but=holder)

    async def warm(self, count: int) -> int:
        """Have so many processes ready here; return how many are."""
        self._pool.warm(count)
        await self._pool.warmed()
        return self._pool.idle

    async def stand(self) -> dict[str, int]:
        """How many processes there are, and how many of them wait."""
        return {"processes": len(self._pool), "idle": self._pool.idle}

    async def _mind(self, name: str, holder: Any) -> None:
        """End what a holder has when its process has died."""
        try:
            with suppress(RayError):
                await plain(holder.outlive.remote())
            self._pool.expel(name)
        finally:
            self._holders.pop(name, None)


class SharedLeases:
    """Of a cluster's pool, for one life of a run's supervisor."""

    is_shared = True

    def __init__(self, actor: Any, holder: str, me: Any) -> None:
        """`holder` names this life: the run's id, a space, and what tells it from another."""
        self.actor = actor
        self._holder = holder
        self._me = me

    async def lease(self, node: str, principal: str) -> Leased:
        """See `Leases`."""
        wish = Wish(node=node, principal=principal, holder=self._holder)
        leased: Leased = await self._asked(lambda: self.actor.lease.remote(wish, self._me))
        return leased

    def give_back(self, leased: Leased, agents: int) -> None:
        """See `Leases`."""
        self.actor.give_back.remote(leased.id, agents)

    def end(self, leased: Leased) -> None:
        """See `Leases`."""
        PooledProcess(leased.actor, leased.body, leased.host).kill()
        self.actor.end.remote(leased.id)

    async def succeed(self) -> None:
        """See that nothing of an earlier life goes on beside this one."""
        run_id = self._holder.partition(" ")[0]
        await self._asked(lambda: self.actor.succeed.remote(run_id, self._holder))

    async def close(self) -> None:
        """What is leased was given back or ended by its host."""

    async def _asked(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        while True:
            try:
                return await plain(ask())
            except ActorUnavailableError:  # it is started again
                await asyncio.sleep(_PAUSE_S)
            except RayError as error:
                raise translated(error, "the pool of processes") from error


def shared_pool(terms: PoolTerms | None = None) -> Any:
    """The cluster's pool, on the head's node; made if there is none.

    Raises:
        ClusterError: the cluster has no head.
    """
    return (
        made_remote(PoolActor)
        .options(
            name=f"pool {__version__}",
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=_LEASES_AT_ONCE,
            scheduling_strategy=on_node(head_node()),
        )
        .remote(terms or PoolTerms())
    )
