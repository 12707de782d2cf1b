"""The lock on a PRD: where the PRD is, so that whoever works on it, from whatever home, meets it.

In a git repository it is in the git directory, else beside the file for as long as it is held;
where neither can be written, in the data directory. The kernel lets go of it when its holder dies.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from codetether_ray.core.errors import PrdBusyError, PrdFileError
from codetether_ray.journal.lock import this_process
from codetether_ray.workspace.records import ROOM

LOCKS = "prds"
"""Below a repository's room in its git directory, or the data directory: a lock for each PRD."""
_TRIES = 100  # each is lost to another process that let go of the lock in that moment
_MOST_BYTES = 65_536


class PrdLock:
    """This process's alone until `close`."""

    def __init__(self, real: Path, path: Path, data_dir: Path, holder: str) -> None:
        """Take the lock of the PRD at `real`; `path` is its name to people.

        Raises:
            PrdBusyError: another process works on it.
            PrdFileError: the lock cannot be made.
        """
        self._passing: Path | None = None
        """The lock's file, where it is not to be left behind."""
        self._file = -1
        problem: OSError | None = None
        for place, is_passing in _places(real, data_dir):
            try:
                self._take(place, path, is_passing=is_passing)
                break
            except OSError as error:
                problem = error
        else:
            what = f"it cannot be locked: {problem}"
            raise PrdFileError(str(path), what) from problem
        self._write(holder, real)

    def _take(self, place: Path, path: Path, *, is_passing: bool) -> None:
        for _ in range(_TRIES):
            lock = _opened(place)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                who = _holder(lock)
                os.close(lock)
                raise PrdBusyError(str(path), who) from None
            if _is_at(place, lock):
                self._file, self._passing = lock, place if is_passing else None
                return
            os.close(lock)  # of a holder that took it away just now
        raise PrdBusyError(str(path), "others, one after another")

    def _write(self, holder: str, real: Path) -> None:
        process = str(this_process())
        words = {"holder": f"{holder} ({process})" if holder else process, "path": str(real)}
        data = json.dumps(words, ensure_ascii=False).encode(errors="replace")
        with suppress(OSError):  # another user's file: it can be locked, and not be written
            os.pwrite(self._file, data, 0)
            os.ftruncate(self._file, len(data))

    def close(self) -> None:
        """Let others work on the PRD; a second call does nothing."""
        if self._file < 0:
            return
        if self._passing is not None:
            with suppress(OSError):
                self._passing.unlink()
        os.close(self._file)
        self._file = -1


def _places(real: Path, data_dir: Path) -> Iterator[tuple[Path, bool]]:
    """Where the lock may be, the best first; whether its file goes when it is let go."""
    name = f"{hashlib.sha256(os.fsencode(real)).hexdigest()[:32]}.lock"
    git = _git_dir(real.parent)
    if git is not None:
        yield git / ROOM / LOCKS / name, False
    else:
        yield real.with_name(f".{real.name[:100]}.lock"), True
    yield data_dir / LOCKS / name, False


def _git_dir(place: Path) -> Path | None:
    """What all checkouts of the repository share that a directory is in; None outside git."""
    for folder in (place, *place.parents):
        git = folder / ".git"
        with suppress(OSError, ValueError):
            if git.is_dir():
                return git
            if git.is_file():
                own = folder / git.read_text("utf-8").removeprefix("gitdir:").strip()
                shared = own / "commondir"
                return own / shared.read_text("utf-8").strip() if shared.is_file() else own
    return None


def _opened(place: Path) -> int:
    flags = os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    if place.parent.name == LOCKS:
        place.parent.mkdir(parents=True, exist_ok=True)
    try:
        return os.open(place, flags | os.O_RDWR, 0o644)
    except PermissionError:
        return os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)


def _is_at(place: Path, lock: int) -> bool:
    try:
        return os.path.samestat(place.stat(), os.fstat(lock))
    except FileNotFoundError:
        return False


def _holder(lock: int) -> str:
    try:
        return str(json.loads(os.pread(lock, _MOST_BYTES, 0))["holder"])
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
