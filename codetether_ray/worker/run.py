"""One worker at work: what the state machine says is done, and what happens is told to it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from codetether_ray.core.errors import CodetetherError
from codetether_ray.core.work import Ended, Worker
from codetether_ray.ports.clock import Clock
from codetether_ray.worker import loop
from codetether_ray.worker.backoff import Backoff
from codetether_ray.worker.client import PlatformClient, PlatformError
from codetether_ray.worker.cognition import Cognition
from codetether_ray.worker.offers import Offer, told_by_event
from codetether_ray.worker.printing import Printer

Say = Callable[[str], None]
Do = Callable[[Offer, Say], Awaitable[Ended]]
"""Does a task to its end. Cancelled, it stops what it began and still gives how that ended."""
_FLUSH_S, _LAST_FLUSH_S = 600.0, 5.0
"""How long a task's last output may take to arrive; the same where the worker stops."""
_PARTING_S = 15.0
"""How long a worker that stops tries to hand back what is left, beyond its grace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often a worker does what; seconds."""

    poll_s: float = 30.0
    heartbeat_s: float = 30.0
    """At most; three times in a lease, where the platform says how long that is."""
    grace_s: float = 20.0
    """For tasks to end by themselves once the worker was asked to stop."""
    first_wait_s: float = 0.5
    most_wait_s: float = 30.0


