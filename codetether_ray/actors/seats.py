"""A process that agents live in: one, or many of one run side by side; one run after another.

Each agent has a seat: its own journal, voice, budget, tree and cancel, under its own badge. What
the process has besides (variables, a bus, connections) is its run's. Between runs, and between
agents where it has one seat, the process is put back as it was, or is used no more.
"""

import asyncio
import importlib
import inspect
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from codetether_ray.actors.agent import Links, Post, Seat, resolve
from codetether_ray.actors.door import Badge
from codetether_ray.actors.forkserver import preload
from codetether_ray.actors.nodes import this_node
from codetether_ray.actors.pulse import Body, this_body
from codetether_ray.core import failpoints
from codetether_ray.core.errors import AgentLostError, ClusterError
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import AgentKind, AgentSpec, TurnResult
from codetether_ray.local.slate import Slate
from codetether_ray.ports.runtime import AgentStatus
from codetether_ray.telemetry.logs import log_to_stderr

_CLOSE_PATIENCE_S = 2.0
_BEAT_S = 0.5
_TITLE_S = 0.1
_CLOSE_PROCESS = "close_process"
"""What a wiring's module calls that closes what its agents share in a process."""


@dataclass(frozen=True, slots=True)
class Engagement:
    """A run that a process serves until it is reset."""

    id: str
    wiring: str
    links: Links
    is_away: bool
    """Whether the process is on another node than the run's supervisor."""


class Agents:
    """The class of the actor. It is made from nothing, so that it can be made before it is needed.

    Keeps true: it has agents of one engagement at a time; `reset` ends them.
    """

    def __init__(self) -> None:
        self._slate: Slate | None = None
        self._posts: dict[str, asyncio.Future[Post]] = {}
        self._engaged: Engagement | None = None
        self._seats: dict[str, Seat] = {}
        self._beat: asyncio.Task[None] | None = None
        self._beaten_at = 0.0
        self._titling: asyncio.TimerHandle | None = None
        self._watched_by: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return "Agents"

    async def outlive(self) -> None:
        """Never return: who waits for this learns when the process has died."""
        task = asyncio.current_task()
        assert task is not None
        self._watched_by.add(task)
        await asyncio.Event().wait()

    async def prepare(self) -> None:
        """Load what agents need, before the first one comes."""
        await asyncio.to_thread(preload.load_ours)
        self._clean_slate()

    # -- a run ------------------------------------------------------------------------------------

    def _engage(self, engagement: Engagement) -> None:
        """Serve a run from now on; turns of it that came first have waited."""
        log_to_stderr(node=this_node())
        slate = self._clean_slate()
        slate.begin()
        if not engagement.is_away:  # the driver's own machine
            slate.dress(dict(engagement.links.environ))
        failpoints.arm(os.environ, "agent")
        self._engaged = engagement
        self._beat = asyncio.create_task(self._keep_beating(), name="beat")
        post = self._post(engagement.id)
        try:
            wiring = resolve(engagement.wiring)
        except Exception as error:  # noqa: BLE001 - told to every agent that comes
            post.set_exception(ClusterError(f"{engagement.wiring} cannot be had: {error}"))
            return
        post.set_result(Post(engagement.links, wiring, is_away=engagement.is_away))

    async def reset(self) -> tuple[str, ...]:
        """End the engagement, put the process back as it was; what shows that it is not."""
        closed = await asyncio.gather(*map(self._closed, [*self._seats]))
        marks = [mark for mark in closed if mark]
        engaged, self._engaged = self._engaged, None
        if engaged is not None:
            with suppress(ClusterError):  # the supervisor may be gone, with all that was asked
                await (await self._post(engaged.id)).close()
            await _close_shared(engaged.wiring)
        self._posts.clear()
        if self._beat is not None:
            self._beat.cancel()
        failpoints.disarm()
        if self._titling is not None:
            self._titling.cancel()
        found = await self._clean_slate().wipe(self._watched_by)
        self._entitle()
        return (*marks, *found)

    # -- its agents -------------------------------------------------------------------------------

    async def turn(
        self,
        engagement: Engagement | str,
        spec: AgentSpec,
        badge: Badge,
        message: Message,
        *,
        is_new: bool = False,
    ) -> TurnResult:
        """Give an agent a turn; it takes its seat with the first one.

        The first turn of a run brings its engagement. `is_new`: nothing is journaled of the agent.
        """
        if isinstance(engagement, Engagement):
            self._engage(engagement)
            engagement = engagement.id
        post = await asyncio.shield(self._post(engagement))
        seat = self._seats.get(badge.token)
        if seat is None:
            seat = self._seats[badge.token] = Seat(spec, badge, post, is_new=is_new)
            self._entitle()
        return await seat.turn(message)

    async def cancel(self, token: str) -> None:
        """Cancel an agent's running turn, if any."""
        seat = self._seats.get(token)
        if seat is not None:
            await seat.cancel()

    async def leave(self, token: str) -> None:
        """Stop an agent's running turn, if any, after its present step."""
        seat = self._seats.get(token)
        if seat is not None:
            await seat.leave()

    async def status(self, token: str) -> AgentStatus:
        """What an agent is doing.

        Raises:
            AgentLostError: it is not here.
        """
        seat = self._seats.get(token)
        if seat is None:
            raise AgentLostError(token, "it has no seat in this process")
        return await seat.status()

    async def close(self, token: str) -> None:
        """Cancel an agent's turn, end its tools, publish what waits; its seat is free."""
        seat = self._seats.get(token)
        if seat is None:
            return
        await seat.close()
        self._seats.pop(token, None)
        self._entitle()
        self._clean_slate().tidy()

    async def close_all(self, tokens: Sequence[str]) -> None:
        """Free the seats of agents whose turns are over."""
        await asyncio.gather(*map(self.close, tokens))

    async def abandon(self, token: str) -> None:
        """End what can be ended of an agent that does not close; its neighbours go on."""
        seat = self._seats.pop(token, None)
        if seat is not None:
            await seat.abandon()

    # -- signs of life ----------------------------------------------------------------------------

    def is_stuck(self, lease_s: float) -> bool:
        """Whether one of several agents has kept the others waiting for a lease."""
        return len(self._seats) > 1 and time.monotonic() - self._beaten_at > lease_s

    async def _keep_beating(self) -> None:
        while True:
            self._beaten_at = time.monotonic()
            await asyncio.sleep(_BEAT_S)

    # -- within -----------------------------------------------------------------------------------

    def _entitle(self) -> None:
        """Show in the list of processes who lives here: Ray shows the class of its actor there."""
        seats = [*self._seats.values()]
        self.__class__ = _KINDS[seats[0].spec.kind] if len(seats) == 1 else Agents
        entitle(type(self).__name__)
        if self._titling is not None:
            self._titling.cancel()
        # A call that is under way ends with the name that it began with.
        name, loop = type(self).__name__, asyncio.get_running_loop()
        self._titling = loop.call_later(_TITLE_S, entitle, name)

    def _post(self, id: str) -> "asyncio.Future[Post]":
        if id not in self._posts:
            self._posts[id] = asyncio.get_running_loop().create_future()
        return self._posts[id]

    def _clean_slate(self) -> Slate:
        if self._slate is None:
            session = _session_folder()
            self._slate = Slate(session, ignored_files=(str(session),))
        return self._slate

    async def _closed(self, token: str) -> str:
        """What is wrong with a seat that cannot be closed."""
        seat = self._seats.pop(token, None)
        if seat is None:
            return ""
        with suppress(Exception):  # of whatever its turn was about; its caller has been told
            async with asyncio.timeout(_CLOSE_PATIENCE_S):
                await seat.close()
            return ""
        return "an agent that does not close"


