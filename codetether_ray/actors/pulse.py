"""Whether an actor's process still gives signs of life: one that is stopped or hangs gives none.

The question is answered by a thread of its own in the actor, so one that computes is alive.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar, cast

import ray
from ray.exceptions import RayError

from codetether_ray.actors import processes
from codetether_ray.actors.nodes import this_node
from codetether_ray.actors.processes import Process

T = TypeVar("T")

_GROUP = "pulse"
GROUPS = MappingProxyType({_GROUP: 2})
"""For `ray.remote(concurrency_groups=…)` of every class whose actors are watched."""
_LOOKS = 3
"""Looks in a row that find nothing. Who was stopped itself, and wakes up, misses one at most."""


@dataclass(frozen=True, slots=True)
class Body:
    """The process of an actor, and its node."""

    node: str
    process: Process | None

    def kill(self) -> None:
        """End it, if it runs on this node; a stopped one as well."""
        process = self.process
        if process is None or self.node != this_node() or not process.is_alive:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, signal.SIGKILL)


def this_body(_: object = None) -> Body:
    """This process. Called in an actor, it is given the actor's instance."""
    return Body(this_node(), processes.find(os.getpid()))


class Pulse:
    """Looks at one actor several times a lease."""

    def __init__(
        self,
        actor: Any,
        lease_s: float,
        body: Body | None = None,
        look: Callable[..., Body] = this_body,
        *terms: Any,
    ) -> None:
        """`look` is called there with the actor's instance and `terms`; raising gives no sign."""
        self._look = look, terms
        self.body = body
        """None until it is known, by `identify` at the latest."""
        self.lease_s = lease_s
        self._actor = actor
        self._look_s = lease_s / _LOOKS

    async def identify(self) -> None:
        """Wait until the actor is up, and learn which process it is.

        Raises:
            RayError: it died, or could not be started.
        """
        self.body = await self._ask()

    async def identified(self) -> Any:
        """What `look` says, once the actor is up.

        Raises:
            RayError: it died, or could not be started.
        """
        return await self._ask()

    async def silence(self) -> None:
        """Return when the actor has given no sign for a lease.

        It was heard of just now: the first look comes later, and most turns are over by then.
        """
        missed = 0
        await asyncio.sleep(self._look_s)
        while missed < _LOOKS:
            beat = asyncio.ensure_future(self._ask())
            beat.add_done_callback(_seen)
            _, slow = await asyncio.gather(
                asyncio.sleep(self._look_s), asyncio.wait({beat}, timeout=self._look_s)
            )
            missed = missed + 1 if slow[1] or not _is_good(beat) else 0
            beat.cancel()

    def kill(self, *, restarts: bool = False) -> None:
        """End the process, whatever state it is in. `restarts`: Ray may start it again."""
        if self.body is not None:
            self.body.kill()
        with suppress(RayError, ValueError):
            ray.kill(self._actor, no_restart=not restarts)

    async def _ask(self) -> Body:
        look, terms = self._look
        body: Body = await self._actor.__ray_call__.options(concurrency_group=_GROUP).remote(
            look, *terms
        )
        return body


async def keep_alive(actor: Any, lease_s: float) -> None:
    """Wait until an actor gives no sign of life for `lease_s`, and have it started anew."""
    pulse = Pulse(actor, lease_s)
    with suppress(RayError, TimeoutError):
        async with asyncio.timeout(lease_s):  # `wait_for` may swallow a cancellation (3.11)
            await pulse.identify()
    await pulse.silence()
    pulse.kill(restarts=True)


async def patiently(work: "asyncio.Future[T]", patience_s: float) -> bool:
    """Wait for `work`; False if it is not done after `patience_s`, however long we were stopped."""
    for _ in range(_LOOKS):
        await asyncio.wait({work}, timeout=patience_s / _LOOKS)
        if work.done():
            return True
    return False


def asked(reference: object) -> "asyncio.Task[Any]":
    """An actor's answer as a task; one that is given up fails without a word."""
    task = asyncio.ensure_future(plain(reference))
    task.add_done_callback(_seen)
    return task


async def plain(reference: object) -> Any:
    """An actor's answer as a coroutine."""
    return await cast("Awaitable[Any]", reference)


def _seen(task: "asyncio.Future[Any]") -> None:
    if not task.cancelled():
        task.exception()


def _is_good(beat: "asyncio.Future[Body]") -> bool:
    return beat.done() and not beat.cancelled() and beat.exception() is None
