"""How much of a directory's share is used, told once at nine tenths and once when it is passed."""

import os
from collections.abc import Callable
from pathlib import Path

_NEARLY = 0.9
_UNIT = 1024**3


class Quota:
    """A number of bytes that a directory should not pass. Nothing is refused."""

    def __init__(self, directory: Path, limit: int, warn: Callable[[str], None]) -> None:
        """`warn` takes one sentence; it is called in the thread that calls `check`."""
        self._directory, self._limit, self._warn = directory, limit, warn
        self._told = 0

    def check(self) -> int:
        """Measure, and warn if that is news; the bytes that are used. It blocks."""
        used = used_bytes(self._directory)
        stage = 2 if used > self._limit else 1 if used >= self._limit * _NEARLY else 0
        if stage > self._told:
            self._told = stage
            self._warn(self._sentence(used, is_passed=stage == 2))
        return used

    def _sentence(self, used: int, *, is_passed: bool) -> str:
        share = f"{used / _UNIT:.2f} of {self._limit / _UNIT:.2f} GiB"
        state = "more than its quota" if is_passed else f"{used / self._limit:.0%} of its quota"
        return (
            f"{self._directory} takes {state} ({share}); `codetether archive push` and `codetether "
            "forget RUN` make room, and the setting `journal.quota` is the limit"
        )


def used_bytes(directory: Path) -> int:
    """What the files under a directory take on the disk; those that vanish meanwhile count not."""
    total, waiting = 0, [str(directory)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
        except FileNotFoundError:
            continue
    return total
