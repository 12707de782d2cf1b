"""The scheduler that all runs of a shared cluster meet at: its actor's side, and its client's.

It lives in the registry's process: one of its own would cost 60 MB for a few calls a second.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, cast

import ray
from ray.exceptions import RayError

from codetether_ray.actors.calls import ask
from codetether_ray.actors.sight import FIRST_S, Sight
from codetether_ray.core.errors import ClusterError
from codetether_ray.local.clock import SystemClock
from codetether_ray.local.desk import LEASE_S, Answer, Hello, Order, SchedulingDesk
from codetether_ray.local.far_admission import FarAdmission
from codetether_ray.ports.admission import Need, Party
from codetether_ray.ports.clock import Clock

_WHOM = "the scheduler actor"
_SETTLE_S = 3.0
"""After the actor was started anew: by then all supervisors have said what they hold."""
_TELL_EVERY_S = 5.0
_RENEW_S = 60.0
"""A wish that has not changed is said again: the autoscaler may have been started anew."""
_MOST_BUNDLES = 1_000


def open_desk() -> SchedulingDesk:
    """The scheduler's state, in the actor's process."""
    is_anew = ray.get_runtime_context().was_current_actor_reconstructed
    sight, demand = Sight(first_s=FIRST_S), Demand(SystemClock())

    async def rest() -> None:
        await demand.end()
        await sight.close()

    settle_s = _SETTLE_S if is_anew else 0.0
    return SchedulingDesk(
        sight.capacity, SystemClock(), settle_s=settle_s, demand=demand, rest=rest
    )


def open_admission(registry_actor: Any, party: Party, *, lease_s: float = LEASE_S) -> FarAdmission:
    """A run's way to the scheduler; make one per supervisor."""
    return FarAdmission(_Far(registry_actor), party, SystemClock(), lease_s=lease_s)


class _Far:
    """Implements `Scheduling` over the actor."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def exchange(
        self, lease: str, hello: Hello | None, orders: tuple[Order, ...], seen: int, wait_s: float
    ) -> Answer:
        """See `SchedulingDesk`."""
        call = self._actor.schedule.remote(lease, hello, orders, seen, wait_s)
        return cast("Answer", await ask(call, _WHOM))

    def leave(self, lease: str) -> Awaitable[None]:
        """See `SchedulingDesk`."""
        return ask(self._actor.leave_schedule.remote(lease), _WHOM)


class Demand:
    """Tells the cluster's autoscaler what those need who live or wait.

    Both, because Ray makes the whole cluster as large as what it is asked for, used or not.

    Keeps true: it is told of a change at most every few seconds, of a thousand agents at most,
    and that nothing is wanted any more once there are none.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: tuple[Need, ...] = ()
        self._said_at = float("-inf")

    async def __call__(self, needs: Sequence[Need]) -> None:
        """Say what those need who live or wait now.

        Raises:
            ClusterError: the autoscaler cannot be told.
        """
        wish, now = tuple(needs[:_MOST_BUNDLES]), self._clock.monotonic()
        pause_s = _RENEW_S if bundles(wish) == bundles(self._said) else _TELL_EVERY_S
        if (wish or self._said) and now - self._said_at >= pause_s:
            await self._say(wish)

    async def end(self) -> None:
        """Say that nothing is needed any more.

        Raises:
            ClusterError: the autoscaler cannot be told.
        """
        if self._said:
            await self._say(())

    async def _say(self, wish: tuple[Need, ...]) -> None:
        try:
            await asyncio.to_thread(_request, wish)
        except (RayError, RuntimeError, ValueError) as error:
            raise ClusterError(f"the autoscaler cannot be told what is needed: {error}") from error
        self._said, self._said_at = wish, self._clock.monotonic()


def bundles(needs: Sequence[Need]) -> tuple[list[dict[str, float]], list[dict[str, str]]]:
    """What Ray is asked for: resources, and the labels that their node must have."""
    resources = [
        {
            name: amount
            for name, amount in (("CPU", need.cpus), ("memory", float(need.memory_bytes)))
            if amount
        }
        for need in needs
    ]
    return resources, [dict(need.labels) for need in needs]


def _request(needs: Sequence[Need]) -> None:
    from ray.autoscaler.sdk import request_resources  # noqa: PLC0415 - it takes a second

    resources, labels = bundles(needs)
    if any(labels):
        request_resources(bundles=resources, bundle_label_selectors=labels)
    else:
        request_resources(bundles=resources)
