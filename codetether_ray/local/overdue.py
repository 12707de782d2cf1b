"""Ends agents that hang: those that keep neither their own time-out nor answer a cancel."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from codetether_ray.core.errors import CodetetherError
from codetether_ray.core.messages import Message
from codetether_ray.core.spec import TurnResult
from codetether_ray.ports.clock import Clock
from codetether_ray.ports.host import AgentProcess

_GRACE_S = 30.0  # an agent that has not ended this long after its own time-out hangs
_LAST_WORD_S = 10.0  # and has this long to answer a cancel


class Loan:
    """How long an agent has waited for its children: time that is not its own."""

    def __init__(self) -> None:
        self._past_s = 0.0
        self._since = 0.0
        self._open = 0

    @contextmanager
    def running(self, clock: Clock) -> Iterator[None]:
        """Count the time of the block; blocks may overlap."""
        if not self._open:
            self._since = clock.monotonic()
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            if not self._open:
                self._past_s += clock.monotonic() - self._since

    def seconds(self, clock: Clock) -> float:
        """All of it up to now."""
        return self._past_s + (clock.monotonic() - self._since if self._open else 0.0)


async def guarded_turn(
    process: AgentProcess, message: Message, timeout_s: float, loan: Loan, clock: Clock
) -> TurnResult:
    """A turn that ends, whatever its process does, soon after `timeout_s` of its own time.

    An agent keeps its time-out itself; this is for the one that cannot any more.
    """
    turn = asyncio.create_task(process.turn(message))
    overdue = asyncio.create_task(_overdue(process, timeout_s + _GRACE_S, loan, clock))
    try:
        await asyncio.wait({turn, overdue}, return_when=asyncio.FIRST_COMPLETED)
        if turn.done():
            return turn.result()
        return TurnResult(
            outcome="timeout",
            elapsed_s=timeout_s,
            error=f"the agent did not end within {timeout_s:g} s and no longer answered",
            error_kind="TimeoutError",
        )
    finally:
        turn.cancel()
        overdue.cancel()
        await asyncio.gather(turn, overdue, return_exceptions=True)


async def _overdue(process: AgentProcess, allowed_s: float, loan: Loan, clock: Clock) -> None:
    """Return when the agent's own time is over and it has ignored a cancel."""
    start_s = clock.monotonic() - loan.seconds(clock)
    while (left_s := allowed_s - (clock.monotonic() - loan.seconds(clock) - start_s)) > 0:
        await clock.sleep(left_s)
    with suppress(CodetetherError):
        await process.cancel()
    await clock.sleep(_LAST_WORD_S)