class WorkerRun:
    """Takes tasks from a platform and does them, until it is stopped."""

    def __init__(
        self,
        me: Worker,
        client: PlatformClient,
        do: Do,
        *,
        limit: int,
        clock: Clock,
        notice: Say,
        rhythm: Rhythm | None = None,
        cognition: Cognition | None = None,
    ) -> None:
        self.me = me
        self.is_connected = False
        """Whether the platform's stream is open."""
        self._client, self._do, self._clock, self._notice = client, do, clock, notice
        self._rhythm = rhythm or Rhythm()
        self._cognition = cognition
        self._state = loop.State(me=me, limit=limit)
        self._happened: asyncio.Queue[loop.Happening] = asyncio.Queue()
        self._doing: dict[str, asyncio.Task[None]] = {}
        self._others: set[asyncio.Task[None]] = set()
        self._poll_now = asyncio.Event()
        self._beat_now = asyncio.Event()
        self._beat_s = self._rhythm.heartbeat_s
        self._last_id = ""
        self._gives_up = False
        self._stopping = asyncio.Event()

    @property
    def active(self) -> tuple[str, ...]:
        """The tasks that are done now."""
        return tuple(self._state.running)

    async def work(self) -> None:
        """Take and do tasks until `stop`, and what it leaves, is done.

        Raises:
            PlatformError: the platform does not want this worker at all.
        """
        if not await self._came_in():
            return
        lasting = [
            asyncio.create_task(work(), name=name)
            for name, work in (
                ("stream", self._following), ("poll", self._polling), ("heartbeat", self._beating)
            )
        ]  # fmt: skip
        try:
            while await self._goes_on():
                pass
        finally:
            self.is_connected = False
            await _ended([*lasting, *self._doing.values(), *self._others])

    def stop(self) -> None:
        """Take nothing new; leave once what is under way has ended, or was released."""
        self._stopping.set()
        self._tell(loop.StopAsked())
        self._aside(self._grace())

    def look(self) -> None:
        """Ask the platform for tasks now."""
        self._poll_now.set()

    # -- the machine ------------------------------------------------------------------------------

    async def _goes_on(self) -> bool:
        """Take in one thing that happened; whether there is more to do."""
        self._state, actions = loop.step(self._state, await self._happened.get())
        for action in actions:
            match action:
                case loop.Claim(offer):
                    self._aside(self._claim(offer))
                case loop.Begin(offer, lease):
                    task = asyncio.create_task(self._done(offer, lease), name=f"task {offer.id}")
                    self._doing[offer.id] = task
                case loop.Stop(id):
                    if id in self._doing:  # else it has ended, and that is told already
                        self._doing[id].cancel()
                case loop.GiveBack(id, lease, ended):
                    self._aside(self._give_back(id, lease, ended))
                case loop.Leave():
                    return False
        return True

    def _tell(self, happening: loop.Happening) -> None:
        self._happened.put_nowait(happening)

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    # -- what it says to do -----------------------------------------------------------------------

    async def _claim(self, offer: Offer) -> None:
        try:
            lease = await self._client.claim(offer.id)
        except PlatformError as error:
            if error.status not in (404, 409):
                self._notice(str(error))
            self._tell(loop.NotClaimed(offer.id))
        else:
            self._tell(loop.Claimed(offer, lease))

    async def _done(self, offer: Offer, lease: int | None) -> None:
        """Do a task; its output has arrived when its end is told to the machine."""
        printer = Printer(
            lambda seq, text: self._client.output(offer.id, lease, seq, text),
            self._clock,
            lambda: self._tell(loop.LeaseLost(offer.id)),
        )
        try:
            ended = await self._do(offer, printer.say)
        except asyncio.CancelledError:
            ended = Ended(status="cancelled")
        except CodetetherError as error:
            ended = Ended(status="failed", error=str(error))
        except Exception as error:  # noqa: BLE001 - the task failed; the worker does others
            self._notice(f"task {offer.id} broke: {type(error).__name__}: {error}")
            ended = Ended(status="failed", error=f"{type(error).__name__}: {error}")
        with suppress(asyncio.CancelledError):  # told to stop when it had ended
            await printer.finish(_LAST_FLUSH_S if self._state.is_stopping else _FLUSH_S)
        del self._doing[offer.id]
        self._tell(loop.Finished(offer.id, ended))

    async def _give_back(self, id: str, lease: int | None, ended: Ended) -> None:
        """Tell the platform until it knows; who is refused has nothing more to say."""
        backoff = Backoff(0.2, 10.0)
        while True:
            try:
                await self._client.release(id, lease, ended)
            except PlatformError as error:
                if error.is_final or self._gives_up:
                    self._notice(f"{error}; task {id} is left to the platform")
                    break
                await self._clock.sleep(backoff.next_s())
            else:
                break
        self._tell(loop.GivenBack(id))
        if not self._state.waiting:
            self._poll_now.set()

    async def _grace(self) -> None:
        await self._clock.sleep(self._rhythm.grace_s)
        self._tell(loop.GraceOver())
        await self._clock.sleep(_PARTING_S)
        self._gives_up = True

    # -- what lasts -------------------------------------------------------------------------------

    async def _came_in(self) -> bool:
        """Register for the first time; False where the worker was stopped before it could.

        Raises:
            PlatformError: the platform does not want this worker.
        """
        registering = asyncio.create_task(self._registered(is_first=True))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({registering, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if registering.done():
                registering.result()
            return registering.done()
        finally:
            await _ended([registering, stopping, *self._others])

    async def _registered(self, *, is_first: bool = False) -> None:
        """Register, again until it works.

        Raises:
            PlatformError: the first time, what a repetition would not change.
        """
        backoff = Backoff(self._rhythm.first_wait_s, self._rhythm.most_wait_s)
        told = ""
        while True:
            try:
                await self._client.register()
            except PlatformError as error:
                if is_first and error.is_final:
                    raise
                if str(error) != told:
                    told = str(error)
                    self._notice(f"{told}; it is tried again")
                await self._clock.sleep(backoff.next_s())
            else:
                return

    async def _following(self) -> None:
        """Keep the stream open; it is opened again where the last event that came is told."""
        backoff = Backoff(self._rhythm.first_wait_s, self._rhythm.most_wait_s)
        while True:
            try:
                await self._followed(backoff)
            except PlatformError as error:
                self._notice(f"{error}; it is opened again")
                if error.status == 404:
                    await self._registered()
            self.is_connected = False
            await self._clock.sleep(backoff.next_s())

    async def _followed(self, backoff: Backoff) -> None:
        async with aclosing(self._client.stream(self._last_id)) as stream:
            async for told in stream:
                if told is None:
                    self.is_connected = True
                    backoff.reset()
                    self._poll_now.set()
                    continue
                self._last_id = told.id or self._last_id
                offer, cancelled = told_by_event(told.event, told.data)
                if offer is not None:
                    self._tell(loop.Offered(offer))
                if cancelled:
                    self._tell(loop.CancelAsked(cancelled))

    async def _polling(self) -> None:
        """Ask now and then, in case the stream told nothing."""
        while True:
            await _first(self._clock.sleep(self._rhythm.poll_s), self._poll_now.wait())
            self._poll_now.clear()
            try:
                self._tell(loop.Polled(await self._client.pending()))
            except PlatformError as error:
                self._notice(str(error))

    async def _beating(self) -> None:
        """Say that the worker lives, whether or not the stream is open: its leases hang on it."""
        while True:
            try:
                await self._beat()
            except PlatformError as error:
                if error.status == 404:
                    await self._registered()
                    continue
                self._notice(str(error))
            await _first(self._clock.sleep(self._beat_s), self._beat_now.wait())
            self._beat_now.clear()

    async def _beat(self) -> None:
        active = self._state.held
        shared = await self._cognition.shared() if self._cognition is not None else None
        try:
            heard = await self._client.heartbeat(active, shared)
        except PlatformError as error:
            if shared is None or not error.is_final or error.status in (401, 404):
                raise
            heard = await self._client.heartbeat(active, None)
            if self._cognition is not None:
                self._cognition.suspend()
        if heard.lease_s:
            self._beat_s = min(self._rhythm.heartbeat_s, heard.lease_s / 3)
        for id in heard.cancelled:
            self._tell(loop.CancelAsked(id))
        for id in heard.lost:
            self._tell(loop.LeaseLost(id))


async def _first(*works: Coroutine[Any, Any, Any]) -> None:
    """Return when one of them has; the others are cancelled."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _ended(tasks)


async def _ended(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
