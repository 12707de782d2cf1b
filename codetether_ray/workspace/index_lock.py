"""Holding the user's index as git itself does, and knowing again a lock that we left.

Git's lock says nothing of who made it. Ours is a second name of a file in our own room: a lock
that is that very file, while nobody holds the room, was left by a process of ours that is dead.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from codetether_ray.core.errors import WorkspaceError

_MINE, _ROOM = "index-lock.mine", "index-lock.flock"


@contextlib.contextmanager
def index_lock(git_dir: Path, room: Path) -> Iterator[Path]:
    """Hold the index of `git_dir`; the lock file may be renamed to the index. `room` is ours.

    Raises:
        WorkspaceError: another git command, or another delivery, is at work there.
    """
    lock, mine = git_dir / "index.lock", room / _MINE
    with _alone(room, lock):
        _clear(lock, mine)
        _make(lock, mine)
        try:
            yield lock
        finally:
            lock.unlink(missing_ok=True)
            mine.unlink(missing_ok=True)


def clear_own_lock(git_dir: Path, room: Path) -> None:
    """Take away the lock that a process of ours left when it was killed, if there is one."""
    lock, mine = git_dir / "index.lock", room / _MINE
    if mine.exists():
        with contextlib.suppress(WorkspaceError), _alone(room, lock):
            _clear(lock, mine)


@contextlib.contextmanager
def _alone(room: Path, lock: Path) -> Iterator[None]:
    room.mkdir(parents=True, exist_ok=True)
    handle = os.open(room / _ROOM, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _busy(lock) from error
        yield
    finally:
        os.close(handle)


def _clear(lock: Path, mine: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if lock.samefile(mine):
            lock.unlink()
    mine.unlink(missing_ok=True)  # it may be a second name of the index by now: never written again


def _make(lock: Path, mine: Path) -> None:
    os.close(os.open(mine, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    try:
        lock.hardlink_to(mine)
    except FileExistsError as error:
        mine.unlink()
        raise _busy(lock) from error
    except OSError:  # a file system without second names: nobody will know it again
        mine.unlink()
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except FileExistsError as error:
            raise _busy(lock) from error


def _busy(lock: Path) -> WorkspaceError:
    return WorkspaceError(
        f"another git command is at work in this checkout ({lock} exists); try again"
    )