class Agent(Agents):
    """While the agent of a session lives there."""


class Planner(Agents):
    """While a swarm's planner does."""


class SubAgent(Agents):
    """While one sub-agent does."""


class Resolver(Agents):
    """While a resolver of conflicts does."""


class Synthesis(Agents):
    """While the one does that answers a swarm's task."""


class Member(Agents):
    """While a member of a relay has its turn."""


class Aide(Agents):
    """While one does that answers a single question."""


_KINDS: MappingProxyType[AgentKind, type[Agents]] = MappingProxyType(
    {
        "main": Agent,
        "planner": Planner,
        "subagent": SubAgent,
        "resolver": Resolver,
        "synthesis": Synthesis,
        "member": Member,
        "aide": Aide,
    }
)


def beating(agents: Agents, lease_s: float) -> Body:
    """This process, asked in a thread of its own.

    Raises:
        AgentLostError: one of its agents keeps the others from going on.
    """
    if agents.is_stuck(lease_s):
        raise AgentLostError("pack", "one of its agents computes and lets no other go on")
    return this_body()


async def _close_shared(wiring: str) -> None:
    module = importlib.import_module(wiring.partition(":")[0])
    close = getattr(module, _CLOSE_PROCESS, None)
    if inspect.iscoroutinefunction(close):
        await cast("Callable[[], Awaitable[Any]]", close)()


def entitle(title: str) -> None:
    """Give this process a name in the list of processes, as Ray gives its own."""
    from ray._raylet import (  # type: ignore[attr-defined]  # noqa: PLC0415 - not public
        setproctitle,
    )

    setproctitle(f"ray::{title}")


def _session_folder() -> Path:
    """Where this node's Ray keeps its files: what is left there goes with it."""
    from ray._private import worker  # noqa: PLC0415 - Ray has no public call that tells it

    folder = Path(worker.global_worker.node.get_session_dir_path()) / "agents"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder.parent
