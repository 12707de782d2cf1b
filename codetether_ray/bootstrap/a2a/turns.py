"""Turns that this process has going: one at a time for each context, any number beside each other.

Where there is a cluster a turn lives in a supervisor on the head and is followed here; otherwise
it lives in this process. Whoever listens hears every record from the moment of listening on.
"""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace

from codetether_ray.bootstrap.a2a import contexts, workspaces
from codetether_ray.bootstrap.a2a.asking import NEW_TURN, SAME_TURN, Asked, Terms
from codetether_ray.bootstrap.a2a.contexts import Context
from codetether_ray.bootstrap.a2a.grants import tools_of
from codetether_ray.bootstrap.a2a.peer_desk import session_tools
from codetether_ray.bootstrap.a2a.recorded import RECORDED, Recorded
from codetether_ray.bootstrap.agents import kept_process
from codetether_ray.bootstrap.session.home import SessionRequest, SessionResult
from codetether_ray.bootstrap.session.run import in_this_process, on_ray
from codetether_ray.bootstrap.truth import runs
from codetether_ray.bootstrap.truth.reach import Reach
from codetether_ray.core.errors import CodetetherError, RunBusyError, UsageError
from codetether_ray.core.events import Record
from codetether_ray.core.spec import TurnResult
from codetether_ray.ports.policy import Policy

_log = logging.getLogger(__name__)
_PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Between looks whether another process has done with the session."""
_MOST_HEARD = 20_000
"""Records that wait for one listener."""
_MOST_HERE = 32
"""Turns at once whose agents live in this process; the next ones wait."""
_MOST_FOLLOWED = 512
"""Turns at once whose agents live on the cluster, where admission is what bounds them."""
_MOST_WAITING = 10_000
_CLEAN_S = 6 * 3600.0


class Ear:
    """What one listener has not read yet."""

    def __init__(self) -> None:
        self._waiting: deque[Record] = deque()
        self._news = asyncio.Event()
        self._is_over = False
        self._is_lost = False

    def hear(self, record: Record) -> None:
        """One record more; who reads too slowly loses all."""
        if len(self._waiting) >= _MOST_HEARD:
            self._is_lost = True
            self._waiting.clear()
        elif not self._is_lost:
            self._waiting.append(record)
        self._news.set()

    def end(self) -> None:
        """There will be no more."""
        self._is_over = True
        self._news.set()

    async def records(self) -> AsyncIterator[Record]:
        """As they come, to the end.

        Raises:
            UsageError: they came faster than they were read.
        """
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self._is_lost:
                raise UsageError("events came faster than they were read; read on behind the last")
            if self._is_over:
                return
            self._news.clear()
            await self._news.wait()


@dataclass(eq=False, kw_only=True)
class Turn:
    """One message that is worked on."""

    asked: Asked
    context: Context | None = None
    """As it was opened; None before that."""
    is_begun: bool = False
    """Its run tells events."""
    work: "asyncio.Task[SessionResult] | None" = None
    ears: list[Ear] = field(default_factory=list)
    is_cancelled: bool = False
    is_left: bool = False

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end."""
        return self.work is not None and self.work.done()

    def listen(self) -> Ear:
        """Hear what happens from now on."""
        ear = Ear()
        if self.is_over:
            ear.end()
        self.ears.append(ear)
        return ear

    def deafen(self, ear: Ear) -> None:
        """Who listened has gone."""
        with suppress(ValueError):
            self.ears.remove(ear)

    def show(self, record: Record) -> None:
        """Tell everybody who listens."""
        self.is_begun = True
        for ear in self.ears:
            ear.hear(record)

    async def result(self) -> SessionResult:
        """How it ended; whoever waits for it may go.

        Raises:
            asyncio.CancelledError: it was left to others.
        """
        assert self.work is not None
        return await asyncio.shield(self.work)

    def cancel(self) -> None:
        """End it with the outcome `cancelled`."""
        if not self.is_cancelled and self.work is not None:
            self.is_cancelled = True
            self.work.cancel()

    def leave(self) -> None:
        """Let go of it: it goes on elsewhere, or is taken up."""
        if self.work is not None and not self.work.done():
            self.is_left = True
            if not self.is_cancelled:
                self.work.cancel()


