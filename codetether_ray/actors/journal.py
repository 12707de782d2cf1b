"""A run's journal as its agents' processes see it: the one writer is the run's supervisor."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from codetether_ray.actors.calls import ask
from codetether_ray.core.events import Record

_SUPERVISOR = "the run's supervisor"


class RayJournal:
    """The journal port on a supervisor. Numbers come back, not the records: they may be large."""

    def __init__(self, supervisor: Any) -> None:
        self._supervisor = supervisor

    async def append(self, records: Sequence[Record]) -> tuple[Record, ...]:
        """Return the numbered records once they are durable.

        Raises:
            JournalError: nothing of this call is promised.
            ClusterError: the supervisor is gone; nor is it then.
        """
        if not records:
            return ()
        sent = tuple(records)
        numbers = await ask(self._supervisor.append.remote(sent), _SUPERVISOR)
        return tuple(
            replace(record, seq=seq, agent_seq=agent_seq)
            for record, (seq, agent_seq) in zip(sent, numbers, strict=True)
        )

    async def read(self, agent: str | None = None) -> tuple[Record, ...]:
        """All durable records, or those of one agent, in order of `seq`."""
        found: tuple[Record, ...] = await ask(self._supervisor.read.remote(agent), _SUPERVISOR)
        return found

    async def close(self) -> None:
        """Nothing: the supervisor holds the run."""
