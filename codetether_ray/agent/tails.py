"""The end of what a command printed, on disk while it runs, so that a crash does not take it.

Complete lines alone are kept, with secrets masked. It is written a few times a second at most and
not flushed: it is to survive the process, and tells a model what no journal could promise.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

from codetether_ray.agent.text import clean

_KEPT = 8_000  # characters
_PAUSE_S = 0.2


def tail_path(folder: Path, run_id: str, agent: str, call_id: str) -> Path:
    """Where the output of a call is kept."""
    mark = hashlib.sha256(f"{agent}\0{call_id}".encode()).hexdigest()[:16]
    return folder / f"{run_id}.{mark}"


def take_tail(path: Path) -> str:
    """What a call had printed that was cut off; it is kept no longer."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    path.unlink(missing_ok=True)
    return text.rstrip("\n")


class Tail:
    """Keeps the end of one call's output in a file that comes to be with its first line."""

    def __init__(self, path: Path, mask: Callable[[str], str]) -> None:
        self._path = path
        self._mask = mask
        self._text = ""
        self._is_new = False
        self._timer: asyncio.TimerHandle | None = None

    def feed(self, text: str) -> None:
        """Take output as it comes."""
        self._text = (self._text + text)[-2 * _KEPT :]
        self._is_new = True
        if self._timer is None:
            self._write()

    def stop(self, *, keep: bool) -> None:
        """The call ended; `keep`: it was cut off."""
        if self._timer is not None:
            self._timer.cancel()
        if keep and self._is_new:
            self._write_now()
        elif not keep and self._text:
            self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        self._timer = None
        if self._is_new:
            self._timer = asyncio.get_running_loop().call_later(_PAUSE_S, self._write)
            self._write_now()

    def _write_now(self) -> None:
        """A disk that refuses costs the output of a call that is cut off, and nothing else."""
        self._is_new = False
        lines = self._text[: self._text.rfind("\n") + 1]
        if len(lines) > _KEPT:
            lines = lines[-_KEPT:].partition("\n")[2]
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
            self._path.write_text(self._mask(clean(lines)), encoding="utf-8", errors="replace")
