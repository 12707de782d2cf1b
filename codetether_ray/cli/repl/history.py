"""What was typed, kept for the next time in a file that its owner alone may read.

One JSON string a line. Keys that are stored here, and whatever is shaped like a key, are masked
before anything is written.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from prompt_toolkit.history import History

_KEPT = 2000
"""Entries that are read back; a longer file is shortened to so many when it is next opened."""


def path_of(data_dir: Path) -> Path:
    """Where the history of a user's data directory is."""
    return data_dir / "history"


class MaskedHistory(History):
    """A history in a file of mode 0600. A file that cannot be written is not missed.

    Several prompts may append to one file.
    """

    def __init__(self, path: Path, mask: Callable[[str], str]) -> None:
        super().__init__()
        self._path = path
        self._mask = mask
        self._is_kept: Callable[[], bool] = lambda: True

    def keep_if(self, is_kept: Callable[[], bool]) -> None:
        """Keep only what is entered while `is_kept` says so: answers are not worth it."""
        self._is_kept = is_kept

    def append_string(self, string: str) -> None:
        """Take an entry, unless it is an answer to a question."""
        if self._is_kept():
            super().append_string(string)

    def load_history_strings(self) -> Iterable[str]:
        """The entries, newest first."""
        entries = _read(self._path)
        if len(entries) > 2 * _KEPT:
            self._shorten(entries[-_KEPT:])
        return entries[-_KEPT:][::-1]

    def store_string(self, string: str) -> None:
        """Append an entry, masked; blanks are not worth one."""
        if not string.strip():
            return
        line = json.dumps(self._mask(string), ensure_ascii=False) + "\n"
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._write(self._path, line, os.O_APPEND)

    def _shorten(self, entries: list[str]) -> None:
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
        with contextlib.suppress(OSError):
            self._write(fresh, lines, os.O_TRUNC)
            fresh.replace(self._path)

    def _write(self, path: Path, text: str, flag: int) -> None:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | flag | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(number, 0o600)
            os.write(number, text.encode("utf-8", "replace"))
        finally:
            os.close(number)


def _read(path: Path) -> list[str]:
    """The entries of a file, oldest first; lines that are none are passed over."""
    entries = []
    with contextlib.suppress(OSError):
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            with contextlib.suppress(ValueError):
                value = json.loads(line)
                if isinstance(value, str):
                    entries.append(value)
    return entries