class Turns:
    """The turns of one process; `open` begins, `close` lets go."""

    def __init__(self, reach: Reach, policy: Policy, terms: Terms) -> None:
        self._reach = reach
        self._policy = policy
        self._terms = terms
        self._locks: dict[tuple[str, str], _Lock] = {}
        self._going: set[Turn] = set()
        most = _MOST_HERE if reach.cluster is None else _MOST_FOLLOWED
        self._room = asyncio.Semaphore(most)
        self._closing = AsyncExitStack()
        self._cleaning: asyncio.Task[None] | None = None

    @property
    def reach(self) -> Reach:
        """Where the truth is."""
        return self._reach

    async def open(self) -> None:
        """Keep what the agents of this process share; remove old workspaces now and then."""
        await self._closing.enter_async_context(kept_process())
        self._cleaning = asyncio.create_task(self._clean())

    async def close(self) -> None:
        """Let go of every turn."""
        if self._cleaning is not None:
            self._cleaning.cancel()
        going = [turn for turn in self._going if turn.work is not None]
        for turn in going:
            turn.leave()
        await asyncio.gather(*(t.work for t in going if t.work), return_exceptions=True)
        await self._policy.close()
        await self._closing.aclose()

    def start(self, asked: Asked) -> Turn:
        """Begin a turn, after those of its context that were begun before."""
        turn = Turn(asked=asked)
        self._going.add(turn)
        turn.work = asyncio.create_task(self._work(turn), name=f"turn {asked.order}")
        turn.work.add_done_callback(lambda _: self._ended(turn))
        return turn

    def find(self, choose: Callable[[Turn], bool]) -> Turn | None:
        """The first turn going that is chosen."""
        return next((turn for turn in self._going if choose(turn)), None)

    def of_session(self, session_id: str) -> Turn | None:
        """The turn that is going in a session now."""
        return self.find(lambda turn: turn.context is not None and _is_of(turn, session_id))

    async def leavings(self, turn: Turn, *, with_patch: bool) -> workspaces.Yield:
        """What a turn that is over leaves for whoever asked.

        Raises:
            ClusterError: the head does not answer.
        """
        if turn.context is None:
            return workspaces.Yield()
        since = 0.0 if turn.asked.is_taken_up else turn.context.opened_at - 0.05
        left: workspaces.Yield = await self._reach.truth.ask(
            workspaces.TAKE, turn.context.directory, since, with_patch
        )
        return left

    # -- one turn ---------------------------------------------------------------------------------

    async def _work(self, turn: Turn) -> SessionResult:
        """The turn's result, whatever happens; cancelled alone where it was left."""
        try:
            if len(self._going) > _MOST_WAITING:
                raise UsageError(f"{_MOST_WAITING} messages wait here already; come again later")
            async with self._its_time(turn.asked.context), self._room:
                result = await self._done(turn)
            if turn.is_left and result.turn.outcome == "cancelled" and not turn.is_cancelled:
                raise asyncio.CancelledError  # nobody wished for that end: it is taken up
            return result
        except asyncio.CancelledError:
            if turn.is_left or not turn.is_cancelled:
                raise
            return _ending(turn, TurnResult(outcome="cancelled"))
        except CodetetherError as error:
            kind = type(error).__name__
            return _ending(turn, TurnResult(outcome="failed", error=str(error), error_kind=kind))
        except Exception:  # noqa: BLE001 - a turn ends, whatever ends it
            number = uuid.uuid4().hex
            _log.exception("a turn broke (%s)", number)
            words = f"something went wrong here; the server's log has it under {number}"
            return _ending(
                turn, TurnResult(outcome="failed", error=words, error_kind="InternalError")
            )

    async def _done(self, turn: Turn) -> SessionResult:
        asked, truth = turn.asked, self._reach.truth
        granted = await tools_of(self._policy.allows, asked.principal)
        context: Context = await truth.ask(contexts.OPEN, asked.context)
        offered = await session_tools(context.agent, truth)
        tools = tuple(name for name in offered if name in granted)
        if not tools:
            raise UsageError("your roles give an agent no tools; ask for `tools:read` at least")
        turn.context = context
        known: Recorded = await truth.ask(RECORDED, context.session_id, asked.order)
        if asked.is_taken_up and known.result is not None:
            return known.result
        if asked.is_taken_up and known.request is not None:
            request = await truth.ask(SAME_TURN, known.request, context, tools)
            return await self._free(turn, request)
        if asked.files:
            await truth.ask(workspaces.PUT, context.directory, asked.files)
        asked = replace(asked, files=())  # they lie in the inbox
        request = await truth.ask(NEW_TURN, asked, context, self._terms, tools, known.is_there)
        return await self._free(turn, request)

    async def _free(self, turn: Turn, request: SessionRequest) -> SessionResult:
        """Do it, once no other process is at the session."""
        pauses = iter(_PAUSES_S)
        pause = 0.0
        while True:
            try:
                if not (request.goes_on and self._reach.cluster is not None):
                    await self._reach.truth.ask(runs.REFUSE_BUSY, request.session_id)
                return await self._run(turn, request)
            except RunBusyError:
                if turn.is_begun:
                    raise
                pause = next(pauses, pause)
                await asyncio.sleep(pause)

    async def _run(self, turn: Turn, request: SessionRequest) -> SessionResult:
        if self._reach.cluster is None:
            return await in_this_process(request, turn.show)
        return await on_ray(
            *(request, self._reach, turn.show, _log.info, lambda: turn.is_left),
            with_keys=self._reach.truth.is_here,  # a replica elsewhere has none
        )

    def _its_time(self, context: Context) -> "_Held":
        key = context.owner, context.id
        lock = self._locks.setdefault(key, _Lock())
        return _Held(self._locks, key, lock)

    def _ended(self, turn: Turn) -> None:
        self._going.discard(turn)
        for ear in turn.ears:
            ear.end()
        if turn.work is not None and not turn.work.cancelled():
            turn.work.exception()

    async def _clean(self) -> None:
        while True:
            with suppress(CodetetherError):
                await self._reach.truth.ask(contexts.CLEAN, contexts.KEPT_S)
            await asyncio.sleep(_CLEAN_S)


@dataclass(slots=True)
class _Lock:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class _Held:
    """A context's turn to have a turn; the lock goes with its last user."""

    def __init__(
        self, locks: dict[tuple[str, str], _Lock], key: tuple[str, str], lock: _Lock
    ) -> None:
        self._locks, self._key, self._lock = locks, key, lock

    async def __aenter__(self) -> None:
        self._lock.users += 1
        try:
            await self._lock.lock.acquire()
        except BaseException:
            self._gone()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._lock.lock.release()
        self._gone()

    def _gone(self) -> None:
        self._lock.users -= 1
        if not self._lock.users:
            self._locks.pop(self._key, None)


def _is_of(turn: Turn, session_id: str) -> bool:
    return turn.context is not None and turn.context.session_id == session_id


def _ending(turn: Turn, result: TurnResult) -> SessionResult:
    context = turn.context or turn.asked.context
    return SessionResult(session_id=context.session_id, turn=result)
