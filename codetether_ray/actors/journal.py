"""A run's journal as its agents' processes see it: the one writer is the run's supervisor."""

from collections.abc import Sequence
from dataclasses import replace

from codetether_ray.actors.caller import Caller
from codetether_ray.actors.door import Numbers
from codetether_ray.actors.outbox import Outbox
from codetether_ray.core.errors import JournalError
from codetether_ray.core.events import Record

_RECORD_BYTES = 2_000
"""What a record is taken to weigh: a guess, which decides how many ride one call."""


class RayJournal:
    """The journal port on a supervisor: appends of one process reach it in order, each once."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._outbox: Outbox[tuple[Record, ...], Numbers] = Outbox(self._append)
        self._is_closed = False

    async def append(self, records: Sequence[Record]) -> tuple[Record, ...]:
        """Return the numbered records once they are durable.

        Raises:
            JournalError: nothing of this call is promised.
            FencedError: another process took this agent over.
            ClusterError: the supervisor is gone; nor is it then.
        """
        if self._is_closed:
            raise JournalError("the journal is closed")
        if not records:
            return ()
        sent = tuple(records)
        numbers = await self._outbox.post(sent, _RECORD_BYTES * len(sent))
        return tuple(
            replace(record, seq=seq, agent_seq=agent_seq)
            for record, (seq, agent_seq) in zip(sent, numbers, strict=True)
        )

    async def _append(self, batches: Sequence[tuple[Record, ...]]) -> Sequence[Numbers | Exception]:
        answers: list[Numbers | Exception] = await self._caller.ask("append", batches)
        return answers

    async def read(self, agent: str | None = None) -> tuple[Record, ...]:
        """All durable records, or those of one agent, in order of `seq`."""
        found: tuple[Record, ...] = await self._caller.ask("read", agent)
        return found

    async def close(self) -> None:
        """Wait for what is under way and take nothing more; the supervisor holds the run."""
        self._is_closed = True
        await self._outbox.flush()
