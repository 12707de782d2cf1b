"""The bus across processes: one actor holds a `LocalBus`, each process talks to it once."""

import asyncio
import uuid
from collections import deque
from collections.abc import Sequence
from typing import Any

import ray

from codetether_ray.actors.calls import ask
from codetether_ray.core.errors import CodetetherError
from codetether_ray.local.bus import CAPACITY, MAX_PARKED_POLLS, LocalBus, to_batch
from codetether_ray.local.subscriptions import Subscription, Subscriptions
from codetether_ray.local.topiclog import Message
from codetether_ray.ports.bus import Batch, Cursor, Envelope

_BUS = "the bus actor"
_CALL_BYTES = 80_000
"""Of one call, either way: beyond 100 kB Ray takes the detour through its object store."""
_MESSAGE_OVERHEAD = 24
_MAX_WAITING_BYTES = 32_000_000
"""Unsent messages of a process; a publisher waits when there are more."""
_CONCURRENCY = 16_384
"""Calls that the actor admits; parked polls (at most a quarter of that) never fill it."""


class RayBus:
    """The bus port on the actor of a cluster.

    Keeps the order of one process's publishes (one call is under way at a time; what comes
    meanwhile rides the next one) and carries all subscriptions of the process on one parked poll.
    Bound to the event loop that first uses it.
    """

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self._outbox: deque[_Parcel] = deque()
        self._waiting_bytes = 0
        self._sender: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._name = uuid.uuid4().hex
        self._polls = 0
        self._subscriptions = Subscriptions(self)

    @classmethod
    def start(
        cls,
        *,
        capacity: int = CAPACITY,
        max_parked_polls: int = MAX_PARKED_POLLS,
        **options: Any,
    ) -> "RayBus":
        """Make the actor; `options` are Ray's (name, namespace, lifetime, get_if_exists …)."""
        remote = ray.remote(LocalBus).options(
            num_cpus=0, max_concurrency=_CONCURRENCY, max_restarts=-1, max_task_retries=0, **options
        )
        return cls(remote.remote(capacity, max_parked_polls=max_parked_polls))

    @classmethod
    def connect(cls, name: str, namespace: str) -> "RayBus":
        """Find the actor by its name."""
        return cls(ray.get_actor(name, namespace=namespace))

    async def publish(self, envelopes: Sequence[Envelope]) -> int:
        """Append a batch in order; return the offset of its last message."""
        while self._waiting_bytes > _MAX_WAITING_BYTES:
            await self._some_room()
        return await self.post(envelopes)

    def post(self, envelopes: Sequence[Envelope]) -> "asyncio.Future[int]":
        """`publish` at once, without waiting for room or for the answer."""
        parcel = _Parcel([(e.topic, e.sender, e.payload) for e in envelopes])
        self._outbox.append(parcel)
        self._waiting_bytes += parcel.size
        if self._sender is None:
            self._sender = asyncio.create_task(self._send(), name="bus-sender")
        return parcel.done

    async def _some_room(self) -> None:
        if self._drained is None:
            self._drained = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._drained)

    async def _send(self) -> None:
        try:
            while self._outbox:
                await self._send_one(self._take())
        finally:
            self._sender = None

    def _take(self) -> list["_Parcel"]:
        """The next parcels, as many as fit one call; at least one."""
        taken, room = [self._outbox.popleft()], _CALL_BYTES
        room -= taken[0].size
        while self._outbox and self._outbox[0].size <= room:
            taken.append(self._outbox.popleft())
            room -= taken[-1].size
        return taken

    async def _send_one(self, parcels: "list[_Parcel]") -> None:
        messages = parcels[0].messages
        if len(parcels) > 1:
            messages = [m for p in parcels for m in p.messages]
        try:
            last = await ask(self.actor.append.remote(messages), _BUS)
        except CodetetherError as error:
            for parcel in parcels:
                parcel.fail(error)
            return
        finally:
            self._waiting_bytes -= sum(p.size for p in parcels)
            if self._drained is not None and self._waiting_bytes <= _MAX_WAITING_BYTES // 2:
                drained, self._drained = self._drained, None
                drained.set_result(None)
        offset = last - len(messages)
        for parcel in parcels:
            offset += len(parcel.messages)
            parcel.succeed(offset)

    async def poll(
        self, patterns: Sequence[str], cursor: Cursor, *, limit: int = 1000, wait_s: float = 20.0
    ) -> Batch:
        """Messages from `cursor` on that match any pattern; wait up to `wait_s` for the first.

        Raises:
            TooManyPollsError: as many polls wait as may.
        """
        self._polls += 1
        reader = f"{self._name}-{self._polls}"
        reference = self.actor.wait_for.remote(
            tuple(patterns), cursor.epoch, cursor.offset, limit, wait_s, _CALL_BYTES, reader
        )
        try:
            return to_batch(await ask(reference, _BUS))
        except asyncio.CancelledError:
            self.actor.leave.remote(reader)
            raise

    async def cursor(self) -> Cursor:
        """The end of the log now."""
        cursor: Cursor = await ask(self.actor.cursor.remote(), _BUS)
        return cursor

    async def subscribe(
        self, patterns: Sequence[str], cursor: Cursor | None = None
    ) -> Subscription:
        """Messages from `cursor` (or now) on: `async for envelope in subscription`."""
        return await self._subscriptions.subscribe(patterns, cursor)

    async def aclose(self) -> None:
        """Send what waits, end subscriptions; the actor lives on."""
        await self._subscriptions.close()
        while self._sender is not None:
            await asyncio.wait([self._sender])


class _Parcel:
    """One publish on its way."""

    __slots__ = ("done", "messages", "size")

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages
        self.size = sum(len(t) + len(s) + len(p) for t, s, p in messages)
        self.size += _MESSAGE_OVERHEAD * len(messages)
        self.done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def succeed(self, offset: int) -> None:
        if not self.done.done():
            self.done.set_result(offset)

    def fail(self, error: CodetetherError) -> None:
        if not self.done.done():
            self.done.set_exception(error)
