"""The bus across processes: one actor holds a `LocalBus`, each process talks to it once."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import ray

from codetether_ray.actors.calls import ask
from codetether_ray.actors.classes import made_remote
from codetether_ray.actors.outbox import CALL_BYTES, Outbox
from codetether_ray.local.bus import CAPACITY, MAX_PARKED_POLLS, LocalBus, to_batch
from codetether_ray.local.subscriptions import Subscription, Subscriptions
from codetether_ray.local.topiclog import Message
from codetether_ray.ports.bus import Batch, Cursor, Envelope

_BUS = "the bus actor"
_MESSAGE_OVERHEAD = 24
"""Bytes that a message costs beside its texts."""
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
        self._outbox: Outbox[list[Message], int] = Outbox(self._append)
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
        remote = made_remote(LocalBus).options(
            num_cpus=0,
            max_concurrency=_CONCURRENCY,
            max_restarts=-1,
            max_task_retries=-1,
            **options,
        )
        return cls(remote.remote(capacity, max_parked_polls=max_parked_polls))

    @classmethod
    def connect(cls, name: str, namespace: str) -> "RayBus":
        """Find the actor by its name."""
        return cls(ray.get_actor(name, namespace=namespace))

    async def publish(self, envelopes: Sequence[Envelope]) -> int:
        """Append a batch in order; return the offset of its last message."""
        await self._outbox.room()
        return await self.post(envelopes)

    def post(self, envelopes: Sequence[Envelope]) -> "asyncio.Future[int]":
        """`publish` at once, without waiting for room or for the answer."""
        messages = [(e.topic, e.sender, e.payload) for e in envelopes]
        size = sum(len(t) + len(s) + len(p) for t, s, p in messages)
        return self._outbox.post(messages, size + _MESSAGE_OVERHEAD * len(messages))

    async def _append(self, parcels: Sequence[list[Message]]) -> list[int]:
        """Publish the messages of several publishes in one call; the last offset of each."""
        messages = [m for parcel in parcels for m in parcel]
        offset = await ask(self.actor.append.remote(messages), _BUS) - len(messages)
        return [offset := offset + len(parcel) for parcel in parcels]

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
            tuple(patterns), cursor.epoch, cursor.offset, limit, wait_s, CALL_BYTES, reader
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
        await self._outbox.flush()
