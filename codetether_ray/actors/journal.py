"""A run's journal as its agents' processes see it: the one writer is the run's supervisor."""

import asyncio
from collections.abc import Sequence

from codetether_ray.actors.caller import Caller
from codetether_ray.actors.door import Numbers
from codetether_ray.core.errors import JournalError
from codetether_ray.core.events import Record
from codetether_ray.core.letters import Letter


class RayJournal:
    """The journal port on a supervisor: appends of one process reach it in order, each once."""

    def __init__(self, caller: Caller, *, is_empty: bool = False) -> None:
        """`is_empty`: it holds nothing of the agent that it is read for."""
        self._caller = caller
        self._is_empty = is_empty
        self._writing: set[asyncio.Task[Numbers]] = set()
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
        self._is_empty = False
        sent = tuple(map(Letter.of, records))
        writing = asyncio.ensure_future(self._numbers(sent))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        numbers = await asyncio.shield(writing)
        return tuple(
            record.numbered(seq, agent_seq, payload=letter.payload)
            for record, letter, (seq, agent_seq) in zip(records, sent, numbers, strict=True)
        )

    async def _numbers(self, sent: tuple[Letter, ...]) -> Numbers:
        answers: list[Numbers | JournalError] = await self._caller.ask("append", (sent,))
        (answer,) = answers
        if isinstance(answer, JournalError):
            raise answer
        return answer

    async def read(self, agent: str | None = None) -> tuple[Record, ...]:
        """All durable records, or those of one agent, in order of `seq`."""
        if self._is_empty and agent is not None:
            return ()
        found: tuple[Record, ...] = await self._caller.ask("read", agent)
        return found

    async def close(self) -> None:
        """Wait for what is under way and take nothing more; the supervisor holds the run."""
        self._is_closed = True
        if self._writing:
            await asyncio.wait(self._writing)
