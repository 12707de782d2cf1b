"""A range of TCP ports for each live worktree, so that servers under test don't collide.

A range is claimed by a file that names the worktree; a claim whose worktree is gone is free.
The first choice follows from the names of run and tree, so it is the same on every machine
unless another live tree has it.
"""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FIRST, LAST = 20_000, 32_759
"""Below Linux' ephemeral ports (32768), above what services commonly use."""
COUNT = 10


class PortRanges:
    """Claims of `COUNT` ports each, kept in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def claim(self, owner: Path, key: str) -> int:
        """The first port of a range for the worktree `owner`. All taken: its first choice."""
        slots = (LAST + 1 - FIRST) // COUNT
        wanted = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % slots
        bases = [FIRST + (wanted + step) % slots * COUNT for step in range(slots)]
        with self._locked():
            base = next((b for b in bases if self._is_open_to(owner, b)), bases[0])
            (self._directory / str(base)).write_text(str(owner), "utf-8")
        return base

    def give_back(self, owner: Path, base: int) -> None:
        """Free a range that `owner` holds."""
        with self._locked():
            claim = self._directory / str(base)
            if _holder(claim) == str(owner):
                claim.unlink()

    def _is_open_to(self, owner: Path, base: int) -> bool:
        holder = _holder(self._directory / str(base))
        return holder is None or holder == str(owner) or not Path(holder).exists()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Held for the few microseconds of a claim, against other processes."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / ".lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _holder(claim: Path) -> str | None:
    try:
        return claim.read_text("utf-8")
    except FileNotFoundError:
        return None
