"""A leased process as its run sees it: its seats, and whether it still gives signs of life."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from codetether_ray.actors.agent import Links
from codetether_ray.actors.pool import Leased
from codetether_ray.actors.pulse import Pulse
from codetether_ray.actors.seats import Engagement, beating

_MOMENT_S = 0.05


@dataclass(frozen=True, slots=True)
class Tenancy:
    """For which run processes are leased."""

    id: str
    wiring: str
    links: Links


class House:
    """One process with `seats` for agents of one run.

    Keeps true: no more agents than seats; nobody moves into one that is dead or to be left.
    """

    def __init__(
        self,
        key: tuple[str, str],
        lease: Coroutine[Any, Any, Leased],
        tenancy: Tenancy,
        seats: int,
        lease_s: float,
        *,
        is_own: bool,
    ) -> None:
        """`key`: its node and its principal. `is_own`: made for one agent, and ended with it."""
        self.key = key
        self.seats = seats
        self.lease_s = lease_s
        self.leased: Leased | None = None
        self._engagement: Engagement | None = None
        self.is_engaged = False
        """Whether a turn has brought the engagement."""
        self.served = 0
        """How many agents have had a seat in this tenancy."""
        self.is_dead = False
        self._is_own = is_own
        self._tenancy = tenancy
        self._taken = 0
        self._is_retired = is_own
        self._opening = asyncio.create_task(self._open(lease))
        self._silence: asyncio.Task[None] | None = None
        self._listeners = 0
        self._freed: list[str] = []

    @property
    def has_room(self) -> bool:
        """Whether another agent may move in."""
        return self._taken < self.seats and not (self.is_dead or self._is_retired)

    @property
    def is_empty(self) -> bool:
        """Whether nobody lives here."""
        return not self._taken

    @property
    def is_reusable(self) -> bool:
        """Whether it may serve others after this run."""
        return not (self.is_dead or self._is_retired)

    def take(self) -> None:
        """Take a seat."""
        self._taken += 1

    def leave(self, *, is_dead: bool) -> None:
        """Give a seat back. `is_dead`: who had it found the process dead or silent."""
        self._taken -= 1
        self.is_dead |= is_dead

    def free(self, token: str) -> None:
        """Have a seat freed in the process, with all others of that moment, unless it is let go."""
        self._freed.append(token)
        if len(self._freed) == 1:
            asyncio.get_running_loop().call_later(_MOMENT_S, self._free_all)

    def _free_all(self) -> None:
        freed, self._freed = self._freed, []
        if self.leased is not None and self._taken:
            self.leased.actor.close_all.remote(freed)

    def retire(self) -> None:
        """Let nobody else in: it is ended when the last has left."""
        self._is_retired = True

    async def opened(self) -> Leased:
        """The process, once it is up.

        Raises:
            RayError, ClusterError: it could not be had.
        """
        leased = await asyncio.shield(self._opening)
        self.served += 1
        return leased

    @property
    def engagement(self) -> Engagement | str:
        """What a turn names: the first one brings it along, and has the process serve this run."""
        assert self._engagement is not None
        return self._engagement.id if self.is_engaged else self._engagement

    def close(self) -> None:
        """Look no more."""
        if self._silence is not None:
            self._silence.cancel()

    def then(self, done: Callable[["House", Leased], None]) -> None:
        """Call `done` with the process if it comes after all."""

        def came(opening: asyncio.Task[Leased]) -> None:
            if not opening.cancelled() and opening.exception() is None:
                done(self, opening.result())

        self._opening.add_done_callback(came)

    @contextmanager
    def listening(self) -> "Iterator[asyncio.Task[None]]":
        """A task that is done when the process has given no sign of life for its lease."""
        if self._silence is None:
            assert self.leased is not None
            pulse = Pulse(self.leased.actor, self.lease_s, self.leased.body, beating, self.lease_s)
            self._silence = asyncio.create_task(pulse.silence())
        self._listeners += 1
        try:
            yield self._silence
        finally:
            self._listeners -= 1
            if not self._listeners and not self._silence.done():
                self._silence.cancel()
                self._silence = None

    async def _open(self, lease: Coroutine[Any, Any, Leased]) -> Leased:
        leased = self.leased = await lease
        links = self._tenancy.links
        is_away = leased.body.node not in ("", links.home) if links.home else False
        self._engagement = Engagement(
            f"{self._tenancy.id}.{id(self):x}", self._tenancy.wiring, links, is_away=is_away
        )
        return leased
