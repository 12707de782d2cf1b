"""The line between a process of agents and their run's supervisor: many calls ride one.

A call of an actor costs both ends half a millisecond, whatever it carries. A hundred agents in one
process would spend their time on it.
"""

import asyncio
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from ray.exceptions import ActorUnavailableError, RayError

from codetether_ray.actors.calls import translated
from codetether_ray.actors.door import LATER, Badge, Call, Fault
from codetether_ray.actors.outbox import Outbox

SUPERVISOR = "the run's supervisor"
_PAUSE_S = 0.2
_CALL_BYTES = 500
"""What a call is taken to weigh that carries no records."""
_RECORD_BYTES = 2_000
"""And one record of those that do."""
_RIDES = frozenset(
    ("read", "reserve", "settle", "release", "spent", "limits", "share", "shared", "all_shared")
)
"""Verbs that are done in a moment."""
_COMPANY_S = 0.05
"""How long what nobody waits for waits for a call that it can ride."""
_WRITES_PATIENCE_S = 5.0
_ASKS_PATIENCE_S = 0.05
"""How long a call waits for those that ride with it; one that takes longer is asked for alone."""


@dataclass(slots=True)
class Sender:
    """Who calls: its badge, and which of its calls have no answer yet."""

    badge: Badge
    open: set[int]

    def call(self, number: int, verb: str, arguments: tuple[Any, ...]) -> Call:
        """The call as it is sent now."""
        return self.badge, number, min(self.open, default=number), verb, arguments


_Parcel = tuple[Sender, int, str, tuple[Any, ...]]


class Line:
    """One per process and supervisor.

    Keeps the order of what is written; the answer of a call that got none is asked for again.
    """

    def __init__(self, supervisor: Any) -> None:
        self._supervisor = supervisor
        self._writes: Outbox[_Parcel, Any] = Outbox(self._write)
        self._asks: Outbox[_Parcel, Any] = Outbox(self._ask_together)

    async def ask(self, sender: Sender, number: int, verb: str, arguments: tuple[Any, ...]) -> Any:
        """The answer of one call; see `Door.call`.

        Raises:
            CodetetherError: what it raised.
            ClusterError: the supervisor is gone.
        """
        parcel = (sender, number, verb, arguments)
        if verb == "append":
            answer = await self._writes.post(parcel, _weight(arguments))
        elif verb in _RIDES:
            answer = await self._asks.post(parcel, _CALL_BYTES)
        else:
            answer = LATER
        if answer == LATER:
            return await self._alone(parcel)
        return answer

    def tell(
        self, sender: Sender, number: int, verb: str, arguments: tuple[Any, ...]
    ) -> "asyncio.Future[Any]":
        """Send a call of which nothing waits with the next that is written, or soon."""
        parcel = (sender, number, verb, arguments)
        return self._writes.post(parcel, _CALL_BYTES, wait_s=_COMPANY_S)

    def hurry(self) -> None:
        """Send at once what was told."""
        self._writes.hurry()

    async def flush(self) -> None:
        """Wait until all that was posted has been answered."""
        await self._writes.flush()
        await self._asks.flush()

    async def _write(self, parcels: Sequence[_Parcel]) -> Sequence[Any]:
        return await self._together(parcels, _WRITES_PATIENCE_S)

    async def _ask_together(self, parcels: Sequence[_Parcel]) -> Sequence[Any]:
        return await self._together(parcels, _ASKS_PATIENCE_S)

    async def _together(self, parcels: Sequence[_Parcel], patience_s: float) -> list[Any]:
        # plain bytes are all that Ray need not look into
        calls = pickle.dumps([_call(parcel) for parcel in parcels], pickle.HIGHEST_PROTOCOL)
        answers = pickle.loads(await self._answered("calls", calls, patience_s))
        return [answer.error if isinstance(answer, Fault) else answer for answer in answers]

    async def _alone(self, parcel: _Parcel) -> Any:
        return await self._answered("call", *_call(parcel))

    async def _answered(self, method: str, *arguments: Any) -> Any:
        while True:
            reference = getattr(self._supervisor, method).remote(*arguments)
            try:
                return await cast("Any", reference)
            except ActorUnavailableError:
                await asyncio.sleep(_PAUSE_S)
            except RayError as error:
                raise translated(error, SUPERVISOR) from error


def _call(parcel: _Parcel) -> Call:
    sender, number, verb, arguments = parcel
    return sender.call(number, verb, arguments)


def _weight(arguments: tuple[Any, ...]) -> int:
    return _RECORD_BYTES * sum(len(batch) for batch in arguments[0])
