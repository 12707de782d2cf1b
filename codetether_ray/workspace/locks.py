"""One writer at a time for what git itself does not guard.

`git worktree add` and `remove` race with each other in one repository; whoever runs them holds
this lock: an asyncio lock among coroutines, a locked file among processes.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from codetether_ray.core.errors import WorkspaceError

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.005, 0.1


class RepositoryLock:
    """Held by one coroutine of one process. The file stays; the lock goes with its holder."""

    def __init__(self, path: Path, *, timeout_s: float = 120.0) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._local = asyncio.Lock()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Wait for the lock and hold it.

        Raises:
            WorkspaceError: another process holds it too long.
        """
        async with self._local:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                await self._acquire(handle)
                yield
            finally:
                os.close(handle)

    async def _acquire(self, handle: int) -> None:
        loop = asyncio.get_running_loop()
        deadline, wait = loop.time() + self._timeout_s, _FIRST_WAIT_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if loop.time() > deadline:
                    raise WorkspaceError(
                        f"another process has held {self._path} for {self._timeout_s:g} s"
                    ) from error
                await asyncio.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT_S)
            else:
                return
