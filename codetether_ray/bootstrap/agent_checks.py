"""The agents of a run that is verified: those at work in memory, the others on disk."""

import contextlib
import pickle
import tempfile
from dataclasses import dataclass
from typing import IO

from codetether_ray.agent.verify import AgentCheck

_IN_MEMORY = 32  # agents without an open turn


@dataclass(frozen=True, slots=True)
class _Put:
    """Where an agent lies in the file, and what a verdict tells of it."""

    offset: int
    decisions: int
    is_blind: bool


class AgentChecks:
    """One check for each agent; what they hold in memory does not grow with the run.

    An agent that has ended its turn may take another, so nothing of it is dropped: it is put into
    a file without a name, and taken from there when there is more of it.
    """

    def __init__(self, in_memory: int = _IN_MEMORY) -> None:
        self._in_memory = in_memory
        self._busy: dict[str, AgentCheck] = {}
        self._idle: dict[str, AgentCheck] = {}
        """Longest idle first."""
        self._away: dict[str, _Put] = {}
        self._file: IO[bytes] | None = None

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return len(self._busy) + len(self._idle) + len(self._away)

    def take_out(self, path: str) -> AgentCheck:
        """The check of an agent; `put_back` follows."""
        check = self._busy.pop(path, None) or self._idle.pop(path, None)
        if check is None and path in self._away:
            assert self._file is not None
            self._file.seek(self._away.pop(path).offset)
            check = pickle.load(self._file)
        return check or AgentCheck()

    def put_back(self, path: str, check: AgentCheck) -> None:
        """Keep it for its next record."""
        if not check.is_idle:
            self._busy[path] = check
            return
        self._idle[path] = check
        if len(self._idle) > self._in_memory:
            with contextlib.suppress(OSError):  # a full disk: memory has to do
                self._put_away(next(iter(self._idle)))

    def _put_away(self, path: str) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`
        check, offset = self._idle[path], self._file.seek(0, 2)
        pickle.dump(check, self._file, pickle.HIGHEST_PROTOCOL)
        self._away[path] = _Put(offset, check.decisions, check.is_blind)
        del self._idle[path]

    @property
    def decisions(self) -> int:
        """How many events were compared, of all agents."""
        return sum(found.decisions for found in self._all().values())

    @property
    def blind(self) -> list[str]:
        """Paths of those of which only digests and the order could be checked."""
        return sorted(path for path, found in self._all().items() if found.is_blind)

    def _all(self) -> dict[str, AgentCheck | _Put]:
        return {**self._busy, **self._idle, **self._away}
